"""What a certificate that holds is worth to its reader: does it count, and by whom?

A certificate counts below nobody's quorum. Whose witnesses these are the reader says,
with a policy or with the word `HUBS`; who says nothing is shown that all holds, and
that it does not count.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hetao.cli.certificate import place_of, read_file
from hetao.cli.main import say
from hetao.errors import UNCOUNTED, Unverified
from hetao.ledger.note import COSIGNATURE, LOG_SIGNATURE, Verifier
from hetao.ledger.policy import HUBS, Group, Policy, Seen, read_policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import Status, check_status
from hetao.permit import bundle_from

NOBODY: Final = ", SEEN BY NOBODY INDEPENDENT"
UNNAMED: Final = "DOES NOT COUNT: NO WITNESSES OF YOURS ARE NAMED"
ENDED: Final = "THE STUDY WAS REVOKED"
WORD: Final = f"or say --policy {HUBS} if both hubs, parties of the study, are enough"


@dataclass(frozen=True)
class Verdict:
    """What is said of a certificate whose every step holds.

    Attributes:
        counts: whether the reader named whose witnesses suffice; they then did.
        policy: the reader's own; None where none is named, or both hubs suffice.
        asks: by whom what is told since counts: the policy's, or both hubs; None where
            nobody is named.
        seen: what the issuer's checkpoint proves under it.
        independent: the policy's witnesses that saw it and are no party of the study.
        status: how its issuer says it stands; None where that was not asked.
    """

    counts: bool
    policy: Policy | None
    asks: Policy | None
    seen: Seen | None
    independent: Sequence[str]
    status: Status | None

    @property
    def exit_code(self) -> int:
        """Return 6 where its issuer took it back, 7 where it does not count, or 0."""
        if self._taken_back:
            return Unverified.exit_code
        return 0 if self.counts else UNCOUNTED

    @property
    def told(self) -> dict[str, Any]:
        """Return what a program is told; `verified` is true with exit code 0 alone."""
        return {
            "verified": self.exit_code == 0,
            "counts": self.counts,
            "witnesses": None if self.seen is None else list(self.seen.witnesses),
            "independent": list(self.independent),
        }

    def words(self, *, ended: bool = False) -> str:
        """Return the verdict in capitals.

        Args:
            ended: whether it is the certificate of a revoked study.
        """
        back = self._taken_back
        if self.counts:
            text = f"VERIFIED, BUT {back}" if back else "VERIFIED"
            text += f": {ENDED}" if ended else ""
            return text + ("" if self.independent else NOBODY)
        text = f"HOLDS, BUT {back}, AND {UNNAMED}" if back else f"HOLDS, BUT {UNNAMED}"
        return text + (f"; {ENDED}" if ended else "")

    @property
    def _taken_back(self) -> str:
        """Return the state in capitals of a certificate that was taken back; or ""."""
        state = self.status.state if self.status else "valid"
        return "" if state == "valid" else state.upper()


def verdict_of(
    named: str | None, certificate: dict[str, Any], told: Path | None = None
) -> Verdict:
    """Return the verdict about a certificate whose steps hold.

    Args:
        named: `--policy` of the command line: a file, or the word `HUBS`.
        certificate: that was verified.
        told: file of its issuer's status lists; None where nobody asks.

    Raises:
        InvalidData: a file cannot be read, or is no policy.
        Unverified: fewer witnesses than the policy's quorum saw the log, or what is
            told of the certificate since does not hold.
    """
    policy = _policy(named)
    note = parse_proof(certificate["log"]["proof"]).note
    seen = policy.check(note) if policy else None
    asks = _both_hubs(certificate) if named == HUBS else policy
    status = _status(read_file(told), certificate, asks) if told else None
    eyes = _independent(policy, seen, certificate)
    return Verdict(named is not None, policy, asks, seen, eyes, status)


def _status(data: bytes, certificate: dict[str, Any], policy: Policy | None) -> Status:
    """Return how a certificate stands.

    Raises:
        Unverified: as `check_status`.
    """
    place, issuer = place_of(certificate)
    try:
        return check_status(data, issuer, place, policy)
    except Unverified as error:
        raise Unverified(f"how it stands: {error.what}", fix=error.fix) from error


def say_what_counts(verdict: Verdict) -> None:
    """Tell the reader on standard error how to have it count, where it does not."""
    if not verdict.counts:
        say("note: for it to count, name your own witnesses and quorum, --policy FILE,")
        say("      as hetao witness policy writes it;")
        say(f"      {WORD}")


def say_status(status: Status) -> str:
    """Return how a certificate stands, as of when, and who saw that."""
    who = ", ".join(status.witnesses) or "nobody but the issuer"
    return f"{status.state} as of {status.as_of}, seen by {who}"


def _policy(named: str | None) -> Policy | None:
    """Return the policy of a file; None for none, and for the word (not `./hubs`)."""
    if named is None or named == HUBS:
        return None
    return read_policy(Path(named), fix=f"check the path; {WORD}")


def _both_hubs(certificate: Mapping[str, Any]) -> Policy:
    """Return the policy of whom both hubs of a verified certificate suffice."""
    permit = bundle_from(certificate["body"]["permit"]).permit
    boss, hubs = permit.coordinator, [permit.directory[name] for name in permit.hubs]
    return Policy(
        logs=(Verifier.of(boss.name, boss.sign_key, LOG_SIGNATURE),),
        witnesses={
            hub.name: Verifier.of(hub.name, hub.sign_key, COSIGNATURE) for hub in hubs
        },
        groups={HUBS: Group(len(hubs), tuple(permit.hubs))},
        quorum=HUBS,
    )


def _independent(
    policy: Policy | None, seen: Seen | None, certificate: Mapping[str, Any]
) -> list[str]:
    """Return the witnesses of the policy that saw it and are no party of the study."""
    if policy is None or seen is None:
        return []
    parties = certificate["body"]["permit"]["permit"]["parties"]
    names = {one["name"] for one in parties}
    keys = {base64.b64decode(one["sign"]) for one in parties}
    found = {name: policy.witnesses[name] for name in seen.witnesses}
    return [
        name
        for name, key in found.items()
        if key.name not in names and key.public not in keys
    ]
