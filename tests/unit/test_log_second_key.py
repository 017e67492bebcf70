"""A log with two keys signs with both, and a verifier sees where the second lacks."""

import copy
import json
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.canonical import digest
from hetao.cli.main import main
from hetao.errors import InvalidData, InvalidNetwork, Unverified
from hetao.ledger.log import Log
from hetao.ledger.log_signer import signer_of
from hetao.ledger.note import (
    LOG_SIGNATURE,
    SUBTREE,
    Checkpoint,
    cosign,
    open_note,
    parse_note,
    shortened,
    vkey,
)
from hetao.ledger.policy import parse_policy
from hetao.permit import (
    new_identity,
    package_digest,
    state,
    write_directory,
    write_identity,
)
from hetao.permit.keys import read_identity
from hetao.transparency.follower import ACCEPTED, Reader

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
SECOND = MLDSA44PrivateKey.from_seed_bytes(b"\1" * 32)
OTHER = MLDSA44PrivateKey.from_seed_bytes(b"\2" * 32)
BOTH = signer_of(ORIGIN, (KEY, SECOND)).verifiers


def kinds(note):
    """Return the kinds of key that signed a note, each line verified."""
    signed = open_note(note, BOTH)[1]
    assert len(signed) == len(parse_note(note)[1])
    return {one.kind for one in signed}


def test_each_checkpoint_bears_a_line_of_each_key(tmp_path):
    with Log.open(tmp_path / "log", ORIGIN, (KEY, SECOND)) as log:
        assert log.verifiers == BOTH
        for count in range(3):
            assert kinds(log.checkpoint()) == {LOG_SIGNATURE, SUBTREE}
            assert log.append([b"entry"]) == count
        assert kinds(log.short_checkpoint()) == {LOG_SIGNATURE}
        log.redact(1)
        assert kinds(log.checkpoint()) == {LOG_SIGNATURE, SUBTREE}
        assert list(log.faults()) == []


def test_an_old_log_takes_a_second_key_and_can_lose_it(tmp_path):
    path, seen = tmp_path / "log", []
    for keys in (KEY, (KEY, SECOND), KEY):
        with Log.open(path, ORIGIN, keys) as log:
            log.append([b"entry"])
            seen.append(kinds(log.checkpoint()))

    assert seen == [{LOG_SIGNATURE}, {LOG_SIGNATURE, SUBTREE}, {LOG_SIGNATURE}]


def test_a_wrong_second_line_of_its_own_key_is_no_head(tmp_path):
    signer = signer_of(ORIGIN, (KEY, SECOND))
    tree, other = (Checkpoint(ORIGIN, 8, bytes([n]) * 32) for n in (1, 2))
    first = signer_of(ORIGIN, KEY).sign(tree)
    wrong = cosign(signer.sign(other), ORIGIN, SECOND, 0)

    assert signer.verified(first) == tree  # none at all is told by a policy
    with pytest.raises(Unverified):
        signer.verified(first + wrong)
    with pytest.raises(Unverified):
        signer.verified(None)


def test_a_policy_that_lists_both_keys_asks_for_both_lines():
    """Else whoever breaks one of them leaves the other's line out."""
    tree = Checkpoint(ORIGIN, 8, bytes(32))
    both, one = (signer_of(ORIGIN, keys).sign(tree) for keys in ((KEY, SECOND), KEY))
    other = signer_of(ORIGIN, KEY).sign(Checkpoint(ORIGIN, 9, bytes(32)))
    text, lines = both.split("\n\n")
    second = "\n\n".join((text, lines.splitlines(keepends=True)[1]))
    rules = [policy_listing(BOTH[:1]), policy_listing(BOTH[1:]), policy_listing(BOTH)]

    assert [rule.check(both).second for rule in rules] == [False, True, True]
    assert rules[0].check(one).second is False
    assert rules[1].check(second).second is True
    for note, lacks in ((one, "ML-DSA-44"), (second, "Ed25519")):
        with pytest.raises(Unverified, match=f"its {lacks} line is missing"):
            rules[2].check(note)
    with pytest.raises(Unverified, match="does not hold"):
        rules[2].check(one + cosign(other, ORIGIN, SECOND, 0))


