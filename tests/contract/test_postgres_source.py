"""An existing database is read as text, unharmed, and as of one moment."""

from contextlib import closing, contextmanager

import duckdb
import pytest

from hetao.cdm.engine_postgres import connect, connection_uri, transaction
from hetao.cdm.read_postgres import checked_query, reading
from hetao.errors import InvalidMapping, UnportablePlan, Unreachable

pytestmark = pytest.mark.xdist_group("engines")


@pytest.fixture(scope="session")
def hospital(started):
    """Return the URI of a server with a small OMOP database of others' making."""
    uri = started("postgres")
    with writing(uri) as run:
        run("CREATE SCHEMA omop")
        run("""CREATE TABLE omop.person (person_id BIGINT, "Name" TEXT, born DATE,
            weight NUMERIC, alive BOOLEAN, seen TIMESTAMP, share DOUBLE PRECISION)""")
        run("""INSERT INTO omop.person VALUES
            (1, '陳 大文', '1950-02-28', 61.50, true, '2020-01-01 10:00:00.5', 0.1),
            (2, NULL, NULL, NULL, NULL, NULL, NULL)""")
    return uri


@contextmanager
def writing(uri):
    connection = connect(uri)
    with closing(connection), transaction(connection) as run:
        yield run


def texts(uri, query):
    with reading(uri) as source:
        return source.texts(query).read_all().to_pylist()


def test_cells_are_texts_as_the_database_writes_them(hospital):
    first, second = texts(hospital, "omop.person")

    assert first == {
        "person_id": "1",
        "Name": "陳 大文",
        "born": "1950-02-28",
        "weight": "61.50",
        "alive": "true",
        "seen": "2020-01-01 10:00:00.5",
        "share": "0.1",
    }
    assert {*second.values()} == {"2", None}


def test_duckdb_reads_the_stream(hospital):
    with reading(hospital) as source, duckdb.connect() as connection:
        stream = source.texts(
            """SELECT person_id AS id, "Name" FROM omop.person WHERE born IS NOT NULL"""
        )
        rows = connection.sql("SELECT * FROM stream").fetchall()

    assert stream.schema.names == ["id", "Name"]
    assert rows == [("1", "陳 大文")]


def test_all_tables_are_of_one_moment(hospital):
    with reading(hospital) as source:
        before = source.texts("omop.person").read_all().num_rows
        with writing(hospital) as run:
            run("INSERT INTO omop.person (person_id) VALUES (3)")
        after = source.texts("omop.person").read_all().num_rows
    with writing(hospital) as run:
        run("DELETE FROM omop.person WHERE person_id = 3")

    assert (before, after) == (2, 2)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM omop.person",
        "SELECT pg_sleep(1)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT 1; DROP TABLE omop.person",
        "SELECT * INTO kept FROM omop.person",
        "SELECT * FROM omop.person FOR UPDATE",
        "WITH gone AS (DELETE FROM omop.person RETURNING *) SELECT * FROM gone",
        "COPY omop.person TO PROGRAM 'cat'",
        "SELECT * FROM dblink('host=other', 'select 1')",
        "SELECT (SELECT lo_export(1, '/tmp/x')) AS a FROM omop.person",
        "person; drop table person",
        "SELECT FROM omop.person",
    ],
)
def test_what_is_no_plain_select_is_refused(query):
    with pytest.raises(InvalidMapping):
        checked_query(query)


def test_a_table_that_is_not_there_is_said_to_be_missing(hospital):
    with pytest.raises(UnportablePlan, match="fit"):
        texts(hospital, "omop.nobody")


def test_the_connection_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OUR_OMOP", "postgresql://?service=omop")

    assert connection_uri("OUR_OMOP") == "postgresql://?service=omop"
    with pytest.raises(InvalidMapping, match="OUR_OTHER"):
        connection_uri("OUR_OTHER")


def test_a_server_that_is_not_there_is_unreachable(tmp_path):
    with pytest.raises(Unreachable), reading(f"postgresql:///x?host={tmp_path}"):
        pass
