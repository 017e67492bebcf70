"""One plan, one answer: DuckDB, PostgreSQL and Spark give the same bits."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from hetao.cdm.content_digest import content_digest
from hetao.cdm.engine_duckdb import connect_read_only
from hetao.cdm.plan_types import stored_tables
from hetao.errors import HetaoError, InvalidData, UnportablePlan

pytestmark = pytest.mark.xdist_group("engines")

PLANS = {
    "everything in its own type": "SELECT * FROM people ORDER BY person_id",
    "times": "SELECT * FROM events ORDER BY at, event_id LIMIT 500",
    "NULLs last upwards": "SELECT sex, person_id FROM people ORDER BY sex, person_id",
    "NULLs last downwards": """
        SELECT birth, person_id FROM people ORDER BY birth DESC, person_id""",
    "NULLs first if asked": """
        SELECT weight, person_id FROM people
        ORDER BY weight DESC NULLS FIRST, person_id""",
    "NULLs in a window": """
        SELECT person_id, rank() OVER (ORDER BY weight) AS up,
            dense_rank() OVER (ORDER BY sex DESC) AS down,
            first_value(person_id) OVER (ORDER BY sex, person_id) AS first_of_all,
            lag(birth) OVER (ORDER BY birth, person_id) AS before,
            lead(weight, 2, 0.5) OVER (ORDER BY weight DESC, person_id) AS after
        FROM people ORDER BY person_id""",
    "ties broken by a key": """
        SELECT person_id, event_id, day, value FROM events
        QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY day DESC,
            value DESC NULLS LAST, event_id) = 1 ORDER BY person_id""",
    "qualify by an alias, a condition and a window": """
        SELECT e.person_id AS person, p.sex AS sex, e.day AS day,
            row_number() OVER (PARTITION BY e.person_id ORDER BY e.day,
                e.event_id) AS nth
        FROM events AS e JOIN people AS p ON p.person_id = e.person_id
        QUALIFY nth = 2 AND e.day > DATE '2020-01-01'
            OR count(*) OVER (PARTITION BY e.person_id) = 3 AND p.sex = 'F'
        ORDER BY person, day, nth""",
    "qualify within a CTE": """
        WITH first_of AS (SELECT person_id, day FROM events
            QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY day,
                event_id) = 1)
        SELECT * FROM first_of UNION ALL SELECT person_id, birth FROM people
        ORDER BY person_id, day""",
    "sums and averages by group": """
        SELECT sex, count(*) AS people, count(weight) AS weighed, sum(weight) AS total,
            avg(weight) AS mean, min(weight) AS least_of, max(birth) AS youngest,
            sum(person_id) AS ids, count(DISTINCT birth) AS days,
            bool_or(alive) AS some, bool_and(alive) AS all_of
        FROM people GROUP BY sex ORDER BY sex""",
    "filtered aggregates and windows": """
        SELECT sex, count(*) FILTER (WHERE alive) AS living,
            avg(weight) FILTER (WHERE weight > 0 AND alive) AS mean
        FROM people GROUP BY sex ORDER BY sex""",
    "filtered windows": """
        SELECT event_id, sum(value) FILTER (WHERE value > 60) OVER (PARTITION BY
                person_id ORDER BY day, event_id) AS so_far,
            count(*) FILTER (WHERE value IS NULL) OVER (PARTITION BY concept_id)
                AS gaps,
            avg(value) OVER (PARTITION BY person_id ORDER BY day, event_id
                ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS mean
        FROM events ORDER BY event_id""",
    "a named window": """
        SELECT event_id, sum(value) OVER w AS so_far FROM events
        WINDOW w AS (PARTITION BY concept_id ORDER BY day,
            event_id) ORDER BY event_id""",
    "joins of every kind": """
        SELECT p.person_id AS p, e.event_id AS e FROM people AS p
        FULL JOIN (SELECT * FROM events WHERE concept_id = 2000000001) AS e
            ON p.person_id = e.person_id AND e.value > 100
        ORDER BY p, e""",
    "semi joins": """
        SELECT p.person_id AS person FROM people AS p
        SEMI JOIN events AS e ON e.person_id = p.person_id AND e.value > 120
        ORDER BY person""",
    "anti joins": """
        SELECT p.person_id AS person FROM people AS p
        ANTI JOIN events AS e ON e.person_id = p.person_id AND e.value > 60
        ORDER BY person""",
    "exists, in and not in": """
        SELECT person_id FROM people WHERE person_id IN (SELECT person_id FROM events)
            AND NOT EXISTS (SELECT 1
                FROM events WHERE events.person_id = people.person_id
                AND value IS NULL) AND sex IN ('F', 'M') ORDER BY person_id""",
    "set operations": """
        SELECT person_id FROM people WHERE alive
        INTERSECT SELECT person_id FROM events
        EXCEPT SELECT person_id FROM people WHERE sex = 'F' ORDER BY person_id""",
    "literal tables": """
        SELECT given.a, given.b, people.sex FROM (VALUES (1, 'x'), (2, 'Y'), (7, NULL))
            AS given(a,
                b) JOIN people ON people.person_id = given.a ORDER BY given.a""",
    "words in order": "SELECT word, id FROM words ORDER BY word, id",
    "words compared": """
        SELECT id, word < 'a' AS below, word BETWEEN 'A' AND 'b' AS between_them,
            greatest(word, 'a') AS later, least(word, '河') AS earlier
        FROM words ORDER BY id""",
    "words made here, in order": """
        SELECT CASE WHEN person_id % 3 = 0 THEN 'a' WHEN person_id % 3 = 1 THEN 'B'
            ELSE '_' END AS made, count(*) AS people,
                max(CAST(person_id AS VARCHAR)) AS last
        FROM people GROUP BY CASE WHEN person_id % 3 = 0 THEN 'a'
            WHEN person_id % 3 = 1 THEN 'B' ELSE '_' END ORDER BY made""",
    "words changed": """
        SELECT id, lower(word) AS low, upper(word) AS up, length(word) AS size,
            trim(word) AS trimmed, substr(word, 2, 2) AS part, replace(word, 'a',
                '河') AS
            swapped, word || '-' || CAST(id AS VARCHAR) AS joined, sha256(word) AS hash,
            starts_with(word, 'a') AS begins, word LIKE '_ _' AS matches
        FROM words ORDER BY id""",
    "words gathered": """
        SELECT length(word) AS size, string_agg(word, '|' ORDER BY word DESC,
            id) AS all_of
        FROM words GROUP BY length(word) ORDER BY size""",
    "values as text": """
        SELECT CAST(person_id AS VARCHAR) AS a, CAST(birth AS VARCHAR) AS b,
            CAST(weight AS VARCHAR) AS c, CAST(alive AS VARCHAR) AS d,
            CAST(weight * 0.5 AS VARCHAR) AS e FROM people ORDER BY person_id""",
    "times as text": """
        SELECT CAST(at AS VARCHAR) AS a, CAST(at AS DATE) AS b FROM events
        ORDER BY event_id LIMIT 200""",
    "decimals": """
        SELECT id, v + 1 AS a, CAST(v AS DECIMAL(32,6)) * v AS b, v - 0.25 AS c,
            abs(v) AS d, -v AS e,
            floor(v) AS f, ceil(v) AS g, round(v, 0) AS h, round(v, 2) AS i,
            CAST(v AS BIGINT) AS j, CAST(v AS DECIMAL(18,2)) AS k, v / 3 AS l,
            CAST(v AS DOUBLE) AS m, CASE WHEN v > 0 THEN v ELSE 0 END AS n
        FROM halves ORDER BY id""",
    "whole numbers": """
        SELECT event_id, (event_id - 1000) // 7 AS a, (event_id - 1000) % 7 AS b,
            event_id // (event_id % 3) AS c, event_id % (event_id % 3) AS d,
            event_id / (event_id % 3) AS e, -event_id // 2 AS f
        FROM events ORDER BY event_id LIMIT 300""",
    "big ids": """
        SELECT id, id - 1 AS less, count(*) AS n FROM big GROUP BY id ORDER BY id""",
    "a sum of big ids": "SELECT sum(id) - 9223372036854775807 AS s FROM big",
    "days": """
        SELECT id, add_days(day, 1) AS a, add_days(day, -366) AS b, add_months(day,
            1) AS c,
            add_months(day, -12) AS d, year(day) AS e, month(day) AS f, day(day) AS g,
            date_diff('day', day, DATE '2020-03-01') AS h,
            make_date(year(day), 1, 1) AS i, CAST(day AS TIMESTAMP) AS j
        FROM days ORDER BY id""",
    "days apart": """
        SELECT a.id AS a, b.id AS b, date_diff('day', a.day, b.day) AS apart,
            add_days(a.day, date_diff('day', a.day,
                b.day)) IS NOT DISTINCT FROM b.day AS back
        FROM days AS a CROSS JOIN days AS b ORDER BY a.id, b.id""",
    "NULL compared": """
        SELECT person_id, sex IS DISTINCT FROM 'F' AS a, sex = 'F' AS b,
            sex IS NULL AS c,
            coalesce(sex, '?') AS d, nullif(sex, 'M') AS e, greatest(weight, 0) AS f,
            CAST(NULL AS DATE) AS g, NOT alive AS h, alive AND weight > 0 AS i
        FROM people ORDER BY person_id""",
    "no rows": "SELECT * FROM none ORDER BY id",
    "totals of no rows": """
        SELECT count(*) AS a, sum(v) AS b, avg(v) AS c, max(word) AS d, min(day) AS e,
            sum(id) AS f FROM none""",
    "names that are words of SQL": """
        SELECT day AS "end", person_id AS order_, value AS value FROM events
        ORDER BY "end", order_, event_id LIMIT 50""",
}


def same(one, other):
    """Say that two answers have the same names, types, gaps, values and bits."""
    assert list(one) == list(other)
    for name, column in one.items():
        twin = other[name]
        assert column.dtype == twin.dtype, name
        assert isinstance(column, np.ma.MaskedArray) is isinstance(
            twin, np.ma.MaskedArray
        ), name
        np.testing.assert_array_equal(
            np.ma.getmaskarray(column), np.ma.getmaskarray(twin), err_msg=name
        )
        here, there = np.ma.getdata(column), np.ma.getdata(twin)
        if here.dtype == object:
            assert here.tolist() == there.tolist(), name
        else:
            assert here.tobytes() == there.tobytes(), name


@pytest.mark.parametrize("name", PLANS)
def test_every_engine_gives_the_same_arrays(name, engine, embedded):
    same(engine.fetch(PLANS[name]), embedded.fetch(PLANS[name]))


@pytest.mark.parametrize("name", ["everything in its own type", "a sum of big ids"])
def test_every_engine_gives_the_same_values(name, engine, embedded):
    assert repr(engine.rows(PLANS[name])) == repr(embedded.rows(PLANS[name]))


def test_a_fetched_column_has_the_promised_type(engine):
    found = engine.fetch("SELECT * FROM people ORDER BY person_id")
    events = engine.fetch("SELECT at, concept_id FROM events ORDER BY event_id LIMIT 1")

    types = {name: column.dtype.str[1:] for name, column in (found | events).items()}
    assert types == {
        "person_id": "i8",
        "sex": "O",
        "birth": "M8[D]",
        "weight": "f8",
        "alive": "b1",
        "at": "M8[us]",
        "concept_id": "i8",
    }
    assert not isinstance(found["person_id"], np.ma.MaskedArray)
    assert found["weight"].mask.tolist() == [i % 5 == 0 for i in range(400)]


def test_a_million_decimals_add_up_exactly(engine):
    values = [
        Decimal(n * 1000003 % 2000000007 - 1000000000) + Decimal(n) / 1000000
        for n in range(1000000)
    ]
    total = sum(values)

    ((found, mean),) = engine.rows("SELECT sum(v) AS s, avg(v) AS m FROM many")

    assert found == total
    assert mean == float(total) / 1000000.0


def test_halves_round_away_from_zero(engine):
    found = engine.rows("""
        SELECT CAST(v AS BIGINT) AS whole, round(v, 2) AS cents FROM halves
        WHERE id <= 9 ORDER BY id""")

    assert [row[0] for row in found] == [1, 2, 3, -1, -2, -3, 0, 0, 0]
    assert [row[1] for row in found][-2:] == [Decimal("0.13"), Decimal("-0.13")]


def test_text_stands_in_the_order_of_its_bytes(engine):
    found = engine.fetch(
        "SELECT word FROM words WHERE word IS NOT NULL ORDER BY word, id"
    )

    words = found["word"].tolist()
    assert words == sorted(words, key=str.encode)


def test_a_leap_day_lies_between(engine):
    ((days, after, year),) = engine.rows("""
        SELECT date_diff('day', DATE '2020-02-28', DATE '2020-03-01') AS days,
            add_months(DATE '2020-02-29', 12) AS after,
            add_days(DATE '1900-02-28', 1) AS year""")

    assert (days, after, year) == (2, date(2021, 2, 28), date(1900, 3, 1))


def test_what_was_made_is_kept_and_replaced(engine, embedded):
    for served in (engine, embedded):
        served.make("made", "SELECT person_id, weight, 'Z' AS w FROM people")
        served.make("made", "SELECT person_id, weight * 2 AS weight, w FROM made WHERE "
                    "person_id % 2 = 0 UNION ALL SELECT 7, 0.5, 'a'")  # fmt: skip

    plan = "SELECT w, weight, person_id FROM made ORDER BY w, weight, person_id"
    same(engine.fetch(plan), embedded.fetch(plan))
    assert engine.rows("SELECT min(w) AS w, count(*) AS n FROM made") == [("Z", 201)]

    engine.drop("made")
    embedded.drop("made")
    with pytest.raises(UnportablePlan, match="fit"):
        engine.fetch(plan)


def test_what_was_made_of_nothing_can_be_read(engine):
    engine.make("nothing", "SELECT id, v, word, day FROM none")

    found = engine.fetch("SELECT * FROM nothing ORDER BY id")

    assert [len(column) for column in found.values()] == [0, 0, 0, 0]
    assert found["word"].dtype == object


def test_a_made_table_hides_a_curated_one_until_it_is_dropped(engine):
    engine.make("big", "SELECT id, 'made' AS word FROM big WHERE id = 0")

    assert engine.rows("SELECT word, id FROM big") == [("made", 0)]

    engine.drop("big")
    engine.drop("big")  # a curated table is nothing temporary
    assert engine.rows("SELECT count(*) AS n FROM big") == [(6,)]
    assert list(engine.fetch("SELECT * FROM big ORDER BY id")) == ["id"]


def test_arrays_come_back_as_they_were_handed_in(engine):
    gaps = np.array([False, True, False])
    days = np.array(["2020-02-29", "1900-01-01", "2999-12-31"], "datetime64[D]")
    given = {
        "id": np.array([2**62, -(2**62), 0]),
        "share": np.array([0.1, 1e-300, -0.0]),
        "truth": np.ma.MaskedArray(np.array([True, False, False]), gaps),
        "day": np.ma.MaskedArray(days, np.array([False, False, True])),
        "at": days.astype("datetime64[us]"),
        "word": np.array(["河套", None, "it's \\ %"], dtype=object),
    }
    engine.load("handed_in", given)

    found = engine.fetch("SELECT * FROM handed_in ORDER BY share DESC")

    place = [0, 1, 2]
    assert found["id"].tolist() == [given["id"][i] for i in place]
    assert found["share"].tobytes() == given["share"].tobytes()
    assert found["truth"].tolist() == [True, None, False]
    assert found["day"].tolist() == [days[0].item(), days[1].item(), None]
    assert found["at"].tolist() == given["at"].tolist()
    assert found["word"].tolist() == ["河套", None, "it's \\ %"]


def test_no_rows_can_be_handed_in(engine):
    engine.load("few", {"id": np.array([], np.int64), "word": np.array([], object)})

    joined = engine.rows("SELECT count(*) AS n FROM people JOIN few ON id = person_id")

    assert joined == [(0,)]


@pytest.mark.parametrize(
    "plan",
    [
        "SELECT nobody FROM people",
        "SELECT person_id FROM strangers",
        "SELECT person_id AS a, sex AS a FROM people",
        "SELECT NULL AS a FROM people",
        "SELECT now() AS t",
        "SELECT count(*) FROM",
    ],
)
def test_a_plan_that_does_not_fit_is_refused(plan, engine):
    with pytest.raises(UnportablePlan):
        engine.fetch(plan)
    with pytest.raises(UnportablePlan):
        engine.make("refused", plan)


@pytest.mark.parametrize(
    ("plan", "cell"),
    [
        ("SELECT CAST(word AS BIGINT) AS a FROM words WHERE id = 5", "河套"),
        (
            "SELECT CAST(v AS DECIMAL(9,6)) AS a FROM halves WHERE id = 10",
            "123456789012",
        ),
        ("SELECT CAST(id AS INTEGER) AS a FROM big ORDER BY a", "4611686018427387904"),
        ("SELECT sum(id) * 4 AS a FROM big", "9223"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_does_not_quote_it(
    plan, cell, engine, capfd
):
    with pytest.raises(HetaoError) as refused:
        engine.fetch(plan)

    assert isinstance(refused.value, InvalidData)
    assert cell not in str(refused.value)
    shown = capfd.readouterr()
    assert cell not in shown.out + shown.err
    # The engine still works afterwards.
    assert engine.rows("SELECT count(*) AS n FROM people") == [(400,)]


def test_the_same_tables_have_the_same_digest(engine, written):
    with connect_read_only(written / "cdm.duckdb") as source:
        types = stored_tables(source)
    small = {name: types[name] for name in ("people", "words", "halves", "none")}

    assert content_digest(engine.rows, small) == GOLDEN


GOLDEN = "sha256:5f5045aa18fd85e948ef112253028ca26e1732c21f56c57da9eb4a2c70ca10a9"
