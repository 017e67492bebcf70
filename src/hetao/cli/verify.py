"""`hetao verify`: the ledger's eleven steps, then the findings worked out again.

Offline. The eleven steps need `cryptography` alone (`hetao.ledger.verify_certificate`);
the last loads the estimators; without numpy and scipy it is left out, and says so.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hetao.canonical import parse_canonical
from hetao.cli.certificate import (
    independent,
    place_of,
    read_file,
    say_nobody_asked,
)
from hetao.cli.main import plain, say
from hetao.cli.verify_revoked import verify_ended
from hetao.errors import Unverified, Usage
from hetao.ledger.certificate import Verified, read_certificate, verify_certificate
from hetao.ledger.concept_sets import AcrossSites
from hetao.ledger.policy import Policy, Seen, read_policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.revoked import is_of_revoked
from hetao.ledger.status import Status, check_status
from hetao.permit import read_bundle, read_directory


def verify(chosen: argparse.Namespace) -> int:
    """Check a certificate step by step; exit code 6 if one fails."""
    trusted = read_directory(chosen.trust) if chosen.trust else None
    data = read_certificate(chosen.certificate)
    if is_of_revoked(data):
        return verify_ended(chosen, data, trusted)
    if chosen.list:
        raise Usage("the certificate is not of a revoked study, and needs no list")
    later = read_bundle(chosen.notices).notices if chosen.notices else ()
    verified = verify_certificate(data, trusted, later)
    certificate = parse_canonical(data)
    steps = [*verified.steps, _worked_out(certificate)]
    seen, policy = None, None
    second: dict[str, Any] | None = None
    if chosen.policy:
        policy = read_policy(chosen.policy)
        seen = policy.check(_note(certificate))
        sites = _second_lines(policy, certificate)
        steps += _seen(seen, sites)
        second = {"log": seen.second, "sites": sites}
    if chosen.qr:
        from hetao.dossier.code import check_code

        steps.append(check_code(chosen.qr, certificate))
    status = _status(chosen, certificate)
    eyes = independent(policy, seen, certificate)
    edition = str(certificate["body"]["study"].get("dictionary_digest", ""))
    if chosen.json:
        body = {
            "verified": True,
            "steps": steps,
            "study": verified.study,
            "title": verified.title,
            "sites": list(verified.sites),
            "dictionary": edition,
            "lowered": dict(verified.lowered),
            "pinned": verified.pinned,
            "unchecked": list(verified.unchecked),
            "withheld": list(verified.withheld),
            "fingerprints": dict(verified.fingerprints),
            "revoked": verified.revoked,
            "before_revocation": list(verified.before_revocation),
            "tainted": list(verified.tainted),
            "concept_sets": [_told(one) for one in verified.concept_sets],
            "status": asdict(status) if status else None,
            "witnesses": None if seen is None else list(seen.witnesses),
            "independent": eyes,
            "second": second,
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return _exit_of(status)
    for number, step in enumerate(steps, 1):
        sys.stdout.write(f"{number:>3}  {plain(step)}\n")
    _notes(verified)
    if seen is None:
        say_nobody_asked()
    if edition:
        sys.stdout.write(f"     data dictionary {edition}\n")
    if status:
        who = ", ".join(status.witnesses) or "nobody but the issuer"
        sys.stdout.write(f"     {status.state} as of {status.as_of}, seen by {who}\n")
    word = "VERIFIED" if not _exit_of(status) else f"VERIFIED, BUT {status_of(status)}"
    word += "" if eyes else ", SEEN BY NOBODY INDEPENDENT"
    sys.stdout.write(f"{word}  {plain(verified.title)}\n")
    return _exit_of(status)


def _worked_out(certificate: Mapping[str, Any]) -> str:
    """Work the findings out again, and say so; or say that nothing here can."""
    try:
        from hetao.federation.certify import recompute
    except ImportError as missing:
        say(f"note: {missing.name} is not installed here, so that the findings")
        say("      stand on the coordinator's word; pip install hetao to do it again")
        return "the findings were NOT worked out again"
    return recompute(certificate)


def status_of(status: Status | None) -> str:
    """Return the state of a certificate in capitals; "" where nothing was told."""
    return status.state.upper() if status else ""


def _exit_of(status: Status | None) -> int:
    """Return 6 for a certificate that its issuer took back, for good or for now."""
    return Unverified.exit_code if status and status.state != "valid" else 0


def _status(chosen: argparse.Namespace, certificate: dict[str, Any]) -> Status | None:
    if chosen.status is None:
        return None
    policy = read_policy(chosen.policy) if chosen.policy else None
    place, issuer = place_of(certificate)
    return check_status(read_file(chosen.status), issuer, place, policy)


def _note(certificate: Mapping[str, Any]) -> str:
    """Return the checkpoint under which the certificate stands in its issuer's log."""
    return parse_proof(certificate["log"]["proof"]).note


def _seen(seen: Seen, sites: Sequence[str]) -> list[str]:
    """Say who saw the log: by the verifier's own policy, never by the certificate's."""
    who = ", ".join(seen.witnesses) or "none, for none is asked for"
    words = "not looked at, for your policy lists no such key of this log"
    if seen.second:
        words = "holds"
    theirs = "not looked at, for it lists none of theirs"
    if sites:
        theirs = f"holds for {', '.join(sites)}"
    return [
        f"seen by the witnesses that your policy asks for: {who}",
        f"the second line (ML-DSA-44) under the issuer's log: {words}",
        f"the second line under the logs of sites: {theirs}",
    ]


def _second_lines(policy: Policy, certificate: Mapping[str, Any]) -> list[str]:
    """Return the sites whose second key the policy lists, and which signed with it."""
    asked = [
        one
        for one in certificate["body"]["sites"]
        if policy.asks_for_second(str(one["name"]))
    ]
    for one in asked:
        try:
            policy.check_log(one["checkpoint"])
        except Unverified as error:
            raise Unverified(f"the log of {one['name']}: {error.what}") from error
    return [str(one["name"]) for one in asked]


def _told(one: AcrossSites) -> dict[str, Any]:
    groups = [{"digest": d, "sites": list(sites)} for d, sites in one.groups]
    return {"name": one.name, "groups": groups, "without": list(one.without)}


def _notes(verified: Verified) -> None:
    for site, policy in verified.lowered.items():
        counts = ", ".join(policy["lowered"])
        say(f"note: {site} lowered its minimum counts ({counts}): {policy['reason']}")
    for one in verified.concept_sets:
        if one.differs:
            groups = " | ".join(", ".join(sites) for _, sites in one.groups)
            say(f"note: concept set {one.name}: the sites' vocabularies make other")
            say(f"      lists of it: {groups}")
    if verified.unchecked:
        names = ", ".join(verified.unchecked)
        say(f"note: {names}: the exact integers of the sums are not here, so this")
        say("      stands on the coordinator's word alone; the parties hold a")
        say("      certificate with the integers, but where small counts stand in them")
    if verified.revoked:
        say(f"note: the permit was revoked at {verified.revoked}")
        say(f"      released before: {', '.join(verified.before_revocation) or 'none'}")
        say(f"      tainted: {', '.join(verified.tainted) or 'none'}")
    if not verified.pinned:
        say("note: the keys come from the certificate itself; name your own list with")
        say("      --trust, or compare these fingerprints with the parties:")
        for name, fingerprint in verified.fingerprints.items():
            say(f"        {fingerprint}  {name}")
