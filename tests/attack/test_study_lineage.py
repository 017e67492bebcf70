"""What a study reads is all in its lineage: held to the SQL that is carried out.

The columns are bound by sqlglot from the text of every plan, without a look at what
the compiler notes down about itself or at what the study is said to read.
"""

import functools
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from hetao.cdm import CuratedTables
from hetao.cdm.engine_duckdb import DuckDBEngine
from hetao.cohort import build
from hetao.dictionary import dictionary
from hetao.release.grading import lineage, names
from hetao.study import (
    Analysis,
    Arm,
    ConceptSet,
    Criterion,
    Event,
    Exposure,
    FollowUp,
    Intervals,
    Level,
    Outcome,
    Population,
    Score,
    ScoreItem,
    Study,
    Value,
    Variable,
    Window,
)
from hetao.study.meaning import EVENTS
from hetao.study.population import TABLES as EVENT_TABLES
from support_cohort import RIGHT_UNIT, TABLES, Row, World, empty_database, load

PAIR = (Level("no", 0), Level("yes", 1))
ANSWERS = (Level("a", 11), Level("b", 12))
ANY = {"kind": "number", "bounds": (-1e6, 1e6)}
SET = ConceptSet("s", omop=(1,))
ON_A_DAY = Population(dates=("2020-01-11",))
AT_RISK = replace(ON_A_DAY, prior_observation_days=0)
REAL = {
    table.name: {field.name: "text" for field in table.fields.values()}
    for table in dictionary().tables.values()
}


# --- what the SQL touches -------------------------------------------------------------
class Recorder(DuckDBEngine):
    """The embedded engine, which keeps the text of every plan."""

    def __init__(self, connection):
        super().__init__(connection)
        self.texts, self.schema = [], dict(REAL)

    def rows(self, sql):
        self.texts.append(sql)
        return super().rows(sql)

    def fetch(self, sql):
        self.texts.append(sql)
        return super().fetch(sql)

    def make(self, name, sql):
        self.texts.append(sql)
        columns = sqlglot.parse_one(sql, read="duckdb").named_selects
        super().make(name, sql)
        self.schema[name] = dict.fromkeys(columns, "text")

    def load(self, name, columns):
        super().load(name, columns)
        self.schema[name] = dict.fromkeys(columns, "text")

    def touched(self):
        found = set()
        for text in dict.fromkeys(self.texts):
            found |= bound_columns(text, self.schema)
        return found


def bound_columns(text, schema):
    """Return the `table.column`s of real tables that a query's columns stand for."""
    named = {
        one.name for one in sqlglot.parse_one(text, read="duckdb").find_all(exp.Table)
    }
    return _bound(
        text, tuple((n, tuple(schema[n])) for n in sorted(named & set(schema)))
    )


@functools.cache
def _bound(text, tables):
    tree = qualify(
        sqlglot.parse_one(text, read="duckdb"),
        schema={name: dict.fromkeys(columns, "text") for name, columns in tables},
        dialect="duckdb",
        validate_qualify_columns=True,
    )
    found = set()
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.name in REAL:
                found.add(f"{source.name}.{column.name}")
    return found


@pytest.fixture(scope="module")
def connection():
    rows = []
    keys = itertools.count(1)
    for person, table in itertools.product((1, 2, 3), TABLES):
        visit = next(k for k in keys)
        rows += [
            Row(table, next(keys), person, 1, 1, day, 2, 11, RIGHT_UNIT, 2, 3, visit, 1)
            for day in (5, 10, 15)
        ]
    world = World(
        dict.fromkeys((1, 2, 3), (8507, 1950)),
        [(person, -50, 60) for person in (1, 2, 3)],
        {1: (40, 1), 2: (15, 1)},
        rows,
    )
    made = empty_database()
    load(made, world)
    yield made
    made.close()


def touched_by(connection, study):
    """Return the columns that the cohort of a study really reads."""
    engine = Recorder(connection.cursor())
    tables = CuratedTables(
        Path("none/cdm.duckdb"), connection, "s", study.dictionary_digest, served=engine
    )
    found = build(study, tables)
    return engine.touched(), set(found.fields)


