"""What each table was made from, so that the next curation can take it over.

Beside its tables a snapshot keeps `origins.duckdb`: for every table that has a SELECT a
digest of all that its rows depend on, and what else its SELECT left behind: the codes
that it uses, the rows and cells kept aside, which source rows it used. Where nothing of
that changed, the next curation copies the table and its account from the current
snapshot instead of making them again. The copy stands in the new snapshot: nothing
refers to the older one.

Trusted: whoever can write the store decides what is taken over, as they decide what the
current snapshot is. `hetao site curate --whole` takes nothing over.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from sqlglot import exp

from hetao import canonical
from hetao.cdm.engine_duckdb import Connection, insert, text
from hetao.cdm.filling import first_day
from hetao.cdm.mapping import SiteFolder
from hetao.cdm.selected import Selected, links
from hetao.cdm.shadow import ROW
from hetao.cdm.staging import Staged
from hetao.cdm.store import DATABASE
from hetao.dictionary import dictionary

FORM: Final = "hetao.origins/1"
FILE: Final = "origins.duckdb"
NEW: Final = "origins"
OLD: Final = "old_origins"
TABLES: Final = "old_tables"
# What a table leaves behind besides its rows, by its name in `target`.
ACCOUNTS: Final = {
    "used_code": "target VARCHAR, system VARCHAR, code VARCHAR, classes VARCHAR",
    "kept_aside": "target VARCHAR, source VARCHAR, source_file VARCHAR, "
    "source_row BIGINT, source_column VARCHAR, reason VARCHAR, whole BOOLEAN",
    "used_rows": "target VARCHAR, source VARCHAR, source_file VARCHAR, bits BLOB",
    "cell_count": "target VARCHAR, source_column VARCHAR, counted VARCHAR, "
    "number BIGINT",
}
MISSING_DDL: Final = (
    "target VARCHAR, source_column VARCHAR, code VARCHAR, number BIGINT"
)
ORIGIN_DDL: Final = (
    "target VARCHAR, selected VARCHAR, filled VARCHAR, past DATE, future DATE, "
    "digest VARCHAR"
)
ANSWER_DDL: Final = "asked VARCHAR, told VARCHAR"
FACT_DDL: Final = "name VARCHAR, value VARCHAR"


@dataclass(frozen=True)
class Origin:
    """One table of the current snapshot.

    Attributes:
        selected: digest of what its SELECT's rows depend on.
        filled: digest of what became of them besides.
        past, future: ISO days: the last one that did not lie in the future, and the
            first one that did; "" for none.
        digest: of its content.
    """

    selected: str
    filled: str
    past: str
    future: str
    digest: str


def open_origins(
    connection: Connection, built: Path, current: Path | None
) -> dict[str, Origin]:
    """Make the origins of a snapshot in the making; return the current one's.

    Args:
        connection: the curation's, while it may still open files.
        built: the folder of the snapshot in the making.
        current: the folder of the current snapshot; None takes nothing over.
    """
    connection.execute(f"ATTACH {text(str(built / FILE))} AS {NEW}")
    for name, columns in (
        *ACCOUNTS.items(),
        ("origin", ORIGIN_DDL),
        ("fact", FACT_DDL),
        ("missing_cell", MISSING_DDL),
        ("answer", ANSWER_DDL),
    ):
        connection.execute(f"CREATE TABLE {NEW}.{name} ({columns})")
    if current is None or not _attach(connection, current):
        return {}
    # S608, here and below: names are our own, literals are quoted by `text`.
    found = connection.execute(
        "SELECT target, selected, filled, coalesce(past::VARCHAR, ''), "  # noqa: S608
        f"coalesce(future::VARCHAR, ''), digest FROM {OLD}.origin"
    ).fetchall()
    return {row[0]: Origin(*row[1:]) for row in found}


def _attach(connection: Connection, current: Path) -> bool:
    """Open the current snapshot to be read, if it tells what it was made from."""
    paths = {OLD: current / FILE, TABLES: current / DATABASE}
    if not all(path.is_file() for path in paths.values()):
        return False
    for name, path in paths.items():
        connection.execute(f"ATTACH {text(str(path))} AS {name} (READ_ONLY)")
    return True


def close_origins(connection: Connection) -> None:
    """Let go of the current snapshot, and bring the new one's origins to the disk."""
    attached = connection.execute("SELECT database_name FROM duckdb_databases()")
    there = {name for (name,) in attached.fetchall()}
    connection.execute(f"CHECKPOINT {NEW}")
    for name in (NEW, OLD, TABLES):
        if name in there:
            connection.execute(f"DETACH {name}")


