"""Answers that are subtracted from each other: what a site's memory refuses.

`Memory` stands here for a site: each `ask` is a study of one analysis, under a permit
of its own unless it says otherwise. The attacks on whole sites are at the end.
"""

import datetime
import itertools
import multiprocessing
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from hetao.errors import InvalidNetwork, TooClose
from hetao.federation.memory import REMEDY, WORDS, Memory, Purpose, Room
from hetao.federation.memory_key import read_or_make
from hetao.release import marks
from hetao.release.differencing import Asked, apart, keyed, packed
from support_memory import CELL, LATER, MOST_TOLD, NOW, Hospital, N

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench_honest


@pytest.fixture
def hospital(tmp_path):
    made = Hospital(tmp_path)
    yield made
    made.memory.close()


def first(count, people=N):
    return np.arange(people) < count


def without(mask, *who):
    left = mask.copy()
    left[list(who)] = False
    return left


# --- the attacks of old -------------------------------------------------------------
@pytest.mark.parametrize("few", [1, 2, CELL - 1])
def test_a_cohort_and_then_the_same_without_a_few_is_refused(hospital, few):
    hospital.ask(first(500))

    with pytest.raises(TooClose):
        hospital.ask(without(first(500), *range(few)))


@pytest.mark.parametrize("few", [1, CELL - 1])
def test_a_cohort_and_then_the_same_with_a_few_more_is_refused(hospital, few):
    hospital.ask(first(500))

    with pytest.raises(TooClose):
        hospital.ask(first(500 + few))


def test_the_people_of_one_snapshot_are_never_known_by_two_columns(tmp_path):
    memory, everybody = Memory(tmp_path), np.arange(N)

    def ask(space, people, snapshot="s"):
        asked = Asked("model", np.unique(memory.places(space, people)), {}, {})
        purpose = Purpose(f"of {len(people)}", str(space), snapshot, space, LATER)
        memory.reserve(purpose, [asked], Room(CELL, 0.1), NOW)

    ask("flat who", everybody)
    for others in (everybody, everybody[1:], everybody[::2]):
        with pytest.raises(TooClose, match=WORDS):
            ask("flat ", others)
    ask("flat who", everybody[::2])
    ask("flat ", everybody[1:], snapshot="curated again")


def test_as_many_people_of_whom_some_were_swapped_are_refused(hospital):
    """Of the same size, so no count tells that they differ."""
    hospital.ask(first(500))
    swapped = without(first(500), 0)
    swapped[700] = True

    with pytest.raises(TooClose):
        hospital.ask(swapped)


@pytest.mark.parametrize("apart_by", [0, CELL, 200])
def test_the_same_people_and_people_who_differ_by_a_cell_are_answered(
    hospital, apart_by
):
    hospital.ask(first(500))

    hospital.ask(first(500 + apart_by))


def test_a_tracker_of_all_but_a_few_is_refused_where_the_site_is_known(tmp_path):
    """The site's own yearly report gives the rest: everybody."""
    hospital = Hospital(tmp_path, everyone=N)

    with pytest.raises(TooClose):
        hospital.ask(first(N - 1))
    hospital.ask(first(N))
    hospital.memory.close()


def test_a_tracker_in_two_halves_is_refused(hospital, record_property):
    """C and T, then C and not T: their sum is C, and C without one person was shown."""
    everybody, women = first(N), np.arange(N) % 2 == 0
    hospital.ask(without(everybody, 0))

    with pytest.raises(TooClose):
        hospital.ask(everybody)
    hospital.ask(women)
    with pytest.raises(TooClose):
        hospital.ask(without(women, 0))
    record_property("figure", "whole and halves: 2 of 2 refused")


def test_an_outcome_that_differs_by_a_few_over_the_same_people_is_refused(hospital):
    """X'y less X'y is the rows of those who have the one outcome and not the other."""
    died, died_a_day_later = first(300), first(301)
    hospital.ask((first(N), {"with the event": died}))

    with pytest.raises(TooClose):
        hospital.ask((first(N), {"with the event": died_a_day_later}))


