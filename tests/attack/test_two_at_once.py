"""Two commands at once in one folder: neither undoes what the other said was done.

In each test the second begins while the first has read and not yet written.
"""

import argparse
import json
import ssl
import threading
from dataclasses import replace

import pytest

from hetao.alone import alone
from hetao.cdm.committing import acts_folder, commit_acts
from hetao.cdm.engine_duckdb import DuckDBEngine, connect_read_only
from hetao.cdm.extract import Extract
from hetao.cdm.store import Manifest
from hetao.cli.certificate import publish_state
from hetao.cli.main import main
from hetao.errors import Shredded, Unverified
from hetao.federation.logs import open_log
from hetao.federation.network import Network
from hetao.federation.renewing import Renewal
from hetao.ledger.merkle import leaf_hash
from hetao.ledger.note import LOG_SIGNATURE, Checkpoint, Verifier, sign_checkpoint
from hetao.ledger.policy import Policy
from hetao.ledger.status import REVOCATION, last_marks
from hetao.permit import (
    Directory,
    new_identity,
    read_bundle,
    sign_notice,
    standing,
    write_bundle,
)
from support_acts import ANNA, BO, write_acts
from support_permit import HOUR, NOW, Scene

LATER = NOW + HOUR
SECONDS = 1.0  # long enough for a second command that nothing holds up
MANIFEST = Manifest(
    "s", "sha256:" + "ab" * 32, "omop-5.4", "sha256:d", "", "", "2026-01-01", {}, ""
)


@pytest.fixture
def meanwhile(monkeypatch):
    """Return what has something else begin at the first call of a function."""
    begun = []

    def arrange(module, name, other):
        function = getattr(module, name)

        def with_another(*words, **more):
            if not begun:
                begun.append(threading.Thread(target=other))
                begun[0].start()
                begun[0].join(SECONDS)
            return function(*words, **more)

        def done():
            begun[0].join()

        monkeypatch.setattr(module, name, with_another)
        return done

    return arrange


def test_of_two_people_who_are_shredded_at_once_neither_is_shown_again(
    tmp_path, meanwhile
):
    from hetao.cdm import extract as module

    write_acts(tmp_path)
    engine = DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb"))
    commitment = commit_acts(engine, tmp_path, MANIFEST, b"m" * 32)
    home = acts_folder(tmp_path, MANIFEST.snapshot)
    extract = Extract(commitment, home, engine, b"m" * 32)
    other = DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb"))
    at_once = replace(extract, engine=other)
    done = meanwhile(module, "replace_secret", lambda: at_once.shred(BO))

    extract.shred(ANNA)
    done()

    for person in (ANNA, BO):
        assert not extract.holds(person)
        with pytest.raises(Shredded):
            extract.open(extract.index_of(person, None))


def test_of_two_certificates_that_are_revoked_at_once_both_are(
    tmp_path, monkeypatch, meanwhile
):
    from hetao.cli import certificate

    boss = new_identity("coordinator")
    key = boss.signing_key.public_key()
    network = Network(boss, Directory(()), {}, ssl.create_default_context(), tmp_path,
                      tmp_path)  # fmt: skip
    monkeypatch.setattr("hetao.federation.network.read_network", lambda _: network)
    with open_log(tmp_path, boss, network.log) as log:
        log.append([b"a certificate", b"another"])

    def revoke(index):
        chosen = argparse.Namespace(network=None, policy=None, state="revoked")
        chosen.out = tmp_path / f"{index}.json"
        publish_state(chosen, index, (boss.name, key))

    done = meanwhile(certificate, "append_lists", lambda: revoke(1))

    revoke(0)
    done()

    with open_log(tmp_path, boss, network.log) as log:
        assert last_marks(log, boss.name, key)[REVOCATION] == {0, 1}


def test_a_revocation_stays_though_the_permit_is_renewed_at_that_moment(
    tmp_path, meanwhile
):
    from hetao.federation import renewing

    scene, path, notices = Scene(), tmp_path / "permit.json", tmp_path / "notices"
    notices.mkdir()
    write_bundle(path, scene.approve_all())
    ethics = scene.identities["ethics-hk"]

    def revoke():
        write_bundle(path, sign_notice(read_bundle(path), ethics, "revoke", LATER))

    done = meanwhile(renewing, "sign_notice", revoke)
    Renewal(path, [ethics], [notices]).turn(NOW)
    done()

    for told in (path, notices / path.name):
        assert standing(read_bundle(told), LATER).state == "revoked"


def test_of_two_people_who_are_allotted_at_once_both_stand_in_the_file(
    tmp_path, meanwhile, capsys
):
    from hetao.cli import trial

    rule = 'arms = [["a", 1], ["b", 1]]\nfactors = [["site", ["hk", "sz"], 1]]\n'
    (tmp_path / "trial.toml").write_text(f'name = "t"\n[minimisation]\n{rule}')
    secret, enrolled = tmp_path / "secret", tmp_path / "enrolled.json"
    secret.write_text("ab" * 32)
    words = ["trial", "assign", str(tmp_path / "trial.toml"), "--secret", str(secret),
             "--enrolled", str(enrolled), "--levels", "hk"]  # fmt: skip
    done = meanwhile(trial, "assign", lambda: main(words))

    assert main(words) == 0
    done()

    assert len(json.loads(enrolled.read_bytes())) == 2


def test_a_log_that_shows_two_histories_at_once_is_found(tmp_path, meanwhile):
    from hetao.transparency import follower

    key = new_identity("log", sealing=False).signing_key
    log = Verifier.of("log", key.public_key(), LOG_SIGNATURE)
    reader = follower.Reader(tmp_path / "seen", Policy(logs=(log,)))
    notes = [
        sign_checkpoint(Checkpoint("log", 1, leaf_hash(entry)), key).encode()
        for entry in (b"this", b"that")
    ]
    refused = []

    def follow(note):
        try:
            reader.follow(lambda _: note)
        except Unverified as error:
            refused.append(error)

    done = meanwhile(follower, "_write", lambda: follow(notes[1]))
    follow(notes[0])
    done()

    assert ["two histories" in str(one) for one in refused] == [True]


def test_who_waits_for_another_goes_on_when_that_one_ends(tmp_path):
    order = []

    def second():
        with alone(tmp_path):
            order.append("second")

    with alone(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.1)
        order.append("first")
    waiting.join()

    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []
