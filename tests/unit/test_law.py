"""What a permit says of the law, and what a draft is refused for."""

import datetime
from dataclasses import replace

import pytest

from hetao.errors import (
    BasisMissing,
    FactsMissing,
    InvalidFacts,
    OutOfTime,
    RuleForbids,
    TooManyPeople,
)
from hetao.federation.grounds import Asked, grounds
from hetao.permit.facts import Facts, Held
from hetao.permit.law import check_count, check_law, day_of_law
from support_rules import BOOK, HONG_KONG, SHENZHEN, facts

NOW = datetime.datetime(2026, 11, 28, 3, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
HELD = ("cn-standard-contract", "cn-impact-assessment", "cn-separate-consent")
DRAFT = Asked(("SZ",), ("HK", "SZ"), 3, NOW, NOW + 90 * DAY)


def found(base=SHENZHEN, held=HELD, draft=DRAFT, **changed):
    return grounds(facts(base, *held, **changed), BOOK, draft)


def test_a_draft_says_which_rules_and_instruments_it_rests_on():
    rests = found()

    assert rests.law.on == "2026-11-28"
    assert rests.law.route == "contract"
    assert rests.law.rulebook == BOOK.digest
    assert rests.law.facts == facts(SHENZHEN, *HELD).digest
    assert "cn-contract-2026" in rests.law.rules
    assert [b.instrument for b in rests.bases] == sorted(HELD)
    assert {n.role for n in rests.required} == {"ethics", "data-protection"}
    assert {n.role for n in rests.reviews} == {"output-checker"}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"consent__mainland": "nothing"}, RuleForbids),
        ({"route__leaves_mainland": False}, InvalidFacts),
        ({"data__level_released": 2}, InvalidFacts),
        ({"request__crossing": "people"}, InvalidFacts),
        ({"counts__sensitive_since_1_january": 10_000}, BasisMissing),
    ],
)
def test_a_draft_is_refused_where_rules_forbid_or_facts_do_not_fit(changed, error):
    with pytest.raises(error):
        found(**changed)


@pytest.mark.parametrize("fact", sorted(SHENZHEN))
def test_a_draft_is_refused_where_a_fact_is_missing_that_a_rule_hangs_on(fact):
    """Every fact of the form is one that some rule which requires or forbids needs."""
    given = facts(SHENZHEN, *HELD).without(fact)
    only_noted = {
        "data.sensitive",  # said by the count of people
        "route.leaves_hong_kong",  # asked for people in Hong Kong alone
        "route.onward_outside_gba",  # of parties that are not both in the area
        "counts.people_since_1_january_last_year",  # of days before 22 March 2024
        "counts.sensitive_since_1_january_last_year",
    }
    if fact in only_noted:
        grounds(given, BOOK, DRAFT)
        return
    with pytest.raises(FactsMissing):
        grounds(given, BOOK, DRAFT)


def test_a_site_in_hong_kong_sends_something_out_of_it():
    draft = replace(DRAFT, sites=("HK",))

    assert found(HONG_KONG, (), draft).law.route == "none"
    with pytest.raises(InvalidFacts, match="leaves_hong_kong"):
        found(HONG_KONG, (), draft, route__leaves_hong_kong=False)


def test_a_basis_must_hold_as_long_as_the_permit():
    ends = datetime.date(2026, 12, 31)
    bases = [Held(name, "1") for name in HELD]
    bases[0] = replace(bases[0], valid_until=ends)
    given = Facts(SHENZHEN, tuple(bases))

    with pytest.raises(BasisMissing, match="ends before"):
        grounds(given, BOOK, DRAFT)
    shorter = replace(DRAFT, until=datetime.datetime(2026, 12, 31, tzinfo=datetime.UTC))
    assert grounds(given, BOOK, shorter).law.route == "contract"


# --- the law moves ------------------------------------------------------------------
def drafted(day):
    now = datetime.datetime.fromisoformat(f"{day}T04:00:00+00:00")
    return found(draft=replace(DRAFT, now=now, until=now + DAY)).law


@pytest.mark.parametrize(
    ("on", "used", "stands"),
    [
        ("2024-03-21", "2024-03-21", True),
        ("2024-03-21", "2024-03-22", False),
        ("2025-12-31", "2026-01-01", False),
        ("2026-01-01", "2026-11-28", True),
    ],
)
def test_a_permit_does_not_outlive_the_rules_that_it_rests_on(on, used, stands):
    law = drafted(on)
    now = datetime.datetime.fromisoformat(f"{used}T04:00:00+00:00")

    if stands:
        check_law(law, now, BOOK)
        return
    with pytest.raises(OutOfTime, match="the law has changed"):
        check_law(law, now, BOOK)


def test_a_law_begins_with_the_day_in_hong_kong_and_the_mainland():
    last = datetime.datetime(2025, 12, 31, 15, 59, 59, tzinfo=datetime.UTC)
    second = datetime.timedelta(seconds=1)

    assert day_of_law(last) == datetime.date(2025, 12, 31)
    assert day_of_law(last + second) == datetime.date(2026, 1, 1)


# --- the yearly count ---------------------------------------------------------------
def test_the_count_is_held_under_the_number_at_which_rules_change():
    law = found().law

    check_count(law, 9_999, "shenzhen")
    with pytest.raises(TooManyPeople) as refused:
        check_count(law, 10_000, "shenzhen")
    assert "10000" not in str(refused.value)
    assert refused.value.local == "10000 people"


def test_a_permit_above_the_thresholds_has_no_ceiling_of_theirs():
    held = (*HELD, "cn-security-assessment")
    law = found(held=held, counts__sensitive_since_1_january=10_000).law

    assert law.route == "assessment"
    check_count(law, 20_000, "shenzhen")