# --- what a table depends on ----------------------------------------------------------
def selection_digests(
    site: SiteFolder, staged: Sequence[Staged], selects: Sequence[Selected], key: bytes
) -> dict[str, str]:
    """Return, for each table, the digest of all that its SELECT's rows depend on.

    That is its SQL with the shadows; of each source that it reads the files' content,
    names, headers and missing codes; the decimal mark that a number has by default; the
    key of pseudonyms; the data dictionary, and the programs that carry it out.
    """
    marks = {source.decimal for source in site.sources}
    common = {
        "type": FORM,
        "program": _program(),
        "duckdb": duckdb.__version__,
        "dictionary": dictionary().digest,
        "key": hashlib.sha256(b"hetao.origins\0" + key).hexdigest(),
        "mark": min(marks) if len(marks) == 1 else ".",
    }
    return {
        selected.table.name: canonical.digest(
            {
                **common,
                "sql": selected.query.sql(dialect="duckdb"),
                "places": [sorted(place.items()) for place in selected.places],
                "sources": _sources(site, staged, selected),
            }
        )
        for selected in selects
    }


@functools.cache
def _program() -> str:
    """Return the digest of the code that makes tables, whatever version it is."""
    whole = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _sources(
    site: SiteFolder, staged: Sequence[Staged], selected: Selected
) -> list[object]:
    """Return what a SELECT reads, in the order in which source rows are numbered."""
    own = {cte.alias.lower() for cte in selected.query.find_all(exp.CTE)}
    read = {table.name.lower() for table in selected.query.find_all(exp.Table)} - own
    counted = _counts_rows(selected.query)
    found: list[object] = []
    base = 0
    for part in staged:
        if part.source in read:
            source = site.source(part.source)
            found.append(
                {
                    "source": part.source,
                    "file": part.file,
                    "content": part.folder.name,
                    "headers": list(part.headers),
                    "missing": list(source.missing),
                    "decimal": source.decimal,
                    "base": base if counted else -1,
                }
            )
        base += part.rows
    return found


def _counts_rows(query: exp.Query) -> bool:
    """Return whether values may depend on the number of a row, not on its order alone.

    Rows are numbered through all files, so that a row more in another file moves the
    numbers. A SELECT that hands `source_row` on under its own name, or orders by it,
    does not notice.
    """
    for column in query.find_all(exp.Column):
        if column.name.lower() != ROW:
            continue
        parent = column.parent
        handed_on = isinstance(parent, exp.Select) or (
            isinstance(parent, exp.Alias)
            and parent.alias.lower() == ROW
            and isinstance(parent.parent, exp.Select)
        )
        if not handed_on and not isinstance(parent, exp.Ordered):
            return True
    return False


def filling_digest(
    connection: Connection,
    selected: Selected,
    selection: str,
    keys: Mapping[str, str],
    mapped: Mapping[str, str],
) -> str:
    """Return the digest of all that a table's rows depend on, but for the day.

    Args:
        connection: the curation's, with `code_map`.
        selected: the table's SELECT.
        selection: its digest.
        keys: table → digest of its keys, of the tables that rows may point to.
        mapped: further digests that decide for this table: its year, its units.
    """
    name = selected.table.name
    codes = connection.execute(f"""
        SELECT sha256(coalesce(string_agg(line, '' ORDER BY line), '')) FROM (
            SELECT DISTINCT json_array(m.system, m.code, m.source_concept_id,
                m.concept_id, m.analyte)::VARCHAR AS line
            FROM {NEW}.used_code u JOIN code_map m USING (system, code)
            WHERE u.target = {text(name)})
    """).fetchone()  # noqa: S608
    return canonical.digest(
        {
            "selection": selection,
            "codes": codes[0] if codes else "",
            "keys": {other: keys[other] for other in links(selected)},
            "mapped": dict(mapped),
        }
    )


