"""What is asked: the study of a begin, and of whom an analysis would show how much."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import (
    Estimator,
    Rows,
    statistics,
    subsets,
    sums_of_groups,
)
from hetao.analysis.estimator import USUAL_ROUNDS
from hetao.analysis.sealed_count import numbers_told, rounds_counted
from hetao.canonical import digest
from hetao.errors import InvalidStudy
from hetao.federation.memory import Memory, Room
from hetao.permit import Bundle, bundle_from
from hetao.release import Policy, unpack
from hetao.release.differencing import Asked, Ints
from hetao.release.lists import Summed, summed
from hetao.release.minimums import numbers_of
from hetao.study import Study, study_from

Ids = NDArray[np.generic]


@functools.lru_cache(maxsize=4)
def opening(content: bytes) -> tuple[Study, Bundle]:
    """Return what a `begin` asks; sites of one process are all given the same bytes."""
    meta, _ = unpack(content)
    return study_from(meta["study"]), bundle_from(meta["permit"])


@dataclass(frozen=True)
class Attempt:
    """An attempt of a run, and over whom, as `members_of` says."""

    run: str
    number: int = 1
    members: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Places:
    """Of a run's people, the places in the site's memory.

    Attributes:
        rows: (n,) of the person of each row of the cohort.
        steps: number and label → places of those who are left after each step of the
            attrition but the last; empty where no analysis shows them.
    """

    rows: Ints
    steps: Mapping[str, Ints]

    @functools.cached_property
    def everybody(self) -> Ints:
        """Return the place, each once, of whoever anything is told about.

        That is who is in the cohort, and who left it before, if it is shown how many.
        """
        return np.unique(np.concatenate([self.rows, *self.steps.values()]))


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
        f"{step} {label}": np.unique(places[reached >= step])
        for step, label in enumerate(labels[:-1])  # the last one leaves the cohort
    }
    return Places(rows, left)


def asked_of(
    estimator: Estimator,
    rows: Rows,
    places: Places,
    at: int,
    attempt: Attempt,
    over: Summed,
) -> Asked:
    """Return of whom an analysis would show statistics, and how much its rounds tell.

    Args:
        estimator: of the public plan.
        rows: the site's rows.
        places: of the run's people.
        at: the round, from 0; those to come are counted from the first.
        attempt: of which run, and over whom.
        over: as `over_whom` returns.
    """
    plan = estimator.plan
    own = places.rows[rows.origin] if len(rows.origin) else places.rows
    found: list[tuple[tuple[str, ...], Ints]] = []
    if plan.analysis.method == "counts":
        found += [(("left after", step), who) for step, who in places.steps.items()]
    people = np.unique(own)
    told = [(people, numbers_of(estimator, rows))]
    if rows.parts:
        told = []
        for at_pair, (pair, part) in enumerate(
            zip(plan.parts, rows.parts, strict=True)
        ):
            name = f"pair {at_pair} {pair.analysis.name}"
            mine = _People(places.rows[part.origin])
            found.append(((name, "everybody"), mine.everybody))
            told.append((mine.everybody, numbers_told(pair.parameters, 1)))
            chosen = subsets(pair, part)
            found += [((name, *each), mine.of(who)) for each, who in chosen]
    else:
        mine = _People(own)
        found += [(name, mine.of(who)) for name, who in subsets(plan, rows)]
    later = at if at >= USUAL_ROUNDS and estimator.in_cells(at) else 0
    rounds = rounds_counted(at, estimator.most_rounds)
    before = estimator.in_cells(at) if later else 0
    in_cells = range(before, estimator.in_cells(rounds))
    single = {} if later else statistics(plan)
    pooled = sums_of_groups(plan, rows, in_cells)
    follows = estimator.chooses and (bool(later) or bool(pooled))
    alone = rows.site in over.apart
    tells = plan.tells_sites or rows.tells_site
    if alone or tells or estimator.own_parts or estimator.publishable:
        single, pooled = _joined(single, pooled), {}
    return Asked(
        plan.analysis.name,
        people,
        by_name(found),
        single,
        pooled,
        [(who, numbers) for who, numbers in told if numbers],
        rounds,
        digest({"members": list(attempt.members)}) if attempt.members else "",
        f"{attempt.run}|{attempt.number}",
        over,
        alone,
        follows,
        later,
    )


def _joined(
    one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return the names of the sums about each variable in either."""
    names = dict.fromkeys([*one, *other])
    none: frozenset[str] = frozenset()
    return {name: one.get(name, none) | other.get(name, none) for name in names}


class _People:
    """The people of rows, ordered once for all the parts that are looked at.

    Attributes:
        everybody: (m,) places, each once, in order.
    """

    def __init__(self, places: Ints) -> None:
        """Order the places of all rows."""
        self.everybody, self._of_row = np.unique(places, return_inverse=True)

    def of(self, chosen: NDArray[np.bool_]) -> Ints:
        """Return the places of the people of (n,) chosen rows, each once, in order."""
        here = np.zeros(len(self.everybody), dtype=bool)
        here[self._of_row[chosen]] = True
        return self.everybody[here]


def by_name(parts: Sequence[tuple[tuple[str, ...], Ints]]) -> dict[str, Ints]:
    """Return the people of each part, by a text that has all of its name in it.

    Raises:
        InvalidStudy: two parts have one name. One of them would not be remembered.
    """
    found: dict[str, Ints] = {}
    for name, who in parts:
        text = json.dumps(name, ensure_ascii=False)
        if text in found:
            raise InvalidStudy(
                f"two parts of an analysis are both called {text[:60]}",
                fix="give variables and levels names of their own",
            )
        found[text] = who
    return found


def room_of(
    policy: Policy, study: Study, everyone: int | None, sites: Sequence[str]
) -> Room:
    """Return how close a study's answers may come, and how much they may show.

    Args:
        policy: the site's own.
        study: whose own minimum may be stricter.
        everyone: people in the snapshot, where totals of them may be published.
        sites: who is summed.
    """
    minimum, own = policy.tightened(study.minimum).minimum, policy.minimum.cell
    shown, told = policy.shown_share, policy.told_share
    limits = (minimum.cell, shown, everyone, told, own)
    return Room(*limits, over_of(policy, study, sites), minimum.sites)


def over_of(policy: Policy, study: Study, sites: Sequence[str]) -> int:
    """Return over how many sites a party sees a pooled sum at least, its own taken off.

    It follows from the site's own minimum: a study's stricter one bounds nothing here.

    Args:
        policy: the site's own.
        study: whose own minimum may be stricter.
        sites: who is summed, or is to be. Those who may be told apart do not count.
    """
    if (
        len(set(sites) - set(study.told_apart))
        < policy.tightened(study.minimum).minimum.sites
    ):
        return 1
    return max(policy.minimum.sites - 1, 1)


def over_whom(
    policy: Policy, study: Study, members: Sequence[str], estimator: Estimator
) -> Summed:
    """Return the sites that an analysis is summed over, and who may be told apart.

    Args:
        policy: the site's own, or the one under which it was let out.
        study: whose own minimum may be stricter.
        members: who is summed.
        estimator: of the public plan.
    """
    least = policy.tightened(study.minimum).minimum.sites
    return summed(study, members, least, publishable=estimator.publishable)


def members_of(members: Sequence[str], sites: Sequence[str]) -> tuple[str, ...]:
    """Return nobody where all of a permit's sites are summed, else who is, in order."""
    return () if set(members) == set(sites) else tuple(sorted(members))
