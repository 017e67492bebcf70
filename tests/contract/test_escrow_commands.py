"""An order by escrow from contract to receipt, by commands, on a real node."""

import datetime
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import to_checksum_address

from hetao.anchor.node import Node
from hetao.canonical import digest_bytes
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
from hetao.settlement import (
    Book,
    accepted,
    attest,
    escrow,
    escrow_word,
    read_contract,
)
from hetao.settlement.contract import contract_from
from hetao.settlement.rails import RAILS
from support_escrow import CHAIN, token_code
from support_evm import ADDRESSES, KEYS, anvil
from support_evm import call as call_of

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
    monkeypatch.setattr(
        "hetao.cli.escrow.utc_now",
        lambda: datetime.datetime.fromtimestamp(node.now, datetime.UTC),
    )
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
    at = deployed(hetao, node, orders)
    node.settle()
    fund(hetao, node, orders, at)
    return at


def deployed(hetao, node, orders):
    said = chained(hetao, node, "deploy", *orders, "--key", "key-1")
    return ("--escrow", said.strip())


KEPT = ("--book", ".", "--keeper", "sponsor.sign.pem")


def fund(hetao, node, orders, at, by=("--permit", "key-0", "--key", "key-1"), code=0):
    return chained(hetao, node, "fund", *orders, *at, *KEPT, *by, code=code)


def signed(hetao, node, at, milestone, order):
    for number, signer in zip((1, 2), SIGNERS, strict=False):
        chained(hetao, node, "sign", "contract.toml", milestone, order, "--attestation",
                *said(milestone), "--key", f"key-{signer}", *at,
                "--out", f"word-{order}-{number}")  # fmt: skip
    return [f"word-{order}-1", f"word-{order}-2"]


def said(milestone):
    return [f"said-{milestone}-1", f"said-{milestone}-2"]


def released(hetao, node, at, order, words, code=0):
    return chained(hetao, node, "release", "contract.toml", FIRST, order, *words,
                   *at, "--key", "key-3", "--attestation", *said(FIRST),
                   code=code)  # fmt: skip


def test_an_order_is_funded_by_one_signature_released_and_booked(hetao, world):
    orders = ordered(hetao, FIRST, SECOND)
    at = put(hetao, world, orders)
    attested(hetao, FIRST)
    hetao("settle", "accept", "contract.toml", FIRST, f"said-{FIRST}-1",
          f"said-{FIRST}-2", *BOOK)  # fmt: skip
    words = signed(hetao, world, at, FIRST, orders[0])
    released(hetao, world, at, orders[0], words)
    shown = chained(hetao, world, "status", *orders, *at, "--evidence", "evidence")
    Path("other").write_text("other evidence")
    err = chained(hetao, world, "status", *orders, *at, "--evidence", "other", code=6)
    assert "was paid over other evidence" in err
    early = chained(hetao, world, "receipt", orders[0], *at, *BOOK, code=3)
    world.settle()
    chained(hetao, world, "receipt", orders[0], *at, *BOOK)

    assert "released 12345600000" in shown
    assert f"was paid over {digest_bytes(Path('evidence').read_bytes())}, by" in shown
    assert "held 7000000" in shown
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
    released(hetao, world, at, orders[0], words)

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
    evidence = digest_bytes(Path("evidence").read_bytes())
    veil = escrow_word.veiled(terms.orders[0], evidence)
    signatures = [escrow_word.read_word(Path(one)).signature for one in words]
    known |= {int(one[2 + n : 66 + n], 16) for one in signatures for n in (0, 64)}
    known.add(int(veil, 16))
    for call in sent[1:]:
        told = {
            int.from_bytes(call[n : n + 32], "big") for n in range(4, len(call), 32)
        }
        big = {one for one in told - known if one > 1_000}
        # Of the permit: r and s, signed by the payer's key over the terms alone.
        assert len(big) == (2 if call is sent[1] else 0)
    everything = b"".join(sent)
    secrets = [CANARY, "HSBC", "curated", "HKD", "queen", "瑪麗"]
    digests = [contract.digest, contract.study, evidence, escrow.TYPE]
    for text in (*secrets, *digests):
        assert text.encode() not in everything
    for digest in digests[:3]:
        assert bytes.fromhex(digest.partition(":")[2]) not in everything


def test_a_wallet_gets_the_same_calls_as_files(hetao, world):
    (order,) = ordered(hetao, FIRST)
    chained(hetao, world, "deploy", order, "--out", "deploy.json")
    made = json.loads(Path("deploy.json").read_text())
    assert world.send(STRANGER, made.get("to", ""), bytes.fromhex(made["data"][2:])).ok
    at = ("--escrow", world.block()["transactions"][0])
    err = fund(hetao, world, [order], at, ("--permit", "key-0", "--out", "x"), code=3)
    assert "not final yet" in err
    world.settle()
    fund(hetao, world, [order], at, ("--permit", "key-0", "--out", "fund.json"))
    made = json.loads(Path("fund.json").read_text())

    assert world.send(STRANGER, made["to"], bytes.fromhex(made["data"][2:])).ok
    assert " held " in chained(hetao, world, "status", order, *at)
    assert (made["chainId"], made["value"]) == (CHAIN, 0)