# --- every way in which a study can read ----------------------------------------------
def study(*variables, **fields):
    return Study(
        "s",
        "",
        "",
        "1",
        "omop-5.4",
        ("a",),
        variables or (Variable("day", source="index_day", **ANY),),
        (),
        dictionary_digest=dictionary().digest,
        concepts=(SET,),
        **{"population": ON_A_DAY, **fields},
    )


def of(variable, **fields):
    return study(variable, **fields)


def followed(variable, **fields):
    chosen = {"population": AT_RISK, "follow_up": FollowUp(), **fields}
    return study(variable, **chosen)


def cut(variable, **fields):
    """Return a study whose time is cut into rows."""
    person = Variable("who", "key", "person")
    other = {"follow_up": FollowUp(), "population": AT_RISK, **fields}
    return study(person, variable, **other)


def ways(table):
    """Return every way in which an event of a table can get into a study."""
    event = Event(table, ("s",))
    ill = Variable("ill", "category", "outcome", levels=PAIR, outcome="o")
    days = Variable("days", source="time_at_risk", **ANY)
    outcome = (Outcome("o", events=(event,)),)
    arms = (Arm("x", events=(event,)), Arm("y"))
    arm = Variable("arm", "category", "arm", levels=(Level("x", 0), Level("y", 1)))
    window = Intervals(windows=(Window("w", events=(event,)),))
    in_window = Variable("w", "category", "window", levels=PAIR, window="w")
    item = Score("f", items=(ScoreItem("i", 1, events=(event,)),))
    found = {
        "the entry": study(population=Population(entry=(event,))),
        "the first eligible entry": study(
            population=Population(entry=(event,), occurrence="eligible")
        ),
        "any entry": study(population=Population(entry=(event,), occurrence="any")),
        "every entry": study(population=Population(entry=(event,), occurrence="every")),
        "a washout": study(population=Population(entry=(event,), washout_days=3)),
        "an arm": of(arm, population=Population(arms=arms)),
        "an arm in a window": of(
            arm,
            population=Population(
                arms=(Arm("x", events=(event,), days=(-9, 9)), Arm("y")),
                dates=ON_A_DAY.dates,
            ),
        ),
        "a criterion": study(criteria=(Criterion("c", events=(event,)),)),
        "a criterion of days": study(
            criteria=(Criterion("c", events=(event,), distinct_days=True),)
        ),
        "a criterion while observed": study(
            population=AT_RISK,
            criteria=(Criterion("c", events=(event,), observed=True),),
        ),
        "a criterion within criteria": study(
            criteria=(
                Criterion(
                    "c", none_of=(Criterion(any_of=(Criterion(events=(event,)),)),)
                ),
            )
        ),
        "the end of exposure": followed(
            days, follow_up=FollowUp(exposure=Exposure(events=(event,)))
        ),
        "the end of an arm's exposure": followed(
            days,
            follow_up=FollowUp(exposure=Exposure(), switch=True),
            population=replace(AT_RISK, arms=arms, dates=(), entry=(Event("visit"),)),
        ),
        "censoring": followed(days, follow_up=FollowUp(censor=(event,))),
        "an outcome": followed(ill, outcomes=outcome),
        "an outcome's time": followed(replace(days, outcome="o"), outcomes=outcome),
        "an outcome after clean days": followed(
            ill, outcomes=(replace(outcome[0], clean_days=3),)
        ),
        "an outcome's count": followed(
            Variable("n", source="outcome_count", outcome="o", **ANY), outcomes=outcome
        ),
        "a competing event": followed(
            ill, outcomes=(Outcome("o", events=(Event("visit"),), competing=(event,)),)
        ),
        "a score": study(
            Variable("f", source="score", score="f", **ANY), scores=(item,)
        ),
        "a window of rows": cut(in_window, intervals=window),
        "rows until an outcome": cut(
            Variable("stop", source="interval_stop", outcome="o", **ANY),
            outcomes=outcome,
            intervals=Intervals(days=("2020-01-20",)),
        ),
        "rows about an outcome": cut(
            Variable("case", "key", "case"),
            outcomes=outcome,
            intervals=Intervals(around=(0, 1), outcome="o", referents=(-7,)),
        ),
        "rows that end with an outcome": cut(
            Variable("n", source="outcome_count", outcome="o", **ANY),
            outcomes=outcome,
            intervals=Intervals(outcome="o", observed=True, months=(1,)),
            follow_up=None,
        ),
        "several events": study(
            Variable(
                "e",
                source="events",
                aggregate="count",
                events=(event, Event("visit")),
                **ANY,
            )
        ),
    }
    if table != "death":
        summaries = ["count", "days", "days_since_first", "days_since_last"]
        summaries += {"drug": ["days_supply"]}.get(table, [])
        if table in ("measurement", "observation"):
            summaries += ["first", "last", "min", "max", "mean"]
        for summary in summaries:
            number = Variable(
                "v", source=table, concepts=("s",), aggregate=summary, **ANY
            )
            if table == "measurement" and summary not in ("count", "days"):
                number = replace(number, unit="mmol/L")
            found[f"a variable, its {summary}"] = study(number)
        found["a variable, whether any"] = study(
            Variable("v", "category", table, ("s",), levels=PAIR, aggregate="any")
        )
    if table in ("measurement", "observation"):
        coded = Variable("v", "category", table, ("s",), levels=ANSWERS)
        found["a coded answer"] = study(replace(coded, aggregate="last"))
        unit = "mmol/L" if table == "measurement" else ""
        for name, value in {
            "a value": Value(at_least=1.0, unit=unit),
            "a value's concept": Value(concepts=("s",)),
        }.items():
            found[name] = study(
                criteria=(Criterion("c", events=(replace(event, value=value),)),)
            )
    if table not in ("visit", "death"):
        at_visit = replace(event, visit=("s",))
        found["an event of a visit"] = study(
            criteria=(Criterion("c", events=(at_visit,)),)
        )
    return found


