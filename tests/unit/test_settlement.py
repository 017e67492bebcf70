"""A milestone is paid once, in the amount of the contract, and only when attested."""

import datetime
import threading
from dataclasses import replace
from importlib import resources

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from hetao.cli import main
from hetao.errors import (
    AlreadySettled,
    BadSignature,
    HetaoError,
    InvalidContract,
    NotAccepted,
    RailForbidden,
    Unverified,
)
from hetao.ledger.durable import create_store
from hetao.ledger.log import Log
from hetao.permit import Identity, Statement, new_identity, write_identity
from hetao.settlement import Book, accepted, attest, read_contract
from hetao.settlement.book import _FORMER, FILE
from hetao.settlement.pain001 import NAMESPACE
from hetao.settlement.rails import RAILS, rail_of

NOW = datetime.datetime(2026, 11, 29, 8, tzinfo=datetime.UTC)
EVIDENCE = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
ATTESTORS = tuple(new_identity(f"attestor-{n}") for n in (1, 2, 3))
KEEPER = new_identity("sponsor")
TEXT = """\
name = "stroke-2026"
study = "sha256:{study}"
currency = "{currency}"
quorum = 2

[payer]
name = "sponsor"
side = "HK"
owner = "Example Sponsor Limited"
number = "GB82 WEST 1234 5698 7654 32"
bank = "HSBCHKHHHKH"

[[payees]]
name = "queen-mary"
side = "HK"
owner = "Example Hospital 瑪麗"
number = "012-345-678901-001"
bank = "BKCHHKHH"

[[payees]]
name = "shenzhen-first"
side = "SZ"
owner = "深圳示例医院"
number = "6222020000001234567"
bank = "ICBKCNBJSZN"

{attestors}
[[milestones]]
name = "curated"
payee = "queen-mary"
says = "The extract is curated and its root is in the log."
amount = 12345605
units = 40

[[milestones]]
name = "served"
payee = "shenzhen-first"
says = "All rounds of the study were served."
amount = 700
units = 3

[[milestones]]
name = "thanked"
payee = "shenzhen-first"
says = "Units alone."
amount = 0
units = 1
"""


def contract_text(currency="HKD"):
    blocks = [
        f'[[attestors]]\nname = "{one.name}"\norganisation = "Audit {one.name}"\n'
        f'sign = "{one.sign_public}"\n'
        for one in ATTESTORS
    ]
    return TEXT.format(study="0" * 64, currency=currency, attestors="\n".join(blocks))


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    path = tmp_path_factory.mktemp("contract") / "contract.toml"
    path.write_text(contract_text(), encoding="utf-8")
    return read_contract(path)


@pytest.fixture
def book(tmp_path, contract):
    with Book(tmp_path, KEEPER) as opened:
        opened.add_contract(contract)
        yield opened


def agreed(contract, milestone, by=ATTESTORS[:2], evidence=EVIDENCE):
    said = [attest(contract, one, milestone, evidence, NOW) for one in by]
    return accepted(contract, milestone, said)


def totals(book):
    found = {}
    for (_, unit), amount in book.balances().items():
        found[unit] = found.get(unit, 0) + amount
    return found


# --- attestations -------------------------------------------------------------------
def test_too_few_attestors_accept_nothing_however_often_they_sign(contract):
    one = attest(contract, ATTESTORS[0], "curated", EVIDENCE, NOW)
    later = attest(
        contract, ATTESTORS[0], "curated", EVIDENCE, NOW + datetime.timedelta(hours=1)
    )

    with pytest.raises(NotAccepted, match="1 of the 2 organisations"):
        accepted(contract, "curated", [one, one, later])


def test_attestors_who_looked_at_different_evidence_accept_nothing(contract):
    said = [
        attest(contract, ATTESTORS[0], "curated", EVIDENCE, NOW),
        attest(contract, ATTESTORS[1], "curated", OTHER, NOW),
    ]

    with pytest.raises(NotAccepted, match="different evidence"):
        accepted(contract, "curated", said)


def test_a_stranger_and_a_forged_or_borrowed_word_accept_nothing(contract):
    good = attest(contract, ATTESTORS[0], "curated", EVIDENCE, NOW)
    stranger = Identity(ATTESTORS[1].name, new_identity("x").signing_key)
    other = attest(contract, ATTESTORS[1], "served", EVIDENCE, NOW)
    forged = Statement({**other.body, "milestone": "curated"}, other.signature)

    with pytest.raises(NotAccepted, match="no attestor"):
        attest(contract, stranger, "curated", EVIDENCE, NOW)
    with pytest.raises(BadSignature):
        accepted(contract, "curated", [good, forged])
    with pytest.raises(NotAccepted, match="another milestone"):
        accepted(contract, "curated", [good, other])


