"""A licence to use findings: shown in parts, by its holder, until it is revoked."""

import base64
import datetime
import hashlib
import json
import ssl
import warnings
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hetao.canonical import parse_canonical
from hetao.cli import main
from hetao.dossier import licence, sd_jwt
from hetao.dossier.licence import Grant
from hetao.errors import InvalidData, Unverified
from hetao.federation.clock import utc_now
from hetao.federation.network import Network
from hetao.ledger.credential import from_url64
from hetao.ledger.log import Log
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import REVOCATION, append_lists, last_marks, mark, snapshot
from hetao.permit import new_identity, write_identity
from support_federation import Federation
from support_witness import reach_hubs

NOW = datetime.datetime(2026, 11, 29, 8, tzinfo=datetime.UTC)
HOLDER = new_identity("licensee")
READER = ("insurer.example", "nonce-7")


@pytest.fixture
def ran(small_run):
    return small_run


@pytest.fixture
def boss(ran):
    return ran.cast.identities["coordinator"]


@pytest.fixture
def place(ran):
    """Return the certificate's place in its issuer's log."""
    return parse_proof(ran.value["log"]["proof"]).index


@pytest.fixture
def log(tmp_path, boss, place):
    with Log.open(tmp_path / "log", "coordinator", boss.signing_key) as opened:
        opened.append([b"what stood there before"] * (place + 1))
        yield opened


@pytest.fixture
def grant(ran):
    (finding, *_) = ran.body["findings"]
    return Grant(
        licensee="Example Pharma (HK) Limited",
        findings=(str(finding["analysis"]),),
        purposes=("HMB", "NPU"),
        places=("HK", "CN"),
        starts="2026-11-01T00:00:00Z",
        ends="2027-11-01T00:00:00Z",
        conditions="Cited as the parties agreed on 1 November 2026.",
        key=HOLDER.sign_public,
    )


@pytest.fixture
def text(ran, boss, log, grant):
    return licence.issue(ran.certificate, grant, boss, log, NOW)


def lists_of(log, boss, marked=None):
    key = boss.signing_key
    marks = last_marks(log, boss.name, key.public_key())
    if marked is not None:
        marks = mark(marks, marked, "revoked")
    return snapshot(log, append_lists(log, boss.name, key, marks, NOW))


def shown(text, *names, reader=READER, holder=HOLDER, now=NOW):
    kept = sd_jwt.present(text, lambda one: one in names)
    return sd_jwt.bind(kept, holder.signing_key, *reader, now)


def check(presented, ran, status, now=NOW, asked=READER):
    return licence.check(presented, ran.value, status, now, None, asked)


def test_a_reader_sees_what_the_holder_shows_and_how_the_licence_stands(
    ran, boss, log, grant, text
):
    status = lists_of(log, boss)

    whole = check(shown(text, "licensee", "conditions", *grant.findings), ran, status)
    part = check(shown(text, *grant.findings), ran, status)

    assert (whole.licensee, whole.conditions) == (grant.licensee, grant.conditions)
    assert (whole.findings, whole.purposes) == (grant.findings, ("HMB", "NPU"))
    assert (whole.state, whole.hides) == ("valid", 0)
    assert (part.licensee, part.conditions, part.hides) == ("", "", 2)
    assert part.ends == grant.ends
    assert part.presented_by == "its holder"


def test_what_is_hidden_is_gone_from_what_is_presented(text, grant):
    presented = shown(text, *grant.findings)
    parts = presented.split("~")

    assert len(parts) == 3  # the token, one finding, the key binding
    for word in (grant.licensee, grant.conditions):
        for part in parts[0].split(".") + parts[1:2] + parts[2].split("."):
            assert word.encode() not in from_url64(part)


def test_other_libraries_read_and_verify_the_same(text, boss, grant):
    """The reader of SD-JWT knows no Ed25519 for key bindings: that of JWS does."""
    pem = boss.signing_key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jwcrypto.jwk import JWK
        from jwcrypto.jws import JWS
        from sd_jwt.verifier import SDJWTVerifier

        key = JWK.from_pem(pem)
        for names in ((), ("licensee",), ("licensee", "conditions", *grant.findings)):
            bare, _, binding = shown(text, *names).rpartition("~")
            theirs = SDJWTVerifier(bare + "~", lambda *_: key).get_verified_payload()
            assert theirs == sd_jwt.read(bare + "~", boss.signing_key.public_key())
            signed = JWS()
            signed.allowed_algs = ["EdDSA"]
            signed.deserialize(binding, JWK(**theirs["cnf"]["jwk"]))
            said = json.loads(signed.payload)
            assert (said["aud"], said["nonce"]) == READER
            hashed = hashlib.sha256(bare.encode() + b"~").digest()
            assert said["sd_hash"] == base64.urlsafe_b64encode(hashed).decode()[:-1]


@pytest.mark.parametrize("which", ["licence", "certificate"])
def test_a_licence_that_is_revoked_or_whose_certificate_is_is_known_as_such(
    ran, boss, log, text, place, which
):
    key = boss.signing_key.public_key()
    own = licence.place_in_log(text, key)
    assert own == place + 1
    gone = {"licence": own, "certificate": place}[which]
    before = lists_of(log, boss)
    after = lists_of(log, boss, gone)

    assert check(shown(text), ran, before).state == "valid"
    assert check(shown(text), ran, after).state == "revoked"
    assert last_marks(log, boss.name, key)[REVOCATION] == {gone}


