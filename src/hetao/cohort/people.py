"""The people of a cohort, one plan: candidates, facts, steps, a row each, in order."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hetao.cohort.entry import CANDIDATE, decided_early, make_candidates, reached
from hetao.cohort.facts import Facts
from hetao.cohort.follow_up import Ends, at_risk, ends_of, outcome_columns
from hetao.cohort.wanted import Wanted
from hetao.study import Population, Study

Ints = npt.NDArray[np.int64]
DECIDED, PEOPLE = "hetao_decided", "hetao_people"


def make_people(study: Study, wanted: Wanted) -> tuple[int, ...]:
    """Make the temporary table of a cohort's people; return the attrition.

    The table `hetao_people` has `place` (0 … in the order of `person_id`, then of
    `day`), `person_id`, `day` (the index day), `year_of_birth`, `gender_concept_id`,
    `arm`, and of who is followed `start_day`, `end_day` (first and last day at risk)
    and for each outcome `state_<n>` and `stop_<n>`, the last day it was waited for.

    Returns:
        For each step about events, in `study.steps`' order, how many people are left.
    """
    population = study.population
    decided = make_candidates(wanted, population)
    where = f"c.reached = {decided}"
    facts = Facts(wanted)
    conditions = _conditions(study, facts)
    ends = None
    if study.follow_up is not None:
        ends = ends_of(study, facts, where)
        conditions.append(at_risk(study.follow_up))
    steps = decided + len(conditions)
    plan = _decided_plan(study, facts, ends, (conditions, decided))
    wanted.engine.make(DECIDED, plan)
    wanted.engine.make(PEOPLE, _people_plan(study, steps))
    return _attrition(study, wanted, decided, steps)


def _conditions(study: Study, facts: Facts) -> list[str]:
    """Return a condition for each step that takes the candidates' rows to decide."""
    population, found = study.population, []
    if population.washout_days:
        days = (-population.washout_days, -1)
        found.append(f"{facts.count(population.entry_events, days)} = 0")
    if population.arms:
        found.append("c.arm >= 0")
    found += [facts.criterion(one) for one in study.criteria if not one.rule]
    return found


def _decided_plan(
    study: Study, facts: Facts, ends: Ends | None, steps: tuple[Sequence[str], int]
) -> str:
    """Return SQL for the candidates with all that was found, and `reached`.

    Three levels, because no expression may read its neighbour: what was found; the
    last day at risk; what happened by then, and which steps are met.
    """
    conditions, decided = steps
    # The last condition, of who is followed, reads days that the level below makes.
    plain = conditions[:-1] if ends else conditions
    inner = [
        "c.person_id, c.day, c.year_of_birth, c.gender_concept_id, c.arm",
        *(f"({condition}) AS met_{n}" for n, condition in enumerate(plain)),
    ]
    met = [f"met_{n}" for n in range(len(plain))]
    if ends is not None:
        inner.append(f"{ends.start} AS start_day")
        inner.append(f"least({', '.join(ends.ends)}) AS end_day")
        for place, (first, rival) in enumerate(ends.outcomes):
            inner.append(f"{first} AS first_{place}, {rival} AS rival_{place}")
        met.append(conditions[-1])
    outer = ["person_id, day, year_of_birth, gender_concept_id, arm"]
    if ends is not None:
        outer.append("start_day, end_day")
        for place in range(len(study.outcomes)):
            state, stop = outcome_columns(place)
            outer.append(f"{state} AS state_{place}, {stop} AS stop_{place}")
    outer.append(f"{reached(met, decided)} AS reached")
    return (
        f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} "  # noqa: S608
        f"FROM {CANDIDATE} c {_joins(facts, ends, decided)} "
        f"WHERE c.reached = {decided}) g"
    )


def _joins(facts: Facts, ends: Ends | None, decided: int) -> str:
    joins = []
    if facts.columns:
        joins.append(("f", facts.plan(f"c.reached = {decided}")))
    joins += [(one.name, one.plan) for one in (ends.joined if ends else ())]
    return " ".join(
        f"LEFT JOIN ({plan}) {name} ON {name}.person_id = c.person_id "
        f"AND {name}.day = c.day"
        for name, plan in joins
    )


def _people_plan(study: Study, steps: int) -> str:
    columns = ["person_id, day, year_of_birth, gender_concept_id, arm"]
    if study.follow_up is not None:
        columns.append("start_day, end_day")
        columns += [f"state_{n}, stop_{n}" for n in range(len(study.outcomes))]
    wanted = ", ".join(columns)
    source = f"SELECT {wanted} FROM {DECIDED} WHERE reached = {steps}"  # noqa: S608
    if study.population.occurrence == "any":
        source += " QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY day) = 1"
    return (
        "SELECT row_number() OVER (ORDER BY person_id, day) - 1 AS place, "  # noqa: S608
        f"{wanted} FROM ({source}) s"
    )


def steps_of_people(wanted: Wanted, population: Population) -> tuple[Ints, Ints]:
    """Return every person with an index day, and how many steps about events they met.

    Args:
        wanted: after `make_people`.
        population: of the same study.
    """
    source = _candidates(decided_early(population))
    found = wanted.engine.fetch(
        f"SELECT person_id, max(reached) AS reached FROM ({source}) b "  # noqa: S608
        "GROUP BY person_id"
    )
    return found["person_id"].astype(np.int64), found["reached"].astype(np.int64)


def _candidates(decided: int) -> str:
    """Return SQL for every candidate of every person, and the steps that they met."""
    early = f"SELECT person_id, reached FROM {CANDIDATE} WHERE reached < {decided}"  # noqa: S608
    return f"{early} UNION ALL SELECT person_id, reached FROM {DECIDED}"  # noqa: S608


def _attrition(
    study: Study, wanted: Wanted, decided: int, steps: int
) -> tuple[int, ...]:
    """Return the people left after each step: whose best candidate goes so far."""
    source = _candidates(decided)
    if study.population.occurrence != "first":
        source = (
            f"SELECT person_id, max(reached) AS reached FROM ({source}) b "  # noqa: S608
            "GROUP BY person_id"
        )
    found = wanted.engine.rows(
        f"SELECT reached, count(*) AS people FROM ({source}) s GROUP BY reached"  # noqa: S608
    )
    ends = {int(step): int(people) for step, people in found}
    return tuple(
        sum(people for step, people in ends.items() if step >= least)
        for least in range(steps + 1)
    )
