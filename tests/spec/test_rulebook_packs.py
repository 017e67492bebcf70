"""Worked cases, pack by pack: what each asks, forbids or leaves to be asked."""

import datetime

import pytest

from hetao.errors import BasisMissing, FactsMissing, RuleForbids
from hetao.permit import answer, check_allowed
from hetao.permit.facts import Facts
from support_rules import BOOK, HONG_KONG, SHENZHEN, TODAY, facts

HGR = {
    "hgr__used": True,
    "hgr__foreign_party": True,
    "hgr__information_provided": False,
    "hgr__may_affect_public": False,
    "hgr__trial_for_marketing": False,
    "hgr__material_leaves": False,
    "hgr__changed": False,
    "hgr__sold": False,
    "hgr__written_consent": True,
}
HA = {"hk__ha": True, "hk__local_investigator": True}
TRIAL = {
    "trial__in_hong_kong": True,
    "trial__certificate": "valid",
    "trial__conditions_met": True,
    "trial__warned": False,
    "trial__condition_varied": False,
}
USE = {
    "kind": "health-research",
    "named_disease": True,
    "research_type": True,
    "genetic": True,
    "for_profit_user": False,
    "commercial": False,
    "region_allowed": True,
    "user_approved": True,
    "project_approved": True,
    "institution_approved": True,
    "months_left": 12,
}
PROFILE = {
    "profile__hipaa_safe_harbour": True,
    "profile__identifiers_left": (),
    "profile__smallest_area_people": 20_001,
    "profile__ages_over_89": False,
    "profile__known_identifiable": False,
}


def case(base, *parts, day=TODAY, held=(), **changed):
    merged = {key: value for part in parts for key, value in part.items()}
    return answer(facts(base, *held, **{**merged, **changed}), day, BOOK)


def ids(found, verdict="applies"):
    return {finding.rule.id for finding in found.of(verdict)}


def forbidding(found):
    return {finding.rule.id for finding in found.forbidden}


def asked_for(found):
    return {name for need in found.missing for name in need.one_of}


# --- human genetic resources --------------------------------------------------------
def test_a_foreign_party_needs_approval_a_backup_and_a_report_in_six_months():
    found = case(SHENZHEN, HGR)

    assert "hgr-cooperation-approval" in asked_for(found)
    assert {"hgr-backup", "hgr-report"} <= ids(found)
    report = next(f.rule for f in found.of("applies") if f.rule.id == "hgr-report")
    assert (report.clock.count, report.clock.unit) == (6, "months")
    assert report.clock.start == "end-of-cooperation"


def test_without_a_foreign_party_the_rules_of_cooperation_do_not_apply():
    found = case(SHENZHEN, HGR, hgr__foreign_party=False)

    assert "hgr-cooperation" in ids(found, "does not apply")


def test_whether_a_hong_kong_institution_is_foreign_is_asked_not_assumed():
    given = facts(SHENZHEN, **HGR).without("hgr.foreign_party")
    found = answer(given, TODAY, BOOK)

    assert "hgr-cooperation" in ids(found, "unknown")
    assert "hgr.foreign_party" in found.asks


def test_a_trial_for_marketing_is_filed_and_needs_no_approval():
    found = case(SHENZHEN, HGR, hgr__trial_for_marketing=True)

    assert "hgr-trial-filing" in asked_for(found)
    assert "hgr-cooperation" not in ids(found)


def test_the_simple_filing_does_not_serve_once_material_leaves():
    changed = {"hgr__trial_for_marketing": True, "hgr__material_leaves": True}

    assert "hgr-foreign-export" in forbidding(case(SHENZHEN, HGR, **changed))


def test_information_is_reported_and_reviewed_if_it_may_affect_the_public():
    plain = case(SHENZHEN, HGR, hgr__information_provided=True)
    grave = case(
        SHENZHEN, HGR, hgr__information_provided=True, hgr__may_affect_public=True
    )

    assert {"hgr-information-report"} <= asked_for(plain)
    assert "hgr-security-review" not in ids(plain)
    assert ("hgr-security-review",) in {need.one_of for need in grave.missing}


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"hgr__sold": True}, "hgr-sale"),
        ({"hgr__written_consent": False}, "hgr-consent"),
    ],
)
def test_sale_and_want_of_consent_forbid(changed, rule):
    assert forbidding(case(SHENZHEN, HGR, **changed)) == {rule}


