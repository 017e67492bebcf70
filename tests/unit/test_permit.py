"""A permit stands if, and only if, every office has signed exactly it."""

import datetime
import json
from dataclasses import asdict, replace

import pytest

from hetao.errors import InvalidNetwork, NotApproved
from hetao.permit import (
    Bundle,
    bundle_from,
    check_standing,
    coordinator_of,
    format_time,
    new_identity,
    parse_time,
    read_bundle,
    read_directory,
    read_identity,
    requirements,
    sign_notice,
    write_bundle,
    write_directory,
    write_identity,
)
from support_federation import START

DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)


def test_an_approved_permit_stands(federation):
    bundle, study = federation.bundle, federation.study.digest

    check_standing(bundle, study, START, federation.cast.directory)
    check_standing(bundle, study, START, None)


def test_a_permit_stands_from_its_first_second_to_before_its_last(federation):
    permit, study = federation.bundle.permit, federation.study.digest
    begin, end = parse_time(permit.not_before), parse_time(permit.not_after)

    check_standing(federation.bundle, study, begin, None)
    renewed = federation.cast.renewed(federation.bundle, end - SECOND)
    check_standing(renewed, study, end - SECOND, None)


def test_a_permit_file_is_read_as_it_was_written(federation, tmp_path):
    path = tmp_path / "permit.json"

    write_bundle(path, federation.bundle)

    assert read_bundle(path).permit == federation.bundle.permit
    assert read_bundle(path).permit.digest == federation.bundle.permit.digest
    assert read_bundle(path).as_json() == federation.bundle.as_json()


def test_the_coordinator_of_a_file_is_the_permits_own(federation):
    table, permit = federation.bundle.as_json(), federation.bundle.permit

    assert coordinator_of(table) == permit.coordinator
    hubs = [p for p in table["permit"]["parties"] if p["role"] == "hub"]
    with pytest.raises(InvalidNetwork, match="no coordinator"):
        coordinator_of({"permit": {"parties": hubs}})


def test_what_stood_then_is_what_had_been_said_by_then(federation):
    later = START + DAY
    renewed = federation.cast.renewed(federation.bundle, later)

    assert renewed.as_of(later) is renewed
    before = renewed.as_of(later - SECOND)
    assert before.notices == federation.bundle.notices
    assert before.heard == Bundle(renewed.permit, before.notices).heard


def test_the_order_of_approvals_does_not_matter(federation):
    bundle = federation.bundle
    turned = Bundle(bundle.permit, tuple(reversed(bundle.notices)))

    check_standing(turned, federation.study.digest, START, None)


def test_every_side_that_takes_part_is_asked():
    both = requirements("data", ["HK", "SZ"], START.date())
    one = requirements("data", ["HK"], START.date())

    assert {(need.side, need.role) for need in both} == {
        (side, role) for side in ("HK", "SZ") for role in ("ethics", "data-protection")
    }
    assert {need.side for need in one} == {"HK"}


@pytest.mark.parametrize(
    ("crossing", "day"),
    [
        ("samples", START.date()),
        ("", START.date()),
        ("data", datetime.date(2019, 6, 30)),
    ],
)
def test_what_no_rule_covers_is_refused(crossing, day):
    with pytest.raises(NotApproved):
        requirements(crossing, ["HK", "SZ"], day)


# --- files that do not hold ---------------------------------------------------------
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", "NaN", '{"permit": 1}', "\ufeff{}"]
)
def test_a_file_that_is_no_permit_is_refused(tmp_path, text):
    path = tmp_path / "permit.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidNetwork):
        read_bundle(path)


