"""A medical act ↔ its canonical bytes: typed, injective, the same on every engine.

An act is a visit with all its rows, or what one person has on one day outside of any
visit, or what says something of a person for good. What belongs to no person, such as a
ward, is an act by itself. Its bytes are UTF-8 text:

    hetao.act/1[<person>,<visit>,<day>]<rows><rows>…

    rows := <table> "/" <columns in hex> <row> <row> …
    row  := "[" <cell> "," … "]" <text> <text> …
    cell := null | a whole number | "a date, time or decimal as fixed text" |
            the length of a text in Unicode code points

The columns of a row are those of its table in the data dictionary, less `person_id`
and `visit_occurrence_id`, which stand in front. Bit i of the hex number says that
column i stands in the row; one that is empty throughout an extract does not. First come
the cells of all columns that are no text, then the lengths of all texts; after the
bracket stand the texts themselves, one behind the other. So no two acts share bytes.

Specification: `docs/specs/provenance.md`. `hetao.cdm.acts` makes these bytes in a
database; here they are read again, by whoever verifies, and written once more.
"""

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from hetao.dictionary import Dictionary, Table, dictionary
from hetao.errors import Unverified

FORM: Final = "hetao.act/1"
PERSON, VISIT, TEXT = "person_id", "visit_occurrence_id", "text"
QUOTED: Final = ("date", "timestamp", "decimal")
LARGEST: Final = 64 * 2**20  # bytes of one act
_HEAD: Final = re.compile(r"hetao\.act/1\[([^\[\]]*)\]")
_TABLE: Final = re.compile(r"([a-z_]+)/(0|[1-9a-f][0-9a-f]*)(?=\[)")
_ROW: Final = re.compile(r"\[([^\[\]]*)\]")
_FORMS: Final = {
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "timestamp": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{0,5}[1-9])?"),
    "decimal": re.compile(r"-?(0|[1-9]\d*)\.\d{6}"),
}
_WHOLE: Final = re.compile(r"-?[1-9]\d*|0")

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


def mask_of(table: Table, used: Sequence[str]) -> str:
    """Return the hex number that says which columns stand in the rows of a table."""
    names = told_columns(table)
    return f"{sum(1 << names.index(name) for name in used):x}"


def cells_of(table: Table, used: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the used columns that are no text, and those that are, each in order."""
    names = [name for name in told_columns(table) if name in used]
    texts = [name for name in names if table.fields[name].type == TEXT]
    return [name for name in names if name not in texts], texts


def encode_act(act: Act, used: Mapping[str, Sequence[str]]) -> bytes:
    """Return an act's bytes, worked out here instead of in a database.

    Args:
        act: the act.
        used: table → the columns of it that hold anything in the extract.
    """
    tables = dictionary().tables
    day = f'"{act.day}"' if act.day else "null"
    head = f"{FORM}[{_whole(act.person)},{_whole(act.visit)},{day}]"
    parts, at = [head], ""
    for row in act.rows:
        table, columns = tables[row.table], used[row.table]
        plain, texts = cells_of(table, columns)
        words = [row.values[name] for name in texts]
        cells = [_cell(table.fields[name].type, row.values[name]) for name in plain]
        cells += ["null" if word is None else str(len(str(word))) for word in words]
        if row.table != at:
            parts.append(f"{row.table}/{mask_of(table, columns)}")
        at = row.table
        parts.append(f"[{','.join(cells)}]")
        parts += [str(word) for word in words if word is not None]
    return "".join(parts).encode()


def fixed_text(value: Value) -> int | str | None:
    """Return a value of a database as an act states it.

    A decimal has six digits after its point; a time has no more digits of a second
    than it needs, and none of a zone.
    """
    if isinstance(value, Decimal):
        return f"{value:.6f}"
    if isinstance(value, datetime.datetime):
        fraction = f".{value.microsecond:06}".rstrip("0").rstrip(".")
        return value.strftime("%Y-%m-%d %H:%M:%S") + fraction
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def decode_act(data: bytes) -> Act:
    """Return the act that bytes state.

    Raises:
        Unverified: they are the canonical bytes of no act, by the dictionary installed
            here.
    """
    if len(data) > LARGEST:
        raise Unverified("an act is longer than one can be")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unverified("an act is not UTF-8") from error
    head = _HEAD.match(text)
    if head is None:
        raise Unverified("these are not the bytes of an act")
    person, visit, day = _front(head[1])
    found = list(_rows(text, head.end(), dictionary()))
    act = Act(person, visit, day, tuple(row for row, _ in found))
    used = {row.table: columns for row, columns in found}
    # What is read is written again: only the one text of an act is taken.
    if any(used[row.table] != columns for row, columns in found):
        raise Unverified("two rows of an act's table state other columns")
    if encode_act(act, used) != data:
        raise Unverified("an act is not in its canonical form")
    return act


def _front(inside: str) -> tuple[int | None, int | None, str]:
    cells = _cells(inside, (None, None, "date"))
    person, visit, day = cells
    if isinstance(person, str) or isinstance(visit, str) or isinstance(day, int):
        raise Unverified("the front of an act is malformed")
    return person, visit, day or ""


def _rows(
    text: str, at: int, known: Dictionary
) -> Iterator[tuple[ActRow, tuple[str, ...]]]:
    table: Table | None = None
    columns: tuple[str, ...] = ()
    while at < len(text):
        if begins := _TABLE.match(text, at):
            table = known.tables.get(begins[1])
            at, columns = begins.end(), _columns(table, int(begins[2], 16))
        found = _ROW.match(text, at)
        if found is None or table is None:
            raise Unverified("a row of an act is malformed, or of an unknown table")
        plain, texts = cells_of(table, columns)
        types = [table.fields[name].type for name in plain]
        kinds = [kind if kind in QUOTED else None for kind in types]
        cells = _cells(found[1], (*kinds, *(None for _ in texts)))
        values: dict[str, int | str | None] = dict(zip(plain, cells, strict=False))
        at = found.end()
        for name, length in zip(texts, cells[len(plain) :], strict=True):
            values[name] = None
            if isinstance(length, int):
                if not 0 <= length <= len(text) - at:
                    raise Unverified("a text of an act is cut short")
                values[name] = text[at : at + length]
                at += length
        yield ActRow(table.name, {n: values[n] for n in columns}), columns


def _columns(table: Table | None, bits: int) -> tuple[str, ...]:
    names = told_columns(table) if table else ()
    if table and bits >> len(names):
        raise Unverified("a row of an act states columns that its table lacks")
    return tuple(name for i, name in enumerate(names) if bits >> i & 1)


def _cells(inside: str, kinds: Sequence[str | None]) -> list[int | str | None]:
    """Read the cells between brackets; a kind of None is a whole number."""
    words = inside.split(",") if inside else []
    if len(words) != len(kinds):
        raise Unverified("a row of an act has another number of cells than columns")
    return [_read(word, kind) for word, kind in zip(words, kinds, strict=True)]


def _read(word: str, kind: str | None) -> int | str | None:
    if word == "null":
        return None
    if kind is None:
        if _WHOLE.fullmatch(word) and len(word) <= 20:
            return int(word)
    elif word[:1] == word[-1:] == '"' and _FORMS[kind].fullmatch(word[1:-1]):
        return word[1:-1]
    raise Unverified("a cell of an act is malformed")


def _whole(value: int | None) -> str:
    return "null" if value is None else str(value)


def _cell(kind: str, value: int | str | None) -> str:
    if value is None:
        return "null"
    return json.dumps(value) if kind in QUOTED else str(value)