def test_the_health_commission_is_competent_since_may_2024():
    day = datetime.date(2024, 5, 1)

    assert "hgr-competent" in ids(case(SHENZHEN, HGR, day=day))
    before = case(SHENZHEN, HGR, day=day - datetime.timedelta(days=1))
    assert "hgr-competent" not in ids(before)


# --- grades -------------------------------------------------------------------------
@pytest.mark.parametrize(("level", "rule"), [(2, ""), (3, "grades-three"), (4, "no")])
def test_level_four_never_leaves_and_level_three_leaves_sealed(level, rule):
    found = case(SHENZHEN, data__level_released=level)

    assert ("grades-three" in ids(found)) == (rule == "grades-three")
    assert bool(forbidding(found)) == (rule == "no")


def test_a_field_without_level_and_core_data_forbid():
    assert forbidding(case(SHENZHEN, data__graded=False)) == {"grades-every-field"}
    assert forbidding(case(SHENZHEN, data__core=True)) == {"grades-core"}


# --- Hong Kong ----------------------------------------------------------------------
def test_research_is_exempt_from_principle_three_if_three_things_hold():
    assert "pdpo-research" in ids(case(HONG_KONG))
    for changed in ({"hk__research_only": False}, {"hk__results_identify": True}):
        found = case(HONG_KONG, **changed)
        assert "pdpo-research" not in ids(found)
        assert "hk-prescribed-consent" in asked_for(found)


@pytest.mark.parametrize("fact", ["hk.research_only", "hk.results_identify"])
def test_each_of_the_three_is_asked(fact):
    found = answer(facts(HONG_KONG).without(fact), TODAY, BOOK)

    assert fact in found.asks
    with pytest.raises(FactsMissing):
        check_allowed(found)


def test_section_33_is_noted_as_not_in_operation_and_asks_nothing():
    found = case(HONG_KONG)
    rule = next(f.rule for f in found.of("applies") if f.rule.id == "pdpo-transfer")

    assert rule.effect == "notes"
    assert "not in operation" in rule.source.article
    assert found.route == "none"


def test_ehealth_data_need_an_approval_under_the_ordinance_of_the_day():
    first = datetime.date(2025, 12, 1)
    after = case(HONG_KONG, hk__ehealth=True, day=first)
    before = case(HONG_KONG, hk__ehealth=True, day=first - datetime.timedelta(days=1))

    assert "ehealth-research" in ids(after)
    assert "ehealth-research-2015" in ids(before)
    for found in (before, after):
        assert "hk-ehealth-research-approval" in asked_for(found)
    assert all(r.needs_counsel for r in BOOK.rules if r.id.startswith("ehealth-r"))


@pytest.mark.parametrize(
    ("way", "wanted"),
    [
        ("summary-data", {"hk-ha-panel", "hk-ha-undertaking"}),
        (
            "patient-records",
            {"hk-ha-panel", "hk-ha-undertaking", "research-ethics-approval"},
        ),
        ("collaboration-laboratory", {"hk-ha-collaboration", "hk-ha-undertaking"}),
        ("inside-ha", {"hk-ha-approval", "hk-ha-collaboration"}),
    ],
)
def test_each_way_to_the_authoritys_data_asks_its_own(way, wanted):
    assert asked_for(case(HONG_KONG, HA, hk__ha_way=way)) == wanted


def test_the_authority_takes_requests_of_local_investigators():
    changed = {"hk__ha_way": "patient-records", "hk__local_investigator": False}

    assert forbidding(case(HONG_KONG, HA, **changed)) == {"ha-local-investigator"}


