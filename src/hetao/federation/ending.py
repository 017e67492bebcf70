"""A run whose permit was revoked → the certificate that says what had been released."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from hetao.canonical import parse_canonical
from hetao.errors import HetaoError
from hetao.federation.coordinator import Coordinator
from hetao.federation.gossip import GOSSIP_SECONDS
from hetao.ledger.certificate import sign_certificate
from hetao.ledger.credential import REVOKED, certificate_entry
from hetao.ledger.proof import Proof
from hetao.ledger.revoked import Ended, verify_revoked
from hetao.ledger.rounds import check_release, check_total
from hetao.permit import Bundle, is_revoked
from hetao.permit.lifecycle import REVOKING

PLACE: Final = ("analysis", "attempt", "round", "members")
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
        Stopped, Unreachable: a hub does not cosign it.
        Unverified: what it was made of does not verify.
    """
    mail = coordinator.mail
    mail.settle()
    await mail.hear(seconds)
    bundle = mail.bundle
    if not is_revoked(bundle):
        return None
    body = revoked_body(coordinator, bundle, issued)
    if not body["rounds"]:
        return None
    identity, index = coordinator.identity, coordinator.log.size
    entry = certificate_entry(identity.name, identity.signing_key, body, index)
    index, note, path = await coordinator.cosign(entry.encode("ascii"))
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
    draft = Ended(body, {}, "", {}, coordinator.trusted)
    rounds = list(_rounds(coordinator, draft))
    return {**body, "rounds": sorted(rounds, key=lambda one: str(one["task"]))}


def _rounds(coordinator: Coordinator, draft: Ended) -> Iterator[dict[str, Any]]:
    """Yield every round of which a release holds, with the sums that hold."""
    said: dict[str, dict[str, dict[str, Any]]] = {}  # task → kind → sender → statement
    for (task, kind, sender), (_, meta, _) in coordinator.mail.items.items():
        if kind in ("receipt", "total") and isinstance(meta.get("body"), dict):
            one = {"body": meta["body"], "signature": meta.get("signature")}
            said.setdefault(task, {}).setdefault(kind, {})[sender] = one
    for task, kinds in said.items():
        found: dict[str, Any] | None = None
        for site, receipt in kinds.get("receipt", {}).items():
            round_ = _round_of(task, receipt["body"])
            if not _holds(check_release, draft, site, _with(round_, site, receipt)):
                continue
            found = found or round_
            if round_ == {**found, "receipts": {}}:
                found["receipts"][site] = receipt
        if found is None:
            continue
        for hub, total in kinds.get("total", {}).items():
            shares = total["body"].get("shares", {})
            given = {**found, "totals": {hub: total}}
            if sorted(shares) == sorted(found["members"]) and _holds(
                check_total, draft, hub, given, shares
            ):
                found["totals"][hub] = total
        yield found


def _round_of(task: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the round that a release says it is of, with nothing in it."""
    place = {name: body.get(name) for name in PLACE}
    protocol = str(body.get("protocol")).partition("/")[0]
    return {
        "task": task,
        **place,
        "protocol": protocol,
        "receipts": {},
        "totals": {},
    }


def _with(round_: Mapping[str, Any], site: str, receipt: object) -> dict[str, Any]:
    return {**round_, "receipts": {site: receipt}}


def _holds(check: Callable[..., None], *given: object) -> bool:
    try:
        check(*given)
    except (HetaoError, *MALFORMED):
        return False
    return True
