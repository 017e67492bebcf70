"""What left each site, under which policy, and who had agreed to it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hetao.canonical import digest, digest_bytes
from hetao.report.heads import named
from hetao.report.numerals import short_text
from hetao.report.quality import QualityView, quality_of
from hetao.report.sentences import Said, say
from hetao.study import Minimum

MINIMA = {
    "people": "People, at least",
    "cell": "In a cell, at least",
    "events": "Events, at least",
    "share": "Parameters per person, at most",
    "leverage": "Leverage of a person, at most",
    "sites": "Sites in a sum, at least",
}


@dataclass(frozen=True)
class Lowered:
    """A count that a site's policy lowered under the strict default.

    Attributes:
        label: in the middle of a sentence.
    """

    label: Said
    here: str
    strict: str

    @property
    def said(self) -> Said:
        """Return all three in words."""
        return say("lowered_one", label=self.label, here=self.here, strict=self.strict)


@dataclass(frozen=True)
class Sent:
    """One release of a site.

    Attributes:
        record: short digest of the signed record that the certificate holds.
    """

    task: str
    analysis: str
    round: int
    values: int
    bytes: int
    grade: int
    at: str
    record: str


@dataclass(frozen=True)
class SiteView:
    """A site: what it let out, under which policy, from data of which quality.

    Attributes:
        lost: why the run went on without it; "" where it stayed.
        minima: in the order of `MINIMA`, each with whether the site lowered it.
    """

    name: str
    side: str
    organisation: str
    lost: str
    snapshot: str
    log_size: str
    minima: tuple[tuple[str, bool], ...]
    lowered: tuple[Lowered, ...]
    reason: str
    quality: QualityView
    sent: tuple[Sent, ...]

    @property
    def values(self) -> int:
        """Return how many numbers it released."""
        return sum(s.values for s in self.sent)

    @property
    def bytes(self) -> int:
        """Return how many sealed bytes its releases were."""
        return sum(s.bytes for s in self.sent)

    @property
    def grade(self) -> int:
        """Return the highest class among its releases; 0 for none."""
        return max((s.grade for s in self.sent), default=0)


@dataclass(frozen=True)
class Approval:
    """One signed notice about the permit."""

    verb: str
    by: str
    organisation: str
    role: str
    side: str
    at: str
    fingerprint: str
    rules: tuple[str, ...]


def sites_of(body: Mapping[str, Any]) -> tuple[SiteView, ...]:
    """Return every site of the permit, those that were lost included."""
    permit = body["permit"]["permit"]
    parties = {str(p["name"]): p for p in permit["parties"]}
    closed = {str(s["name"]): s for s in body["sites"]}
    lost = {str(site): str(why) for site, why in body.get("lost", {}).items()}
    return tuple(
        _site(parties[site], closed.get(site, {}), lost.get(site, ""), body["rounds"])
        for site in map(str, permit["sites"])
    )


def _site(
    party: Mapping[str, Any],
    closing: Mapping[str, Any],
    lost: str,
    rounds: Sequence[Mapping[str, Any]],
) -> SiteView:
    policy = closing.get("policy") or {}
    minimum = policy.get("minimum") or {}
    return SiteView(
        name=str(party["name"]),
        side=str(party.get("side", "")),
        organisation=str(party.get("organisation", "")),
        lost=lost,
        snapshot=str(closing.get("snapshot", "")),
        log_size=_log_size(str(closing.get("checkpoint", ""))),
        minima=tuple(
            (short_text(minimum.get(name)), name in (policy.get("lowered") or ()))
            for name in MINIMA
        ),
        lowered=tuple(_lowered(name, minimum) for name in policy.get("lowered") or ()),
        reason=str(policy.get("reason") or ""),
        quality=quality_of(closing),
        sent=_sent(str(party["name"]), rounds),
    )


def _log_size(checkpoint: str) -> str:
    lines = checkpoint.split("\n")
    return lines[1] if len(lines) > 2 else ""


def _lowered(name: str, minimum: Mapping[str, Any]) -> Lowered:
    strict = {f.name: getattr(Minimum(), f.name) for f in fields(Minimum)}
    label = named(MINIMA.get(name, name))
    return Lowered(
        Said(label.lower(), label.traditional, label.simplified),
        short_text(minimum.get(name)),
        short_text(strict.get(name)),
    )


def _sent(site: str, rounds: Sequence[Mapping[str, Any]]) -> tuple[Sent, ...]:
    found = []
    for round_ in rounds:
        receipt = round_["receipts"].get(site)
        if receipt is None:
            continue
        body = receipt["body"]
        found.append(
            Sent(
                task=str(round_["task"]),
                analysis=str(round_["analysis"]),
                round=int(round_["round"]) + 1,
                values=int(body.get("values") or 0),
                bytes=int(body.get("bytes") or 0),
                grade=int((body.get("class") or {}).get("released") or 0),
                at=time_text(body.get("at")),
                record=short_digest(digest(receipt)),
            )
        )
    return tuple(found)


def approvals_of(body: Mapping[str, Any]) -> tuple[Approval, ...]:
    """Return what was signed about the permit, in order."""
    permit = body["permit"]["permit"]
    persons = {str(p["name"]): p for p in permit["persons"]}
    keys = {str(k["name"]): k for k in permit["keys"]}
    found = []
    for notice in body["permit"]["notices"]:
        said = notice["body"]
        person = persons.get(str(said.get("by")), {})
        key = keys.get(str(said.get("key")), {})
        side, role = str(said.get("side", "")), str(said.get("role", ""))
        found.append(
            Approval(
                verb=str(said.get("verb", "")),
                by=str(said.get("by", "")),
                organisation=str(person.get("organisation", "")),
                role=role,
                side=side,
                at=time_text(said.get("at")),
                fingerprint=_fingerprint(str(key.get("public", ""))),
                rules=tuple(
                    str(need["rule"])
                    for need in permit["required"]
                    if (need["side"], need["role"]) == (side, role)
                ),
            )
        )
    return tuple(found)


def _fingerprint(key: str) -> str:
    """Return sixteen hex digits in fours, as for a check by telephone."""
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        return ""
    text = digest_bytes(raw).removeprefix("sha256:")[:16]
    return " ".join(text[i : i + 4] for i in range(0, 16, 4)) if raw else ""


def short_digest(text: str) -> str:
    """Return the first twelve hex digits of a digest."""
    return text.removeprefix("sha256:")[:12]


def time_text(when: Any) -> str:
    """Return `2026-11-22 15:45:31 UTC` for `2026-11-22T15:45:31Z`."""
    return str(when or "").replace("T", " ").replace("Z", " UTC")
