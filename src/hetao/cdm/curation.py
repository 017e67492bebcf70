"""A site folder → a snapshot: tables, their digest, a proof and a quality report."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from hetao import canonical
from hetao.cdm.engine_duckdb import (
    Connection,
    DuckDBEngine,
    Problem,
    connect,
    count,
    counts,
    text,
    texts,
)
from hetao.cdm.filling import ASIDE_DDL, drop_made, fill_table
from hetao.cdm.hiding import forget_pseudonyms
from hetao.cdm.leaking import check_cells
from hetao.cdm.lineage import Proof
from hetao.cdm.macros import drop_key, make_macros
from hetao.cdm.mapping import SiteFolder, read_folder
from hetao.cdm.origins import FILE as ORIGINS
from hetao.cdm.origins import (
    NEW,
    Origin,
    close_origins,
    filling_digest,
    is_alike,
    keep_answers,
    keep_digests,
    keep_fact,
    kept_answers,
    keys_digest,
    note_origin,
    open_origins,
    selection_digests,
    take,
    take_over,
)
from hetao.cdm.pseudonym import read_or_make_key
from hetao.cdm.quality import (
    Quality,
    Remembered,
    Subject,
    assess,
    read_quality,
    write_reports,
)
from hetao.cdm.reconciling import (
    account_for,
    count_fates,
    count_missing,
    make_places,
    write_rejected,
)
from hetao.cdm.selected import (
    SOURCES,
    Selected,
    gather_codes,
    links,
    prepare,
    run_select,
)
from hetao.cdm.snapshot import snapshot_digest, table_digests
from hetao.cdm.staging import Staged, scratch_folder, stage_sources, sync
from hetao.cdm.store import (
    CURRENT,
    DATABASE,
    MANIFEST,
    SNAPSHOTS,
    Manifest,
    current_folder,
    folder_of,
    keep,
    make_current,
    write_manifest,
)
from hetao.cdm.supplying import load_units, supply_tables
from hetao.cdm.vocabulary.athena import Loaded, current_vocabulary
from hetao.cdm.vocabulary.concepts import make_concepts
from hetao.dictionary import ddl, dictionary
from hetao.errors import InvalidData
from hetao.whole import write_whole

Say = Callable[[str], None]


@dataclass(frozen=True)
class Curation:
    """What a curation left behind. Counts in it are for the site's own eyes.

    Attributes:
        site: the site's id.
        folder: of the snapshot, in the store.
        snapshot: digest over the content of its tables; may leave the site.
        rows: rows of the extract, those that did not fit their file too.
        people: people in the CDM.
        rejected: rows and cells kept aside.
        tables: rows of each table that has any.
        proof: digest of the proof that no identifier reaches the tables.
        taken_over: tables that were copied from the snapshot before, because nothing
            that they depend on had changed.
    """

    site: str
    folder: Path
    snapshot: str
    rows: int
    people: int
    rejected: int
    tables: Mapping[str, int]
    proof: str
    taken_over: tuple[str, ...] = ()

    @property
    def report(self) -> Path:
        """Return the readable quality report."""
        return self.folder / "quality.html"

    @property
    def database(self) -> Path:
        """Return the DuckDB file with the tables."""
        return self.folder / DATABASE


@dataclass(frozen=True)
class _Work:
    """What one curation works with."""

    site: SiteFolder
    staged: tuple[Staged, ...]
    selects: tuple[Selected, ...]
    proof: Proof
    key: bytes
    today: date
    say: Say
    vocabulary: Loaded | None
    current: Path | None

    @property
    def day(self) -> str:
        """Return the ISO day after which an event lies in the future."""
        return self.today.isoformat()


def curate(
    config_path: Path,
    progress: Say,
    *,
    today: date | None = None,
    whole: bool = False,
) -> Curation:
    """Curate a site folder; return what was made of it.

    Files that did not change since an earlier curation are not read again, and a table
    of which nothing changed that it depends on is copied from the current snapshot: the
    result is what a curation from nothing would give, to the bit. The tables are built
    in a private folder of the store, and become a snapshot by one rename and the
    current one by another: whoever is killed leaves the last good one.

    Args:
        config_path: the `site.toml`.
        progress: called with a short sentence at each step; never with a value.
        today: day after which an event lies in the future; None asks the clock.
        whole: take nothing over from the current snapshot.

    Raises:
        InvalidMapping: the folder does not hold.
        IdentifierLeak: an identifier could reach a table.
        InvalidData: the extract cannot be read as what the mapping says.
    """
    site = read_folder(config_path)
    key = read_or_make_key(site.key_path)
    day = today or datetime.now(UTC).date()
    staged = stage_sources(site, progress)
    progress("proving that no identifier reaches the tables")
    selects, proof = prepare(site, staged)
    loaded = current_vocabulary(site.store_path)
    current = None if whole else _current(site.store_path)
    work = _Work(site, staged, selects, proof, key, day, progress, loaded, current)
    home = site.store_path / SNAPSHOTS
    with scratch_folder(home, site.site.name) as built:
        curation = _build(work, built)
        progress("keeping the snapshot")
        for part in built.iterdir():
            sync(part)
        folder = keep(built, site.store_path, curation.snapshot)
    make_current(site.store_path, folder)
    return curation


# --- building -------------------------------------------------------------------------
def _build(work: _Work, folder: Path) -> Curation:
    site, path = work.site, folder / DATABASE
    connection = connect(path)
    try:
        before = open_origins(connection, folder, work.current)
        _open_sources(connection, work, folder)
        taken = _fill(connection, work, before)
        work.say("taking the digest")
        rows = counts(connection, dictionary().tables)
        digests = _digests(connection, rows, {name: before[name] for name in taken})
        snapshot = snapshot_digest(digests)
        curation = _told(work, snapshot, rows, taken)
        _sign_off(connection, snapshot)
        work.say("checking quality")
        _write_about(work, folder, curation)
        write_reports(folder, _assess(connection, work, snapshot, digests))
        close_origins(connection)
    except Problem as problem:
        # `from None`: the engine's message may quote a cell.
        raise InvalidData(
            f"{site.site.name}: the extract cannot be turned into tables",
            fix="see the local details; check the disk and the mapping",
            local=str(problem),
        ) from None
    finally:
        connection.close()
    return curation


def _open_sources(connection: Connection, work: _Work, folder: Path) -> None:
    """Show every source as a view of text cells, and shut all other ways out.

    What this connection can reach from here on: staged files of this curation, codes,
    the loaded vocabulary and the snapshots that it writes and takes over from; no other
    file, no network, and no setting can be changed.
    """
    connection.execute(f"ATTACH ':memory:' AS {SOURCES}")
    base = 0
    parts: dict[str, list[str]] = {}
    for staged in work.staged:
        source = work.site.source(staged.source)
        parts.setdefault(staged.source, []).append(
            _view(staged, source.missing, base, parts_headers(work, staged.source))
        )
        base += staged.rows
    for name, selects in parts.items():
        connection.execute(
            f"CREATE VIEW {SOURCES}.main.{name} AS " + " UNION ALL ".join(selects)
        )
    commas = " OR ".join(
        f"x BETWEEN {first + 1} AND {last}"
        for first, last, source in _ranges(work)
        if work.site.source(source).decimal == ","
    )
    marks = {source.decimal for source in work.site.sources}
    make_macros(connection, work.key, min(marks) if len(marks) == 1 else ".")
    connection.execute(f"CREATE TEMP MACRO decimal_comma(x) AS ({commas or 'FALSE'})")
    paths = [
        str(part.folder / name)
        for part in work.staged
        for name in ("rows.parquet", "unfit.parquet")
    ]
    paths.append(str(work.site.codes_path))
    paths += [str(folder / ORIGINS), str(folder / f"{ORIGINS}.wal")]
    vocabulary = work.vocabulary
    if vocabulary is not None:
        # Attaching looks for a write-ahead log beside the file; there never is one.
        paths += [str(vocabulary.path), f"{vocabulary.path}.wal"]
    connection.execute(f"SET allowed_paths = [{', '.join(map(text, paths))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _ranges(work: _Work) -> list[tuple[int, int, str]]:
    found, base = [], 0
    for staged in work.staged:
        found.append((base, base + staged.rows, staged.source))
        base += staged.rows
    return found


def parts_headers(work: _Work, source: str) -> tuple[str, ...]:
    """Return a source's headers, in the order of its first file."""
    return next(part.headers for part in work.staged if part.source == source)


