"""What a log hands a witness has one spelling."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import consistency_path, leaf_hash, root
from hetao.ledger.note import Checkpoint, sign_checkpoint
from hetao.ledger.submission import Submission, parse_submission

LEAVES = [leaf_hash(b"%d" % i) for i in range(11)]
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
NOTE = sign_checkpoint(Checkpoint("log.example", 11, root(LEAVES)), KEY)
SUBMISSION = Submission(5, tuple(consistency_path(5, LEAVES)), NOTE)
TEXT = SUBMISSION.text
HASH = base64.b64encode(bytes(32)).decode()


def test_a_submission_reads_back_as_written():
    for one in (SUBMISSION, Submission(0, (), NOTE), Submission(11, (), NOTE)):
        assert parse_submission(one.text) == one
    assert parse_submission(TEXT).checkpoint.size == 11


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        TEXT.encode(),
        NOTE,
        "\n\n" + NOTE,
        f"old\n\n{NOTE}",
        f"old \n\n{NOTE}",
        f"old 05\n\n{NOTE}",
        f"old -1\n\n{NOTE}",
        f"old \u0665\n\n{NOTE}",
        f"old 12\n\n{NOTE}",
        f"old {2**63}\n\n{NOTE}",
        f" old 5\n\n{NOTE}",
        f"old 5\n{HASH[:-1]}\n\n{NOTE}",
        f"old 5\n{base64.b64encode(bytes(31)).decode()}\n\n{NOTE}",
        "old 5\n" + f"{HASH}\n" * 64 + f"\n{NOTE}",
        TEXT.replace("\n", "\r\n"),
        TEXT + "\n",
        TEXT.partition("\n\n")[0],
        "old 0\n\ntext\n\n\u2014 log.example AAAAAAA=\n",
        "x" * 2**20 + TEXT,
    ],
)
def test_what_is_no_submission_is_refused(text):
    with pytest.raises(Unverified):
        parse_submission(text)


@pytest.mark.parametrize(
    ("old", "path"), [(-1, ()), (2**63, ()), (0, (b"x",)), (0, (bytes(32),) * 64)]
)
def test_no_submission_is_made_that_could_not_be_read(old, path):
    with pytest.raises(InvalidData):
        Submission(old, path, NOTE)