# --- over analyses, permits, restarts, snapshots --------------------------------------
def test_analyses_of_one_study_over_nearly_the_same_people_are_refused_together(
    hospital,
):
    """Nothing of the study was shown, so what was asked stands in nobody's way."""
    with pytest.raises(TooClose):
        hospital.ask(first(500), first(497))

    hospital.ask(first(497))


def test_parts_of_one_study_are_held_apart_only_where_a_site_can_be_seen(hospital):
    both = (first(N), {"died": first(300)}), (first(N), {"died or ill": first(305)})
    with pytest.raises(TooClose):
        hospital.ask(*both, alone=True)

    hospital.ask(*both)


def test_a_part_and_everybody_else_of_one_study_are_held_apart_no_more(hospital):
    """Of many sites nobody can tell one site's part from the others'."""
    both = first(500), (first(N), {"ill": first(497)})
    with pytest.raises(TooClose):
        hospital.ask(*both, alone=True)

    hospital.ask(*both)


@pytest.mark.parametrize(
    ("asked", "what"),
    [(first(501), "the people of model 0"), ((first(N), {"ill": first(501)}), "ill")],
    ids=["everybody", "a part"],
)
def test_the_site_alone_is_told_which_set_lies_too_close(hospital, asked, what):
    hospital.ask(first(500))

    with pytest.raises(TooClose) as caught:
        hospital.ask(asked, alone=True)
    assert what in caught.value.local
    assert what not in str(caught.value)


def test_parts_that_were_shown_beside_each_other_may_be_shown_so_again(hospital):
    both = (first(N), {"died": first(300)}), (first(N), {"worse": first(305)})
    hospital.ask(*both)

    hospital.ask(*both)
    hospital.ask(both[1])
    with pytest.raises(TooClose):
        hospital.ask((first(N), {"worse": first(306)}))


def test_a_part_that_was_shown_beside_another_is_not_shown_beside_others(hospital):
    """Of the first table suppression may have hidden both, for they lie so close."""
    hospital.ask((first(N), {"before": first(305), "after": first(300)}))

    for name, people in (("before", first(305)), ("after", first(300))):
        with pytest.raises(TooClose):
            hospital.ask((first(N), {name: people}))


def test_parts_of_many_sites_are_held_apart_where_a_site_can_be_seen(hospital):
    both = (first(N), {"died": first(300)}), (first(N), {"worse": first(305)})
    hospital.ask(*both, permit="many")

    for one in both:
        with pytest.raises(TooClose):
            hospital.ask(one, alone=True)


def test_a_set_that_was_a_part_is_no_whole_that_was_shown(hospital):
    """Remembered though suppression hid it: 199 of 200 whose value is known."""
    hospital.ask((first(200), {"x known": first(199)}))

    with pytest.raises(TooClose):
        hospital.ask(first(199))


def test_people_left_after_steps_of_one_are_no_wholes_that_were_shown(hospital):
    steps = {f"left after {n}": first(500 + n) for n in range(1, 5)}
    hospital.ask((first(500), steps))

    for people in steps.values():
        with pytest.raises(TooClose):
            hospital.ask(people)


def test_a_set_that_was_a_part_is_held_apart_from_what_others_add_up_to(hospital):
    both = first(400)
    hospital.ask((first(700), {"known": first(401)}))
    hospital.ask(first(200))
    hospital.ask(both & ~first(200))

    with pytest.raises(TooClose):
        hospital.ask(first(401))


def test_a_set_that_was_a_part_is_held_apart_from_the_whole_site(tmp_path):
    hospital = Hospital(tmp_path, everyone=N)
    hospital.ask((first(N), {"known": first(N - 1)}))

    with pytest.raises(TooClose):
        hospital.ask(first(N - 1))
    hospital.memory.close()


