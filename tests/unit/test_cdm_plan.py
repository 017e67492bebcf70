"""A plan says only what every engine understands alike; the rest is refused by name."""

import pytest

from hetao.cdm.plan import translate
from hetao.dictionary import ENGINES
from hetao.errors import UnportablePlan

REFUSED = {
    "SELECT now() AS a": "now",
    "SELECT random() AS a": "rand",
    "SELECT current_date AS a": "current_date",
    "SELECT a + INTERVAL 1 DAY AS b FROM t": "INTERVAL",
    "SELECT date_trunc('month', d) AS a FROM t": "trunc",
    "SELECT date_diff('month', a, b) AS c FROM t": "date_diff",
    "SELECT try_cast(a AS INTEGER) AS a FROM t": "cast",
    "SELECT CAST(a AS FLOAT) AS a FROM t": "cast to REAL",
    "SELECT CAST(a AS BOOLEAN) AS a FROM t": "cast to BOOLEAN",
    "SELECT CAST(a / 2 AS BIGINT) AS a FROM t": "of a DOUBLE",
    "SELECT sum(a / b) AS a FROM t": "of a DOUBLE",
    "SELECT round(avg(a), 2) AS a FROM t": "of a DOUBLE",
    "SELECT sum(CASE WHEN c THEN CAST(a AS DOUBLE) END) AS a FROM t": "of a DOUBLE",
    "SELECT first(a) AS a FROM t": "first",
    "SELECT any_value(a) AS a FROM t": "IGNORE",
    "SELECT min_by(a, b) AS a FROM t": "arg_min",
    "SELECT list(a) AS a FROM t": "array_agg",
    "SELECT string_agg(a, ',') AS a FROM t": "string_agg",
    "SELECT quantile_disc(a, 0.5) AS a FROM t": "percentile",
    "SELECT count(DISTINCT (a, b)) AS a FROM t": "several columns",
    "SELECT sqrt(a) AS a FROM t": "sqrt",
    "SELECT hash(a) AS a FROM t": "hash",
    "SELECT concat(a, b) AS a FROM t": "concat",
    "SELECT a ILIKE 'x' AS a FROM t": "ILIKE",
    "SELECT a LIKE b AS a FROM t": "LIKE",
    r"SELECT a LIKE 'x\%' AS a FROM t": "LIKE",
    "SELECT replace(a, b, 'x') AS a FROM t": "replace",
    "SELECT substr(a, 0) AS a FROM t": "substr",
    "SELECT substr(a, b) AS a FROM t": "substr",
    "SELECT trim(a, 'x') AS a FROM t": "trim",
    "SELECT 1e5 AS a": "exponent",
    "SELECT a[1] AS a FROM t": "BRACKET",
    "SELECT unnest([1, 2]) AS a": "explode",
    "SELECT * EXCLUDE (a) FROM t": "except",
    "SELECT columns('a') FROM t": "columns",
    "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a": "on",
    "SELECT a FROM t GROUP BY ALL": "all",
    "SELECT a FROM t GROUP BY ROLLUP (a)": "ROLLUP",
    "SELECT a FROM t ORDER BY ALL": "ALL",
    "SELECT a FROM t LIMIT 3": "LIMIT",
    "SELECT a FROM t ORDER BY a OFFSET 2": "offset",
    "SELECT row_number() OVER () AS a FROM t": "row_number",
    "SELECT lag(a IGNORE NULLS) OVER (ORDER BY b) AS a FROM t": "IGNORE",
    "SELECT sum(a) OVER (ORDER BY b RANGE BETWEEN 3 PRECEDING AND CURRENT ROW) AS a "
    "FROM t": "ROWS",
    "SELECT * FROM t QUALIFY row_number() OVER (ORDER BY a) = 1": "QUALIFY",
    "SELECT a + 1 AS b FROM t QUALIFY b > 1 AND row_number() OVER (ORDER BY a) = 1": (
        "QUALIFY"
    ),
    "SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a) = 1 ORDER BY b": "ORDER",
    "SELECT a FROM t SEMI JOIN u USING (a)": "USING",
    "SELECT t.a FROM t ASOF JOIN u ON t.a >= u.a": "JOIN",
    "SELECT a FROM t NATURAL JOIN u": "JOIN",
    "SELECT t.a FROM t, LATERAL (SELECT 1) AS u": "LATERAL",
    "SELECT a FROM t UNION ALL BY NAME SELECT 1 AS a": "by_name",
    "WITH RECURSIVE r AS (SELECT 1 AS a) SELECT a FROM r": "recursive",
    "SELECT a FROM t TABLESAMPLE 10%": "sample",
    "SELECT a FROM main.t": "db",
    "SELECT main.t.a FROM t": "db",
    "SELECT a FROM read_csv('/etc/passwd')": "read_csv",
    "SELECT a FROM range(3) AS r(a)": "generate_series",
    "SELECT A FROM t": "names",
    'SELECT a AS "an age" FROM t': "names",
    "SELECT $1 AS a": "PLACEHOLDER",
    "DROP TABLE t": "SELECT",
    "SELECT 1 AS a; SELECT 2 AS a": "SELECT",
    "PRAGMA database_list": "SELECT",
    "SELECT FROM WHERE": "parsed",
}


@pytest.mark.parametrize("plan", REFUSED)
@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_portable_is_refused_by_name(plan, engine):
    with pytest.raises(UnportablePlan) as refused:
        translate(plan, engine)

    assert REFUSED[plan].lower() in str(refused.value).lower()


@pytest.mark.parametrize(
    ("plan", "engine", "words"),
    [
        ("SELECT a FROM t ORDER BY a DESC", "postgres", '"a" DESC NULLS LAST'),
        ("SELECT a FROM t ORDER BY a", "spark", "`a` NULLS LAST"),
        ("SELECT a / b AS c FROM t", "duckdb", 'NULLIF(CAST("b" AS DOUBLE), 0)'),
        ("SELECT CAST(a AS BIGINT) AS b FROM t", "spark", "ROUND(CAST(`a` AS DECIMAL"),
        ("SELECT 'x' AS a", "postgres", """('x' COLLATE "C") AS "a\""""),
        ("SELECT add_days(d, n) AS a FROM t", "spark", "DATE_ADD(CAST(`d` AS DATE)"),
        ("SELECT day AS value FROM t", "postgres", '"day" AS "value"'),
    ],
)
def test_each_engine_is_told_in_its_own_words(plan, engine, words):
    assert words in translate(plan, engine)


def test_a_literal_cannot_become_anything_else():
    plan = r"SELECT 'it''s \'' OR 1=1 --' AS a"

    assert translate(plan, "postgres").count("'") % 2 == 0
    assert r"it\'s \\\' OR 1=1 --" in translate(plan, "spark")
