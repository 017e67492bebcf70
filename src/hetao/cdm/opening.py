"""Curated tables or a flat file, opened for reading: all that a cohort is made of."""

from dataclasses import dataclass, replace
from pathlib import Path

from hetao.cdm.committing import Commitment, find_commitment
from hetao.cdm.engine import Engine
from hetao.cdm.engine_duckdb import (
    Connection,
    DuckDBEngine,
    Problem,
    connect_read_only,
)
from hetao.cdm.flat import FlatTable, Opened, open_flat
from hetao.cdm.mapping import read_folder, read_site
from hetao.cdm.serving import serve
from hetao.cdm.store import DATABASE, MANIFEST, read_manifest, snapshot_folder
from hetao.cdm.vocabulary.athena import Loaded, kept_vocabulary
from hetao.dictionary import dictionary
from hetao.errors import InvalidData, InvalidMapping

DICTIONARY = dictionary().name


@dataclass(frozen=True)
class CuratedTables(Opened):
    """The OMOP tables of one site, read-only, as one curation left them.

    `served` is the engine that holds a copy of them; None: the embedded one.
    """

    path: Path
    connection: Connection
    snapshot: str
    dictionary_digest: str
    dictionary: str = DICTIONARY
    served: Engine | None = None

    @property
    def engine(self) -> Engine:
        """Return the engine that carries out plans on the tables."""
        return self.served or DuckDBEngine(self.connection)

    @property
    def vocabulary(self) -> Loaded | None:
        """Return the vocabulary that the tables were curated with; None for none.

        It is the snapshot's own, not the store's current one: what was loaded since
        then says nothing about these tables.

        Raises:
            InvalidVocabulary: it is no longer there, or no longer whole.
        """
        asked = self._asked_vocabulary()
        return kept_vocabulary(self.store, asked) if asked else None

    @property
    def store(self) -> Path:
        """Return the site's store: store/snapshots/<digest>/cdm.duckdb."""
        return self.path.parent.parent.parent

    @property
    def commitment(self) -> Commitment | None:
        """Return what the site committed to of these tables; None for nothing.

        Raises:
            InvalidData: it is there and does not hold.
        """
        return find_commitment(self.store, self.snapshot)

    @property
    def lacks_vocabulary(self) -> bool:
        """Return whether a curation made the tables without any loaded vocabulary.

        Tables that no curation made bring whatever vocabulary they have.
        """
        return self._asked_vocabulary() == ""

    def _asked_vocabulary(self) -> str | None:
        """Return the digest in the manifest, "" for none; None without a manifest."""
        folder = self.path.parent
        if not (folder / MANIFEST).is_file():
            return None
        return read_manifest(folder).vocabulary

    def close(self) -> None:
        """Let go of the file, and of the engine that serves its tables."""
        if self.served is not None:
            self.served.close()
        super().close()


def open_tables(db_path: Path) -> CuratedTables:
    """Return a site's curated tables, opened read-only.

    Raises:
        InvalidData: the file is missing, not a database, or not one of ours.
    """
    if not db_path.is_file():
        raise InvalidData(f"{db_path} is not there", fix="curate the site's data first")
    try:
        connection = connect_read_only(db_path)
    except Problem:
        raise InvalidData(
            f"{db_path.name} is not a database that can be opened",
            fix="curate the site's data again",
        ) from None
    try:
        found = connection.execute(
            "SELECT dictionary, digest, dictionary_digest FROM snapshot"
        ).fetchall()
    except Problem:
        found = []
    row = found[0] if len(found) == 1 else ("", "", "")
    if row[0] != DICTIONARY:
        connection.close()
        raise InvalidData(
            f"{db_path.name} holds no tables of {DICTIONARY} with a digest",
            fix="curate the site's data again",
        )
    return CuratedTables(db_path, connection, str(row[1]), str(row[2]))


def open_site(
    config_path: Path, snapshot: str | None = None
) -> CuratedTables | FlatTable:
    """Return what a `site.toml` points to, opened for reading.

    Args:
        config_path: the `site.toml`.
        snapshot: digest of the snapshot to open; None opens the current one. A flat
            file, or a database of [tables], has no snapshots but itself.

    Raises:
        InvalidMapping: the `site.toml` does not hold.
        InvalidData: the snapshot or the file is not there or cannot be opened.
        Usage: the engine of `[store]` is an extra that is not installed.
        Unreachable: the engine of `[store]` does not answer.
    """
    config = read_site(config_path)
    flat = config.flat
    if config.tables is not None:
        made = config_path.resolve().parent / config.tables.file
        return _only_snapshot(open_tables(made), snapshot)
    if flat is None:
        folder = read_folder(config_path)
        home = snapshot_folder(folder.store_path, snapshot)
        tables = open_tables(home / DATABASE)
        try:
            served = serve(folder.store.engine, tables.path, tables.snapshot)
        except BaseException:
            tables.close()
            raise
        return replace(tables, served=served)
    path = config_path.resolve().parent / flat.file
    split = flat.split_column, flat.split_value
    table = open_flat(path, *split, flat.missing, flat.person, flat.genes)
    if flat.person and flat.person not in table.columns:
        table.close()
        raise InvalidMapping(
            f"{config_path.name} [flat]: person names no column of {path.name}",
            fix="write the header of the column that says whose each row is",
        )
    return table


def _only_snapshot(tables: CuratedTables, snapshot: str | None) -> CuratedTables:
    if snapshot not in (None, tables.snapshot):
        tables.close()
        raise InvalidData(
            f"{tables.path.name} is another snapshot than is asked for",
            fix="put the database of that snapshot back",
        )
    return tables