def test_a_study_s_own_stricter_cell_makes_the_site_forget_no_part(hospital):
    """Else it would be asked for: then the next study may come close to its parts."""
    hospital.ask((first(N), {"ill": first(300)}), cell=950)

    with pytest.raises(TooClose):
        hospital.ask((first(N), {"ill": first(299)}))


def test_a_study_s_own_stricter_cell_holds_no_part_less_apart(hospital):
    hospital.ask((first(N), {"ill": first(300)}))

    with pytest.raises(TooClose):
        hospital.ask((first(N), {"ill": first(299)}), cell=950)
    hospital.ask((first(N), {"ill": first(500)}), cell=950)


def test_a_part_of_few_is_remembered_where_the_next_study_adds_a_few(hospital):
    hospital.ask((first(N), {"ill": first(5)}))

    with pytest.raises(TooClose):
        hospital.ask((first(N), {"ill": first(12)}))
    hospital.ask((first(N), {"ill": first(N) & ~first(5) & first(30)}))


def test_a_restart_forgets_nothing(hospital):
    hospital.ask(first(500))
    hospital.memory.close()  # nothing is flushed by it; see the test of kills
    hospital.open()

    with pytest.raises(TooClose):
        hospital.ask(first(499))


def test_a_memory_knows_up_to_where_it_has_heard_the_log(hospital):
    assert hospital.memory.heard == 0

    for size in (7, 9):
        hospital.memory.hear(size)
        assert hospital.memory.heard == size


def test_of_the_sums_of_a_log_those_are_unknown_that_were_not_noted_as_sent(hospital):
    hospital.ask(first(500), permit="p")
    noted = {"permit": "p", "run": "run", "task": "model 0/1/0"}
    others = [{**noted, "permit": "q"}, {**noted, "run": "r"}, {**noted, "task": "t"}]

    assert hospital.memory.unknown([noted, *others]) == others


def test_a_memory_that_was_killed_after_it_reserved_has_reserved(hospital):
    hospital.ask(first(500))
    hospital.open()  # a second one; the first was never closed

    with pytest.raises(TooClose):
        hospital.ask(first(499))


def test_a_new_snapshot_with_one_patient_more_is_refused_under_any_permit(hospital):
    hospital.ask(first(500), snapshot="monday")
    hospital.ids = np.append(hospital.ids, 10**9)  # who was admitted on Tuesday
    hospital.places = hospital.memory.places("person", hospital.ids)

    with pytest.raises(TooClose):
        hospital.ask(np.append(first(500), True), snapshot="tuesday")


def test_people_keep_their_places_and_new_ones_are_added(hospital):
    more = np.append(hospital.ids[::-1], [10**9, 10**9 + 1])

    again = hospital.memory.places("person", more)

    np.testing.assert_array_equal(again[:-2], hospital.places[::-1])
    assert sorted(again[-2:]) == [N, N + 1]


def test_what_was_reserved_and_never_sent_ends_with_its_permit(hospital):
    purpose = Purpose("t", "t", "s", "person", LATER)
    asked = [Asked("m", np.sort(hospital.places[:500]), {}, {})]
    room = Room(CELL, 0.1)
    hospital.memory.reserve(purpose, asked, room, NOW)
    with pytest.raises(TooClose):
        hospital.ask(first(499))

    hospital.ask(first(499), now=datetime.datetime(2027, 1, 2, tzinfo=datetime.UTC))


# --- the refusal tells nothing --------------------------------------------------------
def test_every_refusal_is_in_the_same_words(tmp_path):
    hospital = Hospital(tmp_path, everyone=N)
    hospital.ask((first(500), {"died": first(200)}), statistics=1)
    told = set()
    for asked, more in (
        ((first(499),), {}),
        ((first(300), first(299)), {}),
        ((first(N - 1),), {}),
        (((first(600), {"died": first(201)}),), {}),
        ((first(700),), {"statistics": 700}),
    ):
        with pytest.raises(TooClose) as caught:
            hospital.ask(*asked, **more)
        told.add((str(caught.value), caught.value.code))
    hospital.memory.close()

    assert len(told) == 1
    assert WORDS in str(told)
    assert not any(digit in WORDS + REMEDY for digit in "0123456789")


