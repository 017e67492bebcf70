"""Whether the sites meant the same by each concept set, in words of three languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.ledger.concept_sets import AcrossSites, across_sites
from hetao.report.custody import short_digest
from hetao.report.sentences import Said, say
from hetao.study import Study


@dataclass(frozen=True)
class SetView:
    """One concept set, as a reader sees it.

    Attributes:
        label: of the set.
        is_same: whether all sites resolved it alike.
        said: whether, in a sentence.
        groups: (short digest, sites) that resolved it alike; largest first.
        without: sites that have no vocabulary.
    """

    label: str
    is_same: bool
    said: Said
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    without: tuple[str, ...]


def sets_of(study: Study, body: Mapping[str, Any]) -> tuple[SetView, ...]:
    """Return every concept set that the sites of a certificate told of."""
    told = {str(site["name"]): site["concepts"] for site in body["sites"]}
    labels = {one.name: one.label or one.name for one in study.concepts}
    return tuple(
        SetView(
            labels.get(one.name, one.name),
            one.is_same,
            _verdict(one),
            tuple((short_digest(digest), sites) for digest, sites in one.groups),
            one.without,
        )
        for one in across_sites(told)
    )


def _verdict(one: AcrossSites) -> Said:
    if not one.groups:
        return say("sets_none")
    if one.differs:
        return say("sets_differ", count=len(one.groups))
    return say("sets_partly" if one.without else "sets_same")
