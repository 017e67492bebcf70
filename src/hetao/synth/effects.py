"""A comparison of the world as a study, and its cohort as the truth has it.

What a flawless curation and a flawless cohort would hold: the yardstick for both, and
the data on which estimators are held to the known effects.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from hetao.study import Analysis, Level, Study, Variable
from hetao.synth.truth import Connection
from hetao.synth.world import LABS, Comparison, Outcome, World

ARM, DAYS, ILL = "arm", "days", "ill"
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "age": (0, 120),
    "hba1c": (0, 200),
    "egfr": (0, 200),
    "systolic_pressure": (0, 300),
    "alt": (0, 1000),
    DAYS: (0, 5000),
}
Columns = dict[str, np.ndarray]


def effect_study(
    world: World, comparison: Comparison, outcome: Outcome, sites: tuple[str, ...]
) -> Study:
    """Return the study whose Cox model is the right one, and one without confounders.

    The analyses are "adjusted" and "crude", both stratified by site; the first term of
    each is the exposed drug against the comparator.
    """
    confounders = confounders_of(comparison, outcome)
    variables = [
        _pair(ARM, comparison.comparator, comparison.exposed),
        _pair(ILL, "no", "yes"),
        _number(DAYS),
        *(
            _number(name) if name in LIMITS else _pair(name, "no", "yes")
            for name in confounders
        ),
    ]
    terms = [
        f"{name}/{world.variables[name][1]:g}" if name in LIMITS else name
        for name in confounders
    ]
    analyses = tuple(
        Analysis(
            name, "cox", time=DAYS, event=ILL, terms=(ARM, *more), strata=("site",)
        )
        for name, more in (("adjusted", terms), ("crude", []))
    )
    return Study(
        name=f"{comparison.name}-{outcome.disease}",
        title=f"{comparison.exposed} against {comparison.comparator}",
        question=f"Does it change the hazard of {outcome.disease}?",
        version="1",
        dictionary="flat",
        sites=sites,
        variables=tuple(variables),
        analyses=analyses,
    )


def confounders_of(comparison: Comparison, outcome: Outcome) -> tuple[str, ...]:
    """Return what the choice or this outcome depends on, each once."""
    return tuple(dict.fromkeys([*comparison.choice, *outcome.hazard]))


def effect_columns(
    connection: Connection, world: World, comparison: Comparison, outcome: Outcome
) -> Mapping[str, Columns]:
    """Return site → columns of who began one of the drugs, free of the outcome.

    The index day is the first dispensing of either drug. A disease counts if it was
    coded by then; a laboratory value is the last by then; follow-up ends at the
    outcome, at death or on the world's last day, whichever is
    first. Categories are the index of their level.

    Args:
        connection: with the truth tables.
        world: by which they were made.
        comparison: one of the world's.
        outcome: one of the comparison's.
    """
    wanted = confounders_of(comparison, outcome)
    diseases = [name for name in wanted if name not in LIMITS and name != "male"]
    labs = [name for name in wanted if name in LABS]
    columns = "".join(
        f", coalesce(bool_or(disease = '{name}'), FALSE)::BIGINT AS {name}"
        for name in diseases
    )
    values = "".join(
        f", (arg_max(value, (taken_at, lab_no)) FILTER (analyte = '{name}'))::DOUBLE "
        f"AS {name}"
        for name in labs
    )
    found = connection.execute(f"""
        WITH entry AS (
            SELECT person_no, min(day) AS entry_day,
                arg_min(drug, (day, rx_no)) = '{comparison.exposed}' AS exposed
            FROM drug WHERE drug IN ('{comparison.exposed}', '{comparison.comparator}')
            GROUP BY person_no),
        ended AS (
            SELECT person_no, min(day) AS ill_day FROM diagnosis
            WHERE disease = '{outcome.disease}' GROUP BY person_no),
        had AS (
            SELECT entry.person_no {columns} FROM entry LEFT JOIN diagnosis
                ON diagnosis.person_no = entry.person_no AND day <= entry_day
            GROUP BY entry.person_no),
        measured AS (
            SELECT entry.person_no {values} FROM entry LEFT JOIN lab
                ON lab.person_no = entry.person_no AND taken_at < entry_day + 1
            GROUP BY entry.person_no)
        SELECT site, exposed::BIGINT AS {ARM}, (ill_day IS NOT NULL)::BIGINT AS {ILL},
            (coalesce(ill_day, death_date, DATE '{world.last}')
                - entry_day)::DOUBLE AS {DAYS},
            (year(entry_day) - year(birth_date))::DOUBLE AS age,
            (sex = 'M')::BIGINT AS male
            {"".join(f", {name}" for name in (*diseases, *labs))}
        FROM entry JOIN person USING (person_no) LEFT JOIN ended USING (person_no)
            JOIN had USING (person_no) JOIN measured USING (person_no)
        WHERE ill_day IS NULL OR ill_day > entry_day ORDER BY person_no
    """).fetchnumpy()
    site = np.asarray(found.pop("site"), dtype=str)
    plain = {name: np.ma.filled(column) for name, column in found.items()}
    return {
        str(name): {key: values[site == name] for key, values in plain.items()}
        for name in np.unique(site)
    }


def _pair(name: str, no: str, yes: str) -> Variable:
    levels = (Level(no, no), Level(yes, yes))
    return Variable(name, "category", "column", column=name, levels=levels)


def _number(name: str) -> Variable:
    return Variable(name, "number", "column", column=name, bounds=LIMITS[name])
