"""Pseudonyms that are made once for all give the rows of the SELECT itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import parse_one

from hetao.cdm.engine_duckdb import connect
from hetao.cdm.hiding import KNOWN, forget_pseudonyms, select_hidden
from hetao.cdm.macros import make_macros

SELECTS = (
    "SELECT pseudonym(no) AS a, day FROM t",
    "SELECT pseudonym(no) AS a, pseudonym(no || day) AS b, pseudonym(day) AS c FROM t",
    "SELECT DISTINCT pseudonym(no) AS a FROM t",
    "SELECT pseudonym(no) AS a, count(*) AS n FROM t GROUP BY no",
    "SELECT pseudonym(min(no)) AS a, day FROM t GROUP BY day",
    "SELECT pseudonym(no) AS a, day FROM t UNION ALL SELECT pseudonym(day), no FROM t",
    "SELECT pseudonym(no) AS a, day FROM t UNION ALL SELECT 7, no FROM t",
    "SELECT CASE WHEN day > 'b' THEN pseudonym(no) END AS a FROM t",
    "SELECT pseudonym(NULL) AS a, day FROM t",
    "WITH w AS (SELECT pseudonym(no) AS a, no FROM t) "
    "SELECT w.a, pseudonym(w.no) AS b FROM w LEFT JOIN t ON t.day = w.no",
)
ENGINE = connect()  # what a cursor makes, all of it temporary, is its own
cells = st.sampled_from((None, "", "a", "b", "A", "é", "張"))


@pytest.mark.parametrize("sql", SELECTS)
@settings(max_examples=15)
@given(rows=st.lists(st.tuples(cells, cells), max_size=8))
def test_a_select_gives_the_same_rows(sql, rows):
    with ENGINE.cursor() as connection:
        make_macros(connection, b"k" * 32)
        connection.execute("CREATE TEMP TABLE t (no VARCHAR, day VARCHAR)")
        if rows:
            connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        plain = connection.sql(sql).order("ALL").fetchall()

        select_hidden(connection, parse_one(SELECTS[0], dialect="duckdb"), "first")
        select_hidden(connection, parse_one(sql, dialect="duckdb"), "found")

        assert connection.table("found").order("ALL").fetchall() == plain


def test_no_identifier_is_left_behind():
    with connect() as connection:
        make_macros(connection, b"k" * 32)
        connection.execute("CREATE TABLE t AS SELECT 'a' AS no, 'b' AS day")
        select_hidden(connection, parse_one(SELECTS[0], dialect="duckdb"), "found")
        assert connection.table(KNOWN).project("hides").fetchall() == [("a",)]

        forget_pseudonyms(connection)

        tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1")
        assert tables.fetchall() == [("found",), ("t",)]
