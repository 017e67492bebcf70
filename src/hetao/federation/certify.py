"""An outcome → the body of its certificate, and the certificate itself."""

import base64
import functools
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Finding, estimator_for, protocol, protocols
from hetao.analysis.estimator import Estimator, Message, State
from hetao.analysis.telling import Course, tells_of_few
from hetao.canonical import canonical, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.federation.coordinator import Coordinator
from hetao.federation.outcome import Answer, Outcome, RoundRecord
from hetao.federation.totals import check_tags, total_of
from hetao.ledger.certificate import sign_certificate, verify_certificate
from hetao.ledger.credential import certificate_entry
from hetao.ledger.proof import Proof
from hetao.ledger.rounds import SECURE_SUM
from hetao.ledger.sealed_counts import (
    FIELD,
    FIRST_OF_SITES,
    NAME,
    PEOPLE,
    SITES,
    task_of,
)
from hetao.permit import (
    Directory,
    Statement,
    check_votes,
    package_digest,
    statement_from,
)
from hetao.release import checks_of
from hetao.release.minimums import counted_before
from hetao.release.record import PASSED
from hetao.study import Study, study_from


def smallest_shown(outcome: Outcome) -> int:
    """Return the smallest count that may be shown: the strictest member's."""
    cells = [int(r["policy"]["minimum"]["cell"]) for r in outcome.ready.values()]
    return max(cells)


def rounded_to(outcome: Outcome) -> int:
    """Return what shown counts are multiples of: the coarsest member's."""
    bases = [int(r["policy"]["minimum"]["rounding"]) for r in outcome.ready.values()]
    return max(bases)