def test_a_missing_nested_or_huge_permit_file_is_refused(tmp_path):
    deep, huge = tmp_path / "deep.json", tmp_path / "huge.json"
    deep.write_text("[" * 100_000)
    huge.write_bytes(b" " * (4 * 2**20 + 1))

    for path in (tmp_path / "none.json", deep, huge):
        with pytest.raises(InvalidNetwork):
            read_bundle(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("number", "P-2"), ("highest_grade", 5), ("type", "hetao.permit/2")],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_permit_file_with_a_key_twice_is_refused(
    federation, tmp_path, field, value, is_first
):
    """A person would read the one, a program the other."""
    path = tmp_path / "permit.json"
    write_bundle(path, federation.bundle)
    text = path.read_text(encoding="utf-8")
    more = f'"{field}": {json.dumps(value)}'
    head, tail = text.split('"permit": {', 1)
    if is_first:
        twice = f'{head}"permit": {{{more},{tail}'
    else:
        body, rest = tail.split('"notices"', 1)
        end = body.rindex("}")
        twice = f'{head}"permit": {{{body[:end]},{more}{body[end:]}"notices"{rest}'
    assert json.loads(twice).keys() == json.loads(text).keys()
    path.write_text(twice, encoding="utf-8")

    with pytest.raises(InvalidNetwork):
        read_bundle(path)


def test_a_permit_file_with_approvals_twice_is_refused(federation, tmp_path):
    path = tmp_path / "permit.json"
    write_bundle(path, federation.bundle)
    text = path.read_text(encoding="utf-8").rstrip()
    path.write_text(f'{text[:-1]}, "notices": []}}', encoding="utf-8")

    with pytest.raises(InvalidNetwork):
        read_bundle(path)


ODD = ("\n", "\x1b[2J", "\x00", "\u202e", "\u2028", "\u200b")


@pytest.mark.parametrize("field", ["number", "purpose"])
@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_characters_that_nobody_sees_are_refused(federation, field, odd):
    """They could show an approver another permit than the one that is signed."""
    table = federation.bundle.as_json()
    value = f"{table['permit'][field]}{odd}x"

    with pytest.raises(InvalidNetwork):
        bundle_from(spoilt(table, **{field: value}))


def spoilt(table, **changes):
    return {**table, "permit": {**table["permit"], **changes}}


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "hetao.permit/1"},
        {"sites": []},
        {"sites": ["coordinator"]},
        {"sites": ["nobody"]},
        {"parties": []},
        {"protocols": []},
        {"required": []},
        {"reviews": []},
        {"checks": []},
        {"persons": []},
        {"keys": []},
        {"authors": []},
        {"authors": ["nobody"]},
        {"operators": []},
        {"crossing": "samples"},
        {"lease_hours": 0},
        {"lease_hours": 10_000},
        {"report_days": 0},
        {"report_days": 10**10},
        {"not_after": "9999-12-31T00:00:00Z"},
        {"version": 0},
        {"version": 2},
        {"amends": "sha256:0"},
        {"limits": [{"unit": "tubes", "most": 0}]},
        {"highest_grade": 0},
        {"highest_grade": 6},
        {"highest_grade": True},
        {"highest_grade": 2.0},
        {"most_attempts": 0},
        {"most_runs": 0},
        {"most_attempts": "3"},
        {"not_before": "2027-01-01"},
        {"not_before": "2026-11-22T08:00:00+00:00"},
        {"not_before": "0001-01-01T00:00:00+14:00"},
        {"not_before": "9999-12-31T23:59:59-14:00"},
        {"not_after": "2026-11-22T08:00:00Z"},
        {"not_after": "2020-01-01T00:00:00Z"},
        {"number": 7},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_malformed_permit_is_refused_before_any_rule(federation, changes):
    table = federation.bundle.as_json()

    with pytest.raises(InvalidNetwork):
        bundle_from(spoilt(table, **changes))


@pytest.mark.parametrize("role", ["hub", "coordinator"])
def test_a_permit_needs_two_hubs_and_one_coordinator(federation, role):
    table = federation.bundle.as_json()
    parties = table["permit"]["parties"]
    left = next(i for i, party in enumerate(parties) if party["role"] == role)

    fewer = [party for i, party in enumerate(parties) if i != left]
    more = [*parties, asdict(new_identity("new").party("HK", role, "someone"))]

    for changed in (fewer, more):
        with pytest.raises(InvalidNetwork):
            bundle_from(spoilt(table, parties=changed))


