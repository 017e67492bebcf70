"""Random and bent inputs at every parser: refused in our words, or read; nothing else.

    python benchmarks/fuzz.py [INPUTS A PARSER] [--seed 1]

Half of the inputs are true ones with bytes flipped, cut, repeated or swapped; a quarter
are true ones of another kind; the rest is JSON of random shape, and bytes. A crash is
any error that is no HetaoError; a hang is an input that takes a second. `tests/attack/
test_fuzz.py` runs a few thousand of each.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hetao.errors import HetaoError

SLOW = 1.0  # seconds of an input
TOKENS = (b"{}", b"[]", b'""', b"null", b"-0", b"1e999", b"NaN", b'{"a":', b"\x00")
TOKENS += (b"\xff\xfe", b"9" * 400, b"[" * 400, b'"type"', b"sha256:", b"\xe4\xb8")
TOKENS += (b"\\ud800", b"\n\n", b"=")

Parsers = Mapping[str, tuple[Callable[[bytes], object], bytes]]


def bent(draw: random.Random, true: bytes, others: list[bytes]) -> bytes:
    """Return an input that is nearly a true one, or none at all."""
    choice = draw.random()
    if choice < 0.5:
        return _changed(draw, bytearray(true))
    if choice < 0.75:
        return _changed(draw, bytearray(draw.choice(others)))
    if choice < 0.9:
        return json.dumps(_value(draw, 4)).encode()
    return draw.randbytes(draw.randrange(200))


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


def fuzzed(parsers: Parsers, inputs: int, seed: int) -> dict[str, tuple[int, int]]:
    """Return parser → (read, refused); raise at the first crash or hang.

    Raises:
        AssertionError: a parser crashed or hung; the input is named in hex.
    """
    draw, found = random.Random(seed), {}
    trues = [true for _, true in parsers.values()]
    for name, (parse, true) in parsers.items():
        parse(true)  # the true one is read
        read = 0
        for _ in range(inputs):
            data = bent(draw, true, trues)
            start = time.perf_counter()
            try:
                parse(data)
                read += 1
            except HetaoError:
                pass
            except BaseException as error:
                raise AssertionError(
                    f"{name} crashed with {error!r} at {data[:2000].hex()}"
                ) from error
            if time.perf_counter() - start > SLOW:
                raise AssertionError(f"{name} hung at {data[:2000].hex()}")
        found[name] = (read, inputs - read)
    return found


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from support_fuzz import parsers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="one parser's name")
    asked = parser.parse_args()
    for name, pair in parsers().items():
        if asked.only in ("", name):
            start = time.perf_counter()
            counts = fuzzed({name: pair}, asked.inputs, asked.seed)
            seconds = time.perf_counter() - start
            read, refused = counts[name]
            print(f"{name}: {read} read, {refused} refused, 0 crashes, {seconds:.0f} s")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
