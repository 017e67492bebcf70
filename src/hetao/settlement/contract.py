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
from hetao.permit import SIDES, Party, parse_time
from hetao.records import fields_of, read_toml, record

DECIMALS: Final = {"HKD": 2, "CNY": 2, "USD": 2, "EUR": 2, "GBP": 2, "JPY": 0}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,33}")
_ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
_LEAST_ATTESTORS = 2
_MOST_DECIMALS = 18


_OF_ESCROW = ("escrow", "side", "address")


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
        address: on the chain of the contract's escrow; "" where there is none.
    """

    name: str
    side: str
    owner: str
    number: str
    bank: str = ""
    kind: str = "bank"
    address: str = ""


@dataclass(frozen=True)
class Attestor:
    """Who may say that a milestone was reached: a name and an Ed25519 key.

    Attributes:
        side: "HK" of whoever signs for an escrow as well; "" where that is nobody's.
        address: what such a one signs with on the escrow's chain.
    """

    name: str
    organisation: str
    sign: str
    side: str = ""
    address: str = ""

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
class Escrow:
    """A stablecoin in which milestones may be paid, held by a contract on a chain.

    Attributes:
        chain: the chain's number (EIP-155).
        token: the stablecoin's address.
        decimals: of the stablecoin: 6 where a million of its units are one dollar.
        payer: the payer's address.
        until: UTC time from which what was not released is given back.
    """

    chain: int
    token: str
    decimals: int
    payer: str
    until: str


@dataclass(frozen=True)
class Contract:
    """The terms, as `contract.toml` says them.

    Attributes:
        name: unique at the payer.
        study: digest of the study, `sha256:…`.
        currency: ISO 4217.
        quorum: how many attestors must agree.
        escrow: None where nothing is paid on a chain.
    """

    name: str
    study: str
    currency: str
    quorum: int
    payer: Account
    payees: tuple[Account, ...]
    attestors: tuple[Attestor, ...]
    milestones: tuple[Milestone, ...]
    escrow: Escrow | None = None

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
        _check_addresses(self)

    @cached_property
    def canonical(self) -> bytes:
        """Return the canonical bytes (RFC 8785)."""
        table = fields_of(self)
        for part in (table, table["payer"], *table["payees"], *table["attestors"]):
            for (
                name
            ) in _OF_ESCROW:  # without one a contract has the bytes it always had
                if not part.get(name, True):
                    del part[name]
        return canonical({"type": "hetao.contract/1", **table})

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


def _check_addresses(contract: Contract) -> None:
    signers = [one for one in contract.attestors if one.address or one.side]
    parties: list[Account | Attestor] = [contract.payer, *contract.payees, *signers]
    for one in parties:
        if one.address and not _ADDRESS.fullmatch(one.address):
            raise InvalidContract(f"{one.name}: an address is 0x and 40 hex digits")
    for signer in signers:
        if (signer.side, bool(signer.address)) != ("HK", True):
            raise InvalidContract(
                f"{signer.name}: a signer for an escrow has an address and the side HK"
            )
    paid = [one.address for one in contract.payees if one.address]
    own = [one.address for one in signers]
    if contract.escrow is None:
        if paid or own or contract.payer.address:
            raise InvalidContract("addresses without an escrow mean nothing")
        return
    own += [contract.escrow.payer, contract.escrow.token]
    lower = [one.lower() for one in own]
    if len(set(lower)) < len(lower) or set(lower) & {one.lower() for one in paid}:
        raise InvalidContract("one address stands for two parties of the escrow")
    _check_escrow(contract.escrow, DECIMALS[contract.currency])


def _check_escrow(escrow: Escrow, decimals: int) -> None:
    for address in (escrow.payer, escrow.token):
        if not _ADDRESS.fullmatch(address):
            raise InvalidContract("escrow: an address is 0x and 40 hex digits")
    if escrow.chain < 1:
        raise InvalidContract("escrow: the chain is its number (EIP-155)")
    if not decimals <= escrow.decimals <= _MOST_DECIMALS:
        raise InvalidContract(
            f"escrow: the stablecoin has {decimals} to {_MOST_DECIMALS} decimals"
        )
    parse_time(escrow.until)
