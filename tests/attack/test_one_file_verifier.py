"""The verifier of one file, with no library, refuses what the library refuses."""

import ast
import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
)

from hetao.canonical import canonical, parse_canonical
from hetao.dossier.one_file import one_file
from hetao.errors import InvalidData, Unverified
from hetao.ledger import verify_hetao, verify_log, verify_signatures
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.note import (
    COSIGNATURE,
    SUBTREE,
    Checkpoint,
    cosign,
    sign_checkpoint,
    vkey,
)
from hetao.ledger.policy import parse_policy
from hetao.ledger.verify_hetao import Refused, verify
from hetao.ledger.verify_log import Note, check_policy, root_of
from hetao.ledger.verify_signatures import BASE, L, holds, holds_44
from support_federation import (
    restated,
    with_a_longer_checkpoint,
    with_a_release_left_out,
)
from support_witness import UNNAMED

VECTORS = Path(__file__).parents[1] / "vectors" / "ledger"


def test_a_certificate_verifies_with_and_without_its_integers(small_run, model_run):
    for run in (small_run, model_run):
        for data in (run.certificate, published(run.certificate)):
            assert len(verify(data)) == 7


def test_it_runs_alone_in_a_python_without_any_library(small_run, tmp_path):
    """-I -S: no site-packages, no environment, nothing of ours to import."""
    copy = tmp_path / "verify_hetao.py"
    copy.write_bytes(one_file())
    (tmp_path / "good.json").write_bytes(small_run.certificate)
    bad = small_run.certificate.replace(b'"cell":10', b'"cell":11', 1)
    (tmp_path / "bad.json").write_bytes(bad)

    said = {}
    for name, *policy in (("good",), ("bad",), ("good", "--policy", "hubs")):
        said[" ".join([name, *policy])] = subprocess.run(
            [sys.executable, "-I", "-S", str(copy), f"{name}.json", *policy],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"]},
        )

    assert said["good"].returncode == 7, said["good"]
    assert f"{UNNAMED}  A toy" in said["good"].stdout
    hubs = said["good --policy hubs"]
    assert hubs.returncode == 0, hubs
    assert "VERIFIED, SEEN BY NOBODY INDEPENDENT  A toy" in hubs.stdout
    for words in verify_hetao.NOT_CHECKED:
        assert words in said["good"].stdout
    assert (said["bad"].returncode, said["bad"].stdout[:8]) == (6, "REFUSED ")


def test_it_is_written_for_python_3_9_and_imports_the_standard_library_alone():
    tree = ast.parse(one_file(), feature_version=(3, 9))
    named = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        str(node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }

    made = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    made += [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in ast.walk(node)
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
    ]

    assert len(made) == len(set(made))  # no part of it hides a name of another
    assert named <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


def test_flipped_bits_are_refused_wherever_they_are(small_run):
    """A slice; `benchmarks/mutated.py` takes every byte."""
    spoilt = bytearray(small_run.certificate)
    draw = np.random.default_rng(5)
    for place in draw.integers(0, len(spoilt), 40).tolist():
        spoilt[place] ^= 1
        with pytest.raises(Refused):
            verify(bytes(spoilt))
        spoilt[place] ^= 1


def test_any_bytes_are_refused_and_nothing_else_raised(small_run):
    shaped = {"body": {}, "log": {}, "signature": "", "sums": {}}
    for data in (b"", b"{}", b"\xff", b"[" * 5000, canonical(shaped)):
        with pytest.raises(Refused):
            verify(data)
    for size in range(0, len(small_run.certificate), 997):
        with pytest.raises(Refused):
            verify(small_run.certificate[:size])


def test_a_lying_issuer_is_refused_by_both(model_run):
    """The coordinator signs anew what a site, a hub or the log did not say."""

    def other_release(body):
        body["rounds"][1]["receipts"]["a"]["body"]["at"] = "2026-11-22T09:00:00Z"

    def swapped(body):
        one, two = body["rounds"][0]["totals"].values()
        one["signature"], two["signature"] = two["signature"], one["signature"]

    def other_place(body):
        receipt = body["rounds"][1]["receipts"]["a"]
        new = restated(model_run, receipt, "a", run="0" * 32)
        body["rounds"][1]["receipts"]["a"] = new

    def left_out(body):
        body["sites"].pop()

    def late(body):
        body["issued"] = "2026-11-22T12:00:00Z"

    for spoil in (other_release, swapped, other_place, left_out, late):
        body = model_run.body
        spoil(body)
        data = model_run.resigned(body)
        with pytest.raises(Unverified):
            verify_certificate(data)
        with pytest.raises(Refused):
            verify(data)
    for hub in ("hub-hk", "hub-sz"):
        with pytest.raises(Refused, match="cosign"):
            verify(model_run.resigned(model_run.body, without=hub))
    assert verify(model_run.resigned(model_run.body))


