"""One text that proves, with nothing else than a policy, that an entry was logged.

The text is C2SP tlog-proof: where the entry stands, the path from it to the root, and
the checkpoint with its signatures. It holds the entry's hash only through its path;
whoever verifies has the entry.

    c2sp.org/tlog-proof@v1
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
    ...

    log.example.org/study
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — log.example.org/study hI2DJw...
    — witness.example.org/w1 mJirIk...

Specification: `docs/specs/log.md`.
"""

from dataclasses import dataclass
from typing import Final

from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import HASH_BYTES, LARGEST_SIZE, leaf_hash, verify_inclusion
from hetao.ledger.note import from_base64, is_decimal, parse_note, to_base64
from hetao.ledger.policy import Policy, Seen

HEADER: Final = "c2sp.org/tlog-proof@v1"
LARGEST: Final = 2 * 2**20  # bytes of a proof
LONGEST_PATH: Final = 63  # hashes: no tree is deeper


@dataclass(frozen=True)
class Proof:
    """Where an entry stands in a log, and what shows it.

    Attributes:
        index: of the entry, from 0.
        path: the hashes from beside the entry up to below the root.
        note: the log's checkpoint, with every signature.
        extra: opaque bytes that travel along and that nothing vouches for; None for
            none.

    Raises:
        InvalidData: it could not be written as a proof.
    """

    index: int
    path: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what has no text."""
        if not 0 <= self.index < LARGEST_SIZE:
            raise InvalidData("a proof's index lies outside 0..2^63-2")
        if len(self.path) > LONGEST_PATH:
            raise InvalidData("a proof's path is longer than any tree is deep")
        if any(len(one) != HASH_BYTES for one in self.path):
            raise InvalidData("a proof's path holds something else than hashes")

    @property
    def text(self) -> str:
        """The proof as text, one spelling for each proof."""
        extra = [] if self.extra is None else [f"extra {to_base64(self.extra)}"]
        path = [to_base64(one) for one in self.path]
        lines = [HEADER, *extra, f"index {self.index}", *path]
        return "\n".join(lines) + "\n\n" + self.note

    def verify(self, entry: bytes, policy: Policy) -> Seen:
        """Return what the proof's checkpoint proves, when the entry stands under it.

        Args:
            entry: the bytes that were logged.
            policy: the verifier's own.

        Raises:
            Unverified: the checkpoint does not hold under the policy, or the entry is
                not in its tree at this index.
        """
        seen = policy.check(self.note)
        tree = seen.checkpoint
        verify_inclusion(self.index, tree.size, leaf_hash(entry), self.path, tree.root)
        return seen


def parse_proof(text: str) -> Proof:
    """Return the proof of a text; nothing of it is verified yet.

    Raises:
        Unverified: it is not a proof, to the byte.

    Source:
        C2SP tlog-proof. Test: `tests/unit/test_log_proof.py`.
    """
    if not isinstance(text, str) or len(text) > LARGEST:
        raise Unverified("a proof is not text, or too long")
    head, blank, note = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not blank:
        raise Unverified("the text is no proof, or is cut short")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = from_base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise Unverified("a proof does not say where its entry stands")
    index = lines.pop(0).removeprefix("index ")
    if not is_decimal(index):
        raise Unverified("a proof's index is not a plain decimal")
    parse_note(note)
    try:
        return Proof(int(index), tuple(map(from_base64, lines)), note, extra)
    except InvalidData as error:
        raise Unverified(error.what) from error
