"""Two studies over nearly the same people, asked of a whole site."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from hetao.analysis import make_rows
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.errors import InvalidStudy
from hetao.federation.asking import by_name, places_of
from hetao.federation.memory import REMEDY, WORDS
from hetao.federation.propose import draft_permit
from hetao.federation.totals import total_of
from hetao.federation.usage import usage
from hetao.ledger.envelope import parse_envelope
from hetao.release import Policy
from hetao.release.policy import STRICT
from hetao.study import Analysis, Criterion
from support_federation import (
    COUNTS,
    LOGISTIC,
    SITES,
    Federation,
    Plan,
    category,
    column,
    toy_study,
)

LINEAR = Analysis("model", "linear", outcome="age", terms=("1", "sex", "ill"))


@pytest.fixture
def federation(tmp_path):
    with Federation(tmp_path, Plan(study=toy_study((LINEAR,)))) as made:
        yield made


@pytest.fixture
def answering(tmp_path):
    """Return a federation whose model is answered without a sealed count before it."""
    with Federation(tmp_path, Plan(study=toy_study((LOGISTIC,)))) as made:
        yield made


def youngest(federation, name="a"):
    """Return the age of the youngest person of a site, which is nobody else's."""
    ages = [
        float(line.split(",")[1])
        for line in federation.patients.read_text().splitlines()
        if line.startswith(f"{name},")
    ]
    assert sorted(ages)[0] < sorted(ages)[1]
    return sorted(ages)[0], sorted(ages)[1]


def with_criterion(study, rule):
    return replace(study, criteria=(Criterion("Of that age", rule),))


def permitted(federation, study):
    """Have everybody approve another study of the same sites."""
    draft = draft_permit(study, federation.cast.directory, federation.clock())
    federation.study = study
    federation.bundle = federation.cast.approved(draft, federation.clock())


def begin(federation, run, name="a", site=None):
    where = site or federation.sites[name]
    return where.handle(federation.begin(name, run=run).data)


def kinds(posts):
    return [parse_envelope(data).header.kind for _, data in posts]


def sums_of(federation, study, name="a"):
    """Return what a site would send, which the sealed sums hide from everyone."""
    table = open_flat(federation.patients, "hospital", name)
    try:
        cohort = build(study, table)
    finally:
        table.close()
    estimator = federation.estimator("model")
    rows = make_rows(estimator.plan, cohort.columns, name)
    return estimator.start(rows), rows


def without_youngest(federation):
    youngest_age, next_age = youngest(federation)
    middle = (youngest_age + next_age) / 2
    return with_criterion(federation.study, f"age >= {middle!r}")


def test_two_sums_that_differ_by_one_person_are_that_person_s_row(
    federation, record_property
):
    """What the rest of this file stands against: no guess, the very numbers."""
    whole, rows = sums_of(federation, federation.study)
    less, fewer = sums_of(federation, without_youngest(federation))

    assert rows.n == fewer.n + 1
    (one,) = np.flatnonzero(rows.y == rows.y.min())
    for name, array in whole.items():
        if array.shape == rows.X[one].shape:
            left = array - less[name]
            np.testing.assert_allclose(left, rows.X[one] * rows.y[one], atol=1e-9)
            record_property("figure", "the one person's row, exactly, naively")
            return
    pytest.fail("no sum of the model has a value for each column")


def test_the_second_study_is_refused_before_anything_of_it_leaves(
    federation, record_property
):
    first = begin(federation, "run-1")
    permitted(federation, without_youngest(federation))

    posts = begin(federation, "run-2")

    assert kinds(first) == ["ready"]
    assert kinds(posts) == ["refusal"]
    (rule,) = federation.refusals(posts)
    assert "too close" in rule
    task = federation.task("a", run="run-2")
    assert kinds(federation.sites["a"].handle(task.data)) == ["refusal"]
    record_property("figure", "nothing of the second study here")


def test_it_is_refused_after_a_restart_too(federation):
    begin(federation, "run-1")
    permitted(federation, without_youngest(federation))

    posts = begin(federation, "run-2", site=federation.open_site("a"))

    assert kinds(posts) == ["refusal"]


