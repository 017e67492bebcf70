"""Nothing is shown before two people looked at it, each without the other's word."""

import json
import shutil
from dataclasses import replace

import pytest

from hetao.canonical import canonical, parse_canonical
from hetao.errors import HetaoError, InvalidNetwork, NotAParty, NotApproved
from hetao.federation.certify import body_of, package_of
from hetao.federation.reviewing import (
    cast_vote,
    gather_votes,
    lay_package,
    read_package,
    voters,
)
from hetao.permit import check_votes, new_identity, package_digest, tally
from support_federation import COUNTS, LOGISTIC, START, Federation, Plan, toy_study

HK, SZ = "output-checker-hk", "output-checker-sz"
ACCEPT = ("accept", "")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(tmp_path_factory.mktemp("checked"), plan) as made:
        return made.run()


@pytest.fixture
def folder(ran, tmp_path):
    lay_package(tmp_path / "review", package_of(ran.outcome))
    return tmp_path / "review"


def opened(ran, folder):
    votes = gather_votes(folder, ran.cast.identities["coordinator"])
    return [one.statement for one in votes]


def voted(ran, folder, *, by, said=ACCEPT):
    return cast_vote(folder, ran.cast.identities[by], said, START)


def test_two_checkers_of_two_sides_let_it_out(ran, folder):
    voted(ran, folder, by=HK)
    voted(ran, folder, by=SZ)

    body = body_of(ran.outcome, "2026-11-22T00:00:00Z", opened(ran, folder))

    assert body["review"]["package"] == read_package(folder).digest
    assert [v["body"]["by"] for v in body["review"]["votes"]] == [HK, SZ]


@pytest.mark.parametrize("voices", [(), (HK,), (SZ,)])
def test_fewer_do_not(ran, folder, voices):
    for by in voices:
        voted(ran, folder, by=by)

    with pytest.raises(NotApproved, match="output-checker on side"):
        body_of(ran.outcome, "2026-11-22T00:00:00Z", opened(ran, folder))


@pytest.mark.parametrize("vote", ["change", "reject"])
def test_one_objection_outweighs_an_acceptance(ran, folder, vote):
    voted(ran, folder, by=HK)
    voted(ran, folder, by=SZ, said=(vote, "the smallest age band tells who it is"))

    with pytest.raises(NotApproved, match=SZ):
        body_of(ran.outcome, "2026-11-22T00:00:00Z", opened(ran, folder))


def test_one_person_does_not_vote_twice(ran, folder):
    voted(ran, folder, by=HK)

    with pytest.raises(NotApproved, match="already"):
        voted(ran, folder, by=HK, said=("reject", ""))

    first = opened(ran, folder)
    permit, name = ran.outcome.bundle.permit, read_package(folder).digest
    with pytest.raises(NotApproved, match="twice"):
        tally(permit, name, [*first, *first])


@pytest.mark.parametrize("by", ["ethics-hk", "a", "hub-hk", "coordinator"])
def test_nobody_else_of_the_permit_votes(ran, folder, by):
    """Approvers, sites, hubs and whoever computes do not check their own output."""
    with pytest.raises(NotAParty):
        voted(ran, folder, by=by)


def test_a_stranger_under_a_checkers_name_does_not_vote(ran, folder):
    with pytest.raises(NotAParty):
        cast_vote(folder, new_identity(HK), ACCEPT, START)


# --- blinded --------------------------------------------------------------------------
def test_a_vote_tells_nobody_but_the_coordinator_what_it_says(ran, folder):
    """Not in its text, not in its name, not in its length."""
    said = [ACCEPT, ("change", "too few of one kind"), ("reject", "人數太少" * 900)]
    files = []
    for number, one in enumerate(said):
        other = folder.with_name(f"review-{number}")
        shutil.copytree(folder, other)
        files.append(voted(ran, other, by=HK, said=one))

    data = [path.read_bytes() for path in files]

    assert len({len(one) for one in data}) == 1
    assert len({path.name for path in files}) == 1
    for one, (vote, comment) in zip(data, said, strict=True):
        assert vote.encode() not in one
        assert not comment or comment.encode() not in one
        with pytest.raises(HetaoError):
            gather_votes(folder.with_name("review-0"), ran.cast.identities["a"])