# --- at rest ------------------------------------------------------------------------
def test_the_secret_is_the_site_s_alone_and_no_identifier_is_written(hospital):
    hospital.ids = np.random.default_rng(2).integers(2**60, 2**62, N)
    hospital.places = hospital.memory.places("person", hospital.ids)
    hospital.ask(first(500))
    key, file = hospital.folder / "releases.key", hospital.folder / "releases.sqlite"

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = bytes.fromhex(key.read_text())
    written = b"".join(p.read_bytes() for p in hospital.folder.glob("releases.sqlite*"))
    assert secret not in written
    assert secret.hex().encode() not in written
    assert not any(one.tobytes() in written for one in hospital.ids.astype("<u8"))


def test_places_follow_no_order_of_identifiers(hospital):
    assert abs(np.corrcoef(hospital.ids, hospital.places)[0, 1]) < 0.15


def test_other_secrets_and_other_kinds_of_identifiers_have_nothing_in_common():
    ids = np.arange(200)
    one = keyed(b"a" * 32, "person", ids)

    assert not np.isin(keyed(b"b" * 32, "person", ids), one).any()
    assert not np.isin(keyed(b"a" * 32, "flat", ids), one).any()
    assert len(np.unique(one)) == len(ids)


@pytest.mark.parametrize("loss", ["removed", "another", "cut"])
def test_a_memory_without_its_key_opens_for_nobody(hospital, loss):
    hospital.ask(first(500))
    hospital.memory.close()
    key = hospital.folder / "releases.key"
    if loss == "removed":
        key.unlink()
    else:
        key.write_text("ab" * (32 if loss == "another" else 5))

    with pytest.raises(InvalidNetwork, match=r"releases\.key"):
        Memory(hospital.folder)
    assert key.exists() is (loss != "removed")  # none is made in its place


@pytest.mark.parametrize("text", ["ab" * 31, "ab" * 33, "zz" * 32])
def test_a_key_of_another_length_or_of_other_letters_is_none(tmp_path, text):
    (tmp_path / "k").write_text(text)

    with pytest.raises(InvalidNetwork, match="k is not the key"):
        read_or_make(tmp_path / "k")


def test_differences_are_counted_over_sets_of_every_length():
    draw = np.random.default_rng(1)
    sizes = [1, 63, 64, 65, 640, 2000]
    sets = [draw.random(size) < 0.5 for size in sizes]
    mine = draw.random(2000) < 0.5
    bits = [packed(np.flatnonzero(one), len(one)).tobytes() for one in sets]

    found = apart(packed(np.flatnonzero(mine), 2000), bits)

    padded = [np.pad(one, (0, 2000 - len(one))) for one in sets]
    assert found.tolist() == [int((one != mine).sum()) for one in padded]


# --- the budget ---------------------------------------------------------------------
def test_no_more_is_shown_about_people_than_a_tenth_of_them(hospital):
    for _ in range(10):
        hospital.ask(first(N), statistics=10)

    with pytest.raises(TooClose):
        hospital.ask(first(N), statistics=1)
    with pytest.raises(TooClose):
        hospital.ask(first(20), statistics=1)  # nor about some of them


def test_a_study_that_is_run_again_spends_nothing(hospital):
    for _ in range(5):
        purpose = hospital.ask(first(N), statistics=60, permit="p")
    asked = Asked("model 0", np.sort(hospital.places))

    budget = hospital.memory.budget(purpose, asked, 0.1)

    assert (budget.used, budget.limit) == (pytest.approx(60), 100)
    assert budget.intermediate == 9
    assert budget.as_json() == {
        "linear_stats": "50-75%",
        "intermediate": "<25%",
        "intermediate_used": 9,
    }


