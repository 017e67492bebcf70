"""Rules at the edges of each of their words: facts, conditions, answers, their text."""

import datetime
import re
import tomllib
from dataclasses import replace

import pytest

from hetao.errors import FactsMissing, InvalidFacts, InvalidRulebook
from hetao.permit.answering import Answer, Finding, answer, check_allowed
from hetao.permit.conditions import (
    DEEPEST,
    All,
    AnyOf,
    Not,
    condition_from,
    judge,
)
from hetao.permit.conditions import Test as Compared
from hetao.permit.explanation import empty_form, explain
from hetao.permit.facts import Facts, Held, checked_value, facts_from, facts_schema
from hetao.permit.grades import grade
from support_rules import BOOK, SHENZHEN, TODAY, facts

FACTS = BOOK.facts
CORE, YEAR = "data.core", "counts.plain_since_1_january"
DAY = datetime.timedelta(days=1)
TEXT = {"en": "a", "zh-Hant": "甲", "zh-Hans": "甲"}
RULE = next(r for r in BOOK.rules if r.route == "contract" and r.effect == "requires")


def said(*findings, given=None):
    """Return an answer of these findings alone."""
    return Answer(given or facts(SHENZHEN), TODAY, BOOK, findings)


# --- what is missing ------------------------------------------------------------------
def test_a_request_that_no_rule_settles_is_not_allowed():
    found = answer(facts(SHENZHEN), datetime.date(2022, 8, 31), BOOK)

    open_ = replace(found, findings=tuple(f for f in found.findings if not f.asks))
    settled = tuple(f for f in open_.findings if f.rule.effect != "forbids")
    with pytest.raises(FactsMissing, match="pack cn-export settles"):
        check_allowed(replace(open_, findings=settled))


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        (("a", "b", "c"), "missing: a, b, c$"),
        (("a", "b", "c", "d"), "missing: a, b, c and 1 more$"),
        (("a", "b", "c", "d", "e"), "missing: a, b, c and 2 more$"),
    ],
)
def test_three_missing_facts_are_named_and_the_rest_counted(asks, words):
    with pytest.raises(FactsMissing) as caught:
        check_allowed(said(Finding(RULE, "unknown", asks)))

    assert re.search(words, caught.value.what)


def test_a_rule_that_may_apply_makes_a_route_unknown_only_if_its_own_is_higher():
    other = replace(RULE, id="other")

    found = said(Finding(RULE, "applies"), Finding(other, "unknown", (CORE,)))
    higher = replace(other, route="assessment")
    unsure = said(Finding(RULE, "applies"), Finding(higher, "unknown", (CORE,)))

    assert (found.route, unsure.route) == ("contract", "unknown")


# --- conditions -----------------------------------------------------------------------
def nested(form, depth):
    for _ in range(depth):
        form = {"not": form}
    return form


def read(form):
    return condition_from(form, FACTS, {}, "here")


def test_a_condition_is_nested_so_deep_and_no_deeper():
    assert judge(read(nested([CORE, "is", True], DEEPEST)), {CORE: True}).holds

    with pytest.raises(InvalidRulebook, match="nested too deeply"):
        read(nested([CORE, "is", True], DEEPEST + 1))


def test_a_number_is_compared_with_nought_or_more():
    assert judge(read([YEAR, ">=", 0]), {YEAR: 0}).holds

    with pytest.raises(InvalidRulebook, match="whole number"):
        read([YEAR, ">=", -1])


def test_of_parts_that_must_all_hold_one_is_asked_and_of_alternatives_each():
    parts = (Compared("b", "is", True), Compared("a", "is", True))

    assert judge(All(parts), {}).asks == ("b",)
    assert judge(AnyOf(parts), {}).asks == ("a", "b")
    assert judge(Not(AnyOf(parts)), {}).asks == ("a", "b")


