"""What a log hands a witness: its new checkpoint, and what shows that it only grew.

The text is the body of C2SP tlog-witness's `add-checkpoint`:

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    ...

    log.example.org/study
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — log.example.org/study Az3grl...
"""

from dataclasses import dataclass
from typing import Final

from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import HASH_BYTES, LARGEST_SIZE
from hetao.ledger.note import (
    Checkpoint,
    from_base64,
    is_decimal,
    parse_checkpoint,
    parse_note,
    to_base64,
)

LARGEST: Final = 2**20  # bytes of a submission
LONGEST_PATH: Final = 63  # hashes


@dataclass(frozen=True)
class Submission:
    """A checkpoint, and the consistency path to it from an older size.

    Raises:
        InvalidData: it could not be written.
    """

    old: int
    path: tuple[bytes, ...]
    note: str

    def __post_init__(self) -> None:
        """Refuse what has no text."""
        if not 0 <= self.old <= LARGEST_SIZE or len(self.path) > LONGEST_PATH:
            raise InvalidData("a submission's old size or path has no text")
        if any(len(one) != HASH_BYTES for one in self.path):
            raise InvalidData("a submission's path holds something else than hashes")

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint in the note; no signature of it is verified.

        Raises:
            Unverified: the note holds none.
        """
        return parse_checkpoint(parse_note(self.note)[0])

    @property
    def text(self) -> str:
        """The submission as text, one spelling for each."""
        lines = [f"old {self.old}", *(to_base64(one) for one in self.path)]
        return "\n".join(lines) + "\n\n" + self.note


def parse_submission(text: str) -> Submission:
    """Return the submission of a text; nothing of it is verified yet.

    Raises:
        Unverified: it is none, to the byte, or its note is no checkpoint.

    Source:
        C2SP tlog-witness v1.0.0. Test: `tests/unit/test_submission.py`.
    """
    if not isinstance(text, str) or len(text) > LARGEST:
        raise Unverified("a submission is not text, or too long")
    head, blank, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = first.removeprefix("old ")
    if not blank or old == first or not is_decimal(old):
        raise Unverified("a submission does not begin with its old size")
    try:
        found = Submission(int(old), tuple(from_base64(one) for one in lines), note)
    except InvalidData as error:
        raise Unverified(error.what) from error
    if found.old > found.checkpoint.size:
        raise Unverified("a submission's old size is larger than its checkpoint's")
    return found
