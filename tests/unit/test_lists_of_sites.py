"""Which lists of sites lie too close, and who may be told apart in a sum."""

import pytest

from hetao.errors import TooFewSites
from hetao.release.lists import Summed, check_agrees, summed, tells_few
from support_federation import toy_study

LEAST = 3


def over(sites, apart=""):
    return Summed(frozenset(sites), frozenset(apart))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("abcd", "abc"),
        ("abcde", "abc"),
        ("abcd", "abce"),
        ("abc", "ab:ab"),  # what two hospitals tell of each other leaves the third
        ("abcde:de", "abcf"),
        ("abcd:d", "abd"),  # c is left over, who did not agree
        ("abx", "xefg:x"),  # x may be known, and then a and b are two
        ("abx", "bxefg:bx"),  # and here a is one
        ("abcd", "abce:e"),  # d stands in the first without being named
    ],
)
def test_lists_that_leave_one_or_two_over_are_too_close(one, other):
    lists = [over(*text.split(":")) for text in (one, other)]

    assert tells_few(lists, LEAST)
    assert tells_few(lists[::-1], LEAST)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("abc", "abc"),
        ("abcdef", "abc"),
        ("abcde", "abcfg"),
        ("abcd:d", "abc"),
        ("abcd:d", "abce:e"),
        ("abcd", "abcd:d"),
        ("ab:ab", "abc:abc"),
        ("ab:ab", "cd:cd"),
        ("abc", "abc:abc"),
    ],
)
def test_lists_that_leave_nobody_or_three_or_who_agreed_are_not(one, other):
    lists = [over(*text.split(":")) for text in (one, other)]

    assert not tells_few(lists, LEAST)
    assert not tells_few(lists[::-1], LEAST)


def test_of_three_lists_who_stands_in_all_cancels_and_nobody_else():
    assert tells_few([over("abcd"), over("abc"), over("abc")], LEAST)
    assert tells_few([over("abcd"), over("abc"), over("abd")], LEAST)
    assert not tells_few([over("abcde"), over("abc"), over("abf")], LEAST)
    assert not tells_few([over("abcd", "d"), *[over("abc")] * 2], LEAST)


def test_a_sum_that_asked_for_more_sites_is_still_held_to_that():
    strict = Summed(frozenset("abcdefgh"), frozenset(), 5)

    assert tells_few([strict, over("abcd")], LEAST)
    assert not tells_few([over("abcdefgh"), over("abcd")], LEAST)
    assert not tells_few([strict, over("abc")], LEAST)


def test_a_least_of_one_asks_for_nothing():
    assert not tells_few([over("abcd"), over("abc")], 1)


@pytest.mark.parametrize(
    ("members", "fields", "publishable", "apart"),
    [
        ("abcd", {}, False, ""),
        ("abcd", {}, True, ""),
        ("abcd", {"told_apart": ("d",)}, False, "d"),
        ("abc", {"told_apart": ("d",)}, False, ""),  # d is not summed
        ("abd", {"told_apart": ("d",)}, False, "abd"),  # two are left
        ("ab", {}, False, "ab"),
        ("abcd", {"on_lost_site": "continue"}, False, ""),
        ("abcd", {"on_lost_site": "continue"}, True, "abcd"),
    ],
)
def test_who_may_be_told_apart_follows_from_the_study_and_the_members(
    members, fields, publishable, apart
):
    study = toy_study(sites=tuple("abcd"), **fields)

    found = summed(study, tuple(members), LEAST, publishable=publishable)

    assert found == Summed(frozenset(members), frozenset(apart), LEAST)


def test_a_site_that_does_not_agree_to_be_told_apart_says_so():
    study = toy_study(sites=tuple("abcd"), told_apart=("d",))

    check_agrees("d", True, study)
    check_agrees("a", False, study)
    with pytest.raises(TooFewSites, match="d does not let its own part"):
        check_agrees("d", False, study)
