"""What a party heard about permits: what a message holds, and what is kept of it."""

from dataclasses import replace

import pytest

from hetao.canonical import canonical
from hetao.errors import BadSignature
from hetao.federation import register as module
from hetao.federation.register import LARGEST, MOST, SCHEMA, News, Register, news_from
from hetao.federation.store import Store
from hetao.permit import Bundle
from support_permit import Scene

SCENE = Scene()
FOUR = SCENE.approve_all().notices
EMPTY = {"epoch": "e", "place": 0, "notices": []}


@pytest.fixture
def store():
    made = Store(None, SCHEMA)
    yield made
    made.close()


def of(store, read=tuple):
    return Register(store, SCENE.directory, read)


# --- messages -------------------------------------------------------------------------
def test_a_message_may_be_just_as_large_as_the_largest():
    text = canonical(EMPTY)

    assert news_from(text.ljust(LARGEST)) == News("e", 0, ())
    with pytest.raises(BadSignature, match="is too large"):
        news_from(text.ljust(LARGEST + 1))


def test_a_message_may_hold_just_as_many_notices_as_the_most():
    one = FOUR[0].as_json()

    assert len(news_from(canonical(EMPTY | {"notices": [one] * MOST})).notices) == MOST
    with pytest.raises(BadSignature, match="malformed"):
        news_from(canonical(EMPTY | {"notices": [one] * (MOST + 1)}))


def test_a_place_is_nought_or_more():
    assert news_from(canonical(EMPTY)).place == 0
    assert news_from(canonical(EMPTY | {"place": 1})).place == 1
    with pytest.raises(BadSignature, match="malformed"):
        news_from(canonical(EMPTY | {"place": -1}))


# --- what is kept ---------------------------------------------------------------------
def test_a_notice_is_kept_once_and_how_many_were_new_is_said(store):
    register = of(store, lambda: FOUR)

    assert register.place == 0
    assert register.take(FOUR[:1]) == 1
    assert register.place == 1  # by which a hub sees that it heard something
    assert register.take(FOUR[:2]) == 1
    assert register.take(FOUR[:3]) == 1
    assert register.look() == 1
    assert register.look() == 0
    assert register.after(0).notices == FOUR
    assert register.place == 4


def test_what_was_kept_before_a_restart_is_neither_new_nor_forgotten(store):
    of(store).take(FOUR[:2])

    again = of(store)

    assert again.place == 2
    assert again.take(FOUR) == 2
    assert again.heard_of(Bundle(SCENE.permit)).notices == FOUR
    assert again.heard_of(SCENE.approve_all()).notices == FOUR  # each of them once


def test_what_another_key_signed_or_nobody_is_not_kept(store):
    forged = replace(FOUR[0], signature=FOUR[1].signature)

    assert of(store).take([forged, FOUR[0]]) == 1


# --- what is passed on ----------------------------------------------------------------
def test_what_one_message_cannot_hold_is_in_the_next(store, monkeypatch):
    register = of(store)
    register.take(FOUR)
    monkeypatch.setattr(module, "MOST", 3)

    first = register.after(0, "e")
    second = register.after(first.place)

    assert (first.epoch, first.place, first.notices) == ("e", 3, FOUR[:3])
    assert (second.place, second.notices) == (4, FOUR[3:])
    assert register.after(4) == News("", 4, ())


def test_who_has_heard_all_is_answered_without_the_disk(store):
    register, asked = of(store), []
    register.take(FOUR)
    store._db.set_trace_callback(asked.append)

    assert register.after(4, "e") == News("e", 4, ())
    assert asked == []
    assert len(register.after(3).notices) == len(asked) == 1


def test_a_message_is_half_as_large_as_may_be_at_most(store, monkeypatch):
    """The other half is for what stands about the notices, and is not counted."""
    register = of(store)
    register.take(FOUR)
    sizes = [len(canonical(one.as_json())) for one in FOUR]
    for largest, count in ((2 * sum(sizes[:2]), 2), (2 * sum(sizes[:2]) - 2, 1)):
        monkeypatch.setattr(module, "LARGEST", largest)

        found = register.after(0)

        assert (found.place, len(found.notices)) == (count, count)
