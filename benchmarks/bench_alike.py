"""How much a number that nearly tells a site gives away, and whom a limit would meet.

    python benchmarks/bench_alike.py [--draws 4000] [--sites 40]

First the reader of sums over three sites: a column is 1 at one of them and 0 at the
others, with noise that the reader does not know person by person. Of 30 in 100 people
with the event, how often is that site's own count told right, and by guessing from the
sum over all? Then honest numbers of made-up hospitals, within the plausible ranges that
the dictionary states: how many are alike for a site's people at each limit, and how
many of their products, ratios and formulas would be graded as the site's own part.
Last, how many tables of a hospital without one of two groups would be refused, if its
own cells were held to the minimum for that.
"""

import argparse
import itertools
from unittest import mock

import numpy as np

from hetao.analysis import alike, make_plan, make_rows
from hetao.dictionary import dictionary
from hetao.study import Analysis, Study, Variable

NOISE = (1e-6, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
LIMITS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1)
SITES, RATE, CELL = 3, 0.3, 10
# Of adults in hospital: median, and standard deviation of the logarithm.
LABS = {
    "sodium": (139, 0.025),
    "potassium": (4.2, 0.11),
    "creatinine": (80, 0.45),
    "urea": (5.6, 0.45),
    "glucose": (6.1, 0.35),
    "hba1c": (42, 0.25),
    "haemoglobin": (130, 0.15),
    "platelets": (240, 0.3),
    "leukocytes": (7.5, 0.35),
    "albumin": (40, 0.13),
    "bilirubin_total": (10, 0.5),
    "alt": (22, 0.65),
    "ast": (25, 0.5),
    "cholesterol_total": (4.8, 0.22),
    "triglycerides": (1.4, 0.5),
    "crp": (8, 1.4),
    "nt_probnp": (250, 1.5),
    "ferritin": (130, 1.0),
    "tsh": (1.7, 0.7),
    "troponin_t_hs": (12, 1.2),
}
FORMULAS = (
    "weight/height**2*age",
    "age*ast/(platelets*sqrt(alt))",  # FIB-4
    "(creatinine/80)**-1.2*0.993**age",  # much as CKD-EPI
    "cholesterol_total-triglycerides/2.2",
    "log(alt)*age",
    "log(crp+1)*age",
    "age**2*log(nt_probnp+1)",
    "ns(age, df = 4):log(creatinine)",
)
ALONE = ("age**2", "age**3", "ns(age, df = 4)", "log(creatinine)", "weight/height**2")


def main() -> None:
    """Print a line for each size of sites and each limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--sites", type=int, default=40)
    options = parser.parse_args()
    for people in (400, 4000, 40_000):
        found = [told(people, noise, options.draws) for noise in NOISE]
        said = ", ".join(
            f"{n:g} {r:.0%}" for n, (r, _) in zip(NOISE, found, strict=True)
        )
        print(f"{people} people a site: told right at noise {said}; "
              f"guessed {found[0][1]:.0%}")  # fmt: skip
    for people in (400, 4000):
        print(f"{people} people of one group: {refused(people):.0%} of tables refused")
    for people, (old, kind) in itertools.product(
        (100, 400, 4000), ((62, "adults"), (9, "children"))
    ):
        counts = met(people, old, options.sites)
        for limit, (alone, crossed, formulas) in counts.items():
            print(f"{people} {kind}, limit {limit:g}: of numbers {alone:.1%}, "
                  f"products {crossed:.1%}, formulas {formulas}")  # fmt: skip


def refused(people: int, tables: int = 1000, conditions: int = 6) -> float:
    """Return the share of tables of which a condition is there, of fewer than a cell.

    Conditions are had by 0.5 to 30 in 100 people, evenly on a scale of logarithms.
    """
    draw = np.random.default_rng(1)
    rates = np.exp(draw.uniform(np.log(0.005), np.log(0.3), (tables, conditions)))
    counts = draw.binomial(people, rates)
    return float(((counts > 0) & (counts < CELL)).any(axis=1).mean())


def told(people: int, noise: float, draws: int) -> tuple[float, float]:
    """Return how often a site's own count of events is told right, and guessed."""
    draw = np.random.default_rng(1)
    own = draw.binomial(people, RATE, draws)
    total = own + draw.binomial(people, RATE, (draws, SITES - 1)).sum(axis=1)
    seen = own + noise * draw.normal(size=draws) * np.sqrt(own)
    guess = total / SITES
    prior = people * RATE * (1 - RATE) * (1 - 1 / SITES)
    blur = noise**2 * guess
    best = (seen * prior + guess * blur) / (prior + blur)
    return float((np.rint(best) == own).mean()), float((np.rint(guess) == own).mean())


def variables() -> tuple[Variable, ...]:
    """Return the numbers of a study within the ranges that the dictionary states."""
    known = dictionary().analytes
    plausible = {name: map(float, known[name].plausible) for name in LABS}
    bounds = {name: (low or 0.1, high) for name, (low, high) in plausible.items()}
    bounds |= {"age": (0, 120), "weight": (1, 300), "height": (0.3, 2.5)}
    bounds["y"] = (0, 1)
    return tuple(
        Variable(n, source="column", column=n, kind="number", bounds=of_one)
        for n, of_one in bounds.items()
    )


def drawn(people: int, old: float, seed: int) -> dict[str, np.ndarray]:
    """Return made-up people of about an age, within the bounds."""
    draw = np.random.default_rng([seed, people])
    found = {
        name: middle * np.exp(draw.normal(0, spread, people))
        for name, (middle, spread) in LABS.items()
    }
    found["age"] = draw.normal(old, old / 4.5, people)
    found["weight"] = 65 * np.exp(draw.normal(0, 0.2, people))
    found["height"] = draw.normal(1.65, 0.09, people)
    found["y"] = draw.random(people)
    limits = {one.name: one.bounds for one in variables()}
    return {n: np.clip(v, *limits[n]) for n, v in found.items()}


def met(people: int, old: float, sites: int) -> dict[float, tuple[float, float, str]]:
    """Return, of each limit, the shares of numbers and products it meets, and which."""
    names = [one.name for one in variables() if one.name != "y"]
    pairs = list(itertools.combinations(names, 2))
    counts = {limit: [0, 0, dict.fromkeys((*FORMULAS, *ALONE), 0)] for limit in LIMITS}
    looked = 0
    for seed in range(sites):
        columns, chosen = drawn(people, old, seed), pairs[seed % 7 :: 7]
        looked += len(chosen)
        for limit in LIMITS:
            with mock.patch.object(alike, "SPREAD", limit):
                counts[limit][0] += sum(of((n,), columns)[0] for n in names)
                counts[limit][1] += sum(of((":".join(p),), columns)[1] for p in chosen)
                for text in counts[limit][2]:
                    told_of = of((text,), columns)
                    counts[limit][2][text] += told_of[text not in ALONE]
    return {
        limit: (
            alone / sites / len(names),
            crossed / looked,
            str({t: f"{n / sites:.0%}" for t, n in of_each.items() if n}),
        )
        for limit, (alone, crossed, of_each) in counts.items()
    }


def of(terms: tuple[str, ...], columns: dict[str, np.ndarray]) -> tuple[bool, bool]:
    """Return whether terms tell the site, and whether they cross it."""
    analysis = Analysis("model", "linear", outcome="y", terms=("1", *terms))
    study = Study("s", "s", "s", "1", "flat", ("a",), variables(), (analysis,))
    rows = make_rows(make_plan(study, analysis), columns, "a")
    return rows.tells_site, rows.crosses_site


if __name__ == "__main__":
    main()
