"""A transparency service enters a root: a process of its own, by a foreign library."""

import base64
import datetime
import json
import stat
from pathlib import Path

import cbor2
import pytest
import scitt_cose
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.anchor import Stamp, read_stamp, root_of
from hetao.anchor.scitt import TransparencyService, statement_about
from hetao.anchor.scrapi import register
from hetao.cli import main
from hetao.errors import InvalidData, Unreachable, Unverified, Usage
from hetao.ledger.credential import did_key
from hetao.ledger.log import Log
from hetao.permit import new_identity, write_identity
from support_scitt import NAME, WHEN, issuer_pem, public_pem, running

ROOT = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
VECTORS = Path(__file__).parents[1] / "vectors" / "ledger" / "scitt.json"
CANARY = "Qzx81737"
SENT = {"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type"}
SENT |= {"Host", "User-Agent"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("scitt")) as found:
        yield found


@pytest.fixture
def at(service):
    """Return the service that behaves in a way."""

    def there(way, keys=service.keys):
        return TransparencyService(f"{service.url}/{way}", keys, KEY, service.tls)

    return there


# --- what it gives back ---------------------------------------------------------------
@pytest.mark.parametrize("keys", ["keys.cbor", "keys.pem"])
@pytest.mark.parametrize("way", ["EdDSA", "ES256", "ES384", "digest", "hints"])
def test_a_service_says_when_it_entered_a_root(at, service, way, keys):
    stamp = at(way).stamp(ROOT)

    stamped = TransparencyService("", service.folder / keys).verify(stamp, ROOT)

    assert stamped.root == ROOT
    assert stamped.at == datetime.datetime.fromtimestamp(WHEN, datetime.UTC)
    assert stamped.by == NAME


@pytest.mark.parametrize("way", ["later", "accepted", "created", "busy"])
def test_a_receipt_that_comes_later_is_waited_for(at, way):
    there = at(way)

    stamp = there.stamp(ROOT)

    assert there.verify(stamp, ROOT).by == NAME


def test_a_service_that_states_no_time_and_no_name_is_not_given_any(at):
    there = at("timeless")

    stamp = there.stamp(ROOT)

    stamped = there.verify(stamp, ROOT)
    assert stamped.at is None
    assert stamped.by == stamp.where
    assert stamp.where.startswith("urn:ietf:params:oauth:ckt:sha-256:")


def test_a_stamp_proves_nothing_about_another_root(at):
    there, other = at("honest"), bytes(32)
    stamp = there.stamp(ROOT)

    with pytest.raises(Unverified, match="another root"):
        there.verify(stamp, other)
    with pytest.raises(Unverified, match="another root"):
        there.verify(Stamp("scitt", other.hex(), stamp.where, stamp.proof), other)
    with pytest.raises(Unverified, match="not scitt"):
        there.verify(Stamp("rfc3161", ROOT.hex(), "", ""), ROOT)


def test_a_stamp_is_a_transparent_statement_for_another_library(at, service):
    raw = at("EdDSA").stamp(ROOT).raw

    (receipt,) = scitt_cose.extract_receipts(raw)
    said = scitt_cose.parse_signed_statement(raw, public_key_pem=public_pem(KEY))
    sent = statement_about(ROOT, KEY).data
    pem = (service.folder / "keys.pem").read_bytes().partition(b"-----\n-")[0]
    read = scitt_cose.verify_receipt(
        receipt, leaf_entry_hex=sent.hex(), log_public_key_pem=pem + b"-----\n"
    )

    assert said["signature_verified"]
    assert said["payload"] == ROOT
    assert read.ok, read.errors
    assert (read.issuer, read.subject, read.iat) == (NAME, "root", WHEN)


