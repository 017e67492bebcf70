"""A medical act ↔ its canonical bytes: typed, injective, the same on every engine.

An act is a visit with all its rows, or what one person has on one day outside of any
visit, or what says something of a person for good. What belongs to no person, such as a
ward, is an act by itself. Its bytes, all numbers in words of 8 bytes (little-endian,
two's complement):

    act     := "hetao.act/2" in 16 bytes, given, person, visit, day, sections,
               section…, text…
    section := table in 24 bytes, columns, rows, row…
    row     := nulls, cell…

Names are ASCII, filled up with zero bytes. `given` says by its bits 1, 2 and 4 that
person, visit and day are; a word that is not given is 0. A section is all rows of one
table. The columns of a row are those of its table in the data dictionary, less
`person_id` and `visit_occurrence_id`, which stand in front. Bit i of `columns` says
that column i stands in the rows; one that is empty throughout an extract does not. Bit
i of `nulls` says that this row has nothing in column i; its cell is 0.

First come the cells of all columns that are no text: a number, days or microseconds
since 1970, a decimal in millionths; then the length of each text in Unicode code
points. Behind all sections stand the texts, UTF-8, row by row, one behind the other. So
no two acts share bytes.

Specification: `docs/specs/provenance.md`. `hetao.cdm.packing` makes these bytes of a
database's columns; here they are read again, by whoever verifies, and written once
more.
"""

import datetime
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final

from hetao.dictionary import Table, dictionary
from hetao.errors import Unverified

FORM: Final = b"hetao.act/2"
PERSON, VISIT, TEXT = "person_id", "visit_occurrence_id", "text"
WORD: Final = 8  # bytes
FORM_BYTES, NAME_BYTES = 2 * WORD, 3 * WORD
HEAD_WORDS: Final = FORM_BYTES // WORD + 5
SECTION_WORDS: Final = NAME_BYTES // WORD + 2
HAS_PERSON, HAS_VISIT, HAS_DAY = 1, 2, 4  # bits of `given`
LARGEST: Final = 64 * 2**20  # bytes of one act
MILLION: Final = 10**6
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  a CDM's times have no zone
_MICROSECOND: Final = datetime.timedelta(microseconds=1)

Value = int | str | Decimal | datetime.date | datetime.datetime | None


@dataclass(frozen=True)
class ActRow:
    """One row of an act: its table, and the values of the columns that it states.

    Numbers are int; decimals, dates and times stand as their fixed text.
    """

    table: str
    values: Mapping[str, int | str | None]


@dataclass(frozen=True)
class Act:
    """One medical act.

    Attributes:
        person: by pseudonym; None for what belongs to nobody.
        visit: whose rows these are; None outside of visits.
        day: ISO; of rows outside of visits; "" for what holds for good.
        rows: in the order of tables in the dictionary, then of their keys.
    """

    person: int | None
    visit: int | None
    day: str
    rows: tuple[ActRow, ...]


def told_columns(table: Table) -> tuple[str, ...]:
    """Return the columns that a row of a table states, in order; bit i is the i-th."""
    return tuple(name for name in table.columns if name not in (PERSON, VISIT))


def mask_of(table: Table, used: Sequence[str]) -> int:
    """Return the number that says which columns stand in the rows of a table."""
    names = told_columns(table)
    return sum(1 << names.index(name) for name in used)


