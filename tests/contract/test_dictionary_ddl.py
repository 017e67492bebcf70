"""The dictionary's tables are the same tables on a real server of each engine."""

import pytest

from hetao.cdm.engine_duckdb import DuckDBEngine
from hetao.cdm.engine_duckdb import connect as connect_embedded
from hetao.cdm.engine_postgres import connect, table_types, transaction
from hetao.cdm.publish_postgres import stored_tables
from hetao.dictionary import ddl, dictionary

pytestmark = pytest.mark.xdist_group("engines")

TABLES = dictionary().tables


@pytest.fixture(scope="module")
def embedded():
    """Return the types of every table as the embedded engine made it."""
    with DuckDBEngine(connect_embedded()) as engine:
        for table in TABLES.values():
            engine.connection.execute(ddl(table, "duckdb"))
        yield stored_tables(engine.connection)


def test_postgresql_makes_the_tables_that_duckdb_makes(embedded, started):
    connection = connect(started("postgres"))
    try:
        with transaction(connection) as run:
            run("CREATE SCHEMA from_dictionary")
            run("SET search_path TO from_dictionary")
            for table in TABLES.values():
                run(ddl(table, "postgres"))

            made = table_types(run, "from_dictionary")
            empty = run("""
                SELECT CAST(table_name || '.' || column_name AS TEXT) AS place
                FROM information_schema.columns
                WHERE table_schema = 'from_dictionary' AND is_nullable = 'NO'
            """)
            run("DROP SCHEMA from_dictionary CASCADE")
    finally:
        connection.close()

    assert made == embedded
    assert set(empty["place"].to_pylist()) == {
        f"{table.name}.{column}"
        for table in TABLES.values()
        for column in table.required
    }


def test_spark_makes_the_tables_that_duckdb_makes(embedded, started, tmp_path):
    session = started("spark")
    session.sql(f"CREATE DATABASE from_dictionary LOCATION '{tmp_path}'")
    session.sql("USE from_dictionary")
    try:
        for table in TABLES.values():
            session.sql(ddl(table, "spark"))
            made = {
                field.name: field.dataType.simpleString()
                for field in session.table(table.name).schema.fields
            }
            assert made == {
                name: kind.spark.lower() for name, kind in embedded[table.name].items()
            }
    finally:
        session.sql("USE default")
        session.sql("DROP DATABASE from_dictionary CASCADE")