def test_one_of_two_keys_of_a_kind_is_enough():
    """A log that changes its key is listed with the old one and the new."""
    new = signer_of(ORIGIN, (Ed25519PrivateKey.from_private_bytes(b"\2" * 32), OTHER))
    rule = policy_listing([*BOTH, *new.verifiers])
    tree = Checkpoint(ORIGIN, 8, bytes(32))

    for signer in (signer_of(ORIGIN, (KEY, SECOND)), new):
        assert rule.check(signer.sign(tree)).second is True


def test_a_reader_accepts_no_checkpoint_that_lacks_a_line(tmp_path):
    one = signer_of(ORIGIN, KEY).sign(Checkpoint(ORIGIN, 8, bytes(32)))
    reader = Reader(tmp_path / "seen", policy_listing(BOTH))

    with pytest.raises(Unverified, match="ML-DSA-44"):
        reader.follow(lambda _: one.encode())
    assert not (tmp_path / "seen" / ACCEPTED).exists()


def policy_listing(keys):
    logs = "".join(f"log {one.vkey}\n" for one in keys)
    return parse_policy(f"{logs}quorum none\n".encode())


# --- Commands -----------------------------------------------------------------------
PARTY = """[hub]
name = "hub-hk"
port = 1
folder = "state"
[keys]
sign = "keys/hub-hk.sign.pem"
tls_certificate = "keys/t"
tls_key = "keys/t"
tls_authority = "keys/t"
"""


@pytest.fixture
def party(tmp_path):
    write_identity(tmp_path / "keys", new_identity("hub-hk"))
    (tmp_path / "hub.toml").write_text(PARTY)
    return tmp_path / "hub.toml"


def test_machines_get_a_second_key_and_people_none(tmp_path):
    write_identity(tmp_path, new_identity("hub-hk"))
    write_identity(tmp_path, new_identity("auditor", sealing=False))

    files = {path.name for path in tmp_path.iterdir()}
    assert {name for name in files if name.endswith(".log.pem")} == {"hub-hk.log.pem"}
    mode = (tmp_path / "hub-hk.log.pem").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert read_identity(tmp_path / "auditor.sign.pem").second_log_key is None


