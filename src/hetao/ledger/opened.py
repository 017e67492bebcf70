"""A certificate that was read and not yet believed: what the steps of a check share."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from hetao.canonical import canonical, digest_bytes, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.ledger.classes import Lineages
from hetao.ledger.sealed_counts import FIELD, NAME
from hetao.permit import (
    SKEW,
    Bundle,
    Directory,
    Party,
    Payload,
    Permit,
    Situation,
    bundle_from,
    situation_of,
)
from hetao.permit.decision import check
from hetao.study import study_from

TYPE: Final = "hetao.certificate/3"
BODY: Final = {
    "type",
    "software",
    "issued",
    "study",
    "permit",
    "run",
    "sites",
    "lost",
    "rounds",
    "findings",
    "smallest_shown",
    "rounded_to",
    "checks",
    "review",
}
NO_TIME: Final = datetime.timedelta()
FILE: Final = {"body", "log", "signature", "sums"}


@dataclass(frozen=True)
class Opened:
    """The parts of a certificate, none of them believed until its step has passed.

    Attributes:
        digest: of the body, over the very bytes that stand in the file.
        trusted: the verifier's own list of parties, if there is one.
    """

    body: Mapping[str, Any]
    log: Mapping[str, Any]
    signature: str
    sums: Mapping[str, Any]
    digest: str
    trusted: Directory | None = None

    @cached_property
    def bundle(self) -> Bundle:
        """Return the permit with all that was said about it."""
        return bundle_from(self.body["permit"], "certificate")

    @property
    def permit(self) -> Permit:
        """Return the permit."""
        return self.bundle.permit

    @property
    def counts(self) -> Sequence[Mapping[str, Any]]:
        """Return the sealed counts, each in the form of a round."""
        found: Sequence[Mapping[str, Any]] = self.body.get(FIELD, ())
        return found

    @property
    def smallest(self) -> int:
        """Return the smallest count that the findings may show."""
        return int(self.body["smallest_shown"])

    @cached_property
    def lineages(self) -> Lineages:
        """Return what each analysis of the certified study reads."""
        return Lineages(study_from(self.body["study"]))

    def party(self, name: str, role: str) -> Party:
        """Return a party of the permit, which must have that role."""
        party = self.permit.directory[name]
        if party.role != role:
            raise Unverified(f"{name} is not a {role} of the permit")
        return party

    def stood(
        self, study: str, when: datetime.datetime, payload: Payload | None = None
    ) -> None:
        """Refuse unless an honest site may have seen the permit stand at that time.

        Sites count what lets go on though its signer's clock runs a little ahead.
        """
        try:
            check(replace(self._then(study, when, NO_TIME), payload=payload))
        except HetaoError:
            check(replace(self._then(study, when, SKEW), payload=payload))

    def _then(
        self, study: str, when: datetime.datetime, ahead: datetime.timedelta
    ) -> Situation:
        """Return how it stood, whatever was to leave; all of a round often ask it."""
        key = study, when, ahead
        if key not in self._situations:
            bundle = self.held(when).as_of(when, ahead)
            self._situations[key] = situation_of(bundle, study, when, None)
        return self._situations[key]

    @cached_property
    def _situations(
        self,
    ) -> dict[tuple[str, datetime.datetime, datetime.timedelta], Situation]:
        return {}

    def held(self, when: datetime.datetime) -> Bundle:
        """Return what was said about the permit, as far as a site could know of it."""
        return self.bundle

    def place(self, round_: Mapping[str, Any]) -> dict[str, Any]:
        """Return what each receipt and each sum of a round must name."""
        return {
            "study": self.permit.study,
            "permit": self.permit.digest,
            "run": self.body["run"],
            "task": round_["task"],
            "analysis": round_["analysis"],
            "attempt": round_["attempt"],
            "round": round_["round"],
        }


def open_certificate(data: bytes, trusted: Directory | None = None) -> Opened:
    """Return the parts of a certificate's bytes.

    Raises:
        Unverified: the text is not the canonical one of a certificate of this type.
    """
    opened = Opened(*parts_of(data), trusted)
    if opened.body["type"] != TYPE:
        raise Unverified(f"not a {TYPE}")
    listed = opened.permit.protocol(NAME) is not None
    if set(opened.body) != (BODY | {FIELD} if listed else BODY):
        raise Unverified("the body holds other fields than a certificate's")
    return opened


def parts_of(
    data: bytes,
) -> tuple[Mapping[str, Any], Mapping[str, Any], str, Mapping[str, Any], str]:
    """Return body, log, signature, sums and the body's digest, of any certificate.

    Raises:
        Unverified: the text is not the canonical one of such a file.
    """
    value = parse_canonical(data)
    if not isinstance(value, dict) or set(value) != FILE:
        raise Unverified("not a certificate")
    body = value.pop("body")
    # The text is {"body":…,"log":…}: what is not the rest of it is the body's own.
    text = data[len(b'{"body":') : -len(canonical(value))]
    signature = str(value["signature"])
    return body, value["log"], signature, value["sums"], digest_bytes(text)


def match(body: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> None:
    """Refuse a signed body that names another value of an expected field."""
    for key, value in expected.items():
        if body[key] != value:
            raise Unverified(f"{what} names another {key}")
