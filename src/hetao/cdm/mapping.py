"""The site folder: `site.toml`, one SELECT a CDM table, and tables of codes and units.

    site.toml     [site] name, title, language
                  [store] path, key, engine
                  [[sources]] name, files, format, …     (one a table of the extract)
    <table>.sql   one SELECT that gives the CDM table's columns by name
    codes.csv     system, code, concept_id, name, analyte, classes, status
    units.csv     analyte, source_unit, unit

or, for a study whose dictionary is "flat", `[site]` and

    [flat]        file, split_column, split_value, missing, person, genes

or, for tables of the common data model that something else made, `[site]` and

    [tables]      file, a DuckDB database

Paths are relative to the file itself. `[network]`, `[keys]`, `[policy]` and `[trust]`
may stand in the same file: other packages read them.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from hetao.dictionary import ENGINES, dictionary
from hetao.errors import InvalidData, InvalidMapping
from hetao.records import read_toml, record
from hetao.study.reading import SITE_NAME

# What other packages read.
ELSEWHERE = (
    "crossings",
    "network",
    "keys",
    "log",
    "policy",
    "provenance",
    "rules",
    "trust",
)
FORMATS = ("csv", "html", "excel", "ndjson", "parquet", "postgres")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LARGEST_SQL = 1 << 20  # characters; nobody writes such a SELECT by hand


@dataclass(frozen=True)
class SiteTable:
    """Who holds the data: its id in studies, a title, the language of its words."""

    name: str
    title: str = ""
    language: str = "en"


@dataclass(frozen=True)
class StoreTable:
    """Where snapshots stand, the secret of pseudonyms, and which engine serves them."""

    path: str = "store"
    key: str = "pseudonym.key"
    engine: str = "duckdb"


@dataclass(frozen=True)
class Source:
    """One table of the extract: its files, how they are written, what identifies.

    Attributes:
        name: what the SELECTs call it.
        files: a glob; several files are one table.
        format: one of FORMATS. `html` and `excel` are told apart by a file's first
            bytes: both are sold as `.xls`.
        encoding, delimiter, decimal: of text; decimal is "." or ",".
        missing: cells that stand for "not known"; an empty cell always does.
        identifiers: direct identifiers; they reach the CDM only through pseudonym().
        harmless: columns that look like identifiers by their name and are none.
        columns: ndjson only: column → JSON path.
        sheet: excel only; may be left out where only one holds cells.
        dsn_env, query: postgres only: the environment variable that holds the
            connection string, and the SELECT to run there.
        most_unfit: the share of rows that may be ragged or garbled; they are kept
            aside. Beyond it the file is refused.
    """

    name: str
    files: str = ""
    format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    missing: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    sheet: str = ""
    dsn_env: str = ""
    query: str = ""
    most_unfit: float = 0.05


@dataclass(frozen=True)
class Flat:
    """A flat file, CSV or Parquet; the site's rows are those of `split_value`.

    `person` is the column that says whose each row is, where one person may have
    several; "" where each row is a person. `genes` are the columns made of genes or
    genomes, none where it is empty; left out, nobody has said, and any may be.
    """

    file: str
    split_column: str = ""
    split_value: str = ""
    missing: tuple[str, ...] = ("", "NA")
    person: str = ""
    genes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Tables:
    """A database of the common data model that no curation of this folder made."""

    file: str


@dataclass(frozen=True)
class SiteConfig:
    """A whole `site.toml`, checked."""

    site: SiteTable
    store: StoreTable | None = None
    sources: tuple[Source, ...] = ()
    flat: Flat | None = None
    tables: Tables | None = None


@dataclass(frozen=True)
class SiteFolder:
    """A site folder that can be curated; paths are absolute.

    Attributes:
        folder: where `site.toml` lies.
        site, store: the tables of `site.toml`.
        sources: in the order of the file.
        selects: CDM table → the text of its `<table>.sql`, in the dictionary's order.
    """

    folder: Path
    site: SiteTable
    store: StoreTable
    sources: tuple[Source, ...]
    selects: dict[str, str]

    @property
    def store_path(self) -> Path:
        """Return where snapshots stand."""
        return self.folder / self.store.path

    @property
    def key_path(self) -> Path:
        """Return where the pseudonym secret lies."""
        return self.folder / self.store.key

    @property
    def acts_key_path(self) -> Path:
        """Return where the master secret of commitments to acts lies."""
        return self.key_path.with_name("acts.key")

    @property
    def codes_path(self) -> Path:
        """Return where `codes.csv` lies, if there is one."""
        return self.folder / "codes.csv"

    @property
    def units_path(self) -> Path:
        """Return where `units.csv` lies, if there is one."""
        return self.folder / "units.csv"

    def source(self, name: str) -> Source:
        """Return the source of that name."""
        return next(source for source in self.sources if source.name == name)


def read_site(path: Path) -> SiteConfig:
    """Return a `site.toml`, checked in form and in meaning.

    Raises:
        InvalidMapping: a table or field is unknown, missing or contradicts another.
        InvalidData: the file cannot be read.
    """
    tables = read_toml(path, InvalidMapping)
    mine = {key: body for key, body in tables.items() if key not in ELSEWHERE}
    config = record(SiteConfig, mine, path.name, InvalidMapping)
    # Studies call the site so, and files and folders are named by it.
    if not SITE_NAME.fullmatch(config.site.name):
        raise InvalidMapping(
            f"{path.name} [site]: {config.site.name[:40]!r} cannot be a site's name",
            fix="up to 40 letters a-z, digits, - _ and ., a letter or digit first; "
            "the name for people is title",
        )
    for name in ("flat", "tables"):
        if name in mine:
            if set(mine) != {"site", name}:
                raise InvalidMapping(
                    f"{path.name}: [{name}] stands alone",
                    fix=f"what it names is not curated: drop [{name}], or the mapping",
                )
            return config
    if not config.sources:
        raise InvalidMapping(
            f"{path.name}: no [[sources]]",
            fix="name the extract's files, or [flat], or [tables]",
        )
    store = config.store or StoreTable()
    if store.engine not in ENGINES:
        raise InvalidMapping(
            f"{path.name} [store]: engine {store.engine[:40]!r} is unknown",
            fix="one of " + ", ".join(ENGINES),
        )
    names = [source.name for source in config.sources]
    for source in config.sources:
        _check_source(source, f"{path.name} [[sources]] {source.name[:60]}")
        if names.count(source.name) > 1:
            raise InvalidMapping(f"{path.name}: source {source.name!r} stands twice")
    return replace(config, store=store)


def read_folder(path: Path) -> SiteFolder:
    """Return the site folder of a `site.toml` that has something to curate.

    Raises:
        InvalidMapping: as `read_site`; or the site names a file that is used as it
            is; or an `.sql` file is named like no CDM table; or `person.sql` is
            missing.
        InvalidData: a file cannot be read.
    """
    config = read_site(path)
    if config.store is None:
        raise InvalidMapping(
            f"{path.name}: what [flat] or [tables] names is used as it is; there is "
            "nothing to curate",
            fix="ask it: hetao cohort attrition, or a network's study",
        )
    folder = path.resolve().parent
    return SiteFolder(
        folder, config.site, config.store, config.sources, _selects(folder)
    )


def _selects(folder: Path) -> dict[str, str]:
    known = [t.name for t in dictionary().tables.values() if t.kind == "content"]
    found = {file.stem: file for file in sorted(folder.glob("*.sql"))}
    for name in found:
        if name not in known:
            raise InvalidMapping(
                f"{name[:60]}.sql is named like no table of the dictionary",
                fix="known tables: " + ", ".join(known),
            )
    if "person" not in found:
        raise InvalidMapping(
            "person.sql is missing", fix="write one SELECT that gives person_id"
        )
    # Places before people, people before events: a link leads to what is there already.
    order = sorted(known, key=lambda n: "person_id" in dictionary().tables[n].columns)
    return {name: _text(found[name]) for name in order if name in found}


def _text(path: Path) -> str:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as problem:
        raise InvalidData(f"{path.name} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidData(
            f"{path.name} is not UTF-8 text", fix="save it again as UTF-8"
        ) from None
    if len(text) > LARGEST_SQL:
        raise InvalidMapping(f"{path.name} is longer than {LARGEST_SQL} characters")
    return text


def _check_source(source: Source, where: str) -> None:
    if not NAME.fullmatch(source.name):
        raise InvalidMapping(
            f"{where}: a source's name is lower-case letters, digits and _",
            fix="for example name = 'diagnosis'",
        )
    if source.format not in FORMATS:
        raise InvalidMapping(
            f"{where}: format {source.format[:40]!r} is unknown",
            fix="one of " + ", ".join(FORMATS),
        )
    _check_place(source, where)
    if (
        len(source.delimiter) != 1
        or source.delimiter in '"\r\n'
        or source.decimal not in (".", ",")
    ):
        raise InvalidMapping(
            f"{where}: the delimiter is one character, decimal is '.' or ','"
        )
    if not _is_text_encoding(source.encoding):
        raise InvalidMapping(
            f"{where}: encoding {source.encoding[:40]!r} is unknown",
            fix="for example utf-8, gb18030, big5hkscs, iso-8859-2",
        )
    if not 0 <= source.most_unfit <= 1:
        raise InvalidMapping(f"{where}: most_unfit is a share, 0 to 1")
    if (source.format == "ndjson") != bool(source.columns):
        raise InvalidMapping(
            f"{where}: columns = {{ name = JSON path }} belongs to ndjson, only there"
        )
    both = set(source.identifiers) & set(source.harmless)
    if both:
        raise InvalidMapping(
            f"{where}: {min(both)!r} is both an identifier and harmless"
        )


def _check_place(source: Source, where: str) -> None:
    """Refuse a source of which it is not plain where it lies."""
    asked = bool(source.dsn_env or source.query)
    if source.format != "postgres":
        if asked:
            raise InvalidMapping(f"{where}: dsn_env and query are for postgres alone")
        if not source.files:
            raise InvalidMapping(f"{where}: field 'files' is missing")
        return
    if not source.dsn_env or not source.query or source.files:
        raise InvalidMapping(
            f"{where}: a database needs dsn_env and query, and has no files",
            fix="dsn_env names the environment variable with the connection string",
        )
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", source.dsn_env):
        raise InvalidMapping(
            f"{where}: dsn_env is the name of an environment variable",
            fix="keep the connection string itself, and its password, out of the file",
        )


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True
