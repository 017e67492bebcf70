"""Each person's life: birth, entry, first days of diseases, index days, death.

Two temporary tables of a block of people. `life` has a row a person; days are whole
numbers since 1970-01-01, and a day may lie after death: whoever reads it asks for
`day <= leaves`. `condition` has a row for each disease that a person lives to have.
"""

import datetime
from collections.abc import Mapping

from hetao.synth.catalogue import catalogue
from hetao.synth.draws import salt
from hetao.synth.labs import index_value
from hetao.synth.sites import SyntheticSite
from hetao.synth.truth import Connection
from hetao.synth.world import LABS, Course, Outcome, World

EPOCH = "DATE '1970-01-01'"
YEAR = 365.25
LOOKBACK_DAYS = 365  # nobody begins a compared drug earlier after entry
YOUNGEST = 0.5  # years of age at which a disease may begin


def make_life(
    connection: Connection, world: World, site: SyntheticSite, people: range
) -> None:
    """Make `life` and `condition` for these people of a site."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE life AS {_life_sql(world, site, people)}"
    )
    parts = [
        f"SELECT person_no, '{disease}' AS disease, {number} AS number, "
        f"{disease} AS onset FROM life WHERE {disease} <= leaves"
        for number, disease in enumerate(world.diseases)
    ]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE condition AS {' UNION ALL '.join(parts)}"
    )


def draw(macro: str, *words: str, event: int = 0) -> str:
    """Return a draw of a person in SQL: macro `u`, `normal`, `noise` or `waiting`."""
    return f"{macro}(person_no, {event}, {salt(*words)})"


def _life_sql(world: World, site: SyntheticSite, people: range) -> str:
    """Return one SELECT; each WITH table adds columns that follow from the last's."""
    base = [name for name in world.diseases if name not in world.outcomes]
    others = [name for name in world.diseases if name in world.outcomes]
    steps = [
        ("born", _born_sql(world, site, people)),
        ("entered", f"SELECT *, {_entry(world)} AS enters FROM born"),
        ("drawn", f"SELECT *, {_shares(world, base + others)} FROM entered"),
        ("onsets", f"SELECT *, {_onsets(world, base + others)} FROM drawn"),
        ("old", f"SELECT * EXCLUDE (share), {_old_age(world)} AS old_age FROM onsets"),
        ("starts", f"SELECT *, {_starts(world)} FROM old"),
        ("measured", f"SELECT *, {_measured(world)} FROM starts"),
        ("chosen", f"SELECT *, {_arms(world, site)} FROM measured"),
        ("known", _outcomes_sql(world, site)),
        ("ends", f"SELECT *, {_deaths(world)} FROM known"),
    ]
    tables = ", ".join(f"{name} AS ({sql})" for name, sql in steps)
    death = f"least({', '.join(_causes(world).values())})"
    last = _day(world.last)
    return f"""
        WITH {tables}, dated AS (
            SELECT *, CASE WHEN {death} <= {last} THEN {death} END AS dies FROM ends)
        SELECT *, coalesce(dies, {last}) AS leaves, {_cause(world)} AS cause FROM dated
    """


def _day(day: datetime.date) -> int:
    return (day - datetime.date(1970, 1, 1)).days


def _born_sql(world: World, site: SyntheticSite, people: range) -> str:
    side = world.sides[site.side]
    total, below, cases = sum(side.ages), 0.0, []
    age = draw("u", "age")
    for band, share in enumerate(side.ages):
        within = f"({age} * {total!r} - {below!r}) / {share!r}"
        below += share
        cases.append(f"WHEN {age} * {total!r} < {below!r} THEN ({band} + {within})")
    # The last band's upper end is met by rounding alone.
    years = f"CASE {' '.join(cases)} ELSE {len(side.ages)} END * 10"
    places = ", ".join(f"'{name}'" for name in side.districts)
    return f"""
        SELECT *, year({EPOCH} + born) AS birth_year FROM (
            SELECT person_no, '{site.side}' AS side,
                {draw("u", "sex")} < {side.male} AS male,
                {_day(world.census)} - floor({years} * {YEAR})::INTEGER AS born,
                [{places}][1 + floor({draw("u", "district")} * {len(side.districts)})
                    ::INTEGER] AS district,
                {draw("normal", "frailty")} AS frailty
            FROM (SELECT range AS person_no
                FROM range({people.start}, {people.stop})))
    """