def test_the_same_study_under_another_permit_is_answered(federation):
    begin(federation, "run-1")
    first = federation.bundle
    federation.clock.pass_seconds(86400)
    permitted(federation, federation.study)
    assert federation.bundle.permit.digest != first.permit.digest

    assert kinds(begin(federation, "run-2")) == ["ready"]


def test_a_study_of_people_who_differ_by_a_cell_is_answered(federation):
    begin(federation, "run-1")
    ages = sorted(sums_of(federation, federation.study)[1].y)
    assert ages
    permitted(federation, with_criterion(federation.study, "age >= 55"))

    assert kinds(begin(federation, "run-2")) == ["ready"]


def test_a_flat_file_written_anew_with_a_patient_more_is_refused(federation):
    begin(federation, "run-1")
    with federation.patients.open("a", encoding="utf-8") as file:
        file.write("a,61.5,f,yes\n")
    permitted(federation, replace(federation.study, version="2"))

    assert kinds(begin(federation, "run-2")) == ["refusal"]


def test_the_order_of_a_flat_file_s_rows_is_nobody(federation):
    begin(federation, "run-1")
    header, *lines = federation.patients.read_text().splitlines()
    federation.patients.write_text("\n".join([header, *reversed(lines)]) + "\n")
    permitted(federation, replace(federation.study, version="2"))

    assert kinds(begin(federation, "run-2")) == ["ready"]


def _with_missing(federation, count):
    """Write the file anew so that some people's `dose` is missing at each site."""
    header, *lines = federation.patients.read_text().splitlines()
    seen = dict.fromkeys(SITES, 0)
    out = [header + ",dose"]
    for line in lines:
        site = line.split(",", 1)[0]
        seen[site] += 1
        out.append(f"{line},{'' if seen[site] <= count else seen[site] % 7}")
    federation.patients.write_text("\n".join(out) + "\n")


DOSE = column("dose", kind="number", bounds=(0.0, 10.0))
TWO_MODELS = (
    LOGISTIC,
    Analysis("with_dose", "logistic", outcome="ill", terms=("1", "age", "dose")),
)


@pytest.mark.parametrize(
    ("missing", "answered"), [(0, "ready"), (3, "refusal"), (12, "ready")]
)
def test_two_models_of_one_study_whose_people_differ_by_three_are_refused(
    tmp_path, missing, answered
):
    study = toy_study(TWO_MODELS)
    study = replace(study, variables=(*study.variables, DOSE))
    with Federation(tmp_path, Plan(study=study)) as federation:
        _with_missing(federation, missing)

        assert kinds(begin(federation, "run-1")) == [answered]


def test_a_criterion_that_all_variables_are_known_makes_that_study_possible(tmp_path):
    study = toy_study(TWO_MODELS)
    study = replace(study, variables=(*study.variables, DOSE))
    study = with_criterion(study, "known(age, sex, ill, dose)")
    with Federation(tmp_path, Plan(study=study)) as federation:
        _with_missing(federation, 3)

        assert kinds(begin(federation, "run-1")) == ["ready"]


def test_a_release_says_of_the_budget_a_band_and_no_count(answering):
    begin(answering, "run-1")
    posts = answering.sites["a"].handle(answering.task("a").data)

    (_, receipt, _) = answering.opened(posts[-1][1])

    assert receipt["body"]["budget"] == {
        "linear_stats": "<25%",
        "intermediate": "<25%",
        "intermediate_used": 0,
    }


def test_a_site_s_own_policy_may_show_less(tmp_path):
    policies = {"a": Policy(budget=0.005)}
    plan = Plan(study=toy_study((LINEAR,)), policies=policies)
    with Federation(tmp_path, plan) as federation:
        assert kinds(begin(federation, "run-1")) == ["refusal"]
        assert kinds(begin(federation, "run-1", "b")) == ["ready"]


def test_what_rounds_tell_adds_up_over_permits_until_a_site_says_no(tmp_path):
    """Each model tells 2 rounds of 9 numbers about 400 people: 0.045 a person."""
    plan = Plan(study=toy_study((LINEAR,)), policies={"a": Policy(told=0.1)})
    with Federation(tmp_path, plan) as federation:
        assert kinds(begin(federation, "run-1")) == ["ready"]
        permitted(federation, replace(federation.study, title="Again"))
        assert kinds(begin(federation, "run-2")) == ["ready"]
        (told,) = [u for u in usage(federation.setup("a")) if u.budget == "told"]
        assert (told.used, told.most) == (pytest.approx(0.09), 0.1)

        permitted(federation, replace(federation.study, title="And again"))

        assert kinds(begin(federation, "run-3")) == ["refusal"]
        assert kinds(begin(federation, "run-3", "b")) == ["ready"]


