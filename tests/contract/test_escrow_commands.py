"""An order by escrow from contract to receipt, by commands, on a real node."""

import datetime
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import to_checksum_address

from hetao.anchor.node import Node
from hetao.cli import main
from hetao.errors import (
    AlreadySettled,
    AnchorForbidden,
    InvalidContract,
    NotAccepted,
    RailForbidden,
    Unverified,
)
from hetao.permit import new_identity, write_identity
from hetao.settlement import Book, accepted, attest, escrow, read_contract
from hetao.settlement.contract import contract_from
from hetao.settlement.rails import RAILS
from support_escrow import CHAIN, token_code
from support_evm import ADDRESSES, KEYS, anvil

pytestmark = pytest.mark.xdist_group("escrow")
PAYER, STRANGER, PAYEE = 0, 1, 2
SIGNERS = (4, 5, 6)
ATTESTORS = tuple(new_identity(f"attestor-{n}") for n in (1, 2, 3))
KEEPER = new_identity("sponsor")
CANARY = "Qzx81737"
TEXT = """\
name = "{canary}-2026"
study = "sha256:{study}"
currency = "HKD"
quorum = 2

[payer]
name = "sponsor"
side = "HK"
owner = "{canary} Sponsor Limited"
number = "{canary}1"
bank = "HSBCHKHHHKH"

[[payees]]
name = "queen-mary"
side = "HK"
owner = "{canary} 瑪麗"
number = "{canary}2"
bank = "BKCHHKHH"
address = "{payee}"

[[payees]]
name = "shenzhen-first"
side = "SZ"
owner = "{canary} 深圳"
number = "{canary}3"
bank = "ICBKCNBJSZN"
address = "{other}"

{attestors}
[[milestones]]
name = "curated-{canary}"
payee = "queen-mary"
says = "{canary} The extract is curated."
amount = 1234560
units = 40

[[milestones]]
name = "served-{canary}"
payee = "queen-mary"
says = "{canary} Served."
amount = 700
units = 3

[[milestones]]
name = "abroad"
payee = "shenzhen-first"
says = "Served in Shenzhen."
amount = 700
units = 3

[escrow]
chain = {chain}
token = "{token}"
decimals = 6
payer = "{payer}"
until = "{until}"
"""
FIRST, SECOND = f"curated-{CANARY}", f"served-{CANARY}"


def contract_text(token, until):
    blocks = [
        f'[[attestors]]\nname = "{one.name}"\norganisation = "{CANARY} {one.name}"\n'
        f'sign = "{one.sign_public}"\nside = "HK"\naddress = "{ADDRESSES[signer]}"\n'
        for one, signer in zip(ATTESTORS, SIGNERS, strict=True)
    ]
    return TEXT.format(
        canary=CANARY, study="5c" * 32, attestors="\n".join(blocks), chain=CHAIN,
        token=token, payer=ADDRESSES[PAYER], payee=ADDRESSES[PAYEE],
        other=ADDRESSES[3], until=until,
    )  # fmt: skip


@pytest.fixture(scope="module")
def node():
    with anvil() as found:
        yield found


@pytest.fixture
def world(node, tmp_path, monkeypatch):
    """A folder with the contract, the keys, and a token of which the payer has some."""
    monkeypatch.setattr("hetao.anchor.node.WAIT", 0.01)
    token = node.send(PAYER, "", token_code(10**12)).address
    until = datetime.datetime.fromtimestamp(node.now + 5_000, datetime.UTC)
    text = contract_text(token, until.strftime("%Y-%m-%dT%H:%M:%SZ"))
    (tmp_path / "contract.toml").write_text(text, encoding="utf-8")
    (tmp_path / "evidence").write_text(f"{CANARY} evidence")
    for number, key in enumerate(KEYS):
        (tmp_path / f"key-{number}").write_text(key.hex())
    for one in (KEEPER, *ATTESTORS):
        write_identity(tmp_path, one)
    monkeypatch.chdir(tmp_path)
    return node


@pytest.fixture
def hetao(capsys, world):
    def run(*words, code=0):
        assert main([*map(str, words)]) == code, capsys.readouterr().err
        said = capsys.readouterr()
        # The commands send by themselves: the clock of the node goes on.
        world.now = int(world.block()["timestamp"], 16)
        return said.out if not code else said.err

    return run


BOOK = ("--book", ".", "--key", "sponsor.sign.pem")


def chained(hetao, node, name, *words, code=0, side="HK"):
    if name not in ("status", "receipt"):
        words = (*words, "--side", side)
    return hetao("settle", "escrow", name, *words, "--url", node.node.url, code=code)


