"""What would be certified of a run, had its permit been revoked."""

import copy
import datetime

from hetao.permit import bundle_from, format_time, sign_notice, state
from support_federation import START, restated

LATER = START + datetime.timedelta(seconds=60)


def revoked_body(run, when=LATER, verb="revoke", signer="ethics-hk"):
    """Return what a run's certificate would state, had it been revoked at that time."""
    bundle = bundle_from(run.body["permit"])
    identity = run.cast.identities[signer]
    said = sign_notice(bundle, identity, verb, when) if verb else bundle
    kept = ("study", "run", "rounds", "software", "issued")
    body = {name: run.body[name] for name in kept}
    return {
        **body,
        "type": "hetao.revoked-certificate/1",
        "permit": said.as_json(),
        "revoked": format_time(when),
        "issued": format_time(max(when, START)),
    }


def signed(run, body, **more):
    return run.resigned({**body, "sums": {}}, **more)


# --- what no verifier takes, though its issuer signs it ------------------------------
def never_revoked(run, body):
    return {**body, "permit": run.body["permit"]}


def at_another_time(run, body):
    return {**body, "revoked": format_time(START)}


def issued_before(run, body):
    return {**body, "issued": format_time(START - datetime.timedelta(hours=1))}


def of_another_study(run, body):
    return {**body, "study": {**body["study"], "title": "Another"}}


def with_a_finding(run, body):
    return {**body, "findings": run.body["findings"]}


def without_its_rounds(run, body):
    return {key: value for key, value in body.items() if key != "rounds"}


def of_another_run(run, body):
    return {**body, "run": "0" * 32}


def with_a_round_twice(run, body):
    return {**body, "rounds": [*body["rounds"], *body["rounds"]]}


def bent(change):
    def bend(run, body):
        body = copy.deepcopy(body)
        change(run, body["rounds"][0])
        return body

    bend.__name__ = change.__name__
    return bend


@bent
def by_another_site(run, round_):
    receipts = round_["receipts"]
    receipts["a"], receipts["b"] = receipts["b"], receipts["a"]


@bent
def by_no_member(run, round_):
    round_["receipts"]["d"] = round_["receipts"]["a"]


@bent
def by_nobody(run, round_):
    round_["receipts"] = {}


@bent
def of_a_lower_class(run, round_):
    receipt = round_["receipts"]["a"]
    said = {**receipt["body"]["class"], "released": 1}
    round_["receipts"]["a"] = restated(run, receipt, "a", **{"class": said})


@bent
def with_other_numbers(run, round_):
    round_["receipts"]["a"]["body"]["values"] = 1


@bent
def with_a_sum_of_other_shares(run, round_):
    total = round_["totals"]["hub-hk"]
    shares = {**total["body"]["shares"], "a": "sha256:" + "0" * 64}
    round_["totals"]["hub-hk"] = restated(run, total, "hub-hk", shares=shares)


@bent
def with_a_sum_over_fewer(run, round_):
    total = round_["totals"]["hub-hk"]
    shares = {k: v for k, v in total["body"]["shares"].items() if k != "a"}
    round_["totals"]["hub-hk"] = restated(run, total, "hub-hk", shares=shares)


@bent
def with_a_sum_by_a_site(run, round_):
    round_["totals"]["a"] = round_["totals"]["hub-hk"]


BENT = (
    never_revoked,
    at_another_time,
    issued_before,
    of_another_study,
    with_a_finding,
    without_its_rounds,
    of_another_run,
    with_a_round_twice,
    by_another_site,
    by_no_member,
    by_nobody,
    of_a_lower_class,
    with_other_numbers,
    with_a_sum_of_other_shares,
    with_a_sum_over_fewer,
    with_a_sum_by_a_site,
)


# What an office says that is not its own, or not of this permit, or not then.
NOT_THEIRS = (
    {"side": "SZ"},
    {"role": "data-protection"},
    {"by": "investigator"},
    {"key": "operator-hk"},
    {"permit": "sha256:" + "0" * 64},
    {"type": "hetao.notice/1"},
    {"at": "2046-11-22T08:01:00Z"},
    {"at": "2026-11-22 08:01:00Z"},
    {"delegation": {}},
)


def ended_by(run, body, change):
    """Return it with a last notice that says otherwise, signed by who first spoke."""
    body = copy.deepcopy(body)
    notice = body["permit"]["notices"][-1]
    said = {**notice["body"], **change}
    body["permit"]["notices"][-1] = state(
        run.cast.identities["ethics-hk"], said
    ).as_json()
    body["revoked"] = said["at"]
    body["issued"] = max(body["issued"], said["at"])
    return body
