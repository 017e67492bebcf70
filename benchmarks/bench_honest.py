"""How many questions of people who mean no harm a site's memory refuses.

    python benchmarks/bench_honest.py [--people 20000 100000 200000] [--seeds 3]
                                      [--variables 6 12 24]
    python benchmarks/bench_honest.py --growing --people 20000

Made-up people of a hospital, twelve diseases; a question is everybody with a disease,
of an age and a sex as studies ask for them, and shows women, those over 70, and women
over 70 apart: what a table by sex counts. All questions of one hospital are asked one
after the other, each under a permit of its own. Nothing is refused that does not truly
lie close to what was answered before; each such question counts here all the same.

Then of each question a Table 1 by an outcome: of how many is more told than the budget
of a snapshot has, if nothing was asked of it before? Half of its variables are numbers;
a third of all have somebody whose value is missing.

`--growing` has hospitals join a network of three, one after the other or three at once,
and tells how many questions some hospital refuses: each asked once; each asked again
whenever somebody joined, of the same people, with those who joined named as sites that
may be told apart, and of data in which a tenth of the people are new each time.
"""

import argparse
import collections
import contextlib
import datetime
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import make_plan, make_rows, statistics, sums_of_groups
from hetao.errors import TooClose
from hetao.federation.asking import over_of
from hetao.federation.memory import Memory, Purpose, Room
from hetao.release import Policy
from hetao.release.differencing import Asked, is_over, load_of
from hetao.release.lists import Summed
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
    parser.add_argument("--growing", action="store_true")
    options = parser.parse_args()
    if options.growing:
        for people in options.people:
            for way in WAYS:
                refused, asked = grown(people, way)
                print(f"{people}, {way.what}: {_said(refused, asked)}", flush=True)
        return
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
            for _, chosen, _ in questions(people, seed)
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
    for number, (_, chosen, parts) in enumerate(questions(people, seed), 1):
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


@dataclass(frozen=True)
class Way:
    """How a network grows and what is asked of it.

    Attributes:
        what: in words.
        joins: how many hospitals join at once.
        again: whether each question is asked whenever some have; else once.
        named: whether those who join are named as sites that may be told apart.
        new: share of the people who are others at each time.
    """

    what: str
    joins: int
    again: bool
    named: bool = False
    new: float = 0.0


WAYS = (
    Way("each question once, one joins at a time", 1, again=False),
    Way("again of the same people, one joins at a time", 1, again=True),
    Way("again of the same people, who joins is named", 1, again=True, named=True),
    Way("again of the same people, three join at a time", 3, again=True),
    Way("again of people a tenth of whom are new", 1, again=True, new=0.1),
)
START, TIMES = 3, 6  # hospitals, and how often some have joined and questions come
SOME = 6  # of so many questions one is asked: some of each disease


def _said(refused: Counter[bool], asked: Counter[bool]) -> str:
    first = f"of {asked[True]} asked at first {refused[True]} were refused"
    return f"{first}, of {asked[False]} asked again {refused[False]}"


def grown(people: int, way: Way) -> tuple[Counter[bool], Counter[bool]]:
    """Return how many questions a growing network refused, and was asked.

    Of those that were asked for the first time, under True, and of those asked again.
    """
    most = START + way.joins * (TIMES - 1)
    asked, refused = Counter[bool](), Counter[bool]()
    with contextlib.ExitStack() as stack:
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for _ in range(most)
        ]
        network = [_Hospital(folder, people, n) for n, folder in enumerate(folders)]
        for hospital in network:
            stack.callback(hospital.memory.close)
        known = sorted(set.intersection(*(set(one.questions) for one in network)))
        names = known[::SOME]
        for time in range(TIMES):
            members = network[: START + way.joins * time]
            sites = frozenset(str(n) for n in range(len(members)))
            first = frozenset(str(n) for n in range(START))
            over = Summed(sites, sites - first if way.named else frozenset())
            for number, name in enumerate(names):
                if way.again or number % TIMES == time:
                    is_first = not (way.again and time)
                    asked[is_first] += 1
                    permit = f"{name} {time}"
                    answers = [
                        one.answers(permit, name, over, way.new * time)
                        for one in members
                    ]
                    refused[is_first] += not all(answers)
    return refused, asked


class _Hospital:
    """A hospital of the network, its memory, and who is meant by each question."""

    def __init__(self, folder: Path, people: int, number: int) -> None:
        self.memory, self.number, self.people = Memory(folder), number, people
        self.places = self.memory.places("person", np.arange(2 * people) * 7 + 3)
        asked = questions(people, 101 + number)
        self.questions = {name: (chosen, parts) for name, chosen, parts in asked}

    def answers(self, permit: str, name: str, over: Summed, new: float) -> bool:
        """Return whether it answers, of people of whom a share are others by now."""
        draw = np.random.default_rng(self.number)
        moved = self.people * (draw.random(self.people) < new)
        now = self.places[np.arange(self.people) + moved]
        chosen, parts = self.questions[name]
        found = {part: np.unique(now[mask]) for part, mask in parts.items()}
        alone = str(self.number) in over.apart
        who = Asked("model", np.unique(now[chosen]), found, over=over, alone=alone)
        purpose = Purpose(permit, permit, f"s{new}", "person", "2027-01-01")
        try:
            self.memory.reserve(purpose, [who], Room(CELL, share=10.0), NOW)
        except TooClose:
            return False
        return True


def questions(
    people: int, seed: int
) -> Iterator[tuple[str, Chosen, dict[str, Chosen]]]:
    """Yield a name, who is asked about, and who is shown apart."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 95, people)
    women = draw.integers(0, 2, people) == 0
    rates = draw.uniform(0.01, 0.3, DISEASES) / 50
    diseases = np.array([draw.random(people) < rate * (age - 10) for rate in rates])
    sexes = {"all": women | True, "women": women, "men": ~women}
    for number, disease in enumerate(diseases):
        for low, high in AGES:
            for called, sex in sexes.items():
                chosen = disease & (age >= low) & (age < high) & sex
                old = chosen & (age > 70)
                parts = {"women": chosen & women, "old": old, "old women": old & women}
                if chosen.sum() >= LEAST:
                    yield f"{number} {low}-{high} {called}", chosen, parts


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


OVER = over_of(POLICY, Study("s", "S", "?", "1", "flat", SITES, (), ()), SITES)


if __name__ == "__main__":
    main()