def test_a_licence_is_of_its_time_its_certificate_and_its_holder(ran, boss, log, text):
    status = lists_of(log, boss)
    late = NOW + datetime.timedelta(days=400)
    thief = new_identity("thief")
    for presented, now, asked in (
        (shown(text, now=late), late, READER),
        (shown(text), NOW, ("other.example", READER[1])),
        (shown(text), NOW, (READER[0], "nonce-8")),
        (shown(text), NOW + datetime.timedelta(minutes=6), READER),
        (shown(text, holder=thief), NOW, READER),
        (text, NOW, READER),
        (text, NOW, None),
        (shown(text), NOW, None),
        (shown(text, "licensee").replace("~", "~~", 1), NOW, READER),
        (sd_jwt.present(text, lambda _: False) + shown(text, "licensee").split("~")[2],
         NOW, READER),
    ):  # fmt: skip
        with pytest.raises(Unverified):
            check(presented, ran, status, now, asked)
    body = {**ran.value["body"], "issued": "2026-01-01T00:00:00Z"}
    with pytest.raises(Unverified, match="no licence for findings"):
        licence.check(
            shown(text), {**ran.value, "body": body}, status, NOW, None, READER
        )


def test_a_licence_without_a_key_is_for_whoever_has_it(ran, boss, log, grant):
    free = licence.issue(ran.certificate, replace(grant, key=""), boss, log, NOW)

    found = check(free, ran, lists_of(log, boss), asked=None)

    assert found.licensee == grant.licensee
    assert found.presented_by == "whoever has it"
    with pytest.raises(Unverified, match="names no key"):
        check(shown(free), ran, lists_of(log, boss))
    with pytest.raises(Unverified, match="names no holder"):
        check(free, ran, lists_of(log, boss), asked=READER)


def test_each_byte_of_a_licence_that_is_changed_is_refused(ran, boss, log, text):
    status, presented = lists_of(log, boss), shown(text, "licensee")
    for place in range(0, len(presented), 31):
        bent = chr(ord(presented[place]) ^ 1)
        with pytest.raises(Unverified):
            check(presented[:place] + bent + presented[place + 1 :], ran, status)


def test_the_log_tells_nothing_of_a_licence_but_that_there_is_one(
    log, text, grant, place
):
    (leaf,) = log.entries(place + 1, place + 2)

    assert set(parse_canonical(leaf)) == {"licence", "type"}
    assert grant.licensee.encode() not in leaf


@pytest.mark.parametrize(
    "change",
    [
        {"purposes": ("ANYTHING",)},
        {"purposes": ()},
        {"findings": ()},
        {"places": ()},
        {"licensee": " "},
        {"ends": "2026-10-01T00:00:00Z"},
        {"key": "AAAA"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_grant_that_binds_nobody_is_refused(grant, change):
    with pytest.raises(InvalidData):
        replace(grant, **change)


def test_nobody_licenses_anothers_findings_or_one_that_is_not_there(
    ran, log, grant, boss, place
):
    stranger = new_identity("coordinator")
    with pytest.raises(Unverified, match="another key"):
        licence.issue(ran.certificate, grant, stranger, log, NOW)
    other = replace(grant, findings=("nothing",))
    with pytest.raises(InvalidData, match="no finding"):
        licence.issue(ran.certificate, other, boss, log, NOW)
    assert log.size == place + 1


def test_a_licence_is_issued_presented_checked_and_revoked_by_commands(
    tmp_path, monkeypatch, capsys
):
    with Federation(tmp_path / "f") as made:
        ran = made.run()
        licensed(made, ran, tmp_path, monkeypatch, capsys)


def licensed(made, ran, tmp_path, monkeypatch, capsys):
    """Carry the commands out, both hubs in reach and of today."""
    made.clock.now = utc_now()
    (tmp_path / "certificate.json").write_bytes(ran.certificate)
    network = Network(
        identity=ran.cast.identities["coordinator"],
        trusted=ran.cast.directory,
        hubs={},
        tls=ssl.create_default_context(),
        folder=tmp_path / "f" / "coordinator",
        notices=tmp_path,
    )
    reach_hubs(monkeypatch, network, made.hubs)
    monkeypatch.chdir(tmp_path)
    year = utc_now().year
    finding = ran.body["findings"][0]["analysis"]
    (tmp_path / "licence.toml").write_text(
        f'licensee = "Example Pharma"\nfindings = ["{finding}"]\npurposes = ["GRU"]\n'
        f'places = ["HK"]\nstarts = "{year - 1}-01-01T00:00:00Z"\n'
        f'ends = "{year + 2}-01-01T00:00:00Z"\nkey = "{HOLDER.sign_public}"\n'
    )
    key = write_identity(tmp_path, HOLDER)

    def hetao(*words, code=0):
        assert main(["licence", *map(str, words)]) == code
        return capsys.readouterr().out

    reader = ("--audience", "r", "--nonce", "n")
    checked = ("check", "shown", "--certificate", "certificate.json", *reader)
    hetao("issue", "certificate.json", "--terms", "licence.toml", "--network", "n",
          "--out", "licence")  # fmt: skip
    assert main(["certificate", "status", "certificate.json", "--network", "n"]) == 0
    hetao("present", "licence", "--show", finding, "--key", key, *reader,
          "--out", "shown")  # fmt: skip
    hetao(*checked, "--status", "status.json", code=7)
    checked += ("--policy", "hubs")
    said = hetao(*checked, "--status", "status.json")
    hetao("revoke", "licence", "--certificate", "certificate.json", "--network", "n")
    hetao(*checked, "--status", "status.json", code=6)

    assert f"findings     {finding}" in said
    assert "Example Pharma" not in said
    assert (
        json.loads((tmp_path / "status.json").read_bytes())["type"] == "hetao.status/1"
    )