def cells_of(table: Table, used: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the used columns that are no text, and those that are, each in order."""
    names = [name for name in told_columns(table) if name in used]
    texts = [name for name in names if table.fields[name].type == TEXT]
    return [name for name in names if name not in texts], texts


def name_bytes(name: str, length: int = NAME_BYTES) -> bytes:
    """Return a name as it stands in an act, filled up to so many bytes."""
    return name.encode("ascii").ljust(length, b"\0")


def encode_act(act: Act, used: Mapping[str, Sequence[str]]) -> bytes:
    """Return an act's bytes, worked out here instead of from columns.

    Args:
        act: the act.
        used: table → the columns of it that hold anything in the extract.
    """
    sections, texts = [], []
    for name, rows in groupby(act.rows, lambda row: row.table):
        table = dictionary().tables[name]
        made = [_row(table, used[name], row.values) for row in rows]
        words = (
            mask_of(table, used[name]),
            len(made),
            *(w for r, _ in made for w in r),
        )
        sections.append(name_bytes(name) + _packed(words))
        texts += [text for _, text in made]
    given = HAS_PERSON * (act.person is not None) + HAS_VISIT * (act.visit is not None)
    given += HAS_DAY * bool(act.day)
    day = _number("date", act.day) if act.day else 0
    head = (given, act.person or 0, act.visit or 0, day, len(sections))
    front = name_bytes(FORM.decode(), FORM_BYTES) + _packed(head)
    return front + b"".join(sections) + "".join(texts).encode()


def _row(
    table: Table, used: Sequence[str], values: Mapping[str, int | str | None]
) -> tuple[list[int], str]:
    """Return a row's words, and its texts."""
    plain, texts = cells_of(table, used)
    nulls = mask_of(table, [name for name in used if values[name] is None])
    cells = [_number(table.fields[name].type, values[name]) for name in plain]
    words = [str(values[name]) for name in texts if values[name] is not None]
    lengths = [len(str(values[n])) if values[n] is not None else 0 for n in texts]
    return [nulls, *cells, *lengths], "".join(words)


def _number(kind: str, value: int | str | None) -> int:
    """Return the word of a cell that is no text; ValueError where it has none."""
    if value is None or isinstance(value, int):
        return value or 0
    if kind == "date":
        at = datetime.datetime.combine(
            datetime.date.fromisoformat(value), _EPOCH.time()
        )
        return (at - _EPOCH).days
    if kind == "timestamp":
        return (datetime.datetime.fromisoformat(value) - _EPOCH) // _MICROSECOND
    return int(Decimal(value) * MILLION)


def _packed(words: Sequence[int]) -> bytes:
    # A mask has 64 bits and no sign, yet none of a table has so many columns.
    return struct.pack(f"<{len(words)}q", *words)


def fixed_text(value: Value) -> int | str | None:
    """Return a value of a database as an act states it.

    A decimal has six digits after its point; a time has no more digits of a second
    than it needs, and none of a zone.
    """
    if isinstance(value, Decimal):
        return f"{value:.6f}"
    if isinstance(value, datetime.datetime):
        fraction = f".{value.microsecond:06}".rstrip("0").rstrip(".")
        return value.isoformat(" ", "seconds") + fraction
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def decode_act(data: bytes) -> Act:
    """Return the act that bytes state.

    Raises:
        Unverified: they are no act, or not in its canonical form.
    """
    if len(data) > LARGEST:
        raise Unverified("an act is larger than any can be")
    try:
        act, used = _decoded(data)
        again = encode_act(act, used)
    except (ValueError, OverflowError, struct.error) as error:
        raise Unverified("an act is malformed") from error
    # What is read is written again: only the one form of an act is taken.
    if again != data:
        raise Unverified("an act is not in its canonical form")
    return act


class _Reader:
    """Bytes of an act, read from their front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def bytes(self, length: int) -> bytes:
        if not 0 <= length <= len(self.data) - self.at:
            raise Unverified("an act is cut short")
        self.at += length
        return self.data[self.at - length : self.at]

    def words(self, count: int) -> tuple[int, ...]:
        if not 0 <= count <= len(self.data) // WORD:
            raise Unverified("an act is cut short")
        return struct.unpack(f"<{count}q", self.bytes(WORD * count))


Rows = tuple[Table, tuple[str, ...], list[tuple[int, ...]]]


def _decoded(data: bytes) -> tuple[Act, dict[str, tuple[str, ...]]]:
    read = _Reader(data)
    if read.bytes(FORM_BYTES).rstrip(b"\0") != FORM:
        raise Unverified("bytes are no act of a known form")
    given, person, visit, day, count = read.words(5)
    if not 0 <= count <= len(data):
        raise Unverified("an act is cut short")
    sections = [_section(read) for _ in range(count)]
    used = {table.name: columns for table, columns, _ in sections}
    if len(used) != count:
        raise Unverified("a table stands twice in an act")
    text = read.bytes(len(data) - read.at).decode()
    rows = tuple(_texted(sections, text))
    act = Act(
        person if given & HAS_PERSON else None,
        visit if given & HAS_VISIT else None,
        str(_value("date", day)) if given & HAS_DAY else "",
        rows,
    )
    return act, used


def _section(read: _Reader) -> Rows:
    name = read.bytes(NAME_BYTES).rstrip(b"\0").decode("ascii")
    table = dictionary().tables.get(name)
    if table is None:
        raise Unverified("an act has rows of an unknown table")
    bits, count = read.words(2)
    names = told_columns(table)
    if bits < 0 or bits >> len(names):
        raise Unverified("a row of an act states columns that its table lacks")
    columns = tuple(name for i, name in enumerate(names) if bits >> i & 1)
    if not 0 < count <= len(read.data):
        raise Unverified("an act is cut short")
    return table, columns, [read.words(1 + len(columns)) for _ in range(count)]


def _texted(sections: Sequence[Rows], text: str) -> Iterator[ActRow]:
    """Yield rows, each with its own of the texts that stand behind all."""
    at = 0
    for table, columns, rows in sections:
        names, (plain, texts) = told_columns(table), cells_of(table, columns)
        for nulls, *cells in rows:
            values: dict[str, int | str | None] = dict.fromkeys(columns)
            for name, cell in zip((*plain, *texts), cells, strict=True):
                if nulls >> names.index(name) & 1:
                    continue
                if name in texts:
                    if not 0 <= cell <= len(text) - at:
                        raise Unverified("a text of an act is cut short")
                    values[name] = text[at : at + cell]
                    at += cell
                else:
                    values[name] = _value(table.fields[name].type, cell)
            yield ActRow(table.name, values)


def _value(kind: str, word: int) -> int | str | None:
    """Return what the word of a cell states; OverflowError where it states nothing."""
    if kind == "date":
        return fixed_text((_EPOCH + datetime.timedelta(days=word)).date())
    if kind == "timestamp":
        return fixed_text(_EPOCH + datetime.timedelta(microseconds=word))
    return fixed_text(Decimal(word) / MILLION) if kind == "decimal" else word
