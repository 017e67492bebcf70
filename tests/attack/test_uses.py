"""Samples, people and money: dispatched here, received there, once, within limits."""

import contextlib
import json
import multiprocessing
import random
import sqlite3
from dataclasses import replace

import pytest

from hetao.errors import (
    HetaoError,
    LimitReached,
    Mismatched,
    NotActive,
    NotAParty,
    NotApproved,
    OutOfTime,
    Replayed,
    StoppedHere,
    UngradedRelease,
)
from hetao.federation import guard
from hetao.federation.book import Arrival, Book
from hetao.permit import Statement, sign_notice, state
from hetao.permit.permit import Limit
from hetao.permit.uses import (
    Amount,
    account,
    read_use,
    receipt_for,
    sign_receipt,
    sign_use,
)
from support_permit import HOUR, NOW, at
from support_uses import (
    HK,
    SHOWN,
    SZ,
    UNITS,
    a_use,
    approved,
    book_of,
    scene_of,
    trusted_of,
)

CROSSINGS = tuple(UNITS)
SCENES = {crossing: scene_of(crossing) for crossing in CROSSINGS}
BUNDLES = {crossing: approved(scene) for crossing, scene in SCENES.items()}
SCENE, BUNDLE = SCENES["materials"], BUNDLES["materials"]
ALL = Arrival()


def hour(number):
    return NOW + number * HOUR


def labels(count, first=1):
    """Return so many labels, none of which looks like another."""
    return tuple(f"T{number}" for number in range(first, first + count))


class Sides:
    """Both sites' books, and hours that pass."""

    def __init__(self, folder, crossing="materials"):
        self.folder = folder
        self.scene, self.bundle = SCENES[crossing], BUNDLES[crossing]
        self.heard: tuple[Statement, ...] = ()
        self.books = {
            site: book_of(self.scene, folder, site, lambda: self.heard)
            for site in (HK, SZ)
        }

    def dispatch(self, number="W-1", count=10, hours=1.0, **fields):
        use = a_use(self.scene, number, count, hours, **fields)
        return self.books[use.site].dispatch(self.bundle, use, lambda: hour(hours))

    def receive(self, use, arrival=ALL, hours=5, site=SZ):
        return self.books[site].receive(self.bundle, use, arrival, hour(hours))

    def take(self, receipt, site=HK):
        return self.books[site].take(self.bundle, receipt)

    def lines(self, site=HK, hours=6):
        found = self.books[site].balance(self.scene.permit, hour(hours))
        return {line.site: line for line in found}

    def close(self):
        for book in self.books.values():
            book.close()


