"""What was asked of the same tables is not asked again; anything else is."""

import datetime
from decimal import Decimal

import pytest

from hetao.cdm.engine_duckdb import DuckDBEngine, connect
from hetao.cdm.quality import Remembered

ASKED = (
    "SELECT count(*) AS n, min(day) AS d, max(at) AS a, sum(x) AS s, min(w) AS w "
    "FROM person"
)
FOUND = [
    (
        1,
        datetime.date(2020, 1, 2),
        datetime.datetime.fromisoformat("2020-01-02T03:00:00"),
        Decimal(1),
        None,
    )
]


class Counting(DuckDBEngine):
    """An engine that tells what it was asked."""

    def __init__(self, connection):
        super().__init__(connection)
        self.asked = []

    def rows(self, sql):
        self.asked.append(sql)
        return super().rows(sql)

    def make(self, name, sql):
        self.asked.append(name)
        super().make(name, sql)


@pytest.fixture
def engine():
    """Return an engine with two tables."""
    with Counting(connect()) as engine:
        engine.connection.execute(
            "CREATE TABLE person AS SELECT DATE '2020-01-02' AS day, "
            "TIMESTAMP '2020-01-02 03:00:00' AS at, 1::DECIMAL(18,0) AS x, "
            "NULL::VARCHAR AS w"
        )
        engine.connection.execute("CREATE TABLE rejected AS SELECT 1 AS x")
        yield engine


def told(engine, digest, before, plan=ASKED, made=""):
    """Ask through a memory of one table; return the rows, and what is kept."""
    asked = Remembered(engine, {"person": digest}, before)
    if made:
        asked.make("few", made)
    return asked.rows(plan), asked.answers


def test_the_same_table_is_not_asked_again(engine):
    first, answers = told(engine, "a", {})

    again, kept = told(engine, "a", answers)

    assert first == again == FOUND
    assert kept == answers
    assert len(engine.asked) == 1


def test_a_table_that_changed_is_asked(engine):
    _, answers = told(engine, "a", {})

    told(engine, "b", answers)

    assert len(engine.asked) == 2


@pytest.mark.parametrize(
    "plan",
    [
        "SELECT count(*) AS n FROM rejected",
        "SELECT count(*) AS n FROM person p JOIN rejected r ON r.x = p.x",
    ],
)
def test_a_table_that_nobody_knows_is_always_asked(engine, plan):
    _, answers = told(engine, "a", {}, plan)

    told(engine, "a", answers, plan)

    assert answers == {}
    assert len(engine.asked) == 2


def test_a_temporary_table_is_made_only_where_it_is_read(engine):
    plan, made = "SELECT count(*) AS n FROM few", "SELECT x FROM person"
    _, answers = told(engine, "a", {}, plan, made)
    assert engine.asked == ["few", plan]

    told(engine, "a", answers, plan, made)
    assert engine.asked == ["few", plan]

    told(engine, "a", answers, plan, "SELECT x FROM person WHERE x > 1")
    assert engine.asked == ["few", plan, "few", plan]
