"""How much a bump about few people gives away, and whom a higher limit would meet.

    python benchmarks/bench_bumps.py [--draws 400] [--sites 100] [--people 100 200 1000]

A number that counts two to nine people is let through where everything else in it has
squares of more than `NOISE`. First the reader: of 400 people of whom half had the
event, who knows everything but outcomes is given the sum of such a number over those
with the event, from one analysis or from several, each with other waves or other noise
beside the same bump. How often is the count told right, and by guessing?

Then honest designs of made-up hospitals at each limit: how many are refused in a
hundred, those that the leverage refuses left out; by the whole design, and by what
arithmetic adds to it alone: by its part beside the plain numbers, which no arithmetic
made. Last honest studies of several analyses: how many are refused for what these tell
together, those left out of which an analysis is refused by itself.
"""

import argparse
from unittest import mock

import numpy as np

from hetao.analysis import carriers as search
from hetao.analysis import evidence, make_plan, make_rows
from hetao.analysis.expressions import Floats
from hetao.analysis.together import together
from hetao.study import Analysis, Level, Study, Variable

LIMITS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
SQUARES = (0.55, 1.0, 2.0, 4.0, 10.0)
ANALYSES = (1, 2, 4, 8)
READ, CELL, LEVERAGE = 400, 10, 0.5
NOBODY = np.zeros(0, dtype=np.int64)
# Of adults in hospital: public bounds, median, standard deviation of the logarithm.
NUMBERS = {
    "bmi": (8, 90, 25, 0.19),
    "crp": (0, 1000, 8, 1.4),
    "creatinine": (5, 3000, 80, 0.45),
    "stay": (1, 1000, 5, 0.9),
    "cost": (0.01, 1e7, 3000, 1.25),
    "chol": (1, 30, 4.8, 0.22),
    "hdl": (0.1, 6, 1.3, 0.25),
    "tg": (0.1, 60, 1.4, 0.5),
}
# What of a design is plain, and what arithmetic makes beside it.
DESIGNS = {
    "a skewed number": (("age", "cost"), ()),
    "square": (("age",), ("(age-50)**2",)),
    "cube": (("age",), ("(age-50)**2", "(age-50)**3")),
    "natural spline": ((), ("ns(age, df = 3)",)),
    "spline of a skewed number": ((), ("ns(crp, knots = c(3, 8, 30))",)),
    "with a level": (("age",), ("age:sex",)),
    "product": (("age", "bmi"), ("age:bmi",)),
    "ratio": (("age",), ("cost/stay",)),
    "logarithm": (("age",), ("log(crp+1)",)),
    "its square": (("age",), ("log(crp+1)", "log(crp+1)**2")),
    "root": (("age",), ("sqrt(stay)",)),
    "as eGFR": (("age",), ("(creatinine/80)**-1.2*0.993**age",)),
    "difference": (("age",), ("chol-hdl-tg/2.2",)),
    "difference of skewed numbers": (("age",), ("cost/1000-stay",)),
    "distance": (("age", "bmi"), ("abs(bmi-25)",)),
    "exponential": ((), ("exp(-age/20)",)),
}

# What the models of a study are made of.
STUDIES = {
    "plain forms": (("age", "(age-50)**2"), ("log(age)",), ("sqrt(age)", "bmi")),
    "one season": (("sin(2*pi*age/12)",), ("age", "sin(2*pi*age/12)")),
    "two equations": (
        ("age", "(creatinine/80)**-1.2*0.993**age"),
        ("(creatinine/80)**-1.154*age**-0.203",),
    ),
    "exponential, reciprocal, distance": (
        ("exp(-age/20)",),
        ("age", "1/(stay+1)"),
        ("age", "abs(bmi-25)"),
    ),
    "distances of two ages": (("abs(age-50)",), ("age", "abs(age-65)")),
    "distances of three ages": (
        ("abs(age-50)",),
        ("age", "abs(age-65)"),
        ("age", "abs(age-75)"),
    ),
    "an exposure each": tuple(
        ("age", "sex", each) for each in ("bmi", "chol", "hdl", "tg", "creatinine")
    ),
    "a spline, then lines": (
        ("ns(age, df = 3)", "sex"),
        ("age", "sex", "bmi"),
        ("age", "(age-60)**2", "chol"),
    ),
    "products": (("age", "sex", "age:sex"), ("age", "bmi", "age:bmi"), ("chol/hdl",)),
    "splines of other knots": (
        ("ns(age, knots = c(50, 65, 75))",),
        ("ns(age, knots = c(45, 60, 70, 80))",),
    ),
}


