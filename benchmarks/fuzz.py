"""Random and bent inputs at every parser: refused in our words, or read; nothing else.

    python benchmarks/fuzz.py [INPUTS A PARSER] [--seed 1]

Two fifths of the inputs are true ones with bytes flipped, cut, repeated or swapped; a
fifth are true ones of another kind, bent too; where the true one is JSON, a fifth have
one value in it changed and stay canonical, to come past the first look; the rest is
JSON of random shape, and bytes. A crash is any error that is no HetaoError; a hang is
an input that takes a second of processor time. `tests/attack/test_fuzz.py` runs a few
hundred of each.
"""

import argparse
import functools
import json
import random
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from hetao.errors import HetaoError

SLOW = 1.0  # seconds of processor time of an input
TOKENS = (b"{}", b"[]", b'""', b"null", b"-0", b"1e999", b"NaN", b'{"a":', b"\x00")
TOKENS += (b"\xff\xfe", b"9" * 400, b"[" * 400, b'"type"', b"sha256:", b"\xe4\xb8")
TOKENS += (b"\\ud800", b"\n\n", b"=")

Parsers = Mapping[str, tuple[Callable[[bytes], object], bytes]]


def bent(draw: random.Random, true: bytes, others: list[bytes]) -> bytes:
    """Return an input that is nearly a true one, or none at all."""
    choice = draw.random()
    if choice < 0.4:
        return _changed(draw, bytearray(true))
    if choice < 0.6:
        return _changed(draw, bytearray(draw.choice(others)))
    if choice < 0.8:
        value = _read(true)
        if value is None:
            return _changed(draw, bytearray(true))
        return _written(_with_another(draw, value))
    if choice < 0.9:
        return _written(_value(draw, 4))
    return draw.randbytes(draw.randrange(200))


@functools.lru_cache(maxsize=4)
def _read(true: bytes) -> object:
    try:
        return json.loads(true)
    except ValueError:
        return None


def _written(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _with_another(draw: random.Random, value: object) -> object:
    """Return the value with one thing in it another, left out, or there twice."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.05:
        return _value(draw, 2)
    copy = value.copy()
    at = (
        draw.choice(list(copy)) if isinstance(copy, dict) else draw.randrange(len(copy))
    )
    how = draw.random()
    if how < 0.85:
        copy[at] = _with_another(draw, copy[at])
    elif how < 0.95:
        del copy[at]
    elif isinstance(copy, dict):
        copy[draw.choice(list(copy)) + draw.choice(("", "x"))] = copy[at]
    else:
        copy.append(copy[at])
    return copy


def _changed(draw: random.Random, data: bytearray) -> bytes:
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        at = draw.randrange(len(data))
        until = min(len(data), at + draw.choice((1, 2, 8, 64)))
        how = draw.randrange(6)
        if how == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            del data[at:until]
        elif how == 2:
            data[at:at] = data[at:until]
        elif how == 3:
            data[at:until] = draw.choice(TOKENS)
        elif how == 4:
            data[at:at] = draw.randbytes(draw.randrange(8))
        else:
            del data[at:]
    return bytes(data)


def _value(draw: random.Random, depth: int) -> object:
    kind = draw.randrange(8 if depth else 6)
    plain = (None, True, draw.randrange(-5, 10**6), draw.random(), "型", "a" * 50)
    if kind < 6:
        return plain[kind]
    some = [_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind == 6:
        return some
    names = ("type", "permit", "approvals", "body", "meta", "arrays", "x", "signature")
    return {draw.choice(names): item for item in some}


def fuzzed(
    parsers: Parsers, inputs: int, seed: int, only: Collection[str] = ()
) -> dict[str, tuple[int, int]]:
    """Return parser → (read, refused); raise at the first crash or hang.

    Args:
        parsers: whose true inputs are bent; each gets those of the others too.
        inputs: of each parser.
        seed: of what is drawn.
        only: the parsers to try; all of them where none is named.

    Raises:
        AssertionError: a parser crashed or hung; the input is named in hex.
    """
    draw, found = random.Random(seed), {}
    trues = [true for _, true in parsers.values()]
    for name, (parse, true) in parsers.items():
        if only and name not in only:
            continue
        parse(true)  # the true one is read
        read = 0
        for _ in range(inputs):
            data = bent(draw, true, trues)
            start = time.process_time()
            try:
                parse(data)
                read += 1
            except HetaoError:
                pass
            except BaseException as error:
                raise AssertionError(
                    f"{name} crashed with {error!r} at {data[:2000].hex()}"
                ) from error
            if time.process_time() - start > SLOW:
                raise AssertionError(f"{name} hung at {data[:2000].hex()}")
        found[name] = (read, inputs - read)
    return found


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from support_fuzz import parsers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="parsers' names")
    asked = parser.parse_args()
    every, crashed = parsers(), 0
    for name in asked.only or every:
        start = time.process_time()
        try:
            counts = fuzzed(every, asked.inputs, asked.seed, [name])
        except AssertionError as error:
            print(f"{name}: {error}", flush=True)
            crashed += 1
            continue
        seconds = time.process_time() - start
        read, refused = counts[name]
        print(
            f"{name}: {read} read, {refused} refused, 0 crashes, {seconds:.0f} s",
            flush=True,
        )
    raise SystemExit(min(crashed, 1))


if __name__ == "__main__":
    main()
