"""The rounds of a certificate: releases of sites, sums of hubs, their integers.

Steps 5 to 7 of `hetao.ledger.certificate`.
"""

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from hetao.canonical import digest_bytes
from hetao.errors import Unverified
from hetao.ledger.classes import PASSED, check_class
from hetao.ledger.merkle import from_hex
from hetao.ledger.opened import Opened, match
from hetao.ledger.sealed_counts import COUNTED as COUNTED_OF
from hetao.ledger.sealed_counts import (
    NAME,
    SITES,
    check_fit,
    finds_few,
    task_of,
    what_of,
)
from hetao.ledger.sealed_counts import TYPE as COUNTED
from hetao.permit import Payload, parse_time, statement_from

ROUND: Final = {
    "task",
    "analysis",
    "protocol",
    "attempt",
    "round",
    "members",
    "receipts",
    "totals",
}
# Checks of a record: that only a sum of enough is opened, and that it is none of few.
SECURE_SUM: Final = "secure_sum"
SEALED_SITES: Final = "sealed_sites"
NOT_PASSED: Final = "not_passed"
ONE: Final = 1 << 56  # a site's count word, in fixed point


def check_releases(certificate: Opened) -> str:  # 5
    """Hold each release to its site, the permit and its class; say how many."""
    count = 0
    seen: set[object] = set()
    _check_counts(certificate)
    for round_ in (*certificate.body["rounds"], *certificate.counts):
        check_place(round_, seen)
        if sorted(round_["receipts"]) != sorted(round_["members"]):
            raise Unverified(f"round {round_['task']} lacks a member's release")
        for site in round_["members"]:
            check_release(certificate, site, round_)
            count += 1
    more = (
        "" if certificate.lineages.known else ", graded by another dictionary's levels"
    )
    return f"{count} releases, each signed by its site under this permit{more}"


def check_place(round_: Mapping[str, Any], seen: set[object]) -> None:
    """Hold a round to its form, and to a place and a name of its own.

    Args:
        round_: or a sealed count.
        seen: places and names of those before it; its own are added.

    Raises:
        Unverified: it holds another field, or one of these stands twice.
    """
    if set(round_) != ROUND:
        raise Unverified(f"round {round_['task']} holds other fields than it should")
    if type(round_["attempt"]) is not int or type(round_["round"]) is not int:
        raise Unverified(f"round {round_['task']} is not numbered")
    number: object = round_["round"]
    if round_["protocol"] == NAME:
        number = what_of(str(round_["task"]))
    own = {(round_["analysis"], round_["attempt"], number), str(round_["task"])}
    if not seen.isdisjoint(own):
        raise Unverified(f"round {round_['task']} stands twice")
    seen |= own


def _check_counts(certificate: Opened) -> None:
    """Hold a certificate's sealed counts, and its rounds, each to their own kind."""
    if any(round_["protocol"] == NAME for round_ in certificate.body["rounds"]):
        raise Unverified("a sealed count stands among what was opened")
    for one in certificate.counts:
        of = str(one["analysis"]), int(one["attempt"])
        tasks = [task_of(*of, what) for what in COUNTED_OF]
        is_placed = (one["protocol"], one["round"]) == (NAME, 0)
        if not is_placed or one["task"] not in tasks:
            raise Unverified("what stands among the sealed counts is none")


