"""How many people have each combination of a design's columns: summed, never opened.

The rounds of a model of categories alone tell it. So before the first of them each site
counts its people here, and the hubs find out, of the sealed sum, whether any
combination is of few people over all sites, and nothing else:
`hetao.release.sealed_count`.
"""

import math
from typing import ClassVar

import numpy as np

from hetao.analysis.combinations import (
    MOST_COMBINATIONS,
    categories,
    designs,
    joint_codes,
)
from hetao.analysis.estimator import Estimator, Message, Shapes, State
from hetao.analysis.finding import Finding
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.analysis.telling import is_asked
from hetao.errors import InvalidStudy, WrongShape
from hetao.ledger.sealed_counts import NAME
from hetao.study.model import SITE


class SealedCount(Estimator):
    """The people of each combination of columns, of which the model tells.

    Combinations that have the same design are one. A level of `site`, where it is a
    column, is one more value: of those combinations each site has its own.
    """

    name = NAME
    most_rounds = 1
    publishable = False
    own_cells = False
    of_people = ("people",)
    relies_on = ("hetao.analysis.combinations",)
    sums: ClassVar[Shapes] = {"people": "combinations"}
    opening: ClassVar[Shapes] = sums

    def __init__(self, plan: Plan) -> None:
        """Count for the model of a plan.

        Raises:
            InvalidStudy: there are too many combinations.
        """
        every = designs(plan, MOST_COMBINATIONS)
        if len(every) > MOST_COMBINATIONS:
            raise InvalidStudy(
                f"{plan.analysis.name}: its columns and sites make more than "
                f"{MOST_COMBINATIONS} combinations",
                fix="use fewer categories, or put a number in as it is",
            )
        known = np.unique(every > 0, axis=0)
        self._place = {row.tobytes(): place for place, row in enumerate(known)}
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"combinations": len(self._place)}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return (most per row of weight 1, low) for each array of a round."""
        del round_number
        return {"people": (1.0, 0.0)}

    def start(self, rows: Rows) -> Message:
        """Return how many people of a site have each combination."""
        columns = rows.X > 0
        codes = joint_codes([column.astype(np.int64) for column in columns.T])
        _, first, counts = np.unique(codes, return_index=True, return_counts=True)
        people = np.zeros(len(self._place))
        for at, count in zip(first, counts, strict=True):
            place = self._place.get(np.ascontiguousarray(columns[at]).tobytes())
            if place is None:
                raise WrongShape("a row has a combination that its plan cannot have")
            people[place] = count
        return {"people": people}

    def local(self, rows: Rows, state: State) -> Message:
        """Refuse: it is counted once."""
        del rows, state
        raise WrongShape("a sealed count has one round")

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Refuse: nobody opens the sum."""
        del total, state, round_number
        raise WrongShape("a sealed count is never opened")


def possible(estimator: Estimator) -> int | None:
    """Return how many combinations a model's columns may have, those of sites aside.

    None where nobody can solve for them: where a number is among the columns, or of
    other methods than regressions whose rows are people and count alike. Of a single
    column of two values none is asked either: each site holds both its sides to its
    minimum by itself.
    """
    plan = estimator.plan
    if not is_asked(estimator) or any(column.factors for column in plan.columns):
        return None
    sizes = [n for name, n in categories(plan).items() if name != SITE]
    return math.prod(sizes) if math.prod(sizes) > 2 else None