@pytest.fixture
def sides(tmp_path):
    made = Sides(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("crossing", CROSSINGS)
def test_what_is_dispatched_here_is_received_there_and_reconciled(crossing, tmp_path):
    sides = Sides(tmp_path, crossing)
    use = sides.dispatch(count=30)
    before = sides.lines()[HK]
    receipt = sides.receive(use)
    sides.take(receipt)
    sides.take(receipt)  # what is taken in again changes nothing
    sides.close()

    assert (before.left, before.under_way, before.received) == (70, 30, 0)
    for site in (HK, SZ):
        books = Sides(tmp_path, crossing)
        line = books.lines(site)[HK]
        books.close()
        assert (line.left, line.under_way, line.received, line.missing) == (
            70,
            0,
            30,
            0,
        )


def test_what_is_missing_is_said_and_is_not_free_again(sides):
    use = sides.dispatch(count=30, items=labels(30))
    arrival = Arrival((Amount("tubes", 2),), "broken", ("T1", "T2"))
    sides.take(sides.receive(use, arrival))

    line = sides.lines()[HK]

    assert (line.left, line.received, line.missing) == (70, 28, 2)


def test_a_receipt_that_does_not_come_is_seen(sides):
    sides.dispatch(count=30)

    assert sides.lines(hours=70)[HK].overdue == 0
    assert sides.lines(hours=74)[HK].overdue == 30


@pytest.mark.parametrize(("hours", "late"), [(73, 0), (73.01, 30)])
def test_a_receipt_after_it_was_due_is_marked_late(sides, hours, late):
    use = sides.dispatch(count=30)
    sides.books[SZ].expect(sides.bundle, use, hour(2))
    arrival = Arrival((Amount("tubes", 2),), "broken")
    sides.take(sides.receive(use, arrival, hours=hours))

    for site in (HK, SZ):
        line = sides.lines(site, hours=100)[HK]
        assert (line.overdue, line.received, line.missing, line.late) == (
            0,
            28,
            2,
            late,
        )


# --- more than was granted ----------------------------------------------------------
def test_a_limit_is_spent_to_its_end_and_not_past_it(sides):
    sides.dispatch("W-1", 60)
    with pytest.raises(LimitReached):
        sides.dispatch("W-2", 41)
    sides.dispatch("W-3", 40)

    with pytest.raises(LimitReached, match="limit of 100 tubes"):
        sides.dispatch("W-4", 1)

    assert sides.lines()[HK].left == 0
    assert sides.lines()[SZ].left == 100  # which is the other site's


@pytest.mark.parametrize(
    "limits",
    [
        (Limit("tubes", 100),),  # nobody's, of two sites that each could spend it
        (Limit("tubes", 100, SZ),),
        (Limit("litres", 100, HK),),
    ],
)
def test_what_is_granted_to_nobody_or_somebody_else_is_not_spent(limits, tmp_path):
    scene = scene_of("materials", limits=limits)
    book = book_of(scene, tmp_path, HK)
    with pytest.raises(LimitReached, match=r"grants hospital-hk no tubes"):
        book.dispatch(approved(scene), a_use(scene), lambda: hour(1))
    book.close()


def _spend(folder, first, count, answers):
    """Dispatch one tube after another from a process of its own."""
    book, spent = book_of(SCENE, folder, HK), 0
    for number in range(first, first + count):
        try:
            book.dispatch(BUNDLE, a_use(SCENE, f"W-{number}", 1), lambda: hour(1))
            spent += 1
        except LimitReached:
            pass
    book.close()
    answers.put(spent)


def test_of_200_spends_of_several_processes_at_once_no_more_than_the_limit_passes(
    tmp_path,
):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [
        context.Process(target=_spend, args=(tmp_path, 50 * n, 50, answers))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    spent = sum(answers.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()

    book = book_of(SCENE, tmp_path, HK)
    left = next(x for x in book.balance(SCENE.permit, hour(2)) if x.site == HK).left
    book.close()
    assert (spent, left) == (100, 0)


# --- twice --------------------------------------------------------------------------
def test_the_same_use_again_is_the_same_record_and_spends_nothing(sides):
    first = sides.dispatch(hours=1)

    assert sides.dispatch(hours=3) == first

    assert sides.lines()[HK].left == 90


@pytest.mark.parametrize("change", [{"count": 11}, {"to": SZ, "grade": 3}])
def test_one_number_is_dispatched_once(sides, change):
    sides.dispatch()

    with pytest.raises(Replayed, match="W-1 was dispatched before"):
        sides.dispatch(**change)

    assert sides.lines()[HK].left == 90


def test_one_item_crosses_once(sides):
    sides.dispatch("W-1", 1, items=("T1",))

    with pytest.raises(Replayed, match="has crossed under this permit"):
        sides.dispatch("W-2", 2, items=("T2", "T1"))

    assert sides.lines()[HK].left == 99


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("T1", "t1"),
        ("T1", "T 1"),
        ("T1", "TI"),
        ("T1", "Tl"),
        ("T0", "TO"),
        ("血清 1", "血清1"),
        ("二〇二六", "二〇二 六"),
        ("血清〇", "血清0"),
    ],
)
def test_a_label_that_looks_like_another_is_the_same_item(sides, first, second):
    permit, keys = SCENE.permit, SCENE.machines[HK]
    sides.dispatch("W-1", 1, items=(first,))

    with pytest.raises(Replayed, match="looks like it"):
        sides.dispatch("W-2", 1, items=(second,))
    with pytest.raises(NotApproved, match="looks like another"):
        sides.dispatch("W-2", 2, items=(first, second))
    both = [
        sign_use(permit, keys, a_use(SCENE, number, 1, items=(label,)))
        for number, label in (("W-1", first), ("W-2", second))
    ]
    with pytest.raises(Replayed, match="looks like it"):
        account(permit, both, [], NOW)


def older(folder, sides, site=HK):
    """Make a book one from before labels were held by their looks and senders."""
    sides.books[site].close()
    with contextlib.closing(sqlite3.connect(folder / site / "uses.sqlite")) as book:
        uses = [
            (digest, json.loads(data)["body"])
            for digest, data in book.execute("SELECT digest, data FROM used")
        ]
        book.execute("DROP TABLE piece")
        book.execute(
            "CREATE TABLE item (permit TEXT NOT NULL, label TEXT NOT NULL, "
            "used TEXT NOT NULL, PRIMARY KEY (permit, label)) STRICT"
        )
        for digest, body in uses:
            rows = [(body["permit"], label, digest) for label in body["items"]]
            book.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
        book.commit()
    sides.books[site] = book_of(SCENE, folder, site)


@pytest.mark.parametrize("label", ["T1", "t1", "T 1", "TI"])
def test_a_label_of_an_older_book_is_held_by_its_look(sides, tmp_path, label):
    sides.dispatch("W-1", 1, items=("T1",))
    older(tmp_path, sides)

    with pytest.raises(Replayed, match="looks like it"):
        sides.dispatch("W-2", 1, items=(label,))
    sides.dispatch("W-2", 1, items=("T2",))


def test_what_a_book_holds_from_before_is_balanced_and_reconciled(
    sides, tmp_path, monkeypatch
):
    """Its labels look alike, are in no form, of no unit, and not named if missing."""
    old = {"W-1": ("T1", "t1", "T  2"), "W-2": ("\u0422",), "W  3": ("T5", "T6")}
    with monkeypatch.context() as before:
        for rule in ("check_labels", "check_named"):
            before.setattr(f"hetao.federation.book.{rule}", lambda *_: None)
        before.setattr("hetao.permit.uses.check_named", lambda *_: None)
        before.setattr("hetao.federation.book.look", str)
        uses = {
            number: sides.dispatch(number, 2, items=items)
            for number, items in old.items()
        }
        lost = Arrival((Amount("tubes", 1),), "lost")
        sides.take(sides.receive(uses["W  3"], lost))
        receipts = [sides.receive(uses[number]) for number in ("W-1", "W-2")]
    for site in (HK, SZ):
        older(tmp_path, sides, site)

    for receipt in receipts:
        sides.take(receipt)

    for site in (HK, SZ):
        line = sides.lines(site)[HK]
        assert (line.left, line.received, line.missing) == (94, 5, 1)
    assert sides.dispatch("W-1", 2, items=old["W-1"]) == uses["W-1"]
    with pytest.raises(Replayed, match="looks like it"):
        sides.dispatch("W-4", 1, items=("T2",))


def test_two_sites_may_each_number_their_pieces(sides):
    """A permit of two senders: what one labels, the other has not sent."""
    for site, to in ((HK, SZ), (SZ, HK)):
        use = sides.dispatch("W-1", 2, site=site, to=to, items=labels(2))
        sides.take(sides.receive(use, site=to), site)

    for site, to in ((HK, SZ), (SZ, HK)):
        assert {line.received for line in sides.lines(site).values()} == {2}
        with pytest.raises(Replayed, match="looks like it"):
            sides.dispatch("W-2", 1, site=site, to=to, items=("t1",))


@pytest.mark.parametrize(
    "label",
    [
        "\u0422\u0031",  # a Cyrillic letter
        "\uff34\uff11",  # full-width
        "T  1",
        " T1",
        "T1 ",
        "T\u00a01",  # a space that does not break
        "T\u200b1",  # a space of no width
        "T\t1",
        "T\u20101",  # a hyphen of its own
        "\u2f00",  # a radical that looks like one
        "",
        "T" * 201,
    ],
)
def test_a_label_has_one_form_and_no_letter_that_looks_like_another(sides, label):
    for change in ({"items": (label,)}, {"number": label}):
        with pytest.raises(NotApproved, match=r"looks like another|its one form"):
            sides.dispatch(**{"number": "W-1", "count": 1, **change})

    assert sides.lines()[HK].left == 100


@pytest.mark.parametrize("count", [1, 49, 51])
def test_as_many_pieces_are_labelled_as_a_unit_has(sides, count):
    with pytest.raises(NotApproved, match="another number of items"):
        sides.dispatch(count=count, items=labels(50))

    assert sides.lines()[HK].left == 100
    sides.dispatch(count=50, items=labels(50))


def test_labels_are_of_one_of_several_units(tmp_path):
    limits = tuple(Limit(unit, 100, HK) for unit in ("boxes", "tubes"))
    scene = scene_of("materials", limits=limits)
    amounts = (Amount("boxes", 2), Amount("tubes", 48))
    use = replace(a_use(scene), amounts=amounts, items=("B1", "B2"))
    one = read_use(scene.permit, sign_use(scene.permit, scene.machines[HK], use))

    def signed(lost, items):
        arrival = receipt_for(one, lost, ("lost", items), hour(5))
        return sign_receipt(scene.permit, scene.machines[SZ], one, arrival)

    signed((Amount("tubes", 3),), ())  # of a box that arrived
    signed((Amount("boxes", 1), Amount("tubes", 24)), ("B2",))
    with pytest.raises(Mismatched, match="another number of items"):
        signed((Amount("boxes", 1),), ())
    with pytest.raises(Mismatched, match="another number of items"):
        signed((Amount("tubes", 1),), ("B1",))


def test_labels_that_may_be_of_either_of_two_units_are_refused(tmp_path):
    """Else one box less, unnamed, could be said to be a tube's lack of none."""
    limits = tuple(Limit(unit, 100, HK) for unit in ("boxes", "tubes"))
    scene = scene_of("materials", limits=limits)
    amounts = (Amount("boxes", 2), Amount("tubes", 2))
    use = replace(a_use(scene), amounts=amounts, items=("B1", "B2"))
    book = book_of(scene, tmp_path, HK)

    with pytest.raises(NotApproved, match="as many items as of several units"):
        book.dispatch(approved(scene), use, lambda: hour(1))
    book.close()

    one = read_use(scene.permit, sign_use(scene.permit, scene.machines[HK], use))
    for lost in ((2, 1), (1, 2)):  # of a use from before
        missing = tuple(map(Amount, ("boxes", "tubes"), lost))
        arrival = receipt_for(one, missing, ("lost", ("B1",)), hour(5))
        with pytest.raises(Mismatched, match="another number of items"):
            sign_receipt(scene.permit, scene.machines[SZ], one, arrival)


def test_a_sender_whose_book_was_lost_is_found_out_by_the_receiver(sides, tmp_path):
    sides.receive(sides.dispatch("W-1", 1, items=("T1",)))
    sides.receive(sides.dispatch("W-0", 59))
    sides.books[HK].close()
    for path in (tmp_path / HK).glob("uses.sqlite*"):
        path.unlink()
    sides.books[HK] = book_of(SCENE, tmp_path, HK)

    with pytest.raises(LimitReached):
        sides.receive(sides.dispatch("W-2", 41))
    with pytest.raises(Replayed, match="item"):
        sides.receive(sides.dispatch("W-3", 1, items=("T1",)))
    with pytest.raises(Replayed, match="W-1 was dispatched before"):
        sides.receive(sides.dispatch("W-1", 5))


def test_a_use_has_one_receipt(sides):
    use = sides.dispatch()
    first = sides.receive(use, hours=5)

    assert sides.receive(use, hours=9) == first
    with pytest.raises(Replayed, match="received before"):
        sides.receive(use, Arrival((Amount("tubes", 1),), "lost"))


# --- receipts that do not fit -------------------------------------------------------
def test_nothing_is_received_that_was_not_dispatched(sides):
    use = sign_use(SCENE.permit, SCENE.machines[HK], a_use(SCENE))
    receipt = sides.receive(use)  # signed, so it may have been; its book knows

    with pytest.raises(NotApproved, match="dispatched no such use"):
        sides.take(receipt)


@pytest.mark.parametrize(
    "change",
    [
        {"amounts": [{"unit": "tubes", "count": 9}]},
        {"amounts": [{"unit": "tubes", "count": 11}]},
        {"amounts": []},
        {"amounts": [{"unit": "litres", "count": 10}]},
        {"missing": [{"unit": "tubes", "count": 1}], "reason": "lost"},
        {"reason": "no reason"},
        {"items": ["T9"], "reason": "lost"},
        {
            "amounts": [{"unit": "tubes", "count": 9}],
            "missing": [{"unit": "tubes", "count": 1}],
            "items": ["T1"],
            "reason": "lost",
        },
    ],
)
def test_a_receipt_of_other_amounts_is_refused(sides, change):
    use = sides.dispatch()
    receipt = sides.receive(use)
    changed = state(SCENE.machines[SZ], {**receipt.body, **change})

    with pytest.raises(Mismatched):
        sides.take(changed)

    assert sides.lines()[HK].under_way == 10


@pytest.mark.parametrize(
    ("unit", "count"), [("tubes", 11), ("litres", 1), ("tubes", 0), ("tubes", -1)]
)
def test_no_more_is_missing_than_was_dispatched(sides, unit, count):
    with pytest.raises((Mismatched, NotApproved)):
        sides.receive(sides.dispatch(), Arrival((Amount(unit, count),), "lost"))


def test_only_whom_it_was_sent_to_signs_for_it(sides):
    use = sides.dispatch()
    receipt = sides.receive(use)

    with pytest.raises(NotAParty):
        sides.receive(use, site=HK)
    for signer in (HK, "hub-sz", "coordinator"):
        with pytest.raises(NotApproved, match="forged"):
            sides.take(state(SCENE.machines[signer], dict(receipt.body)))
    with pytest.raises(NotApproved, match="not by whom"):
        sides.take(state(SCENE.machines[HK], {**receipt.body, "site": HK}))


def test_every_changed_byte_of_a_record_is_refused(sides):
    use = sides.dispatch(count=1, items=("T1",))
    receipt = sides.receive(use)
    draw = random.Random(5)  # noqa: S311 - no secret
    for statement, read in ((use, sides.receive), (receipt, sides.take)):
        text = json.dumps(statement.as_json())
        accepted = 0
        for _ in range(400):
            at = draw.randrange(len(text))
            bent = text[:at] + chr(draw.randrange(32, 127)) + text[at + 1 :]
            if bent == text:
                continue
            try:
                table = json.loads(bent)
                read(Statement(table["body"], table["signature"]))
            except (HetaoError, ValueError, LookupError, TypeError):
                continue
            accepted += json.loads(bent) != json.loads(text)
        assert accepted == 0


# --- what the permit does not let leave ---------------------------------------------
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grade": 4}, UngradedRelease),
        ({"grade": 0}, UngradedRelease),
        ({"checks": {}}, UngradedRelease),
        ({"checks": {"consent": SHOWN}}, UngradedRelease),
        ({"checks": {"consent": "seen"}}, NotApproved),
        ({"kind": "payment"}, NotApproved),
        ({"kind": "model_update"}, NotApproved),
        ({"to": HK}, NotAParty),
        ({"to": "hub-sz"}, NotAParty),
        ({"to": "nobody"}, NotAParty),
        ({"site": SZ}, NotAParty),
        ({"amounts": ()}, NotApproved),
        ({"amounts": (Amount("tubes", 0),)}, NotApproved),
        ({"amounts": (Amount("tubes", -5),)}, NotApproved),
        ({"amounts": (Amount("tubes", 1), Amount("tubes", 1))}, NotApproved),
        ({"number": ""}, NotApproved),
        ({"number": "W\n1"}, NotApproved),
        ({"items": ("T1", "T1")}, NotApproved),
        ({"due": "2026-11-22T08:00:00Z"}, NotApproved),
        ({"permit": SHOWN}, NotApproved),
    ],
    ids=str,
)
def test_what_the_permit_does_not_allow_is_not_dispatched(sides, change, error):
    with pytest.raises(error):
        sides.books[HK].dispatch(
            BUNDLE, replace(a_use(SCENE), **change), lambda: hour(1)
        )

    assert sides.lines()[HK].left == 100