def check_release(certificate: Opened, site: str, round_: Mapping[str, Any]) -> None:
    """Hold one site's release in a round to the site, the permit and its class.

    Raises:
        Unverified: it does not hold.
    """
    party = certificate.party(site, "site")
    if site not in certificate.permit.sites:
        raise Unverified(f"{site} is not a site of the permit")
    receipt = statement_from(round_["receipts"][site])
    receipt.verify(party)
    body = receipt.body
    expected = {
        "type": "hetao.release/2",
        "site": site,
        "kind": "sum",
        "members": round_["members"],
        **certificate.place(round_),
    }
    match(body, expected, f"the release of {site} in {round_['task']}")
    name, _, version = str(body["protocol"]).partition("/")
    listed = certificate.permit.protocol(name)
    if name != round_["protocol"] or listed is None:
        raise Unverified(f"{site} ran an unlisted protocol in {round_['task']}")
    if (listed.version, listed.hash) != (version, body["protocol_hash"]):
        raise Unverified(f"{site} ran another code of {name} than was permitted")
    if not 0 <= round_["round"] < listed.most_rounds:
        raise Unverified(f"{round_['task']} lies beyond the permitted rounds")
    _class(certificate, site, body)
    if not isinstance(body["policy"]["lowered"], list):  # also of a lost site
        raise Unverified(f"{site} does not say what its policy lowered")


def _class(certificate: Opened, site: str, body: Mapping[str, Any]) -> None:
    """Grade a release again, and hold it to the permit's terms of that time."""
    what = f"the release of {site} in {body['task']}"
    if not certificate.lineages.covers(str(body["analysis"]), body["lineage"]):
        raise Unverified(f"{what} leaves out what its analysis reads")
    check_class(body, what, certificate.lineages.known)
    _check_own(body["checks"], what)
    said, checks = body["class"], frozenset(body["checks"].get(PASSED, {}))
    payload = Payload(str(said["kind"]), site, int(said["released"]), checks)
    certificate.stood(certificate.permit.study, parse_time(str(body["at"])), payload)


def check_totals(certificate: Opened) -> str:  # 6
    """Hold each hub's sum to the shares that sites released; say how many."""
    for round_ in (*certificate.body["rounds"], *certificate.counts):
        if sorted(round_["totals"]) != sorted(certificate.permit.hubs):
            raise Unverified(f"{round_['task']} lacks a hub's sum")
        for hub in certificate.permit.hubs:
            check_total(certificate, hub, round_)
    for one in certificate.counts:
        check_said(certificate, one)
    counted = len(certificate.counts)
    more = f"; {counted} sealed counts, which nobody opened" * bool(counted)
    return f"{len(certificate.body['rounds'])} sums, each signed by both hubs{more}"