@pytest.mark.parametrize(
    ("changed", "forbids"),
    [
        ({}, set()),
        ({"trial__certificate": "none"}, {"trial-none"}),
        ({"trial__certificate": "cancelled"}, {"trial-cancelled"}),
        ({"trial__certificate": "suspended"}, {"trial-suspended"}),
        ({"trial__conditions_met": False}, {"trial-conditions"}),
    ],
)
def test_a_trial_needs_its_certificate_and_its_conditions(changed, forbids):
    found = case(HONG_KONG, TRIAL, **changed)

    assert forbidding(found) == forbids
    assert "hk-clinical-trial-certificate" in asked_for(found)


def test_a_warning_is_written_down_and_a_varied_condition_begins_anew():
    assert "trial-warned" in ids(case(HONG_KONG, TRIAL, trial__warned=True))
    found = case(HONG_KONG, TRIAL, trial__condition_varied=True)
    assert "trial-varied" in ids(found)


# --- ethics -------------------------------------------------------------------------
def test_both_sides_sign_and_check_whatever_the_facts():
    found = case(SHENZHEN)

    approvals = {(n.side, n.role) for n in found.offices(["HK", "SZ"], "approve")}
    checks = {(n.side, n.role) for n in found.offices(["HK", "SZ"], "review")}
    assert approvals == {
        (side, role) for side in ("HK", "SZ") for role in ("ethics", "data-protection")
    }
    assert checks == {("HK", "output-checker"), ("SZ", "output-checker")}


def test_research_without_consent_needs_the_committees_waiver():
    assert "ethics-waiver" in asked_for(case(SHENZHEN, consent__waived=True))


# --- DUO: may the data be used for this? --------------------------------------------
@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("GRU", {"kind": "not-research"}),
        ("HMB", {"kind": "ancestry-research"}),
        ("HMB", {"kind": "other-research"}),
        ("DS", {"named_disease": False}),
        ("POA", {"kind": "health-research"}),
        ("RS", {"research_type": False}),
        ("NMDS", {"kind": "methods-research"}),
        ("GSO", {"genetic": False}),
        ("NPUNCU", {"commercial": True}),
        ("NPUNCU", {"for_profit_user": True}),
        ("GS", {"region_allowed": False}),
        ("TS", {"months_left": 0}),
        ("US", {"user_approved": False}),
        ("PS", {"project_approved": False}),
        ("IS", {"institution_approved": False}),
        ("NPOA", {"kind": "ancestry-research"}),
        ("NPU", {"for_profit_user": True}),
        ("NCU", {"commercial": True}),
    ],
)
def test_a_use_that_a_code_does_not_allow_is_forbidden(code, changed):
    def ask(**use):
        stated = {f"use__{key}": value for key, value in {**USE, **use}.items()}
        return case(SHENZHEN, stated, use__codes=(code,))

    assert forbidding(ask(**changed)) == {f"duo-{code.lower()}"}
    allowed = {"kind": "ancestry-research"} if code == "POA" else {}
    assert forbidding(ask(**allowed)) == set()


def test_every_code_has_a_rule_and_codes_add_up():
    codes = BOOK.facts["use.codes"].choices
    stated = {f"use__{key}": value for key, value in USE.items()}

    assert len(codes) == 23
    assert {f"duo-{code.lower()}" for code in codes} <= {r.id for r in BOOK.rules}
    found = case(
        SHENZHEN, stated, use__codes=("HMB", "COL", "IRB"), use__commercial=True
    )
    assert forbidding(found) == set()
    assert {"duo-collaboration", "research-ethics-approval"} <= asked_for(found)


def test_codes_that_nobody_stated_are_asked_for():
    found = answer(facts(SHENZHEN).without("use.codes"), TODAY, BOOK)

    assert "use.codes" in found.asks
    assert {f.rule.id for f in found.unknown} >= {"duo-hmb", "duo-ncu"}


# --- a profile that may be claimed --------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "forbids"),
    [
        ({}, set()),
        ({"profile__smallest_area_people": 20_000}, {"hipaa-areas"}),
        ({"profile__ages_over_89": True}, {"hipaa-ages"}),
        ({"profile__known_identifiable": True}, {"hipaa-knowledge"}),
        ({"profile__identifiers_left": ("fax-numbers",)}, {"hipaa-identifiers"}),
    ],
)
def test_the_safe_harbour_is_claimed_only_if_all_of_it_holds(changed, forbids):
    assert forbidding(case(SHENZHEN, PROFILE, **changed)) == forbids


