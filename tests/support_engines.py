"""The same tables on DuckDB, on PostgreSQL by bytes and by language, and on Spark."""

from contextlib import contextmanager
from pathlib import Path

from hetao.cdm import publish_parquet, publish_postgres
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.cdm.engine_postgres import PostgresEngine
from hetao.cdm.engine_spark import SparkEngine

# Made by arithmetic alone: many ties, NULLs in every column that can have them.
TABLES = {
    "people": """
        SELECT range AS person_id, CASE WHEN range % 7 = 0 THEN NULL
            WHEN range % 3 = 0 THEN 'F' ELSE 'M' END AS sex,
            CASE WHEN range % 11 = 0 THEN NULL
                ELSE DATE '1930-01-01' + CAST(range * 7919 % 30000 AS INTEGER) END
                    AS birth,
            CASE WHEN range % 5 = 0 THEN NULL
                ELSE CAST(range * 104729 % 200000 - 100000 AS DECIMAL(18,6)) / 1000
                END::DECIMAL(18,6) AS weight,
            CASE WHEN range % 13 = 0 THEN NULL ELSE range % 2 = 0 END AS alive
        FROM range(400)""",
    "events": """
        SELECT range AS event_id, range * 31 % 500 AS person_id,
            DATE '2019-12-25' + CAST(range * 37 % 90 AS INTEGER) AS day,
            2000000000 + range % 4 AS concept_id,
            CASE WHEN range % 6 = 0 THEN NULL
                ELSE CAST(range * 7907 % 1000 AS DECIMAL(18,6)) / 8
                END::DECIMAL(18,6) AS value,
            TIMESTAMP '2020-01-01' + INTERVAL (range * 37 % 97) MINUTE AS at
        FROM range(2000)""",
    "many": """
        SELECT range AS n, CAST(range * 1000003 % 2000000007 - 1000000000
            AS DECIMAL(18,6)) + CAST(range AS DECIMAL(18,6)) * 0.000001 AS v
                FROM range(1000000)""",
    "words": """
        SELECT row_number() OVER () AS id, word FROM (VALUES ('b'), ('A'), ('a'), ('B'),
            ('河套'), ('香港'), ('深圳'), ('é'), ('E'), ('z'), ('_'), ('a b'),
            (' a '), (''),
            ('it''s'), ('back\\slash'), ('100%'), ('𠮷'), ('Ａ'), ('ß'), (NULL), ('a'))
            AS given(word)""",
    "big": """
        SELECT * FROM (VALUES (4611686018427387904), (-4611686018427387904),
            (9007199254740993), (9223372036854775807), (0),
            (2000000001)) AS given(id)""",
    "halves": """
        SELECT row_number() OVER () AS id, CAST(v AS DECIMAL(18,6)) AS v FROM (VALUES
            ('0.5'), ('1.5'), ('2.5'), ('-0.5'), ('-1.5'), ('-2.5'), ('0.499999'),
            ('0.125'), ('-0.125'), ('123456789012.345675'), ('0.000001'), (NULL))
            AS given(v)""",
    "days": """
        SELECT row_number() OVER () AS id, CAST(day AS DATE) AS day FROM (VALUES
            ('2020-02-29'), ('2019-02-28'), ('1900-02-28'), ('2000-02-29'),
            ('1970-01-01'),
            ('1899-12-31'), ('2100-12-31'), ('2020-01-31'), ('1582-10-14'), (NULL))
            AS given(day)""",
    "none": "SELECT * FROM (SELECT 1::BIGINT AS id, 'x' AS word, "
    "1::DECIMAL(18,6) AS v, DATE '2020-01-01' AS day) WHERE id = 2",
}
ENGINES = ("duckdb", "postgres", "postgres-language", "spark")


def write_tables(folder, tables):
    """Write tables, a DuckDB query each, as a snapshot's database."""
    folder.mkdir(parents=True, exist_ok=True)
    with connect(folder / "cdm.duckdb") as connection:
        for name, query in tables.items():
            connection.execute(f"CREATE TABLE {name} AS {query}")


@contextmanager
def serve(kind, folder, started):
    """Give the written tables on one kind of engine.

    `started(kind)` returns the URI of a PostgreSQL server, or a Spark session.
    """
    database = Path(folder) / "cdm.duckdb"
    if kind == "duckdb":
        engine = DuckDBEngine(connect_read_only(database))
    elif kind == "spark":
        tables = publish_parquet.publish(database, Path(folder) / "parquet")
        engine = SparkEngine(started(kind), tables)
    else:
        schema = Path(folder).name.lower().replace("-", "_")
        publish_postgres.publish(database, started(kind), schema, "sha256:test")
        engine = PostgresEngine(started(kind), schema)
    with engine:
        yield engine
