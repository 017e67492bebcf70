"""A log's name and its keys: what signs its checkpoints, and knows them again.

A log has an Ed25519 key, and may have an ML-DSA-44 key beside it, which no quantum
computer breaks. With both, each checkpoint bears two lines. What the log itself holds
to be its own is decided by the first: so a log gets a second key at any time.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.errors import Unverified
from hetao.ledger.note import (
    LOG_SIGNATURE,
    SUBTREE,
    Checkpoint,
    Verifier,
    open_note,
    parse_checkpoint,
    shortened,
    sign_checkpoint,
)

LogKeys = Ed25519PrivateKey | tuple[Ed25519PrivateKey, MLDSA44PrivateKey]


def signer_of(origin: str, keys: LogKeys) -> "LogSigner":
    """Return who signs a log of this name with one key, or with a pair."""
    return LogSigner(origin, *(keys if isinstance(keys, tuple) else (keys,)))


@dataclass(frozen=True)
class LogSigner:
    """Who signs a log; no repr of keys.

    Attributes:
        origin: the log's name.
        key: its key.
        beside: its second key; None for none.
    """

    origin: str
    key: Ed25519PrivateKey
    beside: MLDSA44PrivateKey | None = None

    def __repr__(self) -> str:
        """Return the name only."""
        return f"LogSigner({self.origin!r})"

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """What others are given to verify it: Ed25519, and ML-DSA-44 if it has one."""
        first = Verifier.of(self.origin, self.key.public_key(), LOG_SIGNATURE)
        if self.beside is None:
            return (first,)
        return first, Verifier.of(self.origin, self.beside.public_key(), SUBTREE)

    def sign(self, checkpoint: Checkpoint) -> str:
        """Return the note of a checkpoint, under a line of each key."""
        return sign_checkpoint(checkpoint, self.key, self.beside)

    def is_own(self, note: str) -> bool:
        """Return whether a text is a checkpoint of this log, and nothing more.

        That is: three lines, then one of its first key, then at most one of its second,
        each as it signs them.
        """
        try:
            text, signed = open_note(note, self.verifiers)
            exact = shortened(note, *self.verifiers)
            origin = parse_checkpoint(text).origin
        except Unverified:
            return False
        own = self.verifiers[0] in signed and not any(signed.values())
        return own and note == exact and origin == self.origin

    def verified(self, note: str | None) -> Checkpoint:
        """Return the checkpoint of the head's note, found to be this log's.

        Raises:
            Unverified: there is no note, the log did not sign it, or a line that bears
                the name and id of one of its keys does not hold.
        """
        if note is None:
            raise Unverified(
                "the log has lost what remembers what it signed last",
                fix="bring back the head that belongs to it",
            )
        first = self.verifiers[0]
        text, signed = open_note(note, self.verifiers)
        if first not in signed:
            raise Unverified(
                f"the note bears no signature of {self.origin} by the expected key"
            )
        checkpoint = parse_checkpoint(text)
        if checkpoint.origin != self.origin:
            raise Unverified("the head's checkpoint is of another log")
        return checkpoint
