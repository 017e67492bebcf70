"""Every entry hashed again: what of a log's file does not follow from its entries.

An entry and its leaf hash are two copies of one truth. Where they differ, the tile
above tells which of them is the changed one.
"""

import sqlite3
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hetao.errors import Unverified
from hetao.ledger.durable import Database
from hetao.ledger.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hashes_of, node_hash, root
from hetao.ledger.note import Checkpoint
from hetao.ledger.redaction import parse_redaction
from hetao.ledger.tiles import (
    TILE_WIDTH,
    check_edge,
    cut,
    fold,
    read_entries,
    read_tile,
    stored,
    tile_bytes,
)

_UNREADABLE = (Unverified, sqlite3.DatabaseError)


def faults(
    store: Database, signed: Checkpoint, public_key: Ed25519PublicKey
) -> Iterator[str]:
    """Yield what is wrong, a sentence each; nothing when all is well.

    Args:
        store: the log's file, within a transaction, so that it holds still.
        signed: the checkpoint that the log signed last.
        public_key: the log's.
    """
    for (line,) in store.execute("PRAGMA integrity_check").fetchall():
        if line != "ok":
            yield f"the log's file is damaged: {' '.join(line.split())}"
    try:
        yield from _Rehash(store, signed, public_key).faults()
    except sqlite3.DatabaseError as error:
        yield f"the log's file cannot be read: {error}"


class _Peaks:
    """The roots of whole subtrees of falling height, as leaves or bundles come in."""

    def __init__(self) -> None:
        self.roots: list[bytes] = []
        self._count = 0

    def add(self, root_hash: bytes) -> None:
        merges = self._count
        while merges & 1:
            root_hash = node_hash(self.roots.pop(), root_hash)
            merges >>= 1
        self.roots.append(root_hash)
        self._count += 1


class _Rehash:
    """One pass over a log's file."""

    def __init__(
        self, store: Database, signed: Checkpoint, public_key: Ed25519PublicKey
    ) -> None:
        self._store, self._signed, self._public_key = store, signed, public_key
        self._last = stored(store, signed.origin)
        self._gone: dict[int, bytes] = {}  # redacted entries' leaf hashes
        self._is_edge_right = True

    def faults(self) -> Iterator[str]:
        try:
            check_edge(self._store, self._last)
        except Unverified as error:
            self._is_edge_right = False
            yield error.what
        yield from self._redactions()
        found = self._store.execute("SELECT size, root FROM checkpoint ORDER BY size")
        claimed = found.fetchall()
        if dict(claimed).get(self._signed.size, EMPTY_ROOT) != self._signed.root:
            yield "the log does not hold its last signed checkpoint"
        of_bundle: dict[int, list[tuple[int, bytes]]] = {}
        for size, claim in claimed:
            of_bundle.setdefault((size - 1) // TILE_WIDTH, []).append((size, claim))
        peaks, full = _Peaks(), list[bytes]()
        for number in range(-(-self._last.size // TILE_WIDTH)):
            hashes, wrong = self._bundle(number)
            yield from wrong
            claims = of_bundle.pop(number, [])
            yield from _wrong_roots(peaks.roots, number * TILE_WIDTH, hashes, claims)
            if len(hashes) == TILE_WIDTH:
                full.append(root(hashes))
                peaks.add(full[-1])
        if of_bundle:
            yield "the log holds a checkpoint of a size it never had"
        yield from _upper(self._store, full, -(-self._last.size // TILE_WIDTH))

    def _redactions(self) -> Iterator[str]:
        rows = self._store.execute("SELECT i, at FROM redaction ORDER BY i").fetchall()
        for i, at in rows:
            try:
                (entry,) = read_entries(self._store, at, at + 1)
                said = parse_redaction(entry, self._signed.origin, self._public_key)
            except Unverified as error:
                yield f"the redaction of entry {i} is not entry {at}: {error.what}"
                continue
            if said.i == i:
                self._gone[i] = said.leaf
            else:
                yield f"entry {at} is the redaction of another entry than {i}"

    def _bundle(self, number: int) -> tuple[list[bytes], list[str]]:
        """Return a bundle's leaf hashes, and what is wrong with it or its tile."""
        start = number * TILE_WIDTH
        stop = min(start + TILE_WIDTH, self._last.size)
        try:
            held = tile_bytes(self._store, 0, number)
        except sqlite3.DatabaseError:
            held = b""
        leaves = _split(held)
        try:
            entries = read_entries(self._store, start, stop)
        except _UNREADABLE as error:
            return leaves[: stop - start], [f"bundle {number} cannot be read: {error}"]
        hashes = leaf_hashes_of(entries)
        wrong = []
        for i in range(start, stop) if self._gone else ():
            if i in self._gone:
                hashes[i - start] = self._gone[i]
                if entries[i - start]:
                    wrong.append(
                        f"bundle {number}: entry {i} is redacted and still there"
                    )
        if b"".join(hashes) == held:
            return hashes, wrong
        if len(leaves) != len(hashes) or not self._is_vouched(number, leaves):
            wrong.append(f"tile 0/{number} does not follow from the entries")
            return hashes, wrong
        wrong += [
            f"bundle {number}: entry {start + at} does not hash to its leaf in"
            f" tile 0/{number}"
            for at, leaf in enumerate(hashes)
            if leaf != leaves[at]
        ]
        return leaves, wrong

    def _is_vouched(self, number: int, leaves: list[bytes]) -> bool:
        """Return whether what stands above the tile follows from it."""
        if len(leaves) < TILE_WIDTH:
            return self._is_edge_right
        upper, at = divmod(number, TILE_WIDTH)
        return read_tile(self._store, 1, upper)[at : at + 1] == [root(leaves)]


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _wrong_roots(
    peaks: list[bytes],
    start: int,
    hashes: list[bytes],
    claimed: list[tuple[int, bytes]],
) -> Iterator[str]:
    """Yield the checkpoints, of sizes within one bundle, whose root is another."""
    inner, at = _Peaks(), 0
    for size, claim in claimed:
        if at == 0 and size - start == len(hashes) == TILE_WIDTH:
            inner.roots = [root(hashes)]  # the usual one, of a whole bundle
        else:
            for leaf in hashes[at : size - start]:
                inner.add(leaf)
        at = size - start
        if fold([*peaks, *inner.roots]) != claim:
            yield f"the checkpoint of size {size} is not the log's"


def _upper(store: Database, hashes: list[bytes], checked: int) -> Iterator[str]:
    """Yield the tiles of level 1 and above that do not follow from those below."""
    level = 1
    while hashes:
        tiles = cut(hashes)
        for number, tile in enumerate(tiles):
            if read_tile(store, level, number) != tile:
                yield f"tile {level}/{number} does not follow from the tiles below"
        checked += len(tiles)
        hashes = [root(tile) for tile in tiles if len(tile) == TILE_WIDTH]
        level += 1
    if store.execute("SELECT count(*) FROM tile").fetchone()[0] != checked:
        yield "the log holds more or fewer tiles than stand over its entries"