def test_a_permit_for_data_has_no_such_uses():
    scene = scene_of("materials").varied()
    with pytest.raises(NotApproved, match="permit for data"):
        sign_use(scene.permit, scene.machines[HK], a_use_of_data(scene))


def a_use_of_data(scene):
    return replace(a_use(SCENE), permit=scene.permit.digest)


@pytest.mark.parametrize(
    ("bundle", "error"),
    [
        (lambda: replace(BUNDLE, notices=BUNDLE.notices[:-1]), NotApproved),
        (lambda: said("suspend"), NotActive),
        (lambda: said("revoke"), NotApproved),
        (lambda: said("close"), NotActive),
    ],
    ids=["unapproved", "suspended", "revoked", "closed"],
)
def test_nothing_is_dispatched_under_a_permit_that_does_not_stand(sides, bundle, error):
    sides.bundle = bundle()

    with pytest.raises(error):
        sides.dispatch()


def said(verb, hours=0.5):
    who = SCENE.identities["ethics-sz"]
    return sign_notice(BUNDLE, who, verb, NOW + hours * HOUR)


def test_nothing_is_dispatched_once_its_lease_has_run_out(sides):
    sides.dispatch("W-1", hours=23.9)

    with pytest.raises(NotActive, match="has not renewed"):
        sides.dispatch("W-2", hours=24.1)


