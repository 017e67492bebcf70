"""An Athena download → a loaded vocabulary: verified, whole or not at all, versioned.

Hetao ships no vocabulary. A site downloads the vocabularies that it is licensed for
from OHDSI's Athena, and loads the folder here. A loaded vocabulary is never changed:
loading another puts a new one beside it and names that the current one.

    <store>/vocabularies/<first 12 hex digits of its digest>/vocabulary.duckdb
                                                             manifest.json
    <store>/vocabularies/current          the name of the current one
"""

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hetao.canonical import digest
from hetao.cdm.engine_duckdb import Connection, Problem, connect, text
from hetao.errors import InvalidData, InvalidVocabulary

FOLDER: Final = "vocabularies"
CURRENT: Final = "current"
DATABASE: Final = "vocabulary.duckdb"
MANIFEST: Final = "manifest.json"
SHORT: Final = 12  # hex digits of the digest in a folder's name
DATE: Final = "DATE"
ID: Final = "BIGINT"
WORD: Final = "VARCHAR"
LEVELS: Final = "INTEGER"


@dataclass(frozen=True)
class File:
    """One file of a download: its columns, those that are never empty, its key."""

    name: str
    table: str
    columns: dict[str, str]
    required: tuple[str, ...]
    key: tuple[str, ...]
    optional: bool = False


FILES: Final = (
    File(
        "CONCEPT.csv",
        "concept",
        {
            "concept_id": ID,
            "concept_name": WORD,
            "domain_id": WORD,
            "vocabulary_id": WORD,
            "concept_class_id": WORD,
            "standard_concept": WORD,
            "concept_code": WORD,
            "valid_start_date": DATE,
            "valid_end_date": DATE,
            "invalid_reason": WORD,
        },
        ("concept_id", "domain_id", "vocabulary_id", "concept_code"),
        ("concept_id",),
    ),
    File(
        "CONCEPT_ANCESTOR.csv",
        "concept_ancestor",
        {
            "ancestor_concept_id": ID,
            "descendant_concept_id": ID,
            "min_levels_of_separation": LEVELS,
            "max_levels_of_separation": LEVELS,
        },
        (
            "ancestor_concept_id",
            "descendant_concept_id",
            "min_levels_of_separation",
            "max_levels_of_separation",
        ),
        ("ancestor_concept_id", "descendant_concept_id"),
    ),
    File(
        "CONCEPT_RELATIONSHIP.csv",
        "concept_relationship",
        {
            "concept_id_1": ID,
            "concept_id_2": ID,
            "relationship_id": WORD,
            "valid_start_date": DATE,
            "valid_end_date": DATE,
            "invalid_reason": WORD,
        },
        ("concept_id_1", "concept_id_2", "relationship_id"),
        ("concept_id_1", "concept_id_2", "relationship_id"),
    ),
    File(
        "VOCABULARY.csv",
        "vocabulary",
        {
            "vocabulary_id": WORD,
            "vocabulary_name": WORD,
            "vocabulary_reference": WORD,
            "vocabulary_version": WORD,
            "vocabulary_concept_id": ID,
        },
        ("vocabulary_id", "vocabulary_name"),
        ("vocabulary_id",),
    ),
    File(
        "CONCEPT_SYNONYM.csv",
        "concept_synonym",
        {
            "concept_id": ID,
            "concept_synonym_name": WORD,
            "language_concept_id": ID,
        },
        ("concept_id", "concept_synonym_name"),
        (),
        optional=True,
    ),
)
POINTERS: Final = (
    ("concept_ancestor", "ancestor_concept_id"),
    ("concept_ancestor", "descendant_concept_id"),
    ("concept_relationship", "concept_id_1"),
    ("concept_relationship", "concept_id_2"),
)


@dataclass(frozen=True)
class Loaded:
    """A loaded vocabulary.

    Attributes:
        path: its database file.
        digest: `sha256:…` over the names and bytes of the downloaded files.
        version: what the download calls its release; "" where it does not say.
        rows: by table.
    """

    path: Path
    digest: str
    version: str
    rows: dict[str, int]


def load_athena(download: Path, store: Path) -> Loaded:
    """Load a download into a store and make it the current vocabulary.

    A kill at any moment leaves the vocabulary that was current before.

    Args:
        download: the unpacked folder: tab-separated CONCEPT.csv, CONCEPT_ANCESTOR.csv,
            CONCEPT_RELATIONSHIP.csv, VOCABULARY.csv, and CONCEPT_SYNONYM.csv if any.
        store: the site's store.

    Raises:
        InvalidVocabulary: a file is missing, cut short, separated by something else,
            holds a row that cannot be read or an id that no concept has. The file,
            the line and the remedy are named, and nothing is kept.
        InvalidData: the store cannot be written.
    """
    hashes = {file.name: _hash(download, file) for file in FILES}
    found = {name: value for name, value in hashes.items() if value}
    whole = digest({"type": "hetao.vocabulary/1", "files": found})
    base = store / FOLDER
    target = base / whole.removeprefix("sha256:")[:SHORT]
    try:
        _read(target)
    except InvalidVocabulary:  # not there yet, or damaged since
        _build(download, target, whole)
    _point(base, target.name)
    return _read(target)


