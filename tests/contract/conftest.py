"""The implementations that the contracts of `Transport` and `Engine` hold for."""

import contextlib
import functools
from pathlib import Path

import pytest

from hetao.cdm import CuratedTables
from hetao.cdm.engine_duckdb import connect
from support_engines import ENGINES, TABLES, serve, write_tables
from support_postgres import BY_BYTES, BY_LANGUAGE, postgres_server
from support_spark import spark_session
from support_transport import NETS, InprocNet, Stage, play, study_of
from support_world import write_world


@pytest.fixture(params=NETS)
def on_stage(request, tmp_path):
    """Return a runner of scenes over one implementation after the other."""
    return functools.partial(play, NETS[request.param], tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return the outcome of a run in which nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")

    async def scene(net):
        async with Stage(net, study_of("abc")) as stage:
            stage.work_all("abc")
            return await stage.coordinator().answer()

    return play(InprocNet, folder, scene)


@pytest.fixture(scope="session")
def started():
    """Return a starter of servers: each once a session, and only if asked for."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(kind):
            if kind == "spark":
                session = spark_session()
                stack.callback(session.stop)
                return session
            locale = BY_LANGUAGE if kind == "postgres-language" else BY_BYTES
            return stack.enter_context(postgres_server(locale))

        yield start


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Return the folder of the tables that the engines' contract is held on."""
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, TABLES)
    return folder


@pytest.fixture(scope="session")
def embedded(written, started):
    """Return the embedded engine: what the others are compared with."""
    with serve("duckdb", written, started) as engine:
        yield engine


@pytest.fixture(scope="session", params=ENGINES)
def engine(request, written, started):
    """Return one engine after the other over the same tables."""
    with serve(request.param, written, started) as engine:
        yield engine


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Return the folder of the small database."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


@pytest.fixture(scope="session", params=ENGINES)
def served(request, world, started):
    """Return the small database on one engine after the other."""
    with (
        serve(request.param, world, started) as engine,
        contextlib.closing(connect()) as nothing,
    ):
        yield CuratedTables(Path(), nothing, "digest", "", served=engine)
