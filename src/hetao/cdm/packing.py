"""Columns of tables → the canonical bytes of acts, behind each other, for hashing.

Numbers are moved in whole columns: no object is made for a row. What the bytes are says
`hetao.ledger.acts`. In front of each act stays a gap for its nonce, so that a leaf is
hashed where it stands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hetao.cdm.engine import Column as Array
from hetao.ledger.acts import (
    FORM,
    FORM_BYTES,
    HAS_DAY,
    HAS_PERSON,
    HAS_VISIT,
    HEAD_WORDS,
    SECTION_WORDS,
    WORD,
    name_bytes,
)
from hetao.ledger.commitments import act_leaves
from hetao.ledger.merkle import HASH_BYTES

# The number of an act within a person's: a visit's id, which is never negative, or a
# day, counted from 1970, so far below that visits come last.
FIRST_DAY: Final = -(2**40)
FOR_GOOD: Final = 2 * FIRST_DAY
DAY_BITS: Final = 22  # of days since 1970, as many as a calendar has
NONCE_WORDS: Final = HASH_BYTES // WORD
SHORT: Final = 64  # bytes of a text that are moved one by one
BLOCK: Final = 2**13  # rows that are put in place at once: they fit into a cache
LITTLE: Final = np.dtype("<i8")


class TableRows(NamedTuple):
    """Rows of one table, or some of them, in any order.

    Attributes:
        name, columns: of the table, and the number that says which columns it states.
        person, act, key: whole numbers of each row: whose, of which act, its key.
        cells: whole numbers, in the order in which they stand in a row.
        missing: of each cell, where there is none; None where there is one in each row.
        bits: of each cell, the bit of its column.
        edges: where the texts of each row begin, and the end of the last.
        text: all texts, UTF-8; None where the table states no text.
    """

    name: str
    columns: int
    person: Array
    act: Array
    key: Array
    cells: Sequence[Array]
    missing: Sequence[Array | None]
    bits: Sequence[int]
    edges: Array
    text: bytes | memoryview | None

    def part(self, start: int, stop: int) -> "TableRows":
        """Return some of the rows that follow each other; nothing is copied."""
        some, edges, text = slice(start, stop), self.edges, self.text
        if text is not None:
            edges = edges[start : stop + 1]
            text = memoryview(text)[int(edges[0]) : int(edges[-1])]
            edges = edges - edges[0]
        return self._replace(
            person=self.person[some],
            act=self.act[some],
            key=self.key[some],
            cells=[cells[some] for cells in self.cells],
            missing=[one if one is None else one[some] for one in self.missing],
            edges=edges,
            text=text,
        )


@dataclass(frozen=True)
class Acts:
    """Acts of some people, or of nobody: by person, then by number.

    Attributes:
        people: whose they are; None is nobody.
        ends: behind which act each one's end.
        numbers: of each act within its person's, rising: see `act_number`.
        rows: how many rows they have together.
        words: all acts but their texts, each behind its gap.
        starts: the byte at which each act's gap begins, and the end of the last.
        text: the texts of all acts.
        edges: where the texts of each act begin in it, and the end of the last.
    """

    people: list[int | None]
    ends: list[int]
    numbers: Array
    rows: int
    words: Array
    starts: list[int]
    text: bytes
    edges: list[int]

    def leaves(self, nonces: bytes) -> bytes:
        """Return the leaf hashes of all acts, behind each other.

        Args:
            nonces: of all of them, behind each other.
        """
        gaps = np.array(self.starts[:-1], dtype=np.int64) // WORD
        given = np.frombuffer(nonces, dtype=LITTLE).reshape(-1, NONCE_WORDS)
        _stretches(self.words, NONCE_WORDS)[gaps] = given
        data = memoryview(self.words.data).cast("B")
        return act_leaves(data, self.starts, self.text, self.edges)

    def each(self) -> Iterator[tuple[int | None, list[int], list[bytes]]]:
        """Yield of each person the numbers of acts, and their canonical bytes."""
        data, text = memoryview(self.words.data).cast("B"), self.text
        acts = [
            b"".join([data[begin + HASH_BYTES : end], text[first:last]])
            for (begin, end), (first, last) in zip(
                pairwise(self.starts), pairwise(self.edges), strict=True
            )
        ]
        for person, (low, high) in zip(
            self.people, pairwise([0, *self.ends]), strict=True
        ):
            yield person, self.numbers[low:high].tolist(), acts[low:high]


class _Runs(NamedTuple):
    """Rows of one table that follow each other and are of one act, their keys rising.

    Tables are stored by person more or less, so that most rows follow each other.
    """

    person: Array
    act: Array
    table: Array  # a number that rises with the dictionary's order
    piece: Array  # which of those given
    key: Array  # of the first row
    until: Array  # the key of the last row
    first: Array
    rows: Array  # how many

    def taken(self, order: Array) -> "_Runs":
        return _Runs(*(values[order] for values in self))

    def ordered(self) -> "_Runs":
        """Return them by person, act, table and key.

        Those of each table stand so, more or less. A sort of one number finds that; the
        number cuts the ends of visits' ids off, so what comes of it is looked at.
        """
        if self.rises():
            return self
        found = self.taken(np.argsort(self._rank(), kind="stable"))
        if found.rises():
            return found
        return self.taken(np.lexsort((self.key, self.table, self.act, self.person)))

    def rises(self) -> bool:
        """Return whether they are by person, act, table and key."""
        rises = np.ones(len(self.key) - 1, dtype=bool)
        for key in (self.key, self.table, self.act, self.person):
            rises = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & rises)
        return bool(rises.all())

    def _rank(self) -> Array:
        """Return one number each that rises with person and act, as far as it goes."""
        people, person = np.unique(self.person, return_inverse=True)
        cut = DAY_BITS + 1
        room = 62 - len(people).bit_length()
        shift = max(0, int(self.act.max()).bit_length() - room)
        visit = (self.act >> shift) + (1 << cut)
        day = np.maximum(self.act - FIRST_DAY, -(1 << DAY_BITS)) + (1 << DAY_BITS)
        return (person << (room + 1)) + np.where(self.act >= 0, visit, day)

    def cross(self) -> bool:
        """Return whether a run ends behind where the next one of its kind begins."""
        cross = self.until[:-1] > self.key[1:]
        for key in (self.person, self.act, self.table):
            cross &= key[:-1] == key[1:]
        return bool(cross.any())


def apart(
    tables: Sequence[TableRows], cuts: Sequence[int]
) -> Iterator[list[TableRows]]:
    """Yield rows of tables range by range of people, and no range without a row.

    They stay together where a table is not stored by person: that costs memory alone.

    Args:
        tables: in the order of the dictionary, one in as many pieces as there are, each
            with a row at least.
        cuts: the people with whom ranges begin, but the first, in order.
    """
    if not all((table.person[1:] >= table.person[:-1]).all() for table in tables):
        cuts = ()
    edges = [
        [0, *np.searchsorted(table.person, cuts).tolist(), len(table.key)]
        for table in tables
    ]
    for starts, stops in pairwise(zip(*edges, strict=True)):
        places = zip(tables, starts, stops, strict=True)
        some = [table.part(low, high) for table, low, high in places if low < high]
        if some:
            yield some


def packed(tables: Sequence[TableRows], *, of_people: bool) -> Acts:
    """Return the acts that rows of tables make up.

    Args:
        tables: see `apart`.
        of_people: False where each row, of nobody, is an act by itself.
    """
    runs = _runs(tables, split=not of_people).ordered()
    if runs.cross():
        runs = _runs(tables, split=True).ordered()
    person = _changes(runs.person)
    acts, sections = person.copy(), person.copy()
    acts |= _changes(runs.act)
    sections |= acts | _changes(runs.table)
    if not of_people:  # acts of one table bear one number
        acts[:] = sections[:] = True
    widths = np.array([1 + len(table.cells) for table in tables])
    heads = (NONCE_WORDS + HEAD_WORDS) * acts
    sizes = heads + SECTION_WORDS * sections + runs.rows * widths[runs.piece]
    ends = np.cumsum(sizes)
    at = ends - sizes  # where each run begins, its act's and section's fronts included
    words = np.empty(int(ends[-1]), dtype=LITTLE)
    each = np.flatnonzero(acts)
    opened = np.add.reduceat(sections, each, dtype=np.int64)
    _write_heads(words, at[each] + NONCE_WORDS, runs.taken(each), opened, of_people)
    each_section = np.flatnonzero(sections)
    rows = np.add.reduceat(runs.rows, each_section)
    fronts = (at + heads)[each_section]
    _write_sections(words, fronts, tables, runs.piece[each_section], rows)
    begins = at + heads + SECTION_WORDS * sections
    for piece, table in enumerate(tables):
        own = np.flatnonzero(runs.piece == piece) if len(tables) > 1 else slice(None)
        _write_rows(words, table, begins[own], runs.first[own], runs.rows[own])
    text, edges = _texts(tables, runs, each)
    owners = np.flatnonzero(person[each])
    people = runs.person[each[owners]].tolist() if of_people else [None]
    return Acts(
        people=people,
        ends=[*owners[1:].tolist(), len(each)] if of_people else [len(each)],
        numbers=runs.act[each],
        rows=int(runs.rows.sum()),
        words=words,
        starts=[*(WORD * at[each]).tolist(), WORD * len(words)],
        text=text,
        edges=edges,
    )


def _runs(tables: Sequence[TableRows], *, split: bool) -> _Runs:
    """Return the runs of all tables; each row is one where they are to be split."""
    found, names = [], [table.name for table in tables]
    for piece, table in enumerate(tables):
        person, act, key = table.person, table.act, table.key
        if split:
            first = last = np.arange(len(key))
        else:
            same = person[1:] == person[:-1]
            same &= act[1:] == act[:-1]
            same &= key[1:] > key[:-1]
            edges = np.flatnonzero(~same)
            first = np.concatenate([[0], edges + 1])
            last = np.concatenate([edges, [len(key) - 1]])
        kind = np.full(len(first), names.index(table.name))
        of = (
            *(person[first], act[first], kind, np.full(len(first), piece)),
            *(key[first], key[last]),
        )
        found.append(_Runs(*of, first, last - first + 1))
    return _Runs(*map(np.concatenate, zip(*found, strict=True)))


def _changes(values: Array) -> Array:
    """Return where a value differs from the one before; the first one does."""
    return np.concatenate([[True], values[1:] != values[:-1]])


def _write_heads(
    words: Array, at: Array, acts: _Runs, sections: Array, of_people: bool
) -> None:
    form = np.frombuffer(name_bytes(FORM.decode(), FORM_BYTES), dtype=LITTLE)
    visit = acts.act >= 0 if of_people else np.zeros(len(at), dtype=bool)
    day = (acts.act != FOR_GOOD) & ~visit if of_people else visit
    given = HAS_PERSON * of_people + HAS_VISIT * visit + HAS_DAY * day
    person = acts.person if of_people else 0
    visits, days = np.where(visit, acts.act, 0), np.where(day, acts.act - FIRST_DAY, 0)
    heads = np.empty((len(at), HEAD_WORDS), dtype=LITTLE)
    for n, cell in enumerate((*form, given, person, visits, days, sections)):
        heads[:, n] = cell
    _stretches(words, HEAD_WORDS)[at] = heads


def _write_sections(
    words: Array, at: Array, tables: Sequence[TableRows], of: Array, rows: Array
) -> None:
    names = [np.frombuffer(name_bytes(table.name), dtype=LITTLE) for table in tables]
    fronts = [
        [*name, table.columns, 0] for name, table in zip(names, tables, strict=True)
    ]
    sections = np.array(fronts, dtype=LITTLE)[of]
    sections[:, -1] = rows
    _stretches(words, SECTION_WORDS)[at] = sections


def _write_rows(
    words: Array, table: TableRows, begins: Array, first: Array, count: Array
) -> None:
    """Write a table's rows, of runs whose words begin there."""
    width = 1 + len(table.cells)
    if (first[1:] > first[:-1]).all():  # in the order in which they came
        at = np.repeat(begins - first * width, count)
        at += np.arange(0, width * len(at), width)
    else:
        behind = np.cumsum(count) - count
        within = np.arange(int(count.sum())) - np.repeat(behind, count)
        at = np.empty(len(within), dtype=np.int64)
        at[np.repeat(first, count) + within] = np.repeat(begins, count) + within * width
    stretches = _stretches(words, width)
    for start in range(0, len(at), BLOCK):
        some = slice(start, start + BLOCK)
        stretches[at[some]] = _cells(table, some)


