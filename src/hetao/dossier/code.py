"""The QR code of a certificate: which one it is, in which log, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import segno

from hetao.canonical import digest
from hetao.errors import Unverified
from hetao.ledger.note import parse_checkpoint, parse_note
from hetao.ledger.proof import parse_proof

PREFIX: Final = "urn:hetao:certificate:"


@dataclass(frozen=True)
class Facts:
    """What names a certificate: digests, its place in the issuer's log, who signed it.

    Attributes:
        signers: names on the lines under the log's checkpoint, each once; whose keys
            they are nobody has looked at here.
    """

    body: str
    study: str
    permit: str
    origin: str
    index: int
    size: int
    signers: tuple[str, ...]

    @property
    def code(self) -> str:
        """Return the text of the QR code: digest, log, entry."""
        return f"{PREFIX}{self.body}?log={self.origin}&entry={self.index}"


def facts_of(certificate: Mapping[str, Any]) -> Facts:
    """Return what names a certificate that was verified before."""
    body = certificate["body"]
    proof = parse_proof(certificate["log"]["proof"])
    text, lines = parse_note(proof.note)
    checkpoint = parse_checkpoint(text)
    return Facts(
        body=digest(body),
        study=digest(body["study"]),
        permit=digest(body["permit"]["permit"]),
        origin=checkpoint.origin,
        index=proof.index,
        size=checkpoint.size,
        signers=tuple(dict.fromkeys(line.name for line in lines)),
    )


def code_svg(facts: Facts) -> str:
    """Return the QR code as SVG that stands in HTML; level M mends 15 % of it."""
    made = segno.make(facts.code, error="m", micro=False)
    return str(made.svg_inline(omitsize=True, border=4, svgclass="", lineclass=""))


def check_code(text: str, certificate: Mapping[str, Any]) -> str:
    """Return a sentence if the text of a QR code is of this certificate.

    Raises:
        Unverified: it is of another.
    """
    facts = facts_of(certificate)
    if text.strip() != facts.code:
        raise Unverified("the QR code is of another certificate than this file")
    return f"the QR code is of this certificate, entry {facts.index}"