def test_each_of_the_eighteen_identifiers_breaks_the_claim():
    kinds = BOOK.facts["profile.identifiers_left"].choices

    assert len(kinds) == 18
    for kind in kinds:
        found = case(SHENZHEN, PROFILE, profile__identifiers_left=(kind,))
        assert forbidding(found) == {"hipaa-identifiers"}


# --- the three other crossings ------------------------------------------------------
MATERIALS = {
    "request.crossing": "materials",
    "material.special_article": True,
    "material.crosses_mainland_border": True,
    "material.enters_hong_kong": True,
    "material.infectious": False,
    "material.consent_covers": True,
    "use.codes": (),
    **{key.replace("__", "."): value for key, value in HGR.items()},
    "hgr.foreign_party": False,
    "hgr.material_leaves": True,
}


def test_samples_need_export_certificate_and_quarantine_approval():
    found = case(MATERIALS)

    assert asked_for(found) == {"hgr-export-certificate", "cn-quarantine-approval"}
    assert found.unknown == ()
    with pytest.raises(BasisMissing):
        check_allowed(found)
    held = ("hgr-export-certificate", "cn-quarantine-approval")
    check_allowed(case(MATERIALS, held=held))


def test_quarantine_is_by_the_order_of_the_day():
    last = datetime.date(2026, 7, 31)

    assert "materials-quarantine-2015" in ids(case(MATERIALS, day=last))
    after = case(MATERIALS, day=last + datetime.timedelta(days=1))
    assert "materials-quarantine" in ids(after)
    assert "materials-quarantine-2015" not in ids(after)


def test_infectious_material_needs_the_directors_permit_in_hong_kong():
    found = case(MATERIALS, material__infectious=True)

    assert "hk-import-permit" in asked_for(found)


def test_samples_beyond_their_consent_do_not_cross():
    found = case(MATERIALS, material__consent_covers=False)

    with pytest.raises(RuleForbids, match="materials-consent"):
        check_allowed(found)


PEOPLE = {
    "request.crossing": "people",
    "person.document_valid": True,
    "person.pre_registered": True,
    "person.works_on_trial": True,
    "person.gcp_valid": True,
    "person.sees_rows": False,
}


@pytest.mark.parametrize(
    ("changed", "forbids"),
    [
        ({}, set()),
        ({"person__document_valid": False}, {"people-document"}),
        ({"person__gcp_valid": False}, {"people-gcp"}),
        ({"person__sees_rows": True}, {"people-see-rows"}),
    ],
)
def test_people_cross_with_documents_and_training_and_carry_no_rows(changed, forbids):
    found = case(PEOPLE, **changed)

    assert forbidding(found) == forbids
    assert found.unknown == ()
    assert {n.role for n in found.offices(["HK", "SZ"], "approve")} == {"host"}


CAPITAL = {
    "request.crossing": "capital",
    "route.leaves_mainland": True,
    "capital.sanctioned_payee": False,
    "capital.by_stablecoin": False,
    "capital.milestones": True,
    "hgr.used": False,
}


def test_money_needs_an_agreement_and_the_banks_review():
    found = case(CAPITAL)

    assert asked_for(found) == {"grant-agreement", "bank-review"}
    assert found.unknown == ()
    assert forbidding(case(CAPITAL, capital__sanctioned_payee=True)) == {
        "capital-sanctions"
    }
    paid = case(CAPITAL, capital__by_stablecoin=True)
    assert "stablecoin-licence" in asked_for(paid)
    early = case(CAPITAL, capital__by_stablecoin=True, day=datetime.date(2025, 7, 31))
    assert "stablecoin-licence" not in asked_for(early)


def test_rules_of_one_crossing_do_not_reach_another():
    assert not any(i.startswith(("cn-", "hk-", "pdpo")) for i in ids(case(CAPITAL)))
    nothing = answer(Facts({"request.crossing": "people"}), TODAY, BOOK)
    assert "cn-impact-assessment" in ids(nothing, "does not apply")