def _entry(world: World) -> str:
    late = (
        f"CASE WHEN {draw('u', 'late')} < {world.late} "
        f"THEN floor({draw('u', 'late', 'days')} * {world.late_days})::INTEGER "
        "ELSE 0 END"
    )
    return f"greatest({_day(world.first)} + {late}, born)"


def _shares(world: World, names: list[str]) -> str:
    """Return where each disease's draw lies below its height, each worked out once."""
    shares = ", ".join(
        f"{name} := {draw('u', 'onset', name)} "
        f"/ least({_plateau(world.diseases[name])}, 0.95)"
        for name in names
    )
    return f"struct_pack({shares}) AS share"


def _onsets(world: World, names: list[str]) -> str:
    columns = []
    for name in names:
        course, share = world.diseases[name], f"share.{name}"
        age = f"{course.middle} + {course.spread} * ln({share} / (1 - {share}))"
        sex = _sex(name)
        allowed = f"{share} < 0.9999 AND {share} > 0" + (f" AND {sex}" if sex else "")
        columns.append(
            f"CASE WHEN {allowed} THEN born + floor({YEAR} * "
            f"greatest({age}, {YOUNGEST}))::INTEGER END AS {name}"
        )
    return ", ".join(columns)


def _sex(disease: str) -> str:
    return {"M": "male", "F": "NOT male", "": ""}[catalogue().diseases[disease].sex]


def _plateau(course: Course) -> str:
    factors = [repr(course.plateau)]
    if course.male:
        factors.append(f"exp({course.male} * male::INTEGER)")
    if course.frailty:
        factors.append(f"exp({course.frailty} * frailty)")
    if course.born_after is not None:
        factors.append(
            f"CASE WHEN birth_year > {course.born_after} THEN {course.after} ELSE 1 END"
        )
    return " * ".join(factors)


def _old_age(world: World) -> str:
    """Return the day of death by Gompertz's law, given that one lives on entry."""
    law = world.death
    rate = " * ".join(
        [
            f"{law['at_zero']!r} * exp({law['growth']} * (enters - born) / {YEAR})",
            f"CASE WHEN male THEN {law['male']} ELSE 1 END",
            *(
                f"CASE WHEN {disease} <= enters THEN {factor} ELSE 1 END"
                for disease, factor in law["factors"].items()
            ),
        ]
    )
    growth = law["growth"]
    years = f"ln(1 + {draw('waiting', 'death')} * {growth} / ({rate})) / {growth}"
    return f"enters + 1 + floor({YEAR} * {years})::INTEGER"


def _starts(world: World) -> str:
    """Return the index day of each comparison, `start_0` and so on, or NULL."""
    columns = []
    for number, comparison in enumerate(world.comparisons):
        name = comparison.name
        wait = f"floor({draw('waiting', 'start', name)} * {comparison.wait_days})"
        columns.append(
            f"CASE WHEN {draw('u', 'ever', name)} < {comparison.share} THEN "
            f"greatest({comparison.disease}, enters + {LOOKBACK_DAYS}) "
            f"+ {wait}::INTEGER END AS start_{number}"
        )
    # greatest(NULL, x) is x in this engine: no disease, no index day.
    return ", ".join(
        c.replace("CASE WHEN ", f"CASE WHEN {comparison.disease} IS NOT NULL AND ", 1)
        for c, comparison in zip(columns, world.comparisons, strict=True)
    )