# --- what leaves ----------------------------------------------------------------------
def test_a_root_and_the_anchoring_key_leave_and_nothing_else(tmp_path, service, capsys):
    """Every byte that was sent, taken apart; the log is full of what must stay."""
    party = new_identity(CANARY.lower())
    secret = party.signing_key
    with Log.open(tmp_path / "log", f"{CANARY}.example/log", secret) as log:
        log.append([CANARY.encode() * 9, b"one"])
        (tmp_path / "checkpoint").write_text(log.checkpoint(), encoding="utf-8")
    checkpoint, key = tmp_path / "checkpoint", tmp_path / "anchor.pem"
    assert main(["anchor", "key", "--out", str(key)]) == 0
    name = capsys.readouterr().out.strip()
    before = service.asked()
    words = ["anchor", "scitt", checkpoint, "--url", f"{service.url}/later"]
    words += ["--key", key, "--keys", service.keys, "--authority", service.authority]

    assert main([*map(str, words), "--out", str(tmp_path / "stamp.json")]) == 0

    ((head, body),) = [one for one in service.asked() if one not in before]
    lines = head.decode().splitlines()
    assert lines[0] == "POST /later/entries"
    assert {one.partition(":")[0] for one in lines[1:]} <= SENT
    message = cbor2.loads(body)
    protected, unprotected, payload, signature = message.value
    assert (message.tag, unprotected, len(signature)) == (18, {}, 64)
    assert payload == root_of(checkpoint)
    assert cbor2.loads(protected) == {
        1: -8,
        4: name.encode(),
        15: {1: name, 2: "root"},
        258: -16,
    }
    raw = secret.public_key().public_bytes_raw()
    own = (raw, raw.hex().encode(), base64.b64encode(raw))
    for secret_thing in (CANARY.encode(), *own, did_key(secret.public_key()).encode()):
        assert secret_thing.lower() not in (head + body).lower()
    stamp = (tmp_path / "stamp.json").read_bytes()
    assert CANARY.encode().lower() not in (stamp + read_stamp_raw(stamp)).lower()


def read_stamp_raw(data):
    return base64.b64decode(json.loads(data)["proof"])


def test_the_logs_own_key_does_not_sign_a_statement(tmp_path, service):
    party = new_identity("hospital")
    with Log.open(tmp_path / "log", "hospital.example", party.signing_key) as log:
        log.append([b"one"])
        (tmp_path / "checkpoint").write_text(log.checkpoint(), encoding="utf-8")
    before = len(service.asked())
    words = ["anchor", "scitt", tmp_path / "checkpoint", "--url", f"{service.url}/x"]
    words += ["--key", write_identity(tmp_path, party), "--keys", service.keys]

    assert main([*map(str, words), "--out", str(tmp_path / "stamp.json")]) == 2

    assert len(service.asked()) == before
    assert not (tmp_path / "stamp.json").exists()


def test_a_statement_is_the_same_each_time_so_that_asking_again_adds_nothing():
    assert statement_about(ROOT, KEY) == statement_about(ROOT, KEY)


# --- the commands ---------------------------------------------------------------------
def test_a_checkpoint_is_entered_and_verified_by_commands(tmp_path, service, capsys):
    with Log.open(tmp_path / "log", "a.example", new_identity("a").signing_key) as log:
        log.append([b"one"])
        (tmp_path / "checkpoint").write_text(log.checkpoint(), encoding="utf-8")
        log.append([b"two"])
        (tmp_path / "later").write_text(log.checkpoint(), encoding="utf-8")
    key, stamp = tmp_path / "anchor.pem", tmp_path / "stamp.json"

    def hetao(*words):
        return main(["anchor", *map(str, words)]), capsys.readouterr()

    def entered(way, out):
        return hetao("scitt", tmp_path / "checkpoint", "--url", f"{service.url}/{way}",
                     "--key", key, "--keys", service.keys,
                     "--authority", service.authority, "--out", out)  # fmt: skip

    assert hetao("key", "--out", key)[0] == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert hetao("key", "--out", key)[0] == 2  # it is never written over
    assert entered("ES256", stamp)[0] == 0
    assert entered("timeless", tmp_path / "timeless.json")[0] == 0
    trusted = ("--keys", service.folder / "keys.pem")
    code, said = hetao("verify", tmp_path / "checkpoint", stamp, *trusted)
    assert (code, said.out) == (
        0, "the root was there at 2026-09-21 14:13:20 UTC, says https://notary.example\n"
    )  # fmt: skip
    timeless = tmp_path / "timeless.json"
    code, said = hetao("verify", tmp_path / "checkpoint", timeless, *trusted)
    assert code == 0
    assert "the root was there at no stated time, says urn:" in said.out

    assert hetao("verify", tmp_path / "later", stamp, *trusted)[0] == 6
    other = ("--keys", service.folder / "other.pem")
    assert hetao("verify", tmp_path / "checkpoint", stamp, *other)[0] == 6
    assert hetao("verify", tmp_path / "checkpoint", stamp)[0] == 2
    assert entered("refused", tmp_path / "none.json")[0] == 6
    assert not (tmp_path / "none.json").exists()
    (tmp_path / "anchor.pem").write_bytes(b"no key")
    assert entered("EdDSA", tmp_path / "none.json")[0] == 4