def nothing_said(body):
    body["rounds"], body["sites"] = [], []


def no_finding(body):
    body["findings"] = []


def one_too_few(body):
    body["findings"].pop()


def a_round_left_out(body):
    body["rounds"].pop()


def every_site_lost(body):
    body["lost"] = {entry["name"]: "silent" for entry in body["sites"]}
    body["sites"] = []


def a_member_more(body):
    body["findings"][0]["members"] = [*body["findings"][0]["members"], "z"]


ALONE = [nothing_said, no_finding, one_too_few, a_round_left_out, every_site_lost]
ALONE += [a_member_more]


@pytest.mark.parametrize("spoil", ALONE, ids=lambda f: f.__name__)
def test_a_coordinator_alone_certifies_no_finding(model_run, spoil):
    """Lists that it leaves empty or cuts short leave nothing unsaid."""
    body = model_run.body
    spoil(body)
    data = model_run.resigned(body)

    with pytest.raises(Unverified):
        verify_certificate(data)
    with pytest.raises(Refused):
        verify(data)


def test_a_later_attempt_that_a_site_logged_may_not_be_left_out(model_run):
    """Of two attempts an issuer would otherwise certify the one that it likes."""
    earlier, later = (with_a_release_left_out(model_run, n) for n in (0, 2))

    assert verify(earlier)
    with pytest.raises(Unverified, match="left out"):
        verify_certificate(later)
    with pytest.raises(Refused, match="left out"):
        verify(later)


def test_a_checkpoint_of_more_lines_is_refused(model_run):
    longer = with_a_longer_checkpoint(model_run)

    with pytest.raises(Unverified):
        verify_certificate(longer)
    with pytest.raises(Refused):
        verify(longer)


def test_a_record_of_another_kind_or_analysis_is_no_release(model_run):
    for change in ({"kind": "ready"}, {"type": "x"}, {"analysis": "x"}, {"round": 9}):
        body = model_run.body
        receipts = body["rounds"][0]["receipts"]
        receipts["a"] = restated(model_run, receipts["a"], "a", **change)
        with pytest.raises(Refused, match="belongs elsewhere"):
            verify(model_run.resigned(body))


def test_what_a_file_says_cannot_turn_or_wipe_the_screen(small_run, tmp_path, capsys):
    """A name of a party, or a title, is somebody's text: controls are written out."""
    path, name = tmp_path / "certificate.json", b'"name":"coordinator"'
    bent = b'"name":"\\u001b[2Jc\xe2\x80\xae"'  # wipes the screen, turns what follows
    path.write_bytes(small_run.certificate.replace(name, bent))

    assert verify_hetao.main([str(path)]) == 6

    said = capsys.readouterr().out
    assert said == "REFUSED  \\u001b[2Jc\\u202e did not sign what stands here\n"


def test_the_keys_that_nobody_vouched_for_are_always_named(small_run, tmp_path, capsys):
    path = tmp_path / "certificate.json"
    path.write_bytes(small_run.certificate)
    hub = small_run.cast.directory["hub-hk"]

    assert verify_hetao.main([str(path), "--key", f"{hub.name}={hub.fingerprint}"]) == 7

    said = capsys.readouterr().out
    for name, party in verify_hetao.Certificate(small_run.certificate).parties.items():
        line = f"  {small_run.cast.directory[name].fingerprint}  {party['name']}\n"
        assert (line in said) is (name != hub.name)


def test_the_readers_own_keys_and_policy_are_asked(small_run):
    people = small_run.cast.directory
    boss, hub = people["coordinator"], people["hub-hk"]
    log = vkey(boss.name, boss.sign_key)
    eye = vkey(hub.name, hub.sign_key, COSIGNATURE)
    good = f"log {log}\nwitness hk {eye}\ngroup G all hk\nquorum G\n"
    other = vkey(hub.name, boss.sign_key, COSIGNATURE)

    said = "seen by hk, NOBODY INDEPENDENT; of the log, no ML-DSA-44 key listed"
    assert verify(small_run.certificate, good)[-1] == said
    for bad in (
        good.replace(eye, other),
        f"log {other}\nquorum none\n",
        good.replace("quorum G\n", ""),
        good.replace("group G all hk", "group G 2 hk"),
    ):
        with pytest.raises(Refused):
            verify(small_run.certificate, bad)
    assert verify(small_run.certificate, keys={hub.name: hub.fingerprint})
    for wrong in ({hub.name: boss.fingerprint}, {"nobody": hub.fingerprint}):
        with pytest.raises(Refused, match="another one"):
            verify(small_run.certificate, keys=wrong)