def test_a_revocation_that_was_heard_elsewhere_stops_it(sides):
    sides.heard = said("revoke").notices[-1:]

    with pytest.raises(NotApproved, match="said 'revoke'"):
        sides.dispatch()


def test_what_was_under_way_at_a_revocation_is_signed_for_and_nothing_after(sides):
    before = sides.dispatch("W-1", hours=1)
    after = sides.dispatch("W-2", hours=3)
    sides.heard = said("revoke", 2).notices[-1:]

    sides.receive(before)
    with pytest.raises(NotApproved, match="said 'revoke'"):
        sides.receive(after)


def test_the_stop_switch_stops_dispatch_and_receipt(sides, tmp_path):
    use = sides.dispatch()
    for site in (HK, SZ):
        guard.stop(tmp_path / site, NOW, "")

    with pytest.raises(StoppedHere):
        sides.dispatch("W-2")
    with pytest.raises(StoppedHere):
        sides.receive(use)


# --- dated back ----------------------------------------------------------------------
def dated_back(hours=1.0):
    """A sender's own signature over a time that its book would not have taken."""
    use = a_use(SCENE, hours=hours, due=at(hours + 400))
    return sign_use(SCENE.permit, SCENE.machines[HK], use)


def test_a_use_that_is_dated_back_past_what_is_allowed_is_refused(sides):
    """Its permit was revoked at hour 2; it is said to have left an hour before."""
    sides.heard = said("revoke", 2).notices[-1:]

    with pytest.raises(OutOfTime, match="more than 72 hours before"):
        sides.receive(dated_back(), hours=73.1)
    with pytest.raises(OutOfTime, match="more than 72 hours before"):
        sides.books[SZ].expect(sides.bundle, dated_back(), hour(73.1))

    assert sides.lines(SZ)[HK].left == 100
    sides.receive(dated_back(), hours=72.9)


