"""A site's quality is judged alike on every engine."""

import datetime

import pytest

from hetao.cdm.quality.assess import Subject, assess
from support_engines import ENGINES, serve
from support_world import write_world

pytestmark = pytest.mark.xdist_group("engines")
SUBJECT = Subject(
    "north", "North", "en", "sha256:s", "sha256:d", datetime.date(2020, 3, 1)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of the small database, which has much to find fault with."""
    folder = tmp_path_factory.mktemp("quality")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def expected(folder, started):
    """Return what the embedded engine says."""
    with serve("duckdb", folder, started) as engine:
        return assess(engine, SUBJECT)


@pytest.mark.parametrize("kind", ENGINES[1:])
def test_quality_is_the_same_on_every_engine(kind, folder, started, expected):
    with serve(kind, folder, started) as engine:
        found = assess(engine, SUBJECT)

    assert found.statistics == expected.statistics
    assert found.checks == expected.checks


def test_there_is_something_to_find(expected):
    assert len(expected.checks) > 300
    assert any(check.violated for check in expected.checks)
