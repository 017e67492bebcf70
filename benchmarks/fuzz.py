"""Random and bent inputs at every parser: refused in our words, or read; nothing else.

    python benchmarks/fuzz.py [INPUTS A PARSER] [--seconds 3600] [--part 0/2]

Two fifths of the inputs are true ones with bytes flipped, cut, repeated or swapped; a
fifth are true ones of another kind, bent too; where the true one is JSON, a fifth have
one value in it changed and stay canonical, to come past the first look; the rest is
JSON of random shape, and bytes. A crash is any error that is no HetaoError; a hang is
an input that takes a second of processor time: a clock stops it even where the parser
would never end.

Inputs are drawn in batches, each from its own seed, and `fuzzed.json` keeps how many
each parser has had, so that a run goes on where the last one stopped, those with least
work left first; take a parser out of it to begin that one anew. `--page` writes the
counts into the page of threats.
`tests/attack/test_fuzz.py` runs a few hundred inputs of each.
"""

import argparse
import contextlib
import dataclasses
import datetime
import fcntl
import functools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from hetao.errors import HetaoError

QUOTED = json.encoder.encode_basestring
SLOW = 1.0  # seconds of processor time of an input
BATCH = 2_000  # inputs between two notes of how far it came
TOKENS = (b"{}", b"[]", b'""', b"null", b"-0", b"1e999", b"NaN", b'{"a":', b"\x00")
TOKENS += (b"\xff\xfe", b"9" * 400, b"[" * 400, b'"type"', b"sha256:", b"\xe4\xb8")
TOKENS += (b"\\ud800", b"\n\n", b"=")

HERE = Path(__file__).resolve().parent
KEPT = HERE / "fuzzed.json"
PAGE = HERE.parent / "docs" / "security" / "threats.md"
FROM, UNTIL = "<!-- inputs a parser -->\n", "<!-- end of the inputs a parser -->"

Parse = Callable[[bytes], object]
Parsers = Mapping[str, tuple[Parse, bytes]]


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
        return _with_another(draw, value)
    if choice < 0.9:
        return _written(_value(draw, 4))
    return draw.randbytes(draw.randrange(200))


@dataclasses.dataclass(frozen=True)
class Written:
    """The text of a JSON value, and of a list's items or a table's fields."""

    text: bytes
    items: "Sequence[Written]" = ()
    fields: "Mapping[str, Written] | None" = None


@functools.lru_cache(maxsize=4)
def _read(true: bytes) -> Written | None:
    try:
        return _parts(json.loads(true))
    except ValueError:
        return None


def _parts(value: object) -> Written:
    if isinstance(value, list):
        return Written(_written(value), [_parts(item) for item in value])
    if isinstance(value, dict):
        fields = {name: _parts(item) for name, item in value.items()}
        return Written(_written(value), [*fields.values()], fields)
    return Written(_written(value))