def _view(
    staged: Staged, missing: tuple[str, ...], base: int, headers: tuple[str, ...]
) -> str:
    codes = tuple(code.strip() for code in missing if code.strip())
    cells = []
    for header in headers:
        cell = f"c{staged.headers.index(header)}"
        if codes:
            cell = f"CASE WHEN {cell} NOT IN {texts(codes)} THEN {cell} END"
        cells.append(f"{cell} AS {quoted(header)}")
    path = text(str(staged.folder / "rows.parquet"))
    # S608: literals are quoted by `text`, names by `quoted`.
    return (
        f"SELECT {base} + source_row AS source_row, "  # noqa: S608
        f"{text(staged.file)} AS source_file, {', '.join(cells)} "
        f"FROM read_parquet({path})"
    )


def quoted(name: str) -> str:
    """Return a column's name as SQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def _fill(
    connection: Connection, work: _Work, before: Mapping[str, Origin]
) -> tuple[str, ...]:
    """Make every table, or take it over; return the names of those taken over."""
    _make_tables(connection)
    selections = selection_digests(work.site, work.staged, work.selects, work.key)
    run = _select(connection, work, before, selections)
    work.say("mapping codes and units")
    codes, vocabulary = work.site.codes_path, work.vocabulary
    make_concepts(
        connection,
        codes if codes.exists() else None,
        vocabulary.path if vocabulary else None,
    )
    load_units(connection, work.site.units_path)
    make_places(connection, work.staged, work.selects)
    taken = []
    for selected in work.selects:
        name = selected.table.name
        filled = _filling(connection, work, selected, selections[name])
        if name not in run and is_alike(before.get(name), filled, work.day):
            work.say(f"taking {name} over: nothing that it depends on changed")
            take_over(connection, name)
            taken.append(name)
            continue
        if name not in run:
            run_select(connection, selected)
        work.say(f"filling {name}")
        fill_table(connection, selected, work.day)
        note_origin(connection, selected, (selections[name], filled), work.day)
        account_for(connection, selected)
        drop_made(connection, selected)
    forget_pseudonyms(connection)
    supply_tables(connection, work.site.site, frozenset(selections))
    work.say("accounting for every row")
    write_rejected(connection, work.staged)
    count_fates(connection, work.staged)
    count_missing(connection, work.site, work.staged)
    _check_identifiers(connection, work, taken)
    drop_key(connection)
    _check_people(connection, work.site.site.name)
    return tuple(taken)


def _make_tables(connection: Connection) -> None:
    """Make every table, empty, in one transaction: each would wait for the disk."""
    made = [ddl(table, "duckdb") for table in dictionary().tables.values()]
    connection.execute("; ".join(["BEGIN", *made, "COMMIT"]))
    connection.execute(ASIDE_DDL)


def _select(
    connection: Connection,
    work: _Work,
    before: Mapping[str, Origin],
    selections: Mapping[str, str],
) -> frozenset[str]:
    """Run the SELECTs whose rows changed, gather all codes; return what was run."""
    run = []
    for selected in work.selects:
        name = selected.table.name
        if name in before and before[name].selected == selections[name]:
            take(connection, "used_code", name)
        else:
            work.say(f"selecting {name}")
            run_select(connection, selected)
            run.append(selected)
    gather_codes(connection, run, f"{NEW}.used_code")
    connection.execute(
        "CREATE TEMP VIEW used_code AS SELECT DISTINCT system, code, classes "  # noqa: S608
        f"FROM {NEW}.used_code"
    )
    return frozenset(selected.table.name for selected in run)


def _filling(
    connection: Connection, work: _Work, selected: Selected, selection: str
) -> str:
    """Return the digest of what a table's rows depend on besides its SELECT's."""
    mapped = {}
    if selected.table.name == "person":
        mapped["year"] = str(work.today.year)
    if selected.table.name == "measurement" and work.site.units_path.exists():
        mapped["units"] = hashlib.sha256(work.site.units_path.read_bytes()).hexdigest()
    keys = {
        other: keys_digest(connection, other, key)
        for other, key in links(selected).items()
    }
    return filling_digest(connection, selected, selection, keys, mapped)


def _check_identifiers(
    connection: Connection, work: _Work, taken: Sequence[str]
) -> None:
    """Hold tables against the extract's identifiers; those taken over were already."""
    sources = work.site.sources
    identifiers = [
        [part.folder.name, repr(work.site.source(part.source))] for part in work.staged
    ]
    alike = keep_fact(connection, "identifiers", canonical.digest(identifiers))
    checked = frozenset(taken) if alike else frozenset()
    check_cells(connection, sources, SOURCES, checked)


