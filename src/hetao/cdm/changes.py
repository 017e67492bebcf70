"""Two snapshots → what changed: rows, codes, quality. For the site's own eyes."""

from dataclasses import dataclass
from pathlib import Path

from hetao.cdm.engine_duckdb import Connection, Problem, connect, text
from hetao.cdm.quality import read_quality
from hetao.cdm.store import DATABASE, current_folder, read_manifest, snapshots
from hetao.dictionary import Table, dictionary
from hetao.errors import InvalidData

BANDS = ((0.01, "<1%"), (0.05, "1-5%"), (0.20, "5-20%"), (0.50, "20-50%"))


@dataclass(frozen=True)
class TableChange:
    """How one table changed: rows before and after, rows that went and came.

    A row that changed in one cell went and came. Ids that curation numbers itself do
    not count: one more row shifts them all.
    """

    table: str
    before: int
    after: int
    removed: int
    added: int

    @property
    def band(self) -> str:
        """Return the band of the share of rows that went or came."""
        whole = max(self.before, self.after, 1)
        share = max(self.removed, self.added) / whole
        if share == 0:
            return "0"
        return next((label for limit, label in BANDS if share < limit), ">50%")


@dataclass(frozen=True)
class Changes:
    """What changed from one snapshot to another.

    Attributes:
        before, after: their digests.
        tables: those that changed, in the dictionary's order.
        mapped, unmapped: codes (`system code`) with a standard concept only in one.
        failing, mended: ids of quality checks that fail only in one.
    """

    before: str
    after: str
    tables: tuple[TableChange, ...]
    mapped: tuple[str, ...]
    unmapped: tuple[str, ...]
    failing: tuple[str, ...]
    mended: tuple[str, ...]


def previous_folder(store: Path) -> Path:
    """Return the folder of the snapshot that was made before the current one.

    Raises:
        InvalidData: there is only one.
    """
    current = current_folder(store)
    known = [
        current.with_name(manifest.snapshot[7:19]) for manifest, _ in snapshots(store)
    ]
    earlier = known[: known.index(current)] if current in known else known
    if not earlier:
        raise InvalidData(
            "there is no earlier snapshot to compare with",
            fix="name two snapshots; hetao site snapshots lists them",
        )
    return earlier[-1]


def compare(before: Path, after: Path) -> Changes:
    """Return what changed between the snapshots of two folders.

    Raises:
        InvalidData: a snapshot is not whole.
    """
    old, new = read_manifest(before), read_manifest(after)
    connection = connect()
    try:
        for name, folder in (("old", before), ("new", after)):
            path = text(str(folder / DATABASE))
            connection.execute(f"ATTACH {path} AS {name} (READ_ONLY)")
        tables = tuple(_table(connection, t) for t in dictionary().tables.values())
        mapped, unmapped = _mapped(connection)
    except Problem as problem:
        # `from None`: the engine's message may quote a cell.
        raise InvalidData(
            "the snapshots cannot be compared",
            fix="curate the site's data again",
            local=str(problem),
        ) from None
    finally:
        connection.close()
    failing, mended = _quality(before, after)
    return Changes(
        before=old.snapshot,
        after=new.snapshot,
        tables=tuple(t for t in tables if t.removed or t.added),
        mapped=mapped,
        unmapped=unmapped,
        failing=failing,
        mended=mended,
    )


def _table(connection: Connection, table: Table) -> TableChange:
    numbered = table.key[0] == f"{table.name}_id" and table.key[0] != "person_id"
    columns = ", ".join(
        name for name in table.columns if not (numbered and name == table.key[0])
    )
    # S608, here and below: names are the dictionary's.
    old = f"SELECT {columns} FROM old.main.{table.name}"  # noqa: S608
    new = f"SELECT {columns} FROM new.main.{table.name}"  # noqa: S608
    row = connection.execute(f"""
        SELECT (SELECT count(*) FROM ({old})), (SELECT count(*) FROM ({new})),
            (SELECT count(*) FROM ({old} EXCEPT ALL {new})),
            (SELECT count(*) FROM ({new} EXCEPT ALL {old}))
    """).fetchone()  # noqa: S608
    return TableChange(table.name, *(row or (0, 0, 0, 0)))


def _mapped(connection: Connection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    def codes(name: str) -> str:
        return f"""
            SELECT DISTINCT c.vocabulary_id || ' ' || c.concept_code AS code
            FROM {name}.main.concept c JOIN {name}.main.concept_relationship r
                ON r.concept_id_1 = c.concept_id AND r.relationship_id = 'Maps to'
        """  # noqa: S608

    def only(one: str, other: str) -> tuple[str, ...]:
        rows = connection.execute(
            f"SELECT code FROM ({codes(one)} EXCEPT {codes(other)}) ORDER BY code"  # noqa: S608
        ).fetchall()
        return tuple(str(code) for (code,) in rows)

    return only("new", "old"), only("old", "new")


def _quality(before: Path, after: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    failed = []
    for folder in (before, after):
        report = read_quality(folder / "quality.json")
        failed.append({check.id for check in report.failed()})
    return tuple(sorted(failed[1] - failed[0])), tuple(sorted(failed[0] - failed[1]))
