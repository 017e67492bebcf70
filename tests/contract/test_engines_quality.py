"""A site's quality is judged alike on every engine."""

import datetime

import pytest

from hetao.cdm.quality.assess import Subject, assess
from support_engines import serve

pytestmark = pytest.mark.xdist_group("engines")
SUBJECT = Subject(
    "north", "North", "en", "sha256:s", "sha256:d", datetime.date(2020, 3, 1)
)


@pytest.fixture(scope="module")
def expected(world, started):
    """Return what the embedded engine says; the world has much to find fault with."""
    with serve("duckdb", world, started) as engine:
        return assess(engine, SUBJECT)


def test_quality_is_the_same_on_every_engine(served, expected):
    found = assess(served.engine, SUBJECT)

    assert found.statistics == expected.statistics
    assert found.checks == expected.checks


def test_there_is_something_to_find(expected):
    assert len(expected.checks) > 300
    assert any(check.violated for check in expected.checks)