def test_what_cannot_be_compared_is_refused_and_not_false():
    with pytest.raises(InvalidRulebook, match="cannot be compared"):
        judge(Compared("a", "has", "b"), {"a": 3})


LONG = "x" * 99


@pytest.mark.parametrize(
    ("form", "letters"),
    [
        ([LONG, "is", True], 60),
        ([CORE, LONG, True], 20),
        (["exporter.exemption", "is", LONG], 60),
        ({"term": LONG}, 60),
    ],
)
def test_of_a_word_that_is_not_known_so_many_letters_are_named(form, letters):
    with pytest.raises(InvalidRulebook) as caught:
        read(form)

    assert re.search(f"(?<!x)x{{{letters}}}(?!x)", str(caught.value))


@pytest.mark.parametrize(
    ("table", "named"),
    [({LONG: 1}, f"'{LONG[:60]}'"), ({"data": {LONG: 1}}, f"'data.{LONG[:75]}'")],
)
def test_of_a_fact_that_is_not_known_so_many_letters_are_named(table, named):
    with pytest.raises(InvalidFacts) as caught:
        facts_from(table, FACTS, set())

    assert named in str(caught.value)


# --- facts ----------------------------------------------------------------------------
def test_an_instrument_is_held_from_its_first_day_to_its_last():
    held = Held("x", "1", TODAY, TODAY + DAY)

    assert [held.holds_on(TODAY + n * DAY) for n in (-1, 0, 1, 2)] == [
        False,
        True,
        True,
        False,
    ]


def test_nought_and_a_largest_number_are_numbers():
    most = 2**53 - 1

    assert checked_value(FACTS[YEAR], 0, "here") == 0
    assert checked_value(FACTS[YEAR], most, "here") == most
    for beyond in (most + 1, -1, True):
        with pytest.raises(InvalidFacts):
            checked_value(FACTS[YEAR], beyond, "here")


def test_the_first_fact_of_a_pack_is_its_first():
    row = {"name": 1, "kind": "yes-no", "ask": TEXT}

    with pytest.raises(InvalidRulebook, match="fact 1"):
        facts_schema([row], "own", {})


BASIS = {"reference": "1"}


@pytest.mark.parametrize(
    ("dates", "is_taken"),
    [({}, True), ({"valid_from": TODAY}, True), ({"valid_until": TODAY}, True)]
    + [
        ({"valid_from": TODAY, "valid_until": TODAY + n * DAY}, n >= 0)
        for n in (-1, 0, 1)
    ],
    ids=str,
)
def test_an_instrument_ends_no_sooner_than_it_begins(dates, is_taken):
    name = next(iter(BOOK.instruments))
    table = {"bases": {name: BASIS | dates}}

    if is_taken:
        (basis,) = facts_from(table, FACTS, set(BOOK.instruments)).bases
        assert basis == Held(name, "1", **dates)
    else:
        with pytest.raises(InvalidFacts, match="lies before"):
            facts_from(table, FACTS, set(BOOK.instruments))


@pytest.mark.parametrize("value", ["1", {"reference": "1", "instrument": "x"}])
def test_an_instrument_that_is_no_table_or_names_itself_is_refused(value):
    name = next(iter(BOOK.instruments))

    with pytest.raises(InvalidFacts, match="a table with a reference"):
        facts_from({"bases": {name: value}}, FACTS, set(BOOK.instruments))


# --- in words -------------------------------------------------------------------------
def test_a_class_that_was_not_lowered_is_not_said_to_be():
    passed = ("min_cell", "dominance", "differencing")

    assert grade("table", 3, passed).why == "table from class 3, every check passed"
    assert grade("table", 2, passed).why == "table of class 2"
    assert grade("table", 2, passed[:2]).why == "not lowered: differencing not passed"


def shown(found):
    return explain(found, "en").splitlines()


