"""A SELECT's pseudonyms, each made once for a whole curation.

A pseudonym takes the engine as long as reading twenty cells, and the same person
stands in every table. So a column that is a pseudonym and nothing else is first
selected as the text that it hides; of the different texts that have no pseudonym yet
one is made, and then every text gives way to its own. What comes out is what the SELECT
itself gives.

Trusted: until `forget_pseudonyms` identifiers stand in temporary tables of this
process, as the extract's own cells do. No SELECT of a mapping can read these tables.
"""

from typing import Final

from sqlglot import exp

from hetao.cdm.engine_duckdb import Connection
from hetao.cdm.selecting import branches, outputs
from hetao.cdm.shadow import is_row_for_row

KNOWN: Final = "pseudonym_of"
PSEUDONYM: Final = "pseudonym"


def select_hidden(connection: Connection, query: exp.Query, table: str) -> None:
    """Make the temporary table `table` of a query, no identifier left in it.

    Args:
        connection: the curation's, with the macro `pseudonym` and its key.
        query: of a mapping, proven and with its shadows.
        table: the name.
    """
    shown, hidden = _shown(query)
    # S608, here and below: names are our own.
    if not hidden:
        connection.execute(
            f"CREATE TEMP TABLE {table} AS {query.sql(dialect='duckdb')}"
        )
        return
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {KNOWN} (hides VARCHAR, id BIGINT)"
    )
    # To read a source table twice takes less than to write its rows down once more.
    kind = "VIEW" if all(map(is_row_for_row, branches(shown))) else "TABLE"
    connection.execute(f"CREATE TEMP {kind} shown AS {shown.sql(dialect='duckdb')}")
    each = [f'SELECT "{name}" AS hides FROM shown' for name in hidden]  # noqa: S608
    connection.execute(f"""
        INSERT INTO {KNOWN} SELECT hides, {PSEUDONYM}(hides)
        FROM (SELECT DISTINCT hides FROM ({" UNION ALL ".join(each)})) AS new
        WHERE hides IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM {KNOWN} k WHERE k.hides = new.hides)
    """)  # noqa: S608
    given = ", ".join(f'k{place}.id AS "{name}"' for place, name in enumerate(hidden))
    joins = " ".join(
        f'LEFT JOIN {KNOWN} k{place} ON k{place}.hides = shown."{name}"'
        for place, name in enumerate(hidden)
    )
    connection.execute(
        f"CREATE TEMP TABLE {table} AS SELECT shown.* REPLACE ({given}) "  # noqa: S608
        f"FROM shown {joins}"
    )
    connection.execute(f"DROP {kind} shown")


def forget_pseudonyms(connection: Connection) -> None:
    """Let go of what the pseudonyms hide."""
    connection.execute(f"DROP TABLE IF EXISTS {KNOWN}")


def _shown(query: exp.Query) -> tuple[exp.Query, tuple[str, ...]]:
    """Return a query that gives texts instead of pseudonyms, and which columns do.

    These are the columns that are a pseudonym in every branch. Where rows are grouped,
    or told apart, by a pseudonym itself, it stays where it is.
    """
    copy = query.copy()
    parts = branches(copy)
    if any(part.args.get("group") for part in parts):
        return copy, ()
    hidden = []
    for place, name in enumerate(outputs(copy)):
        columns = [part.selects[place] for part in parts]
        calls = [column.unalias() for column in columns]
        if not all(map(_is_pseudonym, calls)):
            continue
        for call in calls:
            call.replace(exp.cast(call.expressions[0].copy(), "TEXT"))
        hidden.append(name)
    return copy, tuple(hidden)


def _is_pseudonym(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == PSEUDONYM