def test_an_attestor_signs_only_what_the_contract_says_and_the_chain_holds(
    hetao, world
):
    (order,) = ordered(hetao, FIRST)
    attested(hetao, FIRST, SECOND)
    at, attestations = deployed(hetao, world, [order]), said(FIRST)

    def sign(milestone=FIRST, key=4, attestations=attestations, at=at):
        return chained(hetao, world, "sign", "contract.toml", milestone, order,
                       "--attestation", *attestations, "--key", f"key-{key}", *at,
                       "--out", "word")  # fmt: skip

    def refused(**changed):
        with pytest.raises(AssertionError, match="HT-"):
            sign(**changed)

    refused()  # not funded
    world.settle()
    fund(hetao, world, [order], at)
    refused(milestone=SECOND, attestations=said(SECOND))  # another amount
    refused(attestations=said(SECOND))
    refused(attestations=said(FIRST)[:1])  # too few attested
    refused(key=6)  # an attestor's who did not attest
    refused(key=STRANGER)
    refused(at=("--escrow", ADDRESSES[9]))
    refused(at=("--escrow", "0x" + "12" * 32))
    sign()
    err = released(hetao, world, at, order, ["word", "word"], code=3)
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
        order = type("Order", (), {"id": "A" * 32, "milestone": FIRST, "veil": ""})()
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
        ("fund", (order, *at, *KEPT, "--key", "key-1")),
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
        for read in (
            lambda: escrow.read_terms([path]),
            lambda: escrow_word.read_word(path),
        ):
            with pytest.raises(InvalidContract):
                read()


def test_a_node_of_another_chain_or_a_lying_contract_is_refused(hetao, world):
    (order,) = ordered(hetao, FIRST)
    terms = escrow.read_terms([Path(order)])
    (_, at) = deployed(hetao, world, [order])
    there = escrow.find_escrow(world.node, terms, at)

    assert there.orders == terms.orders
    with pytest.raises(Unverified, match="no escrow of these terms"):
        escrow.find_escrow(world.node, terms, "0x" + "12" * 32)
    with pytest.raises(Unverified, match="no escrow of these terms"):
        escrow.find_escrow(world.node, replace(terms, until="2028-01-01T00:00:00Z"), at)
    with pytest.raises(Unverified, match="not of the chain"):
        escrow.find_escrow(world.node, replace(terms, chain=1), at)


def sent(world, data):
    assert world.send(STRANGER, "", data).ok
    return ("--escrow", world.block()["transactions"][0])


def test_a_contract_with_the_right_code_that_did_something_first_gets_no_permit(
    hetao, world
):
    (order,) = ordered(hetao, FIRST)
    terms = escrow.read_terms([Path(order)])
    code = escrow.runtime(terms)
    # token.approve(thief, all) in the escrow's own name, then the honest code.
    approve = call_of("approve(address,uint256)", ADDRESSES[STRANGER], 2**256 - 1)
    words = [approve[n : n + 32].ljust(32, b"\0") for n in range(0, len(approve), 32)]
    first = b"".join(
        b"\x7f" + one + b"\x60" + bytes([32 * n]) + b"\x52"
        for n, one in enumerate(words)
    )
    first += (
        b"\x60\x00\x60\x00\x60" + bytes([len(approve)]) + b"\x60\x00\x60\x00\x73"
        + bytes.fromhex(terms.token[2:]) + b"\x5a\xf1\x50"
    )  # fmt: skip
    size = len(code).to_bytes(2, "big")
    start = (len(first) + 15).to_bytes(2, "big")
    wicked = (
        first + b"\x61" + size + b"\x61" + start + b"\x60\x00\x39"
        + b"\x61" + size + b"\x60\x00\xf3" + code
    )  # fmt: skip
    done = world.send(STRANGER, "", wicked)
    at = ("--escrow", world.block()["transactions"][0])
    allowed = call_of("allowance(address,address)", done.address, ADDRESSES[STRANGER])

    assert world.code(done.address) == code
    assert int.from_bytes(world.ask(terms.token, allowed), "big") == 2**256 - 1
    assert "no escrow of these terms" in fund(hetao, world, [order], at, code=6)


def test_an_escrow_with_other_orders_gets_no_permit(hetao, world):
    one, other = ordered(hetao, FIRST, SECOND)
    terms = escrow.read_terms([Path(one)])
    richer = replace(terms.orders[0], payee=ADDRESSES[STRANGER])
    at = sent(world, escrow.deployment(replace(terms, orders=(richer,))))
    assert "no escrow of these terms" in fund(hetao, world, [one], at, code=6)

    # Right orders, and a byte more than the terms make.
    at = sent(world, escrow.deployment(terms) + b"\0")
    assert "no escrow of these terms" in fund(hetao, world, [one], at, code=6)

    at = deployed(hetao, world, [one, other])
    world.settle()
    assert "other orders too" in fund(hetao, world, [one], at, code=3)
    fund(hetao, world, [one, other], at)
    assert "funded before" in fund(hetao, world, [one, other], at, code=3)


