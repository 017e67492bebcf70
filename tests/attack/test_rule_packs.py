"""Packs of rules that are malformed, or that would take something away, are refused."""

import contextlib
import copy
import datetime
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.errors import HetaoError, InvalidRulebook
from hetao.permit import answer
from hetao.permit.conditions import DEEPEST
from hetao.permit.facts import Facts, shipped_facts
from hetao.permit.packs import rulebook_from
from support_rules import BOOK, HONG_KONG, SHENZHEN, TODAY

TEXT = {"en": "a", "zh-Hant": "甲", "zh-Hans": "甲"}
PACK: dict[str, Any] = {
    "pack": {"id": "own", "jurisdiction": "HK", "verified_by": "us", "title": TEXT},
    "instruments": [{"id": "own-paper", "name": TEXT}],
    "terms": {"here": ["hk.ha", "is", True]},
    "rules": [
        {
            "id": "own-rule",
            "title": TEXT,
            "requires": TEXT,
            "applies_when": {"any": [{"term": "here"}, ["data.core", "is", True]]},
            "bases": [["own-paper"]],
            "offices": [{"side": "each", "role": "librarian"}],
            "source": {"title": "a", "article": "1", "url": "https://a.example/"},
            "effective": datetime.date(2020, 1, 1),
            "verified_on": datetime.date(2026, 1, 1),
            "confidence": "high",
        }
    ],
}


def load(pack, base=BOOK):
    return rulebook_from([("own.toml", pack)], shipped_facts(), base)


def changed(*path, to):
    """Return the pack with one place changed; None takes the place away."""
    pack = copy.deepcopy(PACK)
    here: Any = pack
    for step in path[:-1]:
        here = here[step]
    if to is None:
        del here[path[-1]]
    else:
        here[path[-1]] = to
    return pack


def test_a_pack_of_ones_own_is_taken():
    book = load(PACK)

    assert "own-rule" in {rule.id for rule in book.rules}
    assert book.digest != BOOK.digest


RULE = ("rules", 0)
BAD = [
    (("pack",), None),
    (("pack", "id"), "cn-export"),
    (("pack", "title"), {"en": "a"}),
    (("pack", "own"), False),
    (("pack", "digest"), "sha256:0"),
    (("surprise",), {}),
    (("rules",), {}),
    (("facts",), [{"name": "data.core", "kind": "yes-no", "ask": TEXT}]),
    (("facts",), [{"name": "core", "kind": "yes-no", "ask": TEXT}]),
    (("facts",), [{"name": "own.x", "kind": "guess", "ask": TEXT}]),
    (("facts",), [{"name": "own.x", "kind": "choice", "ask": TEXT}]),
    (("instruments", 0, "id"), "cn-standard-contract"),
    (("terms",), {"here": {"term": "here"}}),
    (RULE, 7),
    ((*RULE, "id"), "cn-no-ground"),
    ((*RULE, "id"), None),
    ((*RULE, "title"), {**TEXT, "fr": "a"}),
    ((*RULE, "title"), {**TEXT, "en": " "}),
    ((*RULE, "requires"), None),
    ((*RULE, "forbids"), TEXT),
    ((*RULE, "source"), None),
    ((*RULE, "source", "url"), "http://a.example/"),
    ((*RULE, "source", "article"), ""),
    ((*RULE, "confidence"), "certain"),
    ((*RULE, "effective"), "2020-01-01"),
    ((*RULE, "expires"), datetime.date(2019, 1, 1)),
    ((*RULE, "crossings"), ["data", "smuggling"]),
    ((*RULE, "crossings"), []),
    ((*RULE, "crossings"), 7),
    ((*RULE, "bases"), [["no-such-paper"]]),
    ((*RULE, "bases"), [[]]),
    ((*RULE, "offices", 0, "side"), "GZ"),
    ((*RULE, "offices", 0, "act"), "watch"),
    ((*RULE, "clock"), {"count": 3, "unit": "fortnights", "start": "expiry"}),
    ((*RULE, "route"), "exempt"),
    ((*RULE, "condition"), "true"),
    ((*RULE, "applies_when"), "__import__('os').system('true')"),
    ((*RULE, "applies_when"), ["no.such", "is", True]),
    ((*RULE, "applies_when"), ["hk.ha", ">=", 1]),
    ((*RULE, "applies_when"), ["hk.ha", "is", "true"]),
    ((*RULE, "applies_when"), ["hk.ha", "is not", True]),
    ((*RULE, "applies_when"), ["request.crossing", "is", "smuggling"]),
    ((*RULE, "applies_when"), ["request.crossing", "in", []]),
    ((*RULE, "applies_when"), ["exporter.people_processed", ">=", -1]),
    ((*RULE, "applies_when"), ["exporter.people_processed", ">=", 1.5]),
    ((*RULE, "applies_when"), ["exporter.people_processed", ">=", True]),
    ((*RULE, "applies_when"), {"all": []}),
    ((*RULE, "applies_when"), {"any": []}),
    ((*RULE, "applies_when"), {"all": [], "any": []}),
    ((*RULE, "applies_when"), {"term": "elsewhere"}),
    ((*RULE, "applies_when"), {}),
    ((*RULE, "applies_when"), []),
]