def _check_people(connection: Connection, site: str) -> None:
    """Refuse tables without a person: the last good snapshot stays the current one."""
    if count(connection, "person"):
        return
    most = connection.execute("""
        SELECT reason || coalesce(': column ' || source_column, '') FROM rejected
        GROUP BY ALL ORDER BY count(*) DESC, 1 LIMIT 1
    """).fetchone()
    raise InvalidData(
        f"{site}: no person is left; most often, {most[0] if most else 'no row'}",
        fix="check person.sql and the column's format in the extract",
    )


def _sign_off(connection: Connection, snapshot: str) -> None:
    connection.execute(
        "CREATE TABLE snapshot "
        "(dictionary VARCHAR, dictionary_digest VARCHAR, digest VARCHAR)"
    )
    connection.execute(
        "INSERT INTO snapshot VALUES (?, ?, ?)",
        [dictionary().name, dictionary().digest, snapshot],
    )
    connection.execute(f"DETACH {SOURCES}")
    connection.execute("CHECKPOINT")


def _digests(
    connection: Connection, rows: Mapping[str, int], taken: Mapping[str, Origin]
) -> dict[str, str]:
    """Return the digest of each table; one that was taken over must have its own."""
    digests = table_digests(connection, rows)
    for name, origin in taken.items():
        if digests[name] != origin.digest:
            raise InvalidData(
                f"{name} of the current snapshot is not what was curated then",
                fix="hetao site curate --whole makes every table anew",
            )
    keep_digests(connection, digests)
    return digests


