"""An outcome → the body of its certificate, and the certificate itself."""

import base64
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Finding, estimator_for, protocols
from hetao.canonical import parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.federation.coordinator import Coordinator, Outcome, RoundRecord
from hetao.federation.totals import check_tags, total_of
from hetao.ledger.certificate import (
    issue_leaf,
    sign_certificate,
    verify_certificate,
)
from hetao.permit import statement_from
from hetao.study import Study, study_from


def smallest_shown(outcome: Outcome) -> int:
    """Return the smallest count that may be shown: the strictest member's."""
    cells = [int(r["policy"]["minimum"]["cell"]) for r in outcome.ready.values()]
    return max(cells)


def findings_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the findings as people may see them, small counts suppressed."""
    smallest = smallest_shown(outcome)
    found = []
    for answer in outcome.answers:
        shown, withheld = answer.finding.shown(smallest)
        found.append(
            {
                "analysis": answer.finding.analysis,
                "members": list(answer.members),
                "rounds": answer.rounds,
                "withheld": withheld,
                "finding": shown.as_json(),
            }
        )
    return found


def results_of(outcome: Outcome) -> dict[str, Any]:
    """Return what `findings.json` says."""
    return {
        "study": outcome.study.digest,
        "permit": outcome.bundle.permit.digest,
        "run": outcome.run,
        "sites": list(outcome.closings),
        "lost": dict(outcome.lost),
        "findings": findings_of(outcome),
        "messages": outcome.messages,
        "bytes_per_site": dict(outcome.bytes_per_site),
        "seconds": dict(outcome.seconds),
    }


def body_of(outcome: Outcome, issued: str) -> dict[str, Any]:
    """Return everything that a certificate states about a run."""
    findings = findings_of(outcome)
    withheld = {f["analysis"] for f in findings if f["withheld"]}
    return {
        "type": "hetao.certificate/1",
        "software": f"hetao {version('hetao')}",
        "issued": issued,
        "study": parse_canonical(outcome.study.canonical),
        "permit": outcome.bundle.as_json(),
        "run": outcome.run,
        "sites": [_site(outcome, site) for site in outcome.closings],
        "lost": dict(outcome.lost),
        "rounds": [_round(r, r.analysis in withheld) for r in outcome.rounds],
        "findings": findings,
        "smallest_shown": smallest_shown(outcome),
    }


def _site(outcome: Outcome, site: str) -> dict[str, Any]:
    ready, closing = outcome.ready[site], outcome.closings[site]
    return {
        "name": site,
        "side": outcome.bundle.permit.directory[site].side,
        "snapshot": ready["snapshot"],
        "policy": ready["policy"],
        "concepts": list(ready.get("concepts", ())),
        "ready": ready["record"],
        "quality": closing["quality"],
        "checkpoint": closing["checkpoint"],
        "proofs": closing["proofs"],
        "closing": closing["record"],
    }


def _round(record: RoundRecord, withheld: bool) -> dict[str, Any]:
    words = {
        hub: base64.b64encode(part.astype("<u8").tobytes()).decode()
        for hub, part in record.words.items()
    }
    return {
        "task": record.task,
        "analysis": record.analysis,
        "protocol": record.protocol,
        "attempt": record.attempt,
        "round": record.round,
        "members": list(record.members),
        "receipts": {s: r.as_json() for s, r in record.receipts.items()},
        "totals": {h: t.as_json() for h, t in record.totals.items()},
        # Where a small count stands in a sum, neither hub's part is shown: a digest
        # of one part alone, itself uniformly random, gives nothing away.
        "words": None if withheld else words,
    }


async def certify(coordinator: Coordinator, outcome: Outcome, issued: str) -> bytes:
    """Log the outcome, have both hubs cosign the log, and return the certificate.

    Raises:
        Unverified: what a site or hub sent does not make a certificate that verifies;
            the step that fails says whose.
    """
    body = body_of(outcome, issued)
    index, note, path = await coordinator.cosign(issue_leaf(body))
    log = {"index": index, "note": note, "path": [node.hex() for node in path]}
    certificate = sign_certificate(coordinator.identity, body, log)
    verify_certificate(certificate)
    return certificate


def recompute(body: Mapping[str, Any], tolerance: float = 1e-9) -> str:
    """Work every finding out again from the certificate's own integers.

    Args:
        body: of a certificate that `verify_certificate` accepted.
        tolerance: largest relative difference between certified and recomputed
            numbers; floating point differs a little between machines.

    Returns:
        A sentence that says how many findings were recomputed.

    Raises:
        Unverified: a finding does not follow from the sums.
    """
    try:
        study = study_from(body["study"])
        smallest = int(body["smallest_shown"])
        # Whoever says "withheld" and shows the integers is held to them all the same.
        open_ = {r["analysis"] for r in body["rounds"] if r["words"] is not None}
        shown = [
            item
            for item in body["findings"]
            if not item["withheld"] or item["analysis"] in open_
        ]
        wrong = [
            item["analysis"]
            for item in shown
            if not _follows(item, study, body, (smallest, tolerance))
        ]
    except (HetaoError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unverified("a finding cannot be worked out from its sums") from error
    if wrong:
        raise Unverified(f"the finding of {wrong[0]} does not follow from its sums")
    other = _other_code(body)
    more = f", by another code of {', '.join(other)} than was run" if other else ""
    return f"{len(shown)} findings follow from the certified integers{more}"


def _other_code(body: Mapping[str, Any]) -> list[str]:
    """Return the protocols of the permit that are installed here in another version."""
    here = {protocol.name: protocol.hash for protocol in protocols()}
    then = body["permit"]["permit"]["protocols"]
    return [p["name"] for p in then if here.get(p["name"]) != p["hash"]]


def _follows(
    item: Mapping[str, Any],
    study: Study,
    body: Mapping[str, Any],
    limits: tuple[int, float],
) -> bool:
    smallest, tolerance = limits
    found, _ = _replayed(study, item["analysis"], body).shown(smallest)
    return _close(found.as_json(), item["finding"], tolerance)


def _replayed(study: Study, name: str, body: Mapping[str, Any]) -> Finding:
    """Take the coordinator's steps again over the certified sums of one analysis."""
    estimator = estimator_for(study, study.analysis(name))
    rounds = [r for r in body["rounds"] if r["analysis"] == name]
    last = max(r["attempt"] for r in rounds)
    state = None
    for r in (r for r in rounds if r["attempt"] == last):
        words = _words(r)
        total = total_of(words, estimator.declare(r["round"]), r["task"])
        totals, receipts = (
            {name: statement_from(one) for name, one in r[which].items()}
            for which in ("totals", "receipts")
        )
        check_tags(words, totals, receipts, r["members"], r["task"])
        result = estimator.step(total, state, r["round"])
        if isinstance(result, Finding):
            return result
        state = result
    raise Unverified(f"{name} does not come to an end in its certified rounds")


def _words(round_: Mapping[str, Any]) -> list[NDArray[np.uint64]]:
    parts = []
    for text in round_["words"].values():
        flat = np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64)
        parts.append(flat.reshape(2, -1))
    return parts


def _close(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            _close(one[key], other[key], tolerance) for key in one
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            _close(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))
    return bool(one == other)