def keys_digest(connection: Connection, table: str, key: str) -> str:
    """Return a digest of the keys of a table, in whatever order they stand."""
    row = connection.execute(
        f"SELECT count(*), sum(hash({key})), bit_xor(hash({key})) FROM {table}"  # noqa: S608
    ).fetchone()
    return json.dumps([str(cell) for cell in row or ()])


def is_alike(origin: Origin | None, filled: str, today: str) -> bool:
    """Return whether a table of the current snapshot is what would be made today."""
    if origin is None or origin.filled != filled:
        return False
    return origin.past <= today and (not origin.future or origin.future > today)


# --- keeping and taking over ----------------------------------------------------------
def note_origin(
    connection: Connection, selected: Selected, digests: tuple[str, str], today: str
) -> None:
    """Keep what a table was made from; the table `judged_<table>` is still there.

    Args:
        connection: the curation's.
        selected: the table's SELECT.
        digests: of the selection and of the filling.
        today: ISO day after which an event lies in the future.
    """
    name = selected.table.name
    day = first_day(selected.table) or "NULL::DATE"
    selection, filled = digests
    connection.execute(f"""
        INSERT INTO {NEW}.origin
        SELECT {text(name)}, {text(selection)}, {text(filled)},
            max({day}) FILTER ({day} <= DATE {text(today)}),
            min({day}) FILTER ({day} > DATE {text(today)}), ''
        FROM judged_{name}
    """)  # noqa: S608


def take_over(connection: Connection, table: str) -> None:
    """Copy a table of the current snapshot, and its account; its codes are there."""
    connection.execute(f"INSERT INTO {table} BY NAME FROM {TABLES}.main.{table}")
    for account in ACCOUNTS:
        if account != "used_code":
            take(connection, account, table)
    take(connection, "origin", table)


def take(connection: Connection, account: str, table: str) -> None:
    """Copy what the current snapshot's origins tell about a target."""
    connection.execute(
        f"INSERT INTO {NEW}.{account} FROM {OLD}.{account} WHERE target = {text(table)}"
    )


def keep_digests(connection: Connection, digests: Mapping[str, str]) -> None:
    """Keep the digests of tables' content beside their origins."""
    connection.execute(
        f"UPDATE {NEW}.origin SET digest = told.digest FROM "  # noqa: S608
        "(SELECT unnest(?) AS name, unnest(?) AS digest) AS told "
        "WHERE target = told.name",
        [list(digests), list(digests.values())],
    )


def keep_fact(connection: Connection, name: str, value: str) -> bool:
    """Keep a fact; return whether the current snapshot has the same."""
    connection.execute(f"INSERT INTO {NEW}.fact VALUES (?, ?)", [name, value])  # noqa: S608
    attached = connection.execute("SELECT database_name FROM duckdb_databases()")
    if (OLD,) not in attached.fetchall():
        return False
    row = connection.execute(
        f"SELECT count(*) FROM {OLD}.fact WHERE name = ? AND value = ?",  # noqa: S608
        [name, value],
    ).fetchone()
    return bool(row and row[0])


def kept_answers(connection: Connection) -> dict[str, str]:
    """Return what the current snapshot's tables were asked, by this very program."""
    if not keep_fact(connection, "program", f"{_program()} {duckdb.__version__}"):
        return {}
    return dict(connection.execute(f"FROM {OLD}.answer").fetchall())


def keep_answers(connection: Connection, answers: Mapping[str, str]) -> None:
    """Keep what a snapshot's tables were asked, for the next curation."""
    insert(connection, f"{NEW}.answer", list(answers.items()))