def test_a_word_about_other_terms_accepts_nothing(contract):
    dearer = replace(
        contract,
        milestones=tuple(replace(m, amount=m.amount + 1) for m in contract.milestones),
    )
    said = [attest(dearer, one, "curated", EVIDENCE, NOW) for one in ATTESTORS]

    with pytest.raises(NotAccepted, match="another milestone or contract"):
        accepted(contract, "curated", said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("quorum = 2", "quorum = 1", "quorum"),
        ("quorum = 2", "quorum = 4", "quorum"),
        ('currency = "HKD"', 'currency = "ABC"', "currency"),
        ('name = "served"', 'name = "curated"', "twice"),
        ('payee = "queen-mary"', 'payee = "nobody"', "no payee"),
        ("amount = 700", "amount = -700", "amount"),
        ("amount = 700", "amount = 7.5", "amount"),
        ("amount = 0\nunits = 1", "amount = 0\nunits = 0", "earns nothing"),
        ('bank = "BKCHHKHH"', 'bank = "bank"', "BIC"),
        ("Audit attestor-1", "深圳示例医院", "belongs to a payee"),
        ("Audit attestor-1", "Ｅxample  Hospital瑪麗", "belongs to a payee"),
        ('name = "stroke-2026"', 'name = "a b"', "plain name"),
        ("units = 3", "units = 3\nbonus = 1", "unknown field"),
    ],
)
def test_terms_that_could_pay_wrongly_are_refused(tmp_path, old, new, said):
    text = contract_text()
    assert old in text
    path = tmp_path / "contract.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(InvalidContract, match=said):
        read_contract(path)


def test_attestors_of_one_organisation_count_once(tmp_path, contract):
    text = contract_text().replace("Audit attestor-2", "AUDIT  attestor-1")
    path = tmp_path / "contract.toml"
    path.write_text(text, encoding="utf-8")
    related = read_contract(path)
    both, other = ATTESTORS[:2], ATTESTORS[1:]

    with pytest.raises(NotAccepted, match="1 of the 2 organisations"):
        agreed(related, "curated", both)
    assert agreed(related, "curated", other).milestone == "curated"
    path.write_text(text.replace("Audit attestor-3", "audit attestor-1"))
    with pytest.raises(InvalidContract, match="organisations"):
        read_contract(path)


def test_one_key_under_two_names_is_refused(tmp_path):
    text = contract_text().replace(ATTESTORS[1].sign_public, ATTESTORS[0].sign_public)
    path = tmp_path / "contract.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidContract, match="key of an attestor"):
        read_contract(path)


# --- the book -----------------------------------------------------------------------
def test_an_accepted_milestone_is_owed_ordered_and_paid(book, contract):
    book.accept(contract, agreed(contract, "curated"), NOW)
    order = book.instruct(contract, "curated", "bank", NOW)
    book.receive(order.id, "paid", "HSBC-77", NOW)

    assert book.balances() == {
        ("bank", "HKD"): -12345605,
        ("cost", "HKD"): 12345605,
        ("earned:queen-mary", "units"): 40,
        ("issued", "units"): -40,
        ("owed:queen-mary", "HKD"): 0,
        ("under way:bank", "HKD"): 0,
    }
    book.check()


def test_nothing_is_paid_that_nobody_attested(book, contract):
    with pytest.raises(NotAccepted):
        book.instruct(contract, "curated", "bank", NOW)
    with pytest.raises(NotAccepted):
        book.receive("A" * 32, "paid", "x", NOW)

    assert book.balances() == {}