def test_a_server_whose_certificate_is_not_trusted_is_told_nothing(service):
    before = len(service.asked())

    with pytest.raises(Unreachable):
        TransparencyService(f"{service.url}/x", service.keys, KEY).stamp(ROOT)

    assert len(service.asked()) == before


@pytest.mark.parametrize(
    "url",
    ["", "notary.example", "ftp://notary.example", "http://notary.example",
     "https://", "https://[", "https://a:b@notary.example", "https://notary.example?a=b",
     "https://notary.example:x"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(service, url):
    with pytest.raises(Usage):
        TransparencyService(url, service.keys, KEY).stamp(ROOT)


def test_what_is_no_root_or_has_no_key_is_not_stamped(service):
    with pytest.raises(Usage, match="32 bytes"):
        TransparencyService(service.url, service.keys, KEY).stamp(b"short")
    with pytest.raises(Usage, match="key"):
        TransparencyService(service.url, service.keys).stamp(ROOT)
    with pytest.raises(InvalidData):
        TransparencyService(service.url, service.folder / "none", KEY)


# --- refusals, and services that take their time --------------------------------------
@pytest.mark.parametrize(
    ("way", "error", "said"),
    [
        ("refused", Unverified, "status 400: Rejected, Issuer .31munknown"),
        ("refused-in-json", Unverified, "status 403: Forbidden, Issuer unknown"),
        ("refused-in-words", Unverified, r"status 401 \(ask"),
        ("forgotten", Unverified, "status 404: Operation Not Found"),
        ("broken", Unreachable, "status 500"),
        ("too-many", Unreachable, "status 429"),
        ("gone", Unreachable, "does not answer"),
        ("nowhere", Unverified, "does not say where"),
        ("elsewhere", Unverified, "another server"),
        ("other-port", Unverified, "another server"),
        ("plain", Unverified, "another server"),
        ("bracket", Unverified, "another server"),
        ("tomorrow", Unreachable, "no receipt in time"),
        ("dated", Unreachable, "no receipt in time"),
        ("huge", Unverified, "answers with too much"),
    ],
)
def test_a_service_that_refuses_or_sends_us_away_is_named(at, way, error, said):
    with pytest.raises(error, match=said) as found:
        at(way).stamp(ROOT)

    assert found.value.what.isprintable()


@pytest.mark.parametrize(
    ("way", "said"), [("never", "no receipt in time"), ("slow", "come to an end")]
)
def test_a_service_that_never_comes_to_an_end_is_left(service, way, said):
    statement = statement_about(ROOT, KEY).data

    with pytest.raises(Unreachable, match=said):
        register(f"{service.url}/{way}", statement, service.tls, patience=0.5)


# --- files that other programs can check ----------------------------------------------
@pytest.fixture(scope="module")
def vectors():
    return json.loads(VECTORS.read_text("utf-8"))


def test_a_statement_is_the_published_one(vectors):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vectors["anchor_seed"]))
    statement = bytes.fromhex(vectors["statement"])

    assert statement_about(bytes.fromhex(vectors["root"]), key).data == statement
    told = scitt_cose.parse_signed_statement(
        statement, public_key_pem=issuer_pem(statement)
    )
    assert told["signature_verified"]
    assert told["payload"].hex() == vectors["root"]


@pytest.mark.parametrize("at", range(4))
def test_a_published_stamp_holds_here_and_in_another_library(vectors, tmp_path, at):
    one, root = vectors["stamps"][at], bytes.fromhex(vectors["root"])
    (tmp_path / "keys.cbor").write_bytes(bytes.fromhex(vectors["keys"]))
    (tmp_path / "stamp.json").write_text(one["stamp"], encoding="utf-8")

    stamp = read_stamp(tmp_path / "stamp.json")
    found = TransparencyService("", tmp_path / "keys.cbor").verify(stamp, root)

    (receipt,) = scitt_cose.extract_receipts(stamp.raw)
    read = scitt_cose.verify_receipt(
        receipt, leaf_entry_hex=one["entry"], log_public_key_pem=one["key"]
    )
    assert read.ok, read.errors
    assert (read.iat and found.at.timestamp()) == read.iat == one["at"]
    assert found.by == one["by"]
