"""What becomes of a certificate: others read it, and no patient stands in any of it."""

import base64
import csv
import hashlib
import io
import json
import re
import warnings
import zipfile

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hetao.canonical import parse_canonical
from hetao.cli import main
from hetao.dossier.crate import make_crate
from hetao.dossier.disclosure import make_disclosable
from hetao.dossier.page import render_page
from hetao.dossier.paper import _data as texts_of
from hetao.dossier.paper import make_paper
from hetao.dossier.receipt import encode, make_receipt
from hetao.dossier.sd_jwt import present
from hetao.dossier.sd_jwt import read as read_disclosable
from hetao.dossier.words import ON_PAPER, WORDS
from hetao.errors import Unverified
from hetao.ledger.certificate import published
from hetao.permit import new_identity, write_identity
from hetao.study import LANGUAGES
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

CANARY = "Qzx81737"


@pytest.fixture
def boss(model_run):
    return model_run.cast.identities["coordinator"]


@pytest.fixture
def key(boss):
    return boss.signing_key.public_key()


@pytest.fixture
def pem(key):
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


# --- the study package --------------------------------------------------------------
@pytest.fixture(scope="module")
def crate(model_run):
    return make_crate(model_run.certificate)


@pytest.fixture
def bag(crate, tmp_path):
    with zipfile.ZipFile(io.BytesIO(crate)) as archive:
        archive.extractall(tmp_path)
    (only,) = tmp_path.iterdir()
    return only


def test_the_same_certificate_makes_the_same_package(model_run, crate):
    assert make_crate(model_run.certificate) == crate
    assert make_crate(published(model_run.certificate)) == crate


def test_the_bag_is_whole(bag):
    """BagIt: every file of the payload, and no other, with its SHA-512."""
    named = {
        path: digest
        for digest, path in (
            line.split("  ")
            for name in ("manifest", "tagmanifest")
            for line in (bag / f"{name}-sha512.txt").read_text().splitlines()
        )
    }
    there = {str(p.relative_to(bag)) for p in bag.rglob("*") if p.is_file()}

    assert there - set(named) == {"tagmanifest-sha512.txt"}
    for path, digest in named.items():
        assert hashlib.sha512((bag / path).read_bytes()).hexdigest() == digest
    assert re.search(
        r"External-Identifier: urn:uuid:", (bag / "bag-info.txt").read_text()
    )


def test_another_reader_of_crates_reads_it(bag, model_run):
    from rocrate.rocrate import ROCrate

    read = ROCrate(bag / "data")

    assert read.name == model_run.body["study"]["title"]
    assert read.mainEntity.id == "study.json"
    assert read.root_dataset["conformsTo"].id == "https://w3id.org/5s-crate/0.4"
    kinds = {
        one["additionalType"] if isinstance(one["additionalType"], str)
        else one["additionalType"].id
        for one in read.get_by_type("AssessAction")
    }  # fmt: skip
    assert kinds == {
        f"https://w3id.org/shp#{k}" for k in ("SignOff", "DisclosureCheck")
    }
    run = read.get_by_type("CreateAction")[0]
    assert {one.id for one in run["result"]} == {"findings.json", "certificate.json"}


def test_every_name_in_the_package_leads_somewhere(bag):
    graph = json.loads((bag / "data" / "ro-crate-metadata.json").read_text())["@graph"]
    names = {one["@id"] for one in graph}
    pointed = set(re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(graph)))

    assert {p for p in pointed if not p.startswith("https://")} <= names
    assert "https://w3id.org/5s-crate/0.4" in names
    assert len(names) == len(graph)


def test_the_package_holds_the_certificate_and_its_proof(bag, model_run):
    log = model_run.value["log"]

    assert (bag / "data/certificate.json").read_bytes() == published(
        model_run.certificate
    )
    assert (bag / "data/credential.jwt").read_text() == log["credential"]
    assert (bag / "data/credential.tlog-proof").read_text() == log["proof"]


# --- the receipt --------------------------------------------------------------------
def test_another_reader_of_receipts_accepts_ours(model_run, boss, pem):
    from scitt_cose import verify_receipt

    entry = model_run.value["log"]["credential"].encode()
    receipt = make_receipt(model_run.certificate, boss)

    read = verify_receipt(receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=pem)

    assert read.ok, read.errors
    assert read.subject.startswith("urn:hetao:certificate:sha256:")
    for wrong in (entry + b"x", entry[:-1], b""):
        bent = verify_receipt(
            receipt, leaf_entry_hex=wrong.hex(), log_public_key_pem=pem
        )
        assert not bent.ok


def test_a_changed_receipt_is_refused_by_another_reader(model_run, boss, pem):
    from scitt_cose import verify_receipt

    entry = model_run.value["log"]["credential"].encode().hex()
    spoilt = bytearray(make_receipt(model_run.certificate, boss))
    for place in range(len(spoilt)):
        spoilt[place] ^= 1
        read = verify_receipt(
            bytes(spoilt), leaf_entry_hex=entry, log_public_key_pem=pem
        )
        assert not read.ok, place
        spoilt[place] ^= 1


def test_our_cbor_is_read_as_it_was_meant():
    import cbor2

    values = [0, 23, 24, 255, 256, 65535, 65536, 2**32, 2**64 - 1, -1, -8, -257]
    values += [
        b"",
        b"x" * 300,
        "河套",
        [],
        [1, [None]],
        {1: b"", -1: {395: "a"}, "a": 0},
    ]

    for value in values:
        assert cbor2.loads(encode(value)) == value
        assert encode(value) == cbor2.dumps(value, canonical=True)


# --- what can be hidden -------------------------------------------------------------
@pytest.fixture
def whole(model_run, boss):
    return make_disclosable(model_run.certificate, boss)


