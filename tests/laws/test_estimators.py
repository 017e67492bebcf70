"""Any split of the rows over sites gives the answer of the pooled rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.analysis import make_plan, oracle
from hetao.errors import HetaoError
from hetao.study import Criterion
from support_analysis import (
    ANALYSES,
    LOOSE,
    MODELS,
    STUDY,
    TABLES,
    assert_same,
    estimates,
    people,
    refuse_or,
    split,
)

CRITERIA = (
    Criterion("Adults", "age >= 18"),
    Criterion("Cholesterol known", "known(chol)"),
)
SEEDS = st.integers(0, 2**32 - 1)
CUTS = st.lists(st.floats(0, 1), max_size=4)
SOME = settings(max_examples=25, deadline=None)


def hospital_of(parts):
    """Return the pooled columns with the site of each row as the category `ward`."""
    sizes = [len(part["age"]) for part in parts.values()]
    names = next(iter(parts.values()))
    columns = {
        name: np.concatenate([part[name] for part in parts.values()]) for name in names
    }
    ward = np.repeat(np.arange(len(sizes)), sizes)
    # Keys tell rows apart at one site alone, so a set or a person never spans two.
    of_ward = {key: columns[key] + 10**6 * ward for key in ("pair", "who")}
    return columns | of_ward | {"ward": ward}


@pytest.mark.parametrize("name", MODELS)
@given(seed=SEEDS, n=st.integers(150, 400), cuts=CUTS)
@SOME
def test_any_split_gives_the_pooled_model(name, seed, n, cuts):
    parts = split(people(seed, n), cuts)
    analysis = ANALYSES[name]
    everyone = {"aa": hospital_of(parts)}
    # Where risk sets stay inside a site, pooled rows keep the site as a stratum.
    strata = tuple("ward" if s == "site" else s for s in analysis.strata)
    strata = (*strata, "site") if "site" in analysis.strata else strata
    reference, refused = refuse_or(
        lambda: oracle(STUDY, replace(analysis, strata=strata), everyone)
    )

    if refused is not None:
        with pytest.raises(refused):
            oracle(STUDY, analysis, parts)
        return
    federated = oracle(STUDY, analysis, parts)

    assert_same(federated, *estimates(reference), reference.as_json()["loglik"])
    for key in ("n", "events", "rounds"):
        assert federated.as_json().get(key) == reference.as_json().get(key)
    if analysis.zph:
        ours, theirs = (f.as_json()["zph"]["terms"] for f in (federated, reference))
        for one, other in zip(ours, theirs, strict=True):
            assert one["chi2"] == pytest.approx(other["chi2"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", TABLES)
@given(seed=SEEDS, n=st.integers(20, 300), cuts=CUTS)
@SOME
def test_any_split_gives_the_pooled_table(name, seed, n, cuts):
    columns = people(seed, n)
    # Else curves are coarser the smaller the sites are, see test_merged_curves.
    study = replace(STUDY, minimum=LOOSE) if name.startswith("km") else STUDY

    federated = oracle(study, ANALYSES[name], split(columns, cuts)).as_json()
    reference = oracle(study, ANALYSES[name], {"aa": columns}).as_json()

    assert_alike(federated, reference)


@given(seed=SEEDS, n=st.integers(60, 300), cuts=CUTS)
@SOME
def test_any_split_gives_the_pooled_test(seed, n, cuts):
    parts = split(people(seed, n), cuts)
    analysis = replace(ANALYSES["logrank"], strata=("site", "grade", "ward"))
    everyone = {"aa": hospital_of(parts)}
    parts = {s: {**p, "ward": np.zeros(len(p["age"]), int)} for s, p in parts.items()}

    reference, refused = refuse_or(lambda: oracle(STUDY, analysis, everyone))

    if refused is not None:
        with pytest.raises(refused):
            oracle(STUDY, analysis, parts)
        return
    assert_alike(oracle(STUDY, analysis, parts).as_json(), reference.as_json())


def assert_alike(a, b):
    """Hold two JSON values to each other: counts equal, other numbers to 1e-12."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_alike(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_alike(x, y)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-12)
    else:
        assert a == b


@pytest.mark.parametrize("name", sorted(ANALYSES))
@given(seed=SEEDS, cuts=CUTS, order=st.permutations(range(5)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_sites_changes_not_one_bit(name, seed, cuts, order):
    parts = list(split(people(seed, 200), cuts).items())
    turned = [parts[i] for i in order if i < len(parts)]

    first, refused = refuse_or(lambda: oracle(STUDY, ANALYSES[name], dict(parts)))

    if refused is not None:
        assert issubclass(refused, HetaoError)
        return
    second = oracle(STUDY, ANALYSES[name], dict(turned))
    assert first.as_json() == second.as_json()


@given(
    people_left=st.lists(
        st.lists(st.integers(0, 500), min_size=3, max_size=3), min_size=1, max_size=5
    )
)
@SOME
def test_attrition_adds_up_over_sites(people_left):
    study = replace(STUDY, criteria=CRITERIA)
    analysis = replace(ANALYSES["km"], name="flow", method="counts")
    labels = make_plan(study, analysis).steps
    steps = {
        site: list(zip(labels, sorted(counts, reverse=True), strict=True))
        for site, counts in zip(study.sites, people_left, strict=False)
    }

    finding = oracle(study, analysis, {site: {} for site in steps}, attrition=steps)

    shown = finding.as_json()["steps"]
    totals = np.sum([sorted(c, reverse=True) for c in people_left], axis=0)
    assert [step["n"] for step in shown] == totals.tolist()
    assert [step["removed"] for step in shown] == [0, *(-np.diff(totals)).tolist()]