OTHERS = {
    "the age": of(Variable("age", source="age", **ANY)),
    "the sex": of(
        Variable("sex", "category", "sex", levels=(Level("m", 8507), Level("f", 8532)))
    ),
    "the day": study(),
    "the month": of(Variable("m", source="month", **ANY)),
    "death": of(Variable("d", "category", "death", levels=PAIR)),
    "the time to death": of(Variable("t", source="time_to_death", **ANY)),
    "a time at risk": followed(Variable("t", source="time_at_risk", **ANY)),
    "ages": study(population=replace(ON_A_DAY, ages=(18, 90))),
    "sexes": study(population=replace(ON_A_DAY, sexes=("male",))),
    "observation": study(population=AT_RISK),
    "a visit, if nothing is said": study(population=Population()),
    "rows cut by age": cut(
        Variable("age", source="age", at="row", **ANY),
        intervals=Intervals(ages=(50,), after_days=(3,)),
    ),
    "days of rows": cut(
        Variable("d", source="interval_days", **ANY),
        intervals=Intervals(days=("2020-01-20",), observed=True),
        follow_up=None,
    ),
    "a score of age and sex": study(
        Variable("f", source="score", score="f", **ANY),
        scores=(Score("f", items=(ScoreItem("i", 1, ages=(50, 99), sex="male"),)),),
    ),
}
# A part of a study treats all tables alike, so each is tried with one, and with
# each table what differs between tables, or what death alone ends.
ALIKE = ("drug",)
ITS_OWN = (
    "variable",
    "answer",
    "value",
    "visit",
    "the entry",
    "competing",
    "an outcome",
)
WAYS = {
    **{
        (table, way): asked
        for table in EVENT_TABLES
        for way, asked in ways(table).items()
        if table in ALIKE or any(word in way for word in ITS_OWN)
    },
    **{("", way): asked for way, asked in OTHERS.items()},
}


def asking(one):
    """Return an analysis that computes with every variable of a study."""
    return Analysis("all", "table1", variables=tuple(v.name for v in one.variables))


@pytest.mark.parametrize(("table", "way"), sorted(WAYS))
def test_every_column_that_the_sql_reads_is_in_the_lineage(connection, table, way):
    asked = WAYS[table, way]

    touched, noted = touched_by(connection, asked)

    told = set(names(lineage(asked, asking(asked))))
    assert touched <= told, touched - told
    assert noted <= told, noted - told
    if table:  # it was looked for, so the study's plans were really carried out
        assert any(path.startswith(f"{EVENTS[table]}.") for path in touched)