def findings_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the findings as people may see them, small counts suppressed."""
    limits = smallest_shown(outcome), rounded_to(outcome)
    found = []
    for answer in outcome.answers:
        payload, withheld = _told(
            answer.finding, limits, functools.partial(_tells_of_few, outcome, answer)
        )
        found.append(
            {
                "analysis": answer.finding.analysis,
                "members": list(answer.members),
                "rounds": answer.rounds,
                "withheld": withheld,
                "finding": payload,
            }
        )
    return found


def _told(
    finding: Finding, limits: tuple[int, int], tells_few: Callable[[int], bool]
) -> tuple[dict[str, Any], bool]:
    """Return a finding as people may see it, and whether its sums are withheld.

    Args:
        finding: exact.
        limits: the smallest count that is shown, what counts are multiples of.
        tells_few: given the former, whether the sums tell of few though the finding
            shows none; asked where only that can decide.
    """
    shown, withheld = finding.shown(*limits)
    payload = shown.as_json()
    if not withheld and tells_few(limits[0]):
        return {**payload, "combinations": None}, True
    return payload, withheld


def _can_tell(estimator: Estimator) -> bool:
    """Return whether sums could tell of few of whom the finding says nothing."""
    return len(estimator.plan.columns) > 1 and estimator.publishable


def _tells_of_few(outcome: Outcome, answer: Answer, smallest: int) -> bool:
    """Return whether the sums behind a finding tell of few, though it shows none."""
    name = answer.finding.analysis
    estimator = estimator_for(outcome.study, outcome.study.analysis(name))
    if not _can_tell(estimator):
        return False
    rounds = [r for r in outcome.rounds if r.analysis == name]
    last = max(r.attempt for r in rounds)
    state: State | None = None
    course = list[tuple[State | None, Message]]()
    for r in (r for r in rounds if r.attempt == last):
        words = list(r.words.values())
        total = total_of(words, estimator.declare(r.round), r.task)
        course.append((state, total))
        result = estimator.step(total, state, r.round)
        if isinstance(result, Finding):
            break
        state = result
    return tells_of_few(estimator, course, smallest)


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


def package_of(outcome: Outcome) -> dict[str, Any]:
    """Return all that output checkers look at: a certificate not yet issued."""
    permit, findings = outcome.bundle.permit, findings_of(outcome)
    limits = smallest_shown(outcome), rounded_to(outcome)
    counts = {FIELD: [_round(r) for r in outcome.counts]}
    return {
        **(counts if permit.protocol(NAME) else {}),
        "type": "hetao.certificate/3",
        "software": f"hetao {version('hetao')}",
        "study": parse_canonical(outcome.study.canonical),
        "permit": outcome.bundle.as_json(),
        "run": outcome.run,
        "sites": [_site(outcome, site) for site in outcome.closings],
        "lost": dict(outcome.lost),
        "rounds": [_round(r) for r in outcome.rounds],
        "findings": findings,
        "checks": checks_of(outcome.study, findings, limits),
        "smallest_shown": limits[0],
        "rounded_to": limits[1],
    }


def body_of(
    outcome: Outcome,
    issued: str,
    votes: Sequence[Statement],
    trusted: Directory | None = None,
) -> dict[str, Any]:
    """Return everything that a certificate states about a run.

    Args:
        outcome: of the run.
        issued: UTC time.
        votes: of the output checkers.
        trusted: the coordinator's own list, against which the votes' keys are held.

    Raises:
        NotApproved: the output checkers whom the permit asks have not accepted it.
    """
    package = package_of(outcome)
    name = package_digest(package)
    check_votes(outcome.bundle.permit, name, votes, trusted)
    about = [vote for vote in votes if vote.body["package"] == name]
    review = {"package": name, "votes": [vote.as_json() for vote in about]}
    return {**package, "issued": issued, "review": review}


def sums_of(outcome: Outcome) -> dict[str, Any]:
    """Return the integers behind the findings, task by task and hub by hub.

    With each hub's words goes its sum of tags, which is an equation over them. Where a
    small count stands in a sum, neither hub's part is given: a digest of one part
    alone, itself uniformly random, gives nothing away. Of a sealed count stand both
    hubs' tokens, which would tell the counts to either hub.
    """
    withheld = {f["analysis"] for f in findings_of(outcome) if f["withheld"]}
    return {
        record.task: {
            hub: {
                "words": base64.b64encode(part.astype("<u8").tobytes()).decode(),
                "tag": record.tags[hub],
            }
            for hub, part in record.words.items()
        }
        for record in outcome.rounds
        if record.analysis not in withheld
    } | {
        record.task: {
            hub: {"tokens": base64.b64encode(part.astype("<u8").tobytes()).decode()}
            for hub, part in record.words.items()
        }
        for record in outcome.counts
        if record.analysis not in withheld
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
        "extract": closing.get("extract"),
        "closing": closing["record"],
    }


def _round(record: RoundRecord) -> dict[str, Any]:
    return {
        "task": record.task,
        "analysis": record.analysis,
        "protocol": record.protocol,
        "attempt": record.attempt,
        "round": record.round,
        "members": list(record.members),
        "receipts": {s: r.as_json() for s, r in record.receipts.items()},
        "totals": {h: t.as_json() for h, t in record.totals.items()},
    }


async def certify(
    coordinator: Coordinator,
    outcome: Outcome,
    issued: str,
    votes: Sequence[Statement],
) -> bytes:
    """Log the outcome, have both hubs cosign the log, and return the certificate.

    Raises:
        NotApproved: the output checkers whom the permit asks have not accepted it.
        Unverified: what a site or hub sent does not make a certificate that verifies;
            the step that fails says whose.
    """
    body = body_of(outcome, issued, votes, coordinator.trusted)
    identity = coordinator.identity
    named = identity.name, identity.signing_key, body
    made = await coordinator.cosign(functools.partial(certificate_entry, *named))
    entry, index, note, path = made
    log = {"credential": entry, "proof": Proof(index, tuple(path), note).text}
    sums = sums_of(outcome)
    certificate = sign_certificate(identity, body, log, sums)
    verify_certificate(certificate)
    return certificate


def recompute(certificate: Mapping[str, Any], tolerance: float = 1e-9) -> str:
    """Work every finding out again from the certificate's own integers, and its checks.

    Args:
        certificate: one that `verify_certificate` accepted, parsed. Findings whose
            sums it does not hold are left out.
        tolerance: largest relative difference between certified and recomputed
            numbers; floating point differs a little between machines.

    Returns:
        A sentence that says how many findings were recomputed.

    Raises:
        Unverified: a finding does not follow from the sums, its sums should have been
            withheld, or the checks are not those that the findings pass.
    """
    try:
        body, sums = certificate["body"], certificate["sums"]
        study = study_from(body["study"])
        _check_counted(body, study)
        # Whoever says "withheld" and shows the integers is held to them all the same.
        open_ = {r["analysis"] for r in body["rounds"] if r["task"] in sums}
        shown = [item for item in body["findings"] if item["analysis"] in open_]
        wrong = [
            item["analysis"]
            for item in shown
            if not _follows(item, study, certificate, tolerance)
        ]
        again = checks_of(study, body["findings"], _limits(body))
        is_checked = canonical(again) == canonical(body["checks"])
    except Unverified:
        raise
    except (HetaoError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unverified("a finding cannot be worked out from its sums") from error
    if wrong:
        raise Unverified(f"the finding of {wrong[0]} does not follow from its sums")
    if not is_checked:
        raise Unverified(
            "the checks are not those that its findings pass",
            fix=f"compare releases of Hetao: it names {str(body['software'])[:60]}",
        )
    other = _other_code(body)
    more = f", by another code of {', '.join(other)} than was run" if other else ""
    return f"{len(shown)} findings follow from the certified integers{more}"


def _check_counted(body: Mapping[str, Any], study: Study) -> None:
    """Refuse a model whose rounds told of combinations without a sealed count before.

    And one with numbers that passed for a sum over enough sites without a count of
    these. Of permits of before there were such counts none is asked. And one of
    which a site says that people were counted, and there is no such count.
    """
    permit = body["permit"]["permit"]
    listed = [int(p["version"]) for p in permit["protocols"] if p["name"] == NAME]
    if not listed:
        return
    counted = {one["task"]: one["members"] for one in body[FIELD]}
    least = {one["name"]: one["policy"]["minimum"] for one in body["sites"]}
    for finding in body["findings"]:
        name, members = finding["analysis"], finding["members"]
        rounds = [r for r in body["rounds"] if r["analysis"] == name]
        last = max(r["attempt"] for r in rounds)
        estimator = estimator_for(study, study.analysis(name))
        asked = {
            PEOPLE: max(least[site]["cell"] for site in members) > 1,
            SITES: max(listed) >= FIRST_OF_SITES
            and any(_passed_as_sum(r, least) for r in rounds if r["attempt"] == last),
        }
        counts = {*counted_before(estimator)}
        if any(_says_counted(r) for r in rounds if r["attempt"] == last):
            counts.add(PEOPLE)
        for what in counts:
            if asked[what] and counted.get(task_of(name, last, what)) != members:
                raise Unverified(f"nobody was counted, sealed, before {name}")


def _says_counted(round_: Mapping[str, Any]) -> bool:
    """Return whether a site let a round leave since people had been counted."""
    of_each = (r["body"]["checks"] for r in round_["receipts"].values())
    return any(NAME in checks.get(PASSED, {}) for checks in of_each)


def _passed_as_sum(round_: Mapping[str, Any], least: Mapping[str, Any]) -> bool:
    """Return whether a site that asks for several graded a round as their sum."""
    return any(
        least[site]["sites"] > 1
        and SECURE_SUM in receipt["body"]["checks"].get(PASSED, {})
        for site, receipt in round_["receipts"].items()
    )


def replayed(certificate: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the exact finding of one analysis, worked out of the certified integers.

    Raises:
        Unverified: the certificate does not hold its integers.
    """
    body = certificate["body"]
    tasks = {r["task"] for r in body["rounds"] if r["analysis"] == name}
    if tasks - set(certificate["sums"]):
        raise Unverified(
            f"the certificate does not hold the integers behind {name}",
            fix="take the parties' certificate.json, not the one that is published",
        )
    study = study_from(body["study"])
    estimator = estimator_for(study, study.analysis(name))
    return _replayed(estimator, name, certificate)[0].as_json()