def attested(hetao, *milestones):
    for milestone in milestones:
        for number, one in enumerate(ATTESTORS[:2], 1):
            hetao("settle", "attest", "contract.toml", milestone, "--evidence",
                  "evidence", "--key", f"{one.name}.sign.pem", "--out",
                  f"said-{milestone}-{number}")  # fmt: skip


def ordered(hetao, *milestones):
    """Order the milestones by escrow; return the files of the orders."""
    for place, milestone in enumerate(milestones):
        hetao("settle", "order", "contract.toml", milestone, "--rail", "escrow",
              "--out", f"order-{place}", *BOOK)  # fmt: skip
    return [f"order-{place}" for place in range(len(milestones))]


def put(hetao, node, orders):
    """Put the escrow on the chain, funded by the payer's one signature."""
    said = chained(hetao, node, "deploy", *orders, "--key", "key-1")
    at = ("--escrow", said.strip())
    chained(hetao, node, "fund", *orders, *at, "--permit", "key-0", "--key", "key-1")
    return at


def signed(hetao, node, at, milestone, order):
    for number, signer in zip((1, 2), SIGNERS, strict=False):
        chained(hetao, node, "sign", "contract.toml", milestone, order, "--attestation",
                f"said-{milestone}-{number}", "--key", f"key-{signer}", *at,
                "--out", f"word-{order}-{number}")  # fmt: skip
    return [f"word-{order}-1", f"word-{order}-2"]


def test_an_order_is_funded_by_one_signature_released_and_booked(hetao, world):
    orders = ordered(hetao, FIRST, SECOND)
    at = put(hetao, world, orders)
    attested(hetao, FIRST)
    hetao("settle", "accept", "contract.toml", FIRST, f"said-{FIRST}-1",
          f"said-{FIRST}-2", *BOOK)  # fmt: skip
    words = signed(hetao, world, at, FIRST, orders[0])
    chained(hetao, world, "release", orders[0], *words, *at, "--key", "key-3")
    said = chained(hetao, world, "status", *orders, *at)
    early = chained(hetao, world, "receipt", orders[0], *at, *BOOK, code=3)
    world.settle()
    chained(hetao, world, "receipt", orders[0], *at, *BOOK)

    assert "released 12345600000" in said
    assert "held 7000000" in said
    assert "final block" in early
    table = hetao("settle", "balance", "--csv", *BOOK)
    assert "bank,HKD,-12345.60" in table
    assert "under way:escrow,HKD,-7.00" in table
    hetao("settle", "check", *BOOK)
    # What is held cannot be paid by a bank as well.
    hetao("settle", "accept", "contract.toml", FIRST, f"said-{FIRST}-1",
          f"said-{FIRST}-2", *BOOK, code=3)  # fmt: skip
    hetao("settle", "order", "contract.toml", SECOND, "--rail", "bank", "--out", "x",
          *BOOK, code=3)  # fmt: skip
    number = json.loads(Path(orders[1]).read_text())["orders"][0]["id"]
    number = escrow.number_of(escrow.Order(number, "", ""))
    err = hetao("settle", "receipt", number, "rejected", "--reference", "x", *BOOK,
                code=2)  # fmt: skip
    assert "escrow receipt" in err

    world.wait(6_000)
    world.settle()
    chained(hetao, world, "refund", orders[1], *at, "--key", "key-7")
    world.settle()
    chained(hetao, world, "receipt", orders[1], *at, *BOOK)
    attested(hetao, SECOND)
    hetao("settle", "accept", "contract.toml", SECOND, f"said-{SECOND}-1",
          f"said-{SECOND}-2", *BOOK)  # fmt: skip
    hetao("settle", "order", "contract.toml", SECOND, "--rail", "bank", "--out",
          "order.xml", *BOOK)  # fmt: skip
    assert number in Path("order.xml").read_text()  # one number on every rail
    hetao("settle", "check", *BOOK)


def test_nothing_but_numbers_amounts_and_addresses_reaches_the_chain(hetao, world):
    first = int(world.block()["number"], 16)
    orders = ordered(hetao, FIRST, SECOND)
    at = put(hetao, world, orders)
    attested(hetao, FIRST)
    words = signed(hetao, world, at, FIRST, orders[0])
    chained(hetao, world, "release", orders[0], *words, *at, "--key", "key-3")

    contract = read_contract(Path("contract.toml"))
    last = int(world.block()["number"], 16)
    sent = []
    for number in range(first + 1, last + 1):
        block = world.node.ask("eth_getBlockByNumber", hex(number), True)
        sent += [bytes.fromhex(one["input"][2:]) for one in block["transactions"]]
    terms = escrow.read_terms([Path(one) for one in orders])
    # Exactly what the terms make, and nothing more.
    assert len(sent) == 3
    assert sent[0] == escrow.deployment(terms)
    known = {int(one.id, 16) for one in terms.orders} | {terms.total, terms.seconds}
    signatures = [escrow.read_word(Path(one)).signature for one in words]
    known |= {int(one[2 + n : 66 + n], 16) for one in signatures for n in (0, 64)}
    for call in sent[1:]:
        told = {
            int.from_bytes(call[n : n + 32], "big") for n in range(4, len(call), 32)
        }
        big = {one for one in told - known if one > 1_000}
        # Of the permit: r and s, signed by the payer's key over the terms alone.
        assert len(big) == (2 if call is sent[1] else 0)
    everything = b"".join(sent)
    secrets = [CANARY, "HSBC", "curated", "HKD", "queen", "瑪麗"]
    digests = [contract.digest, contract.study, escrow.TYPE]
    for text in (*secrets, *digests):
        assert text.encode() not in everything
    for digest in digests[:2]:
        assert bytes.fromhex(digest.partition(":")[2]) not in everything


