"""A snapshot's tables → a folder of Parquet files for Spark: all, or nothing."""

import secrets
import shutil
from pathlib import Path

from hetao.cdm.content_digest import content_digest
from hetao.cdm.engine import literal
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only, failures
from hetao.cdm.plan import checked_name
from hetao.cdm.plan_types import stored_tables
from hetao.errors import InvalidData


def publish(database: Path, folder: Path) -> dict[str, str]:
    """Write every table of a snapshot's database as `<table>.parquet`, once.

    The folder appears by one rename, after its content was read back and had the
    digest of the original. Where it is there already, nothing is written.

    Args:
        database: the snapshot's `cdm.duckdb`.
        folder: where Spark's executors can read it.

    Returns:
        The file of each table, by name.

    Raises:
        InvalidData: what was written differs, so the disk is not to be trusted.
    """
    if not folder.is_dir():
        part = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
        try:
            part.mkdir(parents=True)
            _write(database, part)
            if not folder.is_dir():  # unless another process was quicker
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return {path.stem: str(path) for path in sorted(folder.glob("*.parquet"))}


def _write(database: Path, folder: Path) -> None:
    with (
        DuckDBEngine(connect_read_only(database)) as source,
        DuckDBEngine(connect()) as written,
    ):
        tables = stored_tables(source.connection)
        for name in tables:
            file = literal(str(folder / f"{checked_name(name)}.parquet"))
            with failures():
                source.connection.execute(f'COPY "{name}" TO {file} (FORMAT parquet)')
                written.connection.execute(
                    f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet({file})'  # noqa: S608
                )
        if content_digest(written.rows, tables) != content_digest(source.rows, tables):
            raise InvalidData(
                "Parquet files do not give back what was written",
                fix="check the disk, and open the snapshot again",
            )