def test_what_was_noted_in_time_arrives_however_late(sides):
    use = sides.dispatch(hours=1)

    assert sides.books[SZ].expect(sides.bundle, use, hour(2)).use.number == "W-1"
    sides.books[SZ].expect(sides.bundle, use, hour(90))  # again, which changes nothing
    line = sides.lines(SZ, hours=90)[HK]
    sides.take(sides.receive(use, hours=500))

    assert (line.left, line.under_way) == (90, 10)
    assert sides.lines(SZ, hours=501)[HK].received == 10


def test_what_was_noted_is_not_sent_again_with_another_date(sides):
    sides.books[SZ].expect(sides.bundle, dated_back(1), hour(2))

    for again in (0.5, 1.5):
        with pytest.raises(Replayed, match="at another time"):
            sides.receive(dated_back(again), hours=3)


def test_a_site_says_itself_how_far_back_a_use_may_be_dated(sides, tmp_path):
    sides.books[SZ].close()
    sides.books[SZ] = Book(
        SCENE.machines[SZ], trusted_of(SCENE), tmp_path / SZ, allowed=2 * HOUR
    )

    with pytest.raises(OutOfTime, match="more than 2 hours before"):
        sides.receive(dated_back(1), hours=3.1)
    sides.receive(dated_back(1), hours=2.9)


