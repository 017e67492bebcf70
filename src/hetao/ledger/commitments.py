"""Acts → one root: secret nonces, a tree of which only the upper part is kept, proofs.

A leaf is `SHA-256(0x00 ‖ nonce ‖ act)`: 32 bytes of nonce that only the site can make,
and the act's canonical bytes. So a root says nothing about any act, equal acts have
unlike leaves, and an act that was shown cannot be another one.

Nonces come from keys that can be destroyed one by one. An extract has one random seed;
a person's key stands at a leaf of a tree of keys under it, each child the hash of its
parent. To destroy one, the keys of all others are kept (one for each level of the tree)
and the seed goes. Without the site's master secret none of these keys opens anything.

Only the standard library and `cryptography`. Specification: `docs/specs/provenance.md`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hetao.errors import Unverified, Usage
from hetao.ledger.merkle import (
    HASH_BYTES,
    inclusion_path,
    root,
    verify_inclusion,
)

KEY_BYTES: Final = 32
TILE: Final = 256  # leaves under one hash that is kept
ORDER, NONCE = b"hetao.acts/2 order ", b"hetao.acts/1 nonce "  # what a secret is for
_BRANCHES: Final = (b"hetao.acts/1 key \0", b"hetao.acts/1 key \1")  # to two children
SIZED: Final = b"\x02"  # keeps an extract's root apart from leaves and nodes

Keyed = Callable[[bytes], bytes]
Place = tuple[int, int]  # of a key: its level, 0 at the top, and where on it


def secret_for(master: bytes, purpose: bytes, extract: bytes) -> bytes:
    """Return a secret of one extract for one purpose, out of the site's master secret.

    Source:
        RFC 5869, HKDF with SHA-256.
    """
    return HKDF(SHA256(), KEY_BYTES, salt=extract, info=purpose).derive(master)


def keyed(secret: bytes) -> Keyed:
    """Return HMAC-SHA-256 under one secret of at most 64 bytes, for many messages.

    What the secret alone decides is hashed but once.

    Source:
        RFC 2104.
    """
    block = secret.ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(b ^ n for b in block)) for n in (0x36, 0x5C))

    def digest(message: bytes) -> bytes:
        first, last = inner.copy(), outer.copy()
        first.update(message)
        last.update(first.digest())
        return last.digest()

    return digest


def enciphered(secret: bytes, blocks: bytes) -> bytes:
    """Return AES-256 of blocks of 16 bytes, each by itself.

    What people are ordered by: neighbours reveal nothing, and no two are alike.
    """
    # S305: no text is hidden by it; each block is there but once, and none is shown.
    mode = modes.ECB()  # noqa: S305
    return Cipher(algorithms.AES(secret), mode).encryptor().update(blocks)


def nonces(key: bytes, count: int) -> bytes:
    """Return the nonces of a person's acts, 32 bytes each: a stream of AES-256-CTR.

    It counts from two, as AES-GCM does where it enciphers: one call of the library,
    which takes a third of what its counter mode alone takes to begin.
    """
    length = HASH_BYTES * count
    return AESGCM(key).encrypt(bytes(12), bytes(length), None)[:length]


@dataclass(frozen=True)
class PersonKeys:
    """The keys of an extract's people, by their place; some may be destroyed.

    Attributes:
        height: the tree of keys has 2^height leaves.
        kept: keys from which those of everybody else follow; at first the seed alone.
    """

    height: int
    kept: dict[Place, bytes]

    @classmethod
    def sown(cls, seed: bytes, people: int) -> Self:
        """Return the keys of that many people, under one seed."""
        return cls(max(people - 1, 0).bit_length(), {(0, 0): seed})

    def fits(self, people: int) -> bool:
        """Return whether these may be the keys of so many people: each has its place.

        Of two places beside each other the second may be nobody's.
        """
        deep = max(people - 1, 0).bit_length()
        return self.height == deep and all(
            0 <= level <= deep
            and 0 <= at < 1 << level
            and at & ~1 <= max(people - 1, 0) >> deep - level
            for level, at in self.kept
        )

    def of(self, place: int) -> bytes | None:
        """Return the key of one place; None where it was destroyed."""
        for level in range(self.height + 1):
            at = (level, place >> (self.height - level))
            if at in self.kept:
                key = self.kept[at]
                for below in range(self.height - level - 1, -1, -1):
                    key = _child(key, place >> below & 1)
                return key
        return None

    def each(self, people: int) -> list[bytes | None]:
        """Return the keys of the first so many places; each hash is worked out once."""
        keys: list[bytes | None] = [self.kept.get((0, 0))]
        for level in range(1, self.height + 1):
            keys = [
                key and hashlib.sha256(begin + key).digest()
                for key in keys
                for begin in _BRANCHES
            ]
            for (on, at), key in self.kept.items():
                if on == level:
                    keys[at] = key
            # As many as stand above these places, and no more.
            del keys[-(-people >> (self.height - level)) :]
        return keys[:people]

    def without(self, place: int) -> Self:
        """Return the keys of all others: nothing in them gives the one of this place.

        Raises:
            Usage: it was destroyed before.
        """
        for level in range(self.height + 1):
            at = (level, place >> (self.height - level))
            if at not in self.kept:
                continue
            kept = {key: value for key, value in self.kept.items() if key != at}
            key = self.kept[at]
            for below in range(level + 1, self.height + 1):
                step = place >> (self.height - below)
                kept[below, step ^ 1] = _child(key, step & 1 ^ 1)
                key = _child(key, step & 1)
            return type(self)(self.height, kept)
        raise Usage("the key of this person was destroyed before")


def _child(key: bytes, bit: int) -> bytes:
    return hashlib.sha256(_BRANCHES[bit] + key).digest()


class Tiles:
    """The upper part of a tree of acts: the root of every 256 leaves, and upwards."""

    def __init__(self, levels: Sequence[Sequence[bytes]], size: int) -> None:
        """Take what `from_leaves` or `from_bytes` made."""
        self.levels, self.size = levels, size

    @classmethod
    def from_leaves(cls, leaves: bytes) -> Self:
        """Return the upper part over leaf hashes, which stand behind each other."""
        starts = range(0, len(leaves), TILE * HASH_BYTES)
        first = [_tile_root(leaves[n : n + TILE * HASH_BYTES]) for n in starts]
        return cls(_above(first), len(leaves) // HASH_BYTES)

    @classmethod
    def from_bytes(cls, data: bytes, size: int, tree: bytes) -> Self:
        """Return the upper part that `as_bytes` wrote.

        Its lower levels are held to those above them where a path goes through them.

        Raises:
            Unverified: it is not of a tree of so many leaves, or of this root.
        """
        widths = [-(-size // TILE)]
        while widths[-1] > TILE:
            widths.append(-(-widths[-1] // TILE))
        hashes, levels = _apart(data), list[list[bytes]]()
        for width in widths:
            levels.append(hashes[:width])
            hashes = hashes[width:]
        tiles = cls(levels, size)
        if len(data) != HASH_BYTES * sum(widths) or tiles.root != tree:
            raise Unverified("the kept part of the tree of acts is damaged")
        return tiles

    def as_bytes(self) -> bytes:
        """Return every kept hash, level by level."""
        return b"".join(h for level in self.levels for h in level)

    @property
    def root(self) -> bytes:
        """Return the root of the tree."""
        return root(self.levels[-1])

    def check(self, number: int, leaves: Sequence[bytes]) -> None:
        """Return when these are the leaves of the tile of this number.

        Raises:
            Unverified: they are not.
        """
        if root(leaves) != self.levels[0][number]:
            raise changed()

    def path(self, index: int, leaves: Sequence[bytes]) -> list[bytes]:
        """Return the path of one leaf, given the leaves of its tile.

        Raises:
            Usage: there is no leaf with this index.
            Unverified: these are not the leaves that the tree was made of, or what is
                kept of it is damaged on the way.
        """
        number, at = divmod(index, TILE)
        if not 0 <= index < self.size:
            raise Usage("the tree has no leaf with this index")
        self.check(number, leaves)
        path = inclusion_path(at, leaves)
        for level, above in zip_longest(self.levels, self.levels[1:]):
            upper, at = divmod(number, TILE)
            some = level[upper * TILE : (upper + 1) * TILE]
            if above is not None and root(some) != above[upper]:
                raise Unverified("the kept part of the tree of acts is damaged")
            path += inclusion_path(at, some)
            number = upper
        return path


def changed() -> Unverified:
    """Return what is raised where acts have other leaves than are kept, or others."""
    return Unverified(
        "the tables are no longer what was committed to",
        fix="bring back the snapshot's database. If it is the one, remove the "
        "file `firsts` of the commitment, which is then made again",
    )


def _tile_root(leaves: bytes) -> bytes:
    """Return the root over leaf hashes that stand behind each other."""
    sha256, pair = hashlib.sha256, 2 * HASH_BYTES
    whole = len(leaves) - len(leaves) % pair
    level = [
        sha256(b"\x01" + leaves[n : n + pair]).digest() for n in range(0, whole, pair)
    ]
    return root([*level, leaves[whole:]] if leaves[whole:] else level)


def _apart(hashes: bytes) -> list[bytes]:
    return [hashes[n : n + HASH_BYTES] for n in range(0, len(hashes), HASH_BYTES)]


def _above(first: list[bytes]) -> list[list[bytes]]:
    levels = [first]
    while len(levels[-1]) > TILE:
        below = levels[-1]
        starts = range(0, len(below), TILE)
        levels.append([root(below[start : start + TILE]) for start in starts])
    return levels


def sized_root(size: int, tree: bytes) -> bytes:
    """Return what is published of a tree: its root and its size, bound to each other.

    The size is a count of acts, which nobody learns from it who is shown none.
    """
    return hashlib.sha256(SIZED + size.to_bytes(8, "big") + tree).digest()


def act_leaf(nonce: bytes, act: bytes) -> bytes:
    """Return the leaf hash of an act: RFC 6962's, of its nonce and bytes."""
    return hashlib.sha256(b"\x00" + nonce + act).digest()