def test_another_run_of_a_permit_tells_its_rounds_anew_but_the_opening(tmp_path):
    """A model tells 2 rounds of 9 numbers about 400 people: 0.045 a person."""
    plan = Plan(study=toy_study((LINEAR,)), policies={"a": Policy(told=0.1)})
    with Federation(tmp_path, plan) as federation:
        for run in ("run-1", "run-2"):
            assert kinds(begin(federation, run)) == ["ready"]

        (told,) = [u for u in usage(federation.setup("a")) if u.budget == "told"]

        assert told.used == pytest.approx(0.045 + 0.0225)


def test_a_key_column_knows_people_by_its_cells(federation):
    table = functools.partial(
        open_flat, federation.patients, "hospital", "a", person="who"
    )
    person = column("who", kind="key")
    keyed = replace(federation.study, variables=(*federation.study.variables, person))
    lines = federation.patients.read_text().splitlines()
    out = [f"{lines[0]},who", *(f"{line},{n // 2}" for n, line in enumerate(lines[1:]))]
    federation.patients.write_text("\n".join(out) + "\n")
    rows = replace(LINEAR, person="who", variance="robust", most_rows=2)
    keyed = replace(keyed, analyses=(rows,))
    opened = table()
    try:
        cohort = build(keyed, opened)
    finally:
        opened.close()

    assert cohort.space == "flat who"
    assert len(np.unique(cohort.ids, axis=0)) == 200


def test_a_study_cannot_choose_by_which_column_a_site_knows_people(federation):
    lines = federation.patients.read_text().splitlines()
    out = [f"{lines[0]},who", *(f"{line},{n}" for n, line in enumerate(lines[1:]))]
    federation.patients.write_text("\n".join(out) + "\n")
    plain, key = federation.study, column("who", kind="key")
    by_who = replace(LINEAR, person="who", variance="robust", most_rows=1)
    keyed = replace(plain, variables=(*plain.variables, key), analyses=(by_who,))

    permitted(federation, keyed)  # else a second memory, and a second budget
    assert kinds(begin(federation, "run-1")) == ["refusal"]

    permitted(federation, plain)
    assert kinds(begin(federation, "run-2")) == ["ready"]
    permitted(federation, with_criterion(plain, without_youngest(federation)))
    assert kinds(begin(federation, "run-3")) == ["refusal"]


# --- steps of the attrition -----------------------------------------------------------
OLD = Criterion("From 65 on", "age >= 65")
MEN = Criterion("Men", "sex == 'm'")


@pytest.fixture
def counted(tmp_path):
    study = toy_study((COUNTS,), criteria=(OLD,))
    with Federation(tmp_path, Plan(study=study)) as made:
        assert kinds(begin(made, "run-1")) == ["ready"]
        yield made


def asked(federation, *criteria, analyses=(COUNTS,), run="run-2"):
    study = replace(federation.study, criteria=criteria, analyses=analyses)
    permitted(federation, study)
    return kinds(begin(federation, run))


def but_the_youngest(federation):
    first, second = youngest(federation)
    return Criterion("But the youngest", f"age >= {(first + second) / 2!r}")


def test_a_step_that_is_not_the_last_and_differs_by_one_from_an_earlier_one_is_refused(
    counted,
):
    """Everybody, and those from 65 on; then everybody but one, and those from 65 on."""
    assert asked(counted, but_the_youngest(counted), OLD) == ["refusal"]


def test_a_model_of_all_but_one_of_those_whom_a_step_left_is_refused(counted):
    all_but_one = but_the_youngest(counted)
    assert asked(counted, all_but_one, analyses=(LINEAR,)) == ["refusal"]


