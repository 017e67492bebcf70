"""Performance: what is refused, where predictions are cut, what people are shown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.analysis import Finding, estimator_for, evidence, make_rows, oracle
from hetao.analysis.discrimination import BEYOND, auc_of, cuts_of, places
from hetao.analysis.suppression import shown_payload
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.report.performance import performance_of
from hetao.report.picture import Picture
from hetao.study import Coefficient, Minimum, study_from
from support_analysis import ANALYSES, STUDY, number, people, split

FITTED = ANALYSES["performance"]
PUBLISHED = ANALYSES["performance_published"]
LEFT_OUT = ANALYSES["performance_left_out"]
CUTS = (0.2, 0.5, 0.7)


def read(analysis, **fields):
    study = replace(STUDY, analyses=(analysis,), **fields)
    return study_from(parse_canonical(study.canonical)).analyses[0]


def coefficients(**values):
    return tuple(Coefficient(name, value) for name, value in values.items())


# --- what is refused ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("analysis", "why"),
    [
        (replace(FITTED, terms=("age", "ill")), "holds the outcome"),
        (replace(FITTED, terms=("age", "site")), "cannot be made elsewhere"),
        (replace(FITTED, link="cloglog"), "only a published model"),
        (replace(PUBLISHED, link="probit"), "link is one of logit"),
        (replace(PUBLISHED, validation="leave_one_site_out"), "none of the sites"),
        (replace(FITTED, validation="bootstrap"), "validation is"),
        (replace(FITTED, thresholds=(0.4, 0.2)), "increasing probabilities"),
        (replace(FITTED, thresholds=(0.0, 0.2)), "between 0 and 1"),
        (replace(FITTED, groups=1), "groups lies in 2 to 50"),
        (
            replace(PUBLISHED, coefficients=coefficients(age=float("inf"))),
            "coefficients are finite",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(analysis, why):
    with pytest.raises(InvalidStudy, match=why):
        study_from(
            {
                **parse_canonical(STUDY.canonical),
                "analyses": [_plain(analysis)],
            }
        )


def _plain(analysis):
    fields = {k: v for k, v in analysis.__dict__.items() if v not in ((), None)}
    fields["coefficients"] = [one.__dict__ for one in analysis.coefficients]
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


def test_three_sites_are_too_few_to_leave_one_out():
    with pytest.raises(InvalidStudy, match="at least 3 must be left"):
        read(LEFT_OUT, sites=("aa", "bb", "cc"))
    assert read(LEFT_OUT, sites=("aa", "bb", "cc", "dd")) == LEFT_OUT


def test_coefficients_are_those_of_the_columns():
    wrong = replace(PUBLISHED, coefficients=coefficients(age=1.0, sex=2.0))

    with pytest.raises(InvalidStudy) as caught:
        estimator_for(STUDY, wrong)

    assert "(Intercept), age, sex[male], log(chol)" in caught.value.fix


def test_what_adds_up_to_no_probability_is_refused_before_any_row_is_read():
    study = replace(STUDY, variables=(*STUDY.variables, number("risk", 0, 1)))
    risk = replace(PUBLISHED, link="identity", terms=("0", "risk"))
    whole = replace(risk, coefficients=coefficients(risk=1.0))
    double = replace(risk, coefficients=coefficients(risk=2.0))

    assert estimator_for(study, whole)
    with pytest.raises(InvalidStudy, match="no probability"):
        estimator_for(study, double)


def test_an_outcome_that_nobody_has_is_not_predicted():
    columns = people(1, 300)
    columns["ill"][:] = 0

    for analysis in (FITTED, PUBLISHED, LEFT_OUT):
        with pytest.raises(NotEstimable, match="the outcome 'ill'"):
            oracle(STUDY, analysis, split(columns, CUTS))


def test_predictions_that_are_all_the_same_have_no_slope():
    flat = replace(PUBLISHED, coefficients=_zeros(PUBLISHED))

    with pytest.raises(NotEstimable, match="calibration slope"):
        oracle(STUDY, flat, split(people(1, 300), CUTS))


def _zeros(analysis):
    return tuple(replace(one, value=0.0) for one in analysis.coefficients)


def test_a_model_of_the_other_sites_that_has_no_estimate_is_named():
    columns = people(1, 900)
    parts = split(columns, CUTS)
    for site in ("bb", "cc", "dd"):
        parts[site]["ill"] = np.zeros_like(parts[site]["ill"])

    with pytest.raises(NotEstimable, match="people that a model is fitted to"):
        oracle(STUDY, LEFT_OUT, parts)


# --- what leaves a site -------------------------------------------------------------
def measuring(analysis, columns):
    method = estimator_for(STUDY, analysis)
    rows = make_rows(method.plan, columns, "aa")
    state, number_ = method.step(method.start(rows), None, 0), 0
    while "cuts" not in state:
        number_ += 1
        state = method.step(method.local(rows, state), state, number_)
    return method, rows, state


@pytest.mark.parametrize("analysis", [FITTED, PUBLISHED], ids=lambda a: a.name)
def test_the_gate_is_told_how_few_lie_in_a_bin(analysis):
    method, rows, state = measuring(analysis, people(2, 500))

    (least,) = method.bins(rows, state).values()

    counts = method.local(rows, state)["by_outcome"]
    assert least == counts[counts > 0].min() < 10


@pytest.mark.parametrize("analysis", [FITTED, PUBLISHED], ids=lambda a: a.name)
def test_only_the_last_message_counts_outcomes(analysis):
    """Sites are shown the sums of every round but the last."""
    method, rows, state = measuring(analysis, people(2, 500))

    answer = method.step(method.local(rows, state), state, 9)

    assert isinstance(answer, Finding)
    before = {name: array for name, array in state.items() if name != "cuts"}
    assert not method.local(rows, before)["by_outcome"].any()


def test_outcomes_are_only_counted_where_enough_people_lie_between_two_cuts():
    method, rows, state = measuring(FITTED, people(2, 500))

    counts = method.local(rows, state)["by_outcome"].sum(axis=0)

    assert counts[counts > 0].min() >= 10
    assert (counts > 0).sum() > 20


def test_a_published_model_is_guarded_by_its_line_and_not_by_its_columns():
    method = estimator_for(STUDY, PUBLISHED)
    columns = people(3, 200)
    columns["age"][0] = 100.0
    columns["age"][1:] = 50 + 0.001 * columns["age"][1:] % 1
    columns["chol"][:] = 200.0
    columns["sex"][:] = 0
    rows = make_rows(method.plan, columns, "aa")

    facts, own_cells = method.guarded(evidence(method.plan, rows), rows, None)

    assert facts.parameters == 2
    assert facts.smallest_side == {}
    assert facts.max_leverage > 0.9  # one person alone decides the slope
    assert not own_cells


def test_sites_that_are_told_apart_are_graded_so():
    assert estimator_for(STUDY, LEFT_OUT).own_parts
    assert not estimator_for(STUDY, FITTED).own_parts
    assert not estimator_for(STUDY, LEFT_OUT).publishable


def test_a_site_takes_no_part_in_the_model_that_predicts_its_people():
    method = estimator_for(STUDY, LEFT_OUT)
    rows = make_rows(method.plan, people(4, 200), "cc")

    message = method.start(rows)
    later = method.local(rows, {"beta": np.zeros(5 * method.plan.parameters)})

    for sums in (message["score"], message["info"], later["score"], later["info"]):
        assert [bool(one.any()) for one in sums] == [True, True, False, True, True]


@pytest.mark.parametrize(
    "broken",
    [
        {"beta": np.zeros(3)},
        {"line": np.zeros(3)},
        {"level": np.zeros(2)},
        {"edges": np.zeros(4)},
        {"cuts": np.zeros(4)},
    ],
)
def test_a_state_of_another_shape_is_refused(broken):
    method, rows, state = measuring(FITTED, people(2, 300))

    with pytest.raises(WrongShape):
        method.local(rows, state | broken)


# --- cuts ---------------------------------------------------------------------------
COUNTS = st.lists(st.integers(0, 15), min_size=3, max_size=40)


@given(COUNTS, st.data(), st.integers(1, 12))
def test_between_two_cuts_lies_nobody_or_enough(counts, data, least):
    edges = np.arange(1, len(counts)) / len(counts)
    asked = data.draw(st.lists(st.sampled_from(edges.tolist()), unique=True))

    cuts = cuts_of(np.array(counts, float), edges, sorted(asked), least)

    kept = cuts[cuts < BEYOND]
    assert len(cuts) == len(edges)
    assert (np.diff(kept) > 0).all()
    held = np.zeros(len(kept) + 1)
    middles = (np.arange(len(counts)) + 0.5) / len(counts)
    np.add.at(held, np.searchsorted(kept, middles), counts)
    enough = min(least, sum(counts))  # all together may be fewer
    assert not ((held > 0) & (held < enough)).any()


def test_thresholds_are_kept_before_other_cuts():
    edges = np.array([0.1, 0.2, 0.3, 0.4])

    cuts = cuts_of(np.array([8.0, 4, 4, 4, 8]), edges, (0.2,), 10)

    assert cuts[cuts < BEYOND].tolist() == [0.2]


def test_a_prediction_that_is_a_cut_to_twelve_decimals_lies_above_it():
    found = places(np.array([0.1, 0.3]), np.array([0.1 - 1e-14, 0.3, 0.3 - 1e-9]))

    assert found.tolist() == [1, 2, 1]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=30)
)
def test_the_bounds_of_the_area_are_those_of_the_best_and_worst_order(bins):
    cases, controls = np.array(bins, float).T
    if min(cases.sum(), controls.sum()) < 2:
        return

    found = auc_of(cases, controls)

    pairs = cases.sum() * controls.sum()
    below = np.cumsum(controls) - controls
    assert found["least"] == pytest.approx(float(cases @ below) / pairs, abs=1e-12)
    most = float(cases @ (below + controls)) / pairs
    assert found["most"] == pytest.approx(most, abs=1e-12)


# --- what people are shown ----------------------------------------------------------
@given(st.integers(0, 2**32 - 1), st.integers(60, 400), st.integers(2, 30))
def test_no_small_count_lies_between_what_is_shown(seed, n, smallest):
    draw = np.random.default_rng(seed)
    tp, fp = np.sort(draw.integers(0, n, (2, 12)))[:, ::-1]
    edges = np.linspace(0.05, 0.9, 12)[::-1]
    roc = [
        {"cut": float(c), "tp": int(a), "fp": int(b)}
        for c, a, b in zip(edges, tp[::-1], fp[::-1], strict=True)
    ]
    payload = {
        "model": "performance",
        "n": 2 * n,
        "events": n,
        "terms": [],
        "roc": roc,
        "thresholds": [{"threshold": one["cut"], **one} for one in roc[::4]],
        "calibration": [],
    }

    shown, _ = shown_payload(payload, smallest)

    pairs = [(0, 0), (n, n), *((one["tp"], one["fp"]) for one in shown["roc"])]
    pairs += [
        (row["tp"], row["fp"]) for row in shown["thresholds"] if row["tp"] is not None
    ]
    for one in pairs:
        for other in pairs:
            for a, b in zip(one, other, strict=True):
                assert a == b or abs(a - b) >= smallest


def test_groups_are_joined_where_too_few_had_the_event():
    finding = oracle(STUDY, FITTED, split(people(5, 400), CUTS))

    shown, withheld = finding.shown(25)

    before, after = finding.as_json()["calibration"], shown.as_json()["calibration"]
    assert withheld
    assert len(after) < len(before)
    assert sum(group["n"] for group in after) == finding.as_json()["n"]
    assert all(g["events"] >= 25 and g["n"] - g["events"] >= 25 for g in after)
    total = sum(g["predicted"] * g["n"] for g in after)
    assert total == pytest.approx(sum(g["predicted"] * g["n"] for g in before))


def test_few_events_are_hidden_with_all_that_would_give_them_back():
    finding = oracle(STUDY, FITTED, split(people(5, 100), CUTS))

    shown, _ = finding.shown(60)

    found = shown.as_json()
    assert found["events"] is None
    assert found["roc"] == found["thresholds"] == found["calibration"] == []
    assert "scaled_brier" not in [term["name"] for term in found["terms"]]


def test_a_threshold_with_too_few_people_beyond_it_is_told_as_unknown():
    study = replace(STUDY, minimum=Minimum(cell=10))
    analysis = replace(FITTED, thresholds=(0.4, 0.95, 0.999))

    parts = split(people(6, 600), CUTS)

    rows = oracle(study, analysis, parts).as_json()["thresholds"]

    assert rows[0]["tp"] > 0
    assert rows[2]["tp"] == 0  # nobody is nobody's secret
    few = oracle(study, replace(analysis, thresholds=(0.2, 0.2001)), parts).as_json()
    assert few["thresholds"][1]["sensitivity"] is None


# --- the report ---------------------------------------------------------------------
def viewed(analysis, smallest=10):
    shown, _ = oracle(STUDY, analysis, split(people(7, 900), CUTS)).shown(smallest)
    return performance_of(STUDY, analysis, shown.as_json(), ("k", f"<{smallest}*"))


@pytest.mark.parametrize(
    ("analysis", "whose"),
    [
        (FITTED, "apparent performance"),
        (PUBLISHED, "a published model"),
        (LEFT_OUT, "fitted to all other sites"),
    ],
)
def test_the_report_says_whose_predictions_they_are(analysis, whose):
    view, sentence = viewed(analysis)

    assert whose in sentence
    assert whose in view.whose
    assert [row[0] for row in view.measures][:2] == [
        "Area under the ROC curve",
        "Brier score",
    ]
    figures = 3 if analysis.thresholds else 2
    assert len(view.figures) == figures
    for figure in view.figures:
        assert Picture(figure).svg.startswith("<svg")


def test_the_decision_curve_says_its_numbers_to_those_who_do_not_see_it():
    view, _ = viewed(FITTED)

    text = view.figures[2].__html__()

    row = view.thresholds[1]
    assert row[0] == "40%"
    assert f"at 40% net benefit {row[5].partition(' ')[0]}, treating all" in text


def test_what_may_not_be_shown_is_a_dash_and_no_figure():
    view, _ = viewed(FITTED, smallest=500)

    assert view.is_hidden
    assert view.events == "<500*"
    assert view.figures == ()
    assert view.thresholds == ()