def check_total(
    certificate: Opened,
    hub: str,
    round_: Mapping[str, Any],
    others: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Hold one hub's sum in a round to the shares of the releases there.

    Args:
        certificate: that holds the round.
        hub: whose sum it is.
        round_: the round.
        others: site → share of which there is no release here to hold it to.

    Raises:
        Unverified: it does not hold.
    """
    total = statement_from(round_["totals"][hub])
    total.verify(certificate.party(hub, "hub"))
    shares = {
        **others,
        **{
            site: receipt["body"]["shares"][hub]
            for site, receipt in round_["receipts"].items()
        },
    }
    expected = {
        "type": COUNTED if round_["protocol"] == NAME else "hetao.total/1",
        "hub": hub,
        "shares": shares,
        **certificate.place(round_),
    }
    match(total.body, expected, f"the sum of {hub} in {round_['task']}")


def check_integers(certificate: Opened) -> str:  # 7
    """Hold the integers that are here to the signed ones; say how many."""
    shown = 0
    if not isinstance(certificate.sums, dict):
        raise Unverified("the integers are no object")
    certified = (*certificate.body["rounds"], *certificate.counts)
    if set(certificate.sums) - {round_["task"] for round_ in certified}:
        raise Unverified("integers are shown of a round that is not certified")
    for one in certificate.counts:
        if one["task"] in certificate.sums:
            _check_tokens(certificate, one)
    for round_ in certificate.body["rounds"]:
        if round_["task"] not in certificate.sums:
            continue
        shown_of = certificate.sums[round_["task"]]
        if set(shown_of) != set(certificate.permit.hubs):
            raise Unverified(f"{round_['task']} shows other integers than two hubs'")
        parts = [
            _integers_of(hub, shown_of[hub], round_) for hub in certificate.permit.hubs
        ]
        if _last_value(parts) != len(round_["members"]) * ONE:
            raise Unverified(f"{round_['task']} lacks a part of a member")
        shown += 1
    missing = len(certificate.body["rounds"]) - shown
    more = f"; those of {missing} are not here"
    return f"the exact integers of {shown} sums" + (more if missing else "")


def check_said(certificate: Opened, one: Mapping[str, Any]) -> None:
    """Hold what both hubs signed of a count to each other, and to each site's least.

    Raises:
        BadEnvelope, Unverified: it is of two counts, or of too few people or sites.
    """
    task = str(one["task"])
    said = [one["totals"][hub]["body"] for hub in certificate.permit.hubs]
    check_fit(said, task)
    least = "sites" if what_of(task) == SITES else "cell"
    for site, receipt in one["receipts"].items():
        if receipt["body"]["policy"]["minimum"][least] > said[0]["cell"]:
            raise Unverified(f"{task} looked for fewer people than {site} asks")


def _check_tokens(certificate: Opened, one: Mapping[str, Any]) -> None:
    """Find again, of both hubs' tokens, that no combination was of few people.

    Nor may a number be of few sites, or each of these graded it as its own part.
    """
    shown, task = certificate.sums[one["task"]], str(one["task"])
    hubs = certificate.permit.hubs
    if set(shown) != set(hubs) or any(
        set(part) != {"tokens"} for part in shown.values()
    ):
        raise Unverified(f"{task} shows something else than two hubs' tokens")
    said = [one["totals"][hub]["body"] for hub in hubs]
    raw = [base64.b64decode(shown[hub]["tokens"], validate=True) for hub in hubs]
    if not finds_few(said, raw, task):
        return
    if what_of(task) != SITES:
        raise Unverified(f"few people share a combination of {one['analysis']}")
    of = one["analysis"], one["attempt"]
    for round_ in certificate.body["rounds"]:
        if (round_["analysis"], round_["attempt"]) == of:
            for site, receipt in round_["receipts"].items():
                what = f"the release of {site} in {round_['task']}"
                _check_own(receipt["body"]["checks"], what, is_few=True)


def _check_own(checks: Mapping[str, Any], what: str, *, is_few: bool = False) -> None:
    """Refuse what few sites' own part may be and was graded as a sum over enough.

    Args:
        checks: of the record.
        what: whose it is, for the error.
        is_few: whether hubs' tokens say that it may be; else its own record may.
    """
    is_few = is_few or SEALED_SITES in checks.get(NOT_PASSED, {})
    if is_few and SECURE_SUM in checks.get(PASSED, {}):
        raise Unverified(
            f"{what} may be few sites' own part, and was graded as a sum over enough"
        )


def _integers_of(hub: str, part: Mapping[str, str], round_: Mapping[str, Any]) -> bytes:
    """Return the words that a hub signed; their tag and length are checked too."""
    task, body = round_["task"], round_["totals"][hub]["body"]
    raw = base64.b64decode(part["words"], validate=True)
    if set(part) != {"words", "tag"} or digest_bytes(raw) != body["words"]:
        raise Unverified(f"{hub} signed other integers in {task}")
    if digest_bytes(from_hex(part["tag"])) != body["tag"]:
        raise Unverified(f"{hub} signed another sum of tags in {task}")
    if len(raw) != 16 * (body["values"] + 1):
        raise Unverified(f"the sum of {task} has another length")
    return raw


def _last_value(parts: Sequence[bytes]) -> int:
    """Return the last summed value as an integer multiple of 2^-56."""
    high = low = 0
    for raw in parts:
        half = len(raw) // 2
        high += int.from_bytes(raw[half - 8 : half], "little")
        low += int.from_bytes(raw[-8:], "little")
    high, low = high % 2**64, low % 2**64
    return ((high - 2**64 if high >= 2**63 else high) << 48) + low
