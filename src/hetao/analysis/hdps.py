"""The large-scale covariates of a high-dimensional propensity score, over sites.

Two studies. The first asks Table 1 of candidate codes twice, by arm and by outcome: its
list of candidates is public, written before any site is asked. From these counts over
all sites, that are released as any Table 1 is, every party ranks the candidates alike.
The second study names the chosen ones as its variables. So the list is the same at all
sites, nothing is chosen inside a site, and no site's own counts are shown.

Source:
    Schneeweiss S et al. (2009), Epidemiology 20(4), 512-522; the bias of a confounder:
    Bross IDJ (1966), J Chronic Dis 19(6), 637-647.
    Test: `tests/unit/test_hdps.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetao.errors import InvalidStudy
from hetao.study import Level, Variable

SEEN = (("once", 1), ("sometimes", 2), ("often", 4))
PAIR = (Level("no", 0), Level("yes", 1))
CONTINUITY = 0.5  # added to each cell of a risk, so that none is 0 or 1


@dataclass(frozen=True)
class Candidate:
    """One code or group of codes that may be chosen.

    Attributes:
        name: plain, and unique; variables are called after it.
        source: event table, such as "condition".
        concepts: names of concept sets, or ids.
        label: what a reader sees.
    """

    name: str
    source: str
    concepts: tuple[int | str, ...]
    label: str = ""


@dataclass(frozen=True)
class Counted:
    """People with one covariate over all sites, of two arms and of two outcomes.

    Attributes:
        variable: the covariate.
        with_by_arm: people who have it, (comparator, treated).
        by_arm: people of each arm.
        with_by_outcome: people who have it, (without, with) the outcome.
        by_outcome: people without and with the outcome.
    """

    variable: str
    with_by_arm: tuple[int, int]
    by_arm: tuple[int, int]
    with_by_outcome: tuple[int, int]
    by_outcome: tuple[int, int]


def candidate_variables(
    candidates: Sequence[Candidate],
    days: tuple[int, int] = (-365, -1),
    seen: Sequence[tuple[str, int]] = SEEN,
) -> tuple[Variable, ...]:
    """Return the variables of the first study: each candidate once, sometimes, often.

    Args:
        candidates: the public list.
        days: window around the index day.
        seen: name and least number of records of each flag. They are public numbers,
            the same at all sites; medians inside a site would differ between sites.
    """
    return tuple(
        Variable(
            f"{one.name}_{name}",
            "category",
            one.source,
            one.concepts,
            levels=PAIR,
            window_days=days,
            label=f"{one.label or one.name}: {name}",
            aggregate="any",
            at_least=least,
        )
        for one in candidates
        for name, least in seen
    )


def counted(
    by_arm: Mapping[str, Any], by_outcome: Mapping[str, Any]
) -> tuple[Counted, ...]:
    """Return the counts that two findings of Table 1 hold, in their order.

    Args:
        by_arm: payload of the table by a variable of two arms, the comparator first.
        by_outcome: payload of the table by the outcome, "without" first.

    A covariate of which a count is hidden, for being small, is left out: it could not
    be told from others as rare.

    Raises:
        InvalidStudy: a table does not have two groups.
    """
    arms, arm_people = _yes_counts(by_arm)
    outcomes, outcome_people = _yes_counts(by_outcome)
    return tuple(
        Counted(name, arms[name], arm_people, outcomes[name], outcome_people)
        for name in arms
        if name in outcomes
    )


def bross_bias(one: Counted) -> float:
    """Return by how much leaving the covariate out would multiply a risk ratio.

    1 means not at all. The covariate's association with the outcome is a risk ratio
    with half a person added to every cell, so that it is finite.
    """
    exposed = one.with_by_arm[1] / max(one.by_arm[1], 1)
    unexposed = one.with_by_arm[0] / max(one.by_arm[0], 1)
    free, ill = one.by_outcome
    free_with, ill_with = one.with_by_outcome
    risk_with = _risk(ill_with, free_with)
    risk_without = _risk(ill - ill_with, free - free_with)
    excess = risk_with / risk_without - 1
    return (exposed * excess + 1) / (unexposed * excess + 1)


def choose(
    counts: Sequence[Counted],
    candidates: Sequence[Candidate],
    most: int = 500,
    most_a_source: int = 200,
) -> tuple[str, ...]:
    """Return the names of the variables chosen, the most biasing first.

    In each source the `most_a_source` most prevalent candidates are looked at, where
    the share of people that counts is that with or without, whichever is smaller: a
    code that everybody has tells as little as one that nobody has. Of their flags the
    `most` with the largest bias, up or down, are chosen. Ties go by name.
    """
    shares: dict[str, float] = {}
    owner = {
        one.variable: candidate
        for one in counts
        for candidate in candidates
        if one.variable.rpartition("_")[0] == candidate.name
    }
    for one in counts:
        name = owner[one.variable].name
        share = sum(one.with_by_arm) / max(sum(one.by_arm), 1)
        shares[name] = max(shares.get(name, 0.0), min(share, 1 - share))
    kept: set[str] = set()
    for source in sorted({candidate.source for candidate in candidates}):
        own = [c.name for c in candidates if c.source == source and c.name in shares]
        kept.update(sorted(own, key=lambda name: (-shares[name], name))[:most_a_source])
    ranked = sorted(
        (one for one in counts if owner[one.variable].name in kept),
        key=lambda one: (-abs(math.log(bross_bias(one))), one.variable),
    )
    return tuple(one.variable for one in ranked[:most])


def _risk(ill: int, free: int) -> float:
    return (ill + CONTINUITY) / (ill + free + 2 * CONTINUITY)


def _yes_counts(
    payload: Mapping[str, Any],
) -> tuple[dict[str, tuple[int, int]], tuple[int, int]]:
    """Return people with each covariate, and in all, in two groups."""
    if len(payload["groups"]) != 2:
        raise InvalidStudy(
            "covariates are ranked by tables of two groups",
            fix="ask table1 by the arm, and by the outcome",
        )
    found: dict[str, tuple[int, int]] = {}
    people = (0, 0)
    for row in payload["rows"]:
        cells = [cell.get("count") for cell in row["by_group"]]
        if any(cell is None for cell in cells):
            continue
        if not row["variable"]:
            people = (int(cells[0]), int(cells[1]))
        elif row["level"] == PAIR[1].name:
            found[row["variable"]] = (int(cells[0]), int(cells[1]))
    return found, people
