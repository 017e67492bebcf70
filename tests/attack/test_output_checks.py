"""Nothing is shown before two people looked at it, each without the other's word."""

import contextlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hetao.canonical import canonical, digest, parse_canonical
from hetao.cli.run import _waiting
from hetao.errors import HetaoError, InvalidNetwork, NotAParty, NotApproved, Unverified
from hetao.federation.certify import body_of, package_of
from hetao.federation.reviewing import (
    COUNTED,
    Ballots,
    cast_vote,
    gather_votes,
    lay_package,
    read_package,
    voters,
)
from hetao.federation.store import Store
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.log import Log
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
    return [one.statement for one in gathered(ran, folder)]


def gathered(ran, folder, say=lambda _: None):
    return gather_votes(folder, ran.cast.identities["coordinator"], say)


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
            gather_votes(folder.with_name("review-0"), ran.cast.identities["a"], print)


def test_a_comment_as_long_as_it_may_be_is_carried_whole(ran, folder):
    longest = "\x01" * 4_000  # what takes most room in a message
    voted(ran, folder, by=HK, said=("change", longest))

    (vote,) = gathered(ran, folder)

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
        assert opened(ran, folder) == []
        data[place] ^= 1


@pytest.mark.parametrize("size", [0, 3, 71, 500])
def test_a_file_that_is_no_vote_is_passed_over_and_named(ran, folder, size):
    """Whoever may write into the folder cannot stop the run, nor add a voice."""
    voted(ran, folder, by=SZ)
    path = voted(ran, folder, by=HK)
    path.write_bytes(path.read_bytes()[:size])
    said = []

    assert [one.statement.body["by"] for one in gathered(ran, folder, said.append)] == [
        SZ
    ]
    assert [path.name in line for line in said] == [True]


def test_one_checkers_vote_under_anothers_name_counts_once(ran, folder):
    path = voted(ran, folder, by=HK)
    shutil.copy(path, path.with_name(path.name.replace(HK, SZ)))

    permit, name = ran.outcome.bundle.permit, read_package(folder).digest

    found = tally(permit, name, opened(ran, folder))

    assert found.said == {HK: "accept"}
    assert [need.side for need in found.missing] == ["SZ"]


# --- the counter's own list -----------------------------------------------------------
def revoked(ran, name):
    """Return the cast's directory in which the keys of one person are revoked."""
    known = ran.cast.directory
    keys = tuple(
        replace(k, revoked_at=k.valid_from) if k.owner == name else k
        for k in known.keys
    )
    return replace(known, keys=keys)


def joined(ran):
    """Return the cast's directory, which also knows that both checkers are one."""
    known = ran.cast.directory
    same = replace(known.person(HK), name="both", same_as=(HK, SZ))
    return replace(known, persons=(*known.persons, same))


def both_accept(ran, folder):
    voted(ran, folder, by=HK)
    voted(ran, folder, by=SZ)
    return opened(ran, folder)


def test_a_key_revoked_in_the_own_list_does_not_vote(ran, folder):
    votes, trusted = both_accept(ran, folder), revoked(ran, SZ)

    assert body_of(ran.outcome, "2026-11-22T00:00:00Z", votes, ran.cast.directory)
    with pytest.raises(NotApproved, match="revoked"):
        body_of(ran.outcome, "2026-11-22T00:00:00Z", votes, trusted)
    assert verify_certificate(ran.certificate, ran.cast.directory)
    with pytest.raises(Unverified, match=r"step 11, .*revoked"):
        verify_certificate(ran.certificate, trusted)


def test_a_key_that_the_own_list_does_not_hold_does_not_vote(ran, folder):
    known = ran.cast.directory
    keys = tuple(key for key in known.keys if key.owner != SZ)

    with pytest.raises(NotApproved, match="own list"):
        tally(
            ran.outcome.bundle.permit,
            read_package(folder).digest,
            both_accept(ran, folder),
            replace(known, keys=keys),
        )


def test_two_names_of_one_person_in_the_own_list_are_one_voice(ran, folder):
    permit, name = ran.outcome.bundle.permit, read_package(folder).digest
    votes = both_accept(ran, folder)

    assert tally(permit, name, votes, ran.cast.directory).people == 2
    assert not tally(permit, name, votes, joined(ran)).is_accepted
    with pytest.raises(Unverified, match="step 11"):
        verify_certificate(ran.certificate, joined(ran))


