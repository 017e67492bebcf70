"""A sealed count as a site and a coordinator read it, held to what its hubs signed."""

import functools
import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from hetao.errors import (
    BadEnvelope,
    BadSignature,
    SmallCell,
    WrongShape,
    WrongStudy,
)
from hetao.federation.counting import check_count, check_record
from hetao.federation.course import Course
from hetao.federation.outcome import RoundRecord
from hetao.federation.store import Store
from hetao.ledger.sealed_counts import PEOPLE
from hetao.ledger.sealed_counts import SITES as BY_SITES
from hetao.permit import state
from hetao.release.record import SEALED_COUNTS
from hetao.release.sealed_count import count_of
from support_counts import ALSO
from support_federation import RUN, SITES, Federation, Plan

TASK = "attrition/1/count"
CELL = 5
MANY = (0, 5, 40)
OTHER = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Return parties that hold nobody's data: no site is asked."""
    with Federation(tmp_path_factory.mktemp("f"), Plan(people=1)) as made:
        yield made


def share_of(hub, site):
    return f"sha256:{hub} {site}"


def counted(federation, counts=MANY, **fields):
    """Return each hub's body and tokens of these counts, but for `fields`."""
    permit = federation.bundle.permit
    whole = np.array([*counts, len(SITES)], np.uint64) << np.uint64(8)
    own = np.arange(len(whole), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bodies, tokens = {}, {}
    for hub, high in zip(permit.hubs, (own, whole - own), strict=True):
        place = {
            "hub": hub,
            "study": permit.study,
            "permit": permit.digest,
            "run": RUN,
            "task": TASK,
            "shares": {site: share_of(hub, site) for site in SITES},
            **fields,
        }
        words = np.stack([high, np.zeros_like(high)])
        keys = [federation.cast.directory[name] for name in permit.hubs]
        identity = federation.cast.identities[hub]
        bodies[hub], tokens[hub] = count_of(identity, keys, place, words, [CELL])
    return bodies, tokens


def signed(federation, bodies, by=None):
    keys = federation.cast.identities
    return {hub: state(keys[by or hub], body) for hub, body in bodies.items()}


def record_of(federation, bodies, tokens, by=None):
    """Return a record whose sites say that they sent the shares of `share_of`."""
    hubs = federation.bundle.permit.hubs
    sent = {s: {"shares": {hub: share_of(hub, s) for hub in hubs}} for s in SITES}
    keys = federation.cast.identities
    receipts = {site: state(keys[site], body) for site, body in sent.items()}
    totals = signed(federation, bodies, by)
    place = (TASK, "attrition", "sealed_count", 1, 0, SITES)
    return RoundRecord(*place, receipts, totals, tokens, {})


def checked(federation, bodies, tokens, by=None):
    record = record_of(federation, bodies, tokens, by)
    return check_record(record, RUN, federation.bundle.permit)


def test_a_count_that_found_nobody_says_below_how_many_it_looked(federation):
    bodies, tokens = counted(federation)
    permit = federation.bundle.permit
    shares = {hub: bodies[hub]["shares"] for hub in permit.hubs}
    expected = {"study": permit.study, "permit": permit.digest, "task": TASK}

    said = signed(federation, bodies)

    assert check_count(said, tokens, expected, shares, permit) == (CELL, False)
    assert checked(federation, bodies, tokens) == (CELL, False)


@pytest.mark.parametrize("people", [1, CELL - 1])
def test_a_combination_of_few_is_named_with_its_least_count(federation, people):
    with pytest.raises(SmallCell, match=f"fewer than {CELL} people over all sites"):
        checked(federation, *counted(federation, (40, people)))


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("field", ["study", "permit", "run", "task", "type", "hub"])
def test_a_hub_that_counted_for_another_place_is_named(federation, field, at):
    bodies, tokens = counted(federation)
    hub = federation.bundle.permit.hubs[at]
    bodies[hub][field] = OTHER

    with pytest.raises(WrongStudy, match=f"^.*{hub} counted for another study"):
        checked(federation, bodies, tokens)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("shares", [{}, dict.fromkeys(SITES, OTHER), None])
def test_a_hub_that_counted_other_shares_is_named(federation, shares, at):
    bodies, tokens = counted(federation)
    hub = federation.bundle.permit.hubs[at]
    bodies[hub]["shares"] = shares

    with pytest.raises(BadEnvelope, match=f"{hub} counted other shares"):
        checked(federation, bodies, tokens)


def test_a_count_that_no_hub_signed_is_refused(federation):
    with pytest.raises(BadSignature):
        checked(federation, *counted(federation), by="coordinator")


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("left_out", ["cell", "control", "tokens"])
def test_a_count_that_is_malformed_is_refused_by_its_task(federation, left_out, at):
    bodies, tokens = counted(federation)
    del bodies[federation.bundle.permit.hubs[at]][left_out]

    with pytest.raises(BadEnvelope, match=f"malformed count for {TASK}"):
        checked(federation, bodies, tokens)


@pytest.mark.parametrize("at", [0, 1])
def test_a_hub_that_said_nothing_is_missed(federation, at):
    bodies, tokens = counted(federation)
    del bodies[federation.bundle.permit.hubs[at]]

    with pytest.raises(BadEnvelope, match=f"malformed count for {TASK}"):
        checked(federation, bodies, tokens)


def test_hubs_that_did_not_take_one_least_count_do_not_fit(federation):
    bodies, tokens = counted(federation)
    bodies[federation.bundle.permit.hubs[1]]["cell"] = CELL + 1

    with pytest.raises(BadEnvelope, match="do not fit together"):
        checked(federation, bodies, tokens)


# --- as a site is brought it ----------------------------------------------------------
OUTGOING = "CREATE TABLE outgoing (task TEXT, hub TEXT, digest TEXT, place INTEGER)"
SENT = "INSERT INTO outgoing VALUES (?, ?, ?, 0)"


@pytest.fixture
def course(federation):
    """Return the course of site a, which sent each hub the share of `share_of`."""
    with closing(Store(None, OUTGOING)) as store:
        task = f"{RUN}|{TASK}|task"
        for hub in federation.bundle.permit.hubs:
            store.write([(SENT, (task, hub, share_of(hub, "a")))])
        yield Course(store, "a")


def brought(federation, members=SITES, **fields):
    """Return a first task's object and arrays that bring a count."""
    bodies, tokens = counted(federation, **fields)
    said = {hub: one.as_json() for hub, one in signed(federation, bodies).items()}
    arrays = {f"{ALSO} {hub}": array for hub, array in tokens.items()}
    return {"members": list(members), ALSO: said}, arrays


def first(federation):
    return federation.task("a").header, federation.bundle.permit


def test_a_site_takes_a_count_of_its_own_share_with_the_first_task(federation, course):
    header, permit = first(federation)
    estimator = federation.estimator("attrition")
    content = brought(federation)

    assert course.state(header, permit, estimator, content) is None
    assert course.counted(header, permit, content) == (CELL, False)
    assert course.counted(header, permit, ({"members": list(SITES)}, {})) is None


@pytest.mark.parametrize("also", [True, False])
def test_a_first_task_brings_nothing_but_a_count(federation, course, also):
    meta, arrays = brought(federation)
    content = (meta, {**arrays, "words": arrays[f"{ALSO} hub-hk"]})
    if not also:
        content = ({"members": meta["members"]}, arrays)

    with pytest.raises(WrongShape, match="the first round starts from nothing"):
        course.state(*first(federation), federation.estimator("attrition"), content)


@pytest.mark.parametrize("members", [("a", "b"), (*SITES, "d"), ()])
def test_people_of_other_members_are_no_count_of_this_task(federation, course, members):
    with pytest.raises(WrongShape, match="a sealed count is of other members"):
        course.counted(*first(federation), brought(federation, members))


def test_a_count_without_this_sites_own_share_is_refused(federation, course):
    shares = dict.fromkeys(SITES, OTHER)

    with pytest.raises(BadEnvelope, match="hub-hk counted other shares"):
        course.counted(*first(federation), brought(federation, shares=shares))


def test_a_site_that_did_not_count_takes_nobodys_word_for_it(federation):
    with (
        closing(Store(None, OUTGOING)) as store,
        pytest.raises(WrongStudy, match="a did not take part in the round before"),
    ):
        Course(store, "a").counted(*first(federation), brought(federation))


# --- as a site's own record of the first round says -----------------------------------
ANSWERED = "CREATE TABLE answered (task TEXT, record TEXT)"


def said_later(federation, what, checks, of="attrition/1/0"):
    """Return what a site takes for counted in the round after, by its record."""
    header, permit = first(federation)
    record = json.dumps({"body": {"checks": checks}})
    with closing(Store(None, ANSWERED)) as store:
        row = (f"{RUN}|{of}|task", record)
        store.write([("INSERT INTO answered VALUES (?, ?)", row)])
        content = brought(federation)  # which a later round does not go by
        return Course(store, "a").counted(
            replace(header, round=1), permit, content, what
        )


@pytest.mark.parametrize("what", [PEOPLE, BY_SITES])
def test_later_rounds_go_by_what_the_record_of_the_first_says(federation, what):
    said = functools.partial(said_later, federation, what)
    check = SEALED_COUNTS[what]
    other = {name: 7 for name in SEALED_COUNTS.values() if name != check}

    assert said({"passed": {check: 3, **other}}) == (3, False)
    assert said({"not_passed": {check: 3}, "passed": other}) == (3, True)
    assert said({"not_asked": {check: None}, "passed": other}) is None
    assert said({}) is None
    assert said({"passed": {check: 3}}, of="attrition/2/0") is None
