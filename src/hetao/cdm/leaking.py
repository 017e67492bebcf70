"""A second look, at the data: no text of the CDM is an identifier of the extract.

The proof of `lineage` is about declared columns. This check also finds an identifier
that stands in a column where nobody expected it, such as a number in a remark.

An identifier of digits alone says less than a name: of a hundred thousand numbers of
eight digits, one is sooner or later a laboratory's result as well. So a number is
refused where it stands in the row of its own person, and elsewhere where more of a
column's numbers are identifiers than chance explains.
"""

from collections.abc import Sequence
from typing import Final

from scipy import special

from hetao.cdm.engine_duckdb import Connection, count, counts
from hetao.cdm.mapping import Source
from hetao.cdm.pseudonym import pseudonym_sql
from hetao.dictionary import Table, dictionary
from hetao.errors import IdentifierLeak

# Shorter digits stand for many things: an age, a code, a rank.
TELLING: Final = (
    "(length(identifier) >= 6 AND regexp_matches(identifier, '[^0-9]')) "
    "OR length(identifier) >= 8 OR regexp_matches(identifier, '[^\\x00-\\x7F]{2,}')"
)
# How probable so many equal numbers must be, were a column's numbers no identifiers.
LEAST_CHANCE: Final = 1e-4
# Chance is taken from a number's neighbours: those that differ in the last digits.
LAST_DIGITS: Final = 4
# Where every tenth number is an identifier, chance and leak look the same: refused.
DENSE: Final = 0.1


def check_cells(
    connection: Connection,
    sources: Sequence[Source],
    schema: str,
    checked: frozenset[str] = frozenset(),
) -> None:
    """Refuse tables in which a whole text cell equals a telling identifier.

    An identifier tells if it has eight characters, or six of which one is no digit, or
    two that are not ASCII, as a Chinese name has. One of digits alone is refused where
    a pseudonym of the same row hides that very number, and where a column holds more of
    them than LEAST_CHANCE allows.

    Args:
        connection: the curation's, tables filled, sources still readable, and the key
            of pseudonyms still there.
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
        SELECT identifier, regexp_full_match(identifier, '[0-9]+') AS is_number,
            {_neighbours("identifier")} AS neighbours
        FROM seen WHERE {TELLING}
    """)  # noqa: S608
    if not count(connection, "telling"):
        return  # no text is one of none
    connection.execute("""
        CREATE TEMP TABLE crowding AS
        SELECT neighbours, count(*) AS identifiers FROM telling
        WHERE is_number GROUP BY neighbours
    """)
    rows = counts(connection, dictionary().tables)
    for table in dictionary().tables.values():
        if table.kind == "vocabulary" and table.name != "concept":
            continue
        if table.name not in checked and rows[table.name]:
            _check_table(connection, table)


def _neighbours(number: str) -> str:
    """Return SQL that is equal for numbers as long that differ in the last digits."""
    return f"length({number}) || ':' || left({number}, -{LAST_DIGITS})"


def _check_table(connection: Connection, table: Table) -> None:
    """Hold every column of text against the identifiers, in one statement a table."""
    columns = [field.name for field in table.fields.values() if field.type == "text"]
    if not columns:
        return
    equal = " UNION ALL ".join(
        f"SELECT {place}, count(*) FILTER (NOT is_number), "  # noqa: S608
        f"count(*) FILTER (is_number) FROM ({_equal_cells(table, column)})"
        for place, column in enumerate(columns)
    )
    for place, names, numbers in sorted(connection.execute(equal).fetchall()):
        _check_column(connection, table, columns[place], (names, numbers))


def _equal_cells(table: Table, column: str) -> str:
    """Return SQL for the different cells of a column that are telling identifiers."""
    return (
        f"SELECT DISTINCT {column} AS cell, is_number FROM {table.name} "  # noqa: S608
        f"JOIN telling ON {column} = identifier"
    )


def _check_column(
    connection: Connection, table: Table, column: str, equal: tuple[int, int]
) -> None:
    """Refuse a column with so many different cells that are names, and numbers."""
    names, numbers = equal
    if names or (
        numbers
        and (
            _own_rows(connection, table, column)
            or not _may_be_chance(connection, table.name, column, numbers)
        )
    ):
        raise IdentifierLeak(
            f"{table.name}.{column} would hold texts that are identifiers in the "
            "extract",
            fix="declare the column that they come from, or leave it out",
            local=f"{names + numbers} different ones",
        )


def _own_rows(connection: Connection, table: Table, column: str) -> bool:
    """Return whether a row holds the very number that a pseudonym of it hides."""
    hidden = [
        field.name
        for field in table.fields.values()
        if field.identifier == "pseudonym" and field.type == "bigint"
    ]
    if not hidden:
        return False
    row = connection.execute(f"""
        WITH own AS MATERIALIZED (
            SELECT cell, {pseudonym_sql("cell")} AS pseudonym
            FROM ({_equal_cells(table, column)}) WHERE is_number)
        SELECT count(*) FROM {table.name} JOIN own ON {column} = cell
        WHERE pseudonym IN ({", ".join(hidden)})
    """).fetchone()  # noqa: S608
    return bool(row and row[0])


def _may_be_chance(connection: Connection, table: str, column: str, equal: int) -> bool:
    """Return whether a column's numbers equal identifiers no oftener than by chance.

    The chance of a number is the share of identifiers among its neighbours, itself
    left out; that of a dense neighbourhood counts as none, so that an equal number is
    refused there. The sum of many small chances is Poisson distributed.
    """
    row = connection.execute(
        f"""
        WITH numbers AS MATERIALIZED (
            SELECT DISTINCT {column} AS cell FROM {table}
            WHERE regexp_full_match({column}, '[0-9]{{8,}}')),
        chance AS (
            SELECT (identifiers - (telling.identifier IS NOT NULL)::INTEGER)
                / (power(10, {LAST_DIGITS}) - 1) AS share
            FROM numbers JOIN crowding ON {_neighbours("cell")} = crowding.neighbours
            LEFT JOIN telling ON cell = telling.identifier)
        SELECT coalesce(sum(share) FILTER (share < {DENSE}), 0) FROM chance
        """  # noqa: S608
    ).fetchone()
    expected = float(row[0]) if row else 0.0
    # The probability of `equal` or more.
    return bool(special.gammainc(equal, expected) >= LEAST_CHANCE)
