"""What the site's memory of its releases costs, against reading its bytes once.

    python benchmarks/bench_differencing.py [--people 100000 1000000] [--earlier 1000]

The floor is the time in which this machine reads the bits of all earlier sets once
from memory (numpy's sum over the same words). The worst case is measured, in which no
earlier set can be left out by its size alone: all are half of the people; the usual
one, in which sizes differ; and cohorts that are nested, each of 20 people more than the
one before, so that neighbours are alike in many groups of their marks. "listed" are
those alike in size, all shown over another list of sites, too close to that of the
study. Times are medians of five, of one process's processor time.
"""

import argparse
import datetime
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hetao.federation.memory import Memory, Purpose, Room
from hetao.release.differencing import Asked, Ints
from hetao.release.lists import Summed

NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
ROOM = Room(cell=10, share=1e6)
FILL = Room(cell=0, share=1e6, sites=1)  # asks nothing: earlier sets are laid down
MINE, OTHER = Summed(frozenset("abc")), Summed(frozenset("abcd"))


def main() -> None:
    """Print a line for each number of people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--earlier", type=int, default=1000)
    options = parser.parse_args()
    print("people, sizes: place, worst check ms, floor ms, ratio")
    for people in options.people:
        for sizes in ("alike", "spread", "nested", "listed"):
            print(_measured(people, options.earlier, sizes), flush=True)


def _measured(people: int, earlier: int, sizes: str) -> str:
    draw = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder))
        ids = draw.permutation(people * 3)[:people]
        start = time.process_time()
        places = memory.places("person", ids)
        placed = time.process_time() - start
        for number in range(earlier):
            over = OTHER if sizes == "listed" else MINE
            _reserve(memory, number, _some(draw, places, (sizes, number)), FILL, over)
        new = [
            (earlier + n, _some(draw, places, (sizes, earlier // 2 + n + 0.5)))
            for n in range(5)
        ]
        times = [_timed(functools.partial(_reserve, memory, *one, ROOM)) for one in new]
        memory.close()
    words = draw.integers(0, 2**63, size=earlier * people // 64, dtype=np.uint64)
    floor = statistics.median(_timed(words.sum) for _ in range(5))
    check = statistics.median(times)
    return (
        f"{people}, {sizes}: {placed * 1e3:.0f} ms, {check * 1e3:.0f} ms, "
        f"{floor * 1e3:.1f} ms, {check / floor:.1f}"
    )


def _some(draw: np.random.Generator, places: Ints, which: tuple[str, float]) -> Ints:
    sizes, number = which
    if sizes == "nested":
        return np.sort(places[: 500 + int(20 * number)])
    if sizes in (
        "alike",
        "listed",
    ):  # to the person: no set can be left out by its size
        return np.sort(draw.permutation(places)[: len(places) // 2])
    return np.flatnonzero(draw.random(len(places)) < draw.random())


def _reserve(
    memory: Memory, number: int, people: Ints, room: Room, over: Summed = MINE
) -> None:
    names = (f"study {number}", f"permit {number}")
    purpose = Purpose(*names, "snapshot", "person", "2027-01-01")
    asked = Asked("model", people, {}, {"y": ["y"]}, over=over)
    memory.reserve(purpose, [asked], room, NOW)


def _timed(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


if __name__ == "__main__":
    main()
