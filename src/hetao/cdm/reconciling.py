"""Every source row accounted for: used, kept aside, or left out by the mapping."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hetao import canonical
from hetao.cdm.engine_duckdb import Connection, insert, text
from hetao.cdm.macros import NOTE
from hetao.cdm.mapping import SiteFolder
from hetao.cdm.origins import NEW, keep_fact, take
from hetao.cdm.quality.reconciled import COUNTS, COUNTS_DDL
from hetao.cdm.selected import Selected
from hetao.cdm.shadow import MARK, ROW
from hetao.cdm.staging import Staged
from hetao.errors import InvalidData


def make_places(
    connection: Connection, staged: Sequence[Staged], every: Sequence[Selected]
) -> None:
    """Make `staged_file`, where source rows lie, and `place_of`, what columns mean.

    Source rows are numbered through all files: a file's own are those after `base`.
    """
    connection.execute(
        "CREATE TEMP TABLE staged_file (base BIGINT, source VARCHAR, file VARCHAR, "
        "rows BIGINT, unfit VARCHAR)"
    )
    base = 0
    for part in staged:
        row = [base, part.source, part.file, part.rows]
        unfit = str(part.folder / "unfit.parquet")
        connection.execute(
            "INSERT INTO staged_file VALUES (?, ?, ?, ?, ?)", [*row, unfit]
        )
        base += part.rows
    connection.execute(
        "CREATE TEMP TABLE place_of (source_table VARCHAR, branch INTEGER, "
        "target VARCHAR, source_column VARCHAR)"
    )
    rows = [
        (selected.table.name, number, target, columns)
        for selected in every
        for number, places in enumerate(selected.places)
        for target, columns in places.items()
    ]
    insert(connection, "place_of", rows)


def account_for(connection: Connection, selected: Selected) -> None:
    """Tell, for one table that was filled, what became of its rows and cells.

    Writes which source rows it used, what was kept aside and where, and how many cells
    were read, into the snapshot's origins. What a row of several files or of a group
    tells has no source row: it is told under the name of its SELECT.

    Raises:
        InvalidData: a row names a source row that is not there.
    """
    name = selected.table.name
    connection.execute(f"""
        INSERT INTO {NEW}.kept_aside
        SELECT DISTINCT {text(name)}, coalesce(f.source, {text(name + ".sql")}),
            coalesce(f.file, ''), coalesce(a.{ROW} - f.base, 0),
            coalesce(nullif(a.source_column, ''), p.source_column, a.target),
            a.reason, a.whole
        FROM (SELECT * FROM aside
            WHERE whole OR NOT starts_with(reason, {text(NOTE)})) a
        ASOF LEFT JOIN staged_file f ON a.{ROW} > f.base
        LEFT JOIN place_of p ON p.source_table = a.source_table
            AND p.branch = a.branch AND p.target = a.target
    """)  # noqa: S608
    _keep_used(connection, name)
    _count_cells(connection, selected)


def _keep_used(connection: Connection, name: str) -> None:
    """Keep the source rows that became rows of a table, a bit a row of each file."""
    files = connection.execute(
        "SELECT source, file, base, rows FROM staged_file ORDER BY base"
    ).fetchall()
    last = files[-1][2] + files[-1][3]
    there = f"{ROW}::BIGINT BETWEEN 1 AND {last}"
    row = connection.execute(
        f"SELECT bitstring_agg({ROW}::BIGINT, 1, {max(last, 1)}) "  # noqa: S608
        f"FILTER ({there} AND problem IS NULL)::VARCHAR, count(*) FILTER (NOT {there}) "
        f"FROM judged_{name}"
    ).fetchone()
    bits, strange = row or (None, 0)
    if strange:
        raise InvalidData(
            f"{name}.sql gives source rows that are not in the extract",
            fix="hand source_row on as it is, or leave it out",
            local=f"{strange} rows",
        )
    if bits is None:
        return
    used = np.frombuffer(bits.encode("ascii"), np.uint8) == ord("1")
    found = []
    for source, file, base, rows in files:
        own = used[base : base + rows]
        if own.any():
            found.append((name, source, file, np.packbits(own).tobytes()))
    insert(connection, f"{NEW}.used_rows", found)


def write_rejected(connection: Connection, staged: Sequence[Staged]) -> None:
    """Fill `rejected` with what tables kept aside and with rows that did not fit."""
    connection.execute(f"""
        INSERT INTO rejected (source, source_file, source_row, source_column, reason)
        SELECT DISTINCT source, source_file, source_row, source_column, reason
        FROM {NEW}.kept_aside WHERE NOT starts_with(reason, {text(NOTE)})
    """)  # noqa: S608
    for part in staged:
        if part.unfit:
            path = text(str(part.folder / "unfit.parquet"))
            connection.execute(f"""
                INSERT INTO rejected
                    (source, source_file, source_row, source_column, reason)
                SELECT {text(part.source)}, {text(part.file)}, line, '', reason
                FROM read_parquet({path})
            """)  # noqa: S608


def count_fates(connection: Connection, staged: Sequence[Staged]) -> None:
    """Write `curation_counts`: each file's rows, and what became of them.

    A row is used if any table used it; else rejected if any kept it aside whole.

    """
    connection.execute(COUNTS_DDL)
    used, lost = _used(connection), _lost(connection)
    counted: list[tuple[object, ...]] = []
    for part in staged:
        place = (part.source, part.file)
        kept = used.get(place, np.zeros(part.rows, np.bool_))[: part.rows]
        aside = np.zeros(part.rows, np.bool_)
        aside[lost.get(place, np.zeros(0, np.int64)) - 1] = True
        number, gone = int(kept.sum()), int((aside & ~kept).sum())
        counts = {
            "rows": part.rows + part.unfit,
            "used": number,
            "rejected": gone + part.unfit,
            "skipped": part.rows - number - gone,
        }
        counted += [(*place, name, value) for name, value in counts.items()]
    insert(connection, COUNTS, counted)
    connection.execute(
        f"INSERT INTO {COUNTS} SELECT target || '.sql', source_column, "  # noqa: S608
        f"counted, number FROM {NEW}.cell_count"
    )


Place = tuple[str, str]  # a source and a file of it


def _used(connection: Connection) -> dict[Place, npt.NDArray[np.bool_]]:
    """Return the rows of each file that any table used; padded to whole bytes."""
    found: dict[Place, npt.NDArray[np.uint8]] = {}
    rows = connection.execute(f"SELECT source, source_file, bits FROM {NEW}.used_rows")  # noqa: S608
    while row := rows.fetchone():
        place, bits = (row[0], row[1]), np.frombuffer(row[2], np.uint8)
        found[place] = found[place] | bits if place in found else bits
    return {place: np.unpackbits(bits).view(np.bool_) for place, bits in found.items()}


def _lost(connection: Connection) -> dict[Place, npt.NDArray[np.int64]]:
    """Return the rows of each file that any table kept aside whole."""
    rows = connection.execute(
        f"SELECT source, source_file, list(source_row) FROM {NEW}.kept_aside "  # noqa: S608
        "WHERE whole AND source_row > 0 GROUP BY source, source_file"
    ).fetchall()
    return {(source, file): np.array(lines) for source, file, lines in rows}


def _count_cells(connection: Connection, selected: Selected) -> None:
    """Count cells that were to be read, those kept aside, and completed dates."""
    name = selected.table.name
    if not selected.shadowed:
        return
    sums, told = [], []
    for column in selected.shadowed:
        shadow = f'"{column}{MARK}"'
        noted = f"starts_with({shadow}, {text(NOTE)})"
        for counted, when in (
            ("cells", f"{column} IS NOT NULL OR {shadow} IS NOT NULL"),
            ("cells_rejected", f"NOT {noted}"),
            ("completed", noted),
        ):
            sums.append(f"count(*) FILTER ({when})")
            told.append((name, column, counted))
    numbers = connection.execute(f"SELECT {', '.join(sums)} FROM sel_{name}").fetchone()  # noqa: S608
    pairs = zip(told, numbers or (), strict=True)
    insert(
        connection,
        f"{NEW}.cell_count",
        [(*place, int(number)) for place, number in pairs if number],
    )


def count_missing(
    connection: Connection, site: SiteFolder, staged: Sequence[Staged]
) -> None:
    """Write `missing_codes`: how often each declared code stood for "not known"."""
    connection.execute(
        "CREATE TABLE missing_codes (source VARCHAR, source_column VARCHAR, "
        "code VARCHAR, number BIGINT)"
    )
    done: set[str] = set()
    for part in staged:
        codes = tuple(c.strip() for c in site.source(part.source).missing if c.strip())
        if not codes:
            continue
        mark = canonical.digest({"content": part.folder.name, "codes": list(codes)})
        if mark not in done:
            done.add(mark)
            if keep_fact(connection, "missing", mark):
                take(connection, "missing_cell", mark)
            else:
                insert(
                    connection,
                    f"{NEW}.missing_cell",
                    [(mark, *row) for row in _missing(connection, part, codes)],
                )
        connection.execute(
            f"INSERT INTO missing_codes SELECT ?, source_column, code, number "  # noqa: S608
            f"FROM {NEW}.missing_cell WHERE target = ?",
            [part.source, mark],
        )


def _missing(
    connection: Connection, part: Staged, codes: tuple[str, ...]
) -> list[tuple[str, str, int]]:
    """Count each code in each column of a file, in one pass."""
    asked = [
        (header, place, code)
        for place, header in enumerate(part.headers)
        for code in dict.fromkeys(codes)
    ]
    counts = ", ".join(
        f"count(*) FILTER (c{place} = {text(code)})" for _, place, code in asked
    )
    path = text(str(part.folder / "rows.parquet"))
    found = connection.execute(f"SELECT {counts} FROM read_parquet({path})").fetchone()  # noqa: S608
    pairs = zip(asked, found or (), strict=True)
    return [
        (header, code, int(number)) for (header, _, code), number in pairs if number
    ]