# --- what is waited for -------------------------------------------------------------
@pytest.mark.parametrize(("first", "other"), [(HK, SZ), (SZ, HK)])
def test_what_is_waited_for_tells_nobody_how_the_first_voted(
    ran, folder, capsys, first, other
):
    told = []
    for number, said in enumerate([ACCEPT, ("change", "why"), ("reject", "no")]):
        place = folder.with_name(f"review-{number}")
        shutil.copytree(folder, place)
        voted(ran, place, by=first, said=said)
        package = read_package(place)
        told.append(_waiting(gathered(ran, place), package, ran.cast.directory))

    side = ran.outcome.bundle.permit.directory.person(other).side
    assert {waits.offices for waits in told} == {(f"output-checker on side {side}",)}
    assert capsys.readouterr().out == ""


def test_an_objection_is_said_once_all_have_voted(ran, folder, capsys):
    voted(ran, folder, by=HK, said=("change", "leave it out"))
    voted(ran, folder, by=SZ)

    with pytest.raises(NotApproved, match=HK):
        _waiting(gathered(ran, folder), read_package(folder), ran.cast.directory)

    assert "leave it out" in "".join(capsys.readouterr())


# --- a vote that was counted stands ---------------------------------------------------
@pytest.fixture
def ballots(ran, tmp_path):
    store = Store(tmp_path / "coordinator.sqlite", COUNTED)
    key = ran.cast.identities["coordinator"].signing_key
    with contextlib.closing(store):
        log = Log.open(tmp_path / "log.sqlite", "coordinator", key)
        with contextlib.closing(log):
            yield SimpleNamespace(
                log=log,
                count=lambda folder: Ballots(store, log, ran.cast.directory).count(
                    read_package(folder), gathered(ran, folder)
                ),
            )


def test_a_vote_is_logged_before_it_counts_and_once(ran, folder, ballots):
    voted(ran, folder, by=HK, said=("change", "why"))
    (vote,) = ballots.count(folder)
    ballots.count(folder)

    (entry,) = [parse_canonical(one) for one in ballots.log.entries(0, 1)]

    assert ballots.log.size == 1
    assert entry == {
        "type": "hetao.counted/1",
        "package": read_package(folder).digest,
        "by": HK,
        "vote": digest(vote.statement.as_json()),
    }


def test_an_objection_whose_file_is_deleted_still_counts(ran, folder, ballots):
    path = voted(ran, folder, by=HK, said=("reject", "no"))
    ballots.count(folder)
    path.unlink()
    voted(ran, folder, by=SZ)

    votes = ballots.count(folder)

    assert [(v.statement.body["vote"], v.comment) for v in votes] == [
        ("reject", "no"),
        ("accept", ""),
    ]


def test_nobody_votes_otherwise_once_the_first_vote_was_counted(ran, folder, ballots):
    path = voted(ran, folder, by=HK, said=("reject", "no"))
    ballots.count(folder)
    path.unlink()
    voted(ran, folder, by=HK)

    with pytest.raises(NotApproved, match="twice"):
        ballots.count(folder)
    assert ballots.log.size == 1


def test_a_vote_about_an_earlier_package_is_not_taken_on(ran, folder, ballots):
    path = voted(ran, folder, by=HK)
    before = read_package(folder).code
    lay_package(folder, package_of(replace(ran.outcome, run="e" * 32)))
    path.rename(path.with_name(path.name.replace(before, read_package(folder).code)))

    assert ballots.count(folder) == []
    assert ballots.log.size == 0


def test_a_key_revoked_in_the_coordinators_list_is_not_taken_on(ran, folder, tmp_path):
    voted(ran, folder, by=HK)
    key = ran.cast.identities["coordinator"].signing_key
    with (
        contextlib.closing(Store(None, COUNTED)) as store,
        contextlib.closing(Log.open(tmp_path / "l", "coordinator", key)) as log,
    ):
        with pytest.raises(NotApproved, match="revoked"):
            Ballots(store, log, revoked(ran, HK)).count(
                read_package(folder), gathered(ran, folder)
            )
        assert log.size == 0


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


@pytest.mark.parametrize("how", ["passed", "left out", "no list", "another limit"])
def test_checks_that_are_not_those_of_the_findings_are_shown_to_no_checker(
    how, folder, tmp_path
):
    body = parse_canonical((folder / "package.json").read_bytes())
    read_package(folder)
    if how == "passed":
        body["checks"][0]["outcome"] = "flag"
    elif how == "left out":
        del body["checks"][-1]
    elif how == "no list":
        body["checks"] = "x"
    else:
        body["smallest_shown"] += 1
    (tmp_path / "package.json").write_bytes(canonical(body))

    with pytest.raises(Unverified, match="the checks are not those"):
        read_package(tmp_path)
