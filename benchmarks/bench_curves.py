"""How coarse curves by a group are at small sites, what they tell, how far they lie.

Made-up people at three sites of one size: exponential times, seven in ten with the
event, a group of half of them whose rate is two thirds of the others'; a grid of 35
steps. What is told is the share of people whose group whoever knows all times and
events names right by the commoner one of each cell (of a group that has nothing to do
with the times), less the share that a guess has.

    python benchmarks/bench_curves.py
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hetao.analysis import cells, make_plan, oracle
from hetao.study import Analysis, Grid, Level, Minimum, Study, Variable

EDGES = tuple(30.0 * step for step in range(1, 36))
CURVES = Analysis("k", "km", time="days", event="died", by="arm", grid=Grid(EDGES))
SITES = ("a", "b", "c")
SIZES = (60, 100, 200, 300, 1_000, 3_000, 10_000)
DRAWS = 40
SINGLE = Minimum(people=1, cell=1, events=1, share=1.0, leverage=1.0, sites=1)


def study(minimum: Minimum | None = None) -> Study:
    """Return the study of the curves."""
    levels = (Level("no", "no"), Level("yes", "yes"))
    variables = (
        Variable("days", "number", "column", column="days", bounds=(0.0, 1050.0)),
        Variable("died", "category", "column", column="died", levels=levels),
        Variable("arm", "category", "column", column="arm", levels=levels),
    )
    return Study(
        "curves", "", "", "1", "flat", SITES, variables, (CURVES,), minimum=minimum
    )


def drawn(draw: np.random.Generator, people: int, slower: float) -> Any:
    """Return so many made-up people; a rate of `slower` in one half of them."""
    arm = draw.integers(0, 2, people)
    days = draw.exponential(1 / (1 / 350 * np.where(arm == 1, slower, 1.0)))
    left = draw.exponential(800, people)
    return {
        "days": np.minimum(np.minimum(days, left), 1050.0),
        "died": ((days <= left) & (days < 1050)).astype(np.int64),
        "arm": arm,
    }


def split(columns: Any, people: int) -> dict[str, Any]:
    """Return site → its columns, of so many people each."""
    parts = {name: np.split(of, [people, 2 * people]) for name, of in columns.items()}
    return {
        site: {name: of[at] for name, of in parts.items()}
        for at, site in enumerate(SITES)
    }


def told(columns: Any, said: Any) -> float:
    """Return how much more than a guess the commoner group of each cell names."""
    place = np.searchsorted(EDGES, columns["days"])
    had = columns["died"] == 1
    if said:
        of = {kind: np.searchsorted(EDGES, said[kind]) for kind in ("died", "left")}
        place = np.where(
            had,
            np.searchsorted(of["died"], place),
            np.searchsorted(of["left"], place),
        )
    counts = np.zeros((2, 2 * len(EDGES) + 2))
    np.add.at(counts, (columns["arm"], 2 * place + had), 1)
    return float(counts.max(axis=0).sum() - counts.sum(axis=1).max()) / len(had)


def away(found: Any, exact: Any) -> Iterator[float]:
    """Yield how far each curve lies from the finest one, at its steps."""
    for one, fine in zip(found["curves"], exact["curves"], strict=True):
        at = np.searchsorted(fine["time"], one["time"], side="right") - 1
        survival = np.append(fine["survival"], 1.0)[at]
        yield float(np.abs(np.array(one["survival"]) - survival).max())


def main() -> None:
    """Print the table."""
    plan = make_plan(study(), CURVES)
    print("| people a site | of what may be told | cells: died, left | least in one |")
    print(
        "| told above a guess (most), by each bin | S away, mean and most | chi2, all |"
    )
    for people in SIZES:
        draw = np.random.default_rng(people)
        rows = []
        for _ in range(DRAWS):
            columns = drawn(draw, 3 * people, 2 / 3)
            parts = split(columns, people)
            found = oracle(study(), CURVES, parts).as_json()
            exact = oracle(study(SINGLE), CURVES, parts).as_json()
            said = found.get("cells")
            apart = list(away(found, exact))
            chi2 = [of["logrank"]["chi2"] for of in (found, exact)]
            other = drawn(draw, 3 * people, 1.0)
            of_other = oracle(study(), CURVES, split(other, people)).as_json()
            sizes = [len(said[k]) if said else 35 for k in ("died", "left")]
            least = said["people"] if said else 1
            rows.append(
                [*sizes, least, told(other, of_other.get("cells")), told(other, None),
                 max(apart), *chi2]
            )  # fmt: skip
        mean, most = np.mean(rows, axis=0), np.max(rows, axis=0)
        may = cells.most_sums(plan, people) / (people * 2 / 10)
        print(
            f"| {people:,} | {may:.0%} | {mean[0]:.1f}, {mean[1]:.1f} | {mean[2]:.0f} |"
            f" {mean[3]:.3f} ({most[3]:.3f}) {mean[4]:.3f} |"
            f" {mean[5]:.4f} {most[5]:.4f} | {mean[6]:.1f}, {mean[7]:.1f} |"
        )


if __name__ == "__main__":
    main()
