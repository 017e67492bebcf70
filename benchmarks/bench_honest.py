"""How many questions of people who mean no harm a site's memory refuses.

    python benchmarks/bench_honest.py [--people 20000 100000 200000] [--seeds 3]

Made-up people of a hospital, twelve diseases; a question is everybody with a disease,
of an age and a sex as studies ask for them, and shows women, those over 70, and women
over 70 apart: what a table by sex counts. All questions of one hospital are asked one
after the other, each under a permit of its own. Nothing is refused that does not truly
lie close to what was answered before; each such question counts here all the same.
"""

import argparse
import collections
import datetime
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hetao.errors import TooClose
from hetao.federation.memory import Memory, Purpose, Room
from hetao.release.differencing import Asked

NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
AGES = ((18, 200), (18, 65), (40, 75), (50, 200), (65, 200), (60, 80))
DISEASES, LEAST, CELL = 12, 50, 10
Chosen = NDArray[np.bool_]


def main() -> None:
    """Print a line for each number of people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--people", type=int, nargs="+", default=[20_000, 100_000, 200_000]
    )
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for people in options.people:
        asked, refused = 0, Counter[str]()
        for seed in range(11, 11 + options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                more, why = asked_of(people, Path(folder), seed)
            asked, refused = asked + more, refused + why
        share = sum(refused.values()) / asked
        print(
            f"{people}: {asked} asked, {share:.1%} refused {dict(refused)}", flush=True
        )


def asked_of(people: int, folder: Path, seed: int) -> tuple[int, Counter[str]]:
    """Return how many questions were asked of a hospital, and why some were refused."""
    memory = Memory(folder)
    places = memory.places("person", np.arange(people) * 7 + 3)
    room = Room(CELL, share=10.0, everyone=people)
    refused: Counter[str] = collections.Counter()
    number = 0
    for number, (chosen, parts) in enumerate(questions(people, seed), 1):
        who = np.unique(places[chosen])
        found = {name: np.unique(places[mask]) for name, mask in parts.items()}
        asked = Asked("model", who, found, {"ill": ["sum"]})
        purpose = Purpose(f"s{number}", f"p{number}", "s", "person", "2027-01-01")
        try:
            memory.reserve(purpose, [asked], room, NOW)
        except TooClose as error:
            refused[error.local] += 1
    memory.close()
    return number, refused


def questions(people: int, seed: int) -> Iterator[tuple[Chosen, dict[str, Chosen]]]:
    """Yield who is asked about, and who is shown apart."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 95, people)
    women = draw.integers(0, 2, people) == 0
    rates = draw.uniform(0.01, 0.3, DISEASES) / 50
    diseases = np.array([draw.random(people) < rate * (age - 10) for rate in rates])
    for disease in diseases:
        for low, high in AGES:
            for sex in (None, women, ~women):
                chosen = disease & (age >= low) & (age < high)
                if sex is not None:
                    chosen &= sex
                old = chosen & (age > 70)
                parts = {"women": chosen & women, "old": old, "old women": old & women}
                if chosen.sum() >= LEAST:
                    yield chosen, parts


if __name__ == "__main__":
    main()
