"""What filling a table takes for granted, so as to be quick, holds."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import parse_one

from hetao.cdm.engine_duckdb import connect
from hetao.cdm.filling import converted_sql
from hetao.cdm.hiding import select_hidden
from hetao.cdm.macros import make_macros
from hetao.cdm.shadow import is_row_for_row

STEP = Decimal("0.000001")
numbers = st.decimals(-100_000, 100_000, places=6)
factors = st.decimals(-100, 100, places=9)
ROW_FOR_ROW = (
    "SELECT pseudonym(t.no) AS a, t.source_row FROM t",
    "SELECT DISTINCT pseudonym(t.no) AS a, t.source_row AS source_row FROM t "
    "WHERE t.day > 'a'",
)
NOT = (
    "SELECT pseudonym(t.no) AS a FROM t",
    "SELECT pseudonym(t.no) AS a, t.source_row + 0 AS source_row FROM t",
    "SELECT pseudonym(t.no) AS a, u.source_row FROM t JOIN t AS u ON u.no = t.no",
    "SELECT pseudonym(t.no) AS a, t.source_row FROM t, t AS u",
    "SELECT pseudonym(t.no) AS a, t.source_row, unnest([t.no, t.day]) AS b FROM t",
    "SELECT pseudonym(t.no) AS a, t.source_row FROM t, unnest([1, 2]) AS u",
    "WITH w AS (SELECT t.* FROM t JOIN t AS u ON u.day = t.day) "
    "SELECT pseudonym(w.no) AS a, w.source_row FROM w",
    "SELECT pseudonym(w.no) AS a, w.source_row FROM (SELECT * FROM t) AS w",
)


CONNECTION = connect()


@given(number=numbers, a=factors, b=factors)
@example(Decimal("0.5"), Decimal("0.000001"), Decimal(0))
@example(Decimal("-0.5"), Decimal("0.000001"), Decimal(0))
@example(Decimal("0.5"), Decimal("0.000001"), Decimal(1000))
@example(Decimal("999.999999"), Decimal(1), Decimal("0.0000005"))
@example(Decimal("-999.999999"), Decimal(1), Decimal("-0.000001"))
def test_a_result_is_converted_to_the_nearest_step(number, a, b):
    sql = converted_sql("$number::DECIMAL(18,6)", "$a", "$b::DECIMAL(28,9)")
    cells = {"number": str(number), "a": str(a), "b": str(b)}

    ((found,),) = CONNECTION.execute(f"SELECT {sql}", cells).fetchall()

    assert found == (a * number + b).quantize(STEP, ROUND_HALF_UP)


@pytest.mark.parametrize("sql", ROW_FOR_ROW + NOT)
def test_only_a_plain_select_is_row_for_row(sql):
    assert is_row_for_row(parse_one(sql, dialect="duckdb")) is (sql in ROW_FOR_ROW)


@pytest.mark.parametrize("sql", ROW_FOR_ROW)
def test_pseudonyms_of_a_select_that_is_read_twice_are_its_own(sql):
    with connect() as connection:
        make_macros(connection, b"k" * 32)
        connection.execute(
            "CREATE TABLE t AS SELECT 'p' || range % 3 AS no, 'b' AS day, "
            "range AS source_row FROM range(9)"
        )
        plain = connection.sql(sql).order("ALL").fetchall()

        select_hidden(connection, parse_one(sql, dialect="duckdb"), "found")

        assert connection.table("found").order("ALL").fetchall() == plain
        left = connection.execute(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal"
        )
        assert left.fetchall() == []
