"""What a site tells the others about its concept sets: no more than shows differences.

Which codes occur at a site says something about its patients: a rare code is there or
it is not. So the digest that is told is not over the site's own codes. It is over what
its loaded vocabulary makes of the set, which is the same at every site that loaded the
same one. Of the site's own codes nothing is told, not even roughly how many there are:
who pads a set until a band is all but full learns from the band whether one more code,
and so perhaps one patient, is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hetao.cdm.engine_duckdb import DuckDBEngine, connect_read_only
from hetao.cdm.vocabulary.athena import Loaded
from hetao.cdm.vocabulary.resolving import resolve_each
from hetao.study import ConceptSet


@dataclass(frozen=True)
class ToldSet:
    """What leaves a site about one concept set.

    Attributes:
        name: of the set.
        digest: `sha256:…` over what the loaded vocabulary makes of it; "" for none.
    """

    name: str
    digest: str


def told_sets(sets: Sequence[ConceptSet], loaded: Loaded | None) -> tuple[ToldSet, ...]:
    """Return what is told about each concept set, in the order given.

    Args:
        sets: of a study.
        loaded: the site's vocabulary; None if it has none.
    """
    digests: dict[str, str] = {}
    if loaded is not None and sets:
        with DuckDBEngine(connect_read_only(loaded.path)) as engine:
            digests = {one.name: one.digest for one in resolve_each(engine, sets)}
    return tuple(ToldSet(one.name, digests.get(one.name, "")) for one in sets)
