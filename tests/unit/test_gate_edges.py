"""The gate's counts at the edges of each of their rules, one number at a time."""

import hmac
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from hetao.analysis import Evidence
from hetao.analysis.combinations import Combinations
from hetao.analysis.magnitudes import Magnitude
from hetao.analysis.sealed_count import numbers_told, rounds_counted
from hetao.errors import (
    Dominated,
    HighLeverage,
    SmallCell,
    SmallCohort,
    TooClose,
    TooManyParameters,
    UseNotAllowed,
)
from hetao.federation.closeness import AskedSet, Room, sets_of
from hetao.permit import new_identity
from hetao.release import differencing
from hetao.release.differencing import (
    ROUNDING,
    UNITS,
    Asked,
    Budget,
    apart,
    budget_of,
    check_room,
    is_near,
    is_over,
    keyed,
    left_over,
    load_of,
    packed,
    told_of,
)
from hetao.release.finals import CLASS_SHARE, FEWEST_DF, final_checks
from hetao.release.grading import _Keyed, lineage
from hetao.release.limits import HGR, check_own_limits
from hetao.release.marks import weights_of
from hetao.release.minimums import (
    check_combinations,
    check_counts,
    check_dominance,
    check_folds,
    check_model,
    check_numbers,
    is_small,
)
from hetao.release.policy import Dominance
from hetao.release.private import GRAIN, grains, margin, probability, scale_of
from hetao.study import Analysis, Minimum
from support_analysis import category, number, study_of

LEAST = Minimum(people=50, cell=10, events=10, share=0.1, leverage=0.5, sites=3)
SITE = "north"


# --- minimum counts -------------------------------------------------------------------
def test_a_count_is_small_below_the_least_and_a_least_of_one_asks_nothing():
    small = {(n, k): is_small(n, k) for n in range(3) for k in (1, 2)}

    assert [pair for pair, is_one in small.items() if is_one] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("field", ["events", "non_events"])
def test_as_many_events_as_the_minimum_are_enough(field):
    check_counts(Evidence(500, **{field: 10}), LEAST, SITE)

    with pytest.raises(SmallCell, match="fewer than 10 people"):
        check_counts(Evidence(500, **{field: 9}), LEAST, SITE)


def test_as_many_people_on_a_columns_side_as_the_minimum_are_enough():
    check_counts(Evidence(500, smallest_side={"a": 10}), LEAST, SITE)

    with pytest.raises(SmallCell, match=r"one side of b\b"):
        check_counts(Evidence(500, smallest_side={"a": 10, "b": 9}), LEAST, SITE)


def test_as_many_people_as_the_minimum_may_make_up_a_models_numbers():
    check_counts(Evidence(500, carriers=LEAST.cell), LEAST, SITE)

    with pytest.raises(SmallCell, match="make up nearly all of the numbers"):
        check_counts(Evidence(500, carriers=LEAST.cell - 1), LEAST, SITE)


def test_a_fold_of_as_many_people_as_the_minimum_is_enough():
    check_folds(Evidence(100, parts=(Evidence(50),) * 2), LEAST, SITE)

    with pytest.raises(SmallCohort, match="in a fold"):
        check_folds(Evidence(100, parts=(Evidence(50), Evidence(49))), LEAST, SITE)


def test_a_model_may_have_as_many_parameters_as_the_share_says():
    check_model(Evidence(50, parameters=5), LEAST, SITE)

    with pytest.raises(TooManyParameters, match="for 10 people"):
        check_model(Evidence(50, parameters=6), LEAST, SITE)


def test_one_person_may_decide_as_much_as_the_minimum_says():
    check_model(Evidence(50, max_leverage=0.5), LEAST, SITE)
    check_model(Evidence(50), LEAST, SITE)

    with pytest.raises(HighLeverage):
        check_model(Evidence(50, max_leverage=0.5001), LEAST, SITE)


EDGE = {"first": 0.5, "two": 0.9, "ratio": 0.1}


@pytest.mark.parametrize(
    ("name", "beyond"), [("first", 0.501), ("two", 0.901), ("ratio", 0.099)]
)
@pytest.mark.parametrize("part", [False, True])
def test_one_or_two_people_may_make_up_as_much_of_a_sum_as_the_policy_says(
    name, beyond, part
):
    def facts(**found):
        one = Evidence(50, magnitudes={"cost": Magnitude(**found)})
        return Evidence(50, parts=(one,)) if part else one

    check_dominance(facts(**EDGE), Dominance(**EDGE), SITE)
    with pytest.raises(Dominated):
        check_dominance(facts(**EDGE | {name: beyond}), Dominance(**EDGE), SITE)


