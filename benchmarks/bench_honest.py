"""How many questions of people who mean no harm a site's memory refuses.

    python benchmarks/bench_honest.py [--people 20000 100000 200000] [--seeds 3]
                                      [--variables 6 12 24]

Made-up people of a hospital, twelve diseases; a question is everybody with a disease,
of an age and a sex as studies ask for them, and shows women, those over 70, and women
over 70 apart: what a table by sex counts. All questions of one hospital are asked one
after the other, each under a permit of its own. Nothing is refused that does not truly
lie close to what was answered before; each such question counts here all the same.

Then of each question a Table 1 by an outcome: of how many is more told than the budget
of a snapshot has, if nothing was asked of it before? Half of its variables are numbers;
a third of all have somebody whose value is missing.
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

from hetao.analysis import make_plan, make_rows, statistics, sums_of_groups
from hetao.errors import TooClose
from hetao.federation.asking import over_of
from hetao.federation.memory import Memory, Purpose, Room
from hetao.release import Policy
from hetao.release.differencing import Asked, is_over, load_of
from hetao.study import Analysis, Level, Study, Variable

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
    parser.add_argument("--variables", type=int, nargs="+", default=[6, 12, 24])
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
        sizes = [
            int(chosen.sum())
            for seed in range(11, 11 + options.seeds)
            for chosen, _ in questions(people, seed)
        ]
        for variables in options.variables:
            told, least = tables(variables, sizes)
            print(
                f"{people}: Table 1 of {variables} variables by an outcome, "
                f"{told} of {len(sizes)} refused, all of fewer than {least} people",
                flush=True,
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


def tables(variables: int, sizes: list[int]) -> tuple[int, int]:
    """Return how many of some cohorts are too small for a table, and what suffices."""
    least = 1
    while is_over(load_of([table(variables, least)], least, OVER), POLICY.shown_share):
        least += 1
    return sum(size < least for size in sizes), least


POLICY, SITES = Policy(), ("a", "b", "c")


def table(variables: int, people: int) -> Asked:
    """Return what a Table 1 of so many variables by an outcome would show."""
    yes = (Level("n", "n"), Level("y", "y"))
    described = [
        Variable(f"v{n}", "number", "column", column=f"v{n}", bounds=(0.0, 1.0))
        if n % 2
        else Variable(f"v{n}", "category", "column", column=f"v{n}", levels=yes)
        for n in range(variables)
    ]
    outcome = Variable("ill", "category", "column", column="ill", levels=yes)
    names = tuple(one.name for one in described)
    analysis = Analysis("t", "table1", variables=names, by="ill")
    every = (*described, outcome)
    study = Study("s", "S", "?", "1", "flat", SITES, every, (analysis,))
    plan = make_plan(study, analysis)
    columns = {one.name: np.zeros(2, np.int64) for one in every}
    for n, one in enumerate(described):
        if one.kind == "number":
            columns[one.name] = np.zeros(2)
        if n % 3 == 0:
            columns[one.name][0] = -1 if one.kind == "category" else np.nan
    shown, pooled = (
        statistics(plan),
        sums_of_groups(plan, make_rows(plan, columns, "a")),
    )
    return Asked("t", np.arange(people), {}, shown, pooled)


OVER = over_of(POLICY, Study("s", "S", "?", "1", "flat", SITES, (), ()), len(SITES))


if __name__ == "__main__":
    main()
