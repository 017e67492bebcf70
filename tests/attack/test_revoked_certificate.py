"""A revoked study's certificate says what was released, and cannot be bent."""

import copy
import datetime
import random
from dataclasses import replace

import pytest

from hetao.canonical import canonical, digest_bytes
from hetao.cli import main
from hetao.dossier.revoked import WORDS, render_revoked
from hetao.errors import Unverified
from hetao.ledger import verify_hetao
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.merkle import inclusion_path, leaf_hash, root
from hetao.ledger.note import Checkpoint, sign_note
from hetao.ledger.revoked import (
    Unsent,
    _is_placed,
    verify_any,
    verify_revoked,
)
from hetao.ledger.verify_hetao import Refused
from hetao.permit import SKEW, Bundle, bundle_from, format_time, state
from support_federation import START, Federation, Plan, restated, toy_study
from support_policies import MORE, USUAL, filled, keys_of, seen_by_all
from support_revoked import (
    BENT,
    LATER,
    NOT_THEIRS,
    ended_by,
    never_revoked,
    of_a_lower_class,
    revoked_body,
    signed,
    with_a_sum_by_a_site,
    with_a_sum_over_fewer,
)
from support_witness import UNNAMED


@pytest.fixture(scope="module")
def body(small_run):
    return revoked_body(small_run)


def test_it_says_what_was_released_before_and_what_is_tainted(small_run, body):
    found = verify_any(signed(small_run, body), small_run.cast.directory)

    (course,) = found.courses
    assert (course.analysis, course.releases, course.late) == ("attrition", 3, 0)
    assert (course.sites, course.opened) == (("a", "b", "c"), 1)
    assert found.before_revocation == found.tainted == ("attrition",)
    assert [end.by for end in found.endings] == ["ethics-hk"]
    assert found.pinned
    assert found.unlisted == ("a", "b", "c")
    assert f"REVOKED at {format_time(LATER)}" in found.steps[2]


def test_what_is_dated_from_the_revocation_on_is_told_apart(small_run):
    found = verify_any(signed(small_run, revoked_body(small_run, START)))

    assert [one.late for one in found.courses] == [3]
    assert found.before_revocation == ()
    assert found.tainted == ("attrition",)


def test_an_approver_who_withdraws_ends_a_study_too(small_run):
    body = revoked_body(small_run, LATER, "withdraw", "ethics-sz")

    (end,) = verify_revoked(signed(small_run, body)).endings

    assert (end.by, end.verb) == ("ethics-sz", "withdraw")


def test_a_run_that_was_stopped_midway_bears_what_was_there(small_run, body):
    body = copy.deepcopy(body)
    (round_,) = body["rounds"]
    del round_["receipts"]["c"]
    (course,) = verify_revoked(signed(small_run, body)).courses
    assert (course.releases, course.opened) == (2, 1)

    del round_["totals"]["hub-sz"]
    (course,) = verify_revoked(signed(small_run, body)).courses
    assert (course.releases, course.opened) == (2, 0)


# --- what is refused ------------------------------------------------------------------
@pytest.mark.parametrize("bend", BENT, ids=lambda bend: bend.__name__)
def test_what_does_not_hold_is_refused_though_its_issuer_signs_it(
    small_run, body, bend
):
    verify_revoked(signed(small_run, body))

    data = signed(small_run, bend(small_run, body))
    with pytest.raises(Unverified):
        verify_revoked(data)
    if bend is not of_a_lower_class:  # which the one file leaves out, and says so
        with pytest.raises(Refused):
            verify_hetao.verify(data)


def test_integers_and_a_hub_that_saw_nothing_are_refused(small_run, body):
    with pytest.raises(Unverified):
        verify_revoked(small_run.resigned(body))  # with the run's own integers
    with pytest.raises(Unverified, match="issuer's log"):
        verify_revoked(signed(small_run, body, without="hub-sz"))
    with pytest.raises(Unverified, match="cosigned at another time"):
        verify_revoked(signed(small_run, body, after=3 * 3600))


def test_a_stranger_to_the_verifiers_own_list_is_refused(small_run, body):
    others = small_run.cast.directory
    fewer = type(others)(others.parties[1:], others.persons, others.keys)

    with pytest.raises(Unverified, match="trusted parties"):
        verify_revoked(signed(small_run, body), fewer)


