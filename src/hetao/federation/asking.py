"""What is asked: the study of a begin, and of whom an analysis would show how much."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import (
    Estimator,
    Protocol,
    Rows,
    protocols,
    statistics,
    subsets,
)
from hetao.canonical import digest
from hetao.errors import InvalidStudy
from hetao.federation.memory import Memory, Room
from hetao.permit import Bundle, bundle_from
from hetao.release import Policy, unpack
from hetao.release.differencing import Asked, Ints
from hetao.release.minimums import numbers_of, numbers_told, rounds_counted
from hetao.study import Study, study_from

Ids = NDArray[np.generic]


@functools.lru_cache(maxsize=4)
def opening(content: bytes) -> tuple[Study, Bundle]:
    """Return what a `begin` asks; sites of one process are all given the same bytes."""
    meta, _ = unpack(content)
    return study_from(meta["study"]), bundle_from(meta["permit"])


def installed(estimator: Estimator) -> Protocol:
    """Return the code of an estimator as it is installed here.

    Raises:
        InvalidStudy: it is not.
    """
    for protocol in protocols():
        if protocol.name == estimator.name:
            return protocol
    raise InvalidStudy(f"no protocol {estimator.name!r} is installed")


@dataclass(frozen=True)
class Attempt:
    """An attempt of a run, and over whom, as `members_of` says."""

    run: str
    number: int = 1
    members: str = ""


@dataclass(frozen=True, eq=False)
class Places:
    """Of a run's people, the places in the site's memory.

    Attributes:
        rows: (n,) of the person of each row of the cohort.
        steps: label → places of those who are left after each step of the attrition
            but the last; empty where no analysis shows them.
    """

    rows: Ints
    steps: Mapping[str, Ints]


def places_of(
    memory: Memory, space: str, ids: Ids, flow: tuple[Sequence[str], Ids, Ints] | None
) -> Places:
    """Return the places of a cohort's people; who is new to the memory is added.

    Args:
        memory: of the site.
        space: of the cohort.
        ids: of the cohort.
        flow: of the cohort.
    """
    rows = memory.places(space, ids)
    if flow is None:
        return Places(rows, {})
    labels, everybody, reached = flow
    places = memory.places(space, everybody)
    left = {
        label: np.unique(places[reached >= step]) for step, label in enumerate(labels)
    }
    left.popitem()  # the last step leaves the cohort
    return Places(rows, left)


def asked_of(
    estimator: Estimator,
    rows: Rows,
    places: Places,
    at: int,
    attempt: Attempt,
) -> Asked:
    """Return of whom an analysis would show statistics, and how much its rounds tell.

    Args:
        estimator: of the public plan.
        rows: the site's rows.
        places: of the run's people.
        at: the round, from 0; those to come are counted from the first.
        attempt: of which run, and over whom.
    """
    plan = estimator.plan
    own = places.rows[rows.origin] if len(rows.origin) else places.rows
    parts: dict[str, Ints] = {}
    if plan.analysis.method == "counts":
        parts |= {f"left after {label}": who for label, who in places.steps.items()}
    if rows.parts:
        for part_plan, part in zip(plan.parts, rows.parts, strict=True):
            name = part_plan.analysis.name
            mine = places.rows[part.origin]
            parts[f"{name}: everybody"] = np.unique(mine)
            for label, chosen in subsets(part_plan, part):
                parts[f"{name}: {label}"] = np.unique(mine[chosen])
    else:
        for label, chosen in subsets(plan, rows):
            parts[label] = np.unique(own[chosen])
    people = np.unique(own)
    told = [(people, numbers_of(estimator))]
    if plan.parts:
        of_parts = [parts[f"{one.analysis.name}: everybody"] for one in plan.parts]
        each = [numbers_told(one.parameters, 1) for one in plan.parts]
        told = list(zip(of_parts, each, strict=True))
    return Asked(
        plan.analysis.name,
        people,
        parts,
        statistics(plan),
        [(who, numbers) for who, numbers in told if numbers],
        rounds_counted(at, estimator.most_rounds),
        attempt.members,
        f"{attempt.run}|{attempt.number}",
    )


def room_of(policy: Policy, study: Study, everyone: int | None, sites: int) -> Room:
    """Return how close a study's answers may come, and how much they may show.

    Args:
        policy: the site's own.
        study: whose own minimum may be stricter.
        everyone: people in the snapshot, where totals of them may be published.
        sites: how many are summed.
    """
    minimum = policy.tightened(study.minimum).minimum
    few, own = sites < minimum.sites, policy.minimum.cell
    shown, told = policy.shown_share, policy.told_share
    return Room(minimum.cell, shown, everyone, few, told, own)


def members_of(members: Sequence[str], sites: Sequence[str]) -> str:
    """Return "" where all of a permit's sites are summed, else a digest of who is."""
    if set(members) == set(sites):
        return ""
    return digest({"members": sorted(members)})
