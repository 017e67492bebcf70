"""A site's book at the edges of its times, and what its log knows of it."""

import contextlib
from contextlib import closing

import pytest

from hetao.canonical import canonical
from hetao.errors import MemoryLost, NotAParty, NotApproved, OutOfTime, RuleForbids
from hetao.federation.book import ALLOWED, Arrival, Book
from hetao.federation.told_uses import TYPE
from hetao.ledger.log import Log
from hetao.permit import SKEW
from hetao.permit.house import read_house
from hetao.permit.uses import sign_use
from support_permit import HOUR, NOW, at
from support_uses import HK, SZ, a_use, approved, book_of, scene_of, trusted_of

SCENE = scene_of("materials")
BUNDLE = approved(SCENE)
SECOND = HOUR / 3600
THEN = NOW + HOUR  # of `a_use`
PACK = """
[pack]
id = "ours"
jurisdiction = "HK"
verified_by = "counsel"
title = { en = "Ours", zh-Hant = "本院", zh-Hans = "本院" }

[[rules]]
id = "our-rule"
title = { en = "Ours", zh-Hant = "本院", zh-Hans = "本院" }
forbids = { en = "So.", zh-Hant = "如此。", zh-Hans = "如此。" }
source = { title = "Handbook", article = "3", url = "https://hospital.example/3" }
effective = 2020-01-01
verified_on = 2026-01-01
confidence = "high"
crossings = ["materials"]
"""


@contextlib.contextmanager
def books(folder, **fields):
    """Open both sites' books; `fields` are the receiver's."""
    trusted = trusted_of(SCENE)
    receiver = Book(SCENE.machines[SZ], trusted, folder / SZ, **fields)
    with closing(book_of(SCENE, folder, HK)) as sender, closing(receiver):
        yield sender, receiver


def left(book):
    lines = book.balance(SCENE.permit, THEN)
    return next(line.left for line in lines if line.site == HK)


def test_a_site_dispatches_for_itself_alone(tmp_path):
    with books(tmp_path) as (_, book):
        with pytest.raises(NotAParty, match=f"{SZ} dispatches for itself alone"):
            book.dispatch(BUNDLE, a_use(SCENE), lambda: THEN)

        assert book.records(SCENE.permit) == ([], [])


# --- when -----------------------------------------------------------------------------
@pytest.mark.parametrize("way", [1, -1])
def test_clocks_may_differ_by_just_so_much_at_dispatch(tmp_path, way):
    use = a_use(SCENE)
    with books(tmp_path) as (book, _):
        with pytest.raises(OutOfTime, match="at which it is dispatched"):
            book.dispatch(BUNDLE, use, lambda: THEN + way * (SKEW + SECOND))
        assert (left(book), book.records(SCENE.permit)) == (100, ([], []))

        book.dispatch(BUNDLE, use, lambda: THEN + way * SKEW)

        assert left(book) == 90


def test_a_sites_clock_may_be_set_back_by_just_as_much(tmp_path):
    """Under an earlier one a lease that has ended would hold again."""
    before = THEN - SKEW
    late = a_use(SCENE, "W-2", hours=(before - NOW) / HOUR)
    with books(tmp_path) as (book, _):
        book.dispatch(BUNDLE, a_use(SCENE), lambda: THEN)

        with pytest.raises(OutOfTime, match="clock was set back"):
            book.dispatch(BUNDLE, late, lambda: before - SECOND)
        assert left(book) == 90

        book.dispatch(BUNDLE, late, lambda: before)
        assert left(book) == 80


def test_a_use_may_be_dated_ahead_by_just_as_much_at_its_receipt(tmp_path):
    with books(tmp_path) as (sender, receiver):
        use = sender.dispatch(BUNDLE, a_use(SCENE), lambda: THEN)
        early = THEN - SKEW - SECOND
        with pytest.raises(NotApproved, match="dated in the future"):
            receiver.receive(BUNDLE, use, Arrival(), early)
        with pytest.raises(NotApproved, match="dated in the future"):
            receiver.expect(BUNDLE, use, early)
        assert left(receiver) == 100

        receiver.receive(BUNDLE, use, Arrival(), THEN - SKEW)

        assert left(receiver) == 90


@pytest.mark.parametrize("hours", [ALLOWED // HOUR, 2000])
def test_a_use_is_first_heard_of_in_just_the_time_allowed(tmp_path, hours):
    use = a_use(SCENE, due=at(3000))
    signed = sign_use(SCENE.permit, SCENE.machines[HK], use)
    with books(tmp_path, allowed=hours * HOUR) as (_, receiver):
        with pytest.raises(OutOfTime, match=f"more than {hours} hours before {SZ}"):
            receiver.expect(BUNDLE, signed, THEN + hours * HOUR + SECOND)
        assert left(receiver) == 100

        receiver.expect(BUNDLE, signed, THEN + hours * HOUR)

        assert left(receiver) == 90


def test_a_site_with_rules_of_its_own_dispatches_by_them(tmp_path):
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "ours.toml").write_text(PACK, encoding="utf-8")
    house = read_house(tmp_path / "packs", None)
    trusted = trusted_of(SCENE)
    with closing(Book(SCENE.machines[HK], trusted, tmp_path / HK, house=house)) as book:
        with pytest.raises(RuleForbids):
            book.dispatch(BUNDLE, a_use(SCENE), lambda: THEN)

        assert left(book) == 100


# --- what its log knows ---------------------------------------------------------------
def opening(folder):
    key = SCENE.machines[HK].signing_key
    return lambda: Log.open(folder / "log.sqlite", HK, key)


def spent(folder, *numbers):
    """Spend a use of each number from a book that its log is told of."""
    with closing(book_of(SCENE, folder, HK)) as book:
        book.hold_against(opening(folder))
        for number in numbers:
            book.dispatch(BUNDLE, a_use(SCENE, number, 1), lambda: THEN)


@pytest.mark.parametrize("numbers", [("W-1",), ("W-1", "W-2")])
def test_a_book_that_was_lost_is_not_begun_anew(tmp_path, numbers):
    """Though all that it held was one use, and that the log's first entry."""
    spent(tmp_path, *numbers)
    for path in (tmp_path / HK).glob("uses.sqlite*"):
        path.unlink()

    with (
        closing(book_of(SCENE, tmp_path, HK)) as book,
        pytest.raises(MemoryLost, match="book of what crossed is older"),
    ):
        book.hold_against(opening(tmp_path))


OTHERS = (
    canonical([TYPE]),
    canonical({"type": "hetao.entry/1", "what": TYPE, "mark": "another"}),
    canonical(TYPE),
    TYPE.encode(),
    b"[" * 5000 + TYPE.encode(),
)


@pytest.mark.parametrize("entry", OTHERS, ids=lambda one: one[:30].decode())
def test_what_only_names_such_marks_is_none(tmp_path, entry):
    with opening(tmp_path)() as log:
        log.append([entry])

    spent(tmp_path, "W-1")
    spent(tmp_path)


def test_a_mark_that_no_use_here_has_is_of_a_lost_book(tmp_path):
    with opening(tmp_path)() as log:
        log.append([canonical({"type": TYPE, "mark": "another"})])

    with pytest.raises(MemoryLost):
        spent(tmp_path)


def test_a_log_is_looked_at_once(tmp_path):
    spent(tmp_path, "W-1", "W-2")
    spent(tmp_path)

    with closing(book_of(SCENE, tmp_path, HK)) as book:
        ((size,),) = book._store.rows("SELECT size FROM heard")
        assert size == 2
