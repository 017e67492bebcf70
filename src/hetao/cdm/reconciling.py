"""Every source row accounted for: used, kept aside, or left out by the mapping."""

from collections.abc import Sequence

from hetao.cdm.engine_duckdb import Connection, insert, text, texts
from hetao.cdm.filling import Selected
from hetao.cdm.macros import NOTE
from hetao.cdm.mapping import SiteFolder
from hetao.cdm.quality.reconciled import COUNTS, COUNTS_DDL
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


def write_rejected(connection: Connection, staged: Sequence[Staged]) -> None:
    """Fill `rejected` from `aside` and from rows that did not fit their file.

    What a row of several files or of a group tells has no source row: it is told under
    the name of its SELECT.
    """
    connection.execute(f"""
        INSERT INTO rejected (source, source_file, source_row, source_column, reason)
        SELECT DISTINCT coalesce(f.source, a.source_table || '.sql'),
            coalesce(f.file, ''), coalesce(a.{ROW} - f.base, 0),
            coalesce(nullif(a.source_column, ''), p.source_column, a.target), a.reason
        FROM (SELECT * FROM aside WHERE NOT starts_with(reason, {text(NOTE)})) a
        ASOF LEFT JOIN staged_file f ON a.{ROW} > f.base
        LEFT JOIN place_of p ON p.source_table = a.source_table
            AND p.branch = a.branch AND p.target = a.target
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


def count_fates(
    connection: Connection, staged: Sequence[Staged], every: Sequence[Selected]
) -> None:
    """Write `curation_counts`: each file's rows, and what became of them.

    Raises:
        InvalidData: fates and rows of a file do not add up.
    """
    connection.execute(COUNTS_DDL)
    good = " UNION ALL ".join(
        f"SELECT {ROW} FROM good_{selected.table.name}"  # noqa: S608
        for selected in every
    )
    connection.execute(f"""
        CREATE TEMP TABLE fate AS
        WITH used AS (SELECT DISTINCT {ROW} FROM ({good}) WHERE {ROW} IS NOT NULL),
        lost AS (
            SELECT DISTINCT {ROW} FROM aside WHERE whole AND {ROW} IS NOT NULL
            EXCEPT SELECT {ROW} FROM used),
        each_row AS (
            SELECT {ROW}, 'used' AS counted FROM used
            UNION ALL SELECT {ROW}, 'rejected' FROM lost)
        SELECT f.base, counted, count(*) AS number
        FROM each_row e ASOF JOIN staged_file f ON e.{ROW} > f.base
        GROUP BY f.base, counted
    """)  # noqa: S608
    base = 0
    for part in staged:
        found = dict(
            connection.execute(
                "SELECT counted, number FROM fate WHERE base = ?", [base]
            ).fetchall()
        )
        used, lost = int(found.get("used", 0)), int(found.get("rejected", 0))
        skipped = part.rows - used - lost
        if skipped < 0:
            raise InvalidData(
                f"{part.file}: its rows and what became of them do not add up",
                local=f"{part.rows} rows, {used} used, {lost} aside",
            )
        counts = {
            "rows": part.rows + part.unfit,
            "used": used,
            "rejected": lost + part.unfit,
            "skipped": skipped,
        }
        for name, number in counts.items():
            connection.execute(
                f"INSERT INTO {COUNTS} VALUES (?, ?, ?, ?)",  # noqa: S608
                [part.source, part.file, name, number],
            )
        base += part.rows
    _count_cells(connection, every)


def _count_cells(connection: Connection, every: Sequence[Selected]) -> None:
    """Count cells that were to be read, those kept aside, and completed dates."""
    for selected in every:
        where = f"{selected.table.name}.sql"
        for name in selected.shadowed:
            shadow = f'"{name}{MARK}"'
            noted = f"starts_with({shadow}, {text(NOTE)})"
            connection.execute(f"""
                INSERT INTO {COUNTS}
                SELECT {text(where)}, {text(name)}, counted, number FROM (
                    SELECT count(*) FILTER ({name} IS NOT NULL OR {shadow} IS NOT NULL)
                            AS cells,
                        count(*) FILTER (NOT {noted}) AS cells_rejected,
                        count(*) FILTER ({noted}) AS completed
                    FROM sel_{selected.table.name})
                UNPIVOT (number FOR counted IN (cells, cells_rejected, completed))
                WHERE number > 0
            """)  # noqa: S608


def count_missing(
    connection: Connection, site: SiteFolder, staged: Sequence[Staged]
) -> None:
    """Write `missing_codes`: how often each declared code stood for "not known"."""
    connection.execute(
        "CREATE TABLE missing_codes (source VARCHAR, source_column VARCHAR, "
        "code VARCHAR, number BIGINT)"
    )
    for part in staged:
        codes = tuple(c.strip() for c in site.source(part.source).missing if c.strip())
        if not codes:
            continue
        path = text(str(part.folder / "rows.parquet"))
        cells = ", ".join(f"c{place}" for place in range(len(part.headers)))
        connection.execute(f"""
            INSERT INTO missing_codes
            SELECT {text(part.source)}, place, code, count(*)
            FROM (SELECT {cells} FROM read_parquet({path}))
            UNPIVOT (code FOR place IN ({cells}))
            WHERE code IN {texts(codes)} GROUP BY place, code
        """)  # noqa: S608
        for place, header in enumerate(part.headers):
            connection.execute(
                "UPDATE missing_codes SET source_column = ? "
                "WHERE source = ? AND source_column = ?",
                [header, part.source, f"c{place}"],
            )