def test_people_of_whom_nothing_was_shown_have_their_budget_left(hospital):
    hospital.ask(first(500), statistics=50)

    hospital.ask(~first(500), statistics=50)
    with pytest.raises(TooClose):
        hospital.ask(without(first(N), *range(490)), statistics=1)


def test_who_has_been_shown_too_much_stands_in_the_way_of_nobody_else(hospital):
    """A site that lowers what may be shown refuses those of whom that much was."""
    hospital.share = 1.0
    hospital.ask(first(100), statistics=50, told=900)

    hospital.share, hospital.most_told = 0.1, 1.0
    with pytest.raises(TooClose):
        hospital.ask(first(200))
    with pytest.raises(TooClose):
        hospital.ask(first(200), statistics=0, told=10)
    hospital.ask(~first(500), told=10)


def test_another_snapshot_has_a_budget_of_its_own(hospital):
    hospital.ask(first(N), statistics=100)

    hospital.ask(first(N), statistics=100, snapshot="next year")


def test_a_refused_study_spends_nothing(hospital):
    hospital.ask(first(N), statistics=90)
    with pytest.raises(TooClose):
        hospital.ask(first(N), statistics=20)

    hospital.ask(first(N), statistics=10)


def _reserve(hospital, number):
    purpose = Purpose(f"study {number}", f"permit {number}", "s", "person", LATER)
    asked = Asked("m", np.sort(hospital.places), {}, {"ill": [str(number)]})
    hospital.memory.reserve(purpose, [asked], Room(CELL, 0.1), NOW)


def _spend(folder, first_number, count, answers):
    """Ask for a statistic at a time, each for a study of its own; count answers."""
    hospital = Hospital(folder)
    answered = 0
    for number in range(first_number, first_number + count):
        try:
            _reserve(hospital, number)
            answered += 1
        except TooClose:
            pass
    hospital.memory.close()
    answers.put(answered)


def test_of_1_000_spends_of_several_processes_at_once_no_more_than_the_budget_passes(
    tmp_path,
):
    Hospital(tmp_path).memory.close()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [
        context.Process(target=_spend, args=(tmp_path, number * 250, 250, answers))
        for number in range(4)
    ]
    for worker in workers:
        worker.start()
    answered = sum(answers.get(timeout=300) for _ in workers)
    for worker in workers:
        worker.join()

    assert answered == N // 10


# --- what the rounds of models tell ---------------------------------------------------
def test_models_of_many_permits_tell_no_more_numbers_than_ten_a_person(hospital):
    """What one model may tell, all of them together may: the attacks join them."""
    for _ in range(4):
        hospital.ask(first(N), told=500, rounds=5)

    with pytest.raises(TooClose):
        hospital.ask(first(N), told=1)
    with pytest.raises(TooClose):
        hospital.ask(first(20), told=1)  # nor about some of them
    hospital.ask(first(N))  # what is no model is not meant


def test_a_model_that_is_run_again_tells_the_same_numbers(hospital):
    for _ in range(5):
        purpose = hospital.ask(first(N), told=1000, rounds=6, permit="p")
    asked = Asked("model 0", np.sort(hospital.places))

    budget = hospital.memory.budget(purpose, asked, 0.1, MOST_TOLD)

    assert budget.told == pytest.approx(0.6)
    assert budget.as_json()["intermediate"] == "50-75%"


def test_another_attempt_may_be_asked_at_other_states_and_tells_more(hospital):
    """Its opening alone, which needs no state, is the same numbers again."""
    for course in ("run 1, 1", "run 1, 2", "run 1, 2"):
        hospital.ask(first(N), told=800, rounds=6, permit="p", course=course)
    asked = Asked("model 0", np.sort(hospital.places))
    purpose = hospital.ask(first(N), permit="p")

    budget = hospital.memory.budget(purpose, asked, 0.1, MOST_TOLD)

    assert budget.told == pytest.approx(0.48 + 0.4)
    with pytest.raises(TooClose):
        hospital.ask(first(N), told=800, rounds=6, permit="p", course="run 2, 1")


