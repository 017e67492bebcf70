"""A site's extract → its curated tables, their digest and a quality report."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from hetao.cdm.dictionary import CONTENT, DICTIONARY
from hetao.cdm.engine_duckdb import Connection, Problem, connect, count
from hetao.cdm.extract import Extract, load_extract, require_columns
from hetao.cdm.fill import fill_tables
from hetao.cdm.mapping import Mapping, read_mapping
from hetao.cdm.pseudonym import read_or_make_key
from hetao.cdm.quality import Curation, check_quality
from hetao.cdm.report import write_reports
from hetao.cdm.snapshot import snapshot_digest
from hetao.cdm.stage import stage_extract
from hetao.dictionary import dictionary
from hetao.errors import InvalidData


def curate(
    config_path: Path,
    progress: Callable[[str], None],
    *,
    today: date | None = None,
) -> Curation:
    """Return the curation of the extract that a `site.toml` describes.

    The tables are built in a private folder beside the database and put in its place
    by one rename: whoever is killed halfway leaves the last good tables as they were.

    Args:
        config_path: the `site.toml`.
        progress: called with a short sentence at each step; never with a value.
        today: day after which a visit lies in the future; None asks the clock.

    Raises:
        InvalidMapping: the `site.toml` does not hold.
        InvalidData: the extract cannot be read as what the mapping says.
    """
    mapping = read_mapping(config_path)
    day = today or datetime.now(UTC).date()
    key = read_or_make_key(mapping.key_path)
    database = mapping.database_path
    if database.is_dir():
        raise InvalidData(f"{database} is a folder", fix="name a file in [database]")
    with _scratch(database) as folder:
        built = folder / "built.duckdb"
        connection = connect(built)
        try:
            curation = _build(connection, mapping, key, day, progress, folder)
        except Problem as problem:
            # `from None`: the engine's message may quote a cell.
            raise InvalidData(
                f"{mapping.source.file} cannot be turned into tables",
                fix="see the local details; check the disk and the mapping",
                local=str(problem),
            ) from None
        finally:
            connection.close()
        _sync(built)
        built.replace(database)
    progress("writing the quality report")
    write_reports(curation, mapping.site)
    return curation


def _build(
    connection: Connection,
    mapping: Mapping,
    key: bytes,
    day: date,
    progress: Callable[[str], None],
    folder: Path,
) -> Curation:
    progress("reading the extract")
    source = mapping.source
    extract = Extract(mapping.extract_path, source.encoding, source.delimiter)
    headers = load_extract(connection, extract, folder)
    require_columns(headers, mapping.columns, source.file)
    progress("mapping cells to concepts and units")
    stage_extract(connection, mapping, headers, key, day.isoformat())
    progress("filling the tables of OMOP CDM 5.4")
    fill_tables(connection, mapping)
    progress("checking quality")
    quality = check_quality(connection, mapping, headers)
    progress("taking the digest")
    snapshot = snapshot_digest(connection)
    _sign_off(connection, snapshot)
    database = mapping.database_path
    return Curation(
        site=mapping.site.name,
        database=database,
        snapshot=snapshot,
        rows=count(connection, "extract"),
        people=count(connection, "person"),
        rejected=count(connection, "rejected"),
        tables=tuple((t.name, count(connection, t.name)) for t in CONTENT),
        quality=quality,
        report=database.parent / "quality.html",
    )


def _sign_off(connection: Connection, snapshot: str) -> None:
    connection.execute(
        "CREATE TABLE snapshot "
        "(dictionary VARCHAR, dictionary_digest VARCHAR, digest VARCHAR)"
    )
    connection.execute(
        "INSERT INTO snapshot VALUES (?, ?, ?)",
        [DICTIONARY, dictionary().digest, snapshot],
    )
    connection.execute("CHECKPOINT")


@contextmanager
def _scratch(database: Path) -> Iterator[Path]:
    """Give a private folder beside the database, and take away what killed runs left.

    It holds patients' rows in the clear while it lives, so it is readable by the
    owner only (mkdtemp makes it so).
    """
    prefix = f".{database.name}.part-"
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        for left in database.parent.glob(prefix + "*"):
            if not _is_running(left.name.removeprefix(prefix).split("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=database.parent)
    except OSError as problem:
        raise InvalidData(
            f"nothing can be written beside {database.name}: {problem.strerror}"
        ) from problem
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    """Bring the file to the disk before it takes the last good one's place."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
