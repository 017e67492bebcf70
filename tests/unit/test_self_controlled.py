"""From OMOP tables to a certificate: people compared with themselves, two ways."""

import asyncio
import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetao.analysis import oracle
from hetao.analysis.rounding import rounded
from hetao.canonical import parse_canonical
from hetao.cdm import CuratedTables
from hetao.cohort import build
from hetao.dictionary import dictionary
from hetao.federation.certify import recompute, results_of
from hetao.federation.embedded import run_embedded
from hetao.study import (
    Analysis,
    Event,
    Intervals,
    Level,
    Outcome,
    Population,
    Study,
    Variable,
    Window,
)
from support_cohort import Row, World, empty_database, load

SITES = ("aa", "bb", "cc")
DAYS, RATIO = 730, 3.0
PAIR = (Level("no", 0), Level("yes", 1))
DRUG, BLEED = Event("drug", (1,)), Event("condition", (3,))
WARFARIN = Window("warfarin", events=(DRUG,), gap_days=1)
STUDY = Study(
    name="own",
    title="Own controls",
    question="Does it bleed more while it is taken?",
    version="1",
    dictionary="omop-5.4",
    sites=SITES,
    dictionary_digest=dictionary().digest,
    population=Population(entry=(BLEED,), occurrence="first", prior_observation_days=0),
    outcomes=(Outcome("bleed", events=(BLEED,)),),
    variables=(
        Variable("who", "key", "person"),
        Variable("warfarin", "category", "window", window="warfarin", levels=PAIR),
        Variable("bleeds", "number", "outcome_count", outcome="bleed", bounds=(0, 50)),
        Variable("days", "number", "interval_days", bounds=(1, DAYS)),
        Variable("month", "number", "month", at="row", bounds=(1, 12)),
    ),
    analyses=(
        Analysis(
            "series",
            "sccs",
            outcome="bleeds",
            terms=("warfarin", "sin(pi*month/6)", "cos(pi*month/6)"),
            offset="log(days)",
            person="who",
            most_rows=40,
        ),
    ),
    intervals=Intervals((WARFARIN,), months=(1, 4, 7, 10), observed=True),
)
CROSSED = replace(
    STUDY,
    name="crossed",
    variables=(
        *STUDY.variables[:2],
        Variable("which", "key", "case"),
        Variable("bleed", "category", "outcome", outcome="bleed", levels=PAIR),
    ),
    analyses=(
        Analysis(
            "crossed",
            "case_crossover",
            outcome="bleed",
            terms=("warfarin",),
            person="who",
            matched="which",
            most_rows=200,
        ),
    ),
    intervals=Intervals(
        (WARFARIN,),
        outcome="bleed",
        observed=True,
        around=(0, 0),
        referents=(-84, -56, -28, 28, 56, 84),
    ),
)


def world_of(seed, people=130):
    """Return people of whom a drug, taken for some months, multiplies bleeding."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(1, people + 1):
        begins = int(rng.integers(0, DAYS - 200))
        length = int(rng.integers(40, 200))
        rows.append(Row("drug", len(rows), person, 1, 0, begins, length=length))
        taken = np.arange(DAYS + 1)
        taken = (taken >= begins) & (taken <= begins + length)
        chance = rng.gamma(2.0, 0.0009) * np.where(taken, RATIO, 1.0)
        for day in np.nonzero(rng.random(DAYS + 1) < chance)[0]:
            rows.append(Row("condition", len(rows), person, 3, 0, int(day)))
    born = dict.fromkeys(range(1, people + 1), (8507, 1960))
    return World(born, [(person, 0, DAYS) for person in born], {}, rows)


@pytest.fixture(scope="module")
def databases():
    opened = {}
    for seed, site in enumerate(SITES):
        opened[site] = empty_database()
        load(opened[site], world_of(seed))
    yield opened
    for connection in opened.values():
        connection.close()


SNAPSHOT = "sha256:" + "d" * 64


def tables(connection):
    return CuratedTables(Path(), connection.cursor(), SNAPSHOT, dictionary().digest)


@pytest.mark.parametrize("study", [STUDY, CROSSED], ids=["sccs", "case_crossover"])
def test_people_are_compared_with_themselves_over_sites(databases, study, tmp_path):
    sources = {site: functools.partial(tables, one) for site, one in databases.items()}
    answered = asyncio.run(run_embedded(study, sources, tmp_path))

    (analysis,) = study.analyses
    body = parse_canonical(answered.certificate)
    (found,) = (item["finding"] for item in results_of(answered.outcome)["findings"])
    cohorts = {site: build(study, tables(one)) for site, one in databases.items()}
    pooled = oracle(study, analysis, {s: c.columns for s, c in cohorts.items()})
    assert recompute(body) == "1 findings follow from the certified integers"
    term, same = found["terms"][0], pooled.as_json()["terms"][0]
    assert term["name"] == "warfarin[yes]"
    assert term["estimate"] == pytest.approx(same["estimate"], abs=1e-9 * same["se"])
    assert abs(term["estimate"] - np.log(RATIO)) < 3 * term["se"]
    bled = sum(
        len({r.person for r in world_of(i).rows if r.table == "condition"})
        for i in range(3)
    )
    assert found["n"] == rounded(bled if study is STUDY else pooled.as_json()["n"], 5)
    assert found["n"] > 200