def test_a_step_that_leaves_all_but_one_of_the_people_of_a_model_is_refused(tmp_path):
    study = toy_study((LINEAR,))
    with Federation(tmp_path, Plan(study=study)) as federation:
        assert kinds(begin(federation, "run-1")) == ["ready"]

        assert asked(federation, but_the_youngest(federation), OLD) == ["refusal"]


@pytest.mark.parametrize("criteria", [(OLD,), (OLD, MEN), (MEN, OLD), (MEN,)])
def test_steps_that_leave_the_same_people_or_far_fewer_are_answered(counted, criteria):
    assert asked(counted, *criteria) == ["ready"]


def test_a_study_that_shows_no_steps_is_not_asked_about_them(counted):
    """Who are over 65 but for one is no set that a model shows, nor that it left."""
    both = (but_the_youngest(counted), OLD)
    assert asked(counted, *both, analyses=(LINEAR,)) == ["ready"]


# --- parts within parts ---------------------------------------------------------------
TABLE = Analysis("table", "table1", variables=("ill",), by="sex")
KEPT = Criterion("Asked", "asked == 'yes'")


def left_out(federation, women_ill, women_well, men_ill):
    """Write a column of who is asked: all but so many of each kind at each site."""
    header, *lines = federation.patients.read_text().splitlines()
    left = {}
    out = [f"{header},asked"]
    for line in lines:
        site, _, sex, ill = line.split(",")
        wanted = {"f,yes": women_ill, "f,no": women_well, "m,yes": men_ill}
        seen = left.get((site, sex, ill), 0)
        left[site, sex, ill] = seen + 1
        is_asked = seen >= wanted.get(f"{sex},{ill}", 0)
        out.append(f"{line},{'yes' if is_asked else 'no'}")
    federation.patients.write_text("\n".join(out) + "\n")


@pytest.fixture
def tabled(tmp_path):
    study = toy_study((TABLE,))
    study = replace(study, variables=(*study.variables, category("asked", "no", "yes")))
    with Federation(tmp_path, Plan(study=study)) as made:
        yield made


@pytest.mark.parametrize(
    ("women_ill", "answer"), [(0, "ready"), (1, "refusal"), (9, "refusal")]
)
def test_tables_of_people_far_apart_whose_cell_differs_by_few_are_refused(
    tabled, women_ill, answer
):
    """All differ by 24 or more, so do women, men, the ill and the well."""
    left_out(tabled, women_ill, 12, 12)
    assert kinds(begin(tabled, "run-1")) == ["ready"]

    permitted(tabled, replace(tabled.study, criteria=(KEPT,)))

    assert kinds(begin(tabled, "run-2")) == [answer]


def test_two_parts_of_one_name_are_refused_and_none_of_them_is_forgotten():
    """Were the second one to take the place of the first, nobody would remember it."""
    who = np.arange(3)

    with pytest.raises(InvalidStudy, match="both called"):
        by_name([(("stratum", "a"), who), (("stratum", "a"), who + 1)])
    assert len(by_name([(("a, b",), who), (("a", "b"), who + 1)])) == 2
    assert len(by_name([(("a b", "c"), who), (("a", "b c"), who + 1)])) == 2