def test_changed_bytes_are_refused(small_run, body):
    data, draw = signed(small_run, body), random.Random(5)  # noqa: S311 - no secret
    for _ in range(40):
        spoilt = bytearray(data)
        spoilt[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        with pytest.raises(Unverified):
            verify_any(bytes(spoilt))
        with pytest.raises(Refused):
            verify_hetao.verify(bytes(spoilt))


def test_a_revoked_run_of_which_a_notice_was_left_out_is_refused(small_run, body):
    """Though nothing left in it: what else was said of the permit is not known."""
    body = {**copy.deepcopy(body), "rounds": []}
    verify_revoked(signed(small_run, body))
    notices = body["permit"]["notices"]
    first = next(n for n in notices if n["body"]["by"] == "ethics-hk")
    notices.remove(first)

    with pytest.raises(Unverified, match="step 3, permit and its end"):
        verify_revoked(signed(small_run, body))


def test_a_step_that_fails_is_named_with_its_rule(small_run, body):
    with pytest.raises(Unverified, match=r"step 1.*not a hetao.revoked-certificate/1"):
        verify_revoked(small_run.certificate)
    other = signed(small_run, body).replace(b'"hetao ', b'"Hetao ')
    with pytest.raises(Unverified, match=r"step 2, issuer's signature"):
        verify_revoked(other)
    with pytest.raises(Unverified, match=r"step 3.*nobody who may has revoked"):
        verify_revoked(signed(small_run, never_revoked(small_run, body)))


def test_a_verdict_counts_the_releases_and_the_sums_of_both_hubs(small_run, body):
    body = copy.deepcopy(body)
    steps = verify_revoked(signed(small_run, body)).steps
    assert [words.partition(" ")[0] for words in steps[4:6]] == ["3", "1"]

    del body["rounds"][0]["totals"]["hub-sz"]
    steps = verify_revoked(signed(small_run, body)).steps
    assert [words.partition(" ")[0] for words in steps[4:6]] == ["3", "0"]


def test_a_sum_of_fewer_than_its_members_is_refused(small_run, body):
    """Though the one that it leaves out released nothing that is here."""
    bent = with_a_sum_over_fewer(small_run, body)
    del bent["rounds"][0]["receipts"]["a"]

    with pytest.raises(Unverified, match="is over other members"):
        verify_revoked(signed(small_run, bent))


def test_a_sum_of_who_is_no_hub_is_named(small_run, body):
    with pytest.raises(Unverified, match="a sum of attrition/1/0 is no hub's"):
        verify_revoked(signed(small_run, with_a_sum_by_a_site(small_run, body)))


def test_an_end_may_be_dated_ahead_by_as_much_as_clocks_may_differ(small_run):
    body = revoked_body(small_run, START + SKEW)
    issued = {**body, "issued": format_time(START)}
    verify_revoked(signed(small_run, issued))

    earlier = format_time(START - datetime.timedelta(seconds=1))
    with pytest.raises(Unverified, match="revoked after the certificate was issued"):
        verify_revoked(signed(small_run, {**body, "issued": earlier}))


def test_neither_kind_passes_for_the_other(small_run, body):
    data = signed(small_run, body)

    with pytest.raises(Unverified):
        verify_certificate(data)
    with pytest.raises(Unverified):
        verify_revoked(small_run.certificate)
    with pytest.raises(Unverified, match="needs no list"):
        verify_any(small_run.certificate, lists=[{}])


# --- the verifier of one file ---------------------------------------------------------
@pytest.mark.parametrize("verb", ["revoke", "withdraw"])
def test_the_one_file_says_that_the_study_was_revoked(
    small_run, tmp_path, capsys, verb
):
    path = tmp_path / "revoked.json"
    path.write_bytes(signed(small_run, revoked_body(small_run, LATER, verb)))

    assert verify_hetao.main([str(path)]) == 7
    assert f"{UNNAMED}; THE STUDY WAS REVOKED  A toy" in capsys.readouterr().out
    assert verify_hetao.main([str(path), "--policy", "hubs"]) == 0

    said = capsys.readouterr().out
    assert f"the permit was REVOKED at {format_time(LATER)}, by ethics-hk" in said
    assert "TAINTED, whatever was worked out of: attrition" in said
    assert "VERIFIED: THE STUDY WAS REVOKED, SEEN BY NOBODY INDEPENDENT  A toy" in said
    assert "VERIFIED  " not in said
    for words in verify_hetao.NOT_CHECKED_REVOKED:
        assert words in said


@pytest.mark.parametrize(
    "verify", [verify_hetao.main, lambda words: main(["verify", *words])]
)
def test_it_counts_by_its_readers_own_quorum_alone(
    small_run, body, tmp_path, capsys, verify
):
    data = seen_by_all(replace(small_run, certificate=signed(small_run, body)))
    path, policy = tmp_path / "revoked.json", tmp_path / "policy"
    path.write_bytes(data)
    words, keys = [str(path), "--policy", str(policy)], keys_of(small_run)

    policy.write_text(filled(USUAL, keys))
    assert verify(words) == 0
    assert "VERIFIED: THE STUDY WAS REVOKED  A toy" in capsys.readouterr().out
    policy.write_text(filled(MORE + USUAL.replace("any uni", "any never"), keys))
    assert verify(words) == 6
    said = capsys.readouterr()
    assert "quorum all" in said.out + said.err
    assert "A toy" not in said.out


def test_the_one_file_takes_a_run_that_was_stopped_midway(small_run, body):
    body = copy.deepcopy(body)
    del body["rounds"][0]["receipts"]["c"]
    del body["rounds"][0]["totals"]["hub-sz"]

    assert "2 releases" in verify_hetao.verify(signed(small_run, body))[3]
    assert verify_hetao.verify(signed(small_run, {**body, "rounds": []}))
    for more in ({"without": "hub-sz"}, {"after": 3 * 3600}):
        with pytest.raises(Refused, match="cosign"):
            verify_hetao.verify(signed(small_run, body, **more))
    with pytest.raises(Refused, match="integers"):
        verify_hetao.verify(small_run.resigned(body))


@pytest.mark.parametrize(
    "change",
    NOT_THEIRS,
    ids=str,
)
def test_a_notice_that_is_not_its_office_s_ends_nothing(small_run, body, change):
    """Each signed by the key of the one whose office was first spoken in."""
    data = signed(small_run, ended_by(small_run, body, change))

    with pytest.raises(Refused):
        verify_hetao.verify(data)
    with pytest.raises(Unverified):
        verify_revoked(data)


def test_a_notice_that_another_signed_ends_nothing(small_run, body):
    body = copy.deepcopy(body)
    notice = body["permit"]["notices"][-1]
    forged = state(small_run.cast.identities["coordinator"], notice["body"]).as_json()
    body["permit"]["notices"][-1] = forged

    with pytest.raises(Refused, match="did not sign the notice"):
        verify_hetao.verify(signed(small_run, body))


def test_a_list_that_is_none_is_refused(small_run, body):
    for given in ({}, [], None, {"body": {}, "signature": ""}):
        with pytest.raises(Unverified):
            verify_revoked(signed(small_run, body), None, [given])


# --- sites' own lists -----------------------------------------------------------------
AFTER = format_time(LATER + datetime.timedelta(seconds=60))
BEFORE = format_time(LATER - datetime.timedelta(minutes=6))


def listed(run, body, site, at=AFTER, destroyed=AFTER, **more):
    """Return what a site, lying if it must, would sign of what left it."""
    kept = [r["receipts"].get(site) for r in body["rounds"]]
    kept = more.get("records", [one for one in kept if one])
    permit = bundle_from(body["permit"]).permit.digest
    end = {"type": "hetao.entry/1", "what": "destroyed", "run": body["run"]}
    end |= {"at": more.get("logged", destroyed), "permit": permit}
    end |= {"unsent": more["unsent"]} if "unsent" in more else {}
    entries = [canonical(one) for one in (*kept, end)]
    entries = entries[::-1] if more.get("backwards") else entries
    hashes = [leaf_hash(one) for one in entries]
    text = Checkpoint(site, len(hashes), root(hashes)).text
    key = run.cast.identities[site]
    rows = [
        {"index": i, "entry": one.decode(), "path": [n.hex() for n in path]}
        for i, one in enumerate(entries)
        for path in [inclusion_path(i, hashes)]
    ]
    ended = rows.pop(0 if more.get("backwards") else -1)
    table = {
        "type": "hetao.released/1",
        "site": site,
        "run": body["run"],
        "permit": permit,
        "at": at,
        "is_closed": False,
        "destroyed": destroyed,
        "checkpoint": text + "\n" + sign_note(text, site, key.signing_key),
        "entries": rows,
        **({"ended": ended} if destroyed else {}),
    }
    return state(key, {**table, **more.get("bent", {})}).as_json()


def held(run, body, *lists):
    return verify_revoked(signed(run, body), None, lists)


def test_lists_of_after_every_site_s_end_leave_nothing_to_the_coordinator(
    small_run, body
):
    found = held(small_run, body, *(listed(small_run, body, s) for s in "abc"))

    assert (found.unlisted, found.open) == ((), ())
    assert found.destroyed == dict.fromkeys("abc", AFTER)


@pytest.mark.parametrize("at", [format_time(START), AFTER])
def test_a_list_of_before_its_site_s_end_proves_no_end(small_run, body, at):
    lists = [listed(small_run, body, site, at, "") for site in "ab"]

    found = held(small_run, body, *lists, listed(small_run, body, "c"))

    assert (found.unlisted, found.open) == (("a", "b"), ("a", "b"))
    assert "that of a, b of before its end" in found.steps[6]
    assert "no more left a, b is the issuer's word" in found.steps[6]


def test_a_site_whose_every_release_is_left_out_is_named(small_run, body):
    body = copy.deepcopy(body)
    del body["rounds"][0]["receipts"]["a"]

    found = held(small_run, body, *(listed(small_run, body, s) for s in "bc"))
    assert found.unlisted == ("a",)
    assert "no more left a is the issuer's word" in found.steps[6]
    assert held(small_run, {**body, "rounds": []}).unlisted == ("a", "b", "c")


@pytest.mark.parametrize(
    "more",
    [
        {"at": "nonsense"},
        {"at": AFTER + "\x1b[2J"},
        {"at": format_time(START - datetime.timedelta(seconds=1)), "destroyed": ""},
        {"at": format_time(LATER)},  # before the end that it tells of
        {"destroyed": "x"},
        {"destroyed": BEFORE},
        {"logged": BEFORE},
        {"bent": {"ended": None}},
        {"bent": {"is_closed": True}},
        {"backwards": True},
    ],
    ids=str,
)
def test_a_list_s_times_are_held_to_its_log_and_the_revocation(small_run, body, more):
    held(small_run, body, listed(small_run, body, "a"))

    with pytest.raises(Unverified, match="sites' own lists"):
        held(small_run, body, listed(small_run, body, "a", **more))


def without(body, site):
    """Return a certificate's body that lacks a site's release, and the release."""
    body = copy.deepcopy(body)
    receipt = body["rounds"][0]["receipts"].pop(site)
    return body, receipt, digest_bytes(canonical(receipt))


def test_a_release_that_is_not_known_to_have_arrived_may_be_missing_and_is_told(
    small_run, body
):
    less, receipt, name = without(body, "a")
    mine = listed(small_run, less, "a", records=[receipt], unsent=[name])

    found = held(small_run, less, mine, *(listed(small_run, less, s) for s in "bc"))

    one = Unsent("a", "attrition", "attrition/1/0", is_late=False)
    assert (found.unsent, found.unlisted) == ((one,), ())
    assert "not known to have reached its hub, attrition/1/0 of a" in found.steps[6]
    assert found.before_revocation == found.tainted == ("attrition",)
    page = render_revoked(signed(small_run, less), [mine])
    for said in WORDS.values():
        assert said["unsent"].format(site="a", task="attrition/1/0") in page


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "attrition/1/0\nVERIFIED: A STUDY"},
        {"task": "attrition/1"},
        {"task": "other/1/0"},
        {"task": "attrition/1/" + "0" * 99},
        {"task": 7},
        {"analysis": "other", "task": "other/1/0"},
        {"analysis": "other\nVERIFIED", "task": "other\nVERIFIED/1/0"},
        {"analysis": None},
        {"attempt": 2},
        {"attempt": True},
        {"round": 1},
    ],
    ids=str,
)
def test_what_a_lying_site_names_as_unsent_is_of_the_study(small_run, body, changes):
    """Its words would else stand among the verifier's own."""
    less, receipt, _ = without(body, "a")
    bent = restated(small_run, receipt, "a", **changes)
    name = digest_bytes(canonical(bent))
    mine = listed(small_run, less, "a", records=[bent], unsent=[name])

    with pytest.raises(Unverified, match="a lists a release of another study"):
        held(small_run, less, mine)


