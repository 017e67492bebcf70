"""Files of the extract → text cells in Parquet, kept by what is in them.

A staged file is found again by the digest of its bytes and of how it was read: an
unchanged file is never read twice, and a curation that was killed goes on with what it
had staged. Staged files hold patients' rows in the clear, as the extract does.
"""

import functools
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hetao import canonical
from hetao.cdm.engine_duckdb import Connection, Problem, connect, text
from hetao.cdm.macros import SPACES
from hetao.cdm.mapping import SiteFolder, Source
from hetao.cdm.read_delimited import read_delimited
from hetao.cdm.read_ndjson import read_ndjson
from hetao.cdm.read_parquet import read_parquet
from hetao.cdm.read_sheet import read_sheet
from hetao.cdm.reading import Reading, band_of
from hetao.cdm.serving import extra
from hetao.cdm.store import settle
from hetao.errors import InvalidData

FORM = "hetao.staged/2"
WHOLE = "file.json"  # written last
# What every cell becomes: a text without blanks around it, or NULL. A NUL character
# is a blank: PostgreSQL holds none, and nobody sees one.
# Nearly all cells begin and end with a plain character: asking that first costs a
# quarter of trimming them all.
CELL = (
    "CASE WHEN regexp_matches({0}, '^[!-~]([^\\x00]*[!-~])?$') THEN {0} "
    f"ELSE nullif(trim(replace({{0}}, chr(0), ' '), {text(SPACES)}), '') END"
)
FORMS_OF_READING = ("format", "encoding", "delimiter", "columns", "sheet", "most_unfit")
Reader = Callable[[Connection, Source, Path, Path], Reading]
READERS: Mapping[str, Reader] = {
    "csv": read_delimited,
    "html": read_sheet,
    "excel": read_sheet,
    "ndjson": read_ndjson,
    "parquet": read_parquet,
}


@dataclass(frozen=True)
class Staged:
    """One staged file.

    Attributes:
        source: the source that it belongs to.
        file: its path from the site folder.
        headers: of its columns; `c0`, `c1` … in `rows.parquet` beside `source_row`.
        rows: that fit.
        unfit: rows that do not, in `unfit.parquet` by line and reason.
        folder: where it is staged.
        again: whether it had been staged before and was not read.
    """

    source: str
    file: str
    headers: tuple[str, ...]
    rows: int
    unfit: int
    folder: Path
    again: bool


def stage_sources(
    site: SiteFolder, progress: Callable[[str], None]
) -> tuple[Staged, ...]:
    """Return the files of every source, staged, in the order of their paths.

    What comes from one database is of one moment, whichever source asks for it.

    Args:
        site: its sources, and where its relative paths start; staged files go to the
            store's `staged`.
        progress: called with a short sentence a file.

    Raises:
        InvalidData: no file is there; one cannot be read, has too many rows that do
            not fit, or other columns than the first; the file and a band of lines are
            named.
    """
    staged = site.store_path / "staged"
    queries = [source for source in site.sources if source.format == "postgres"]
    asked = _stage_queries(queries, staged, progress) if queries else {}
    found: list[Staged] = []
    # One engine reads all files: starting one takes as long as reading 10,000 rows.
    with connect() as engine:
        home = _Home(site.folder, staged, engine)
        for source in site.sources:
            if source.name in asked:
                found.append(asked[source.name])
            else:
                found += _stage_files(source, home, progress)
    return tuple(found)


@dataclass(frozen=True)
class _Home:
    """Where a site's files lie, where they are staged, and what reads them."""

    folder: Path
    staged: Path
    engine: Connection


def _stage_files(
    source: Source, home: _Home, progress: Callable[[str], None]
) -> list[Staged]:
    staged = []
    for path in _files(source, home.folder):
        is_inside = path.is_relative_to(home.folder)
        name = str(path.relative_to(home.folder)) if is_inside else path.name
        staged.append(_stage_file(source, path, name, home, progress))
    _check_alike(source, staged)
    return staged


def _files(source: Source, folder: Path) -> list[Path]:
    pattern = str(Path(glob.escape(str(folder))) / source.files)
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    if not found:
        raise InvalidData(
            f"source {source.name!r}: there is no file {source.files[:120]!r}",
            fix="check files of the source; paths start at site.toml",
        )
    return found


def _stage_file(
    source: Source,
    path: Path,
    name: str,
    home: _Home,
    progress: Callable[[str], None],
) -> Staged:
    mark = _digest(source, path)
    place = home.staged / mark[:32]
    if (place / WHOLE).exists():
        progress(f"{name}: unchanged, not read again")
        return _found(source, name, place, again=True)
    progress(f"reading {name}")
    with scratch_folder(home.staged, place.name) as scratch:
        _read(home.engine, source, path, scratch)
        for name_left in ("decoded.txt", "cells.csv"):
            (scratch / name_left).unlink(missing_ok=True)
        for part in scratch.iterdir():
            sync(part)
        settle(scratch, place, WHOLE)
    return _found(source, name, place, again=False)


def _stage_queries(
    sources: list[Source], staged: Path, progress: Callable[[str], None]
) -> dict[str, Staged]:
    """Ask the databases: they are asked each time, and kept by what they answer."""
    with extra("postgres"):
        from hetao.cdm.stage_postgres import Moments, copy_query

    found = {}
    with Moments() as moments:
        for source in sources:
            progress(f"asking the database for {source.name}")
            ask = functools.partial(copy_query, moments.of(source.dsn_env), source)
            found[source.name] = _stage_query(source, staged, ask)
    return found


