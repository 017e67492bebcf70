"""A reader of a log accepts what only grew, and two readers find two histories."""

import contextlib
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.cli.main import main
from hetao.errors import InvalidData, Refused, Unreachable, Unverified, Usage
from hetao.ledger.fraud import read_fraud
from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, root
from hetao.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    Verifier,
    cosign,
    sign_checkpoint,
    vkey,
)
from hetao.ledger.policy import parse_policy
from hetao.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, cut
from hetao.ledger.witness import Witness
from hetao.transparency.follower import ACCEPTED, Reader, compare, notes_at, reader_of
from hetao.transparency.static import export, places

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
EYE = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
LOG = Verifier.of(ORIGIN, KEY.public_key(), 1)
SEEN = vkey("w.example", EYE.public_key(), COSIGNATURE)
POLICY = parse_policy(f"log {LOG.vkey}\nwitness w {SEEN}\nquorum w\n".encode())


def tree(size, changed=None):
    return [leaf_hash(b"%d" % i + b"x" * (i == changed)) for i in range(size)]


def note_of(leaves, key=KEY, origin=ORIGIN, seen=True):
    note = sign_checkpoint(Checkpoint(origin, len(leaves), root(leaves)), key)
    return note + cosign(note, "w.example", EYE, 1_700_000_000) if seen else note


def showing(leaves, **made):
    """Return the static files of a log of these leaves, without its entries."""
    files = {"checkpoint": note_of(leaves, **made).encode()}
    levels, hashes = [], list(leaves)
    while hashes:
        levels.append(hashes)
        hashes = [root(tile) for tile in cut(hashes) if len(tile) == TILE_WIDTH]
    for place in places(len(leaves), with_entries=False):
        start = place.number * TILE_WIDTH
        tile = levels[place.level][start : start + place.width]
        files[place.path] = b"".join(tile)
    assert TILE_HEIGHT == 8

    def read(name):
        if name not in files:
            raise Unreachable(name)
        return files[name]

    read.files = files
    return read


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path / "seen", POLICY)


def test_a_log_that_grows_is_accepted_at_each_size(reader):
    for size in (0, 1, 2, 3, 7, 8, 255, 256, 257, 512, 700, 70_000, 70_000):
        assert reader.follow(showing(tree(size))).size == size


def test_a_reader_reads_what_a_log_exports(tmp_path, reader):
    with Log.open(tmp_path / "log", ORIGIN, KEY) as log:
        for _ in range(3):
            log.append([b"entry %d" % i for i in range(200)])

            def seen(note):
                return note + cosign(note, "w.example", EYE, 1)

            export(log, tmp_path / "www", with_entries=False, cosigned=seen)
            assert reader.follow(reader_of(str(tmp_path / "www"))).size == log.size


def test_below_the_quorum_nothing_is_accepted_but_it_is_kept_to_compare(reader):
    with pytest.raises(Unverified, match="quorum"):
        reader.follow(showing(tree(8), seen=False))

    assert not (reader.folder / ACCEPTED).exists()
    assert notes_at(reader.folder) == [note_of(tree(8), seen=False)]


def test_what_the_log_did_not_sign_is_not_kept(reader):
    stranger = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)

    for wrong in ({"key": stranger}, {"origin": "other"}):
        with pytest.raises(Unverified):
            reader.follow(showing(tree(8), **wrong))
    assert list(reader.folder.iterdir()) == []


def test_a_rollback_is_refused_and_the_reader_keeps_what_it_had(reader):
    reader.follow(showing(tree(8)))

    with pytest.raises(Unverified, match="showed 8 before"):
        reader.follow(showing(tree(5)))
    assert notes_at(reader.folder) == [note_of(tree(8)), note_of(tree(5))]
    assert reader.follow(showing(tree(9))).size == 9


@pytest.mark.parametrize(("old", "new"), [(8, 8), (8, 20), (7, 20), (300, 900)])
def test_another_history_is_refused_and_proved(reader, old, new):
    reader.follow(showing(tree(old)))

    with pytest.raises(Unverified, match="two histories"):
        reader.follow(showing(tree(new, changed=5)))
    (proof,) = reader.folder.glob("fraud-*.json")
    assert ORIGIN in read_fraud(proof).verify([LOG])
    assert (reader.folder / ACCEPTED).read_text() == note_of(tree(old))


def test_hashes_that_lead_elsewhere_prove_nothing_and_are_refused(reader):
    """A log's server that lies about its tiles does not make the log a forger."""
    reader.follow(showing(tree(7)))
    lying = showing(tree(20))
    lying.files["tile/0/000.p/20"] = bytes(640)

    with pytest.raises(Unverified, match="do not lead"):
        reader.follow(lying)
    lying.files["tile/0/000.p/20"] = bytes(3)
    with pytest.raises(Unverified, match="lacks hashes"):
        reader.follow(lying)
    del lying.files["tile/0/000.p/20"]
    with pytest.raises(Unreachable):
        reader.follow(lying)
    assert list(reader.folder.glob("fraud-*")) == []