def test_rounds_beyond_those_counted_and_other_members_tell_more(hospital):
    hospital.ask(first(N), told=1000, rounds=6, permit="p")
    hospital.ask(first(N), told=1000, rounds=7, permit="p")
    hospital.ask(first(N), told=1000, rounds=3, permit="p", members="two of three")

    with pytest.raises(TooClose):
        hospital.ask(first(N), told=1000, rounds=8, permit="p")


def test_a_study_that_would_tell_too_much_reserves_nothing(hospital):
    with pytest.raises(TooClose):
        hospital.ask(first(N), ~first(20), told=6000)

    hospital.ask(first(N), told=10_000)


# --- what pairs do not show, and what the budget does about it ------------------------
A, B = first(300), ~first(300) & first(600)
C = without(first(600), 0)


@pytest.mark.parametrize("order", list(itertools.permutations("ABC")))
def test_three_cohorts_of_which_each_two_lie_apart_and_that_add_up_are_refused(
    hospital, order
):
    """A + B - C is one person, whichever of the three is asked about last."""
    sets = {"A": A, "B": B, "C": C}
    assert np.flatnonzero(A.astype(int) + B - C).tolist() == [0]

    for name in order[:2]:
        hospital.ask(sets[name])
    with pytest.raises(TooClose):
        hospital.ask(sets[order[2]])


def test_three_cohorts_of_one_study_that_add_up_to_nearly_the_third_are_refused(
    hospital,
):
    with pytest.raises(TooClose):
        hospital.ask(A, B, C)


def test_what_was_answered_before_does_not_hide_cohorts_of_one_study_that_add_up(
    hospital,
):
    for n in range(3):
        hospital.ask(first(950 - 20 * n))

    with pytest.raises(TooClose) as caught:
        hospital.ask(A, B, C)
    assert "what other answers add up to" in caught.value.local


def test_cohorts_that_add_up_exactly_or_to_far_from_a_third_are_answered(hospital):
    """Men, women and everybody tell nothing new; nor does what a cell is left of."""
    hospital.ask(A)
    hospital.ask(B)
    hospital.ask(A | B)
    hospital.ask(without(A | B, *range(10)))
    hospital.ask(without(first(300), *range(20, 40)))


THIRDS = {"a": first(200), "b": ~first(200) & first(500), "c": ~first(500) & first(600)}


@pytest.mark.parametrize("last", ["a", "b", "c", "all"])
def test_four_cohorts_of_which_no_three_add_up_and_that_add_up_are_refused(
    hospital, last
):
    """a + b + c - all is one person, whichever of the four is asked about last."""
    sets = {**THIRDS, "all": C}
    assert np.flatnonzero(sum(one.astype(int) for one in THIRDS.values()) - C) == [0]

    for name in sets.keys() - {last}:
        hospital.ask(sets[name])
    with pytest.raises(TooClose):
        hospital.ask(sets[last])


def test_two_cohorts_and_two_others_that_add_up_but_for_one_person_are_refused(
    hospital,
):
    """Men and women, young and old: everybody twice, but for one of the women."""
    men, young = np.arange(N) % 2 == 0, first(400)
    for one in (men, young, ~young):
        hospital.ask(one)

    with pytest.raises(TooClose):
        hospital.ask(without(~men, 1))
    hospital.ask(~men)


def test_four_cohorts_of_one_study_that_add_up_but_for_one_person_are_refused(
    hospital,
):
    with pytest.raises(TooClose):
        hospital.ask(*THIRDS.values(), C)


def test_what_an_earlier_edition_kept_without_marks_is_compared_as_well(hospital):
    for one in (A, THIRDS["c"]):
        hospital.ask(one)
    with hospital.memory._store.transaction() as db:
        db.execute("DELETE FROM mark")
    hospital.memory.close()
    hospital.open()

    with pytest.raises(TooClose):
        hospital.ask(without(A, 0))
    with pytest.raises(TooClose):
        hospital.ask(without(A | THIRDS["c"], 0))


