"""Whether the sites that answered meant the same by each concept set of the study.

Compared is what each site's loaded vocabulary makes of a set, which says nothing about
patients. Which codes occur at a site does say something: it is not told, so no two
sites can be compared by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AcrossSites:
    """One concept set over the sites.

    Attributes:
        name: of the concept set.
        groups: sites whose vocabularies make the same list of it, with the digest of
            that list: `(digest, sites)`, the largest group first.
        without: sites that have no vocabulary: what lies under a code is not known
            there beyond what the code itself says.
    """

    name: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    without: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Return whether every site's vocabulary makes the same list of it."""
        return len(self.groups) == 1 and not self.without

    @property
    def differs(self) -> bool:
        """Return whether two vocabularies make different lists of it."""
        return len(self.groups) > 1


def across_sites(
    told: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[AcrossSites, ...]:
    """Return each concept set that sites told of, in the study's order.

    Args:
        told: site → for each concept set its `name` and its `digest`, "" without a
            vocabulary; empty for a site whose data have no concepts.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for site, sets in told.items():
        for one in sets:
            digests = found.setdefault(str(one["name"]), {})
            digests.setdefault(str(one["digest"]), []).append(site)
    return tuple(_across(name, digests) for name, digests in found.items())


def _across(name: str, digests: Mapping[str, Iterable[str]]) -> AcrossSites:
    groups = [(digest, tuple(sites)) for digest, sites in digests.items() if digest]
    groups.sort(key=lambda group: -len(group[1]))  # stable: then the study's order
    return AcrossSites(name, tuple(groups), tuple(digests.get("", ())))


def are_told(sets: object) -> bool:
    """Return whether a site told a name and a digest of each concept set."""
    return isinstance(sets, list) and all(
        isinstance(one, dict)
        and set(one) == {"name", "digest"}
        and all(isinstance(text, str) for text in one.values())
        for one in sets
    )