def test_a_wallet_gets_the_same_calls_as_files(hetao, world):
    (order,) = ordered(hetao, FIRST)
    chained(hetao, world, "deploy", order, "--out", "deploy.json")
    made = json.loads(Path("deploy.json").read_text())
    done = world.send(STRANGER, made.get("to", ""), bytes.fromhex(made["data"][2:]))
    at = ("--escrow", done.address)
    chained(hetao, world, "fund", order, *at, "--permit", "key-0", "--out", "fund.json")
    made = json.loads(Path("fund.json").read_text())

    assert world.send(STRANGER, made["to"], bytes.fromhex(made["data"][2:])).ok
    assert " held " in chained(hetao, world, "status", order, *at)
    assert (made["chainId"], made["value"]) == (CHAIN, 0)


def test_an_attestor_signs_only_what_the_contract_says_and_the_chain_holds(
    hetao, world
):
    (order,) = ordered(hetao, FIRST)
    attested(hetao, FIRST, SECOND)
    said = chained(hetao, world, "deploy", order, "--key", "key-1")
    at = ("--escrow", said.strip())

    def sign(milestone=FIRST, key=4, attestation=f"said-{FIRST}-1", at=at):
        return chained(hetao, world, "sign", "contract.toml", milestone, order,
                       "--attestation", attestation, "--key", f"key-{key}", *at,
                       "--out", "word")  # fmt: skip

    def refused(**changed):
        with pytest.raises(AssertionError, match="HT-"):
            sign(**changed)

    refused()  # not funded
    chained(hetao, world, "fund", order, *at, "--permit", "key-0", "--key", "key-1")
    refused(milestone=SECOND, attestation=f"said-{SECOND}-1")  # another amount
    refused(attestation=f"said-{SECOND}-1")
    refused(key=5)  # another attestor's
    refused(key=STRANGER)
    refused(at=("--escrow", ADDRESSES[9]))
    sign()
    err = chained(hetao, world, "release", order, "word", "word", *at, "--key", "key-1",
                  code=3)  # fmt: skip
    assert "1 of the 2" in err


@pytest.fixture
def contract():
    until = "2027-06-30T00:00:00Z"
    table = tomllib.loads(contract_text("0x" + "ab" * 20, until))
    return contract_from(table, "contract.toml")


def test_an_escrow_is_for_parties_of_the_hong_kong_side_alone(contract):
    RAILS["escrow"].check(contract, FIRST)
    for other, milestone, why in (
        (contract, "abroad", "Hong Kong side alone"),
        (replace(contract, payer=replace(contract.payer, side="SZ")), FIRST, "Hong"),
        (replace(contract, quorum=2, attestors=tuple(
            replace(one, side="", address="") for one in contract.attestors)),
         FIRST, "need an address there"),
        (replace(contract, payees=(replace(contract.payees[0], address=""),
                                   contract.payees[1])), FIRST, "no address on"),
    ):  # fmt: skip
        with pytest.raises(RailForbidden, match=why):
            RAILS["escrow"].check(other, milestone)


