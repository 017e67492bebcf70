"""Orders to pay as ISO 20022 `pain.001.001.09`: what banks on both sides take."""

import datetime
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from lxml import etree

from hetao.canonical import digest
from hetao.settlement.book import Instruction
from hetao.settlement.contract import DECIMALS, Account, Contract

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
_ECNY: Final = "ECNY"


def pain001(
    contract: Contract, orders: Sequence[Instruction], now: datetime.datetime
) -> bytes:
    """Return one file that orders these payments of one contract.

    `EndToEndId` is the order's number, the same at every attempt and on every rail;
    `InstrId` adds the attempt, so that a bank can tell a repeat from a copy.

    Args:
        contract: of all these orders.
        orders: at least one.
        now: UTC time; payment is asked for on this day.

    Source:
        ISO 20022 pain.001.001.09. Test: `tests/unit/test_settlement.py`, against the
        published XML Schema.
    """
    total = sum(contract.milestone(one.milestone).amount for one in orders)
    # The same orders at the same time are the same message: a bank drops the copy.
    message = digest([[one.id, one.attempt] for one in orders]).partition(":")[2][:32]
    root = etree.Element(_q("Document"), nsmap={None: NAMESPACE})
    body = etree.SubElement(root, _q("CstmrCdtTrfInitn"))
    header = etree.SubElement(body, _q("GrpHdr"))
    _add(header, "MsgId", message)
    _add(header, "CreDtTm", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    _add(header, "NbOfTxs", str(len(orders)))
    _add(header, "CtrlSum", money(total, contract.currency))
    _add(etree.SubElement(header, _q("InitgPty")), "Nm", _text(contract.payer.owner))
    batch = etree.SubElement(body, _q("PmtInf"))
    _add(batch, "PmtInfId", message)
    _add(batch, "PmtMtd", "TRF")
    _add(batch, "NbOfTxs", str(len(orders)))
    _add(batch, "CtrlSum", money(total, contract.currency))
    _add(etree.SubElement(batch, _q("ReqdExctnDt")), "Dt", now.strftime("%Y-%m-%d"))
    _add(etree.SubElement(batch, _q("Dbtr")), "Nm", _text(contract.payer.owner))
    _account(etree.SubElement(batch, _q("DbtrAcct")), contract.payer)
    _agent(etree.SubElement(batch, _q("DbtrAgt")), contract.payer)
    for order in orders:
        _transfer(batch, contract, order)
    data: bytes = etree.tostring(
        root, xml_declaration=True, encoding="UTF-8", pretty_print=True
    )
    return data


def _transfer(batch: etree._Element, contract: Contract, order: Instruction) -> None:
    milestone = contract.milestone(order.milestone)
    payee = contract.payee(milestone)
    transfer = etree.SubElement(batch, _q("CdtTrfTxInf"))
    ids = etree.SubElement(transfer, _q("PmtId"))
    _add(ids, "InstrId", f"{order.id}{order.attempt:03d}")
    _add(ids, "EndToEndId", order.id)
    amount = etree.SubElement(transfer, _q("Amt"))
    due = _add(amount, "InstdAmt", money(milestone.amount, contract.currency))
    due.set("Ccy", contract.currency)
    if payee.bank:
        _agent(etree.SubElement(transfer, _q("CdtrAgt")), payee)
    _add(etree.SubElement(transfer, _q("Cdtr")), "Nm", _text(payee.owner))
    _account(etree.SubElement(transfer, _q("CdtrAcct")), payee)
    about = etree.SubElement(transfer, _q("RmtInf"))
    _add(about, "Ustrd", f"{contract.name} {milestone.name}")


def _account(parent: etree._Element, account: Account) -> None:
    number = account.number.replace(" ", "")
    ids = etree.SubElement(parent, _q("Id"))
    if number[:2].isalpha() and number[:2].isupper() and number[2:4].isdigit():
        _add(ids, "IBAN", number)
        return
    other = etree.SubElement(ids, _q("Othr"))
    _add(other, "Id", number)
    if account.kind == "ecny":
        _add(etree.SubElement(other, _q("SchmeNm")), "Prtry", _ECNY)


def _agent(parent: etree._Element, account: Account) -> None:
    institution = etree.SubElement(parent, _q("FinInstnId"))
    if account.bank:
        _add(institution, "BICFI", account.bank)
    else:
        _add(etree.SubElement(institution, _q("Othr")), "Id", "NOTPROVIDED")


def money(amount: int, currency: str) -> str:
    """Return an amount in a currency's smallest unit as banks write it."""
    return str(Decimal(amount).scaleb(-DECIMALS[currency]))


def _text(value: str) -> str:
    """Return a name without what XML or a bank's screen cannot hold."""
    kept = "".join(c for c in value if unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())


def _add(parent: etree._Element, tag: str, text: str) -> etree._Element:
    child = etree.SubElement(parent, _q(tag))
    child.text = text
    return child


def _q(tag: str) -> str:
    return f"{{{NAMESPACE}}}{tag}"