def test_steps_that_are_labelled_alike_are_each_remembered(federation):
    memory, ids = federation.sites["a"].memory, np.arange(40)
    flow = (["old", "old", "known", "in time"], ids, ids // 10)

    places = places_of(memory, "flat", ids[30:], flow)

    assert [len(who) for who in places.steps.values()] == [40, 30, 20]


def test_a_second_permit_without_one_site_does_not_tell_that_sites_cells(
    tmp_path, record_property
):
    """Three people at d are old, whom two Tables 1 over enough sites would give."""
    table = Analysis("table", "table1", variables=("old",))
    with Federation(tmp_path, Plan(study=of_old(table, "abcd"))) as federation:
        header, *lines = federation.patients.read_text().splitlines()
        old = {"a": 90, "b": 80, "c": 70, "d": 3}
        out = [f"{header},old"]
        for line in lines:
            old[line[0]] -= 1
            out.append(f"{line},{'ny'[old[line[0]] >= 0]}")
        federation.patients.write_text("\n".join(out) + "\n")
        federation.play(run="first")
        permitted(federation, of_old(table, "abc"))

        answers = [
            federation.opened(begin(federation, "second", name)[0][1]) for name in "abc"
        ]

        assert {(kind, meta["code"]) for kind, meta, _ in answers} == {
            ("refusal", "HT-416")
        }
        with pytest.raises(LookupError, match="has sent no sum"):
            federation.play(run="second")
    record_property("figure", f"{len(answers)} of 3 sites refuse the second list")


def of_old(table, sites):
    study = toy_study((table,), sites=tuple(sites))
    return replace(study, variables=(*study.variables, category("old", "n", "y")))


# --- tables by a variable -------------------------------------------------------------
def by_outcome(columns, policy):
    """Return the plan of a Table 1 by outcome of so many yes/no columns, at 3 sites."""
    names = [f"v{place}" for place in range(columns)]
    described = tuple(category(name, "n", "y") for name in names)
    table = Analysis("t", "table1", variables=tuple(names), by="ill")
    study = toy_study((table,))
    study = replace(study, variables=(*study.variables, *described))
    return Plan(study=study, people=100, policies=dict.fromkeys(SITES, policy))


def with_columns(federation, columns):
    """Write yes/no columns of everybody; return them, all known, and who is ill."""
    header, *lines = federation.patients.read_text().splitlines()
    values = np.random.default_rng(1).random((len(lines), columns)) < 0.5
    rows = zip(lines, values, strict=True)
    out = [",".join([one, *("ny"[int(v)] for v in row)]) for one, row in rows]
    names = [f"v{place}" for place in range(columns)]
    federation.patients.write_text("\n".join([",".join([header, *names]), *out]) + "\n")
    return values, np.array([line.endswith(",yes") for line in lines])


def told_by_table(tmp_path, columns, policy):
    """Return the share told right by what the coordinator sees, and by guessing."""
    with Federation(tmp_path, by_outcome(columns, policy)) as federation:
        values, ill = with_columns(federation, columns)
        words = federation.play().words.values()
        declared = federation.estimator("t").declare(0)
    sums = total_of(list(words), declared, "t", len(SITES))
    told = np.append(sums["levels"][1::2, 1], sums["people"][1])
    found = lsq_linear(np.vstack([values.T, np.ones(len(ill))]), told, (0, 1)).x > 0.5
    return (found == ill).mean(), max(ill.mean(), 1 - ill.mean())


ANY_BUDGET = Policy(minimum=replace(STRICT, share=10.0), reason="a test of what it is")


def test_a_table_by_an_outcome_does_not_tell_everybodys_outcome(
    tmp_path, record_property
):
    """Of 300 people 150 yes/no columns are known; one table counts each by outcome."""
    with Federation(tmp_path / "usual", by_outcome(150, Policy())) as federation:
        with_columns(federation, 150)

        for name in SITES:
            sent = begin(federation, "run-1", name)
            assert kinds(sent) == ["refusal"]
            (rule,) = federation.refusals(sent)
            assert rule == f"HT-416: {WORDS} ({REMEDY})"

    # Else it would: with room for any number of sums, each outcome is read off.
    found, _ = told_by_table(tmp_path / "any", 150, ANY_BUDGET)
    record_property("figure", f"{found:.0%} of 300 people naively, none asked here")
    assert found == 1


def test_as_many_columns_as_may_be_tell_hardly_more_than_a_guess(tmp_path):
    """One sum of people and 19 of columns are a tenth of any two sites' people."""
    with Federation(tmp_path / "more", by_outcome(20, Policy())) as federation:
        with_columns(federation, 20)
        assert kinds(begin(federation, "run-1")) == ["refusal"]

    found, guessed = told_by_table(tmp_path / "most", 19, Policy())
    assert found < guessed + 0.1


@pytest.mark.parametrize(("columns", "answered"), [(9, "ready"), (10, "refusal")])
def test_where_a_site_can_be_seen_a_table_tells_half_as_many_sums(
    tmp_path, columns, answered
):
    """Two sites, where three must be summed that none is seen."""
    plan = by_outcome(columns, Policy())
    plan = replace(plan, study=replace(plan.study, sites=SITES[:2]), policies={})
    with Federation(tmp_path, plan) as federation:
        with_columns(federation, columns)

        assert kinds(begin(federation, "run-1")) == [answered]