def _cells(table: TableRows, some: slice) -> Array:
    """Return the words of some rows, each row's behind each other."""
    keys = table.key[some]
    rows = np.empty((len(keys), 1 + len(table.cells)), dtype=LITTLE)
    rows[:, 0] = 0
    for n, (values, missing) in enumerate(zip(table.cells, table.missing, strict=True)):
        rows[:, n + 1] = values[some]
        if missing is not None:
            gone = missing[some]
            rows[gone, n + 1] = 0
            rows[:, 0] |= gone.astype(np.int64) << table.bits[n]
    return rows


def _stretches(words: Array, width: int) -> Array:
    """Return a view in which the n-th row is the so many words from the n-th on.

    To put words there by stretches takes a third of what it takes one by one.
    """
    return sliding_window_view(words, width, writeable=True)


def _texts(
    tables: Sequence[TableRows], runs: _Runs, acts: Array
) -> tuple[bytes, list[int]]:
    """Return all texts in the order of acts, and where each act's begin and end."""
    whole = b"".join([table.text or b"" for table in tables])
    edges, rows, size = list[Array](), [0], 0
    for table in tables:
        none = table.text is None
        own = np.zeros(len(table.key) + 1, np.int64) if none else table.edges
        edges.append(own + size)
        rows.append(rows[-1] + len(own))
        size += int(own[-1])
    places, bounds = np.array(rows)[runs.piece] + runs.first, np.concatenate(edges)
    begins, ends = bounds[places], bounds[places + runs.rows]
    sizes = np.add.reduceat(ends - begins, acts)
    until = [0, *np.cumsum(sizes).tolist()]
    told = np.flatnonzero(ends > begins)
    if not len(told):
        return b"", until
    # Most follow each other where they stand, and are taken together.
    begins, ends = begins[told], ends[told]
    opens = np.flatnonzero(np.append(True, begins[1:] != ends[:-1]))
    closes = np.append(opens[1:], len(told)) - 1
    begins, ends = begins[opens], ends[closes]
    if int((ends - begins).sum()) < SHORT * len(opens):
        return _gathered(whole, begins, ends), until
    stretches = zip(begins.tolist(), ends.tolist(), strict=True)
    # Not as views: they are looked through for rubbish again and again.
    return b"".join([whole[begin:end] for begin, end in stretches]), until


def _gathered(text: bytes, begins: Array, ends: Array) -> bytes:
    """Return stretches of text behind each other, byte by byte: most are short."""
    sizes = ends - begins
    moved = begins - (np.cumsum(sizes) - sizes)
    places = np.repeat(moved, sizes)
    places += np.arange(len(places))
    return bytes(np.frombuffer(text, dtype=np.uint8)[places])
