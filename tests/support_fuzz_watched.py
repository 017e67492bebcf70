"""Parsers to fuzz: of what a log sends its witnesses, and what they answer."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import Unverified
from hetao.ledger.merkle import consistency_path, leaf_hash, root
from hetao.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    Verifier,
    cosign,
    sign_checkpoint,
)
from hetao.ledger.submission import Submission
from hetao.ledger.witness import Witness
from hetao.transparency import client
from hetao.transparency.static import place_of
from hetao.transparency.witness import answer
from support_parsers import Parsers, of_text

WHEN = 1_700_000_000


@functools.cache
def of_witnesses() -> Parsers:
    """Return the parsers of a witness, of its answer, and of the name of a tile."""
    key = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
    own = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
    leaves = [leaf_hash(b"%d" % i) for i in range(7)]
    old, note = (
        sign_checkpoint(Checkpoint("log.example", n, root(leaves[:n])), key)
        for n in (3, 7)
    )
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    witness = Witness.open(folder / "seen", "w.example", own, lambda: WHEN)
    atexit.register(witness.close)
    witness.trust("log.example", key.public_key())
    witness.add_checkpoint("log.example", key.public_key(), 0, old, [])
    grown = Submission(3, tuple(consistency_path(3, leaves)), note).text
    eye = Verifier.of("w.example", own.public_key(), COSIGNATURE)

    def asked(text: str) -> object:
        said = answer(witness, text)
        if said.status not in (200, 409):  # 409 once the true one was seen
            raise Unverified(said.body)
        return said

    def named(text: str) -> object:
        place = place_of(text)
        if place is None:
            raise Unverified("no tile is named so")
        return place

    return {
        "submission to a witness": (of_text(asked), grown.encode()),
        "answer of a witness": (
            of_text(lambda text: client._line_of(note, text, eye)),
            cosign(note, "w.example", own, WHEN).encode(),
        ),
        "name of a tile": (of_text(named), b"tile/entries/x001/x234/067.p/12"),
    }