def others_view(text, pem):
    """Return what the reference implementation reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jwcrypto.jwk import JWK
        from sd_jwt.verifier import SDJWTVerifier

        key = JWK.from_pem(pem)
        return SDJWTVerifier(text, lambda *_: key).get_verified_payload()


def test_what_is_disclosed_is_what_another_reader_reads(whole, key, pem, model_run):
    for text in (whole, present(whole, lambda one: "finding" in one)):
        assert read_disclosable(text, key) == others_view(text, pem)

    read = read_disclosable(whole, key)
    assert read["findings"] == model_run.body["findings"]
    assert [one["name"] for one in read["sites"]] == ["a", "b", "c"]


def test_what_is_hidden_is_gone(whole, key, pem):
    """Not its name, not its number, nor what either could be guessed against."""
    shown = present(whole, lambda one: one.get("name") == "b")

    read = read_disclosable(shown, key)
    assert [one["name"] for one in read["sites"]] == ["b"]
    assert read["findings"] == []
    assert len(shown.split("~")) == 3
    hidden = set(whole.split("~")) - set(shown.split("~"))
    assert len(hidden) == 4
    assert make_salts(whole) == 5


def make_salts(text):
    parts = text.split("~")[1:-1]
    return len({json.loads(base64.urlsafe_b64decode(p + "=="))[0] for p in parts})


def test_a_disclosure_that_is_not_of_it_is_refused(whole, key, model_run, boss):
    other = make_disclosable(model_run.certificate, boss)
    first = whole.split("~")[1]

    for text in (
        whole + other.split("~")[1] + "~",
        whole + first + "~",
        whole[:-1],
        whole + "~",
        whole.replace(first, first[:-2] + "AA"),
        "",
    ):
        with pytest.raises(Unverified):
            read_disclosable(text, key)


def test_every_character_of_what_is_presented_counts(whole, key):
    for place in range(0, len(whole), 7):
        new = "A" if whole[place] != "A" else "B"
        with pytest.raises(Unverified):
            read_disclosable(whole[:place] + new + whole[place + 1 :], key)


def test_nobody_but_the_issuer_makes_one(model_run):
    stranger = new_identity("coordinator")

    for make in (make_disclosable, make_receipt):
        with pytest.raises(Unverified, match="another key"):
            make(model_run.certificate, stranger)


# --- on paper, and by command -------------------------------------------------------
def test_the_paper_is_one_and_the_same_pdf(model_run):
    made = make_paper(model_run.certificate, "zh-Hant")

    assert made.startswith(b"%PDF-")
    assert make_paper(published(model_run.certificate), "zh-Hant") == made


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_paper_says_that_nobodys_witnesses_are_named_on_it(model_run, language):
    told = texts_of(parse_canonical(published(model_run.certificate)), language)

    assert told["paper"] == [WORDS[language]["paper"], ON_PAPER[language]]


def test_one_command_exports_all(model_run, boss, tmp_path, capsys):
    write_identity(tmp_path, boss)
    (tmp_path / "certificate.json").write_bytes(model_run.certificate)
    names = ("html", "crate", "sd-jwt", "scitt", "verifier")
    words = [w for n in names for w in (f"--{n}", str(tmp_path / f"made.{n}"))]

    key = str(tmp_path / "coordinator.sign.pem")
    start = ["certificate", "export", str(tmp_path / "certificate.json")]

    assert main([*start, *words, "--key", key]) == 0
    assert all((tmp_path / f"made.{name}").stat().st_size > 300 for name in names)
    assert main([*start, "--scitt", str(tmp_path / "x")]) == 2
    assert "--key" in capsys.readouterr().err
    assert main(start) == 2
    nothing = ["certificate", "export", str(tmp_path / "none.json")]
    assert main([*nothing, "--verifier", str(tmp_path / "early.py")]) == 4
    assert not (tmp_path / "early.py").exists()


# --- no patient in any of it --------------------------------------------------------
@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return a run over rows, each of which bears a name that nothing may show."""
    folder = tmp_path_factory.mktemp("planted")
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(folder, plan) as made:
        rows = [*csv.reader(made.patients.read_text("utf-8").splitlines())]
        with made.patients.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*rows[0], "name"])
            writer.writerows([*row, f"{CANARY}{i}"] for i, row in enumerate(rows[1:]))
        return made.run()


def test_no_planted_name_stands_in_anything_that_is_handed_on(planted):
    boss = planted.cast.identities["coordinator"]
    crate = make_crate(planted.certificate)
    with zipfile.ZipFile(io.BytesIO(crate)) as archive:
        files = [archive.read(name) for name in archive.namelist()]
    said = [
        planted.certificate,
        planted.value["log"]["credential"].encode(),
        render_page(planted.certificate).encode(),
        make_disclosable(planted.certificate, boss).encode(),
        make_receipt(planted.certificate, boss),
        json.dumps(
            texts_of(parse_canonical(published(planted.certificate)), "en")
        ).encode(),
        *files,
    ]

    for data in said:
        assert not found_in(data)


def test_a_planted_name_would_be_found_in_any_spelling():
    """A control of the test above."""
    raw = CANARY.encode()

    for data in (
        raw,
        raw.hex().encode(),
        *(base64.b64encode(b"x" * i + raw) for i in range(3)),
    ):
        assert found_in(b"before" + data + b"after")


def found_in(data):
    """Return the spellings of the planted name that stand in some bytes."""
    raw = CANARY.encode()
    packed = (base64.b64encode(b"x" * i + raw)[2 * i : -4] for i in range(3))
    return [one for one in (raw, raw.hex().encode(), *packed) if one in data]