def test_an_answer_names_each_digest_by_sixteen_digits():
    found = answer(facts(SHENZHEN), TODAY, BOOK)

    last = shown(found)[-1]

    for digest in (found.digest, found.book.digest, found.facts.digest):
        assert re.search(rf"(?<![0-9a-f]){digest[7:23]}(?![0-9a-f])", last)


def test_an_answer_says_of_each_rule_what_is_held_for_it_and_no_other():
    rules = [r for r in BOOK.rules if r.bases and r.effect == "requires"][:2]
    name = rules[0].bases[0][0]
    given = facts(SHENZHEN, name)
    found = said(*(Finding(rule, "applies") for rule in rules), given=given)

    parts = "\n".join(shown(found)).split("  • ")[1:]

    assert len(parts) == 2
    words = BOOK.instruments[name].name["en"]
    assert parts[0].count("→") == len(rules[0].bases)
    assert f"no. of {name}" in parts[0]
    assert words in parts[0].split("→")[1]
    assert f"no. of {name}" not in parts[1]


def test_an_answer_says_who_signs_and_who_reviews_on_which_side():
    acts = {o.act: r for r in BOOK.rules for o in r.offices if o.side == "each"}
    one = replace(acts["approve"].offices[0], side="SZ")
    rules = (*acts.values(), replace(RULE, offices=(one,)))

    said_of = ["\n".join(shown(said(Finding(r, "applies")))) for r in rules]

    words = dict(zip((*acts, "one"), said_of, strict=True))
    assert "Must approve" in words["approve"]
    assert "Must approve" not in words["review"]
    assert "each side" in words["approve"]
    assert "each side" in words["review"]
    assert "Must approve: " + one.role + ", side SZ" in words["one"]


def test_a_question_names_four_rules_that_ask_it_and_no_rule_that_does_not():
    rules = [replace(RULE, id=f"rule-{n}") for n in range(6)]

    def line(count):
        asking = [Finding(rule, "unknown", (CORE,)) for rule in rules[:count]]
        other = Finding(rules[5], "unknown", (YEAR,))
        text = shown(said(*asking, other))
        return next(one for one in text if one.strip().startswith(f"{CORE} ·"))

    assert "rule-0, rule-1, rule-2, rule-3" in line(4)
    assert "…" not in line(4)
    assert "rule-3 …" in line(5)
    assert "rule-4" not in line(5)
    assert "rule-5" not in line(1)


def test_a_gap_is_named_by_its_pack():
    found = answer(facts(SHENZHEN), datetime.date(2022, 8, 31), BOOK)

    lines = [line for line in shown(found) if "cn-export" in line]

    assert found.gaps == ("cn-export",)
    assert lines[0].startswith("  ")


def test_the_form_has_a_table_for_each_group_and_each_fact_in_its_own():
    text = empty_form(BOOK, "en")
    plain = re.sub(r"(?m)^# (\w+) =  # .*$", r"\1 = 0", text)

    tables = tomllib.loads(plain)

    names = [f"{group}.{key}" for group, rows in tables.items() for key in rows]
    assert names == list(FACTS)


def test_facts_are_stated_by_no_other_digest():
    assert Facts({CORE: True}).digest != Facts({CORE: False}).digest


def test_a_source_may_be_read_so_many_days_ago_and_is_due_the_day_after():
    rule = replace(RULE, verified_on=TODAY - 365 * DAY)
    book = replace(BOOK, rules=(rule,))

    assert book.due(TODAY, 365) == ()
    assert book.due(TODAY + DAY, 365) == (rule,)


def test_a_list_of_choices_holds_any_of_them_each_once():
    fact = FACTS["use.codes"]
    every = list(fact.choices)

    assert checked_value(fact, every[::-1], "here") == tuple(sorted(every))
    assert checked_value(fact, [], "here") == ()
    for wrong in ([*every, every[0]], ["no such code"], every[0]):
        with pytest.raises(InvalidFacts, match="a list, without repeats"):
            checked_value(fact, wrong, "here")