@pytest.mark.parametrize(("path", "to"), BAD)
def test_a_malformed_pack_is_refused_and_the_place_is_named(path, to):
    with pytest.raises(InvalidRulebook, match=r"own\.toml"):
        load(changed(*path, to=to))


def test_a_condition_nested_without_end_is_refused():
    form: Any = ["hk.ha", "is", True]
    for _ in range(500):
        form = {"not": form}

    with pytest.raises(InvalidRulebook, match="nested too deeply"):
        load(changed(*RULE, "applies_when", to=form))


def test_a_condition_as_deep_as_may_be_is_taken():
    form: Any = ["hk.ha", "is", True]
    for _ in range(DEEPEST):
        form = {"any": [form]}

    load(changed(*RULE, "applies_when", to=form))
    with pytest.raises(InvalidRulebook, match="nested too deeply"):
        load(changed(*RULE, "applies_when", to={"any": [form]}))


def test_lists_nested_without_end_are_refused():
    form: Any = []
    for _ in range(500):
        form = [form]

    with pytest.raises(InvalidRulebook, match="nested too deeply"):
        load(changed(*RULE, "applies_when", to=form))


@pytest.mark.parametrize("says", ["forbids", "notes"])
@pytest.mark.parametrize("asks", ["bases", "offices"])
def test_only_what_requires_asks_for_somebody_or_something(says, asks):
    pack = changed(*RULE, "requires", to=None)
    rule = pack["rules"][0]
    rule[says] = TEXT
    rule.pop({"bases": "offices", "offices": "bases"}[asks])

    with pytest.raises(InvalidRulebook, match="only what requires"):
        load(pack)


def test_a_rule_may_be_in_force_for_one_day():
    day = PACK["rules"][0]["effective"]
    book = load(changed(*RULE, "expires", to=day))

    rule = next(one for one in book.rules if one.id == "own-rule")
    days = [day + datetime.timedelta(days=n) for n in (-1, 0, 1)]
    assert [rule.is_in_force(one) for one in days] == [False, True, False]


def test_an_instrument_that_is_there_is_not_named_anew():
    pack = changed("instruments", 0, "id", to="cn-standard-contract")
    pack["rules"][0]["bases"] = [["cn-standard-contract"]]

    with pytest.raises(InvalidRulebook, match="is there already"):
        load(pack)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["all", "any", "not", "term", "id"]), inner, max_size=2
        )
    ),
    max_leaves=8,
)


@given(
    place=st.sampled_from([p for p, _ in BAD]),
    value=junk,
)
def test_whatever_stands_in_a_pack_it_is_loaded_or_refused_in_our_words(place, value):
    pack = changed(*place, to=0 if value is None else value)

    with contextlib.suppress(HetaoError):
        load(pack)


@given(
    values=st.sampled_from([SHENZHEN, HONG_KONG]),
    forbids=st.booleans(),
    always=st.booleans(),
    gone=st.sets(st.sampled_from(sorted(SHENZHEN)), max_size=3),
)
def test_a_pack_of_ones_own_adds_and_never_takes_away(values, forbids, always, gone):
    pack = copy.deepcopy(PACK)
    if forbids:
        rule = pack["rules"][0]
        rule["forbids"] = rule.pop("requires")
        del rule["bases"], rule["offices"]
    if always:
        del pack["rules"][0]["applies_when"]
    given_facts = Facts(values).without(*gone)

    plain = answer(given_facts, TODAY, BOOK)
    more = answer(given_facts, TODAY, load(pack))

    assert set(plain.asks) <= set(more.asks)
    assert {n.one_of for n in plain.needs} <= {n.one_of for n in more.needs}
    assert {f.rule.id for f in plain.forbidden} <= {f.rule.id for f in more.forbidden}
    assert {f.rule.id for f in plain.unknown} <= {f.rule.id for f in more.unknown}
    assert set(plain.gaps) == set(more.gaps)
    assert plain.route == more.route
    for act in ("approve", "review"):
        asked = plain.offices(["HK", "SZ"], act)
        assert set(asked) <= set(more.offices(["HK", "SZ"], act))


def test_a_pack_as_text_is_read_as_it_is_written():
    book = load(
        tomllib.loads(
            '[pack]\nid="x"\njurisdiction="HK"\nverified_by="u"\n'
            'title={en="a",zh-Hant="a",zh-Hans="a"}\n'
        )
    )

    assert book.rules == BOOK.rules
