"""No certificate verifies but the one that was issued, whoever did the changing."""

import base64
import copy
import datetime
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetao.canonical import canonical, digest, digest_bytes, parse_canonical
from hetao.errors import SmallCell, Unverified
from hetao.federation.certify import recompute
from hetao.federation.site import Site
from hetao.ledger.certificate import (
    published,
    sign_certificate,
    verify_certificate,
)
from hetao.ledger.credential import sign_credential
from hetao.permit import (
    Bundle,
    Directory,
    bundle_from,
    format_time,
    new_identity,
    sign_notice,
    state,
)
from hetao.release import Policy
from hetao.study import Criterion, Minimum
from support_federation import (
    COUNTS,
    LOGISTIC,
    START,
    Federation,
    Plan,
    restated,
    toy_study,
)

SLICES = 40  # of the certificate's bytes, to spread over processes


def step_that_refuses(data, trusted=None):
    with pytest.raises(Unverified) as caught:
        verify_certificate(data, trusted)
    words = str(caught.value).partition("step ")[2]
    assert words, caught.value
    return int(words.partition(",")[0])


def test_the_certificate_itself_verifies(small_run, model_run):
    for run in (small_run, model_run):
        verified = verify_certificate(run.certificate, run.cast.directory)

        assert len(verified.steps) == 11
        assert verified.pinned
        assert verified.lowered == {}


# --- from outside: bytes ------------------------------------------------------------
@pytest.mark.parametrize("start", range(0, SLICES, 5))
def test_a_flipped_bit_in_any_byte_is_refused(small_run, start):
    """A fifth of the bytes; `make mutated` takes every one."""
    spoilt = bytearray(small_run.certificate)
    for place in range(start, len(spoilt), SLICES):
        spoilt[place] ^= 1
        with pytest.raises(Unverified, match=r"step \d+, "):
            verify_certificate(bytes(spoilt))
        spoilt[place] ^= 1

    assert bytes(spoilt) == small_run.certificate


def test_other_flips_of_bytes_are_refused(small_run):
    draw = np.random.default_rng(11)
    places = draw.integers(0, len(small_run.certificate), 600)
    flips = draw.integers(2, 256, 600)
    for place, flip in zip(places.tolist(), flips.tolist(), strict=True):
        spoilt = bytearray(small_run.certificate)
        spoilt[place] ^= flip

        assert step_that_refuses(bytes(spoilt)) in (1, 2, 7)  # or of the integers


def test_a_certificate_cut_anywhere_is_refused(small_run):
    data = small_run.certificate
    for size in {*range(0, len(data), 97), *range(len(data) - 40, len(data))}:
        assert step_that_refuses(data[:size]) == 1


@pytest.mark.parametrize("tail", [b"\n", b" ", b"\0", b"{}", b"}"])
def test_a_byte_more_is_refused(small_run, tail):
    assert step_that_refuses(small_run.certificate + tail) == 1
    assert step_that_refuses(tail + small_run.certificate) == 1


def test_another_spelling_of_the_same_json_is_refused(small_run):
    spaced = json.dumps(json.loads(small_run.certificate)).encode()

    assert step_that_refuses(spaced) == 1


