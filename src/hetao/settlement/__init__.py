"""What a site earned, and how it is paid: never more than once, on whatever rail."""

from hetao.settlement.attestation import Acceptance, accepted, attest
from hetao.settlement.book import Book, Instruction
from hetao.settlement.contract import Account, Contract, Milestone, read_contract
from hetao.settlement.rails import RAILS, Rail

__all__ = [
    "RAILS",
    "Acceptance",
    "Account",
    "Book",
    "Contract",
    "Instruction",
    "Milestone",
    "Rail",
    "accepted",
    "attest",
    "read_contract",
]