def main() -> None:
    """Print a line for each number of squares, then for each design and site's size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--sites", type=int, default=100)
    parser.add_argument("--people", type=int, nargs="+", default=[100, 200, 1000])
    options = parser.parse_args()
    for squares in SQUARES:
        for analyses in ANALYSES:
            found = [
                told_right(size, squares, analyses, options.draws, has_waves=waves)
                for size in (2, 3, 5, 8, 9)
                for waves in (True, False)
            ]
            right, guessed = (sorted(of) for of in zip(*found, strict=True))
            print(f"{squares:g} squares, {analyses} analyses: told right "
                  f"{right[0]:.0%} to {right[-1]:.0%}, guessed "
                  f"{guessed[0]:.0%} to {guessed[-1]:.0%}", flush=True)  # fmt: skip
    print(f"refused in a hundred at limits of {LIMITS}")
    for people in options.people:
        for name in DESIGNS:
            leverage, whole, made = met(name, people, options.sites)
            print(f"{people} people, {name}: leverage {leverage:.0f}; whole {whole}; "
                  f"made {made}", flush=True)  # fmt: skip

    print("honest studies of several analyses")
    for people in options.people:
        for name in STUDIES:
            by_itself, left, found = met_together(name, people, options.sites)
            print(f"{people} people, {name}: {found} of {left} refused together, "
                  f"{by_itself} by themselves", flush=True)  # fmt: skip


def told_right(
    size: int, squares: float, analyses: int, draws: int, *, has_waves: bool
) -> tuple[float, float]:
    """Return how often a count of few people is told right, and how often guessed."""
    draw = np.random.default_rng([size, analyses, int(squares * 100)])
    counts = np.arange(size + 1)
    ways = np.cumprod([1.0, *((size - counts[:-1]) / (counts[:-1] + 1))])
    spread = squares * 0.25 / analyses
    right = guessed = 0
    for _ in range(draws):
        age = draw.uniform(18, 95, READ)
        y = draw.random(READ) < 0.5
        beside = draw.normal(size=(analyses, READ))
        if has_waves:
            beside = np.sin(draw.uniform(3, 9, (analyses, 1)) * age)
        beside *= np.sqrt(squares / (beside**2).sum(axis=1, keepdims=True))
        sums = y[:size].sum() + (beside @ (y - 0.5))
        likely = np.log(ways) - (counts - sums.mean()) ** 2 / (2 * spread)
        right += counts[likely.argmax()] == y[:size].sum()
        guessed += counts[ways.argmax()] == y[:size].sum()
    return right / draws, guessed / draws


def variables() -> tuple[Variable, ...]:
    """Return the numbers and categories of a study."""
    bounds = {"age": (18.0, 110.0)} | {n: of[:2] for n, of in NUMBERS.items()}
    yes_no = (Level("no", "0"), Level("yes", "1"))
    numbers = [
        Variable(n, source="column", column=n, kind="number", bounds=of)
        for n, of in bounds.items()
    ]
    return (
        *numbers,
        *(
            Variable(n, source="column", column=n, kind="category", levels=yes_no)
            for n in ("sex", "ill")
        ),
    )


def drawn(people: int, seed: int) -> dict[str, np.ndarray]:
    """Return made-up people of one site, within the bounds."""
    draw = np.random.default_rng([seed, people])
    found = {"age": np.clip(np.rint(draw.normal(62, 15, people)), 18, 110)}
    for name, (low, high, middle, spread) in NUMBERS.items():
        values = middle * np.exp(draw.normal(0, spread, people))
        found[name] = np.clip(values, low, high)
    return found | {n: draw.integers(0, 2, people) for n in ("sex", "ill")}


def met(name: str, people: int, sites: int) -> tuple[float, list[float], list[float]]:
    """Return in a hundred: refused by leverage, and at each limit whole and made."""
    plain, made = DESIGNS[name]
    terms = ("1", *plain, *(("sex",) if "age:sex" in made else ()), *made)
    analysis = Analysis("m", "logistic", outcome="ill", terms=terms)
    study = Study("s", "s", "s", "1", "flat", ("a",), variables(), (analysis,))
    plan = make_plan(study, analysis)
    numbers = [n for n, column in enumerate(plan.columns) if column.factors]
    bare = [n for n in numbers if plan.names[n] in plain]
    beyond, counts = 0, np.zeros((2, len(LIMITS)))
    for seed in range(sites):
        X = make_rows(plan, drawn(people, seed), "a").X
        even = X @ search.turn_of(X)
        if (even**2).sum(axis=1).max() > LEVERAGE:
            beyond += 1
            continue
        ones = np.ones((people, 1))
        beside = np.hstack([X[:, bare], ones])
        rest = X[:, [n for n in numbers if n not in bare]]
        rest = rest - beside @ np.linalg.lstsq(beside, rest)[0]
        counts[0] += refused(np.hstack([X[:, numbers], ones]))
        counts[1] += refused(rest)
    whole, of_made = np.round(100 * counts / sites, 1).tolist()
    return 100 * beyond / sites, whole, of_made


def met_together(name: str, people: int, sites: int) -> tuple[int, int, int]:
    """Return how many studies are refused by themselves, are left, and are refused."""
    models = tuple(
        Analysis(f"m{i}", "logistic", outcome="ill", terms=("1", *terms))
        for i, terms in enumerate(STUDIES[name])
    )
    study = Study("s", "s", "s", "1", "flat", ("a",), variables(), models)
    plans = {model.name: make_plan(study, model) for model in models}
    by_itself = found = 0
    for seed in range(sites):
        columns = drawn(people, seed)
        rows = {n: (plan, make_rows(plan, columns, "a")) for n, plan in plans.items()}
        facts = [evidence(*one) for one in rows.values()]
        if any(
            (one.max_leverage or 0) > LEVERAGE or (one.carriers or CELL) < CELL
            for one in facts
        ):
            by_itself += 1
            continue
        few = together(rows, columns, np.arange(people))
        found += min(few.values(), default=CELL) < CELL
    return by_itself, sites - by_itself, found


def refused(columns: Floats) -> list[bool]:
    """Return whether fewer than a cell are found at each limit, today's the first."""
    is_today = search.carriers(columns, NOBODY) < CELL
    with mock.patch.object(search, "NOISE", LIMITS[-1]):
        pool = search._pool(columns, NOBODY)  # noqa: SLF001  its own search
        of_each = [
            size * (1 / max(search._explained(pool, size), 1e-9) - 1)  # noqa: SLF001
            for size in range(2, CELL)
            if pool is not None
        ]
        least = min(of_each, default=np.inf)
    return [is_today or least < limit for limit in LIMITS]


if __name__ == "__main__":
    main()