@pytest.mark.parametrize("hours", [-1, 3])
def test_a_use_is_dated_when_it_is_dispatched(sides, hours):
    use = a_use(SCENE, hours=1)
    with pytest.raises(OutOfTime):
        sides.books[HK].dispatch(BUNDLE, use, lambda: hour(hours))


# --- the whole account --------------------------------------------------------------
def test_whoever_holds_every_record_finds_what_no_single_book_shows():
    """Two books of one site, one of them hidden: both spend the whole limit."""
    permit, keys = SCENE.permit, SCENE.machines[HK]
    uses = [sign_use(permit, keys, a_use(SCENE, f"W-{n}", 60)) for n in (1, 2)]
    twice = [sign_use(permit, keys, a_use(SCENE, "W-1", n)) for n in (1, 2)]
    pieces = [
        sign_use(permit, keys, a_use(SCENE, f"W-{n}", 1, items=("T1",))) for n in (1, 2)
    ]

    account(permit, uses[:1], [], NOW)
    with pytest.raises(LimitReached):
        account(permit, uses, [], NOW)
    for records in (twice, pieces):
        with pytest.raises(Replayed):
            account(permit, records, [], NOW)


def test_of_600_random_acts_no_book_ever_says_more_than_was_granted(tmp_path):
    """Both sites dispatch, receive, lose and repeat; the sums hold throughout."""
    sides, draw = Sides(tmp_path), random.Random(7)  # noqa: S311 - no secret
    uses, receipts = [], []
    done = dict.fromkeys(("dispatch", "receive", "take"), 0)

    def act():
        kind = draw.choice(list(done))
        site, other = draw.sample((HK, SZ), 2)
        if kind == "dispatch":
            number = f"{site}-{draw.randrange(40)}"
            count = draw.randrange(-1, 12)
            drawn = labels(draw.choice([count, count, 1]), draw.randrange(400))
            uses.append(sides.dispatch(number, count, site=site, to=other, items=drawn))
        elif kind == "receive" and uses:
            lost = draw.randrange(-1, 4)
            missing = (Amount("tubes", lost),) if lost else ()
            use = draw.choice(uses)
            gone = tuple(use.body["items"][: max(0, lost)])
            arrival = Arrival(missing, "lost" if lost else "", gone)
            receipts.append(sides.receive(use, arrival, site=site))
        elif kind == "take" and receipts:
            sides.take(draw.choice(receipts), site)
        else:
            return
        done[kind] += 1

    for _ in range(600):
        try:
            act()
        except HetaoError:
            continue
    for site in (HK, SZ):
        for line in sides.lines(site).values():
            parts = line.left + line.under_way + line.received + line.missing
            assert parts == line.most == 100
            assert min(line.left, line.under_way, line.received, line.missing) >= 0
    truth = [
        read_use(SCENE.permit, one).use
        for one in {one.signature: one for one in uses}.values()
    ]
    for site in (HK, SZ):
        spent = sum(one.amounts[0].count for one in truth if one.site == site)
        assert spent == 100 - sides.lines(site)[site].left <= 100
    assert min(done.values()) > 10
    sides.close()