def test_who_hides_the_only_release_of_an_analysis_leaves_it_tainted(small_run):
    """A coordinator that has it, while its hub's word was lost on the way back."""
    body = revoked_body(small_run, START)
    less, receipt, name = without(body, "a")
    less["rounds"] = []
    at = {"at": AFTER, "records": [receipt], "unsent": [name]}

    found = held(small_run, less, listed(small_run, less, "a", **at))

    assert found.courses == ()
    assert found.tainted == ("attrition",)
    assert [one.is_late for one in found.unsent] == [True]
    assert found.before_revocation == ()


def test_a_release_that_arrived_though_its_site_does_not_know_stands_in_both(
    small_run, body
):
    _, receipt, name = without(body, "a")
    mine = listed(small_run, body, "a", records=[receipt], unsent=[name])

    assert held(small_run, body, mine).unsent == ()


def test_a_release_that_its_site_knows_to_have_arrived_cannot_be_hidden(
    small_run, body
):
    less, receipt, name = without(body, "a")
    other = restated(small_run, receipt, "a", task="attrition/2/0", attempt=2)
    its = digest_bytes(canonical(other))
    for unsent in ({}, {"unsent": [its]}, {"destroyed": "", "unsent": [name]}):
        mine = listed(small_run, less, "a", records=[receipt, other], **unsent)
        with pytest.raises(Unverified, match="a lists other releases"):
            held(small_run, less, mine)


