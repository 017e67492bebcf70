"""What the rulebook promises: dated rules, sources, the right answer on a day."""

import datetime
import itertools
from dataclasses import replace

import pytest

from hetao.errors import BasisMissing, FactsMissing, InvalidFacts, RuleForbids
from hetao.permit import answer, check_allowed, facts_from, requirements
from hetao.permit.facts import LANGUAGES, Facts, Held
from support_rules import BOOK, HONG_KONG, SHENZHEN, TODAY, facts, witness

D_2022 = datetime.date(2022, 9, 1)
BEFORE = datetime.date(2024, 3, 21)
AFTER = datetime.date(2024, 3, 22)
IN_2026 = datetime.date(2026, 1, 1)


def applying(found):
    return {finding.rule.id for finding in found.of("applies")}


def ask(day, base=SHENZHEN, *held, **changed):
    return answer(facts(base, *held, **changed), day, BOOK)


# --- every rule ---------------------------------------------------------------------
@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_every_rule_says_what_it_means_where_it_is_written_and_how_sure_it_is(rule):
    assert set(rule.title) == set(rule.says) == set(LANGUAGES)
    assert rule.source.title
    assert rule.source.article
    assert rule.source.url.startswith("https://")
    assert rule.confidence in ("high", "medium", "low")
    assert rule.effective <= rule.verified_on <= TODAY
    assert rule.jurisdiction


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_no_rule_is_dead(rule):
    found = witness(rule.condition, dict(BOOK.facts))

    assert found is not None
    assert rule.id in applying(answer(Facts(found), rule.effective, BOOK))


def test_rules_hold_from_their_first_to_their_last_day():
    day = datetime.timedelta(days=1)
    for rule in BOOK.rules:
        last = rule.expires
        assert not rule.is_in_force(rule.effective - day)
        assert rule.is_in_force(rule.effective)
        assert last is None or (
            rule.is_in_force(last),
            rule.is_in_force(last + day),
        ) == (
            True,
            False,
        )


def test_packs_for_every_matter_are_there():
    wanted = {"cn-export", "gba-contract", "cn-hgr", "cn-grades", "hk-pdpo", "duo"}
    wanted |= {"hk-ehealth", "hk-ha", "ethics", "hk-trials", "hipaa", "materials"}
    wanted |= {"people", "capital"}
    assert {pack.id for pack in BOOK.packs} == wanted
    assert all(pack.verified_by for pack in BOOK.packs)


def test_every_crossing_asks_an_office_on_each_side():
    for crossing in ("data", "materials", "people", "capital"):
        asked = requirements(crossing, ["HK", "SZ"], TODAY)
        assert {need.side for need in asked} == {"HK", "SZ"}


def test_what_could_not_be_confirmed_is_not_shipped():
    said = " ".join(text for rule in BOOK.rules for text in rule.says.values())

    assert "250" not in said
    assert "500" not in said


def test_a_rule_read_too_long_ago_is_due():
    assert BOOK.due(TODAY, 365) == ()
    later = TODAY + datetime.timedelta(days=366)
    assert BOOK.due(later, 365) == BOOK.rules


# --- three days, three answers ------------------------------------------------------
def test_the_same_request_has_another_answer_on_each_of_three_days():
    """A hospital with 1.2 million records, 6,000 patients last year and 5,000 this."""
    request = {
        "exporter__people_processed": 1_200_000,
        "counts__sensitive_since_1_january": 5_000,
        "counts__people_since_1_january_last_year": 11_000,
        "counts__sensitive_since_1_january_last_year": 11_000,
    }
    before, after, in_2026 = (ask(d, **request) for d in (BEFORE, AFTER, IN_2026))

    assert [a.route for a in (before, after, in_2026)] == [
        "assessment",
        "contract",
        "contract",
    ]
    assert "cn-assessment-2022-volume" in applying(before)
    assert "cn-contract-2024" in applying(after)
    assert "cn-contract-2026" in applying(in_2026)
    assert "认证办法" in next(
        f.rule.source.title
        for f in in_2026.of("applies")
        if f.rule.id == "cn-contract-2026"
    )
    assert len({a.digest for a in (before, after, in_2026)}) == 3


def test_routes_came_into_force_one_after_another():
    days = ["2022-08-31", "2022-09-01", "2022-11-03", "2022-11-04", "2023-05-31"]
    days += ["2023-06-01", "2024-03-21"]
    found = [ask(datetime.date.fromisoformat(day)) for day in days]

    assert [a.route for a in found] == [*["unknown"] * 3, *["contract"] * 4]
    assert all(a.gaps == ("cn-export",) for a in found[:3])
    one_of = [n.one_of for a in found[3:] for n in a.needs if n.rule.startswith("cn-c")]
    assert "cn-standard-contract" not in one_of[0]
    assert "cn-standard-contract" in one_of[2]