def test_a_comment_as_long_as_it_may_be_is_carried_whole(ran, folder):
    longest = "\x01" * 4_000  # what takes most room in a message
    voted(ran, folder, by=HK, said=("change", longest))

    (vote,) = gather_votes(folder, ran.cast.identities["coordinator"])

    assert vote.comment == longest
    with pytest.raises(InvalidNetwork, match="characters"):
        voted(ran, folder, by=SZ, said=("change", longest + "x"))


def test_who_has_voted_is_seen_before_what(ran, folder):
    voted(ran, folder, by=SZ, said=("reject", "no"))

    assert voters(folder) == (SZ,)


# --- anything that changes resets the votes -----------------------------------------
def changes(body):
    yield {**body, "smallest_shown": 5}
    yield {**body, "rounded_to": 1}
    yield {**body, "run": "f" * 32}
    yield {**body, "checks": body["checks"][1:]}
    findings = json.loads(json.dumps(body["findings"]))
    findings[0]["finding"]["steps"][0]["n"] += 5
    yield {**body, "findings": findings}
    study = {**body["study"], "title": "Another question"}
    yield {**body, "study": study}
    permit = json.loads(json.dumps(body["permit"]))
    permit["permit"]["purpose"] = "another"
    yield {**body, "permit": permit}
    yield {**body, "lost": {"a": "silent"}}


def test_whatever_changes_no_vote_is_about_it(ran, folder):
    voted(ran, folder, by=HK)
    voted(ran, folder, by=SZ)
    votes, body = opened(ran, folder), package_of(ran.outcome)
    permit = ran.outcome.bundle.permit
    assert check_votes(permit, package_digest(body), votes).is_accepted

    for changed in changes(body):
        found = tally(permit, package_digest(changed), votes)
        assert found.said == {}
        assert not found.is_accepted


def test_votes_about_an_earlier_package_in_the_folder_do_not_count(ran, folder):
    voted(ran, folder, by=HK)
    other = replace(ran.outcome, run="e" * 32)

    lay_package(folder, package_of(other))

    assert voters(folder) == ()
    assert opened(ran, folder) == []


# --- forged votes ---------------------------------------------------------------------
def test_every_byte_of_a_vote_matters(ran, folder):
    path = voted(ran, folder, by=HK)
    data = bytearray(path.read_bytes())
    for place in [*range(0, 900, 7), *range(len(data) - 40, len(data))]:
        data[place] ^= 1
        path.write_bytes(data)
        with pytest.raises(NotApproved):
            opened(ran, folder)
        data[place] ^= 1


@pytest.mark.parametrize("size", [0, 3, 71, 500])
def test_a_vote_that_was_cut_is_refused(ran, folder, size):
    path = voted(ran, folder, by=HK)
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(NotApproved, match="forged or cut"):
        opened(ran, folder)


def test_one_checkers_vote_under_anothers_name_counts_once(ran, folder):
    path = voted(ran, folder, by=HK)
    shutil.copy(path, path.with_name(path.name.replace(HK, SZ)))

    permit, name = ran.outcome.bundle.permit, read_package(folder).digest
    with pytest.raises(NotApproved, match="twice"):
        tally(permit, name, opened(ran, folder))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", canonical({}), canonical({"permit": 1}), b"\xff"]
)
def test_what_is_no_package_is_said_to_be_none(tmp_path, data):
    (tmp_path / "package.json").write_bytes(data)

    with pytest.raises(InvalidNetwork, match=r"package\.json"):
        read_package(tmp_path)


def test_a_package_holds_no_exact_integer_and_no_small_count(ran, folder):
    body = parse_canonical((folder / "package.json").read_bytes())

    assert "sums" not in body
    steps = body["findings"][0]["finding"]["steps"]
    assert all(step["n"] % 5 == 0 for step in steps)
