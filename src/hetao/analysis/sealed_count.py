"""What is counted before a model, summed, and never opened: people, or sites.

The rounds of a model of categories alone tell how many people have each combination of
its columns. So before the first of them each site counts its people here, and the hubs
find out, of the sealed sum, whether any combination is of few people over all sites,
and nothing else: `hetao.release.sealed_count`.

Two analyses of a study whose definitions differ for few people tell, one less the
other, these people's sums. So each site counts beside these for how many people each
definition of the later one differs from each of an earlier one, and each two of its
own. For these alone people are counted once a site has refused by its own counts.

A number that differs within few sites alone makes sums over all sites these few sites'
own. So before a model with numbers each site says here, of each, whether its people
differ, and the hubs find out whether any number is one of few sites.
"""

import math
from collections.abc import Collection
from typing import ClassVar

import numpy as np

from hetao.analysis.alike import looked_at
from hetao.analysis.combinations import (
    MOST_COMBINATIONS,
    categories,
    designs,
    joint_codes,
)
from hetao.analysis.estimator import (
    USUAL_ROUNDS,
    Estimator,
    Message,
    Shapes,
    State,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.analysis.telling import is_asked
from hetao.errors import InvalidStudy, WrongShape
from hetao.ledger.sealed_counts import NAME, PEOPLE
from hetao.study.model import SITE


class SealedCount(Estimator):
    """The people of some combinations and pairs, or whether people differ in numbers.

    Of people each combination of columns, where the rounds tell of it, and then each
    two definitions, its own or one of an earlier analysis. Combinations that have the
    same design are one. A level of `site`, where it is a column, is one more value: of
    those combinations each site has its own.
    """

    name = NAME
    version = "4"
    most_rounds = 1
    publishable = False
    own_cells = False
    of_people = ("people", "within", "apart", "sites")
    relies_on = (
        "hetao.analysis.alike",
        "hetao.analysis.combinations",
        "hetao.analysis.neighbours",
    )
    sums: ClassVar[Shapes] = {
        "people": "combinations",
        "within": "own pairs",
        "apart": "pairs",
        "sites": "numbers",
    }
    opening: ClassVar[Shapes] = sums

    def __init__(
        self, model: Estimator, what: str = PEOPLE, apart: Collection[str] = ()
    ) -> None:
        """Count for a model.

        Args:
            model: of the public plan.
            what: PEOPLE of combinations and pairs, or SITES where a number differs.
            apart: sites that may be told apart: none of them hides another.

        Raises:
            InvalidStudy: there are too many combinations.
        """
        self._place: dict[bytes, int] = {}
        self._apart = frozenset(apart)
        plan, is_people = model.plan, what == PEOPLE
        self._looks = () if is_people else looked_at(plan)
        self._own_pairs = plan.within.counts if is_people else 0
        self._pairs = plan.beside.counts if is_people else 0
        if is_people and tells_combinations(model):
            self._find_places(plan)
        super().__init__(plan)

    def _find_places(self, plan: Plan) -> None:
        every = designs(plan, MOST_COMBINATIONS)
        if len(every) > MOST_COMBINATIONS:
            raise InvalidStudy(
                f"{plan.analysis.name}: its columns and sites make more than "
                f"{MOST_COMBINATIONS} combinations",
                fix="use fewer categories, or put a number in as it is",
            )
        known = np.unique(every > 0, axis=0)
        self._place = {row.tobytes(): place for place, row in enumerate(known)}

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        own = {"combinations": len(self._place), "numbers": len(self._looks)}
        pairs = {"own pairs": self._own_pairs, "pairs": self._pairs}
        return super().sizes() | own | pairs

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return (most per row of weight 1, low) for each array of a round."""
        del round_number
        return dict.fromkeys(self.sums, (1.0, 0.0))

    def start(self, rows: Rows) -> Message:
        """Return how many people have each combination, or whether they differ."""
        differs = rows.differing & (rows.site not in self._apart)
        return {
            "people": self._people(rows),
            "within": rows.within[: self._own_pairs].astype(np.float64),
            "apart": rows.apart[: self._pairs].astype(np.float64),
            "sites": differs[: len(self._looks)].astype(np.float64),
        }

    def _people(self, rows: Rows) -> Floats:
        people = np.zeros(len(self._place))
        if not self._place:
            return people
        columns = rows.X > 0
        codes = joint_codes([column.astype(np.int64) for column in columns.T])
        _, first, counts = np.unique(codes, return_index=True, return_counts=True)
        for at, count in zip(first, counts, strict=True):
            place = self._place.get(np.ascontiguousarray(columns[at]).tobytes())
            if place is None:
                raise WrongShape("a row has a combination that its plan cannot have")
            people[place] = count
        return people

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


def tells_combinations(model: Estimator, at: int = 0) -> bool:
    """Return whether a model's rounds tell of each combination of its columns.

    It follows from the public plan.

    Args:
        model: of the public plan.
        at: the round, from 0.
    """
    found, most = possible(model), model.most_rounds
    if found is None:
        return False
    return found <= numbers_told(model.plan.parameters, rounds_counted(at, most))


def rounds_counted(at: int, most: int) -> int:
    """Return how many rounds of a model are counted at one of them, from the first.

    Args:
        at: the round, from 0.
        most: that may be.
    """
    return max(at + 1, min(USUAL_ROUNDS, most))


def numbers_told(parameters: int, rounds: int) -> int:
    """Return how many numbers the rounds of a model tell: scores and information."""
    return rounds * (parameters + parameters * (parameters + 1) // 2)
