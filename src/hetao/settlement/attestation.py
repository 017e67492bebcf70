"""A milestone was reached: k of n attestors sign so, over the same evidence."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import BadSignature, NotAccepted
from hetao.permit import Identity, Statement, format_time, parse_time, state
from hetao.settlement.contract import Attestor, Contract, same

TYPE: Final = "hetao.attestation/1"
_FIELDS: Final = {"type", "contract", "milestone", "evidence", "by", "at"}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Acceptance:
    """A milestone that enough attestors agree on.

    Attributes:
        evidence: digest of what they looked at: a certificate, an extract's root.
        by: their names, sorted.
        statements: what they signed, in that order.
    """

    milestone: str
    evidence: str
    by: tuple[str, ...]
    statements: tuple[Statement, ...]

    @property
    def digest(self) -> str:
        """Return `sha256:…` over the signed statements."""
        return digest([one.as_json() for one in self.statements])


def attest(
    contract: Contract,
    identity: Identity,
    milestone: str,
    evidence: str,
    now: datetime.datetime,
) -> Statement:
    """Return an attestor's signed word that a milestone was reached.

    Raises:
        InvalidContract: the contract has no such milestone.
        NotAccepted: the signer is no attestor, or the evidence is no digest.
    """
    contract.milestone(milestone)
    known = {one.name: one.sign for one in contract.attestors}
    if known.get(identity.name) != identity.sign_public:
        raise NotAccepted(f"{identity.name} is no attestor of this contract")
    if not _DIGEST.fullmatch(evidence):
        raise NotAccepted("the evidence is not given by its digest, sha256:…")
    body = {
        "type": TYPE,
        "contract": contract.digest,
        "milestone": milestone,
        "evidence": evidence,
        "by": identity.name,
        "at": format_time(now),
    }
    return state(identity, body)


def accepted(
    contract: Contract, milestone: str, statements: Sequence[Statement]
) -> Acceptance:
    """Return the acceptance that these statements make.

    An attestor's second word over the same evidence counts once.

    Raises:
        InvalidContract: the contract has no such milestone.
        NotAccepted: too few agree, they looked at different evidence, or a statement
            is about something else or by somebody else.
        BadSignature: a statement is not signed by whom it names.
    """
    contract.milestone(milestone)
    known = {one.name: one for one in contract.attestors}
    found: dict[str, Statement] = {}
    for statement in statements:
        found.setdefault(attestor_of(contract, milestone, statement).name, statement)
    evidence = {str(one.body["evidence"]) for one in found.values()}
    if len(evidence) > 1:
        raise NotAccepted(
            "the attestors looked at different evidence",
            fix="let them agree on one certificate or root, and sign again",
        )
    houses = {same(known[name].organisation) for name in found}
    if len(houses) < contract.quorum:
        raise NotAccepted(
            f"{len(houses)} of the {contract.quorum} organisations needed have signed"
        )
    names = tuple(sorted(found))
    return Acceptance(
        milestone, evidence.pop(), names, tuple(found[name] for name in names)
    )


def attestor_of(contract: Contract, milestone: str, statement: Statement) -> Attestor:
    """Return who signed that this milestone was reached.

    Raises:
        NotAccepted: it is about something else, or by somebody else.
        BadSignature: it is not signed by whom it names.
    """
    body = _body(statement)
    known = {one.name: one for one in contract.attestors}
    attestor = known.get(str(body["by"]))
    if attestor is None:
        raise NotAccepted("a statement is by nobody whom the contract names")
    statement.verify(attestor.party)
    if (body["contract"], body["milestone"]) != (contract.digest, milestone):
        raise NotAccepted(f"{attestor.name} attested another milestone or contract")
    return attestor


def _body(statement: Statement) -> dict[str, Any]:
    body = dict(statement.body)
    if set(body) != _FIELDS or body["type"] != TYPE:
        raise BadSignature("a statement is no attestation")
    if not all(type(value) is str for value in body.values()):
        raise BadSignature("an attestation holds something else than text")
    if not _DIGEST.fullmatch(body["evidence"]):
        raise BadSignature("an attestation's evidence is no digest")
    parse_time(body["at"])
    return body
