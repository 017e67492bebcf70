"""An analysis of a site's rows → of whom it would show how much."""

import numpy as np

from hetao.analysis import Plan, Rows, statistics, subsets
from hetao.release.differencing import Asked, Ints


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
