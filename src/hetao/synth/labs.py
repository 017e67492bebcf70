"""Laboratory values and blood pressure that follow from a life, and when.

A value is a level of the person's own, moved by age, disease and treatment, and a
deviation of the day. It is rounded as it is reported; formulas of the effects read the
rounded value, so what is recorded on an index day is all that the truth knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hetao.synth.draws import salt
from hetao.synth.slots import FIRST_EVENT, FIRST_INDEX, SLOTS
from hetao.synth.truth import Connection
from hetao.synth.world import World

YEAR = 365.25
OF_VISIT: Final = 16  # lab numbers of one visit
EVENT_SHARE = 0.8  # of tests that are done when somebody is taken ill


def index_value(world: World, analyte: str, number: int) -> str:
    """Return in SQL what is recorded of an analyte on a comparison's index day.

    For a SELECT over people with the columns of `life` up to `start_…`.
    """
    visit = f"(person_no * {SLOTS} + {FIRST_INDEX + number})"
    return f"({Moment(world, f'start_{number}', visit).value(analyte)})"


def fill_labs(connection: Connection, world: World, site: str) -> None:
    """Add the block's labs to `lab`, from the temporary tables `seen` and `life`."""
    here = Moment(world, "day", "visit_no")
    columns = ", ".join(
        f"CASE WHEN {_taken(analyte, share)} THEN {here.value(analyte)} END "
        f"AS {analyte}"
        for analyte, share in _shares(here).items()
    )
    follow = ", ".join(
        f"CASE WHEN {source} IS NOT NULL THEN {formula(here)} END AS {name}"
        for name, (source, formula) in FOLLOWING.items()
    )
    parts = " UNION ALL ".join(
        f"SELECT visit_no * {OF_VISIT} + {number}, visit_no, person_no, '{site}', "
        f"taken_at, '{analyte}', {analyte}::DECIMAL(18,6) FROM measured "
        f"WHERE {analyte} IS NOT NULL"
        for number, analyte in enumerate([*LEVELS, *FOLLOWING])
    )
    minute = f"480 + floor(540 * u(visit_no, 0, {salt('minute')}))::BIGINT"
    connection.execute(f"""
        INSERT INTO lab
        WITH first AS (
            SELECT visit_no, person_no, male, day, born,
                DATE '1970-01-01' + day::INTEGER + to_minutes({minute}) AS taken_at,
                {columns}
            FROM seen JOIN life USING (person_no)),
        measured AS MATERIALIZED (SELECT *, {follow} FROM first)
        {parts}
    """)


def takes(world: World, drug: str) -> str:
    """Return in SQL whether a person with the disease takes a standing drug."""
    for therapy in world.therapies:
        if therapy["drug"] == drug:
            share = f"CASE side WHEN 'HK' THEN {therapy['HK']} ELSE {therapy['SZ']} END"
            return f"(u(person_no, 0, {salt('therapy', drug)}) < {share})"
    return "FALSE"


@dataclass(frozen=True)
class Moment:
    """One day of a person, in SQL over `life`.

    Attributes:
        day: an expression, a whole number of days since 1970-01-01.
        visit: an expression, the visit's number: deviations of the day follow from it.
    """

    world: World
    day: str
    visit: str

    @property
    def age(self) -> str:
        """Return the age in years."""
        return f"(({self.day} - born) / {YEAR})"

    def since(self, disease: str, days: int = 0) -> str:
        """Return whether the disease has been there for so many days."""
        return f"coalesce({disease} + {days} <= {self.day}, FALSE)"

    def years(self, disease: str) -> str:
        """Return for how many years it has been there, 15 at most."""
        return f"least(({self.day} - {disease}) / {YEAR}, 15)"

    def treated(self, disease: str) -> str:
        """Return whether a compared drug for the disease was begun before."""
        begun = [
            f"coalesce({self.day} > start_{number}, FALSE)"
            for number, comparison in enumerate(self.world.comparisons)
            if comparison.disease == disease
        ]
        return f"({' OR '.join(begun) or 'FALSE'})"

    def compares(self, drug: str) -> str:
        """Return whether the drug, a comparator, was begun before."""
        begun = [
            f"coalesce({self.day} > start_{number} AND NOT exposed_{number}, FALSE)"
            for number, comparison in enumerate(self.world.comparisons)
            if comparison.comparator == drug
        ]
        return f"({' OR '.join(begun) or 'FALSE'})"

    def own(self, analyte: str) -> str:
        """Return a standard normal of the person."""
        return f"normal(person_no, 0, {salt('level', analyte)})"

    def noise(self, analyte: str) -> str:
        """Return a deviation of the day, of variance 1."""
        return f"noise({self.visit}, 0, {salt('noise', analyte)})"

    def value(self, analyte: str) -> str:
        """Return the reported value, in the analyte's unit."""
        level = LEVELS[analyte]
        formula = level.formula(self, self.own(analyte), self.noise(analyte))
        return (
            f"round(greatest(least({formula}, {level.high}), {level.low}), "
            f"{level.decimals})"
        )


@dataclass(frozen=True)
class Level:
    """What an analyte is: a formula of (moment, own, noise), bounded and rounded."""

    formula: Callable[[Moment, str, str], str]
    low: float
    high: float
    decimals: int


def _if(condition: str, yes: str, no: str = "0") -> str:
    return f"CASE WHEN {condition} THEN {yes} ELSE {no} END"


def _hba1c(m: Moment, own: str, noise: str) -> str:
    better = _if(m.treated("diabetes"), "10")
    ill = f"62 + 13 * {own} + 0.6 * {m.years('diabetes')} - {better}"
    return f"{_if(m.since('diabetes'), ill, f'37 + 2.5 * {own}')} + 3 * {noise}"


