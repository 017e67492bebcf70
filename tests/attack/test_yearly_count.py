"""Many small permits are one large one: people are counted over all of a year's.

A Mainland site counts the different people of every permit since 1 January, and refuses
the run that would reach the number at which other rules apply.
"""

import datetime
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from hetao.errors import TooManyPeople
from hetao.federation.grounds import Asked, grounds
from hetao.federation.memory import Memory
from hetao.federation.propose import Request, draft_permit
from hetao.permit import Bundle
from hetao.permit.law import YEARLY, Ceiling, check_count
from support_federation import START, Federation
from support_rules import BOOK, HONG_KONG, SHENZHEN, facts

HELD = ("cn-standard-contract", "cn-impact-assessment", "cn-separate-consent")
BOTH = {**SHENZHEN, **HONG_KONG, "route.leaves_mainland": True}
YEAR, SPACE = 2026, "person"
LAW = grounds(
    facts(SHENZHEN, *HELD),
    BOOK,
    Asked(("SZ",), ("HK", "SZ"), 3, START, START + datetime.timedelta(days=1)),
).law


def check(people):
    check_count(LAW, people, "shenzhen")


@pytest.fixture
def memory(tmp_path):
    made = Memory(tmp_path)
    yield made
    made.close()


def ask(memory, first, last, year=YEAR, space=SPACE):
    """Count the people of a permit, known by their numbers from `first` to `last`."""
    places = memory.places(space, np.arange(first, last, dtype=np.int64))
    memory.count(year, (space, places), check)


def refused(memory, first, last, **where):
    try:
        ask(memory, first, last, **where)
    except TooManyPeople:
        return True
    return False


def test_of_a_hundred_permits_of_150_patients_that_which_reaches_10000_is_refused(
    memory,
):
    answers = [refused(memory, 150 * i, 150 * (i + 1)) for i in range(100)]

    assert answers.index(True) == 66  # 66 of them are 9,900 people, 67 are 10,050
    assert answers == [False] * 66 + [True] * 34


def test_the_last_person_that_fits_is_the_9999th(memory):
    for i in range(66):
        ask(memory, 150 * i, 150 * (i + 1))

    assert not refused(memory, 9_900, 9_999)
    assert refused(memory, 9_850, 10_000)
    assert not refused(memory, 9_850, 9_999)


def test_the_same_people_under_many_permits_count_once(memory):
    assert not any(refused(memory, 0, 9_999) for _ in range(30))


def test_people_of_a_refused_permit_are_not_counted(memory):
    ask(memory, 0, 9_000)

    assert refused(memory, 9_000, 11_000)
    assert not refused(memory, 11_000, 11_999)


def test_people_known_by_other_identifiers_count_as_others(memory):
    ask(memory, 0, 9_000)

    assert refused(memory, 0, 1_000, space="flat id")
    assert not refused(memory, 0, 999, space="flat id")


def test_a_new_year_begins_anew_and_the_old_one_stays(memory):
    ask(memory, 0, 9_999)

    assert not refused(memory, 20_000, 29_999, year=YEAR + 1)
    assert refused(memory, 20_000, 20_001)


def test_a_restart_forgets_nobody(tmp_path):
    first = Memory(tmp_path)
    ask(first, 0, 9_999)
    first.close()
    again = Memory(tmp_path)

    try:
        assert refused(again, 10_000, 10_001)
    finally:
        again.close()


def test_permits_that_ask_at_once_never_reach_it_together(memory):
    """A thousand at once, of a hundred people each: 99 fit."""
    places = memory.places(SPACE, np.arange(100_000, dtype=np.int64))

    def one(i):
        try:
            memory.count(YEAR, (SPACE, places[100 * i : 100 * (i + 1)]), check)
        except TooManyPeople:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        fit = sum(pool.map(one, range(1_000)))

    assert fit == 99


# --- at a site ----------------------------------------------------------------------
@pytest.fixture
def federation(tmp_path):
    with Federation(tmp_path) as made:
        yield made


def under(federation, below):
    """Put the study under a permit whose answer holds under so many people."""
    request = Request(facts(BOTH, *HELD), BOOK)
    permit = draft_permit(
        federation.study, federation.cast.directory, START, 90, 3, request
    ).permit
    law = replace(permit.law, holds_below=(Ceiling(YEARLY, below),))
    bundle = Bundle(replace(permit, law=law))
    federation.bundle = federation.cast.approved(bundle, START)


def begun(federation, name):
    posts = federation.sites[name].handle(federation.begin(name).data)
    return federation.refusals(posts)


def people_at(federation, name):
    lines = federation.patients.read_text("utf-8").splitlines()
    return sum(line.startswith(f"{name},") for line in lines)


def test_a_mainland_site_refuses_the_run_that_would_reach_the_number(federation):
    people = people_at(federation, "b")
    under(federation, people)

    (said,) = begun(federation, "b")

    assert said.startswith("HT-333")
    assert f"{people:,} people since 1 January over all permits" in said


def test_one_person_fewer_is_answered_and_a_site_in_hong_kong_is_not_held(federation):
    under(federation, people_at(federation, "b") + 1)

    assert begun(federation, "b") == []
    assert begun(federation, "a") == []


def test_a_site_counts_permits_that_say_nothing_of_the_law_too(federation):
    people, counted = people_at(federation, "b"), []
    begun(federation, "b")  # under the plain permit of the fixture

    nobody = ("person", np.zeros(0, np.int64))
    federation.sites["b"].memory.count(2026, nobody, counted.append)

    assert counted == [people]
