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
from hetao.cli.main import say, shown
from hetao.cli.verdict import say_status, say_what_counts, verdict_of
from hetao.cli.verify_revoked import verify_ended
from hetao.errors import Unverified, Usage
from hetao.ledger.certificate import Verified, read_certificate, verify_certificate
from hetao.ledger.concept_sets import AcrossSites
from hetao.ledger.policy import Policy, Seen
from hetao.ledger.revoked import is_of_revoked
from hetao.permit import read_bundle, read_directory


def verify(chosen: argparse.Namespace) -> int:
    """Check a certificate step by step; exit codes as of `Verdict`, or 6."""
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
    verdict = verdict_of(chosen.policy, certificate, chosen.status)
    second: dict[str, Any] | None = None
    if verdict.policy and verdict.seen:
        sites = _second_lines(verdict.policy, certificate)
        steps += _seen(verdict.seen, sites)
        second = {"log": verdict.seen.second, "sites": sites}
    if chosen.qr:
        from hetao.dossier.code import check_code

        steps.append(check_code(chosen.qr, certificate))
    status = verdict.status
    edition = str(certificate["body"]["study"].get("dictionary_digest", ""))
    if chosen.json:
        body = {
            **verdict.told,
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
            "second": second,
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return verdict.exit_code
    for number, step in enumerate(steps, 1):
        sys.stdout.write(shown(f"{number:>3}  {step}") + "\n")
    _notes(verified)
    say_what_counts(verdict)
    if edition:
        sys.stdout.write(f"     data dictionary {edition}\n")
    if status:
        sys.stdout.write(f"     {say_status(status)}\n")
    sys.stdout.write(shown(f"{verdict.words()}  {verified.title}") + "\n")
    return verdict.exit_code


def _worked_out(certificate: Mapping[str, Any]) -> str:
    """Work the findings out again, and say so; or say that nothing here can."""
    try:
        from hetao.federation.certify import recompute
    except ImportError as missing:
        say(f"note: {missing.name} is not installed here, so that the findings")
        say("      stand on the coordinator's word; pip install hetao to do it again")
        return "the findings were NOT worked out again"
    return recompute(certificate)


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