def test_answers_too_many_of_which_lie_alike_to_be_compared_are_refused(
    hospital, monkeypatch
):
    """One cohort and ten others each: few groups tell them apart, threes are many."""
    hospital.share = 10.0
    for n in range(30):
        hospital.ask(first(200) | (first(220 + 10 * n) & ~first(210 + 10 * n)))
    monkeypatch.setattr(marks, "MOST", 20)  # hundreds are alike, whatever the secret

    with pytest.raises(TooClose, match=WORDS) as caught:
        hospital.ask(first(210))
    assert "too many answers lie alike" in caught.value.local
    hospital.ask(~first(500))


def test_five_sets_of_which_no_four_add_up_pass_and_give_one_person_away(hospital):
    """What is left: five sets and more are not compared; the budget bounds how many."""
    fifths = [first(200 * n) & ~first(200 * n - 150) for n in (1, 2, 3, 4)]
    whole = without(np.any(fifths, axis=0), 60)
    for asked in (*fifths, whole):
        hospital.ask(asked)

    left = np.sum(fifths, axis=0) - whole
    assert np.flatnonzero(left).tolist() == [60]


def _guessed(hospital, secret, draw, asked):
    """Return the answers to random half sets, as many as the site gives."""
    sets, sums = [], []
    for _ in range(asked):
        half = draw.random(len(secret)) < 0.5
        try:
            hospital.ask(half)
        except TooClose:
            break
        sets.append(half)
        sums.append(secret[half].sum())
    return np.array(sets, dtype=float), np.array(sums, dtype=float)


def _right(sets, sums, secret):
    """Return the share of people whose yes or no a box-constrained fit finds."""
    fit = lsq_linear(sets, sums, bounds=(0, 1)).x
    return float(((fit > 0.5) == secret).mean())


def test_random_sums_give_rare_people_away_but_no_one_within_the_budget(
    tmp_path,
    record_property,
):
    """200 people, one in ten ill, sums over random halves, 3 draws.

    Guessing that nobody is ill is right for 9 in 10. With a third as many sums as
    people everybody is found, although each set is far from each other; with a tenth
    of them nobody is found above guessing.
    """
    people, free, held, guess = 200, [], [], []
    for seed in range(3):
        draw = np.random.default_rng(seed)
        secret = draw.random(people) < 0.1
        for share, found in ((10.0, free), (0.1, held)):
            hospital = Hospital(tmp_path / f"{seed}-{share}", people, share)
            sets, sums = _guessed(hospital, secret, draw, 80)
            hospital.memory.close()
            found.append(_right(sets, sums, secret))
        guess.append(float((~secret).mean()))
        assert len(sets) <= people / 10

    record_property(
        "figure",
        f"{np.mean(free):.0%} told right naively, {np.mean(held):.0%} here, "
        f"{np.mean(guess):.0%} by guessing",
    )
    assert np.mean(free) > 0.99
    assert np.mean(held) <= np.mean(guess) + 0.01


# --- people who mean no harm --------------------------------------------------------
def test_one_in_a_hundred_honest_questions_at_most_is_refused(
    tmp_path, record_property
):
    """Strata of age, sex and a disease, as studies ask for them, at 100,000 people.

    With women, the old, and old women shown apart; `benchmarks/bench_honest.py` asks
    more hospitals of more sizes.
    """
    asked, refused = bench_honest.asked_of(100_000, tmp_path, seed=11)

    few = sum(refused.values())
    record_property("figure", f"honest questions: {few} of {asked} refused")
    assert asked > 150
    assert few / asked <= 0.01


def test_nobody_has_no_place(hospital):
    none = np.zeros((0, 2), dtype=np.uint64)

    assert hospital.memory.places("flat", none).tolist() == []
    hospital.ask(np.zeros(N, dtype=bool))