def test_what_a_log_names_as_unsent_is_of_the_list_and_named_once(small_run, body):
    less, receipt, name = without(body, "a")
    ready = restated(small_run, receipt, "a", kind="ready")
    kept = [receipt, ready]
    held(small_run, less, listed(small_run, less, "a", records=kept, unsent=[name]))

    no_sum = digest_bytes(canonical(ready))
    for unsent in (
        [],
        [name, name],
        sorted([name, no_sum]),
        sorted([name, "sha256:" + "0" * 64]),
        [name, 1],
        {name: 1},
        name,
        None,
        [[name]],
    ):
        mine = listed(small_run, less, "a", records=kept, unsent=unsent)
        with pytest.raises(Unverified, match="sites' own lists"):
            held(small_run, less, mine)


def test_a_list_of_another_run_or_of_other_releases_is_refused(small_run, body):
    run, mine = {**body, "run": "0" * 32}, listed(small_run, body, "a")
    receipt = body["rounds"][0]["receipts"]["a"]
    ready = restated(small_run, receipt, "a", kind="ready")
    other = restated(small_run, ready, "a", run=run["run"])
    for lists, words in (
        ((mine, listed(small_run, body, "a")), "two lists of a are given"),
        (
            (listed(small_run, run, "a", records=[other]),),
            "the list of a is of another run",
        ),
        ((listed(small_run, body, "a", records=[ready]),), "a lists other releases"),
    ):
        with pytest.raises(Unverified, match=words):
            held(small_run, body, *lists)


