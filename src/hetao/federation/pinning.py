"""The data that a permit is pinned to: opened, and by which digests they are named."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from hetao.cdm import CuratedTables, FlatTable
from hetao.errors import InvalidData, Replayed
from hetao.federation.begun import Begun
from hetao.federation.memory import Memory

Table = CuratedTables | FlatTable


class Opens(Protocol):
    """What is needed of a site's setup."""

    @property
    def open_source(self) -> Callable[[], Table]:
        """Opens the current snapshot or the flat file."""

    @property
    def open_snapshot(self) -> Callable[[str], Table] | None:
        """Opens the snapshot of that digest; None for a flat file."""


def pinned(table: Table, keyed: Callable[[str, str], str]) -> Table:
    """Return a table whose `snapshot` tells nobody else anything, or close it.

    Of curated tables it is left as it is: secret pseudonyms are in it. Of a flat table
    the bare digest, which earlier editions of hetao told, becomes `earlier`.

    Args:
        table: as it was opened.
        keyed: as `Memory.keyed`.
    """
    if not isinstance(table, FlatTable):
        return table
    try:
        snapshot = keyed(table.contents, table.snapshot)
    except BaseException:
        table.close()
        raise
    return replace(table, snapshot=snapshot, earlier=table.snapshot)


def digests_of(table: Table) -> frozenset[str]:
    """Return by which digests a pinned table may have been told: also the bare one."""
    if not isinstance(table, FlatTable):
        return frozenset({table.snapshot})
    return frozenset({table.snapshot, table.earlier})


@dataclass(frozen=True)
class Named:
    """By which digests the data of a run are named.

    Attributes:
        told: in the records of the run.
        known: in the site's journal: `told`, and of a flat table also the bare digest,
            by which an earlier edition of hetao told it.
    """

    told: str
    known: frozenset[str]


@dataclass(frozen=True)
class Pinning:
    """A site's data, as its permits see them."""

    setup: Opens
    memory: Memory
    begun: Begun
    site: str

    def open(self, permit: str) -> Table:
        """Open the snapshot that the permit's first run began on, else the current one.

        A study goes on with its snapshot when the data were curated again meanwhile.

        Raises:
            Replayed: the snapshot is no longer there.
        """
        first, open_snapshot = (
            self.begun.first_snapshot(permit),
            self.setup.open_snapshot,
        )
        if not first or open_snapshot is None:
            return pinned(self.setup.open_source(), self.memory.keyed)
        try:
            return pinned(open_snapshot(first), self.memory.keyed)
        except InvalidData as problem:
            raise Replayed(
                f"{self.site} answers this permit from a snapshot that is no longer "
                "there",
                fix="put the snapshot back into the store, or ask for a new permit",
                local=str(problem),
            ) from None

    def named(self, run: str, table: Table) -> Named:
        """Return by which digests a run names its data.

        One that began before flat tables had a keyed digest goes on by the bare one:
        all its records must name the same data.
        """
        known, told = digests_of(table), self.begun.snapshot(run)
        return Named(told if told in known else table.snapshot, known)
