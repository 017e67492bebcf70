"""Matching inside a site: the closest pair first, in one total order.

Of all pairs that agree in the categories and lie within the calipers, the closest is
taken, then the closest of the rest, and so on; ties go to the earlier treated person,
then to the earlier other. Nothing is drawn by lot, so every run gives the same pairs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hetao.errors import InvalidStudy
from hetao.pairing import closest_first, pairs_within
from hetao.study import Matching, Study

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


def match(study: Study, columns: Mapping[str, Array], kept: Array) -> Array:
    """Return who is left after matching, a truth value a person.

    Args:
        study: with a matching.
        columns: one array a variable.
        kept: who is there to be matched.

    Raises:
        InvalidStudy: the calipers let through more pairs than can be looked at.
    """
    matching = study.matching
    assert matching is not None  # noqa: S101  the caller asks of a study with one
    arm = next((v.name for v in study.variables if v.source == "arm"), None)
    if arm is None:
        raise InvalidStudy(
            "matching needs the arm as a variable", fix='[variables.arm] source = "arm"'
        )
    treated_place = [a.name for a in study.population.arms].index(matching.treated)
    usable = kept & _known(matching, columns) & (columns[arm] >= 0)
    strata = _strata(matching, columns, usable)
    chosen = np.zeros(len(kept), dtype=bool)
    is_treated = columns[arm] == treated_place
    numbers = [columns[near.variable] / near.caliper for near in matching.nearest]
    for members in strata:
        treated, others = members[is_treated[members]], members[~is_treated[members]]
        pairs = pairs_within(treated, others, numbers)
        left, right = closest_first(*pairs, matching.ratio)
        chosen[left] = True
        chosen[right] = True
    return chosen


def _known(matching: Matching, columns: Mapping[str, Array]) -> Array:
    found = np.array(True)
    for name in matching.exact:
        found = found & (columns[name] >= 0)
    for near in matching.nearest:
        found = found & ~np.isnan(columns[near.variable])
    return found


def _strata(
    matching: Matching, columns: Mapping[str, Array], usable: Array
) -> list[Ints]:
    """Return the people of each combination of the categories, in their order."""
    people = np.flatnonzero(usable)
    if not len(people):
        return []
    if not matching.exact:
        return [people]
    key = np.stack([columns[name][people] for name in matching.exact], axis=1)
    _, stratum = np.unique(key, axis=0, return_inverse=True)
    order = np.argsort(stratum.ravel(), kind="stable")
    edges = np.flatnonzero(np.diff(stratum.ravel()[order])) + 1
    return list(np.split(people[order], edges))