def _told(
    work: _Work, snapshot: str, rows: Mapping[str, int], taken: tuple[str, ...]
) -> Curation:
    return Curation(
        site=work.site.site.name,
        folder=folder_of(work.site.store_path, snapshot),
        snapshot=snapshot,
        rows=sum(part.rows + part.unfit for part in work.staged),
        people=rows["person"],
        rejected=rows["rejected"],
        tables={name: number for name, number in rows.items() if number},
        proof=work.proof.digest,
        taken_over=taken,
    )


def _assess(
    connection: Connection, work: _Work, snapshot: str, digests: Mapping[str, str]
) -> Quality:
    """Check the tables, and hold them against the snapshot before this one.

    What was asked of the same tables then is not asked again.
    """
    site, store = work.site.site, work.site.store_path
    subject = Subject(
        site=site.name,
        title=site.title,
        language=site.language,
        snapshot=snapshot,
        dictionary=dictionary().digest,
        day=work.today,
        previous=_previous(store, snapshot),
    )
    known = {name: digests[name] for name in dictionary().tables}
    engine = Remembered(DuckDBEngine(connection), known, kept_answers(connection))
    quality = assess(engine, subject)
    keep_answers(connection, engine.answers)
    return quality


def _current(store: Path) -> Path | None:
    """Return the folder of the current snapshot, if there is one and it is whole."""
    if not (store / CURRENT).is_file():
        return None
    folder = current_folder(store)
    return folder if (folder / MANIFEST).is_file() else None


def _previous(store: Path, snapshot: str) -> Quality | None:
    if not (store / CURRENT).is_file():
        return None
    folder = current_folder(store)
    report = folder / "quality.json"
    if folder == folder_of(store, snapshot) or not report.is_file():
        return None
    return read_quality(report)


def _write_about(work: _Work, folder: Path, curation: Curation) -> None:
    lineage = json.dumps(work.proof.as_json(), ensure_ascii=False, indent=1) + "\n"
    write_whole(folder / "lineage.json", lineage.encode())
    manifest = Manifest(
        site=curation.site,
        snapshot=curation.snapshot,
        dictionary=dictionary().name,
        dictionary_digest=dictionary().digest,
        lineage=work.proof.digest,
        mapping=mapping_digest(work.site),
        curated_on=work.day,
        rows=dict(curation.tables),
        vocabulary=work.vocabulary.digest if work.vocabulary else "",
    )
    write_manifest(folder, manifest)


def mapping_digest(site: SiteFolder) -> str:
    """Return the digest of what the site says its extract means."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (site.codes_path, site.units_path)
        if path.exists()
    }
    body = {
        "type": "hetao.mapping/1",
        "selects": site.selects,
        "files": files,
        "sources": [repr(source) for source in site.sources],
    }
    return canonical.digest(body)
