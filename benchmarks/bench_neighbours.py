"""How many studies of people who mean no harm are refused for two near definitions.

    python benchmarks/bench_neighbours.py [--people 100 400 2000] [--draws 20]

Plans of tables, curves, rates, quantiles and models, as studies have them, over made-up
people of three hospitals: diseases and their drugs, an outcome that is part of another,
stages and ages that few people have, values that some lack. Of each plan: how often two
definitions of it differ for few people over all hospitals, so that the second analysis
is refused, and which; and how often they do at one hospital, so that it refuses by
itself and hubs count.
"""

import argparse
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Estimator, Rows, estimator_for, make_rows
from hetao.analysis.neighbours import Pairs, fewest
from hetao.study import Analysis, Grid, Level, Minimum, Study, Variable

SITES = ("a", "b", "c")
CELL = Minimum().cell
NUMBERS = {
    "age": (18, 110), "bmi": (10, 80), "ldl": (0, 500), "hba1c": (2, 20),
    "pressure": (60, 260), "days": (0, 3650), "stays": (0, 50),
}  # fmt: skip
CATEGORIES = {
    **dict.fromkeys(
        ("diabetes", "metformin", "arrhythmia", "anticoagulant", "rare", "stroke",
         "event", "death", "death_30"),
        ("no", "yes"),
    ),
    "sex": ("female", "male"),
    "arm": ("first", "second"),
    "stage": ("I", "II", "III", "IV", "unknown"),
    "smoking": ("never", "former", "current", "unknown"),
    "band": ("18-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90+"),
    "region": ("north", "south", "east", "west"),
}  # fmt: skip
VARIABLES = (
    *(Variable(n, source="column", column=n, kind="number", bounds=(float(a), float(b)))
      for n, (a, b) in NUMBERS.items()),
    *(Variable(n, source="column", column=n, kind="category",
               levels=tuple(Level(one, one) for one in levels))
      for n, levels in CATEGORIES.items()),
)  # fmt: skip
GRID = Grid((180.0, 365.0, 730.0, 1095.0, 1825.0, 3650.0))
DESCRIBED = (
    "age", "sex", "bmi", "ldl", "hba1c", "pressure", "smoking", "stage", "diabetes",
    "metformin", "arrhythmia", "anticoagulant",
)  # fmt: skip


def table(by: str, variables: tuple[str, ...] = DESCRIBED) -> Analysis:
    return Analysis(f"table by {by}", "table1", variables=variables, by=by)


def curve(event: str) -> Analysis:
    name = f"curve to {event}"
    return Analysis(name, "km", time="days", event=event, by="arm", grid=GRID)


def rates(event: str, by: str, *strata: str) -> Analysis:
    fields: dict[str, Any] = {"time": "days", "event": event, "strata": strata}
    return Analysis(f"rates of {event}", "rates", by=by, **fields)


def logistic(outcome: str, *terms: str) -> Analysis:
    return Analysis(f"{outcome} by {terms}", "logistic", outcome=outcome, terms=terms)


def cox(event: str, *terms: str) -> Analysis:
    fields: dict[str, Any] = {"time": "days", "event": event, "terms": terms}
    return Analysis(f"{event} in time", "cox", grid=GRID, **fields)


FEW = ("age", "sex", "bmi")
PLANS = {
    "a trial": (table("arm"), curve("event"), cox("event", "arm", "age", "sex")),
    "curves of three outcomes": (curve("event"), curve("stroke"), curve("death")),
    "an outcome": (table("event"), logistic("event", "1", "age", "sex", "smoking")),
    "tables by arm and stage": (table("arm"), table("stage")),
    "tables by stage and smoking": (table("stage"), table("smoking")),
    "tables by sex, age, region": (table("sex"), table("band"), table("region")),
    "rates and a curve": (rates("event", "arm", "band", "sex"), curve("event")),
    "rates of two outcomes": (
        rates("event", "smoking", "band"),
        rates("death", "smoking", "band"),
    ),
    "a disease and its drug": (table("diabetes", FEW), table("metformin", FEW)),
    "another and its drug": (table("arrhythmia", FEW), table("anticoagulant", FEW)),
    "medians": (
        table("arm"),
        Analysis("medians", "quantiles", variables=("ldl", "bmi"), by="stage"),
    ),
    "a rare disease": (table("rare"), table("stage")),
    "death, and within a month": (curve("death"), curve("death_30")),
    "one table": (table("arm"),),
    "all of it": (
        Analysis("counts", "counts"), table("arm"), table("stage"), curve("event"),
        rates("event", "arm", "band"), logistic("event", "1", "age", "sex", "arm"),
        cox("event", "arm", "age", "stage"),
    ),
}  # fmt: skip