def test_a_twin_of_an_escrow_that_paid_turns_nothing_back(hetao, world):
    orders = ordered(hetao, FIRST)
    at = put(hetao, world, orders)
    twin = deployed(hetao, world, orders)
    world.settle()
    assert "another escrow" in fund(hetao, world, orders, twin, code=3)
    attested(hetao, FIRST)
    hetao("settle", "accept", "contract.toml", FIRST, *said(FIRST), *BOOK)
    words = signed(hetao, world, at, FIRST, orders[0])
    released(hetao, world, at, orders[0], words)
    world.wait(6_000)
    world.settle()

    err = chained(hetao, world, "receipt", *orders, *twin, *BOOK, code=3)
    assert "another escrow" in err
    chained(hetao, world, "receipt", *orders, *at, *BOOK)
    assert "bank,HKD,-12345.60" in hetao("settle", "balance", "--csv", *BOOK)
    hetao("settle", "check", *BOOK)


def test_the_chain_pays_nothing_that_the_book_would_refuse(hetao, world):
    (order,) = ordered(hetao, FIRST)
    at = put(hetao, world, [order])
    attested(hetao, FIRST)
    words = signed(hetao, world, at, FIRST, order)
    # A third attestor's word counts once they attested too.
    terms = escrow.read_terms([Path(order)])
    there = escrow.find_escrow(world.node, terms, at[1])
    order_of, key = terms.orders[0], KEYS[SIGNERS[2]]
    over = escrow_word.read_word(Path(words[0])).evidence
    third = escrow_word.sign_word(terms, there.address, order_of, over, key)
    Path("third").write_bytes(third.data)
    err = released(hetao, world, at, order, [words[0], "third"], code=3)
    assert "1 of the 2" in err
    Path("other").write_text("other evidence")
    Path(f"said-{FIRST}-2").unlink()
    hetao("settle", "attest", "contract.toml", FIRST, "--evidence", "other", "--key",
          f"{ATTESTORS[1].name}.sign.pem", "--out", f"said-{FIRST}-2")  # fmt: skip

    err = released(hetao, world, at, order, words, code=3)
    assert "different evidence" in err
    err = chained(hetao, world, "sign", "contract.toml", FIRST, order, "--attestation",
                  *said(FIRST), "--key", "key-4", *at, "--out", "x",
                  code=3)  # fmt: skip
    assert "different evidence" in err


def test_words_over_other_evidence_pay_nothing_and_what_they_paid_is_told(hetao, world):
    """Two quorums that looked at different things are not one; nor is their money."""
    orders = ordered(hetao, FIRST)
    at = put(hetao, world, orders)
    attested(hetao, FIRST)
    hetao("settle", "accept", "contract.toml", FIRST, *said(FIRST), *BOOK)
    first = signed(hetao, world, at, FIRST, orders[0])
    Path("evidence").write_text("other evidence")
    for one in (*said(FIRST), first[1]):
        Path(one).unlink()
    attested(hetao, FIRST)
    chained(hetao, world, "sign", "contract.toml", FIRST, orders[0], "--attestation",
            *said(FIRST), "--key", "key-5", *at, "--out", first[1])  # fmt: skip

    # A word of each, past the command: neither evidence has two.
    terms = escrow.read_terms([Path(orders[0])])
    there = escrow.find_escrow(world.node, terms, at[1]).address
    words = [escrow_word.read_word(Path(one)) for one in first]
    assert len({one.evidence for one in words}) == 2
    for one in words:
        call = escrow_word.release_call(terms.orders[0], one.evidence, words)
        assert not world.send(STRANGER, there, call).ok
    released(hetao, world, at, orders[0], first, code=3)

    # Both attestors signed over what the book did not accept: told, not hidden.
    Path(first[0]).unlink()
    chained(hetao, world, "sign", "contract.toml", FIRST, orders[0], "--attestation",
            *said(FIRST), "--key", "key-4", *at, "--out", first[0])  # fmt: skip
    released(hetao, world, at, orders[0], first)
    world.settle()
    err = chained(hetao, world, "receipt", *orders, *at, *BOOK, code=6)
    assert "over other evidence" in err
    assert "bank,HKD,-12345.60" in hetao("settle", "balance", "--csv", *BOOK)


def test_a_token_that_counts_otherwise_than_the_contract_is_refused(hetao, world):
    path = Path("contract.toml")
    path.write_text(path.read_text().replace("decimals = 6", "decimals = 7"))
    (order,) = ordered(hetao, FIRST)
    at = deployed(hetao, world, [order])
    world.settle()

    err = fund(hetao, world, [order], at, code=6)
    assert "does not have the 7 decimals" in err