def _egfr(m: Moment, own: str, noise: str) -> str:
    lost = _if(m.since("ckd"), f"(30 + 1.8 * {m.years('ckd')})")
    return f"108 - 0.75 * greatest({m.age} - 30, 0) + 9 * {own} - {lost} + 3 * {noise}"


def _ldl(m: Moment, own: str, noise: str) -> str:
    statin = f"({takes(m.world, 'simvastatin')} OR {takes(m.world, 'atorvastatin')})"
    lower = _if(f"{statin} AND {m.since('dyslipidaemia', 30)}", "0.65", "1")
    high = _if(m.since("dyslipidaemia"), "1.1")
    return f"(3.0 + 0.65 * {own} + {high}) * {lower} + 0.2 * {noise}"


def _alt(m: Moment, own: str, noise: str) -> str:
    ill = _if(m.treated("hepatitis_b"), "3.3", "4.0")
    level = _if(m.since("hepatitis_b"), ill, "3.15")
    return f"exp({level} + 0.35 * {own} + 0.15 * {noise})"


def _hbv_dna(m: Moment, own: str, noise: str) -> str:
    low, high = f"1.6 + 0.2 * {own}", f"5.0 + 1.4 * {own}"
    level = _if(m.treated("hepatitis_b"), low, high)
    return f"pow(10, least({level} + 0.2 * {noise}, 9))"


def _haemoglobin(m: Moment, own: str, noise: str) -> str:
    lost = _if(m.since("ckd"), "18")
    return f"{_if('male', '148', '133')} + 8 * {own} - {lost} + 4 * {noise}"


def _inr(m: Moment, own: str, noise: str) -> str:
    del own  # who takes warfarin is kept in the same range as anybody else
    thin, plain = f"2.4 + 0.5 * {noise}", f"1.05 + 0.06 * {noise}"
    return _if(m.compares("warfarin"), thin, plain)


def _sbp(m: Moment, own: str, noise: str) -> str:
    high = _if(m.since("hypertension"), "20")
    better = _if(m.treated("hypertension"), "13")
    age = f"0.3 * greatest({m.age} - 40, 0)"
    return f"118 + {age} + 8 * {own} + {high} - {better} + 6 * {noise}"


LEVELS: Final[dict[str, Level]] = {
    "hba1c": Level(_hba1c, 20, 150, 0),  # mmol/mol
    "egfr": Level(_egfr, 5, 130, 0),  # mL/min/1.73 m2
    "cholesterol_ldl": Level(_ldl, 0.6, 9, 1),  # mmol/L
    "alt": Level(_alt, 5, 900, 0),  # U/L
    "hbv_dna": Level(_hbv_dna, 10, 1e9, 0),  # IU/mL
    "haemoglobin": Level(_haemoglobin, 60, 190, 0),  # g/L
    "inr": Level(_inr, 0.8, 7, 1),
    "systolic_pressure": Level(_sbp, 80, 230, 0),  # mm Hg
}


def _creatinine(m: Moment) -> str:
    """Return micromoles a litre, by the CKD-EPI equation of 2021 the other way round.

    Source:
        Inker et al. (2021), N Engl J Med 385, 1737-1749.
    """
    women = _if("male", "1", "1.012")
    part = f"(egfr / (142 * pow(0.9938, greatest({m.age}, 18)) * {women}))"
    power = _if(f"{part} > 1", _if("male", "1 / -0.302", "1 / -0.241"), "1 / -1.2")
    return f"round(greatest({_if('male', '79.6', '61.9')} * pow({part}, {power}), 20))"


def _glucose(m: Moment) -> str:
    """Return the mean glucose, mmol/L, that belongs to an HbA1c, and a deviation.

    Source:
        Nathan et al. (2008), Diabetes Care 31, 1473-1478.
    """
    mean = "1.59 * (hba1c / 10.929 + 2.15) - 2.59"
    return f"round(greatest({mean} + 0.6 * {m.noise('glucose_fasting')}, 2.5), 1)"


def _dbp(m: Moment) -> str:
    noise = m.noise("diastolic_pressure")
    return f"round(greatest(22 + 0.42 * systolic_pressure + 4 * {noise}, 40))"


# Analyte → the one of the same visit that it follows from, and how.
FOLLOWING: Final[dict[str, tuple[str, Callable[[Moment], str]]]] = {
    "creatinine": ("egfr", _creatinine),
    "glucose_fasting": ("hba1c", _glucose),
    "diastolic_pressure": ("systolic_pressure", _dbp),
}


def _shares(m: Moment) -> dict[str, str]:
    """Return analyte → share of ordinary visits at which it is measured, in SQL."""
    kidneys = f"{m.since('diabetes')} OR {m.since('ckd')}"
    return {
        "hba1c": _if(m.since("diabetes"), "0.5", "0.03"),
        "egfr": _if(kidneys, "0.5", "0.2"),
        "cholesterol_ldl": _if(m.since("dyslipidaemia"), "0.4", "0.1"),
        "alt": _if(m.since("hepatitis_b"), "0.7", "0.12"),
        "hbv_dna": _if(m.since("hepatitis_b"), "0.6"),
        "haemoglobin": "0.15",
        "inr": _if(m.compares("warfarin"), "0.8"),
        "systolic_pressure": "0.5",
    }


def _taken(analyte: str, share: str) -> str:
    """On an index day everything is measured that is ever measured of the person."""
    chance = f"u(visit_no, 0, {salt('taken', analyte)})"
    return (
        f"CASE WHEN slot < {FIRST_INDEX} THEN {chance} < ({share}) "
        f"WHEN slot < {FIRST_EVENT} THEN ({share}) > 0 "
        f"ELSE ({share}) > 0 AND {chance} < {EVENT_SHARE} END"
    )
