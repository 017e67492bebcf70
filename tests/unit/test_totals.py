"""Two hubs' signed sums, at the edges of what whoever reads them believes."""

import numpy as np
import pytest

from hetao.analysis import Sum
from hetao.canonical import digest_bytes
from hetao.errors import (
    BadEnvelope,
    BadSignature,
    ChangedSum,
    WrongShape,
    WrongStudy,
)
from hetao.federation.totals import check_tags, check_total, total_of
from hetao.permit import state
from hetao.release import add, encode, mask, split, tag_digest, tag_of, tag_text
from hetao.release.tag import split_tag
from support_permit import Scene

SCENE = Scene()
HUBS = ("hub-hk", "hub-sz")
SITES = ("a", "b")
KEY = bytes(range(16))
DECLARED = {"m": Sum((2, 2), 1.0), "v": Sum((3,), 1.0), "n": Sum((), 1.0)}
VALUES = np.arange(8.0)


def sites_words():
    ones = np.ones(1)
    return [encode(np.concatenate([n * VALUES, ones]), 2) for n in (1, 2)]


def hubs_words():
    """Return one (2, n + 1) of each hub, which hold together what the sites have."""
    first, second = [], []
    for part in sites_words():
        seed, rest = split(part, lambda size: b"s" * size)
        first.append(part - rest)
        second.append(rest)
        assert len(seed) == 16
    return [add(first), add(second)]


# --- one hub's sum --------------------------------------------------------------------
WORDS = hubs_words()[0]
EXPECTED = {"task": "t", "round": 0, "shares": {"a": "x", "b": "y"}}


def signed(hub="hub-hk", words=WORDS, **fields):
    body = {**EXPECTED, "words": digest_bytes(words.astype("<u8").tobytes()), **fields}
    return state(SCENE.machines[hub], body)


def test_what_a_hub_signed_for_this_place_is_its_sum():
    check_total("hub-hk", signed(), WORDS, EXPECTED, SCENE.permit)


@pytest.mark.parametrize(
    ("total", "words", "error", "says"),
    [
        (signed("hub-sz"), WORDS, BadSignature, "signature"),
        (signed(round=1), WORDS, WrongStudy, "another study, run or task"),
        (signed(task=None), WORDS, WrongStudy, "another study, run or task"),
        (signed(shares={"a": "x"}), WORDS, BadEnvelope, "added other shares"),
        (signed(words=WORDS[0]), WORDS[0], WrongShape, "of another shape"),
        (signed(words=WORDS[:1]), WORDS[:1], WrongShape, "of another shape"),
        (signed(), WORDS.view(np.int64), WrongShape, "of another shape"),
        (signed(), WORDS + np.uint64(1), BadEnvelope, "another sum than it signed"),
    ],
    ids=[
        "another hub",
        "another round",
        "no task",
        "other shares",
        "one row",
        "one of two",
        "signed words",
        "other words",
    ],
)
def test_anything_else_is_none(total, words, error, says):
    with pytest.raises(error, match=says):
        check_total("hub-hk", total, words, EXPECTED, SCENE.permit)


# --- both together --------------------------------------------------------------------
def test_both_sums_hold_the_arrays_in_their_order():
    found = total_of(hubs_words(), DECLARED, "t", members=2)

    assert list(found) == ["m", "v", "n"]
    assert found["m"].tolist() == [[0, 3], [6, 9]]
    assert found["v"].tolist() == [12, 15, 18]
    assert found["n"].shape == ()
    assert found["n"] == 21
    assert total_of(hubs_words(), DECLARED, "t")["n"] == 21


def test_a_sum_of_another_length_or_of_fewer_parts_is_none():
    both = hubs_words()

    for members in (1, 3):
        with pytest.raises(WrongShape, match="one part from each member"):
            total_of(both, DECLARED, "t", members)
    for words in (
        [both[0], both[1][:, 1:]],
        [np.pad(w, ((0, 0), (0, 1))) for w in both],
    ):
        with pytest.raises(WrongShape, match="another length than declared"):
            total_of(words, DECLARED, "t")


# --- tags -----------------------------------------------------------------------------
def tagged():
    """Return what hubs sent and signed of the tags of both sites."""
    first = second = 0
    for site, part in zip(SITES, sites_words(), strict=True):
        tag, seed = tag_of(part, KEY, SITES, site), b"s" * 16
        first += mask(seed, part.size)
        second += split_tag(tag, seed, part.size)
    tags = dict(zip(HUBS, (first, second), strict=True))
    totals = {hub: signed(hub, tag=tag_digest(tag)) for hub, tag in tags.items()}
    return {hub: tag_text(tag) for hub, tag in tags.items()}, totals


def receipts(**keys):
    return {
        site: state(SCENE.machines["hospital-hk"], {"key": keys.get(site, KEY.hex())})
        for site in SITES
    }


def test_what_both_hubs_hold_is_what_the_sites_tagged():
    tags, totals = tagged()

    check_tags(hubs_words(), tags, totals, receipts(), SITES, "t")


def test_a_sum_that_a_hub_changed_is_not():
    tags, totals = tagged()
    words = hubs_words()
    words[1][0, 0] += np.uint64(1)

    with pytest.raises(ChangedSum, match="a hub changed it"):
        check_tags(words, tags, totals, receipts(), SITES, "t")


def test_sites_that_tagged_with_unlike_keys_are_named():
    tags, totals = tagged()

    with pytest.raises(ChangedSum, match="b tagged t with another key"):
        check_tags(hubs_words(), tags, totals, receipts(b=bytes(16).hex()), SITES, "t")


def test_a_tag_that_the_hub_did_not_sign_is_none_of_its():
    tags, totals = tagged()
    swapped = dict(zip(HUBS, reversed(tags.values()), strict=True))

    with pytest.raises(BadEnvelope, match="another sum of tags than it signed"):
        check_tags(hubs_words(), swapped, totals, receipts(), SITES, "t")


def test_a_sum_of_one_site_is_held_to_its_tag_as_well():
    part, _ = sites_words()
    tags = dict(zip(HUBS, (tag_of(part, KEY, ("a",), "a"), 0), strict=True))
    totals = {hub: signed(hub, tag=tag_digest(tag)) for hub, tag in tags.items()}
    told = {hub: tag_text(tag) for hub, tag in tags.items()}

    check_tags([part, np.zeros_like(part)], told, totals, receipts(), ("a",), "t")
    with pytest.raises(ChangedSum):
        check_tags([part, part], told, totals, receipts(), ("a",), "t")
