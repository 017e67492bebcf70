"""A snapshot → the engine that its site chose to serve it from."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hetao.cdm.engine import Engine
from hetao.errors import Usage

PARQUET = "parquet"  # a snapshot's tables for Spark, in its own folder


def serve(engine: str, database: Path, snapshot: str) -> Engine | None:
    """Return an engine over a snapshot's tables; None for the embedded one.

    The tables are copied there first, unless they are there already.

    Args:
        engine: "duckdb", "postgres" or "spark".
        database: the snapshot's `cdm.duckdb`, in a folder of its own. For Spark this
            folder is where the executors read, and where made tables are kept for a
            while.
        snapshot: the snapshot's digest.

    Raises:
        Usage: the extra for this engine is not installed.
        InvalidMapping: the environment names no PostgreSQL connection.
        Unreachable: the server or cluster does not answer.
        InvalidData: the tables cannot be copied or read.
    """
    if engine == "postgres":
        return _on_postgres(database, snapshot)
    if engine == "spark":
        return _on_spark(database)
    return None


def _on_postgres(database: Path, snapshot: str) -> Engine:
    with extra("postgres"):
        from hetao.cdm.engine_postgres import PostgresEngine, connection_uri
        from hetao.cdm.publish_postgres import publish
    uri = connection_uri()
    schema = "hetao_" + snapshot.removeprefix("sha256:")[:12]
    publish(database, uri, schema, snapshot)
    return PostgresEngine(uri, schema)


def _on_spark(database: Path) -> Engine:
    with extra("spark"):
        from hetao.cdm.engine_spark import SparkEngine, start_session
    from hetao.cdm.publish_parquet import publish

    tables = publish(database, database.parent / PARQUET)
    scratch = database.parent / f".spark-{secrets.token_hex(8)}"
    return SparkEngine(start_session(), tables, str(scratch))


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra is missing, should its libraries be."""
    try:
        yield
    except ImportError as e:
        raise Usage(
            f"the engine {name!r} is not installed",
            fix=f"pip install 'hetao[{name}]'",
            local=str(e)[:200],
        ) from None
