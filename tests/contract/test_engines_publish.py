"""A snapshot is on another engine as a whole and as it was, or not at all."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from hetao.cdm import curate, open_site, publish_parquet
from hetao.cdm.engine_duckdb import connect, connect_read_only
from hetao.cdm.engine_postgres import PostgresEngine, transaction
from hetao.cdm.engine_postgres import connect as connect_postgres
from hetao.cdm.plan_types import parquet_tables, stored_tables
from hetao.cdm.publish_postgres import publish
from hetao.cohort import build
from hetao.demo.data import study_file, write_heart_extracts, write_site
from hetao.errors import InvalidData, Usage
from hetao.study import read_study
from support_engines import TABLES, write_tables

pytestmark = pytest.mark.xdist_group("engines")

FEW = {"few": "SELECT range AS id, 'x' || range AS word FROM range(10)"}
MANY = {
    "many": "SELECT range AS id, sha256('' || range) AS word FROM range(1500000)",
    "more": "SELECT range AS id FROM range(10)",
}
PUBLISH = """
import sys
from pathlib import Path
from hetao.cdm.publish_postgres import publish
publish(Path(sys.argv[1]), sys.argv[2], "killed", "sha256:many")
"""


def asked(uri, statement):
    with closing(connect_postgres(uri)) as connection, transaction(connection) as run:
        return run(statement)


def schemas(uri):
    found = asked(uri, "SELECT CAST(nspname AS TEXT) FROM pg_namespace")
    return set(found.column(0).to_pylist())


def test_a_second_publication_changes_nothing(started, tmp_path):
    write_tables(tmp_path, FEW)
    uri = started("postgres")
    publish(tmp_path / "cdm.duckdb", uri, "twice", "sha256:few")
    asked(uri, "INSERT INTO twice.few VALUES (99, 'a mark')")

    publish(tmp_path / "cdm.duckdb", uri, "twice", "sha256:few")

    with PostgresEngine(uri, "twice") as engine:
        assert engine.rows("SELECT count(*) AS n FROM few") == [(11,)]


def test_another_snapshot_never_takes_a_schema_that_is_there(started, tmp_path):
    write_tables(tmp_path, FEW)
    uri = started("postgres")
    publish(tmp_path / "cdm.duckdb", uri, "taken", "sha256:few")

    with pytest.raises(InvalidData, match="something else"):
        publish(tmp_path / "cdm.duckdb", uri, "taken", "sha256:other")


def test_a_kill_in_the_middle_leaves_nothing(started, tmp_path):
    write_tables(tmp_path, MANY)
    uri = started("postgres")
    command = [sys.executable, "-c", PUBLISH, str(tmp_path / "cdm.duckdb"), uri]
    process = subprocess.Popen(command, env=dict(os.environ))
    copying = "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'COPY %many%'"

    while asked(uri, copying).column(0)[0].as_py() == 0:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert "killed" not in schemas(uri)
    publish(tmp_path / "cdm.duckdb", uri, "killed", "sha256:many")
    with PostgresEngine(uri, "killed") as engine:
        assert engine.rows("SELECT count(*) AS n FROM many") == [(1500000,)]


def test_what_no_plan_could_read_is_refused_and_nothing_is_left(started, tmp_path):
    write_tables(tmp_path, FEW | {"odd": "SELECT [1, 2] AS list"})
    uri = started("postgres")

    with pytest.raises(InvalidData, match=r"odd\.list"):
        publish(tmp_path / "cdm.duckdb", uri, "odd", "sha256:odd")

    assert "odd" not in schemas(uri)


def test_parquet_is_written_once_and_as_a_whole(tmp_path):
    write_tables(tmp_path, FEW)

    first = publish_parquet.publish(tmp_path / "cdm.duckdb", tmp_path / "parquet")
    (tmp_path / "cdm.duckdb").unlink()
    again = publish_parquet.publish(tmp_path / "cdm.duckdb", tmp_path / "parquet")

    assert first == again == {"few": str(tmp_path / "parquet" / "few.parquet")}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parquet"]
    with connect() as connection:
        found = connection.read_parquet(first["few"]).count("*").fetchall()
    assert found == [(10,)]


def test_the_types_of_parquet_files_are_those_of_the_tables(tmp_path):
    write_tables(tmp_path, TABLES)
    files = publish_parquet.publish(tmp_path / "cdm.duckdb", tmp_path / "parquet")

    told = parquet_tables(files)

    with closing(connect_read_only(tmp_path / "cdm.duckdb")) as source:
        assert told == stored_tables(source)
    (tmp_path / "folder").mkdir()
    (tmp_path / "parquet" / "days.parquet").rename(tmp_path / "folder" / "1.parquet")
    assert parquet_tables({"d": str(tmp_path / "folder")}) == {"d": told["days"]}


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more"])
def test_a_parquet_file_that_cannot_be_read_is_refused(content, tmp_path):
    place = tmp_path / "lost.parquet"
    if content is not None:
        place.write_bytes(content)

    with pytest.raises(InvalidData):
        parquet_tables({"lost": str(place)})


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Return the site.toml of a curated site."""
    folder = tmp_path_factory.mktemp("served")
    extract = write_heart_extracts(folder)["cleveland"]
    config = write_site(extract.parent, "cleveland")
    curate(config, lambda _: None)
    return config


def choose(site, engine):
    text = site.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("engine =")]
    place = lines.index("[store]") + 1
    lines.insert(place, f'engine = "{engine}"')
    site.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize("engine", ["postgres", "spark"])
def test_a_site_gives_the_same_cohort_from_the_engine_it_chose(
    engine, site, started, monkeypatch
):
    study = read_study(study_file("heart"))
    choose(site, "duckdb")
    with open_site(site) as tables:
        expected = build(study, tables)
    place = started(engine)
    if engine == "postgres":
        monkeypatch.setenv("HETAO_POSTGRES", place)
    choose(site, engine)

    with open_site(site) as tables:
        assert tables.engine.name == engine
        cohort = build(study, tables)

    assert cohort.attrition == expected.attrition
    assert cohort.snapshot == expected.snapshot
    for name, values in expected.columns.items():
        assert cohort.columns[name].tobytes() == values.tobytes(), name


def test_an_engine_that_is_not_installed_is_named_with_the_remedy(site):
    choose(site, "spark")
    lacking = (
        "import sys; sys.modules['pyspark'] = None\n"
        "from pathlib import Path\n"
        "from hetao.cdm import open_site\n"
        "from hetao.errors import Usage\n"
        "try:\n    open_site(Path(sys.argv[1]))\n"
        "except Usage as refused:\n    print(refused)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", lacking, str(site)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.startswith(Usage.code)
    assert "hetao[spark]" in said