def _stage_query(
    source: Source,
    staged: Path,
    ask: Callable[[Path, str], tuple[tuple[str, ...], int]],
) -> Staged:
    with scratch_folder(staged, source.name) as scratch:
        rows_path = scratch / "rows.parquet"
        headers, rows = ask(rows_path, CELL)
        if rows == 0:
            raise InvalidData(
                f"source {source.name!r}: the query gives no row", fix="check the query"
            )
        with connect() as connection:
            _copy(connection, Reading((), "").unfit, scratch / "unfit.parquet")
        body = {"headers": headers, "rows": rows, "unfit": 0}
        told = json.dumps(body, ensure_ascii=False)
        (scratch / WHOLE).write_text(told, "utf-8")
        with rows_path.open("rb") as file:
            answer = hashlib.file_digest(file, "sha256").hexdigest()
        mark = canonical.digest({"type": FORM, "rows": answer, "told": body})
        home = staged / mark.removeprefix("sha256:")[:32]
        settle(scratch, home, WHOLE)
    return _found(source, source.name, home, again=False)


def _digest(source: Source, path: Path) -> str:
    how = {name: getattr(source, name) for name in FORMS_OF_READING}
    how["most_unfit"] = repr(source.most_unfit)
    how["columns"] = list(source.columns.items())
    if path.is_dir():
        raise InvalidData(f"{path.name} is a folder", fix="name the files in it")
    try:
        with path.open("rb") as file:
            body = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise InvalidData(
            f"{path.name} cannot be read: {problem.strerror}", fix="check the path"
        ) from None
    whole = canonical.digest({"type": FORM, "bytes": body, "how": how})
    return whole.removeprefix("sha256:")


def _read(engine: Connection, source: Source, path: Path, scratch: Path) -> None:
    """Write rows.parquet, unfit.parquet and, last, file.json."""
    connection = (
        engine.cursor()
    )  # its temporary tables, such as unfit rows, are its own
    try:
        reading = READERS[source.format](connection, source, path, scratch)
        cells = "".join(
            f", {CELL.format(f'c{place}')} AS c{place}"
            for place in range(len(reading.headers))
        )
        rows = _copy(
            connection,
            f"SELECT row_number() OVER () AS source_row{cells} FROM ({reading.select})",  # noqa: S608
            scratch / "rows.parquet",
        )
        unfit = _copy(
            connection,
            f"SELECT * FROM ({reading.unfit}) ORDER BY line",  # noqa: S608
            scratch / "unfit.parquet",
        )
        _check_share(connection, source, path.name, (rows, unfit), scratch)
    except Problem as problem:
        # `from None`: the engine's message may quote a cell.
        raise InvalidData(
            f"{path.name}: the rows cannot be read",
            fix="check delimiter, quotes and line ends of the export",
            local=str(problem),
        ) from None
    finally:
        connection.close()
    body = {"headers": reading.headers, "rows": rows, "unfit": unfit}
    (scratch / WHOLE).write_text(json.dumps(body, ensure_ascii=False), "utf-8")


def _copy(connection: Connection, select: str, path: Path) -> int:
    done = connection.execute(
        f"COPY ({select}) TO {text(str(path))} (FORMAT parquet, COMPRESSION zstd)"
    ).fetchone()
    return int(done[0]) if done else 0


def _check_share(
    connection: Connection,
    source: Source,
    file: str,
    counts: tuple[int, int],
    scratch: Path,
) -> None:
    rows, unfit = counts
    if rows + unfit == 0:
        raise InvalidData(f"{file} has a header but no row", fix="export it again")
    if unfit <= source.most_unfit * (rows + unfit):
        return
    first = connection.execute(
        f"SELECT line, reason FROM {text(str(scratch / 'unfit.parquet'))} "  # noqa: S608
        "ORDER BY line LIMIT 1"
    ).fetchone()
    line, reason = first or (1, "rows do not fit")
    raise InvalidData(
        f"{file}, {band_of(int(line))} and on: {reason}; more than "
        f"{source.most_unfit:.0%} of the rows do not fit",
        fix="check delimiter, quotes and line ends of the export, or raise most_unfit",
        local=f"{unfit} of {rows + unfit} rows; the first is line {line}",
    )


def _found(source: Source, name: str, home: Path, *, again: bool) -> Staged:
    body = json.loads((home / WHOLE).read_text("utf-8"))
    return Staged(
        source=source.name,
        file=name,
        headers=tuple(body["headers"]),
        rows=int(body["rows"]),
        unfit=int(body["unfit"]),
        folder=home,
        again=again,
    )


def _check_alike(source: Source, staged: list[Staged]) -> None:
    """Refuse files of one source with different columns; their order may differ."""
    first = staged[0]
    for other in staged[1:]:
        odd = set(first.headers) ^ set(other.headers)
        if odd:
            raise InvalidData(
                f"source {source.name!r}: {other.file} and {first.file} differ in the "
                f"column {min(odd)!r}",
                fix="export them alike, or make them two sources",
            )


# --- folders --------------------------------------------------------------------------
@contextmanager
def scratch_folder(home: Path, name: str) -> Iterator[Path]:
    """Give a private folder in `home`, and take away what killed runs left there.

    It holds patients' rows in the clear while it lives, so it is readable by the
    owner only (mkdtemp makes it so). Who renames it keeps it.
    """
    prefix = ".part-"
    try:
        home.mkdir(parents=True, exist_ok=True)
        for left in home.glob(prefix + "*"):
            if not _is_running(left.name.removeprefix(prefix).split("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        made = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-{name}-", dir=home)
    except OSError as problem:
        raise InvalidData(
            f"nothing can be written in {home.name}: {problem.strerror}"
        ) from None
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sync(path: Path) -> None:
    """Bring a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