def test_what_a_log_signed_is_kept_though_it_shows_no_hashes_of_it(reader):
    """Else a log would show one reader a fork, and leave no trace of it."""
    reader.follow(showing(tree(7)))
    fork = showing(tree(20, changed=3))
    for name in [name for name in fork.files if name.startswith("tile/")]:
        del fork.files[name]

    with pytest.raises(Unreachable):
        reader.follow(fork)

    (kept,) = reader.folder.glob("shown-*")
    assert kept.read_text("utf-8") == note_of(tree(20, changed=3))
    with pytest.raises(Unverified, match="two histories"):
        compare(
            [kept.read_text("utf-8"), note_of(tree(20))],
            [LOG],
            reader.folder,
            showing(tree(20)),
        )


def test_a_short_tile_that_became_whole_meanwhile_is_read_there(reader):
    reader.follow(showing(tree(7)))
    grown = showing(tree(20))
    grown.files["tile/0/000"] = b"".join(tree(256))
    del grown.files["tile/0/000.p/20"]

    assert reader.follow(grown).size == 20


# --- Two readers ----------------------------------------------------------------------
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.data())
def test_readers_of_one_history_agree_and_of_two_prove_it(
    tmp_path_factory, sizes, data
):
    out = tmp_path_factory.mktemp("out")
    largest = max(sizes)
    agreed = compare(map(note_of, map(tree, sizes)), [LOG], out, showing(tree(largest)))
    assert agreed == len(set(sizes))
    changed = data.draw(st.integers(0, min(sizes) - 1))
    other = note_of(tree(min(sizes), changed=changed))

    with pytest.raises(Unverified, match="two histories"):
        compare(
            [*(note_of(tree(size)) for size in sizes), other],
            [LOG],
            out,
            showing(tree(largest)),
        )
    (proof,) = out.glob("fraud-*.json")
    read_fraud(proof).verify([LOG])


def test_of_two_sizes_nothing_is_said_without_hashes(tmp_path):
    with pytest.raises(Usage, match="hashes"):
        compare([note_of(tree(5)), note_of(tree(8))], [LOG], tmp_path, None)


def test_the_commands_compare_and_a_third_verifies_the_proof(tmp_path, capsys):
    for name, changed in (("one", None), ("same", None), ("other", 3)):
        Reader(tmp_path / name, POLICY).follow(showing(tree(8, changed)))
    words = ["--key", LOG.vkey, "--out", str(tmp_path)]

    same = [str(tmp_path / "one"), str(tmp_path / "same")]
    assert main(["log", "compare", *same, *words]) == 0
    assert "ONE HISTORY  1" in capsys.readouterr().out
    both = [str(tmp_path / "one"), str(tmp_path / "other")]
    assert main(["log", "compare", *both, *words]) == 6
    (proof,) = tmp_path.glob("fraud-*.json")
    assert proof.name in capsys.readouterr().err
    assert main(["log", "fraud", str(proof), "--key", LOG.vkey]) == 0
    assert "two different trees of size 8" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["http://log.example", "ftp://log.example"])
def test_a_log_elsewhere_is_read_over_https_alone(place):
    with pytest.raises(InvalidData, match="https"):
        reader_of(place)


@pytest.mark.parametrize(
    "rule", ["group q all w1 w2", "group q 2 w1 w2 w3", "group q 3 w1 w2 w3 w4"]
)
def test_whatever_each_witness_is_shown_first_one_history_has_the_quorum(
    tmp_path, rule
):
    """A log that parts its witnesses, in every way, satisfies nobody."""
    names = rule.split()[3:]
    keys = {name: Ed25519PrivateKey.generate() for name in names}
    lines = [
        f"witness {name} {vkey(name, key.public_key(), COSIGNATURE)}"
        for name, key in keys.items()
    ]
    text = "\n".join([f"log {LOG.vkey}", *lines, rule, "quorum q", ""])
    policy = parse_policy(text.encode())
    faces = [note_of(tree(8, changed), seen=False) for changed in (None, 3)]
    shown = {}  # name, face shown first -> the lines that it gives to each face
    for name, key in keys.items():
        for first in (0, 1):
            path = tmp_path / f"{name}-{first}"
            given = shown[name, first] = ["", ""]
            with Witness.open(path, name, key, lambda: 1) as eye:
                eye.trust(ORIGIN, KEY.public_key())
                for face in (first, 1 - first):
                    with contextlib.suppress(Refused, Unverified):
                        given[face] = eye.add_checkpoint(
                            ORIGIN, KEY.public_key(), eye.size(ORIGIN), faces[face], ()
                        )
    accepted = set()
    for firsts in itertools.product((0, 1), repeat=len(names)):
        held = []
        for face, note in enumerate(faces):
            pairs = zip(names, firsts, strict=True)
            whole = note + "".join(shown[pair][face] for pair in pairs)
            with contextlib.suppress(Unverified):
                held.append(policy.check(whole).checkpoint.root)
        assert len(held) <= 1
        accepted |= {*held}
    assert len(accepted) == 2  # either may be the one, and never both
