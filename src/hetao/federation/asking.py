"""What is asked: the study of a begin, and of whom an analysis would show how much."""

import functools

import numpy as np

from hetao.analysis import (
    Estimator,
    Plan,
    Protocol,
    Rows,
    protocols,
    statistics,
    subsets,
)
from hetao.errors import InvalidStudy
from hetao.permit import Bundle, bundle_from
from hetao.release import unpack
from hetao.release.differencing import Asked, Ints
from hetao.study import Study, study_from


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


def asked_of(plan: Plan, rows: Rows, places: Ints) -> Asked:
    """Return of whom an analysis would show statistics.

    Args:
        plan: the public plan.
        rows: the site's rows.
        places: of the person of each row of the site's columns.
    """
    own = places[rows.origin] if len(rows.origin) else places
    parts: dict[str, Ints] = {}
    if rows.parts:
        for part_plan, part in zip(plan.parts, rows.parts, strict=True):
            name = part_plan.analysis.name
            mine = places[part.origin]
            parts[f"{name}: everybody"] = np.unique(mine)
            for label, chosen in subsets(part_plan, part):
                parts[f"{name}: {label}"] = np.unique(mine[chosen])
    else:
        for label, chosen in subsets(plan, rows):
            parts[label] = np.unique(own[chosen])
    return Asked(plan.analysis.name, np.unique(own), parts, statistics(plan))