# --- thresholds ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("day", "count", "number", "route"),
    [
        (AFTER, "sensitive_since_1_january", 9_999, "contract"),
        (AFTER, "sensitive_since_1_january", 10_000, "assessment"),
        (IN_2026, "sensitive_since_1_january", 9_999, "contract"),
        (IN_2026, "sensitive_since_1_january", 10_000, "assessment"),
        (AFTER, "plain_since_1_january", 999_999, "contract"),
        (AFTER, "plain_since_1_january", 1_000_000, "assessment"),
        (BEFORE, "sensitive_since_1_january_last_year", 9_999, "contract"),
        (BEFORE, "sensitive_since_1_january_last_year", 10_000, "assessment"),
        (BEFORE, "people_since_1_january_last_year", 99_999, "contract"),
        (BEFORE, "people_since_1_january_last_year", 100_000, "assessment"),
    ],
)
def test_a_threshold_includes_its_number(day, count, number, route):
    assert ask(day, **{f"counts__{count}": number}).route == route


@pytest.mark.parametrize(
    ("day", "processed", "route"),
    [
        (BEFORE, 999_999, "contract"),
        (BEFORE, 1_000_000, "assessment"),
        (AFTER, 1_000_000, "contract"),
    ],
)
def test_people_processed_counted_until_march_2024(day, processed, route):
    assert ask(day, exporter__people_processed=processed).route == route


@pytest.mark.parametrize(
    ("plain", "sensitive", "route"),
    [
        (99_999, 0, "exempt"),
        (100_000, 0, "contract"),
        (99_999, 1, "contract"),
        (999_999, 0, "contract"),
        (1_000_000, 0, "assessment"),
    ],
)
def test_only_what_is_not_sensitive_is_exempt_when_small(plain, sensitive, route):
    found = ask(
        AFTER,
        data__sensitive=False,
        counts__plain_since_1_january=plain,
        counts__sensitive_since_1_january=sensitive,
    )

    assert found.route == route


def test_health_data_are_never_exempt_by_number():
    assert ask(AFTER, counts__sensitive_since_1_january=0).route == "contract"


@pytest.mark.parametrize("day", [D_2022, BEFORE, AFTER, IN_2026])
@pytest.mark.parametrize("fact", ["data__important", "exporter__ciio"])
def test_important_data_and_critical_infrastructure_are_assessed(day, fact):
    assert ask(day, **{fact: True}).route == "assessment"


def test_important_data_are_assessed_though_they_are_not_personal():
    found = ask(AFTER, data__personal_information=False, data__important=True)

    assert found.route == "assessment"


def test_an_answer_says_up_to_which_count_it_holds():
    below = dict(ask(IN_2026).holds_below)

    assert below["counts.sensitive_since_1_january"] == 10_000
    assert below["counts.plain_since_1_january"] == 100_000


# --- the exhaustive decision table --------------------------------------------------
def expected(day, values):
    """The table of the report, stated a second time."""
    plain = values["counts.plain_since_1_january"]
    sensitive = values["counts.sensitive_since_1_january"]
    last = values["counts.sensitive_since_1_january_last_year"]
    new = day >= AFTER
    over = plain >= 1_000_000 or sensitive >= 10_000 if new else last >= 10_000
    if values["data.important"]:
        return "assessment"
    if not values["data.personal_information"]:
        return "none"
    if new and values["exporter.exemption"] != "none":
        return "exempt"
    if values["exporter.ciio"] or over:
        return "assessment"
    return "exempt" if new and plain < 100_000 and sensitive == 0 else "contract"


def test_the_decision_table_holds_for_every_combination():
    count = 0
    routed = replace(BOOK, rules=tuple(r for r in BOOK.rules if r.route))
    choices = (
        (BEFORE, AFTER, IN_2026),
        (False, True),
        (False, True),
        (False, True),
        (0, 99_999, 100_000, 1_000_000),
        (0, 1, 9_999, 10_000),
        (9_999, 10_000),
        (False, True),
        (False, True),
    )
    for row in itertools.product(*choices):
        day, ciio, important, personal, plain, sensitive, last, exempt, gba = row
        request = facts(
            SHENZHEN,
            route__both_in_gba=gba,
            exporter__ciio=ciio,
            data__important=important,
            data__personal_information=personal,
            data__sensitive=sensitive > 0,
            counts__plain_since_1_january=plain,
            counts__sensitive_since_1_january=sensitive,
            counts__sensitive_since_1_january_last_year=last,
            exporter__exemption="contract-with-person" if exempt else "none",
        )
        found = answer(request, day, routed)
        assert found.gaps == (), row
        assert found.route == expected(day, request.values), row
        count += 1
    assert count == 3 * 8 * 4 * 4 * 2 * 4


# --- unknown is asked, never "not required" -----------------------------------------
@pytest.mark.parametrize(
    "base", [SHENZHEN, HONG_KONG], ids=["from Shenzhen", "from Hong Kong"]
)
def test_a_full_form_leaves_nothing_unknown(base):
    assert ask(TODAY, base).unknown == ()
    assert ask(TODAY, base).asks == ()


