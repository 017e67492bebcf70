"""A site whose data do not reach the study's [quality] cannot join; it says no more."""

from dataclasses import replace

import pytest

from hetao.canonical import parse_canonical
from hetao.cdm.quality import Quality, Statistics
from hetao.cdm.quality.check import Check
from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy, QualityTooLow, Stopped
from hetao.federation.joining import check_joins
from hetao.study import Analysis, Level, QualityRule, Variable, study_from
from support_federation import Federation, Plan, toy_study

AGE = Variable("age", "number", "age", bounds=(0.0, 120.0))
SEX = Variable("sex", "category", "sex", levels=(Level("f", 8532), Level("m", 8507)))
BIRTH, GENDER = "year_of_birth", "gender_concept_id"
COUNT = 137


def study(**rule):
    return replace(
        toy_study((Analysis("who", "table1", variables=("age", "sex")),)),
        variables=(AGE, SEX),
        dictionary=dictionary().name,
        dictionary_digest=dictionary().digest,
        quality=QualityRule(**rule),
    )


def report(*checks):
    return Quality(
        "a",
        "A",
        "en",
        "sha256:x",
        dictionary().digest,
        "2026-11-22",
        "",
        checks,
        Statistics(),
    )


def good(type_, field, table="person"):
    return Check(type_, table, field, rows=1000)


def bad(type_, field, table="person"):
    return Check(type_, table, field, violated=COUNT, rows=1000, threshold=0.01)


GOOD = (
    good("isRequired", BIRTH),
    good("plausibleValueLow", BIRTH),
    good("measureValueCompleteness", GENDER),
)


class Judged(Federation):
    """A federation whose sites come with the quality report that a test gives."""

    low = None

    def setup(self, name):
        return replace(super().setup(name), quality=lambda _: self.low or report(*GOOD))


def stopped(folder, asked, low=None):
    """Return how the run of a study ends; every site has the low report, if any."""
    with Judged(folder, Plan(asked)) as federation:
        federation.low = low
        with pytest.raises(Stopped) as caught:
            federation.run()
        return caught.value


def test_a_site_below_the_threshold_stops_the_study_before_a_row_is_read(tmp_path):
    low = report(*GOOD, bad("plausibleValueHigh", BIRTH))

    said = str(stopped(tmp_path, study(plausibility=0.9), low))

    assert "HT-415" in said
    assert "cannot join" in said
    assert "90% of the checks of plausibility" in said


def test_the_refusal_says_the_rule_and_neither_count_nor_share(tmp_path):
    low = report(*GOOD, bad("plausibleValueHigh", BIRTH))

    said = str(stopped(tmp_path, study(passing=0.8), low))

    assert str(COUNT) not in said
    assert "75" not in said  # the share of its checks that pass, in percent
    assert BIRTH not in said


def test_sites_that_reach_it_go_on_to_their_rows(tmp_path):
    """These sites hold flat tables, which is what they then refuse for."""
    said = str(stopped(tmp_path, study(passing=0.9, completeness=1.0)))

    assert "HT-415" not in said
    assert "dictionary" in said


@pytest.mark.parametrize(
    ("rule", "checks"),
    [
        ({"passing": 0.9}, (*GOOD, bad("isRequired", GENDER))),
        ({"conformance": 0.9}, (*GOOD, bad("isRequired", GENDER))),
        ({"completeness": 0.9}, (*GOOD, bad("measureValueCompleteness", BIRTH))),
        ({"plausibility": 1.0}, (*GOOD, bad("plausibleValueHigh", BIRTH))),
        ({"must_pass": ("isRequired",)}, (*GOOD, bad("isRequired", GENDER))),
        ({"must_pass": ("rows-lost",)}, (*GOOD, bad("rows-lost", "", "diagnosis"))),
        ({"passing": 0.1}, ()),
        ({"plausibility": 0.1}, (good("isRequired", BIRTH),)),
    ],
    ids=str,
)
def test_what_does_not_reach_the_rule_is_refused(rule, checks):
    with pytest.raises(QualityTooLow):
        check_joins("a", study(**rule), report(*checks))


@pytest.mark.parametrize(
    ("rule", "checks"),
    [
        ({}, (bad("isRequired", GENDER),)),
        ({"passing": 0.7}, (*GOOD, bad("isRequired", GENDER))),
        ({"plausibility": 1.0}, (*GOOD, bad("isRequired", GENDER))),
        ({"must_pass": ("isRequired",)}, (*GOOD, bad("plausibleValueLow", BIRTH))),
        # What the study does not read keeps nobody out.
        (
            {"passing": 1.0},
            (*GOOD, bad("isRequired", "drug_concept_id", "drug_exposure")),
        ),
        (
            {"must_pass": ("isRequired",)},
            (*GOOD, bad("isRequired", "person_id", "specimen")),
        ),
    ],
    ids=str,
)
def test_what_reaches_the_rule_joins(rule, checks):
    check_joins("a", study(**rule), report(*checks))


def test_data_that_nobody_checked_do_not_join():
    with pytest.raises(QualityTooLow, match="no quality report"):
        check_joins("a", study(), None)


def test_a_study_that_asks_for_nothing_takes_any_site():
    check_joins("a", replace(study(), quality=None), None)


@pytest.mark.parametrize(
    "rule",
    [
        {"passing": 1.5},
        {"plausibility": -0.1},
        {"must_pass": ["isPretty"]},
        {"most": 0.5},
        {"passing": "high"},
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_kept_is_no_study(rule):
    fields = {"type": "hetao.study/1", **_plain(study())}
    fields["quality"] = rule

    with pytest.raises(InvalidStudy):
        study_from(fields)


def test_a_flat_study_asks_for_no_quality():
    fields = _plain(replace(toy_study(), quality=QualityRule()))

    with pytest.raises(InvalidStudy, match="quality"):
        study_from(fields)


def _plain(asked):
    return parse_canonical(asked.canonical)
