"""A snapshot's tables → a schema in PostgreSQL: all, as they were, or nothing."""

from pathlib import Path
from typing import Any

from hetao.cdm import arrow_columns
from hetao.cdm.content_digest import content_digest
from hetao.cdm.engine import Row, literal
from hetao.cdm.engine_duckdb import DuckDBEngine, connect_read_only, failures
from hetao.cdm.engine_postgres import Run, connect, declared, transaction
from hetao.cdm.plan import checked_name, translate
from hetao.cdm.plan_types import ColumnTypes, stored_tables
from hetao.errors import InvalidData

BATCH_ROWS = 100_000
LOCK = 0x486574616F  # one publication at a time; the number is "Hetao"


def publish(database: Path, uri: str, schema: str, snapshot: str) -> None:
    """Copy every table of a snapshot's database into a schema, in one transaction.

    What stands there afterwards is read back and has the digest of the original. A
    second call finds it there and does nothing; a kill leaves nothing.

    Args:
        database: the snapshot's `cdm.duckdb`.
        uri: libpq's; its role may create schemas.
        schema: named for the snapshot.
        snapshot: the snapshot's digest; it stands as the schema's comment.

    Raises:
        Unreachable: the server does not answer.
        InvalidData: the schema holds something else, or what was written differs.
    """
    checked_name(schema)
    with DuckDBEngine(connect_read_only(database)) as source:
        tables = stored_tables(source.connection)
        connection = connect(uri)
        try:
            with transaction(connection) as run:
                run(f"SELECT pg_advisory_xact_lock({LOCK})")
                if not _is_there(run, schema, snapshot):
                    _copy(source, connection, run, (schema, tables))
                    _prove(run, schema, tables, content_digest(source.rows, tables))
                    run(f'COMMENT ON SCHEMA "{schema}" IS {literal(snapshot)}')
        finally:
            connection.close()


def _is_there(run: Run, schema: str, snapshot: str) -> bool:
    """Say whether the schema holds this snapshot already."""
    found = run(f"""
        SELECT CAST(obj_description(oid, 'pg_namespace') AS TEXT)
        FROM pg_namespace WHERE nspname = {literal(schema)}
    """)  # noqa: S608  a literal, quoted
    if found.num_rows == 0:
        return False
    if found.column(0)[0].as_py() != snapshot:
        raise InvalidData(
            f"the schema {schema!r} of PostgreSQL holds something else",
            fix="drop that schema, or rename it, and publish again",
        )
    return True


def _copy(
    source: DuckDBEngine,
    connection: Any,
    run: Run,
    target: tuple[str, dict[str, ColumnTypes]],
) -> None:
    schema, tables = target
    run(f'CREATE SCHEMA "{schema}"')
    for name, types in tables.items():
        run(f'CREATE TABLE "{schema}"."{checked_name(name)}" ({declared(types)})')
        with failures():
            rows = source.connection.sql(f'SELECT * FROM "{name}"')  # noqa: S608
            reader = rows.to_arrow_reader(BATCH_ROWS)
        with connection.cursor() as cursor:
            cursor.adbc_ingest(name, reader, mode="append", db_schema_name=schema)
        run(f'ANALYZE "{schema}"."{name}"')


def _prove(run: Run, schema: str, tables: dict[str, ColumnTypes], digest: str) -> None:
    """Read back what was written."""
    run(f'SET LOCAL search_path TO "{schema}"')

    def ask(plan: str) -> list[Row]:
        return arrow_columns.rows(run(translate(plan, "postgres")))

    if content_digest(ask, tables) != digest:
        raise InvalidData(
            "PostgreSQL does not give back what was written",
            fix="check the server's disk and its encoding (UTF8), and publish again",
        )