def test_a_milestone_pays_once_on_all_rails_together(book, contract):
    book.accept(contract, agreed(contract, "served"), NOW)
    first = book.instruct(contract, "served", "bank", NOW)

    for rail in RAILS:
        with pytest.raises(AlreadySettled):
            book.instruct(contract, "served", rail, NOW)
    book.receive(first.id, "rejected", "closed account", NOW)
    second = book.instruct(contract, "served", "ecny", NOW)
    book.receive(second.id, "paid", "ok", NOW)
    for rail in RAILS:
        with pytest.raises(AlreadySettled):
            book.instruct(contract, "served", rail, NOW)
    with pytest.raises(AlreadySettled):
        book.receive(second.id, "paid", "ok", NOW)
    with pytest.raises(AlreadySettled):
        book.accept(contract, agreed(contract, "served", ATTESTORS[1:], OTHER), NOW)

    assert (first.id, first.attempt) == (second.id, second.attempt - 1)
    assert book.balances()["bank", "HKD"] == -700
    book.check()


def test_of_many_who_order_at_once_one_does(tmp_path, contract):
    with Book(tmp_path, KEEPER) as book:
        book.add_contract(contract)
        book.accept(contract, agreed(contract, "curated"), NOW)
    done, refused = [], []

    def order():
        with Book(tmp_path, KEEPER) as own:
            try:
                done.append(own.instruct(contract, "curated", "bank", NOW).id)
            except AlreadySettled as error:
                refused.append(error)

    threads = [threading.Thread(target=order) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(done), len(refused)) == (1, 7)
    with Book(tmp_path, KEEPER) as book:
        book.check()


STEPS = st.tuples(
    st.sampled_from(["accept", "instruct", "paid", "rejected", "reopen"]),
    st.sampled_from(["curated", "served", "thanked"]),
    st.sampled_from(sorted(RAILS)),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14))
def test_whatever_is_tried_in_whatever_order_money_is_conserved(
    tmp_path_factory, contract, steps
):
    folder = tmp_path_factory.mktemp("book")
    model = dict.fromkeys(("curated", "served", "thanked"), "new")
    amounts = {m.name: m.amount for m in contract.milestones}
    allowed = {
        ("accept", "new"): "accepted",
        ("instruct", "accepted"): "under way",
        ("instruct", "rejected"): "under way",
        ("paid", "under way"): "paid",
        ("rejected", "under way"): "rejected",
    }
    numbers = dict.fromkeys(model, "B" * 32)
    book = Book(folder, KEEPER)
    book.add_contract(contract)
    for what, name, rail in steps:
        if what == "reopen":
            book.close()
            book = Book(folder, KEEPER)
            continue
        then = allowed.get((what, model[name]))
        if what == "instruct" and not amounts[name]:
            then = None
        try:
            if what == "accept":
                book.accept(contract, agreed(contract, name), NOW)
            elif what == "instruct":
                numbers[name] = book.instruct(contract, name, rail, NOW).id
            else:
                book.receive(numbers[name], what, "ref", NOW)
        except HetaoError:
            assert then is None
        else:
            assert then is not None
            model[name] = then
        assert not any(totals(book).values())
    paid = sum(amounts[name] for name, state in model.items() if state == "paid")
    assert book.balances().get(("bank", "HKD"), 0) == -paid
    book.check()
    book.close()


# --- the log ------------------------------------------------------------------------
def test_the_log_tells_of_a_milestone_without_names_or_prices(book, contract):
    book.accept(contract, agreed(contract, "curated"), NOW)
    book.receive(
        book.instruct(contract, "curated", "bank", NOW).id, "paid", "HSBC-77", NOW
    )

    entries = book.log.entries(0, book.log.size)

    assert len(entries) == 3
    assert EVIDENCE.encode() in entries[0]
    for secret in (
        "12345605",
        "123456.05",
        "stroke",
        "curated",
        "queen-mary",
        "Example",
        "HSBC",
        "012-345",
        contract.digest,
        "HKD",
    ):
        assert not [entry for entry in entries if secret.encode() in entry], secret


def test_what_a_crash_kept_from_the_log_is_told_at_the_next_opening(
    tmp_path, contract, monkeypatch
):
    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    with Book(tmp_path, KEEPER) as book:
        book.add_contract(contract)
        monkeypatch.setattr(Log, "append", killed)
        with pytest.raises(KilledError):
            book.accept(contract, agreed(contract, "curated"), NOW)
        monkeypatch.undo()

    with Book(tmp_path, KEEPER) as book:
        assert book.log.size == 1
        book.check()


def test_a_book_older_than_its_log_pays_nothing(tmp_path, contract):
    with Book(tmp_path, KEEPER) as book:
        book.add_contract(contract)
    kept = (tmp_path / "settlement.sqlite").read_bytes()
    with Book(tmp_path, KEEPER) as book:
        book.accept(contract, agreed(contract, "curated"), NOW)
    (tmp_path / "settlement.sqlite-wal").unlink(missing_ok=True)
    (tmp_path / "settlement.sqlite").write_bytes(kept)

    with pytest.raises(Unverified, match="older copy"):
        Book(tmp_path, KEEPER)


