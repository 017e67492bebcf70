"""Rails: how an order to pay leaves the book, and who may use which.

A rail writes a file that somebody hands to a bank. None sends money.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hetao.errors import RailForbidden
from hetao.settlement.book import Instruction
from hetao.settlement.contract import Account, Contract
from hetao.settlement.pain001 import pain001


@dataclass(frozen=True)
class Rail:
    """A way of paying.

    Attributes:
        name: as commands take it.
        says: what it is, for people.
        allows: payer's account, payee's account and currency → why not; "" if it may.
        write: orders of one contract → the bytes of a file.
    """

    name: str
    says: str
    allows: Callable[[Account, Account, str], str]
    write: Callable[[Contract, Sequence[Instruction], datetime.datetime], bytes]

    def check(self, contract: Contract, milestone: str) -> None:
        """Return quietly if a milestone may be paid by this rail.

        Raises:
            RailForbidden: it may not.
        """
        payee = contract.payee(contract.milestone(milestone))
        why = self.allows(contract.payer, payee, contract.currency)
        if why:
            raise RailForbidden(f"{milestone} cannot be paid by {self.name}: {why}")


def _bank(payer: Account, payee: Account, _: str) -> str:
    if payer.kind != "bank" or payee.kind != "bank":
        return "both accounts must be a bank's"
    return ""


def _ecny(payer: Account, payee: Account, currency: str) -> str:
    if (payer.side, payee.side, currency) != ("SZ", "SZ", "CNY"):
        return "it is for yuan within the Mainland"
    if payee.kind != "ecny":
        return "the payee's account is no e-CNY wallet"
    return ""


RAILS: Final[Mapping[str, Rail]] = {
    rail.name: rail
    for rail in (
        Rail("bank", "ISO 20022 pain.001, for any bank", _bank, pain001),
        Rail("ecny", "pain.001 that names an e-CNY wallet", _ecny, pain001),
    )
}


def rail_of(name: str) -> Rail:
    """Return the rail of that name.

    Raises:
        RailForbidden: there is none. Tokens and stablecoins are none: in the Mainland
            such payments are unlawful (Document 42 of 6 February 2026).
    """
    if name not in RAILS:
        raise RailForbidden(
            f"{name[:32]!r} is no rail of this version",
            fix="use one of " + ", ".join(RAILS),
        )
    return RAILS[name]