def test_a_policy_of_nothing_is_one_that_says_nothing(small_run, tmp_path, capsys):
    """Not one that was not given; and what stands behind # may be in any encoding."""
    path, own = tmp_path / "certificate.json", tmp_path / "own.policy"
    path.write_bytes(small_run.certificate)
    boss = small_run.cast.directory["coordinator"]
    log = f"log {vkey(boss.name, boss.sign_key)}\nquorum none\n".encode()
    big5 = b"# \xa6V\xff\n"
    for data, code in ((b"", 6), (big5 + log, 0)):
        own.write_bytes(data)
        assert verify_hetao.main([str(path), "--policy", str(own)]) == code
        said = capsys.readouterr().out
        assert ("VERIFIED" in said, "REFUSED" in said) == (code == 0, code == 6)
    hub = small_run.cast.directory["hub-hk"].sign_key
    eye = vkey("eye", hub, COSIGNATURE).encode()
    own.write_bytes(log[:-12] + b"witness \xff " + eye + b"\nquorum \xff\n")
    assert parse_policy(own.read_bytes()).quorum == "\udcff"
    assert verify_hetao.main([str(path), "--policy", str(own)]) == 6


# --- the same vectors as the library ------------------------------------------------
def test_signatures_hold_where_those_of_the_library_do():
    draw = np.random.default_rng(3)
    for number in range(24):
        key = Ed25519PrivateKey.from_private_bytes(draw.bytes(32))
        public, message = key.public_key().public_bytes_raw(), draw.bytes(number)
        good = key.sign(message)
        bent = bytearray(good)
        bent[number * 2] ^= 1 << number % 8
        more = good[:32] + (int.from_bytes(good[32:], "little") + L).to_bytes(
            32, "little"
        )
        assert holds(public, good, message)
        for signature in (bytes(bent), more, good[:63], b""):
            assert holds(public, signature, message) is by_library(
                public, signature, message
            )


def test_keys_with_a_part_of_small_order_are_taken_as_the_library_takes_them():
    """A sum of a key's points that were worked out before must be that key's own."""
    odd = bytes.fromhex(
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    )
    some = verify_signatures._point(odd)
    key = verify_signatures._bytes(verify_signatures._product(7, BASE, 4, some))
    nonce = verify_signatures._bytes(
        verify_signatures._product(9, BASE, 4, (0, 1, 1, 0))
    )
    held = set()
    for number in range(24):
        message = bytes([number])
        h = int.from_bytes(hashlib.sha512(nonce + key + message).digest(), "little") % L
        signature = nonce + ((9 + 7 * h) % L).to_bytes(32, "little")

        held.add(holds(key, signature, message))
        assert holds(key, signature, message) is by_library(key, signature, message)
        assert holds(odd, odd + bytes(32), message) is by_library(
            odd, odd + bytes(32), message
        )
    assert held == {True, False}


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 31, 32, 33, 2**252 - 1, L - 1])
def test_a_product_is_the_same_by_multiples_of_any_width(number):
    """As many sums of the point itself, by doubling: no table, no digit but 0 and 1."""
    point = verify_signatures._point(BASE)
    wanted = (0, 1, 1, 0)
    for bit in f"{number:b}":
        wanted = verify_signatures._add(wanted, wanted)
        wanted = verify_signatures._add(wanted, point) if bit == "1" else wanted

    found = {
        verify_signatures._bytes(
            verify_signatures._product(number, BASE, width, (0, 1, 1, 0))
        )
        for width in (4, 6)
    }

    assert found == {verify_signatures._bytes(wanted)}


