"""Programs that share no line with ours accept our log, witnesses and proofs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey, VkeySet
from tlog_scales.tlog import InclusionProof
from tlog_scales.utils import sha256

from hetao.ledger.log import Log
from hetao.ledger.note import (
    COSIGNATURE,
    SUBTREE,
    Checkpoint,
    cosign,
    sign_checkpoint,
    vkey,
)
from hetao.ledger.proof import Proof
from hetao.transparency.static import export

ORIGIN, WITNESS = "log.example.org/study", "witness.example.org/w1"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
BESIDE = MLDSA44PrivateKey.from_seed_bytes(b"\3" * 32)
SIZE = 300  # more than a tile, and a part of one
NOW = 1_700_000_000
SOURCE = Path(__file__).parents[1] / "foreign" / "readlog.go"


def entry(i):
    return b"entry %d" % i * (i % 7)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A log as static files, cosigned, with a proof of three entries beside it."""
    folder = tmp_path_factory.mktemp("published")
    with Log.open(folder / "log.sqlite", ORIGIN, KEY) as log:
        log.append([entry(i) for i in range(SIZE)])
        export(log, folder / "out")
        tree = Checkpoint(ORIGIN, SIZE, log.root(SIZE))
        note = sign_checkpoint(tree, KEY, BESIDE)
        for key in (WITNESS_KEY, BESIDE):
            note += cosign(note, WITNESS, key, NOW)
        (folder / "out" / "checkpoint").write_text(note)
        for i in (0, 255, SIZE - 1):
            proof = Proof(i, tuple(log.inclusion(i)), note, b"x" if i else None)
            (folder / f"{i}.tlog-proof").write_text(proof.text)
            (folder / f"{i}.entry").write_bytes(entry(i))
    return folder


@pytest.fixture(scope="module")
def go(tmp_path_factory):
    """The Go program, built from Debian's packages alone."""
    folder = tmp_path_factory.mktemp("go")
    settings = {
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
    }
    build = ["go", "build", "-o", folder / "readlog", SOURCE]
    subprocess.run(build, env={**os.environ, **settings}, check=True)
    return folder / "readlog"


def read_by_go(go, folder, *proofs):
    keys = (
        vkey(ORIGIN, KEY.public_key()),
        vkey(WITNESS, WITNESS_KEY.public_key(), COSIGNATURE),
    )
    done = subprocess.run(
        [go, folder, *keys, *proofs], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def proofs_in(folder):
    return [
        folder / f"{i}.{kind}"
        for i in (0, 255, SIZE - 1)
        for kind in ("tlog-proof", "entry")
    ]


def test_go_reads_the_log_its_cosignature_and_its_proofs(go, published):
    code, said = read_by_go(go, published / "out", *proofs_in(published))

    assert (code, said.splitlines()) == (
        0,
        [
            f"size {SIZE}, 2 signatures, every record and older tree proved",
            *["proof holds, 2 signatures"] * 3,
        ],
    )


@pytest.mark.parametrize(
    "file", ["out/checkpoint", "out/tile/0/000", "out/tile/entries/001.p/44"]
)
def test_go_refuses_a_file_with_one_byte_changed(go, published, tmp_path, file):
    shutil.copytree(published, tmp_path / "copy")
    data = bytearray((tmp_path / "copy" / file).read_bytes())
    data[30] ^= 1  # within what the log signed
    (tmp_path / "copy" / file).write_bytes(data)

    code, said = read_by_go(go, tmp_path / "copy" / "out")

    assert code == 1, said


def test_go_refuses_a_proof_of_another_entry(go, published, tmp_path):
    (tmp_path / "entry").write_bytes(b"another")
    proof = published / "255.tlog-proof"

    assert read_by_go(go, published / "out", proof, tmp_path / "entry")[0] == 1


# --- tlog-scales --------------------------------------------------------------------
def test_tlog_scales_reads_the_log_and_proves_from_its_tiles(published):
    reader = TilesReader(LocalBackend(published / "out"))
    checkpoint = reader.get_checkpoint()

    assert reader.calculate_root_hash() == checkpoint.root_hash
    for i in (0, 1, 255, 256, SIZE - 1):
        assert reader.get_entry(i) == entry(i)
        proof = reader.get_inclusion_proof(i, SIZE)
        proof.check(sha256(b"\x00" + entry(i)), checkpoint.root_hash)
    with Log.open(published / "log.sqlite", ORIGIN, KEY) as log:
        for i in (0, 7, SIZE - 1):
            ours = InclusionProof(i, SIZE, log.inclusion(i))
            ours.check(sha256(b"\x00" + entry(i)), checkpoint.root_hash)
            theirs = reader.get_consistency_proof(i + 1, SIZE)
            assert theirs.node_hashes == log.consistency(i + 1)


def test_tlog_scales_verifies_every_line_ed25519_and_ml_dsa_44(published):
    checkpoint = TilesReader(LocalBackend(published / "out")).get_checkpoint()
    keys = (
        vkey(ORIGIN, KEY.public_key()),
        vkey(ORIGIN, BESIDE.public_key(), SUBTREE),
        vkey(WITNESS, WITNESS_KEY.public_key(), COSIGNATURE),
        vkey(WITNESS, BESIDE.public_key(), SUBTREE),
    )

    assert len(checkpoint.signatures) == 4
    for key in keys:
        checkpoint.verify(Vkey.from_string(key))
    known = VkeySet(*(Vkey.from_string(key) for key in keys))
    assert len(known.verify(checkpoint.signatures, checkpoint)) == 4