def _measured(world: World) -> str:
    """Return what each comparison's formulas ask for, each variable worked out once."""
    columns = []
    for number, comparison in enumerate(world.comparisons):
        asked = [*comparison.choice]
        asked += [name for outcome in comparison.outcomes for name in outcome.hazard]
        packed = ", ".join(
            f"{name} := {_variable(world, name, number)}"
            for name in dict.fromkeys(asked)
        )
        columns.append(f"struct_pack({packed or 'none := 0'}) AS measured_{number}")
    return ", ".join(columns)


def _variable(world: World, name: str, number: int) -> str:
    """Return a variable of a formula as it is recorded on the index day."""
    if name == "age":
        recorded = f"(year({EPOCH} + start_{number}) - birth_year)"
    elif name == "male":
        recorded = "male::INTEGER"
    elif name in LABS:
        recorded = index_value(world, name, number)
    else:
        recorded = f"coalesce(({name} <= start_{number})::INTEGER, 0)"
    centre, scale = world.variables[name]
    return f"(({recorded} - {centre!r}) / {scale!r})"


def _linear(parts: Mapping[str, float], number: int) -> str:
    return "".join(
        f" + {slope!r} * measured_{number}.{name}" for name, slope in parts.items()
    )


def _arms(world: World, site: SyntheticSite) -> str:
    columns = []
    for number, comparison in enumerate(world.comparisons):
        odds = (
            f"{comparison.prefers + site.preference!r}"
            f"{_linear(comparison.choice, number)}"
        )
        columns.append(
            f"CASE WHEN start_{number} IS NOT NULL THEN "
            f"{draw('u', 'arm', comparison.name)} < 1 / (1 + exp(-({odds}))) "
            f"END AS exposed_{number}"
        )
    return ", ".join(columns)


def _outcomes_sql(world: World, site: SyntheticSite) -> str:
    """Replace what would come after the index day by what the effects say."""
    columns = [
        f"CASE WHEN start_{number} IS NOT NULL "
        f"AND NOT coalesce({outcome.disease} < start_{number}, FALSE) "
        f"THEN {_first_day(site, number, outcome)} ELSE {outcome.disease} "
        f"END AS {outcome.disease}"
        for number, comparison in enumerate(world.comparisons)
        for outcome in comparison.outcomes
    ]
    done = ", ".join(f"measured_{number}" for number in range(len(world.comparisons)))
    left_out = f"EXCLUDE ({done})" if done else ""
    return f"SELECT * {left_out} REPLACE ({', '.join(columns)}) FROM chosen"


def _first_day(site: SyntheticSite, number: int, outcome: Outcome) -> str:
    hazard = (
        f"{outcome.per_1000_years / 1000!r} * exp({site.risk!r} "
        f"+ {outcome.log_hazard_ratio!r} * exposed_{number}::INTEGER"
        f"{_linear(outcome.hazard, number)})"
    )
    waited = draw("waiting", "outcome", outcome.disease)
    years = f"pow({waited} / ({hazard}), {1 / outcome.shape!r})"
    # Bounded, or somebody at no risk would wait longer than a whole number can say.
    return f"start_{number} + ceil(least({YEAR} * {years}, 100000))::INTEGER"


def _causes(world: World) -> dict[str, str]:
    fatal = [name for name, course in world.diseases.items() if course.fatal]
    return {"other": "old_age"} | {name: f"dies_of_{name}" for name in fatal}


def _deaths(world: World) -> str:
    columns = []
    for name, course in world.diseases.items():
        if course.fatal is None:
            continue
        days = f"1 + floor({draw('waiting', 'fatal', name)} * {course.fatal.days})"
        # Who was alive on entry did not die of it before.
        columns.append(
            f"CASE WHEN {draw('u', 'fatal', name)} < {course.fatal.share} "
            f"AND {name} + {days} > enters THEN {name} + ({days})::INTEGER END "
            f"AS dies_of_{name}"
        )
    return ", ".join(columns)


def _cause(world: World) -> str:
    cases = " ".join(
        f"WHEN dies = {column} THEN '{cause}'"
        for cause, column in reversed(_causes(world).items())
    )
    return f"CASE {cases} END"
