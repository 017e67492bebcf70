"""A second look, at the data: no text of the CDM is an identifier of the extract.

The proof of `lineage` is about declared columns. This check also finds an identifier
that stands in a column where nobody expected it, such as a number in a remark.
"""

from collections.abc import Sequence
from typing import Final

from hetao.cdm.engine_duckdb import Connection, count
from hetao.cdm.mapping import Source
from hetao.dictionary import dictionary
from hetao.errors import IdentifierLeak

# Shorter digits stand for many things: an age, a code, a rank.
TELLING: Final = (
    "(length(identifier) >= 6 AND regexp_matches(identifier, '[^0-9]')) "
    "OR length(identifier) >= 8 OR regexp_matches(identifier, '[^\\x00-\\x7F]{2,}')"
)


def check_cells(
    connection: Connection,
    sources: Sequence[Source],
    schema: str,
    checked: frozenset[str] = frozenset(),
) -> None:
    """Refuse tables in which a whole text cell equals a telling identifier.

    An identifier tells if it has eight characters, or six of which one is no digit, or
    two that are not ASCII, as a Chinese name has.

    Args:
        connection: the curation's, tables filled and sources still readable.
        sources: of the site.
        schema: where they stand.
        checked: tables that the same identifiers were held against already.

    Raises:
        IdentifierLeak: a column holds one; the column is named, never the value.
    """
    parts = [
        f'SELECT "{column.replace(chr(34), chr(34) * 2)}" AS identifier '  # noqa: S608
        f"FROM {schema}.main.{source.name}"
        for source in sources
        for column in source.identifiers
    ]
    if not parts:
        return
    # Told apart first: a person's identifier stands in many rows.
    connection.execute(f"""
        CREATE TEMP TABLE telling AS
        WITH seen AS MATERIALIZED (
            SELECT DISTINCT identifier FROM ({" UNION ALL ".join(parts)}))
        SELECT identifier FROM seen WHERE {TELLING}
    """)  # noqa: S608
    for table in dictionary().tables.values():
        if table.kind == "vocabulary" and table.name != "concept":
            continue
        if table.name not in checked and count(connection, table.name):
            for field in table.fields.values():
                if field.type == "text":
                    _check_column(connection, table.name, field.name)


def _check_column(connection: Connection, table: str, column: str) -> None:
    row = connection.execute(f"""
        SELECT count(DISTINCT {column}) FROM {table}
        SEMI JOIN telling ON {column} = identifier
    """).fetchone()  # noqa: S608
    if row and row[0]:
        raise IdentifierLeak(
            f"{table}.{column} would hold texts that are identifiers in the extract",
            fix="declare the column that they come from, or leave it out",
            local=f"{row[0]} different ones",
        )
