"""Counts with noise: the noise is what it is said to be, and its budget is kept."""

import json
import multiprocessing
import pathlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import hetao
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.errors import (
    InvalidStudy,
    PrivacySpent,
    StoppedHere,
    Usage,
    UseNotAllowed,
)
from hetao.federation.guard import stop
from hetao.federation.private_budget import FILE, PrivateBudget
from hetao.federation.releases import read_releases
from hetao.federation.self_service import Question, _counts, ask, spent_of
from hetao.release.policy import Policy, Privacy, policy_from
from hetao.release.private import GRAIN, margin, noisy, probability
from hetao.study import Analysis, Criterion
from support_federation import START, Federation, Plan, toy_study

DRAWS = 20_000
SURE = 1e-9  # so rarely does an honest draw fail here
OPEN = Policy(privacy=Privacy(epsilon=1.0, each=0.5))
STUDY = toy_study(criteria=(Criterion("Aged 50 or more", "age >= 50"),))


# --- the noise ------------------------------------------------------------------------
def distance(drawn, epsilon):
    """Return the p value of draws under the distribution that is promised."""
    edges = np.arange(-8, 9)
    inner = [probability(epsilon, int(at)) for at in edges]
    low = sum(probability(epsilon, at) for at in range(-400, -8))
    expected = np.array([low, *inner, low]) * len(drawn)
    counts = [np.sum(drawn == at) for at in edges]
    seen = np.array([np.sum(drawn < -8), *counts, np.sum(drawn > 8)])
    return stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue


@pytest.mark.parametrize("epsilon", [0.2, 0.5])
def test_the_noise_has_the_distribution_that_is_promised(epsilon):
    drawn = np.array(noisy([1000] * DRAWS, epsilon)) - 1000

    assert distance(drawn, epsilon) > SURE
    assert distance(drawn, epsilon / 1.5) < SURE  # so the test can tell
    within = np.mean(np.abs(drawn) <= margin(epsilon))
    assert 0.95 - 0.02 < within < 1
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 7 / np.sqrt(DRAWS)


def test_one_person_more_changes_no_answers_chance_by_more_than_the_loss():
    """The definition itself: the ratio of the chances of any answer, whichever."""
    epsilon = 0.3
    ratios = [
        probability(epsilon, at) / probability(epsilon, at - 1)
        for at in range(-300, 300)
    ]

    assert max(ratios) <= np.exp(epsilon) * (1 + 1e-9)
    assert min(ratios) >= np.exp(-epsilon) * (1 - 1e-9)


def test_the_margin_is_the_least_that_holds_in_nineteen_of_twenty():
    for epsilon in (0.05, 0.1, 0.5, 1.0):
        far = range(-5000, 5001)
        most = margin(epsilon)
        beyond = sum(probability(epsilon, at) for at in far if abs(at) > most)
        nearer = sum(probability(epsilon, at) for at in far if abs(at) > most - 1)
        assert beyond <= 0.05 < nearer


def test_a_mechanism_that_loses_more_than_is_charged_answers_nothing(monkeypatch):
    assert len(noisy([5, 7], 1.0)) == 2
    for scale, is_kept in ((1.0, True), (0.999, False)):
        monkeypatch.setattr("hetao.release.private.scale_of", lambda _, s=scale: s)
        if is_kept:
            noisy([5], 1.0)
        else:
            with pytest.raises(PrivacySpent):
                noisy([5], 1.0)


def test_noise_stands_in_place_of_no_count_and_is_of_one_person(monkeypatch):
    monkeypatch.setattr("hetao.release.private.scale_of", lambda _: 1e-3)

    with pytest.raises(PrivacySpent):
        noisy([5], 999.0)
    assert noisy([5, 0, 10**6], 1001.0) == [5, 0, 10**6]


def test_without_opendp_nothing_is_counted_with_noise(monkeypatch):
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)

    with pytest.raises(Usage, match="need OpenDP"):
        noisy([5], 1.0)


# --- the budget -----------------------------------------------------------------------
@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    plan = Plan(STUDY, policies=dict.fromkeys("abc", OPEN))
    with Federation(tmp_path_factory.mktemp("private"), plan) as made:
        yield made


@pytest.fixture
def setup(federation, tmp_path):
    """Return a site that has answered nothing yet."""
    return replace(federation.setup("a"), folder=tmp_path)


def question(study=STUDY, by=(), epsilon=0.1):
    return Question(study, tuple(by), epsilon)


def test_an_answer_is_near_the_truth_signed_and_in_the_log(federation, setup):

    answer = ask(setup, question(by=("sex",), epsilon=0.5), START)

    answer.verify(federation.cast.directory["a"])
    first, second = answer.body["steps"]
    assert abs(first["people"] - 400) < 200
    assert abs(second["people"] - 336) < 200
    assert [cell["levels"] for cell in answer.body["cells"]] == [
        ["f"],
        ["m"],
        ["(missing)"],
    ]
    assert (answer.body["spent"], answer.body["of"]) == (0.5, 1.0)
    assert answer.body["class"]["released"] == 2
    (left,) = [one for one in read_releases(setup).departures if one.kind == "private"]
    assert left.released == 2
    assert left.course.title == STUDY.title


