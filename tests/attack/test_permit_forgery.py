"""No permit stands that was not approved as it is, by those whom it asks."""

from dataclasses import replace

import pytest

from hetao.errors import (
    HetaoError,
    InvalidNetwork,
    NotAParty,
    NotApproved,
    OutOfTime,
    Refused,
    WrongStudy,
)
from hetao.permit import (
    Basis,
    Bundle,
    Directory,
    Limit,
    Permit,
    PermittedProtocol,
    Requirement,
    Statement,
    bundle_from,
    check_standing,
    new_identity,
    parse_time,
    sign_notice,
    state,
)
from hetao.permit.law import Law
from support_federation import START

OFFICES = ("ethics-hk", "ethics-sz", "data-protection-hk", "data-protection-sz")


def stands(federation, bundle, trusted=None, now=START):
    check_standing(bundle, federation.study.digest, now, trusted)


def without(bundle, signer):
    left = tuple(n for n in bundle.notices if n.body["by"] != signer)
    return Bundle(bundle.permit, left)


def signed_by_all(federation, permit):
    return federation.cast.approved(Bundle(permit), START)


@pytest.mark.parametrize("office", OFFICES)
def test_a_missing_approval_is_refused_and_named(federation, office):
    bundle = without(federation.bundle, office)

    with pytest.raises(NotApproved) as caught:
        stands(federation, bundle)

    role, side = office.rsplit("-", 1)
    assert f"{role} on side {side.upper()}" in str(caught.value)


@pytest.mark.parametrize("verb", ["refuse", "withdraw"])
@pytest.mark.parametrize("office", OFFICES)
def test_one_refusal_or_withdrawal_is_enough(federation, office, verb):
    signer = federation.cast.identities[office]
    bundle = sign_notice(federation.bundle, signer, verb, START)

    for order in (bundle.notices, bundle.notices[::-1]):
        with pytest.raises(NotApproved, match=office):
            stands(federation, Bundle(bundle.permit, order))


def test_no_approvals_at_all_are_refused(federation):
    with pytest.raises(NotApproved):
        stands(federation, Bundle(federation.bundle.permit))


def test_a_forged_approval_is_refused(federation):
    bundle = without(federation.bundle, "ethics-hk")
    (true,) = [n for n in federation.bundle.notices if n.body["by"] == "ethics-hk"]
    of_another = bundle.notices[0].signature
    stranger = new_identity("ethics-hk", sealing=False)

    forged = [
        state(stranger, true.body),
        Statement(true.body, ""),
        Statement(true.body, "AAAA"),
        Statement(true.body, of_another),
        Statement({**true.body, "at": "2026-01-01T00:00:00Z"}, true.signature),
    ]
    for notice in forged:
        with pytest.raises(NotApproved):
            stands(federation, Bundle(bundle.permit, (*bundle.notices, notice)))


def test_an_approval_of_another_permit_is_refused(federation):
    other = replace(federation.bundle.permit, number="another")
    others = signed_by_all(federation, other)

    with pytest.raises(NotApproved):
        stands(federation, Bundle(federation.bundle.permit, others.notices))


def test_an_approval_in_another_office_is_refused(federation):
    bundle = without(federation.bundle, "ethics-sz")
    body = {
        "type": "hetao.notice/2",
        "verb": "approve",
        "permit": bundle.permit.digest,
        "role": "ethics",
        "side": "SZ",
        "by": "ethics-hk",
        "key": "ethics-hk",
        "sequence": 2,
        "at": "2026-11-22T08:00:00Z",
    }
    notice = state(federation.cast.identities["ethics-hk"], body)

    with pytest.raises(NotApproved):
        stands(federation, Bundle(bundle.permit, (*bundle.notices, notice)))


@pytest.mark.parametrize(
    "changes", [{"type": "hetao.notice/1"}, {"verb": "agree"}, {"verb": ["approve"]}]
)
def test_a_notice_of_an_unknown_kind_is_refused(federation, changes):
    first, *rest = federation.bundle.notices
    signer = federation.cast.identities[first.body["by"]]
    odd = state(signer, {**first.body, **changes})

    with pytest.raises(NotApproved):
        stands(federation, Bundle(federation.bundle.permit, (odd, *rest)))


@pytest.mark.parametrize("name", ["a", "hub-hk", "coordinator", "stranger"])
def test_a_key_that_is_not_asked_cannot_approve(federation, name):
    known = federation.cast.identities
    identity = known.get(name) or new_identity(name)

    with pytest.raises(NotAParty):
        sign_notice(federation.bundle, identity, "approve", START)


