"""The analyses of a study as one site carries them out: estimators, rows, facts.

Each is made once, when it is first asked for, and nothing of it leaves from here.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hetao.analysis import (
    Estimator,
    Evidence,
    Rows,
    estimator_for,
    evidence,
    make_rows,
)
from hetao.analysis.expressions import Ints
from hetao.analysis.rows import Columns
from hetao.analysis.together import together
from hetao.errors import HetaoError
from hetao.release import Policy, check_people
from hetao.release.minimums import check_counts
from hetao.study import Minimum, Study


def enough(minimum: Minimum, site: str) -> Callable[[int], None]:
    """Return what refuses too few people, before any other fact about them."""
    return functools.partial(check_people, minimum, site)


@dataclass(frozen=True, eq=False)
class People:
    """A cohort's rows at a site.

    Attributes:
        columns: (n,) arrays by name.
        attrition: people left after each step.
        whose: (n,) whose each row is.
    """

    columns: Columns
    attrition: Sequence[tuple[str, int]]
    whose: Ints


class Prepared:
    """The analyses of one study over one cohort."""

    def __init__(self, study: Study, people: People, policy: Policy, site: str) -> None:
        """Prepare nothing yet.

        Args:
            study: whose analyses.
            people: over whom.
            policy: the site's own.
            site: its name.
        """
        self._study, self._people, self._site = study, people, site
        self._minimum = policy.tightened(study.minimum).minimum
        self._made: dict[str, tuple[Estimator, Rows]] = {}
        self._facts: dict[str, Evidence] = {}

    def rows(self, name: str) -> tuple[Estimator, Rows]:
        """Return the estimator of an analysis, and its rows.

        Raises:
            HetaoError: this site can't answer it.
        """
        if name not in self._made:
            estimator = estimator_for(self._study, self._study.analysis(name))
            estimator = estimator.within(self._minimum)
            rows = make_rows(
                estimator.plan,
                self._people.columns,
                self._site,
                attrition=self._people.attrition,
                enough=enough(self._minimum, self._site),
            )
            self._made[name] = (estimator, rows)
        return self._made[name]

    def facts(self, name: str) -> Evidence:
        """Return what the gate weighs of an analysis by itself."""
        if name not in self._facts:
            estimator, rows = self.rows(name)
            self._facts[name] = evidence(estimator.plan, rows)
        return self._facts[name]

    def together(self, name: str) -> int | None:
        """Return how few people its numbers and other analyses' single out together.

        Whatever the study asks counts, in whichever order; but what this site can't
        answer, or refuses by itself in each round. None where nothing of the analysis
        has to be looked at so.
        """
        return self._together.get(name)

    @functools.cached_property
    def _together(self) -> dict[str, int]:
        found = {}
        for analysis in self._study.analyses:
            try:
                estimator, rows = self.rows(analysis.name)
                facts = self.facts(analysis.name)
                if analysis.coefficients:  # its columns are told of by none but these
                    facts, _ = estimator.guarded(facts, rows, None)
                check_counts(facts, self._minimum, self._site)
            except HetaoError:
                continue
            found[analysis.name] = (estimator.plan, rows)
        return together(found, self._people.columns, self._people.whose)
