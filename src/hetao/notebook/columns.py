"""What files hold in a column, read off them by whoever holds them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hetao.cdm import FlatTable, flat_number
from hetao.errors import InvalidData

MOST_LEVELS = 200


@dataclass(frozen=True)
class FileColumn:
    """What the files hold in one column.

    Attributes:
        is_number: whether every cell that is not missing is a number.
        low, high: the least and greatest of them; infinite where there is none.
        texts: distinct cells that are not missing, sorted; at most `MOST_LEVELS` + 1.
        times: distinct numbers, sorted; of a time alone.
    """

    is_number: bool
    low: float
    high: float
    texts: tuple[str, ...]
    times: tuple[float, ...] = ()


def together(columns: Iterable[FileColumn]) -> FileColumn:
    """Return what several files hold, as one."""
    found = list(columns)
    is_number = all(column.is_number for column in found)
    texts = {text for column in found for text in column.texts}
    if is_number:  # a site with a missing value writes 1.0, another one 1
        texts = set(map(plain_number, texts))
    return FileColumn(
        is_number,
        min(column.low for column in found),
        max(column.high for column in found),
        tuple(sorted(texts)),
        tuple(sorted({time for column in found for time in column.times})),
    )


def check_alike(name: str, by_site: Mapping[str, FileColumn]) -> None:
    """Refuse a column of numbers that is text at some sites, and too much for levels.

    Args:
        name: of the column.
        by_site: what the file of each site holds in it.

    Raises:
        InvalidData: by the sites where it is text.
    """
    texts = [site for site, one in by_site.items() if not one.is_number]
    numbers = any(one.is_number and one.texts for one in by_site.values())
    count = len({text for one in by_site.values() for text in one.texts})
    if texts and numbers and count > MOST_LEVELS:
        raise InvalidData(
            f"column {name!r} holds numbers, but text at {', '.join(texts)}",
            fix="write numbers there too, and leave a missing one empty",
        )


def plain_number(text: str) -> str:
    """Return `1` for `1.0`: one site writes whole numbers so, another the other way."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _has(columns: Sequence[str]) -> str:
    """Return which columns there are; of a single one, that commas part them."""
    found = "columns: " + ", ".join(columns)[:300]
    if len(columns) == 1 and re.search(r"[;\t|]", columns[0]):
        return f"part the columns by commas; {found}"
    return found


def place_of(table: FlatTable, column: str) -> str:
    """Return the name under which a table's database has a column.

    Raises:
        InvalidData: there is none.
    """
    if column not in table.columns:
        raise InvalidData(
            f"{table.path.name} has no column {column!r}",
            fix=_has(table.columns),
        )
    return f"c{table.columns.index(column)}"


def most_of_each(
    table: FlatTable, person: str, event: str = "", level: str = ""
) -> tuple[int, int]:
    """Return the most rows that one person has in a site's file, and the most events.

    Args:
        table: the site's.
        person: the column of whom a row belongs to.
        event: the column of the event; "" for none.
        level: its text where the event came.

    Raises:
        InvalidData: there is no such column.
    """
    who, what = place_of(table, person), place_of(table, event or person)
    row = table.connection.execute(
        f"SELECT max(n), max(d) FROM (SELECT count(*) AS n, count(*) FILTER ("  # noqa: S608
        f"trim({what}::VARCHAR) = $1 OR {flat_number(what)} = "
        f"TRY_CAST($1 AS DOUBLE)) AS d FROM flat WHERE {who} IS NOT NULL "
        f"GROUP BY trim({who}::VARCHAR)) p",
        [level],
    ).fetchone()
    rows, events = row if row else (0, 0)
    return int(rows or 0), int(events or 0)


def describe(
    table: FlatTable,
    column: str,
    with_times: bool,
    kept: Iterable[tuple[str, float]] = (),
) -> FileColumn:
    """Return what one site's file holds in a column.

    Args:
        table: the site's.
        column: its name in the file.
        with_times: whether the distinct numbers are wanted, of a time.
        kept: (operator, number) of criteria about the column; least and greatest are
            of the cells that meet all of them.

    Raises:
        InvalidData: it has no such column.
    """
    place = place_of(table, column)
    marks = ", ".join("?" for _ in table.missing)
    cells = (
        f"SELECT {place}::VARCHAR AS cell FROM flat WHERE {place} IS NOT NULL "  # noqa: S608
        f"AND trim({place}::VARCHAR) NOT IN ({marks}) "
        f"AND lower(trim({place}::VARCHAR)) <> 'nan'"
    )
    number = flat_number("cell")
    meets = " AND ".join(["true", *(f"{number} {sign} {at!r}" for sign, at in kept)])
    run = table.connection.execute
    row = run(
        f"SELECT count(*) FILTER ({number} IS NULL), "  # noqa: S608
        f"min({number}) FILTER ({meets}), "
        f"max({number}) FILTER ({meets}) FROM ({cells})",
        list(table.missing),
    ).fetchone()
    wrong, low, high = row if row else (0, None, None)
    numeric = wrong == 0
    texts = run(
        f"SELECT DISTINCT trim(cell) FROM ({cells}) LIMIT {MOST_LEVELS + 1}",  # noqa: S608
        list(table.missing),
    ).fetchall()
    times = (
        run(
            f"SELECT DISTINCT CAST(cell AS DOUBLE) FROM ({cells})",  # noqa: S608
            list(table.missing),
        ).fetchall()
        if with_times and numeric
        else []
    )
    return FileColumn(
        numeric,
        float("inf") if low is None else float(low),
        float("-inf") if high is None else float(high),
        tuple(str(text) for (text,) in texts),
        tuple(float(time) for (time,) in times),
    )