def test_a_book_from_before_an_order_orders_nothing_again(tmp_path, contract):
    with Book(tmp_path, KEEPER) as book:
        book.add_contract(contract)
        book.accept(contract, agreed(contract, "curated"), NOW)
    kept = (tmp_path / "settlement.sqlite").read_bytes()
    with Book(tmp_path, KEEPER) as book:
        book.instruct(contract, "curated", "bank", NOW)
    (tmp_path / "settlement.sqlite-wal").unlink(missing_ok=True)
    (tmp_path / "settlement.sqlite").write_bytes(kept)

    with pytest.raises(Unverified, match="older copy"):
        Book(tmp_path, KEEPER)


def test_an_order_has_one_escrow_and_each_attempt_another(book, contract):
    book.add_contract(contract)
    number = book.instruct(contract, "curated", "escrow", NOW, ahead=True).id
    for _ in range(2):
        book.escrow(number, "0x1", NOW)
    with pytest.raises(NotAccepted, match="another escrow"):
        book.escrow(number, "0x2", NOW)
    with pytest.raises(NotAccepted):
        book.escrow("A" * 32, "0x1", NOW)
    book.receive(number, "rejected", "x", NOW)
    with pytest.raises(AlreadySettled):
        book.escrow(number, "0x1", NOW)
    book.instruct(contract, "curated", "escrow", NOW, ahead=True)
    with pytest.raises(NotAccepted, match="another escrow"):
        book.escrow(number, "0x1", NOW)  # of the attempt before
    book.escrow(number, "0x2", NOW)
    book.check()


def test_a_book_of_the_version_before_gets_the_table_it_lacks(tmp_path, contract):
    values = (KEEPER.sign_public, bytes(32))
    create_store(tmp_path / FILE, _FORMER, "INSERT INTO book VALUES(?, ?)", values)
    with Book(tmp_path, KEEPER) as book:
        book.add_contract(contract)
        number = book.instruct(contract, "curated", "escrow", NOW, ahead=True).id
        book.escrow(number, "0x1", NOW)
        book.check()


def test_a_second_book_by_mistake_gives_a_milestone_the_same_number(tmp_path, contract):
    """So that a bank drops its order: to it that is a copy of the first book's."""
    told = []
    for name in ("books", "book"):
        (tmp_path / name).mkdir()
        with Book(tmp_path / name, KEEPER) as book:
            book.add_contract(contract)
            book.accept(contract, agreed(contract, "curated"), NOW)
            order = book.instruct(contract, "curated", "bank", NOW)
        told.append((order, RAILS["bank"].write(contract, [order], NOW)))

    assert told[0] == told[1]


def test_a_book_opens_with_its_own_key_alone(tmp_path, book):
    with pytest.raises(InvalidContract, match="another key"):
        Book(tmp_path, new_identity("sponsor"))


# --- rails --------------------------------------------------------------------------
@pytest.fixture(scope="module")
def schema():
    """The published XML Schema of pain.001.001.09."""
    text = resources.files("sepaxml").joinpath("schemas/pain.001.001.09.xsd")
    return etree.XMLSchema(etree.fromstring(text.read_bytes()))


def test_an_order_is_the_xml_that_banks_take(book, contract, schema):
    orders = []
    for name in ("curated", "served"):
        book.accept(contract, agreed(contract, name), NOW)
        orders.append(book.instruct(contract, name, "bank", NOW))

    tree = etree.fromstring(RAILS["bank"].write(contract, orders, NOW))

    schema.assertValid(tree)
    space = {"p": NAMESPACE}
    assert tree.xpath("//p:InstdAmt/text()", namespaces=space) == ["123456.05", "7.00"]
    assert tree.xpath("//p:CtrlSum/text()", namespaces=space) == ["123463.05"] * 2
    ids = tree.xpath("//p:EndToEndId/text()", namespaces=space)
    assert ids == [one.id for one in orders]
    assert tree.xpath("//p:Cdtr/p:Nm/text()", namespaces=space)[1] == "深圳示例医院"