def test_no_digest_of_the_data_and_no_exact_count_is_told(setup):
    answer = ask(setup, question(by=("sex",)), START)

    assert "snapshot" not in json.dumps(answer.as_json())


def test_the_same_question_is_given_the_same_answer_and_costs_nothing(setup):
    first = ask(setup, question(epsilon=0.5), START)

    for _ in range(3):
        assert ask(setup, question(epsilon=0.5), START) == first
    assert spent_of(setup) == 0.5


def test_losses_of_different_questions_add_up_and_then_nothing_is_answered(setup):
    ask(setup, question(epsilon=0.5), START)
    ask(setup, question(by=("sex",), epsilon=0.25), START)
    ask(setup, question(by=("ill",), epsilon=0.25), START)

    with pytest.raises(PrivacySpent, match="only 0 is left"):
        ask(setup, question(by=("ill", "sex"), epsilon=0.001), START)
    assert spent_of(setup) == 1.0
    assert ask(setup, question(epsilon=0.5), START).body["spent"] == 0.5


@pytest.mark.parametrize("epsilon", [0.51, 0.0, -0.1])
def test_one_question_costs_something_and_no_more_than_the_site_allows(epsilon, setup):
    with pytest.raises(PrivacySpent):
        ask(setup, question(epsilon=epsilon), START)


def test_it_is_off_unless_the_site_switches_it_on(setup):
    setup = replace(setup, policy=Policy())

    with pytest.raises(PrivacySpent, match="answers no questions with noise"):
        ask(setup, question(), START)
    on = policy_from({"privacy": {"epsilon": 2.0}})
    assert on.privacy == Privacy(2.0, 0.1)
    assert ask(replace(setup, policy=on), question(), START)


def test_a_site_that_was_stopped_answers_no_question_either(setup):
    stop(setup.folder, START, "")

    with pytest.raises(StoppedHere):
        ask(setup, question(), START)


def test_a_budget_file_that_was_lost_gives_no_budget_back(setup):
    """What was spent is read out of the log, where every answer stands."""
    ask(setup, question(epsilon=0.5), START)
    ask(setup, question(by=("sex",), epsilon=0.5), START)
    for path in setup.folder.glob(FILE + "*"):
        path.unlink()

    with pytest.raises(PrivacySpent):
        ask(setup, question(by=("ill",), epsilon=0.1), START)


def test_an_older_copy_of_the_budget_gives_nothing_back(setup):
    """What it lacks is put back from the log, where every answer stands."""
    ask(setup, question(epsilon=0.5), START)
    older = (setup.folder / FILE).read_bytes()
    ask(setup, question(by=("sex",), epsilon=0.5), START)
    for path in setup.folder.glob(FILE + "*"):
        path.unlink()
    (setup.folder / FILE).write_bytes(older)

    with pytest.raises(PrivacySpent):
        ask(setup, question(by=("ill",), epsilon=0.1), START)
    with pytest.raises(PrivacySpent):
        ask(setup, question(by=("sex",), epsilon=0.5), START)


def spend(folder, number, answers):
    """Ask six questions as one of many processes; say how many were answered."""
    budget = PrivateBudget(folder, tuple)
    done = 0
    for i in range(6):
        try:
            most = Privacy(1.0, 0.1)
            budget.answer(f"{number}/{i}", 0.1, most, lambda spent: {"spent": spent})
        except PrivacySpent:
            continue
        done += 1
    answers.put(done)


def test_many_processes_together_never_spend_more_than_there_is(tmp_path):
    context = multiprocessing.get_context("fork")  # the spenders need no import
    answers = context.Queue()
    asking = [
        context.Process(target=spend, args=(tmp_path, number, answers))
        for number in range(4)
    ]
    for process in asking:
        process.start()
    done = sum(answers.get(timeout=120) for _ in asking)
    for process in asking:
        process.join()

    assert done == 10
    assert PrivateBudget(tmp_path, tuple).spent == pytest.approx(1.0, abs=1e-12)


def test_a_draw_that_fails_spends_nothing(tmp_path):
    budget = PrivateBudget(tmp_path, tuple)

    with pytest.raises(ZeroDivisionError):
        budget.answer("q", 0.1, Privacy(1.0), lambda _: {"x": 1 / 0})
    assert budget.spent == 0


def test_the_smallest_loss_is_one_grain_and_nothing_costs_nothing(tmp_path):
    budget, most = PrivateBudget(tmp_path, tuple), Privacy(1.0)

    assert budget.answer("q", 1 / GRAIN, most, lambda spent: {"spent": spent})
    assert budget.spent == 1 / GRAIN
    with pytest.raises(PrivacySpent, match="and above 0"):
        budget.answer("r", 0.4 / GRAIN, most, dict)
    budget.close()