@pytest.mark.parametrize("field", ["name", "sign"])
def test_a_name_or_key_that_stands_twice_is_refused(federation, field):
    table = federation.bundle.as_json()
    parties = [dict(party) for party in table["permit"]["parties"]]
    parties[1][field] = parties[0][field]

    with pytest.raises(InvalidNetwork):
        bundle_from(spoilt(table, parties=parties))


@pytest.mark.parametrize("key", ["", "AAAA", "not base64!", "é", "A" * 44])
def test_a_party_whose_key_is_no_key_is_refused(federation, key):
    table = federation.bundle.as_json()
    parties = [dict(party) for party in table["permit"]["parties"]]
    parties[0]["sign"] = key

    with pytest.raises(InvalidNetwork):
        bundle_from(spoilt(table, parties=parties))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22",
        "2026-11-22T00:00:00",
        "2026-11-22T00:00:00+00:00",
        "2026-11-22T08:00:00+08:00",
        "2026-11-22T00:00:00.5Z",
        "2026-11-22 00:00:00Z",
        "2026-02-30T00:00:00Z",
        "٢٠٢٦-11-22T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "",
    ],
)
def test_a_time_written_otherwise_is_refused(text):
    with pytest.raises(InvalidNetwork):
        parse_time(text)


def test_a_time_is_read_as_it_was_written():
    assert parse_time(format_time(START)) == START


# --- keys and parties ---------------------------------------------------------------
def test_keys_are_read_as_they_were_written_and_by_their_owner_only(tmp_path):
    identity = new_identity("hospital-1")

    path = write_identity(tmp_path, identity)

    back = read_identity(path)
    assert back.party("HK", "site", "o") == identity.party("HK", "site", "o")
    assert [p.stat().st_mode & 0o777 for p in sorted(tmp_path.iterdir())] == [0o600] * 3


def test_keys_are_never_written_over(tmp_path):
    write_identity(tmp_path, new_identity("hospital-1"))

    with pytest.raises(FileExistsError):
        write_identity(tmp_path, new_identity("hospital-1"))


def test_an_identity_shows_no_key():
    shown = repr(new_identity("hospital-1"))

    assert shown == "Identity('hospital-1')"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN", b"\xff" * 100])
def test_a_file_that_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "x.sign.pem"
    path.write_bytes(content)

    for chosen in (path, tmp_path / "none.sign.pem"):
        with pytest.raises(InvalidNetwork):
            read_identity(chosen)


def test_a_sealing_key_does_not_sign(tmp_path):
    write_identity(tmp_path, new_identity("x"))

    with pytest.raises(InvalidNetwork):
        read_identity(tmp_path / "x.seal.pem")


def test_parties_are_read_as_they_were_written(federation, tmp_path):
    known = federation.cast.directory
    first, *rest = known.parties
    odd = replace(first, organisation='Hospital "A" \\ 廣州\n\t\x7f')
    person = replace(known.persons[0], same_as=("ethics-hk",), identifier="0000-1")
    listed = replace(known, parties=(odd, *rest), persons=(person, *known.persons[1:]))
    path = tmp_path / "parties.toml"

    write_directory(path, listed)

    assert read_directory(path) == listed


@pytest.mark.parametrize(
    "text",
    ["", "parties = []", "parties = 1", "[[parties]]\nname = 'a'", "x = 1"],
)
def test_a_file_that_lists_no_parties_is_refused(tmp_path, text):
    path = tmp_path / "parties.toml"
    path.write_text(text)

    with pytest.raises(InvalidNetwork):
        read_directory(path)


# --- notices ------------------------------------------------------------------------
def test_saying_the_same_twice_is_refused(federation):
    signer = federation.cast.identities["ethics-hk"]

    with pytest.raises(NotApproved):
        sign_notice(federation.bundle, signer, "approve", START)


def test_a_withdrawal_after_an_approval_is_the_last_word(federation):
    signer = federation.cast.identities["ethics-hk"]

    withdrawn = sign_notice(federation.bundle, signer, "withdraw", START)

    again = sign_notice(withdrawn, signer, "approve", START)
    for bundle in (withdrawn, again):
        with pytest.raises(NotApproved, match="ethics-hk"):
            check_standing(bundle, federation.study.digest, START, None)