def test_a_strangers_notice_spoils_the_file(federation):
    stranger = new_identity("stranger", sealing=False)
    first = federation.bundle.notices[0]
    notice = state(stranger, {**first.body, "by": "stranger"})
    bundle = Bundle(federation.bundle.permit, (*federation.bundle.notices, notice))

    with pytest.raises(NotApproved):
        stands(federation, bundle)


def test_a_verb_outside_the_list_is_not_signed(federation):
    with pytest.raises(Refused):
        sign_notice(
            federation.bundle, federation.cast.identities["ethics-hk"], "maybe", START
        )


# --- time and study -----------------------------------------------------------------
def test_a_permit_does_not_stand_before_or_after_its_time(federation):
    permit = federation.bundle.permit
    begin, end = parse_time(permit.not_before), parse_time(permit.not_after)

    for now in (begin.replace(year=begin.year - 1), end, end.replace(year=2100)):
        with pytest.raises(OutOfTime):
            stands(federation, federation.bundle, now=now)


def test_a_permit_of_another_study_does_not_stand(federation):
    with pytest.raises(WrongStudy):
        check_standing(federation.bundle, "sha256:" + "0" * 64, START, None)


# --- a changed permit ---------------------------------------------------------------
def changed(permit):
    """Return one other value for each field of the permit."""
    party = permit.parties[0]
    protocol = permit.protocols[0]
    return {
        "number": "another",
        "crossing": "samples",
        "study": "sha256:" + "1" * 64,
        "purpose": "another",
        "sites": permit.sites[:-1],
        "parties": (replace(party, organisation="another"), *permit.parties[1:]),
        "protocols": (replace(protocol, most_rounds=99),),
        "required": permit.required[:-1],
        "reviews": permit.reviews[:-1],
        "persons": (replace(permit.persons[0], training="x"), *permit.persons[1:]),
        "keys": (replace(permit.keys[0], scope="renew"), *permit.keys[1:]),
        "authors": ("operator-hk",),
        "operators": permit.operators[:-1],
        "checks": ("another",),
        "limits": (Limit("rounds", 1),),
        "lease_hours": 240,
        "report_days": 1,
        "version": 2,
        "amends": "sha256:" + "2" * 64,
        "not_before": "2020-01-01T00:00:00Z",
        "not_after": "2099-01-01T00:00:00Z",
        "highest_grade": 5,
        "most_attempts": 99,
        "most_runs": 99,
        "bases": (Basis("a", "1", "", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),),
        "data_use": ("GRU",),
        "committed": "quorum none\n",
        "law": Law("2026-11-22", "", "none", "", "", "", ()),
    }


@pytest.mark.parametrize("field", list(Permit.__dataclass_fields__))
def test_approvals_do_not_carry_over_to_a_changed_permit(federation, field):
    permit = federation.bundle.permit
    tampered = replace(permit, **{field: changed(permit)[field]})
    study = tampered.study

    with pytest.raises(HetaoError):
        check_standing(Bundle(tampered, federation.bundle.notices), study, START, None)
    assert tampered.digest != permit.digest


@pytest.mark.parametrize("field", list(PermittedProtocol.__dataclass_fields__))
def test_a_changed_protocol_is_a_changed_permit(federation, field):
    permit = federation.bundle.permit
    protocol = permit.protocols[0]
    value = 77 if field == "most_rounds" else "another"
    tampered = replace(permit, protocols=(replace(protocol, **{field: value}),))

    with pytest.raises(NotApproved):
        stands(federation, Bundle(tampered, federation.bundle.notices))


@pytest.mark.parametrize("name", ["a", "hub-hk", "coordinator"])
@pytest.mark.parametrize("field", ["sign", "seal"])
def test_a_key_that_is_not_the_trusted_one_is_refused(federation, name, field):
    """Even where every office has approved the permit with the swapped key."""
    permit, cast = federation.bundle.permit, federation.cast
    fresh = new_identity(name).party("HK", "site", "x")
    parties = tuple(
        replace(p, **{field: getattr(fresh, field)}) if p.name == name else p
        for p in permit.parties
    )
    swapped = replace(permit, parties=parties)
    bundle = signed_by_all(federation, swapped)

    with pytest.raises(NotAParty, match=name):
        stands(federation, bundle, trusted=cast.directory)


