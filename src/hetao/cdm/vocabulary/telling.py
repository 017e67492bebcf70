"""What a site tells the others about its concept sets: no more than shows differences.

Which codes occur at a site says something about its patients: a rare code is there or
it is not. So the digest that is told is not over the site's own codes. It is over what
its loaded vocabulary makes of the set, which is the same at every site that loaded the
same one; of the site's own codes only a band of their number is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hetao.cdm.engine_duckdb import DuckDBEngine, connect_read_only
from hetao.cdm.vocabulary.athena import Loaded
from hetao.cdm.vocabulary.resolving import resolve_each
from hetao.study import ConceptSet

SIZE_BANDS: Final = ("<10", "10-99", "100-999", ">=1000")
EDGES: Final = (10, 100, 1000)


@dataclass(frozen=True)
class ToldSet:
    """What leaves a site about one concept set.

    Attributes:
        name: of the set.
        digest: `sha256:…` over what the loaded vocabulary makes of it; "" for none.
        size: the band of how many of the site's concepts are in it.
    """

    name: str
    digest: str
    size: str


def told_sets(
    sets: Sequence[ConceptSet], sizes: Mapping[str, int], loaded: Loaded | None
) -> tuple[ToldSet, ...]:
    """Return what is told about each concept set, in the order given.

    Args:
        sets: of a study.
        sizes: by name, how many concepts of the site's tables are in a set.
        loaded: the site's vocabulary; None if it has none.
    """
    digests: dict[str, str] = {}
    if loaded is not None and sets:
        with DuckDBEngine(connect_read_only(loaded.path)) as engine:
            digests = {one.name: one.digest for one in resolve_each(engine, sets)}
    return tuple(
        ToldSet(one.name, digests.get(one.name, ""), size_band(sizes[one.name]))
        for one in sets
    )


def size_band(count: int) -> str:
    """Return the band of a count; none and few are one band."""
    return SIZE_BANDS[sum(count >= edge for edge in EDGES)]