def _other_code(body: Mapping[str, Any]) -> list[str]:
    """Return the protocols of the permit that are installed here in another version."""
    here = {one.name: one.hash for one in (*protocols(), protocol(NAME))}
    then = body["permit"]["permit"]["protocols"]
    return [p["name"] for p in then if here.get(p["name"]) != p["hash"]]


def _limits(body: Mapping[str, Any]) -> tuple[int, int]:
    return int(body["smallest_shown"]), int(body["rounded_to"])


def _follows(
    item: Mapping[str, Any],
    study: Study,
    certificate: Mapping[str, Any],
    tolerance: float,
) -> bool:
    """Return whether a finding, and whether it is withheld, follow from its sums."""
    estimator = estimator_for(study, study.analysis(item["analysis"]))
    found, course = _replayed(estimator, item["analysis"], certificate)

    def tells_few(smallest: int) -> bool:
        return _can_tell(estimator) and tells_of_few(estimator, course, smallest)

    payload, withheld = _told(found, _limits(certificate["body"]), tells_few)
    is_said = item["withheld"] is withheld
    return is_said and _close(payload, item["finding"], tolerance)


def _replayed(
    estimator: Estimator, name: str, certificate: Mapping[str, Any]
) -> tuple[Finding, Course]:
    """Take the coordinator's steps again over the certified sums of one analysis.

    Returns:
        The finding, and of each round the state that was asked for and the sums.
    """
    rounds = [r for r in certificate["body"]["rounds"] if r["analysis"] == name]
    last = max(r["attempt"] for r in rounds)
    state: State | None = None
    course = list[tuple[State | None, Message]]()
    for r in (r for r in rounds if r["attempt"] == last):
        parts = certificate["sums"][r["task"]]
        words, tags = _words(parts), {hub: part["tag"] for hub, part in parts.items()}
        total = total_of(words, estimator.declare(r["round"]), r["task"])
        totals, receipts = (
            {name: statement_from(one) for name, one in r[which].items()}
            for which in ("totals", "receipts")
        )
        check_tags(words, tags, totals, receipts, r["members"], r["task"])
        course.append((state, total))
        result = estimator.step(total, state, r["round"])
        if isinstance(result, Finding):
            return result, course
        state = result
    raise Unverified(f"{name} does not come to an end in its certified rounds")


def _words(parts_of: Mapping[str, Mapping[str, str]]) -> list[NDArray[np.uint64]]:
    parts = []
    for part in parts_of.values():
        raw = base64.b64decode(part["words"])
        flat = np.frombuffer(raw, "<u8").astype(np.uint64)
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