@pytest.mark.parametrize("name", ["ethics-hk", "investigator", "output-checker-sz"])
def test_a_persons_key_that_is_not_the_trusted_one_is_refused(federation, name):
    permit, cast = federation.bundle.permit, federation.cast
    thief = new_identity(name, sealing=False)
    keys = tuple(
        replace(key, public=thief.sign_public) if key.name == name else key
        for key in permit.keys
    )
    forged = replace(cast, identities={**cast.identities, name: thief})
    bundle = forged.approved(Bundle(replace(permit, keys=keys)), START)

    stands(federation, bundle)
    with pytest.raises(NotAParty, match=name):
        stands(federation, bundle, trusted=cast.directory)


@pytest.mark.parametrize(
    "changes", [{"roles": ("ethics", "author")}, {"same_as": ("hub",)}, {"side": "SZ"}]
)
def test_a_person_other_than_the_trusted_one_is_refused(federation, changes):
    permit, cast = federation.bundle.permit, federation.cast
    persons = tuple(
        replace(p, **changes) if p.name == "investigator" else p for p in permit.persons
    )

    with pytest.raises((NotAParty, InvalidNetwork)):
        stands(
            federation, Bundle(replace(permit, persons=persons)), trusted=cast.directory
        )


def test_a_party_that_nobody_trusts_is_refused(federation):
    short = Directory(
        tuple(p for p in federation.cast.directory.parties if p.name != "hub-sz")
    )

    with pytest.raises(NotAParty, match="hub-sz"):
        stands(federation, federation.bundle, trusted=short)


@pytest.mark.parametrize(
    ("field", "value"),
    [("role", "hub"), ("side", "SZ"), ("organisation", "another")],
)
def test_a_party_in_another_part_is_not_the_trusted_one(federation, field, value):
    permit = federation.bundle.permit
    parties = tuple(
        replace(p, **{field: value}) if p.name == "a" else p for p in permit.parties
    )
    bundle = signed_by_all(federation, replace(permit, parties=parties))

    with pytest.raises(NotAParty, match="a of the permit"):
        stands(federation, bundle, trusted=federation.cast.directory)


# --- the rulebook -------------------------------------------------------------------
def test_a_permit_that_asks_less_than_the_rules_is_refused(federation):
    """Though all whom it does ask have approved it."""
    permit = federation.bundle.permit
    for left_out in permit.required:
        fewer = tuple(need for need in permit.required if need != left_out)
        bundle = signed_by_all(federation, replace(permit, required=fewer))

        with pytest.raises(NotApproved, match=left_out.rule):
            stands(federation, bundle)


def test_a_permit_that_asks_no_output_check_is_refused(federation):
    permit = federation.bundle.permit
    for left_out in permit.reviews:
        fewer = tuple(need for need in permit.reviews if need != left_out)
        bundle = signed_by_all(federation, replace(permit, reviews=fewer))

        with pytest.raises(NotApproved, match=left_out.rule):
            stands(federation, bundle)


def test_a_permit_that_asks_for_more_needs_that_too(federation):
    permit = federation.bundle.permit
    more = Requirement("HK", "court", "our-own")
    bundle = federation.bundle

    asked = Bundle(replace(permit, required=(*permit.required, more)))
    for office in OFFICES:
        asked = sign_notice(asked, federation.cast.identities[office], "approve", START)

    assert len(asked.notices) == len(bundle.notices)
    with pytest.raises(NotApproved, match="court"):
        stands(federation, asked)


def test_a_crossing_or_a_day_without_rules_is_refused(federation):
    permit = federation.bundle.permit
    samples = signed_by_all(federation, replace(permit, crossing="samples"))
    early = signed_by_all(
        federation, replace(permit, not_before="2018-01-01T00:00:00Z")
    )

    with pytest.raises(NotApproved, match="samples"):
        stands(federation, samples)
    with pytest.raises(NotApproved):
        stands(federation, early, now=parse_time("2018-06-01T00:00:00Z"))


def test_a_permit_that_asks_nobody_is_not_even_read(federation):
    table = federation.bundle.as_json()
    table["permit"]["required"] = []
    table["notices"] = []

    with pytest.raises(InvalidNetwork):
        bundle_from(table)


@pytest.mark.parametrize("of", ["ethics-hk", "a"])
def test_one_key_cannot_fill_two_offices(federation, of):
    """A permit that lists one key under two names is not read."""
    table = federation.bundle.as_json()
    keys = table["permit"]["keys"]
    publics = {key["name"]: key["public"] for key in keys}
    publics |= {party["name"]: party["sign"] for party in table["permit"]["parties"]}
    next(key for key in keys if key["name"] == "ethics-sz")["public"] = publics[of]

    with pytest.raises(InvalidNetwork, match="twice"):
        bundle_from(table)
