"""A contract: milestones, what each earns, who attests them, who is paid where.

A contract is a file of the payer's. Nothing of it goes into a log but commitments under
a secret: prices are low-entropy, so that a bare digest would give them away.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from hetao.canonical import LARGEST_INTEGER, canonical, digest_bytes
from hetao.errors import InvalidContract
from hetao.permit import SIDES, Party
from hetao.records import fields_of, read_toml, record

DECIMALS: Final = {"HKD": 2, "CNY": 2, "USD": 2, "EUR": 2, "GBP": 2, "JPY": 0}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,33}")
_LEAST_ATTESTORS = 2


@dataclass(frozen=True)
class Account:
    """Where money comes from or goes to.

    Attributes:
        name: of a payee, as milestones cite it; of the payer, any.
        side: "HK" or "SZ".
        owner: the legal name that the bank knows.
        number: IBAN or the bank's own number; of an e-CNY wallet, its number.
        bank: BIC of the bank; "" for a wallet.
        kind: "bank" or "ecny".
    """

    name: str
    side: str
    owner: str
    number: str
    bank: str = ""
    kind: str = "bank"


@dataclass(frozen=True)
class Attestor:
    """Who may say that a milestone was reached: a name and an Ed25519 key."""

    name: str
    organisation: str
    sign: str

    @property
    def party(self) -> Party:
        """Return the attestor as whoever checks signatures knows one."""
        return Party(self.name, "", "attestor", self.organisation, self.sign)


@dataclass(frozen=True)
class Milestone:
    """Something that earns units and money once, when it is attested.

    Attributes:
        name: unique in the contract.
        payee: name of an account.
        says: what must be reached, for people.
        amount: in the smallest unit of the currency, such as cents.
        units: contribution units that the payee earns.
    """

    name: str
    payee: str
    says: str
    amount: int
    units: int


@dataclass(frozen=True)
class Contract:
    """The terms, as `contract.toml` says them.

    Attributes:
        name: unique at the payer.
        study: digest of the study, `sha256:…`.
        currency: ISO 4217.
        quorum: how many attestors must agree.
    """

    name: str
    study: str
    currency: str
    quorum: int
    payer: Account
    payees: tuple[Account, ...]
    attestors: tuple[Attestor, ...]
    milestones: tuple[Milestone, ...]

    def __post_init__(self) -> None:
        """Refuse terms that could pay wrongly."""
        _check_names(self)
        if self.currency not in DECIMALS:
            raise InvalidContract(
                f"the currency {self.currency[:8]!r} is not known",
                fix="use one of " + ", ".join(DECIMALS),
            )
        for account in (self.payer, *self.payees):
            _check_account(account)
        if not _LEAST_ATTESTORS <= self.quorum <= len(self.attestors):
            raise InvalidContract(
                f"a quorum of {self.quorum} out of {len(self.attestors)} attestors",
                fix="two at least must agree, and no more than there are",
            )
        owners = {same(account.owner) for account in self.payees}
        houses = {same(one.organisation) for one in self.attestors}
        if len(houses) < self.quorum:
            raise InvalidContract(
                f"the attestors are of {len(houses)} organisations",
                fix="as many organisations as the quorum must be able to agree",
            )
        for attestor in self.attestors:
            if same(attestor.organisation) in owners:
                raise InvalidContract(
                    f"{attestor.name} belongs to a payee",
                    fix="nobody attests what their own organisation is paid for",
                )
            _ = attestor.party.sign_key  # refuses what is no key
        for milestone in self.milestones:
            _check_milestone(milestone, {account.name for account in self.payees})

    @cached_property
    def canonical(self) -> bytes:
        """Return the canonical bytes (RFC 8785)."""
        return canonical({"type": "hetao.contract/1", **fields_of(self)})

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…`; what attestors sign."""
        return digest_bytes(self.canonical)

    def milestone(self, name: str) -> Milestone:
        """Return the milestone of that name.

        Raises:
            InvalidContract: there is none.
        """
        for milestone in self.milestones:
            if milestone.name == name:
                return milestone
        raise InvalidContract(f"the contract has no milestone {name[:64]!r}")

    def payee(self, milestone: Milestone) -> Account:
        """Return the account that a milestone is paid to."""
        return next(one for one in self.payees if one.name == milestone.payee)


def read_contract(path: Path) -> Contract:
    """Return the contract of a file.

    Raises:
        InvalidContract, InvalidData: a field is unknown, missing or cannot be meant.
    """
    return contract_from(read_toml(path, InvalidContract), path.name)


def contract_from(table: object, where: str) -> Contract:
    """Return the contract of a table; `where` stands in errors.

    Raises:
        InvalidContract: a field is unknown, missing or cannot be meant.
    """
    return record(Contract, table, where, InvalidContract)


def same(name: str) -> str:
    """Return what two ways of writing one organisation's name have in common."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _check_names(contract: Contract) -> None:
    groups: dict[str, Iterable[str]] = {
        "payee": [one.name for one in contract.payees],
        "attestor": [one.name for one in contract.attestors],
        "key of an attestor": [one.sign for one in contract.attestors],
        "milestone": [one.name for one in contract.milestones],
    }
    for what, values in groups.items():
        for value, count in Counter(values).items():
            if count > 1:
                raise InvalidContract(f"{what} {value[:64]!r} stands twice")
            if what != "key of an attestor" and not _NAME.fullmatch(value):
                raise InvalidContract(f"{what} {value[:64]!r} is no plain name")
    if not _NAME.fullmatch(contract.name):
        raise InvalidContract("the contract's name is no plain name")
    if not (contract.payees and contract.milestones):
        raise InvalidContract("a contract has a payee and a milestone")


def _check_account(account: Account) -> None:
    where = f"account {account.name[:64]!r}"
    if account.side not in SIDES:
        raise InvalidContract(f"{where}: the side is HK or SZ")
    if account.kind not in ("bank", "ecny"):
        raise InvalidContract(f"{where}: the kind is bank or ecny")
    if not _NUMBER.fullmatch(account.number):
        raise InvalidContract(f"{where}: the number is not one that a bank writes")
    if account.kind == "bank" and not _BIC.fullmatch(account.bank):
        raise InvalidContract(f"{where}: a bank account needs the BIC of its bank")
    if not 0 < len(account.owner.strip()) <= 140:
        raise InvalidContract(f"{where}: the owner has 1 to 140 characters")


def _check_milestone(milestone: Milestone, payees: set[str]) -> None:
    where = f"milestone {milestone.name!r}"
    if milestone.payee not in payees:
        raise InvalidContract(f"{where}: {milestone.payee[:64]!r} is no payee")
    for what, value in (("amount", milestone.amount), ("units", milestone.units)):
        if not 0 <= value <= LARGEST_INTEGER // 1_000_000:
            raise InvalidContract(f"{where}: {what} is not a number that can be meant")
    if not milestone.amount + milestone.units:
        raise InvalidContract(f"{where} earns nothing")