def current_vocabulary(store: Path) -> Loaded | None:
    """Return the store's current vocabulary; None if none was ever loaded.

    Raises:
        InvalidVocabulary: one was loaded, but it is no longer whole.
    """
    pointer = store / FOLDER / CURRENT
    if not pointer.is_file():
        return None
    name = pointer.read_text("ascii", errors="replace").strip()
    if len(name) != SHORT or not set(name) <= set("0123456789abcdef"):
        raise InvalidVocabulary(
            f"{pointer} names no vocabulary", fix="load the vocabulary again"
        )
    return _read(store / FOLDER / name)


def kept_vocabulary(store: Path, digest_asked: str) -> Loaded:
    """Return the vocabulary of a digest, current or not: none is removed by loading.

    Raises:
        InvalidVocabulary: it is not there, or no longer whole.
    """
    loaded = _read(store / FOLDER / digest_asked.removeprefix("sha256:")[:SHORT])
    if loaded.digest != digest_asked:
        raise InvalidVocabulary(
            "the store holds another vocabulary than the one that was asked for",
            fix="load the vocabulary again",
        )
    return loaded


def _read(folder: Path) -> Loaded:
    try:
        body = json.loads((folder / MANIFEST).read_text("utf-8"))
        loaded = Loaded(
            folder / DATABASE,
            str(body["digest"]),
            str(body["version"]),
            {str(k): int(v) for k, v in body["rows"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InvalidVocabulary(
            f"the loaded vocabulary {folder.name} is not whole",
            fix="load the vocabulary again",
        ) from problem
    if not loaded.path.is_file():
        raise InvalidVocabulary(
            f"the database of the loaded vocabulary {folder.name} is not there",
            fix="load the vocabulary again",
        )
    return loaded


# --- building ---------------------------------------------------------------------
def _build(download: Path, target: Path, whole: str) -> None:
    part = target.parent / f".part-{secrets.token_hex(8)}"
    try:
        part.mkdir(parents=True)
        connection = connect(part / DATABASE)
        try:
            rows = {
                file.table: _load(connection, download / file.name, file)
                for file in FILES
            }
            _check_pointers(connection)
            version = _version(connection)
        finally:
            connection.close()
        manifest = asdict(Loaded(part / DATABASE, whole, version, rows))
        _write(part / MANIFEST, {k: v for k, v in manifest.items() if k != "path"})
        if target.exists():  # damaged: nothing reads it
            shutil.rmtree(target)
        part.rename(target)
    except OSError as problem:
        raise InvalidData(
            f"the vocabulary cannot be written: {problem.strerror}",
            fix="check the store's path, permissions and free space",
        ) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(path: Path, body: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(body, file, ensure_ascii=False, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())


def _point(base: Path, name: str) -> None:
    part = base / f".{CURRENT}-{secrets.token_hex(8)}"
    try:
        part.write_text(name + "\n", "ascii")
        part.replace(base / CURRENT)
    except OSError as problem:
        raise InvalidData(
            f"{base / CURRENT} cannot be written: {problem.strerror}"
        ) from problem


def _hash(download: Path, file: File) -> str:
    """Return the hex SHA-256 of a file's bytes; "" for an optional one not there."""
    path = download / file.name
    if not path.is_file():
        if file.optional:
            return ""
        raise InvalidVocabulary(
            f"{file.name} is not in the download",
            fix="unpack the whole download into one folder",
        )
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load(connection: Connection, path: Path, file: File) -> int:
    """Load one file; return its rows, as many as it has lines after the header."""
    columns = ", ".join(f"{name} {kind}" for name, kind in file.columns.items())
    connection.execute(f"CREATE TABLE {file.table} ({columns})")
    if not path.is_file():
        return 0
    quote, lines = _check_lines(path, file)
    names = ", ".join(f"{text(name)}: 'VARCHAR'" for name in file.columns)
    source = (
        f"read_csv({text(str(path))}, delim='\t', quote={text(quote)}, "
        f"escape={text(quote)}, header=true, columns={{{names}}}, auto_detect=false, "
        "strict_mode=true, null_padding=false, encoding='utf-8', nullstr='')"
    )
    try:
        # S608, here and below: names are ours, the path is quoted.
        connection.execute(f"CREATE TEMP TABLE file AS SELECT * FROM {source}")  # noqa: S608
    except Problem as problem:
        raise InvalidVocabulary(
            f"{file.name} is cut short, or a row has another number of columns",
            fix="download it again, and unpack it without opening it in a spreadsheet",
            local=str(problem),
        ) from None
    _check_cells(connection, file)
    casts = ", ".join(_cast(name, kind) for name, kind in file.columns.items())
    order = ", ".join(file.key) or "1"
    connection.execute(
        f"INSERT INTO {file.table} SELECT {casts} FROM file ORDER BY {order}"  # noqa: S608
    )
    connection.execute("DROP TABLE file")
    row = connection.execute(f"SELECT count(*) FROM {file.table}").fetchone()  # noqa: S608
    rows = int(row[0]) if row else 0
    if rows != lines and not quote:
        raise InvalidVocabulary(
            f"{file.name} has {lines} lines after its header, but {rows} rows",
            fix="download it again; do not open it in a spreadsheet",
        )
    return rows


def _check_lines(path: Path, file: File) -> tuple[str, int]:
    """Return the quote character that the file uses, and its lines after the header."""
    lines, last = 0, b""
    with path.open("rb") as stream:
        first = stream.readline().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
        while block := stream.read(2**20):
            lines += block.count(b"\n")
            last = block[-1:]
    if last and last != b"\n":
        raise InvalidVocabulary(
            f"{file.name} ends in the middle of a line",
            fix="download it again: the file was cut short",
        )
    if lines == 0:
        raise InvalidVocabulary(
            f"{file.name} holds no row", fix="download it again: the file was cut short"
        )
    header = first.decode("utf-8", errors="replace")
    quote = '"' if header.startswith('"') else ""
    found = [name.strip('"').lower() for name in header.split("\t")]
    if found != list(file.columns):
        separated = next((d for d in ",;|" if header.count(d) >= 3), "")
        raise InvalidVocabulary(
            f"{file.name} is separated by {separated!r}, not by tabs"
            if separated and len(found) == 1
            else f"{file.name} does not have the columns of an Athena download",
            fix="use the download as it came; expected tab-separated "
            + ", ".join(file.columns),
        )
    return quote, lines


def _cast(name: str, kind: str) -> str:
    if kind == DATE:
        return f"{_date(name)} AS {name}"
    return f"CAST({name} AS {kind}) AS {name}"


def _date(name: str) -> str:
    """Return SQL of a date written yyyymmdd, as Athena does, or yyyy-mm-dd."""
    return f"CAST(try_strptime({name}, ['%Y%m%d', '%Y-%m-%d']) AS DATE)"


def _check_cells(connection: Connection, file: File) -> None:
    """Refuse the first cell that is not of its column's type, and a repeated key."""
    for name, kind in file.columns.items():
        broken = {
            DATE: f"{name} IS NOT NULL AND {_date(name)} IS NULL",
            WORD: "FALSE",
        }.get(kind, f"{name} IS NOT NULL AND TRY_CAST({name} AS {kind}) IS NULL")
        if name in file.required:
            broken = f"({broken}) OR {name} IS NULL"
        if broken == "FALSE":
            continue
        row = connection.execute(
            f"SELECT min(rowid) FROM file WHERE {broken}"  # noqa: S608
        ).fetchone()
        if row and row[0] is not None:
            raise InvalidVocabulary(
                f"{file.name} line {row[0] + 2}: {name} cannot be read",
                fix="download it again; a spreadsheet changes dates and codes",
            )
    if file.key:
        key = ", ".join(file.key)
        row = connection.execute(
            f"SELECT max(rowid) FROM file GROUP BY {key} HAVING count(*) > 1 "  # noqa: S608
            "ORDER BY 1 LIMIT 1"
        ).fetchone()
        if row:
            raise InvalidVocabulary(
                f"{file.name} line {row[0] + 2}: {key} stands twice",
                fix="download it again; do not join two downloads",
            )


def _check_pointers(connection: Connection) -> None:
    """Refuse ids without a concept: CONCEPT.csv was cut short, or lacks CPT4."""
    for table, column in POINTERS:
        row = connection.execute(
            f"SELECT min({column}) FROM {table} WHERE {column} NOT IN "  # noqa: S608
            "(SELECT concept_id FROM concept)"
        ).fetchone()
        if row and row[0] is not None:
            raise InvalidVocabulary(
                f"{table.upper()}.csv names concept {row[0]}, which CONCEPT.csv lacks",
                fix="download it again; if CPT4 is among the vocabularies, run its "
                "extra step first or leave it out",
            )


def _version(connection: Connection) -> str:
    """Return the release, which Athena writes as the version of the row 'None'."""
    row = connection.execute(
        "SELECT vocabulary_version FROM vocabulary WHERE vocabulary_id = 'None'"
    ).fetchone()
    return str(row[0]) if row and row[0] else ""