def people(n: int, draw: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return the columns of a hospital."""

    def some(share: float) -> NDArray[np.int64]:
        return (draw.random(n) < share).astype(np.int64)

    def one_of(*shares: float) -> NDArray[np.int64]:
        return draw.choice(len(shares), n, p=shares).astype(np.int64)

    age = draw.normal(62, 13, n).clip(18, 105).round(1)
    found: dict[str, NDArray[Any]] = {"age": age}
    for name, middle, spread, low, high in (
        ("bmi", 25, 4, 12, 60), ("ldl", 130, 35, 20, 400), ("hba1c", 6.2, 1.1, 4, 15)
    ):  # fmt: skip
        values = draw.normal(middle, spread, n).clip(low, high).round(1)
        found[name] = np.where(draw.random(n) < 0.06, np.nan, values)
    found["pressure"] = draw.normal(135, 18, n).clip(80, 240).round()
    found["days"] = draw.exponential(900, n).clip(1, 3650).round()
    found["stays"] = draw.poisson(0.4, n).clip(0, 50).astype(float)
    found |= {"sex": some(0.5), "arm": some(0.5), "rare": some(0.01)}
    found["stage"] = one_of(0.4, 0.3, 0.2, 0.07, 0.03)
    found["smoking"] = one_of(0.55, 0.25, 0.17, 0.03)
    for disease, drug, share, treated, others in (
        ("diabetes", "metformin", 0.18, 0.65, 0.01),
        ("arrhythmia", "anticoagulant", 0.1, 0.75, 0.03),
    ):
        found[disease] = some(share)
        found[drug] = np.where(found[disease] == 1, some(treated), some(others))
    found["stroke"], found["death"] = some(0.06), some(0.12)
    found["event"] = np.maximum(found["stroke"], some(0.06))
    found["death_30"] = found["death"] * some(0.15)
    edges = np.array([40, 50, 60, 70, 80, 90])
    found["band"] = np.digitize(age, edges).astype(np.int64)
    found["region"] = one_of(0.25, 0.25, 0.25, 0.25)
    return found


def is_few(counts: NDArray[np.int64]) -> bool:
    return (fewest(counts) or CELL) < CELL


def near(pairs: Pairs, counts: NDArray[np.int64]) -> list[str]:
    """Return the pairs of which some count is of few people."""
    found, at = [], 0
    for pair in pairs.pairs:
        size = pairs.counts_of(pair)
        if is_few(counts[at : at + size]):
            found.append(" and ".join(map(str, pair)))
        at += size
    return found


def refused(
    methods: list[Estimator], columns: list[dict[str, NDArray[Any]]]
) -> tuple[list[str], bool]:
    """Return which pairs a study is refused for, and whether a site refuses first."""
    why: list[str] = []
    is_first = False
    for method in methods:
        rows: list[Rows] = [
            make_rows(method.plan, one, site)
            for one, site in zip(columns, SITES, strict=True)
        ]
        for name in ("within", "apart"):
            counts = [getattr(one, name) for one in rows]
            pairs = method.plan.within if name == "within" else method.plan.beside
            is_first |= any(map(is_few, counts))
            why += near(pairs, np.sum(counts, axis=0, dtype=np.int64))
    return why, is_first


def main() -> None:
    """Print a line for each plan that some draw refuses, and for all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[100, 400, 2000])
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    for n in options.people:
        of_all, firsts = 0, 0
        for name, analyses in PLANS.items():
            study = Study("s", "s", "s", "1", "flat", SITES, VARIABLES, analyses)
            methods = [
                estimator_for(study, one) for one in analyses if one.method != "counts"
            ]
            reasons: Counter[str] = Counter()
            many = 0
            for seed in range(options.draws):
                draw = np.random.default_rng([seed, n])
                why, is_first = refused(methods, [people(n, draw) for _ in SITES])
                reasons.update(why)
                many += bool(why)
                firsts += is_first
            of_all += many
            if many:
                likely = "; ".join(one for one, _ in reasons.most_common(2))
                print(f"  {name}: {many} of {options.draws}, for {likely}")
        every = len(PLANS) * options.draws
        print(
            f"{n} people a hospital: {of_all} of {every} studies refused; in {firsts} "
            "some hospital refused by itself first"
        )


if __name__ == "__main__":
    main()