def _written(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _with_another(draw: random.Random, true: Written) -> bytes:
    """Return a text with one thing in it another, left out, or there twice.

    Only what holds the change is written anew, so that a long text costs no more.
    """
    if not true.items or draw.random() < 0.05:
        return _written(_value(draw, 2))
    names = [""] * len(true.items) if true.fields is None else list(true.fields)
    parts = [(name, one.text) for name, one in zip(names, true.items, strict=True)]
    at, how = draw.randrange(len(parts)), draw.random()
    name, text = parts[at]
    if how < 0.85:
        parts[at] = name, _with_another(draw, true.items[at])
    elif how < 0.95:
        del parts[at]
    elif true.fields is None:
        parts.append(parts[at])
    else:
        parts.append((draw.choice(names) + draw.choice(("", "x")), text))
    if true.fields is None:
        return b"[" + b",".join(text for _, text in parts) + b"]"
    last = sorted(dict(parts).items())
    return b"{" + b",".join(QUOTED(k).encode() + b":" + v for k, v in last) + b"}"


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


class Hung(BaseException):
    """An input held a parser for a second of processor time; no parser may catch it."""


@dataclasses.dataclass
class Tally:
    """What became of a parser's inputs."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0  # seconds of processor time
    faults: list[str] = dataclasses.field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.read + self.refused + len(self.faults)


@contextlib.contextmanager
def _clock(tally: Tally) -> Iterator[None]:
    """Stop an input that is still the same one after a second of processor time.

    A tick each second costs an input nothing; one that two ticks find has hung.
    """
    seen = -1

    def tick(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen == tally.inputs:
            raise Hung
        seen = tally.inputs

    before = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, SLOW, SLOW)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def tried(
    parser: tuple[Parse, bytes], others: list[bytes], inputs: int, draw: random.Random
) -> Tally:
    """Return what a parser did with bent inputs; a fault names its input in hex."""
    parse, true = parser
    parse(true)  # the true one is read
    tally = Tally()
    with _clock(tally):
        for _ in range(inputs):
            data = bent(draw, true, others)
            start = time.process_time()
            fault, refused = "", False
            try:
                parse(data)
            except HetaoError:
                refused = True
            except Hung:
                fault = "hung"
            except BaseException as error:  # noqa: BLE001 - whatever else is a fault
                fault = f"crashed with {error!r}"
            spent = time.process_time() - start
            tally.slowest = max(tally.slowest, spent)
            if spent > SLOW:
                fault = fault or "hung"
            if fault:
                tally.faults.append(f"{fault} at {data.hex()}")
            elif refused:
                tally.refused += 1
            else:
                tally.read += 1
    return tally


def fuzzed(
    parsers: Parsers, inputs: int, seed: int, only: Collection[str] = ()
) -> dict[str, tuple[int, int]]:
    """Return parser → (read, refused); raise where one crashed or hung.

    Args:
        parsers: whose true inputs are bent; each gets those of the others too.
        inputs: of each parser.
        seed: of what is drawn.
        only: the parsers to try; all of them where none is named.

    Raises:
        AssertionError: a parser crashed or hung; the first input is named in hex.
    """
    draw, found = random.Random(seed), {}
    trues = [true for _, true in parsers.values()]
    for name, parser in parsers.items():
        if only and name not in only:
            continue
        tally = tried(parser, trues, inputs, draw)
        if tally.faults:
            raise AssertionError(f"{name} {tally.faults[0]}")
        found[name] = (tally.read, tally.refused)
    return found


@dataclasses.dataclass
class Kept:
    """How many inputs a parser has had so far, over all runs."""

    read: int = 0
    refused: int = 0
    faults: int = 0
    slowest: float | None = None  # seconds of processor time of an input
    seconds: float | None = None  # of processor time, of all inputs
    until: str = ""  # the day of the last batch

    @property
    def inputs(self) -> int:
        return self.read + self.refused + self.faults

    def after(self, tally: Tally, seconds: float) -> "Kept":
        """Return the count with one batch more."""
        return Kept(
            self.read + tally.read,
            self.refused + tally.refused,
            self.faults + len(tally.faults),
            round(max(self.slowest or 0.0, tally.slowest), 6),
            round((self.seconds or 0.0) + seconds, 3),
            datetime.datetime.now(datetime.UTC).date().isoformat(),
        )

    def left(self, inputs: int) -> float:
        """Return the seconds that the rest takes; none where nothing is known yet."""
        if self.seconds is None or not self.inputs:
            return 0.0
        return (inputs - self.inputs) * self.seconds / self.inputs


def kept(file: Path = KEPT) -> dict[str, Kept]:
    """Return how many inputs each parser has had."""
    if not file.exists():
        return {}
    every = json.loads(file.read_text("utf-8"))
    return {name: Kept(**one) for name, one in every.items()}


def _add(file: Path, name: str, tally: Tally, seconds: float) -> None:
    lock = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closing it lets go
        every = kept(file)
        every[name] = every.get(name, Kept()).after(tally, seconds)
        text = {one: dataclasses.asdict(every[one]) for one in sorted(every)}
        fresh = file.with_suffix(".new")
        body = json.dumps(text, ensure_ascii=False, indent=1) + "\n"
        fresh.write_text(body, "utf-8")
        fresh.replace(file)
    finally:
        os.close(lock)


def table(every: Mapping[str, Kept]) -> str:
    """Return the page's table of how many inputs each parser has had."""
    rows = [
        f"| {name} | {one.inputs:,} | {one.read:,} | {one.refused:,} |"
        f" {'—' if one.slowest is None else f'{one.slowest * 1e3:,.0f}'} |"
        f" {one.until or '—'} |"
        for name, one in every.items()
    ]
    head = ["| parser | inputs | read | refused | slowest, ms | until |"]
    return "\n".join([*head, "|---|---:|---:|---:|---:|---|", *rows]) + "\n"


def write_page() -> None:
    """Write the table of counts into the page of threats."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(FROM)
    _, end, after = rest.partition(UNTIL)
    text = before + FROM + table(kept()) + end + after
    PAGE.write_text(text, encoding="utf-8")


def go_on(parsers: Parsers, mine: Collection[str], asked: argparse.Namespace) -> int:
    """Run batches, those of the parser with the least left first; return the faults."""
    trues = [true for _, true in parsers.values()]
    end = time.monotonic() + asked.seconds
    faults = 0
    while time.monotonic() < end:
        every = {name: kept(asked.state).get(name, Kept()) for name in mine}
        left = [name for name in mine if every[name].inputs < asked.inputs]
        if not left:
            break
        name = min(left, key=lambda one: every[one].left(asked.inputs))
        had = every[name].inputs
        draw = random.Random(f"{asked.seed} {name} {had}")
        start = time.process_time()
        count = min(BATCH, asked.inputs - had)
        tally = tried(parsers[name], trues, count, draw)
        _add(asked.state, name, tally, time.process_time() - start)
        for fault in tally.faults:
            print(f"{name} {fault}", flush=True)
        faults += len(tally.faults)
        if had + count == asked.inputs:
            print(f"{name}: {kept(asked.state)[name]}", flush=True)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="parsers' names")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--part", default="0/1", help="which of how many processes")
    parser.add_argument("--state", type=Path, default=KEPT, help="the file of counts")
    parser.add_argument("--page", action="store_true", help="write the page, no more")
    asked = parser.parse_args()
    if asked.page:
        return write_page()
    sys.path.insert(0, str(HERE.parent / "tests"))
    from support_fuzz import parsers

    every = parsers()
    part, parts = map(int, asked.part.split("/"))
    mine = (asked.only or list(every))[part::parts]
    raise SystemExit(min(go_on(every, mine, asked), 1))


if __name__ == "__main__":
    main()