def test_a_log_tells_its_vkeys_and_an_old_one_gets_its_second(party, capsys):
    assert main(["log", "keys", str(party)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert main(["log", "keys", str(party), "--add-second"]) == 4
    (party.parent / "keys/hub-hk.log.pem").unlink()

    capsys.readouterr()
    assert main(["log", "keys", str(party)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [first]
    assert "no second key" in said.err
    assert main(["log", "keys", str(party), "--add-second"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == first
    assert again[1] != second


def test_a_key_of_another_kind_in_its_place_is_refused(party):
    sign = party.parent / "keys/hub-hk.sign.pem"
    (party.parent / "keys/hub-hk.log.pem").write_bytes(sign.read_bytes())

    with pytest.raises(InvalidNetwork, match="ML-DSA-44"):
        read_identity(sign)


# --- The verifier -------------------------------------------------------------------
def policy_of(ran, tmp_path, seconds):
    """Return a policy, by the command, that lists these second keys."""
    write_directory(tmp_path / "parties.toml", ran.cast.directory)
    eye = vkey("w.example", Ed25519PrivateKey.generate().public_key(), 4)
    words = ["--trust", str(tmp_path / "parties.toml"), "--out", str(tmp_path / "p")]
    for name, key in seconds.items():
        words += ["--log", vkey(name, key.public_key(), SUBTREE)]
    assert main(["witness", "policy", *words, "--independent", eye, "https://w"]) == 0
    text = (tmp_path / "p").read_text()
    (tmp_path / "p").write_text(text.replace("all HK SZ independent", "all HK SZ"))
    return tmp_path / "p"


def verified(capsys, data, policy, tmp_path, *more):
    (tmp_path / "c.json").write_bytes(data)
    capsys.readouterr()
    words = ["verify", str(tmp_path / "c.json"), "--policy", str(policy), *more]
    code = main(words)
    return code, capsys.readouterr()


@pytest.mark.parametrize(
    ("listed", "resigned", "words"),
    [
        ("coordinator", False, "the issuer's log: holds"),
        ("coordinator", True, "ML-DSA-44 line is missing"),
        ("hub-hk", False, "the issuer's log: not looked at"),
    ],
)
def test_verify_asks_for_the_second_line_where_its_key_is_listed(
    small_run, tmp_path, capsys, listed, resigned, words
):
    """What a lying coordinator signed anew has no second line here."""
    key = small_run.cast.identities[listed].second_log_key
    policy = policy_of(small_run, tmp_path, {listed: key})
    data = small_run.certificate
    if resigned:
        data = small_run.resigned(small_run.body)

    code, said = verified(capsys, data, policy, tmp_path)

    assert code == (Unverified.exit_code if resigned else 0)
    assert words in (said.err if resigned else said.out)


def test_sites_checkpoints_bear_both_lines_and_nothing_more(small_run):
    """Which is 3.3 kB of a certificate for each site."""
    for entry in small_run.body["sites"]:
        keys = small_run.cast.identities[entry["name"]].log_keys
        own = signer_of(entry["name"], keys)
        assert own.is_own(entry["checkpoint"])
        assert len(parse_note(entry["checkpoint"])[1]) == 2
        short = shortened(entry["checkpoint"], own.verifiers[0])
        assert own.is_own(short)
        assert len(entry["checkpoint"]) - len(short) < 3_300


def stripped(run, name):
    """Return a certificate in which a site signed its last checkpoint once only."""
    body, who = copy.deepcopy(run.body), run.cast.identities[name]
    (entry,) = (one for one in body["sites"] if one["name"] == name)
    first = signer_of(name, who.log_keys).verifiers[0]
    entry["checkpoint"] = shortened(entry["checkpoint"], first)
    told = {key: entry[key] for key in ("checkpoint", "proofs", "quality")}
    said = {**entry["closing"]["body"], "content": digest({**told, "site": name})}
    entry["closing"] = state(who, said).as_json()
    body["review"]["package"] = package = package_digest(body)
    votes = [{**vote["body"], "package": package} for vote in body["review"]["votes"]]
    keys = run.cast.identities
    body["review"]["votes"] = [state(keys[v["by"]], v).as_json() for v in votes]
    return run.resigned(body)


@pytest.mark.parametrize("listed", [(), ("a",), ("b",)], ids=["none", "a", "b"])
def test_verify_asks_sites_for_the_second_line_where_its_key_is_listed(
    small_run, tmp_path, capsys, listed
):
    keys = {name: small_run.cast.identities[name].second_log_key for name in listed}
    policy = policy_of(small_run, tmp_path, keys)
    whole = verified(capsys, small_run.certificate, policy, tmp_path)
    less = verified(capsys, stripped(small_run, "a"), policy, tmp_path)

    assert whole[0] == 0
    words = f"holds for {listed[0]}" if listed else "not looked at"
    assert f"logs of sites: {words}" in whole[1].out
    assert less[0] == (Unverified.exit_code if "a" in listed else 0)
    if "a" in listed:
        assert "the log of a" in less[1].err
        told = verified(capsys, small_run.certificate, policy, tmp_path, "--json")
        assert json.loads(told[1].out)["second"] == {"log": False, "sites": ["a"]}


def test_a_policy_takes_second_keys_of_its_own_parties_alone(small_run, tmp_path):
    write_directory(tmp_path / "parties.toml", small_run.cast.directory)
    words = ["witness", "policy", "--trust", str(tmp_path / "parties.toml")]
    words += ["--independent", BOTH[0].vkey, "https://w", "--out", str(tmp_path / "p")]
    for wrong in (BOTH[1].vkey, vkey("coordinator", KEY.public_key())):
        assert main([*words, "--log", wrong]) == InvalidData.exit_code