def test_an_escrow_is_off_where_the_contract_has_none(contract):
    bare = replace(
        contract,
        escrow=None,
        payees=tuple(replace(one, address="") for one in contract.payees),
        attestors=tuple(
            replace(one, side="", address="") for one in contract.attestors
        ),
    )

    with pytest.raises(RailForbidden, match=r"no \[escrow\]"):
        RAILS["escrow"].check(bare, FIRST)
    assert (
        b"escrow" not in bare.canonical
    )  # the bytes that it had before there were any
    assert b"address" not in bare.canonical


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ADDRESSES[4], ADDRESSES[5]),
        (ADDRESSES[4], ADDRESSES[PAYEE]),
        (ADDRESSES[PAYER], ADDRESSES[PAYEE]),
        (ADDRESSES[PAYEE], "0x12"),
        (f'side = "HK"\naddress = "{ADDRESSES[4]}',
         f'side = "SZ"\naddress = "{ADDRESSES[4]}'),
        ("decimals = 6", "decimals = 1"),
        ("chain = 31337", "chain = 0"),
        ("[escrow]", "[other]"),
    ],
    ids=["one-address-twice", "attestor-is-payee", "payer-is-payee", "no-address",
         "a-mainland-signer", "decimals", "chain", "no-escrow"],
)  # fmt: skip
def test_terms_of_an_escrow_that_could_pay_wrongly_are_refused(tmp_path, old, new):
    text = contract_text("0x" + "ab" * 20, "2027-06-30T00:00:00Z")
    assert old in text
    path = tmp_path / "contract.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")

    with pytest.raises(InvalidContract):
        read_contract(path)


def test_a_mistyped_address_is_found_by_its_checksum(contract):
    good = to_checksum_address(ADDRESSES[PAYEE])
    swapped = good[:2] + good[2:].swapcase()
    for address, refused in ((good, False), (swapped, True)):
        payees = (replace(contract.payees[0], address=address), contract.payees[1])
        other = replace(contract, payees=payees)
        order = type("Order", (), {"id": "A" * 32, "milestone": FIRST})()
        if refused:
            with pytest.raises(InvalidContract, match="mistyped"):
                escrow.terms_of(other, [order])
        else:
            assert escrow.terms_of(other, [order]).orders[0].payee == good.lower()


def test_an_order_ahead_is_paid_only_after_it_was_accepted(tmp_path, contract):
    now = datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)
    with Book(tmp_path, KEEPER) as book:
        with pytest.raises(NotAccepted):
            book.instruct(contract, FIRST, "escrow", now, ahead=True)  # not in the book
        book.add_contract(contract)
        with pytest.raises(NotAccepted):
            book.instruct(contract, FIRST, "bank", now)
        order = book.instruct(contract, FIRST, "escrow", now, ahead=True)
        for rail, ahead in (("bank", False), ("escrow", True)):
            with pytest.raises((AlreadySettled, NotAccepted)):
                book.instruct(contract, FIRST, rail, now, ahead=ahead)
        with pytest.raises(NotAccepted, match="was not accepted"):
            book.receive(order.id, "paid", "x", now)
        said = [attest(contract, one, FIRST, "sha256:" + "ab" * 32, now)
                for one in ATTESTORS[:2]]  # fmt: skip
        book.accept(contract, accepted(contract, FIRST, said), now)
        with pytest.raises(AlreadySettled):
            book.instruct(contract, FIRST, "bank", now)
        book.receive(order.id, "paid", "x", now)
        assert book.balances()["owed:queen-mary", "HKD"] == 0
        book.check()


def test_a_mainland_party_sends_signs_and_writes_nothing(hetao, world):
    (order,) = ordered(hetao, FIRST)
    at = put(hetao, world, [order])
    attested(hetao, FIRST)
    before = world.block()["number"]

    for name, words in (
        ("deploy", (order, "--out", "tx")),
        ("fund", (order, *at, "--key", "key-1")),
        ("sign", ("contract.toml", FIRST, order, "--attestation", f"said-{FIRST}-1",
                  "--key", "key-4", *at, "--out", "tx")),
        ("refund", (order, *at, "--out", "tx")),
    ):  # fmt: skip
        err = chained(hetao, world, name, *words, code=3, side="SZ")
        assert "Hong Kong side alone" in err
    for side in ("SZ", ""):
        with pytest.raises(AnchorForbidden):
            Node(world.node.url, KEYS[0], side).send(ADDRESSES[1], b"", 30_000)
    assert not Path("tx").exists()
    assert world.block()["number"] == before


def test_a_file_that_is_no_order_or_word_is_refused(tmp_path):
    path = tmp_path / "x"
    for data in (b"", b"{}", b"[]", b'{"type":"hetao.escrow/1"}', b"\xff" * 9,
                 b'{"type":"hetao.escrow-word/1"}', b"[" * 9_000):  # fmt: skip
        path.write_bytes(data)
        for read in (lambda: escrow.read_terms([path]), lambda: escrow.read_word(path)):
            with pytest.raises(InvalidContract):
                read()


def test_a_node_of_another_chain_or_a_lying_contract_is_refused(hetao, world):
    (order,) = ordered(hetao, FIRST)
    terms = escrow.read_terms([Path(order)])

    with pytest.raises(Unverified, match="no escrow of these terms"):
        escrow.check_escrow(world.node, terms, ADDRESSES[9])
    with pytest.raises(Unverified, match="not of the chain"):
        escrow.check_escrow(world.node, replace(terms, chain=1), ADDRESSES[9])