@given(data=st.binary(max_size=500))
def test_any_bytes_are_refused(data):
    with pytest.raises(Unverified):
        verify_certificate(data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["body", "log", "signature", "sums", "type", "permit"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(value=json_values, body=json_values, log=json_values, signature=json_values)
def test_any_json_is_refused(value, body, log, signature):
    shaped = {"body": body, "log": log, "signature": signature, "sums": value}
    typed = {**shaped, "body": {"type": "hetao.certificate/3", "permit": value}}
    for candidate in (value, shaped, typed):
        with pytest.raises(Unverified):
            verify_certificate(canonical(candidate))


def places(value, path=()):
    """Yield the path to every value inside a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*path, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*path, key))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=json_values)
def test_any_value_in_any_place_of_a_re_signed_body_raises_nothing_else(
    small_run, data, value
):
    """A lying coordinator may write what it likes; a verifier never crashes."""
    body = small_run.body
    *parents, key = data.draw(st.sampled_from(list(places(body))))
    inside = body
    for parent in parents:
        inside = inside[parent]
    inside[key] = value

    try:
        verify_certificate(small_run.resigned(body))
        recompute({"body": body, "sums": small_run.sums})
    except Unverified:
        return


# --- from outside: signed by somebody else ------------------------------------------
def test_a_certificate_that_another_key_signed_is_refused(small_run):
    value = parse_canonical(small_run.certificate)
    stranger = new_identity("coordinator")
    signed = {
        "type": "hetao.signed-certificate/1",
        "body": digest(value["body"]),
        "log": value["log"],
    }
    value["signature"] = state(stranger, signed).signature

    assert step_that_refuses(canonical(value)) == 2


def test_a_certificate_of_a_made_up_federation_is_not_of_the_trusted_one(
    small_run, model_run
):
    """All its steps hold but the one that compares keys with the verifier's list."""
    assert verify_certificate(model_run.certificate)
    assert step_that_refuses(model_run.certificate, small_run.cast.directory) == 4


@pytest.mark.parametrize("name", ["a", "hub-sz", "coordinator", "ethics-hk"])
def test_a_party_that_the_verifier_does_not_trust_is_refused(small_run, name):
    here = small_run.cast.directory
    trusted = Directory(
        tuple(p for p in here.parties if p.name != name),
        tuple(p for p in here.persons if p.name != name),
        tuple(key for key in here.keys if key.owner != name),
    )

    assert verify_certificate(small_run.certificate, here).pinned
    assert step_that_refuses(small_run.certificate, trusted) == 4


def test_approvals_by_a_key_that_the_verifier_does_not_know_are_refused(small_run):
    """The people are known; whose key signed for one of them is not."""
    here = small_run.cast.directory
    keys = tuple(key for key in here.keys if key.owner != "ethics-hk")

    assert (
        step_that_refuses(
            small_run.certificate, Directory(here.parties, here.persons, keys)
        )
        == 4
    )


def test_an_office_whose_key_is_not_the_verifiers_is_refused(small_run):
    known = small_run.cast.directory
    fresh = new_identity("ethics-hk", sealing=False).sign_public
    keys = tuple(
        replace(k, public=fresh) if k.owner == "ethics-hk" else k for k in known.keys
    )

    assert step_that_refuses(small_run.certificate, replace(known, keys=keys)) == 4


def test_an_approval_by_a_key_that_was_revoked_before_is_refused(small_run):
    known = small_run.cast.directory
    keys = tuple(
        replace(k, revoked_at=k.valid_from) if k.owner == "ethics-hk" else k
        for k in known.keys
    )

    assert step_that_refuses(small_run.certificate, replace(known, keys=keys)) == 4


@pytest.mark.parametrize(("hours", "tainted"), [(0, True), (1, False)])
def test_a_revocation_since_says_what_it_taints(small_run, hours, tainted):
    body = parse_canonical(small_run.certificate)["body"]
    bundle = bundle_from(body["permit"])
    when = START + datetime.timedelta(hours=hours)
    signer = small_run.cast.identities["ethics-hk"]
    later = sign_notice(bundle, signer, "revoke", when).notices[-1:]

    verified = verify_certificate(small_run.certificate, None, later)

    names = tuple(finding["analysis"] for finding in body["findings"])
    assert verified.revoked
    assert verified.tainted == (names if tainted else ())
    assert verified.before_revocation == (() if tainted else names)


def test_a_forged_notice_since_is_refused(small_run):
    bundle = bundle_from(parse_canonical(small_run.certificate)["body"]["permit"])
    first = bundle.notices[0]
    forged = replace(first, body={**first.body, "verb": "revoke", "sequence": 2})

    with pytest.raises(Unverified, match="since"):
        verify_certificate(small_run.certificate, None, [forged])


def test_the_log_proof_of_another_certificate_is_refused(small_run, model_run):
    value = parse_canonical(small_run.certificate)
    value["log"] = parse_canonical(model_run.certificate)["log"]

    assert step_that_refuses(canonical(value)) == 2


# --- from inside: a lying coordinator signs anew --------------------------------------
def test_signing_an_unchanged_body_anew_verifies(model_run):
    """So what refuses below is the inner step, not the outer signature."""
    assert verify_certificate(model_run.resigned(model_run.body))


def edited(*path, value):
    def spoil(run, body):
        inside = body
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = value

    return spoil


def receipt_of(body, task, site):
    return next(r for r in body["rounds"] if r["task"] == task)["receipts"][site]


def restate_receipt(**changes):
    """The coordinator cannot sign for a site: the old signature stays."""

    def spoil(run, body):
        receipt_of(body, "model/1/0", "a")["body"].update(changes)

    return spoil


def swap_permit(run, body):
    permit = bundle_from(body["permit"]).permit
    changed = json.loads(json.dumps(Bundle(permit).as_json()))
    changed["permit"]["number"] = "another"
    body["permit"] = run.cast.approved(bundle_from(changed), START).as_json()


def drop_approval(run, body):
    body["permit"]["notices"].pop()


def insert_withdrawal(run, body):
    bundle = bundle_from(body["permit"])
    signer = run.cast.identities["ethics-sz"]
    body["permit"] = sign_notice(bundle, signer, "withdraw", START).as_json()


def replay_round(run, body):
    """Put the releases of one round where those of the next belong."""
    first, second = (
        r for r in body["rounds"] if r["task"] in ("model/1/0", "model/1/1")
    )
    second["receipts"] = first["receipts"]
    second["totals"] = first["totals"]
    body["sums"] = run.sums | {second["task"]: run.sums[first["task"]]}


def replay_one_release(run, body):
    body["rounds"][2]["receipts"]["a"] = body["rounds"][1]["receipts"]["a"]


def stand_in(run, body):
    """Let one site's release stand for another's."""
    receipts = body["rounds"][1]["receipts"]
    receipts["b"] = receipts["a"]


def repeat_round(run, body):
    body["rounds"].insert(2, copy.deepcopy(body["rounds"][1]))


def drop_release(run, body):
    del body["rounds"][1]["receipts"]["c"]


def drop_site(run, body):
    """Leave one site out of a round altogether."""
    round_ = body["rounds"][1]
    round_["members"] = ["a", "b"]
    del round_["receipts"]["c"]


def drop_round(run, body):
    del body["rounds"][1]


def drop_round_and_proofs(run, body):
    task = body["rounds"].pop(1)["task"]
    for site in body["sites"]:
        site["proofs"] = [p for p in site["proofs"] if p["task"] != task]


def swap_closings(run, body):
    one, other = body["sites"][:2]
    one["closing"], other["closing"] = other["closing"], one["closing"]


def swap_readies(run, body):
    one, other = body["sites"][:2]
    one["ready"], other["ready"] = other["ready"], one["ready"]


def drop_last_round(run, body):
    body["rounds"].pop()
    body["findings"][-1]["rounds"] -= 1


def swap_hubs(run, body):
    totals = body["rounds"][1]["totals"]
    totals["hub-hk"], totals["hub-sz"] = totals["hub-sz"], totals["hub-hk"]


def words_of(run, body):
    """Return the integers of the second round, to be spoilt."""
    body["sums"] = run.sums
    return body["sums"][body["rounds"][1]["task"]]


def swap_words(run, body):
    words = words_of(run, body)
    words["hub-hk"], words["hub-sz"] = words["hub-sz"], words["hub-hk"]


def show_one_hub(run, body):
    del words_of(run, body)["hub-hk"]


def show_another_round(run, body):
    words = words_of(run, body)
    body["sums"] = {**body["sums"], "model/9/0": words}


def drop_total(run, body):
    del body["rounds"][1]["totals"]["hub-hk"]


def change_integer(run, body):
    part = words_of(run, body)["hub-hk"]
    raw = bytearray(base64.b64decode(part["words"]))
    raw[0] ^= 1
    part["words"] = base64.b64encode(raw).decode()


def change_tag(run, body):
    part = words_of(run, body)["hub-hk"]
    part["tag"] = f"{int(part['tag'], 16) ^ 1:032x}"


def drop_tag(run, body):
    del words_of(run, body)["hub-hk"]["tag"]


def shorten_integers(run, body):
    words = words_of(run, body)
    for part in words.values():
        raw = base64.b64decode(part["words"])[:-16]
        part["words"] = base64.b64encode(raw).decode()


def total_of_other_shares(run, body):
    total = body["rounds"][1]["totals"]["hub-hk"]
    total["body"]["shares"]["a"] = "sha256:" + "0" * 64


def drop_site_log(run, body):
    body["sites"].pop()


def drop_proof(run, body):
    body["sites"][0]["proofs"].pop()


def shift_proof(run, body):
    body["sites"][0]["proofs"][0]["index"] += 1


def swap_site_logs(run, body):
    one, other = body["sites"][:2]
    one["checkpoint"], other["checkpoint"] = other["checkpoint"], one["checkpoint"]


def hide_policy(run, body):
    body["sites"][0]["policy"]["lowered"] = []
    body["sites"][0]["policy"]["reason"] = "another"


def drop_finding(run, body):
    body["findings"].pop()


def swap_findings(run, body):
    body["findings"].reverse()


def repeat_finding(run, body):
    body["findings"][1] = body["findings"][0]


def change_study(run, body):
    body["study"]["title"] = "Another"


def lose_a_site(run, body):
    """Name a site that took part as lost, so that its log need not be shown."""
    body["lost"] = {"a": "a was silent"}
    body["sites"] = [site for site in body["sites"] if site["name"] != "a"]


def withhold_model(run, body):
    """Hide a model's integers, so that nobody can work its estimates out again."""
    body["findings"][1]["withheld"] = True
    body["sums"] = {t: w for t, w in run.sums.items() if not t.startswith("model/")}


def drop_vote(run, body):
    body["review"]["votes"].pop()


def no_votes(run, body):
    body["review"]["votes"] = []


def vote_twice(run, body):
    body["review"]["votes"][1] = body["review"]["votes"][0]


def object_to_it(run, body):
    vote = body["review"]["votes"][0]
    by = vote["body"]["by"]
    body["review"]["votes"][0] = restated(run, vote, by, vote="change")


def vote_of_an_approver(run, body):
    vote = body["review"]["votes"][0]
    said = {**vote["body"], "by": "ethics-hk", "role": "ethics"}
    signed = state(run.cast.identities["ethics-hk"], said)
    body["review"]["votes"][0] = signed.as_json()


def vote_about_something_else(run, body):
    for place, vote in enumerate(body["review"]["votes"]):
        by = vote["body"]["by"]
        new = restated(run, vote, by, package="sha256:" + "0" * 64)
        body["review"]["votes"][place] = new


def change_a_check(run, body):
    """What the checkers saw is not what is shown: no vote is about it."""
    body["checks"][0]["parameter"] += 1


def vote_again(run, body):
    """Let both checkers collude, and accept whatever stands there now."""
    votes = run.cast.reviewed(bundle_from(body["permit"]), body, START)
    package = votes[0].body["package"]
    body["review"] = {"package": package, "votes": [v.as_json() for v in votes]}


def sign_odd_policy(run, body):
    receipts = body["rounds"][1]["receipts"]
    receipts["a"] = restated(run, receipts["a"], "a", policy=5)


LATER = format_time(START + datetime.timedelta(hours=2))
LIES = {
    "another type": (edited("type", value="hetao.certificate/1"), 1),
    "a field more": (edited("note", value="peer reviewed"), 1),
    "another study": (change_study, 3),
    "an approval is left out": (drop_approval, 3),
    "an approval is withdrawn": (insert_withdrawal, 3),
    "issued after the permit": (edited("issued", value="2030-01-01T00:00:00Z"), 3),
    "issued before the permit": (edited("issued", value="2020-01-01T00:00:00Z"), 3),
    "issued at no time": (edited("issued", value="today"), 3),
    "a release out of time": (restate_receipt(at="2030-01-01T00:00:00Z"), 3),
    "another permit": (swap_permit, 5),
    "another run": (edited("run", value="f" * 32), 5),
    "a round's releases in another round": (replay_round, 5),
    "one release in another round": (replay_one_release, 5),
    "one site's release for another's": (stand_in, 5),
    "a round twice": (repeat_round, 5),
    "a release is left out": (drop_release, 5),
    "a site is left out": (drop_site, 5),
    "a release of a class too high": (restate_receipt(grade=1), 5),
    "a release under another code": (restate_receipt(protocol_hash="x"), 5),
    "a release with an odd policy": (sign_odd_policy, 5),
    "another protocol": (edited("rounds", 1, "protocol", value="linear"), 5),
    "another number of a round": (edited("rounds", 1, "round", value=7), 5),
    "a hub's sum is left out": (drop_total, 6),
    "the hubs' sums are swapped": (swap_hubs, 6),
    "a sum of other shares": (total_of_other_shares, 6),
    "an integer is changed": (change_integer, 7),
    "a sum of tags is changed": (change_tag, 7),
    "a sum of tags is left out": (drop_tag, 7),
    "the hubs' integers are swapped": (swap_words, 7),
    "the integers are cut short": (shorten_integers, 7),
    "one hub's integers alone": (show_one_hub, 7),
    "integers of a round that is not there": (show_another_round, 7),
    "counts are less rounded": (edited("rounded_to", value=1), 8),
    "an output checker's vote is left out": (drop_vote, 11),
    "all votes are left out": (no_votes, 11),
    "one checker votes for both": (vote_twice, 11),
    "a checker asked for a change": (object_to_it, 11),
    "an approver votes": (vote_of_an_approver, 11),
    "the votes are about something else": (vote_about_something_else, 11),
    "a check is rewritten": (change_a_check, 11),
    "a site's log is left out": (drop_site_log, 8),
    "a proof is left out": (drop_proof, 8),
    "a proof is of another entry": (shift_proof, 8),
    "the sites' logs are swapped": (swap_site_logs, 8),
    "a site stands on another side": (edited("sites", 0, "side", value="SZ"), 8),
    "a lowered policy is hidden": (hide_policy, 8),
    "smaller counts are shown": (edited("smallest_shown", value=1), 8),
    "a round is left out": (drop_round, 8),
    "a round and its proofs are left out": (drop_round_and_proofs, 8),
    "another snapshot": (edited("sites", 0, "snapshot", value="sha256:x"), 8),
    "a check of quality is made up": (edited("sites", 0, "quality", value=[{}]), 8),
    "one site's closing for another's": (swap_closings, 8),
    "one site's ready for another's": (swap_readies, 8),
    "a concept set is made up": (
        edited("sites", 0, "concepts", value=[{"name": "x", "digest": ""}]),
        8,
    ),
    "issued hours after the cosignatures": (edited("issued", value=LATER), 9),
    "a finding with a field more": (edited("findings", 1, "note", value="!"), 10),
    "a model is marked withheld": (edited("findings", 1, "withheld", value=True), 10),
    "a model's integers are withheld": (withhold_model, 10),
    "a participant is named as lost": (edited("lost", value={"a": "silent"}), 10),
    "a participant is made a lost site": (lose_a_site, 10),
    "a finding is left out": (drop_finding, 10),
    "the findings change places": (swap_findings, 10),
    "a finding stands for another": (repeat_finding, 10),
    "a finding of other members": (edited("findings", 1, "members", value=["a"]), 10),
    "a finding of more rounds": (edited("findings", 1, "rounds", value=9), 10),
    "a finding of no rounds": (edited("findings", 1, "rounds", value=0), 10),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_coordinator_is_caught_by_the_step_that_says_so(model_run, lie):
    spoil, step = LIES[lie]
    body = model_run.body
    spoil(model_run, body)

    data = model_run.resigned(body)

    assert step_that_refuses(data) == step


@pytest.mark.parametrize(
    "field", ["task", "round", "attempt", "analysis", "run", "study"]
)
@pytest.mark.parametrize("signer", ["a", "coordinator"])
def test_a_release_signed_anew_for_another_place_is_refused(model_run, field, signer):
    """Neither with the site's own key nor with the coordinator's."""
    body = model_run.body
    receipt = receipt_of(body, "model/1/0", "a")
    old = receipt["body"][field]
    value = old + 1 if isinstance(old, int) else old + "x"
    new = restated(model_run, receipt, signer, **{field: value})
    receipt.clear()
    receipt.update(new)

    assert step_that_refuses(model_run.resigned(body)) == 5


def test_a_release_of_another_run_of_the_same_parties_is_refused(model_run):
    """The site did sign it, for the same place of another run."""
    body = model_run.body
    receipt = receipt_of(body, "model/1/0", "a")
    new = restated(model_run, receipt, "a", run="0" * 32)
    body["rounds"][1]["receipts"]["a"] = new

    assert step_that_refuses(model_run.resigned(body)) == 5


def test_a_lying_hub_and_coordinator_together_cannot_leave_out_a_part(model_run):
    """The hub signs a sum in which one part is missing: the last word tells."""
    body = model_run.body
    round_ = body["rounds"][1]
    part = words_of(model_run, body)["hub-hk"]
    raw = np.frombuffer(base64.b64decode(part["words"]), "<u8").copy()
    raw[raw.size // 2 - 1] -= np.uint64(1 << 8)  # one from the count's high word
    part["words"] = base64.b64encode(raw.tobytes()).decode()
    round_["totals"]["hub-hk"] = restated(
        model_run,
        round_["totals"]["hub-hk"],
        "hub-hk",
        words=digest_bytes(raw.tobytes()),
    )

    assert step_that_refuses(model_run.resigned(body)) == 7


@pytest.mark.parametrize("hub", ["hub-hk", "hub-sz"])
def test_without_both_cosignatures_a_certificate_is_refused(model_run, hub):
    assert step_that_refuses(model_run.resigned(model_run.body, without=hub)) == 9


def test_a_body_that_the_log_does_not_hold_is_refused(model_run, small_run):
    """Signed by the coordinator, but beside another body's log proof."""
    body = model_run.body
    body["software"] = "hetao 99"
    log = parse_canonical(model_run.certificate)["log"]
    boss = model_run.cast.identities["coordinator"]

    assert step_that_refuses(sign_certificate(boss, body, log, {})) == 9


def relogged(run, **changes):
    """Return the certificate with another part of the log, signed by its issuer."""
    log = run.value["log"] | changes
    boss = run.cast.identities["coordinator"]
    return sign_certificate(boss, run.body, log, run.sums)


def test_the_log_of_an_unchanged_certificate_signed_anew_verifies(small_run):
    assert verify_certificate(relogged(small_run))


def test_a_lying_coordinator_cannot_bend_what_the_log_holds(small_run, model_run):
    log = small_run.value["log"]
    boss = small_run.cast.identities["coordinator"]
    other = sign_credential(boss.signing_key, {"says": "nothing"})
    moved = log["proof"].replace("\nindex ", "\nindex 1", 1)
    carries = log["proof"].replace("\nindex ", "\nextra AAAA\nindex ", 1)

    for changes in (
        {"credential": model_run.value["log"]["credential"]},
        {"credential": other},
        {"credential": ""},
        {"proof": moved},
        {"proof": carries},
        {"proof": model_run.value["log"]["proof"]},
        {"proof": None},
        {"note": "a field more"},
    ):
        assert step_that_refuses(relogged(small_run, **changes)) == 9


# --- a site lost in mid-run ---------------------------------------------------------
class FallsOut(Site):
    """A site that answers the first round of a model and refuses the rest."""

    def _compute(self, envelope, run):
        if envelope.header.round > 0:
            raise SmallCell("no more", fix="none")
        return super()._compute(envelope, run)


@pytest.fixture(scope="module")
def lost_run(tmp_path_factory):
    """Return a run in which one of four sites, of a lowered policy, fell out."""
    study = toy_study((LOGISTIC,), ("a", "b", "c", "d"), on_lost_site="continue")
    low = Policy(Minimum(people=20, cell=5), reason="a small hospital")
    plan = Plan(study, policies={"d": low}, site_types={"d": FallsOut})
    with Federation(tmp_path_factory.mktemp("lost"), plan) as made:
        return made.run()


def test_a_run_that_lost_a_site_verifies_without_it(lost_run):
    """What was released for the attempt that was given up is not left out."""
    verified = verify_certificate(lost_run.certificate, lost_run.cast.directory)

    body = lost_run.body
    assert list(body["lost"]) == ["d"]
    assert body["findings"][0]["members"] == ["a", "b", "c"]
    assert {r["attempt"] for r in body["rounds"]} == {1, 2}
    tasks = {r["task"] for r in body["rounds"]}
    assert any(p["task"] not in tasks for s in body["sites"] for p in s["proofs"])
    assert recompute(lost_run.value) == "1 findings follow from the certified integers"
    assert verified.unchecked == ()


def test_a_policy_that_a_lost_site_lowered_is_told(lost_run):
    """From what it signed: its entry among the sites is not there."""
    verified = verify_certificate(lost_run.certificate)

    assert "d" not in {site["name"] for site in lost_run.body["sites"]}
    assert list(verified.lowered) == ["d"]
    assert verified.lowered["d"]["reason"] == "a small hospital"
    assert verified.lowered["d"]["lowered"] == ["people", "cell"]


def test_an_odd_policy_of_a_lost_site_is_refused_and_nothing_else_raised(lost_run):
    body = lost_run.body
    receipts = body["rounds"][0]["receipts"]
    receipts["d"] = restated(lost_run, receipts["d"], "d", policy=5)

    assert step_that_refuses(lost_run.resigned(body)) == 5


def test_the_attempt_that_counted_may_not_be_left_out(lost_run):
    """Nor may an earlier one, of other members, stand in its place."""
    body = lost_run.body
    body["rounds"] = [r for r in body["rounds"] if r["attempt"] == 1]
    body["findings"][0]["rounds"] = len(body["rounds"])
    body["findings"][0]["members"] = ["a", "b", "c", "d"]

    assert step_that_refuses(lost_run.resigned(body)) == 8


def test_a_lost_site_counted_in_a_finding_is_refused(lost_run):
    body = lost_run.body
    body["findings"][0]["members"] = ["a", "b", "c", "d"]

    assert step_that_refuses(lost_run.resigned(body)) == 10


# --- what stands on the issuer's word alone -----------------------------------------
def test_a_withheld_analysis_is_named_as_unchecked(tmp_path):
    """A step removes fewer people than may be shown, so its sum is withheld."""
    few = (Criterion("not very old", "age < 88"),)
    plan = Plan(toy_study((COUNTS, LOGISTIC), criteria=few))
    with Federation(tmp_path / "f", plan) as federation:
        ran = federation.run()

    verified = verify_certificate(ran.certificate)

    assert [f["withheld"] for f in ran.body["findings"]] == [True, False]
    assert verified.unchecked == verified.withheld == ("attrition",)
    assert "on the issuer's word alone: attrition" in verified.steps[9]


def test_integers_that_a_liar_withholds_are_named_as_unchecked(model_run):
    body = model_run.body
    body["findings"][0]["withheld"] = True
    vote_again(model_run, body)
    body["sums"] = {t: w for t, w in model_run.sums.items() if "attrition" not in t}

    verified = verify_certificate(model_run.resigned(body))

    assert verified.unchecked == ("attrition",)
    assert verify_certificate(model_run.certificate).unchecked == ()


# --- findings follow from integers --------------------------------------------------
def test_the_findings_follow_from_the_integers(model_run):
    assert recompute(model_run.value).startswith("2 findings")


def test_what_is_published_holds_no_integer_and_verifies(model_run):
    public = published(model_run.certificate)

    verified = verify_certificate(public, model_run.cast.directory)

    assert verified.unchecked == ("attrition", "model")
    assert verified.withheld == ()
    assert parse_canonical(public)["sums"] == {}
    assert parse_canonical(public)["body"] == model_run.body
    assert recompute(parse_canonical(public)).startswith("0 findings follow")


def test_integers_can_be_put_back_into_what_was_published(model_run):
    """Nobody need sign them anew: each is held against its hub's digest."""
    public = parse_canonical(published(model_run.certificate))
    again = canonical({**public, "sums": model_run.sums})

    assert verify_certificate(again).unchecked == ()
    assert recompute(parse_canonical(again)).startswith("2 findings")


def numbers(value, path=()):
    for place in places(value, path):
        inside = value
        for key in place[len(path) :]:
            inside = inside[key]
        if isinstance(inside, int | float) and not isinstance(inside, bool):
            yield place


def test_a_changed_number_in_any_finding_does_not_follow(model_run):
    body = model_run.body
    found = list(numbers(body["findings"]))
    assert len(found) > 15
    for *parents, key in found:
        if parents[-1:] == [] or "finding" not in parents:
            continue
        inside = body["findings"]
        for parent in parents:
            inside = inside[parent]
        old = inside[key]
        inside[key] = old + 1e-3 * max(1.0, abs(old))
        vote_again(model_run, body)

        assert verify_certificate(model_run.resigned(body))
        with pytest.raises(Unverified, match="does not follow"):
            recompute({"body": body, "sums": model_run.sums})
        inside[key] = old

    assert recompute({"body": body, "sums": model_run.sums})


@pytest.mark.parametrize("is_withheld", [True, False])
def test_saying_withheld_hides_nothing_whose_integers_are_shown(model_run, is_withheld):
    body = model_run.body
    body["findings"][0]["withheld"] = is_withheld
    body["findings"][0]["finding"]["steps"][0]["n"] += 1

    with pytest.raises(Unverified):
        recompute({"body": body, "sums": model_run.sums})


def test_a_finding_without_its_integers_is_refused(model_run):
    body = model_run.body
    sums = {k: v for k, v in model_run.sums.items() if k != "model/1/0"}

    with pytest.raises(Unverified):
        recompute({"body": body, "sums": sums})


def test_the_last_round_may_not_be_left_out(model_run):
    """The steps hold, but the shorter course comes to no finding."""
    body = model_run.body
    drop_last_round(model_run, body)

    with pytest.raises(Unverified):
        recompute({"body": body, "sums": model_run.sums})


def test_the_finding_of_another_analysis_does_not_follow(model_run):
    body = model_run.body
    one, other = body["findings"]
    one["finding"], other["finding"] = other["finding"], one["finding"]

    with pytest.raises(Unverified):
        recompute({"body": body, "sums": model_run.sums})