def test_an_empty_form_asks_and_settles_nothing():
    found = answer(Facts(), TODAY, BOOK)

    assert found.of("applies") == ()
    assert found.of("does not apply") == ()
    assert found.route == "unknown"
    with pytest.raises(FactsMissing):
        check_allowed(found)


def test_a_missing_count_leaves_the_route_unknown_and_is_asked_for():
    given = facts(SHENZHEN).without("counts.sensitive_since_1_january")
    found = answer(given, TODAY, BOOK)

    assert found.route == "unknown"
    assert "counts.sensitive_since_1_january" in found.asks


# --- what must be held beforehand ---------------------------------------------------
HELD = ("cn-standard-contract", "cn-impact-assessment", "cn-separate-consent")


def test_a_request_that_holds_what_it_needs_is_allowed():
    check_allowed(ask(TODAY, SHENZHEN, *HELD))


@pytest.mark.parametrize("left_out", HELD)
def test_without_one_of_them_it_is_refused(left_out):
    held = [name for name in HELD if name != left_out]

    with pytest.raises(BasisMissing, match=left_out):
        check_allowed(ask(TODAY, SHENZHEN, *held))


@pytest.mark.parametrize(
    "basis",
    [
        Held("cn-standard-contract", ""),
        Held("cn-standard-contract", "  "),
        Held("cn-standard-contract", "7", valid_until=TODAY - datetime.timedelta(1)),
        Held("cn-standard-contract", "7", valid_from=TODAY + datetime.timedelta(1)),
    ],
)
def test_a_basis_without_reference_or_out_of_its_dates_is_not_held(basis):
    given = Facts(SHENZHEN, (basis,))

    assert "cn-contract-2026" in {n.rule for n in answer(given, TODAY, BOOK).missing}


def test_the_contract_does_not_serve_where_an_assessment_is_needed():
    found = ask(TODAY, SHENZHEN, *HELD, counts__sensitive_since_1_january=10_000)

    with pytest.raises(BasisMissing, match="cn-security-assessment"):
        check_allowed(found)


def test_nothing_goes_to_a_foreign_court_without_approval():
    found = ask(TODAY, SHENZHEN, *HELD, route__foreign_authority=True)

    with pytest.raises(BasisMissing, match="cn-authority-approval"):
        check_allowed(found)


# --- the Greater Bay Area -----------------------------------------------------------
def test_within_the_bay_area_its_own_contract_serves_too():
    held = ("gba-standard-contract", *HELD[1:])

    check_allowed(ask(TODAY, SHENZHEN, *held, route__both_in_gba=True))
    with pytest.raises(BasisMissing):
        check_allowed(ask(TODAY, SHENZHEN, *held))


def test_the_bay_area_contract_does_not_serve_what_is_passed_on():
    changed = {"route__both_in_gba": True, "route__onward_outside_gba": True}
    held = ("gba-standard-contract", *HELD[1:])
    found = ask(TODAY, SHENZHEN, *held, **changed)

    assert "gba-onward" in applying(found)
    with pytest.raises(BasisMissing):
        check_allowed(found)


def test_the_bay_area_contract_above_the_thresholds_is_for_counsel():
    found = ask(
        TODAY,
        route__both_in_gba=True,
        counts__sensitive_since_1_january=10_000,
    )
    rule = next(
        f.rule for f in found.of("applies") if f.rule.id == "gba-above-thresholds"
    )

    assert rule.needs_counsel
    assert found.route == "assessment"


# --- the form -----------------------------------------------------------------------
def test_facts_files_hold_what_the_form_knows_and_nothing_else():
    instruments = set(BOOK.instruments)
    good = {"request": {"crossing": "data"}, "counts": {"plain_since_1_january": 3}}

    assert facts_from(good, BOOK.facts, instruments).values == {
        "request.crossing": "data",
        "counts.plain_since_1_january": 3,
    }
    for bad in (
        {"request": {"crossing": "smuggling"}},
        {"request": {"colour": "red"}},
        {"request": "data"},
        {"counts": {"plain_since_1_january": -1}},
        {"counts": {"plain_since_1_january": True}},
        {"counts": {"plain_since_1_january": 2**60}},
        {"data": {"sensitive": "yes"}},
        {"use": {"codes": ["HMB", "HMB"]}},
        {"use": {"codes": ["XYZ"]}},
        {"bases": {"a-licence-to-kill": {"reference": "007"}}},
        {"bases": {"cn-certification": {}}},
        {"bases": {"cn-certification": {"reference": "1", "valid_until": "soon"}}},
        {"bases": {"cn-certification": {"instrument": "x", "reference": "1"}}},
    ):
        with pytest.raises(InvalidFacts):
            facts_from(bad, BOOK.facts, instruments)


def test_what_is_forbidden_names_rule_and_source():
    found = ask(TODAY, SHENZHEN, *HELD, consent__mainland="nothing")

    with pytest.raises(RuleForbids, match=r"cn-no-ground.*art\. 13, 39"):
        check_allowed(found)