# --- what is refused, and what few people are told ------------------------------------
def test_too_few_people_are_told_by_the_noisy_count_alone(setup):
    few = toy_study(criteria=(Criterion("Aged 99 or more", "age >= 99"),))
    body = ask(setup, question(few, epsilon=0.5), START).body

    assert not body["enough"]
    assert (body["steps"], body["cells"]) == ([], [])


@pytest.mark.parametrize("by", [("age",), ("sex", "sex"), ("nothing",)])
def test_only_levels_of_categories_are_counted(by, setup):
    with pytest.raises(InvalidStudy):
        ask(setup, question(by=by), START)


def test_a_person_who_could_count_twice_is_refused(setup):
    """The noise covers one cell for each person."""
    of_rows = Analysis("m", "linear", outcome="age", person="sex", most_rows=9)
    study = replace(STUDY, analyses=(of_rows,))

    with pytest.raises(InvalidStudy, match="by themselves alone"):
        ask(setup, question(study), START)


def test_a_field_of_limited_use_is_not_counted_without_a_permit(setup):
    limited = replace(OPEN, limits={"flat.sex": ("DS",)})
    setup = replace(setup, policy=limited)

    with pytest.raises(UseNotAllowed):
        ask(setup, question(by=("sex",)), START)


# --- no refusal tells of a person -----------------------------------------------------
def odd_one(tmp_path, federation, age, sex="f"):
    """Return a site, and the same with one more person, whose cells are given."""
    rows = ["hospital,age,sex,ill", *(f"a,{40 + i % 40},f,no" for i in range(50))]
    found = []
    for name, more in (("without", []), ("with", [f"a,{age},{sex},no"])):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([*rows, *more]) + "\n", encoding="utf-8")
        setup = replace(
            federation.setup("a"),
            folder=tmp_path / name,
            open_source=lambda path=path: open_flat(path),
        )
        found.append(setup)
    return found


def bounded(high):
    age = replace(STUDY.variables[0], bounds=(0.0, high))
    return replace(STUDY, variables=(age, *STUDY.variables[1:]))


def test_no_bound_can_be_halved_until_it_closes_on_one_persons_value(
    tmp_path, federation
):
    """Each question is answered, and paid for, whichever side the value lies on."""
    _, site = odd_one(tmp_path, federation, age=103.25)
    low, high = 80.0, 120.0
    for number in range(1, 9):
        middle = (low + high) / 2
        answer = ask(site, question(bounded(middle), epsilon=0.01), START)
        assert answer.body["spent"] == pytest.approx(number * 0.01)
        low, high = (low, middle) if number % 2 else (middle, high)


@pytest.mark.parametrize("epsilon", [0.01, 0.5])
@pytest.mark.parametrize(
    ("age", "sex"),
    [
        ("103.25", "f"),
        ("-1e300", "f"),
        ("1e400", "f"),
        ("inf", "f"),
        ("about 60", "f"),
        ("1_0", "f"),
        ("\u0663", "f"),
        ("0x1F", "f"),
        ("", ""),
        ("60", "x"),
        ("60", "F "),
        ("9" * 400, "\ud7ff"),
    ],
)
def test_whoever_is_in_the_data_a_question_is_answered(
    age, sex, epsilon, tmp_path, federation
):
    """A person more changes one count by one, at most; never whether there is one."""
    exact = []
    for site in odd_one(tmp_path, federation, age, sex):
        asked = question(bounded(100.0), by=("sex",), epsilon=epsilon)
        assert ask(site, asked, START).body["spent"] == epsilon
        with site.open_source() as source:
            cohort = build(asked.study, source, refuses_unfit=False)
        exact.append(np.array(_counts(asked, cohort)))

    assert np.abs(exact[1] - exact[0]).sum() == 1
    assert (exact[1] >= exact[0]).all()


def test_differencing_two_answers_tells_nobody():
    """A cohort and the same without one person: exact counts differ by that person.

    Over many pairs of answers the differences are those of noise, on whichever side of
    the pair the person is.
    """
    epsilon, pairs = 0.5, 4000
    with_them = np.array(noisy([200] * pairs, epsilon))
    without = np.array(noisy([199] * pairs, epsilon))
    guessed = np.mean(with_them > without) + np.mean(with_them == without) / 2

    # no test between the two is right more often than e^eps / (1 + e^eps)
    assert guessed < np.exp(epsilon) / (1 + np.exp(epsilon)) + 5 / np.sqrt(pairs)


def test_no_estimate_of_a_certificate_bears_noise():
    """Nothing that makes certified estimates reaches the mechanism."""
    root = pathlib.Path(hetao.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "hetao.release.private " in path.read_text("utf-8")
    }

    assert users == {
        "federation/self_service.py",
        "federation/private_budget.py",
    }