def act_leaves(
    acts: memoryview,
    starts: Sequence[int],
    text: bytes | memoryview,
    edges: Sequence[int],
) -> bytes:
    """Return the leaf hashes, behind each other, of acts that stand so too.

    Args:
        acts: of each act its nonce and its bytes but for its texts.
        starts: where each begins, and the end of the last.
        text: the texts of all.
        edges: where the texts of each begin, and the end of the last.
    """
    begun, leaves = hashlib.sha256(b"\x00").copy, list[bytes]()
    # Written out: a call for each would take as long as half of the hashing.
    for begin, end, first, last in zip(
        starts, starts[1:], edges, edges[1:], strict=False
    ):
        leaf = begun()
        leaf.update(acts[begin:end])
        leaf.update(text[first:last])
        leaves.append(leaf.digest())
    return b"".join(leaves)


@dataclass(frozen=True)
class Opened:
    """One act, shown: whoever has the extract's published root can check it.

    Attributes:
        act: its canonical bytes.
        nonce: 32 bytes.
        index, size: where it stands, and in how many.
        path: nearest first.
        tree: the root of the tree.
    """

    act: bytes
    nonce: bytes
    index: int
    size: int
    path: tuple[bytes, ...]
    tree: bytes

    def check(self, published: bytes) -> None:
        """Return when this act stands in the extract of this published root.

        Raises:
            Unverified: it does not.
        """
        if len(self.nonce) != HASH_BYTES:
            raise Unverified("an act's nonce is not 32 bytes")
        leaf = act_leaf(self.nonce, self.act)
        verify_inclusion(self.index, self.size, leaf, self.path, self.tree)
        if sized_root(self.size, self.tree) != published:
            raise Unverified("the act is of another extract than was committed to")
