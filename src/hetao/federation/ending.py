"""A run whose permit was revoked → the certificate that says what had been released."""

import functools
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from hetao.analysis import estimator_for
from hetao.canonical import parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.federation.coordinator import Coordinator
from hetao.federation.gossip import GOSSIP_SECONDS
from hetao.ledger.certificate import sign_certificate
from hetao.ledger.credential import REVOKED, certificate_entry
from hetao.ledger.proof import Proof
from hetao.ledger.revoked import Ended, verify_revoked
from hetao.ledger.rounds import check_release, check_total
from hetao.ledger.sealed_counts import NAME, what_of
from hetao.permit import Bundle, is_revoked
from hetao.permit.lifecycle import REVOKING
from hetao.study import Study

MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError)


async def certify_revoked(
    coordinator: Coordinator, issued: str, seconds: float = 2 * GOSSIP_SECONDS
) -> bytes | None:
    """Return the certificate of a run whose permit was revoked, logged and cosigned.

    Args:
        coordinator: whose run was stopped; what came in for it is still at hand.
        issued: UTC time.
        seconds: for how long to ask the hubs first what was said of the permit.

    Returns:
        None where nobody revoked the permit, or nothing had been released.

    Raises:
        Stopped, Unreachable: a hub does not cosign it, or stays away.
        Unverified: what it was made of does not verify.
    """
    mail = coordinator.mail
    mail.settle()
    await mail.hear(seconds)
    if not is_revoked(mail.bundle):
        return None
    await mail.hear_out()
    bundle = mail.bundle
    body = revoked_body(coordinator, bundle, issued)
    if not body["rounds"]:
        return None
    identity = coordinator.identity
    named = identity.name, identity.signing_key, body
    made = await coordinator.cosign(functools.partial(certificate_entry, *named))
    entry, index, note, path = made
    log = {"credential": entry, "proof": Proof(index, tuple(path), note).text}
    certificate = sign_certificate(identity, body, log, {})
    verify_revoked(certificate, coordinator.trusted)
    return certificate


def revoked_body(
    coordinator: Coordinator, bundle: Bundle, issued: str
) -> dict[str, Any]:
    """Return what the certificate of a revoked run states.

    What a party sent that does not hold is left out, so that nobody who lies can keep
    the rest from being told.
    """
    ends = [o.notice.at for o in bundle.counting if o.notice.verb in REVOKING]
    body = {
        "type": REVOKED,
        "software": f"hetao {version('hetao')}",
        "issued": issued,
        "study": parse_canonical(coordinator.study.canonical),
        "permit": bundle.as_json(),
        "run": coordinator.run,
        "revoked": min(ends),
    }
    draft = Ended(body, {}, "", {}, "", coordinator.trusted)  # nothing signs it
    rounds = list(_rounds(coordinator, draft))
    return {**body, "rounds": sorted(rounds, key=lambda one: str(one["task"]))}


def _rounds(coordinator: Coordinator, draft: Ended) -> Iterator[dict[str, Any]]:
    """Yield every round of which a release holds, with the sums that hold.

    What a task was, is what was asked, whatever an answer says of itself; its members
    are those that were asked, and where no release names them those that most name.
    """
    said = _said(coordinator)
    for task, asked in coordinator.mail.asked().items():
        answers, round_ = said.get(task, {}), _round_of(coordinator.study, task)
        held: dict[tuple[str, ...], dict[str, Any]] = {}
        for site, receipt in answers.get("receipt", {}).items():
            names = receipt["body"].get("members")
            one = {**round_, "members": names, "receipts": {site: receipt}}
            if _holds(_check_release, draft, site, one):
                held.setdefault(tuple(names), {})[site] = receipt
        if not held:
            continue
        members = max(held, key=lambda one: (one == asked, len(held[one])))
        found = {**round_, "members": list(members), "receipts": held[members]}
        for hub, total in answers.get("total", {}).items():
            if _holds(_check_total, draft, hub, {**found, "totals": {hub: total}}):
                found["totals"][hub] = total
        yield found


def _said(coordinator: Coordinator) -> dict[str, dict[str, dict[str, Any]]]:
    """Return task → kind → sender → what came in of it, signed or not."""
    said: dict[str, dict[str, dict[str, Any]]] = {}
    for (task, kind, sender), (_, meta, _) in coordinator.mail.items.items():
        if isinstance(meta.get("body"), dict):
            one = {"body": meta["body"], "signature": meta.get("signature")}
            said.setdefault(task, {}).setdefault(kind, {})[sender] = one
    return said


def _round_of(study: Study, task: str) -> dict[str, Any]:
    """Return the round that was asked by this name, with nothing in it."""
    name, attempt, number = task.split("/")
    is_count = bool(what_of(task))
    estimator = estimator_for(study, study.analysis(name))
    return {
        "task": task,
        "analysis": name,
        "attempt": int(attempt),
        "round": 0 if is_count else int(number),
        "protocol": NAME if is_count else estimator.name,
        "receipts": {},
        "totals": {},
    }


def _check_release(draft: Ended, site: str, round_: Mapping[str, Any]) -> None:
    members = round_["members"]
    if not isinstance(members, list) or site not in members:
        raise Unverified(f"{site} released for others")
    if not set(members) <= set(draft.permit.sites):
        raise Unverified(f"{site} released for a stranger")
    check_release(draft, site, round_)


def _check_total(draft: Ended, hub: str, round_: Mapping[str, Any]) -> None:
    shares = dict(round_["totals"][hub]["body"]["shares"])
    if set(shares) != set(round_["members"]):
        raise Unverified(f"{hub} added shares of others")
    check_total(draft, hub, round_, shares)


def _holds(check: Callable[..., None], *given: object) -> bool:
    try:
        check(*given)
    except (HetaoError, *MALFORMED):
        return False
    return True