def test_six_rounds_are_counted_at_first_and_each_one_after():
    assert [rounds_counted(at, 25) for at in (0, 5, 6, 9)] == [6, 6, 7, 10]
    assert [rounds_counted(at, 3) for at in (0, 2, 3)] == [3, 3, 4]


def test_a_round_tells_scores_and_half_a_matrix():
    assert [numbers_told(p, 1) for p in (0, 1, 3)] == [0, 2, 9]
    assert numbers_told(3, 4) == 36


def test_as_many_numbers_may_be_told_as_the_share_says():
    most = round(LEAST.told)  # of one person
    rounds = (0, 6)
    facts = Evidence(6, parameters=1)

    check_numbers(facts, rounds, LEAST, SITE, most)
    check_numbers(facts, rounds, LEAST, SITE)
    with pytest.raises(TooManyParameters, match="of 1 parameters"):
        check_numbers(facts, rounds, LEAST, SITE, most + 1)
    with pytest.raises(TooManyParameters, match="of 9 parameters"):
        check_numbers(
            Evidence(6, parts=(Evidence(6, parameters=9),)), rounds, LEAST, "n"
        )


@pytest.mark.parametrize(
    ("found", "is_refused"),
    [
        (None, False),
        (Combinations(), False),
        (Combinations(pair=10, whole=10, possible=1), False),
        (Combinations(pair=9), True),
        (Combinations(whole=9, possible=12), True),  # as many as numbers told
        (Combinations(whole=9, possible=13), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("part", [False, True])
def test_few_who_share_a_combination_that_sums_count_are_refused(
    found, is_refused, part
):
    facts = Evidence(500, parameters=1, combinations=found)
    facts = Evidence(500, parts=(facts,)) if part else facts

    if is_refused:
        with pytest.raises(SmallCell, match="than 10 people in a combination"):
            check_combinations(facts, (0, 6), LEAST, SITE)
    else:
        check_combinations(facts, (0, 6), LEAST, SITE)


# --- noise ----------------------------------------------------------------------------
@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1.0, 10.0])
def test_a_margin_is_the_least_within_which_a_noisy_count_lies(epsilon):
    most = margin(epsilon)

    def within(t):
        return sum(probability(epsilon, at) for at in range(-t, t + 1))

    assert within(most) >= 0.95
    assert most == 0 or within(most - 1) < 0.95
    assert sum(probability(epsilon, n) for n in range(-9999, 9999)) == pytest.approx(1)
    assert probability(epsilon, 2) == probability(epsilon, -2)
    ratio = probability(epsilon, 3) / probability(epsilon, 2)
    assert math.log(ratio) == pytest.approx(-epsilon, rel=1e-6)


def test_of_several_cells_the_margin_is_that_of_a_sum():
    """The variance of a cell's noise, summed here from its distribution."""
    variance = sum(n * n * probability(0.5, n) for n in range(-300, 301))

    assert margin(0.5, 4) == math.ceil(1.959964 * math.sqrt(4 * variance))
    assert margin(0.5, 2) == math.ceil(1.959964 * math.sqrt(2 * variance))


def test_the_scale_lies_a_little_above_and_losses_add_up_in_whole_grains():
    assert 1.0 < scale_of(0.5) * 0.5 < 1.00000001
    assert grains(0.3) * 3 == grains(0.9) == 9 * GRAIN // 10


# --- sets of people -------------------------------------------------------------------
def places(*numbers):
    return np.array(numbers, dtype=np.int64)


def bits(*numbers, size=200):
    return packed(places(*numbers), size)


@pytest.mark.parametrize(("size", "words"), [(1, 1), (64, 1), (65, 2), (128, 2)])
def test_a_set_is_packed_into_whole_words(size, words):
    made = packed(places(0, size - 1), size)

    assert made.shape == (words,)
    assert int(np.bitwise_count(made).sum()) == len({0, size - 1})


@pytest.mark.parametrize("block", [1, 100, 1 << 22])
def test_how_far_sets_lie_apart_does_not_hang_on_how_many_are_looked_at(
    block, monkeypatch
):
    monkeypatch.setattr(differencing, "BLOCK", block)
    mine = bits(1, 2, 3, 150)
    earlier = [
        bits(1, 2, 3, 150),
        bits(1, 2),
        packed(places(1, 2, 63), 64),  # from before anybody had a later place
        bits(),
        packed(places(), 64),
    ]

    found = apart(mine, [one.tobytes() for one in earlier])

    assert found.tolist() == [0, 2, 3, 4, 4]


def test_sets_are_near_that_differ_by_some_but_fewer_than_a_cell():
    assert [is_near(places(n), 10) for n in (0, 1, 9, 10)] == [False, True, True, False]


@pytest.mark.parametrize("ways", [(1, 1), (2, 1), (2, 2), (3, 1), (3, 3)])
def test_what_is_left_of_sums_of_up_to_three_sets_is_counted_by_person(ways):
    rows = list(itertools.product((0, 1), repeat=sum(ways)))
    sets = [
        bits(*(n for n, row in enumerate(rows) if row[k])) for k in range(sum(ways))
    ]
    first = ways[0]

    found = left_over(sets[:first], sets[first:])

    assert found == sum(sum(row[:first]) != sum(row[first:]) for row in rows)


def test_places_follow_from_secret_space_and_identifier_and_from_both_halves():
    ids = np.arange(1, 6, dtype=np.int64)
    pairs = np.stack([ids, ids + 100], axis=1)

    made = keyed(b"s" * 32, "flat", ids)

    assert len(set(made.tolist())) == 5
    key = hmac.digest(b"s" * 32, b"hetao-places-v1\nflat", "sha256")
    block = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - one block
    first = block.update((1).to_bytes(16, "little"))[:8]
    assert int(made[0]) == int.from_bytes(first, "little")
    for other in (
        keyed(b"t" * 32, "flat", ids),
        keyed(b"s" * 32, "omop", ids),
        keyed(b"s" * 32, "flat", pairs),
        keyed(b"s" * 32, "flat", pairs[:, ::-1]),
    ):
        assert not set(made.tolist()) & set(other.tolist())


@pytest.mark.parametrize(
    ("cell", "own", "whole", "parts"),
    [
        (10, None, 10, {9: 0, 10: 10, 11: 10}),
        (10, 5, 10, {4: 0, 5: 5, 9: 5, 10: 10, 11: 10}),
        (10, 20, 10, {9: 0, 10: 10, 25: 10}),
    ],
)
def test_others_must_lie_as_far_apart_as_the_stricter_cell_that_a_part_fills(
    cell, own, whole, parts
):
    room = Room(cell, 0.1, own=own)

    def reach(part, size):
        return room.reach(AskedSet("a", part, bits(), size, places()))

    assert {reach("", size) for size in (1, 9, 10, 99)} == {whole}
    assert {size: reach("p", size) for size in parts} == parts


def test_everybody_of_an_analysis_is_a_set_and_a_part_of_nobody_is_none():
    weights = weights_of(b"s" * 32, 200)
    asked = [
        Asked("a", places(), {"x": places()}, {}),
        Asked("b", places(1, 2), {"y": places(1)}, {}),
    ]

    made = sets_of(asked, weights, 200)

    named = [(one.analysis, one.part, one.size) for one in made]
    assert named == [("a", "", 0), ("b", "", 2), ("b", "y", 1)]


# --- budgets --------------------------------------------------------------------------
def test_what_a_study_shows_of_a_person_is_that_of_its_most_shown_variable():
    all_, some = places(0, 1, 2, 3), places(0, 1)
    asked = [
        Asked("a", all_, {}, {"age": ("mean", "sd"), "sex": ("share",)}),
        Asked("b", all_, {}, {"age": ("mean",)}),  # the same sum, once more
        Asked("c", some, {}, {"age": ("mean",)}),
        Asked("d", places(), {}, {"age": ("mean",)}),
    ]

    load = load_of(asked, 6)

    whole, half = 2 * UNITS // 4, UNITS // 2
    assert load.tolist() == [whole + half, whole + half, whole, whole, 0, 0]
    assert load_of(asked[:1], 4).tolist() == [whole] * 4


def test_what_is_pooled_weighs_less_by_over_how_many_sites_it_is_seen():
    all_ = places(0, 1, 2, 3)
    asked = [
        Asked("a", all_, {}, {"ill": ("age",)}, {"ill": ("age", "sex", "dose")}),
        Asked("b", all_, {}, {}, {"ill": ("sex",), "by": ("age",)}),
    ]

    loads = {over: load_of(asked, 4, over).tolist() for over in (1, 2, 4)}

    assert loads == {over: [(UNITS + 2 * UNITS // over) // 4] * 4 for over in (1, 2, 4)}
    assert load_of(asked[1:], 4).tolist() == [UNITS // 4] * 4
    assert load_of(asked[::-1], 4, 2).tolist() == loads[2]  # in whichever order
    third = UNITS // 3 + 1  # rounded up, and then once more
    assert load_of(asked[1:], 4, 3).tolist() == [-(-third // 4)] * 4


def test_shares_are_rounded_up():
    one = Asked(
        "a", places(0, 1, 2), {}, {"age": ("mean",)}, told=[(places(0, 1, 2), 1)]
    )

    assert load_of([one], 3).tolist() == [-(-UNITS // 3)] * 3
    assert told_of(one, 2, 3).tolist() == [-(-2 * UNITS // 3)] * 3
    assert told_of(
        Asked("a", places(), {}, {}, told=[(places(), 1)]), 1, 2
    ).tolist() == [
        0,
        0,
    ]


def test_a_budget_counts_the_sums_of_whom_most_was_shown():
    load = np.array([UNITS // 2, UNITS // 4, 0], dtype=np.uint64)

    assert budget_of(load, places(0, 1), 0.5) == (1.0, 1.0)
    assert budget_of(load, places(1, 2), 0.5) == (0.5, 1.0)
    assert budget_of(load, places(0, 1, 2), 0.1) == (1.5, pytest.approx(0.3))
    assert budget_of(load, places(2), 0.1) == (0.0, 0.1)
    assert budget_of(load, places(), 0.1) == (0.0, 0.0)


def test_a_share_is_passed_only_beyond_it():
    def load(units):
        return np.array([0, units], dtype=np.uint64)

    spare = UNITS // 10**9

    assert not is_over(load(UNITS // 10 + spare), 0.1)
    assert is_over(load(UNITS // 10 + spare + 1), 0.1)
    assert not is_over(np.zeros(0, dtype=np.uint64), 0.1)


@pytest.mark.parametrize(
    ("used", "band"),
    [
        (0, "<25%"),
        (24, "<25%"),
        (25, "25-50%"),
        (49, "25-50%"),
        (50, "50-75%"),
        (74, "50-75%"),
        (75, "75-100%"),
        (100, "75-100%"),
    ],
)
def test_of_a_budget_a_band_is_told(used, band):
    assert Budget(used, 100, 0).band == band
    assert Budget(0, 100, 7, used / 100).as_json() == {
        "linear_stats": "<25%",
        "intermediate": band,
        "intermediate_used": 7,
    }


def test_a_budget_of_nothing_is_used_up():
    assert Budget(0, 0, 0).band == "75-100%"


def test_there_is_room_to_the_last_sum_and_none_that_nobody_reserved():
    check_room(Budget(10, 10, 0), SITE)
    check_room(Budget(10 + ROUNDING, 10, 0), SITE)

    for budget in (Budget(10 + 2 * ROUNDING, 10, 0), Budget(11, 10, 0), None):
        with pytest.raises(TooClose):
            check_room(budget, SITE)


# --- checks of what is shown ----------------------------------------------------------
ARM, OLD, AGE = (
    category("arm", "a", "b"),
    category("old", "no", "yes"),
    number("age", 18, 100),
)
TABLE = Analysis("t", "table1", variables=("age",))
MODEL = Analysis("m", "logistic", outcome="old", terms=("1", "arm"))
CROSSED = Analysis("c", "linear", outcome="age", terms=("1", "arm:old", "arm"))
NUMERIC = Analysis("n", "logistic", outcome="old", terms=("1", "age"))


COMPARED = {"residual-df": 10, "saturation": 1, "class-disclosure": 0.9}


def outcomes(analysis, shown, changed=(False, 10, 1)):
    study = study_of((ARM, OLD, AGE), analysis)
    found = final_checks(study, analysis.name, shown, changed)
    assert {one["analysis"] for one in found} == {analysis.name}
    _, smallest, base = changed
    compared = {**COMPARED, "small-counts": smallest, "rounding": base}
    assert {one["id"]: one["parameter"] for one in found}.items() <= compared.items()
    return {one["id"]: one["outcome"] for one in found}


@pytest.mark.parametrize(
    ("changed", "counts", "rounding"),
    [
        ((False, 1, 1), "off", "off"),
        ((True, 1, 5), "off", "off"),
        ((False, 2, 1), "pass", "off"),
        ((True, 2, 1), "changed", "off"),
        ((False, 2, 2), "pass", "changed"),
    ],
)
def test_hiding_and_rounding_are_said_where_they_were_asked(changed, counts, rounding):
    found = outcomes(TABLE, {"model": "table1", "rows": []}, changed)

    assert (found["small-counts"], found["rounding"]) == (counts, rounding)


def test_ten_people_beyond_the_parameters_are_enough():
    def residual(people):
        shown = {"model": "logistic", "n": people, "terms": ["1", "arm"]}
        return outcomes(MODEL, shown)["residual-df"]

    assert residual(FEWEST_DF + 2) == "pass"
    assert [residual(n) for n in (FEWEST_DF + 1, None)] == ["flag", "flag"]


@pytest.mark.parametrize(
    ("analysis", "terms", "outcome"),
    [
        (MODEL, 1, "pass"),
        (MODEL, 2, "flag"),
        (CROSSED, 3, "pass"),
        (CROSSED, 4, "flag"),
        (NUMERIC, 9, "pass"),
    ],
    ids=["one", "two", "three of four", "four of four", "a number"],
)
def test_a_model_with_a_parameter_for_each_cell_is_flagged(analysis, terms, outcome):
    shown = {"model": analysis.method, "n": 500, "terms": ["x"] * terms}

    assert outcomes(analysis, shown)["saturation"] == outcome


def a_row(percent, variable="sex"):
    cell = {"percent": percent}
    return {"variable": variable, "level": "f", "label": "", "by_group": [cell]}


@pytest.mark.parametrize(
    ("percent", "outcome"),
    [(0, "flag"), (0.1, "pass"), (89.9, "pass"), (90, "flag"), (None, "pass")],
)
def test_a_group_nearly_all_or_none_of_which_is_alike_is_flagged(percent, outcome):
    shown = {"model": "table1", "rows": [a_row(percent)]}
    assert outcomes(TABLE, shown)["class-disclosure"] == outcome
    nameless = {"model": "table1", "rows": [a_row(percent, "")]}
    assert outcomes(TABLE, nameless)["class-disclosure"] == "pass"


@pytest.mark.parametrize(
    ("survival", "outcome"),
    [([1.0, 0.2], "pass"), ([1.0, 1 - CLASS_SHARE], "flag"), ([], "pass")],
    ids=str,
)
def test_a_curve_that_ends_with_nearly_nobody_is_flagged(survival, outcome):
    shown = {"model": "km", "curves": [{"survival": survival, "stratum": "a"}]}

    assert outcomes(TABLE, shown)["class-disclosure"] == outcome


@pytest.mark.parametrize(
    ("is_share", "value", "outcome"),
    [
        (True, 0.95, "flag"),
        (True, 0.5, "pass"),
        (False, 0.95, "pass"),
        (True, None, "pass"),
    ],
)
def test_a_period_in_which_nearly_all_are_alike_is_flagged(is_share, value, outcome):
    period = {"value": value, "label": "2024"}
    shown = {"model": "indicators", "is_share": is_share, "periods": [period]}

    assert outcomes(TABLE, shown)["class-disclosure"] == outcome


def test_what_is_remembered_of_a_study_is_remembered_by_all_that_it_says():
    one, other = (study_of((ARM, OLD, AGE), each) for each in (TABLE, MODEL))

    assert _Keyed(one) == _Keyed(replace(one))
    assert _Keyed(one) != _Keyed(other)
    assert _Keyed(one) != one.digest
    aged = replace(TABLE, variables=("old",))  # of the same name
    assert [lineage(one, each) for each in (TABLE, aged, TABLE)] == [
        (("flat", "age"),),
        (("flat", "old"),),
        (("flat", "age"),),
    ]


# --- without a permit -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("side", "flags", "is_refused"),
    [("SZ", (HGR,), True), ("HK", (HGR,), False), ("SZ", (), False)],
)
def test_what_is_made_of_genes_leaves_no_mainland_site_without_a_permit(
    side, flags, is_refused
):
    party = new_identity("a").party(side, "site", "An owner")

    if is_refused:
        with pytest.raises(UseNotAllowed, match="made of genes"):
            check_own_limits(party, [], flags, {})
    else:
        check_own_limits(party, [], flags, {})


def test_a_class_is_named_by_its_level_or_its_label_and_briefly():
    labelled = {**a_row(95, "age"), "level": "", "label": "over 90"}
    many = [{**a_row(95), "level": f"{n:03}"} for n in range(99)]

    def says(rows):
        shown = {"model": "table1", "rows": rows}
        found = final_checks(
            study_of((ARM, OLD, AGE), TABLE), "t", shown, (False, 1, 1)
        )
        return next(one["says"] for one in found if one["id"] == "class-disclosure")

    assert says([a_row(95), labelled]) == "age over 90, sex f"
    assert len(says(many)) == 500
