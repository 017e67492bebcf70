"""An existing PostgreSQL database → its rows as text, all tables of one moment.

Trusted: whoever writes `site.toml`. What it asks is still one SELECT at a time, in a
transaction that cannot write, so that a slip in it changes nothing in the source.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from hetao.cdm.engine_postgres import Run, connect, transaction
from hetao.errors import InvalidMapping

# A SELECT of plain tables: what else could wait, read files or call another server.
SHAPE: tuple[type[exp.Expr], ...] = (
    *(exp.Select, exp.From, exp.Join, exp.Where, exp.Table, exp.TableAlias),
    *(exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Null),
    *(exp.Boolean, exp.Paren, exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between),
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Cast, exp.DataType),
    *(exp.DataTypeParam, exp.Coalesce),
)
ALLOWED = frozenset(SHAPE)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class PostgresSource:
    """One moment of a database: whatever is read stands as it did then."""

    def __init__(self, connection: Any, run: Run) -> None:
        """Read through an open transaction; `reading` makes one."""
        self._connection, self._run = connection, run
        self._cursors = ExitStack()

    def texts(self, query: str) -> pa.RecordBatchReader:
        """Return a query's rows as a stream of Arrow batches, every cell a text.

        A cell is what PostgreSQL writes for it: dates as 2020-02-29, numbers as they
        stand, truth as true and false. NULL stays NULL.

        Args:
            query: one SELECT of columns from tables, with joins and conditions but no
                functions; or the name of a table, with or without its schema.

        Raises:
            InvalidMapping: the query holds anything else.
            UnportablePlan: it names a table or column that is not there.
        """
        sql = checked_query(query)
        empty = self._run(f"SELECT * FROM ({sql}) AS asked LIMIT 0")  # noqa: S608
        cells = ", ".join(f"CAST({_quoted(n)} AS TEXT)" for n in empty.column_names)
        cursor = self._cursors.enter_context(self._connection.cursor())
        cursor.execute(f"SELECT {cells} FROM ({sql}) AS asked")  # noqa: S608
        reader = cursor.fetch_record_batch()
        schema = pa.schema([(name, pa.string()) for name in empty.column_names])
        batches = (batch.rename_columns(empty.column_names) for batch in reader)
        return pa.RecordBatchReader.from_batches(schema, batches)

    def close(self) -> None:
        """End every stream, read to its end or not."""
        self._cursors.close()


@contextmanager
def reading(uri: str) -> Iterator[PostgresSource]:
    """Open a database for reading; whatever is read within is of one moment.

    Args:
        uri: libpq's, such as "postgresql://?service=omop"; see `connection_uri`.

    Raises:
        Unreachable: the server does not answer or does not know us.
        InvalidData: the server gave up in the middle.
    """
    connection = connect(uri)
    try:
        with transaction(connection) as run:
            run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            run("SET LOCAL DateStyle TO 'ISO'")
            run("SET LOCAL IntervalStyle TO 'iso_8601'")
            run("SET LOCAL extra_float_digits TO 1")
            with closing(PostgresSource(connection, run)) as source:
                yield source
    finally:
        connection.close()


def checked_query(query: str) -> str:
    """Return a query of the allowed shape, as PostgreSQL reads it.

    Raises:
        InvalidMapping: it has another shape.
    """
    text = query.strip()
    if all(NAME.fullmatch(part) for part in text.split(".")) and text.count(".") < 2:
        text = "SELECT * FROM " + ".".join(map(_quoted, text.split(".")))  # noqa: S608
    try:
        found = sqlglot.parse(text, read="postgres")
    except SqlglotError as e:
        raise InvalidMapping(
            "a query of a PostgreSQL source cannot be parsed", local=str(e)[:400]
        ) from None
    select = found[0] if len(found) == 1 else None
    if not isinstance(select, exp.Select) or not select.expressions:
        raise InvalidMapping("a PostgreSQL source is asked by one SELECT, nothing else")
    for node in select.walk():
        unusual = [key for key in ("into", "locks") if node.args.get(key)]
        if type(node) not in ALLOWED or unusual:
            raise InvalidMapping(
                "a query of a PostgreSQL source holds "
                f"{unusual[0] if unusual else type(node).__name__}",
                fix="select columns from tables there; do the rest in the table's .sql",
            )
    return select.sql(dialect="postgres")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