def by_library(public, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def by_library_44(public, signature, message):
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_second_signatures_hold_where_those_of_the_library_do():
    """Each part of a signature bent: challenge, z, and hints spelt otherwise."""
    draw = np.random.default_rng(44)
    key = MLDSA44PrivateKey.from_seed_bytes(draw.bytes(32))
    public, message = key.public_key().public_bytes_raw(), draw.bytes(99)
    hints, counts = 32 + 4 * 576, 32 + 4 * 576 + 80
    good = key.sign(message)  # by chance, and a few have no hint left to be padded
    while good[counts + 3] == 80:
        good = key.sign(message)
    bent = [good[:-1], good + b"\0", b""]
    for place in (0, 31, 32, 1_000, hints - 1, hints, hints + 1, counts, counts + 3):
        for change in (1, 128):
            one = bytearray(good)
            one[place] ^= change
            bent.append(bytes(one))
    swapped = bytearray(good)
    swapped[hints], swapped[hints + 1] = good[hints + 1], good[hints]
    doubled = bytearray(good)
    doubled[hints + 1] = good[hints]
    padded = bytearray(good)
    padded[counts - 1] = 7  # past the last hint
    large = good[:32] + b"\0" * 576 + good[32 + 576 :]  # z of 2^17

    assert holds_44(public, good, message)
    for signature in (*bent, bytes(swapped), bytes(doubled), bytes(padded), large):
        assert holds_44(public, signature, message) is False
        if len(signature) == 2420:
            assert by_library_44(public, signature, message) is False
    other = bytearray(public)
    other[700] ^= 4
    for key_of, said in ((bytes(other), message), (public, message + b"\0")):
        assert holds_44(key_of, good, said) is by_library_44(key_of, good, said)
    assert not holds_44(public[:-1], good, message)


def test_a_policy_asks_for_both_lines_of_a_log_and_names_witnesses_apart():
    """Logs, witnesses and quorum by keys of their own: what the library refuses too."""
    draw = np.random.default_rng(6)
    log = Ed25519PrivateKey.from_private_bytes(draw.bytes(32))
    second = MLDSA44PrivateKey.from_seed_bytes(draw.bytes(32))
    eye = MLDSA44PrivateKey.from_seed_bytes(draw.bytes(32))
    seen = Checkpoint("log.example.org", 3, b"\7" * 32)
    one, both = (sign_checkpoint(seen, log, beside) for beside in (None, second))
    keys = [vkey(seen.origin, log.public_key()),
            vkey(seen.origin, second.public_key(), SUBTREE),
            vkey("eye.example.org", eye.public_key(), SUBTREE)]  # fmt: skip
    first, other, witness = keys
    plain, asked = f"log {first}\n", f"log {first}\nlog {other}\n"

    assert check_policy(plain + "quorum none\n", Note(both), {}).endswith("key listed")
    assert check_policy(asked + "quorum none\n", Note(both), {}).endswith("line holds")
    with pytest.raises(Refused, match="ML-DSA-44 line of the log"):
        check_policy(asked + "quorum none\n", Note(one), {})
    spoilt = both[:-40] + ("A" if both[-40] != "A" else "B") + both[-39:]
    with pytest.raises(Refused):
        check_policy(asked + "quorum none\n", Note(spoilt), {})
    lines = f"witness eye {witness}\nquorum eye\n"
    cosigned = both + cosign(both, "eye.example.org", eye, 1_800_000_000)
    assert check_policy(asked + lines, Note(cosigned), {}).startswith("seen by eye; ")
    with pytest.raises(Refused, match="quorum eye"):
        check_policy(asked + lines, Note(both), {})
    for text in (
        asked + f"witness eye {other}\nquorum eye\n",  # the log, as its own witness
        plain + f"log {first}\nquorum none\n",
        asked + "quorum none\nquorum none\n",
        asked + lines.replace("\n", "\r\n"),
        asked + f"witness eye {witness[:-1]}\nquorum eye\n",
    ):
        with pytest.raises(InvalidData):
            parse_policy(text.encode())
        with pytest.raises(Refused):
            check_policy(text, Note(cosigned), {})


def test_paths_lead_where_the_library_says():
    from hetao.ledger.merkle import inclusion_path, leaf_hash, root

    entries = [bytes([i]) for i in range(40)]
    leaves = [leaf_hash(e) for e in entries]
    for size in (1, 2, 3, 7, 8, 9, 31, 40):
        for index in range(size):
            path = inclusion_path(index, leaves[:size])
            assert root_of(index, size, entries[index], path) == root(leaves[:size])
            if path:
                with pytest.raises(Refused):
                    root_of(index, size, entries[index], path[:-1])
            with pytest.raises(Refused):
                root_of(index, size, entries[index], [*path, leaves[0]])


def test_canonical_text_is_that_of_the_library():
    values = [0.1, 1e21, 1e-7, -0.0, 123456789012345680.0, 5e-324, 1.5, [], {}]
    values += [{"\U0001f600": 1, "\ufb33": [None, True], "ö": 'a"\\\n\x1f'}, 2**53 - 1]

    for value in values:
        assert verify_log.canonical(value) == canonical(value)
        assert verify_log.read(canonical(value)) == parse_canonical(canonical(value))


def test_the_notes_that_go_signed_are_read_alike():
    """The vectors of the library, Go's own among them."""
    vectors = json.loads((VECTORS / "note.json").read_text("utf-8"))
    for signer in vectors["published"]["signers"]:
        name, _, packed = signer["vkey"].split("+", 2)
        key = base64.b64decode(packed)[1:]
        line = signer["line"].split(" ")
        signature = base64.b64decode(line[2])

        assert signature[:4] == verify_log.key_id(name, 1, key)
        assert holds(key, signature[4:], vectors["published"]["text"].encode())
        assert not holds(key, signature[4:], b"another text")
