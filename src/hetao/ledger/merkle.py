"""Leaf hashes → root and proofs: the tree of RFC 6962, pure functions, no I/O."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from hetao.errors import Unverified, Usage

HASH_BYTES = 32
LARGEST_SIZE = 2**63 - 1  # what SQLite and other readers keep exactly
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry; the 0x00 keeps it apart from every node."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes_of(entries: Iterable[bytes]) -> list[bytes]:
    """Return the hash of each entry."""
    # Written out, here and below: calls would take as long as the hashing.
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def parents(level: Sequence[bytes]) -> list[bytes]:
    """Return the node over each pair of neighbours; one left over has none."""
    return [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over these leaf hashes, in their order.

    Source:
        RFC 6962 2.1 (MTH). Law: `tests/laws/test_merkle.py`.
    """
    level = list(leaf_hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        # A node without a sibling rises unchanged, which is the RFC's split at the
        # largest power of two, read from below.
        risen = level[-1:] if len(level) % 2 else []
        level = parents(level) + risen
    return level[0]


def inclusion_path(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes that lead from one leaf to the root, nearest first.

    Raises:
        Usage: there is no leaf with this index.

    Source:
        RFC 6962 2.1.1. Law: `tests/laws/test_merkle.py`.
    """
    ranges = inclusion_ranges(index, len(leaf_hashes))
    return [root(leaf_hashes[start:stop]) for start, stop in ranges]


def consistency_path(old: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes that show the first `old` leaves unchanged in the whole.

    Raises:
        Usage: `old` is more than there are leaves, or negative.

    Source:
        RFC 6962 2.1.2. Law: `tests/laws/test_merkle.py`.
    """
    ranges = consistency_ranges(old, len(leaf_hashes))
    return [root(leaf_hashes[start:stop]) for start, stop in ranges]


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return which leaves, start to stop, stand under each hash of the path.

    Raises:
        Usage: there is no leaf with this index.
    """
    if not 0 <= index < size:
        raise Usage("the tree has no leaf with this index")
    ranges, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + _left_leaves(stop - start)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, size: int) -> list[tuple[int, int]]:
    """Return which leaves, start to stop, stand under each hash of the path.

    Raises:
        Usage: `old` is more than `size`, or negative.
    """
    if not 0 <= old <= size:
        raise Usage("the tree was never of this size")
    if old in (0, size):
        return []
    ranges, start, stop = [], 0, size
    while stop != old:
        middle = start + _left_leaves(stop - start)
        if old <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # else this subtree is the whole old tree, whose root is known
        ranges.append((start, stop))
    return ranges[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes
) -> None:
    """Return when the path leads from this leaf, at this index, to the root.

    Args:
        index: where the leaf stands, from 0.
        size: how many leaves the tree has.
        leaf: the leaf hash, not the entry.
        path: as `inclusion_path` returns it.
        root: the root of the tree of `size` leaves.

    Raises:
        Unverified: it does not, or an argument is not what it should be.

    Source:
        RFC 9162 2.1.3.2. Law: `tests/laws/test_merkle.py`.
    """
    if not _are_hashes(root):
        raise Unverified("the inclusion proof is malformed")
    if root_above(index, size, leaf, path) != root:
        raise Unverified("the entry is not in the log: its path misses the root")


def root_above(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root to which the path leads from this leaf, at this index.

    Whoever knows it to be a tree's knows that the leaf is in the tree. Trees of more
    than one size may have it, so that it does not show the size.

    Args:
        index: where the leaf stands, from 0.
        size: how many leaves the tree has.
        leaf: the leaf hash, not the entry.
        path: as `inclusion_path` returns it.

    Raises:
        Unverified: an argument is not what it should be.

    Source:
        RFC 9162 2.1.3.2. Law: `tests/laws/test_merkle.py`.
    """
    if not (_are_sizes(index, size) and index < size and _are_hashes(leaf)):
        raise Unverified("the inclusion proof is malformed")
    sides = _siblings_left(index, size - 1)
    if not _is_path(path) or len(path) != len(sides):
        raise Unverified("the inclusion proof is not as long as the tree is deep")
    reached = leaf
    for is_left, sibling in zip(sides, path, strict=True):
        reached = (
            node_hash(sibling, reached) if is_left else node_hash(reached, sibling)
        )
    return reached


def verify_consistency(
    old_size: int,
    new_size: int,
    old_root: bytes,
    new_root: bytes,
    path: Sequence[bytes],
) -> None:
    """Return when the new tree begins with exactly the leaves of the old one.

    Args:
        old_size: how many leaves the old tree has; the empty tree starts every tree.
        new_size: how many leaves the new tree has.
        old_root: the root of the old tree.
        new_root: the root of the new tree.
        path: as `consistency_path` returns it.

    Raises:
        Unverified: it does not, or an argument is not what it should be.

    Source:
        RFC 9162 2.1.4.2. Law: `tests/laws/test_merkle.py`.
    """
    if not (
        _are_sizes(old_size, new_size)
        and _are_hashes(old_root, new_root)
        and _is_path(path)
    ):
        raise Unverified("the consistency proof is malformed")
    if old_size > new_size:
        raise Unverified("the new tree is smaller than the old one")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise Unverified("the root of the empty tree is wrong")
    if old_size == new_size and old_root != new_root:
        raise Unverified("two trees of one size have different roots")
    if old_size in (0, new_size):
        if path:
            raise Unverified("the consistency proof is longer than the trees demand")
        return
    # An old tree of a power of two is itself a node of the new one, so its root is
    # not repeated in the path.
    hashes = list(path) if old_size & (old_size - 1) else [old_root, *path]
    if roots_over(old_size, new_size, hashes) != (old_root, new_root):
        raise Unverified("the new tree does not extend the old one")


def roots_over(
    old_size: int, new_size: int, hashes: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return the roots of an old and a new tree to which these hashes lead.

    Whoever knows the second root to be a tree's knows the first to be that of its
    first `old_size` leaves, whoever gave the hashes.

    Args:
        old_size: how many leaves the old tree has, from 1.
        new_size: how many leaves the new tree has, more than the old one.
        hashes: a consistency path, with the old root before it where `old_size` is a
            power of two.

    Raises:
        Unverified: there are more or fewer hashes than the trees demand.
    """
    if not (_are_sizes(old_size, new_size) and 0 < old_size < new_size):
        raise Unverified("the consistency proof is malformed")
    sides = _siblings_left(*_first_common(old_size, new_size))
    if not _is_path(hashes) or len(hashes) != len(sides) + 1:
        raise Unverified("the consistency proof is not as long as the trees demand")
    return _two_roots(list(hashes), sides)


def _two_roots(hashes: list[bytes], sides: list[bool]) -> tuple[bytes, bytes]:
    old = new = hashes[0]
    for is_left, sibling in zip(sides, hashes[1:], strict=True):
        if is_left:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    return old, new


def _first_common(old_size: int, new_size: int) -> tuple[int, int]:
    """Return where the largest whole old subtree at the old edge stands, and the end.

    Both numbers count nodes of that subtree's level.
    """
    here, last = old_size - 1, new_size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    return here, last


def _siblings_left(here: int, last: int) -> list[bool]:
    """Return for every step up from node `here` whether its sibling stands left."""
    sides = []
    while last:
        is_left = bool(here & 1) or here == last
        if is_left:
            while here and not here & 1:  # the node rises alone through these levels
                here, last = here >> 1, last >> 1
        sides.append(is_left)
        here, last = here >> 1, last >> 1
    return sides


def _left_leaves(size: int) -> int:
    """Return the largest power of two below `size` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def from_hex(text: str) -> bytes:
    """Return the bytes of the one text in hex that they have.

    Raises:
        Unverified: it is another spelling, or none.
    """
    try:
        data = bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise Unverified("a hash is not in hex") from error
    if data.hex() != text:
        raise Unverified("a hash is in hex of another spelling")
    return data


def _are_sizes(*values: object) -> bool:
    return all(type(value) is int and 0 <= value <= LARGEST_SIZE for value in values)


def _are_hashes(*values: object) -> bool:
    return all(type(value) is bytes and len(value) == HASH_BYTES for value in values)


def _is_path(path: object) -> bool:
    return isinstance(path, list | tuple) and _are_hashes(*path)
