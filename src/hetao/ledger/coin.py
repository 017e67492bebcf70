"""A draw of acts that the auditor and the site make together, and neither steers.

The auditor binds themselves to a secret by its hash. The site answers, signed, with a
nonce, before it knows the secret; the auditor binds first, before they know the nonce.
The draw follows from both. So it is even though site, coordinator and both hubs are in
league, and an auditor cannot seek a draw that falls on whom they look for. Either can
break off after the answer: the site's log then tells of an answer without acts.

It convinces the auditor, who has their own secret and the answer that came before
they told it, and the site. In anybody else's eyes a site could have played both parts;
they take the draw that follows from the certificate (`hetao.ledger.audit`).

Specification: `docs/specs/provenance.md`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from hetao.canonical import canonical, digest
from hetao.errors import Unverified
from hetao.permit import Identity, Party, Statement, state, statement_from

ASK: Final = "hetao.audit-ask/1"
ANSWER: Final = "hetao.audit-answer/1"
NONCE: Final = b"hetao-audit-nonce-v1\n"
BIND: Final = b"hetao.audit-ask/1\n"
DOMAIN: Final = b"hetao.audit/3\n"
SECRET_BYTES: Final = 32

_HEX: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Ask:
    """What an auditor asks a site, bound to a secret that they keep.

    Attributes:
        site: whose acts; to: who is to be shown them.
        extract: digest of its record, as the certificate has it.
        draws: how many.
        commitment: to the secret, hex.
    """

    site: str
    to: str
    extract: str
    draws: int
    commitment: str

    def as_json(self) -> dict[str, Any]:
        """Return the form that stands in files."""
        return {"type": ASK, **asdict(self)}

    def commits_to(self, secret: bytes) -> bool:
        """Return whether this is bound to a secret."""
        return self == bound(self, secret)


def bound(ask: Ask, secret: bytes) -> Ask:
    """Return an ask bound to a secret of 32 bytes, whatever stood there before."""
    asked = {**ask.as_json(), "commitment": ""}
    said = hashlib.sha256(BIND + secret + canonical(asked)).hexdigest()
    return Ask(ask.site, ask.to, ask.extract, ask.draws, said)


def ask_from(value: object) -> Ask:
    """Return the ask of a file's object.

    Raises:
        Unverified: it is none.
    """
    match value:
        case {
            "type": str(kind),
            "site": str(site),
            "to": str(to),
            "extract": str(extract),
            "draws": int(draws),
            "commitment": str(said),
        } if kind == ASK and type(draws) is int and draws > 0 and _HEX.fullmatch(said):
            found = Ask(site, to, extract, draws, said)
            if found.as_json() == value:
                return found
    raise Unverified("the file is no auditor's ask")


def answered(identity: Identity, ask: Ask) -> Statement:
    """Return a site's answer, the same one to the same ask.

    The nonce is made of the site's key: nobody else knows it before, and the site
    gains nothing by knowing it, since the auditor's secret is not told yet.
    """
    told = ask.as_json()
    nonce = hashlib.sha256(identity.sign(NONCE, canonical(told))).hexdigest()
    body = {"type": ANSWER, "site": identity.name, "ask": told, "nonce": nonce}
    return state(identity, body)


def draw_of(secret: bytes, answer: Statement) -> dict[str, Any]:
    """Return what anybody needs to work the draw out, as a file holds it."""
    return {"secret": secret.hex(), "answer": answer.as_json()}


def joint_seed(draw: Mapping[str, Any], site: Party, expected: Ask) -> bytes:
    """Return what the draws follow from.

    Args:
        draw: of `draw_of`.
        site: who must have signed the answer.
        expected: what must have been asked; its commitment is not looked at.

    Raises:
        Unverified: it is no draw, the site did not answer it, the secret is not what
            the auditor had bound themselves to, or something else was asked.
    """
    match draw:
        case {"secret": str(secret), "answer": dict(told)} if len(draw) == 2:
            pass
        case _:
            raise Unverified("the draw is malformed")
    answer = statement_from(told)
    answer.verify(site)
    match answer.body:
        case {
            "type": str(kind),
            "site": str(name),
            "ask": dict(asked),
            "nonce": str(nonce),
        }:
            ask = ask_from(asked)
        case _:
            raise Unverified("the site's answer is malformed")
    if (kind, name, len(answer.body)) != (ANSWER, site.name, 4):
        raise Unverified("the site's answer is of another kind")
    if not _HEX.fullmatch(secret) or not _HEX.fullmatch(nonce):
        raise Unverified("a secret or a nonce is not 32 bytes")
    if not ask.commits_to(bytes.fromhex(secret)):
        raise Unverified("the secret is not the one that the auditor was bound to")
    if ask != bound(expected, bytes.fromhex(secret)):
        raise Unverified("the site answered another ask")
    parts = (
        bytes.fromhex(secret) + bytes.fromhex(nonce) + digest(ask.as_json()).encode()
    )
    return hashlib.sha256(DOMAIN + parts).digest()
