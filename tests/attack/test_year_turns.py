"""The year turns at midnight of Hong Kong and Shenzhen, and no clock turns it back."""

import datetime

import numpy as np
import pytest

from hetao.permit import sign_notice
from hetao.permit.law import day_of_law
from support_federation import Federation

MIDNIGHT = datetime.datetime(2026, 12, 31, 16, tzinfo=datetime.UTC)  # there
SECOND = datetime.timedelta(seconds=1)
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.fixture
def federation(tmp_path):
    """Return parties whose permit both sides renewed a minute before midnight."""
    with Federation(tmp_path) as made:
        made.clock.now = MIDNIGHT - 60 * SECOND
        for office in ("ethics-hk", "ethics-sz"):
            key = made.cast.identities[office]
            made.bundle = sign_notice(made.bundle, key, "renew", made.clock.now)
        yield made


def counted(federation, year):
    found = []
    nobody = ("person", np.zeros(0, np.int64))
    federation.sites["b"].memory.count(year, nobody, found.append)
    return found[0]


def begun(federation, run="run-1"):
    begin = federation.begin("b", run=run).data
    return federation.refusals(federation.sites["b"].handle(begin))


def test_people_are_counted_in_the_year_of_the_last_second_and_of_the_first(federation):
    federation.clock.now = MIDNIGHT - SECOND
    assert begun(federation) == []
    before = counted(federation, 2026), counted(federation, 2027)

    federation.clock.now = MIDNIGHT
    task = federation.task("b").data
    assert federation.refusals(federation.sites["b"].handle(task)) == []

    assert before == (400, 0)
    assert (counted(federation, 2026), counted(federation, 2027)) == (400, 400)


@pytest.mark.parametrize("back", [10 * 60 * SECOND, HOUR, DAY, 365 * DAY], ids=str)
def test_a_clock_that_is_set_back_over_midnight_counts_nobody_in_the_old_year(
    federation, back
):
    federation.clock.now = MIDNIGHT + 60 * SECOND
    assert begun(federation) == []

    federation.clock.now -= back
    (refused,) = begun(federation, "run-2")

    assert refused.startswith("HT-302")
    assert (counted(federation, 2026), counted(federation, 2027)) == (0, 400)


@pytest.mark.parametrize(("hours", "stands"), [(23, True), (24, False)])
def test_a_lease_runs_over_midnight_as_over_any_hour(federation, hours, stands):
    federation.clock.now += hours * HOUR

    assert (begun(federation) == []) is stands


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-12-31T15:59:59Z", "2026-12-31"),
        ("2026-12-31T16:00:00Z", "2027-01-01"),
        ("2028-02-29T15:59:59Z", "2028-02-29"),
        ("2028-02-29T16:00:00Z", "2028-03-01"),
    ],
)
def test_days_of_the_law_are_those_there(at, day):
    now = datetime.datetime.fromisoformat(at)

    assert day_of_law(now).isoformat() == day
