"""Rails: how an order to pay leaves the book, and who may use which.

A rail writes a file that somebody hands to a bank, or to a chain. None sends money.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hetao.errors import RailForbidden
from hetao.settlement.book import Instruction
from hetao.settlement.contract import Account, Contract, same
from hetao.settlement.escrow import MOST_SIGNERS, terms
from hetao.settlement.pain001 import pain001


@dataclass(frozen=True)
class Rail:
    """A way of paying.

    Attributes:
        name: as commands take it.
        says: what it is, for people.
        allows: contract and payee's account → why not; "" if it may.
        write: orders of one contract → the bytes of a file.
        holds: whether it keeps the money until attestors sign: then an order may be
            made before its milestone is accepted.
    """

    name: str
    says: str
    allows: Callable[[Contract, Account], str]
    write: Callable[[Contract, Sequence[Instruction], datetime.datetime], bytes]
    holds: bool = False

    def check(self, contract: Contract, milestone: str) -> None:
        """Return quietly if a milestone may be paid by this rail.

        Raises:
            RailForbidden: it may not.
        """
        payee = contract.payee(contract.milestone(milestone))
        why = self.allows(contract, payee)
        if why:
            raise RailForbidden(f"{milestone} cannot be paid by {self.name}: {why}")


def _bank(contract: Contract, payee: Account) -> str:
    if contract.payer.kind != "bank" or payee.kind != "bank":
        return "both accounts must be a bank's"
    return ""


def _ecny(contract: Contract, payee: Account) -> str:
    if (contract.payer.side, payee.side, contract.currency) != ("SZ", "SZ", "CNY"):
        return "it is for yuan within the Mainland"
    if payee.kind != "ecny":
        return "the payee's account is no e-CNY wallet"
    return ""


def _escrow(contract: Contract, payee: Account) -> str:
    # In the Mainland such payments are unlawful (Document 42 of 6 February 2026).
    if (contract.payer.side, payee.side) != ("HK", "HK"):
        return "it is for parties of the Hong Kong side alone"
    if contract.escrow is None or not payee.address:
        return "the contract has no [escrow], or the payee no address on its chain"
    houses = [same(one.organisation) for one in contract.attestors if one.address]
    if not contract.quorum <= len(set(houses)) <= len(houses) <= MOST_SIGNERS:
        return f"{contract.quorum} to {MOST_SIGNERS} attestors need an address there"
    if len(set(houses)) < len(houses):  # the chain counts addresses alone
        return "two attestors with an address are of one organisation"
    return ""


RAILS: Final[Mapping[str, Rail]] = {
    rail.name: rail
    for rail in (
        Rail("bank", "ISO 20022 pain.001, for any bank", _bank, pain001),
        Rail("ecny", "pain.001 that names an e-CNY wallet", _ecny, pain001),
        Rail("escrow", "a stablecoin, held until attestors sign", _escrow, terms, True),
    )
}


def rail_of(name: str) -> Rail:
    """Return the rail of that name.

    Raises:
        RailForbidden: there is none.
    """
    if name not in RAILS:
        raise RailForbidden(
            f"{name[:32]!r} is no rail of this version",
            fix="use one of " + ", ".join(RAILS),
        )
    return RAILS[name]