def test_a_list_of_a_site_that_takes_no_part_is_refused(tmp_path):
    """The permit knows its key, and does not name it among those that contribute."""
    four = Plan(toy_study(sites=("a", "b", "c", "d")))
    with Federation(tmp_path / "four", four) as federation:
        federation.study = study = toy_study()
        permit = replace(
            federation.bundle.permit, study=study.digest, sites=study.sites
        )
        federation.bundle = federation.cast.approved(Bundle(permit), START)
        run = federation.run()
    body = revoked_body(run)
    receipt = body["rounds"][0]["receipts"]["a"]
    ready = restated(run, receipt, "d", site="d", kind="ready")

    with pytest.raises(Unverified, match="d is not a site of the permit"):
        held(run, body, listed(run, body, "d", records=[ready]))


def test_a_site_may_have_heard_of_the_end_by_a_slower_clock(small_run, body):
    first = format_time(LATER - SKEW)

    found = held(small_run, body, listed(small_run, body, "a", destroyed=first))

    assert found.destroyed == {"a": first}


@pytest.mark.parametrize("kind", [5, None])
def test_a_record_of_no_kind_is_refused(small_run, body, kind):
    receipt = body["rounds"][0]["receipts"]["a"]
    more = restated(small_run, receipt, "a", kind="ready")
    held(small_run, body, listed(small_run, body, "a", records=[receipt, more]))
    for changes in ({"kind": kind}, {"type": "hetao.other/1"}):
        bent = restated(small_run, more, "a", **changes)
        with pytest.raises(Unverified, match="nothing that leaves a site"):
            held(small_run, body, listed(small_run, body, "a", records=[receipt, bent]))


def test_a_list_of_who_is_no_site_is_refused(small_run, body):
    receipt = body["rounds"][0]["receipts"]["a"]
    said = restated(small_run, receipt, "hub-hk", site="hub-hk", kind="x")

    with pytest.raises(Unverified, match="hub-hk is no site"):
        held(small_run, body, listed(small_run, body, "hub-hk", records=[said]))


@pytest.mark.parametrize(
    ("task", "is_good"),
    [
        ("model/1/count", True),
        ("model/1/sites", True),
        ("model/1/0", False),
        ("model/2/sites", False),
    ],
)
def test_a_count_that_is_only_listed_is_named_as_a_count_is(task, is_good):
    one = {"analysis": "model", "attempt": 1, "round": 0, "task": task}
    one["protocol"] = "sealed_count/2"

    assert _is_placed(one, {"model"}) is is_good
    assert not _is_placed(one, {"another"})
