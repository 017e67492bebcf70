"""A site's stop switch, and its clock, at the edges of what each lets through."""

import datetime
import json
from types import SimpleNamespace

import pytest

from hetao.errors import OutOfTime, StoppedHere
from hetao.federation.guard import (
    LATEST,
    STEP,
    SWITCH,
    Guard,
    check_switch,
    go,
    is_stopped,
    stop,
)
from hetao.federation.store import Store
from hetao.permit import SKEW, format_time

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def site(tmp_path):
    """Return a site's folder, its journal, its guard, and a clock that can be set."""
    made = SimpleNamespace(folder=tmp_path, now=NOON)
    made.store = Store(tmp_path / "site.sqlite", LATEST)
    made.open = lambda: Guard(tmp_path, made.store, lambda: made.now)
    made.guard = made.open()
    yield made
    made.store.close()


def noted(site):
    return [at for (at,) in site.store.rows("SELECT at FROM latest")]


def at(site, when):
    site.now = when
    site.guard.check()


# --- the clock ------------------------------------------------------------------------
def test_a_clock_may_be_set_back_by_just_as_much_as_clocks_may_differ(site):
    site.guard.check()
    at(site, NOON - SKEW)

    with pytest.raises(OutOfTime, match="clock was set back"):
        at(site, NOON - SKEW - SECOND)


def test_what_the_site_served_at_is_known_after_a_restart(site):
    site.guard.check()
    site.guard = site.open()

    with pytest.raises(OutOfTime, match="clock was set back"):
        at(site, NOON - SKEW - SECOND)


def test_the_time_is_written_down_at_first_and_then_every_so_often(site):
    assert noted(site) == []
    for when in (NOON, NOON + STEP - SECOND, NOON - SECOND):
        at(site, when)
        assert noted(site) == [format_time(NOON)]

    at(site, NOON + STEP)

    assert noted(site) == [format_time(NOON + STEP)]
    with pytest.raises(OutOfTime):
        at(site, NOON + STEP - SKEW - SECOND)


# --- the switch -----------------------------------------------------------------------
def test_a_switch_is_thrown_once_and_taken_away_once(site):
    folder = site.folder / "new"  # a site that never ran may be stopped too
    assert not is_stopped(folder)
    assert stop(folder, NOON, "a patient asked")
    assert not stop(folder, NOON + SECOND, "another one")

    assert is_stopped(folder)
    with pytest.raises(StoppedHere, match=f"since {format_time(NOON)}") as raised:
        check_switch(folder)
    assert "patient" not in str(raised.value)  # why is for the site's own eyes

    assert go(folder)
    assert not go(folder)
    check_switch(folder)


def test_a_guard_asks_the_switch_before_it_looks_at_the_time(site):
    stop(site.folder, NOON, "")

    with pytest.raises(StoppedHere):
        site.guard.check()
    assert noted(site) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": ', "null"])
def test_a_switch_of_any_content_stops(site, text):
    stop(site.folder, NOON, "")
    (site.folder / SWITCH).write_text(text, encoding="utf-8")

    with pytest.raises(StoppedHere, match="its switch is there"):
        site.guard.check()


def test_of_a_time_that_somebody_wrote_by_hand_its_first_letters_are_told(site):
    stop(site.folder, NOON, "")
    text = json.dumps({"at": "2026-11-22 at noon, said ward 7"})
    (site.folder / SWITCH).write_text(text, "utf-8")

    with pytest.raises(StoppedHere) as raised:
        site.guard.check()
    assert "(since 2026-11-22 at noon, )" in str(raised.value)