def test_a_currency_without_cents_is_written_without_them(tmp_path, schema):
    path = tmp_path / "contract.toml"
    path.write_text(contract_text("JPY"), encoding="utf-8")
    contract = read_contract(path)
    with Book(tmp_path, KEEPER) as book:
        book.add_contract(contract)
        book.accept(contract, agreed(contract, "served"), NOW)
        order = book.instruct(contract, "served", "bank", NOW)

    tree = etree.fromstring(RAILS["bank"].write(contract, [order], NOW))

    schema.assertValid(tree)
    assert tree.findtext(f".//{{{NAMESPACE}}}InstdAmt") == "700"


def test_a_wallet_is_paid_within_the_mainland_alone(contract, schema):
    wallet = replace(contract.payees[1], kind="ecny", bank="", number="0001234567")
    inland = replace(
        contract,
        currency="CNY",
        payer=replace(contract.payer, side="SZ"),
        payees=(contract.payees[0], wallet),
    )

    RAILS["ecny"].check(inland, "served")
    for other in (
        replace(inland, currency="HKD"),
        replace(inland, payer=contract.payer),
    ):
        with pytest.raises(RailForbidden):
            RAILS["ecny"].check(other, "served")
    with pytest.raises(RailForbidden):
        RAILS["ecny"].check(inland, "curated")
    with pytest.raises(RailForbidden):
        RAILS["bank"].check(inland, "served")
    with pytest.raises(RailForbidden):
        rail_of("token")


# --- the commands -------------------------------------------------------------------
def test_a_milestone_is_settled_by_commands(tmp_path, capsys, schema):
    path = tmp_path / "contract.toml"
    path.write_text(contract_text(), encoding="utf-8")
    keys = [write_identity(tmp_path, one) for one in (KEEPER, *ATTESTORS[:2])]
    proof = tmp_path / "certificate.json"
    proof.write_bytes(b"{}")
    said = [tmp_path / f"said-{n}.json" for n in (1, 2)]
    folder = ["--book", str(tmp_path), "--key", str(keys[0])]

    def hetao(*words):
        assert main(["settle", *map(str, words)]) == 0
        return capsys.readouterr().out

    for key, out in zip(keys[1:], said, strict=True):
        hetao("attest", path, "served", "--evidence", proof, "--key", key, "--out", out)
    hetao("accept", path, "served", *said, *folder)
    hetao(
        "order", path, "served", "--rail", "bank", "--out", tmp_path / "o.xml", *folder
    )
    tree = etree.parse(tmp_path / "o.xml")
    number = tree.findtext(f".//{{{NAMESPACE}}}EndToEndId")
    hetao("order", path, "served", "--again", "--out", tmp_path / "again.xml", *folder)
    hetao("receipt", number, "paid", "--reference", "HSBC-78", *folder)
    table = hetao("balance", "--csv", *folder)
    checked = hetao("check", *folder)

    schema.assertValid(tree)
    again = etree.parse(tmp_path / "again.xml")
    for tag in ("MsgId", "InstrId", "EndToEndId"):
        place = f".//{{{NAMESPACE}}}{tag}"
        assert again.findtext(place) == tree.findtext(place)
    assert "bank,HKD,-7.00" in table
    assert "earned:shenzhen-first,units,3" in table
    assert "holds" in checked
    assert (
        main(
            [
                "settle",
                "order",
                str(path),
                "served",
                "--rail",
                "bank",
                "--out",
                str(tmp_path / "p.xml"),
                *folder,
            ]
        )
        == 3
    )
    assert "HT-341" in capsys.readouterr().err
    assert not (tmp_path / "p.xml").exists()


def test_a_sponsor_who_mistakes_book_key_or_number_is_told_what_to_name(
    tmp_path, capsys
):
    keys = [str(write_identity(tmp_path, one)) for one in (KEEPER, ATTESTORS[0])]
    books = tmp_path / "books"

    def refused(*words, key=keys[0]):
        book = ["--book", str(books), "--key", key]
        assert main(["settle", *words, *book]) in (2, 3, 4)
        return capsys.readouterr().err

    assert f"--book {books}: there is no such folder" in refused("check")
    assert not books.exists()
    books.mkdir()
    assert main(["settle", "check", "--book", str(books), "--key", keys[0]]) == 0
    assert "the key that it was begun with" in refused("check", key=keys[1])
    paid = refused("receipt", "1", "paid", "--reference", "HSBC-78")
    assert "take it from what `hetao settle order` said" in paid
