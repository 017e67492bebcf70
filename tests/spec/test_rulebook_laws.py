"""Laws of the rulebook: facts taken away never settle, people added never lower."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from hetao.permit import answer
from hetao.permit.facts import Facts
from hetao.permit.rule import ROUTES
from support_rules import BOOK, SHENZHEN

DAYS = st.sampled_from(
    [datetime.date.fromisoformat(text) for text in ("2022-09-01", "2023-12-10")]
    + [
        datetime.date(2024, 3, 21),
        datetime.date(2024, 3, 22),
        datetime.date(2026, 8, 1),
    ]
)
COUNTS = (
    "counts.plain_since_1_january",
    "counts.sensitive_since_1_january",
    "counts.people_since_1_january_last_year",
    "counts.sensitive_since_1_january_last_year",
    "exporter.people_processed",
)


def values_of(fact):
    if fact.kind == "yes-no":
        return st.booleans()
    if fact.kind == "number":
        return st.sampled_from([0, 1, 3, 4, 9_999, 10_000, 99_999, 100_000, 1_000_000])
    if fact.kind == "choice":
        return st.sampled_from(fact.choices)
    return st.lists(st.sampled_from(fact.choices), unique=True, max_size=3).map(tuple)


requests = st.fixed_dictionaries(
    {}, optional={fact.name: values_of(fact) for fact in BOOK.facts.values()}
)


@given(values=requests, day=DAYS, gone=st.data())
def test_a_fact_taken_away_never_settles_a_rule_otherwise(values, day, gone):
    whole = answer(Facts(values), day, BOOK)
    names = gone.draw(st.lists(st.sampled_from(sorted(BOOK.facts)), max_size=8))
    less = answer(Facts(values).without(*names), day, BOOK)

    for before, after in zip(whole.findings, less.findings, strict=True):
        assert after.verdict in (before.verdict, "unknown")
        assert bool(after.asks) == (after.verdict == "unknown")
    if less.route not in ("unknown", whole.route):
        raise AssertionError((whole.route, less.route))


@given(
    day=DAYS,
    counts=st.tuples(*[st.integers(0, 1_200_000)] * len(COUNTS)),
    more=st.tuples(*[st.integers(0, 1_200_000)] * len(COUNTS)),
    sensitive=st.booleans(),
    gba=st.booleans(),
)
def test_people_added_never_lower_the_route(day, counts, more, sensitive, gba):
    base = {**SHENZHEN, "data.sensitive": sensitive, "route.both_in_gba": gba}
    few = dict(zip(COUNTS, counts, strict=True))
    many = {name: few[name] + n for name, n in zip(COUNTS, more, strict=True)}

    routes = [answer(Facts({**base, **c}), day, BOOK).route for c in (few, many)]

    known = [ROUTES.index(route) for route in routes if route != "unknown"]
    assert known == sorted(known)
    assert routes[1] != "unknown" or routes[0] == "unknown"


@given(values=requests, day=DAYS)
def test_the_same_facts_and_day_give_the_same_answer_in_any_order(values, day):
    turned = dict(reversed(list(values.items())))

    one, two = (answer(Facts(v), day, BOOK) for v in (values, turned))

    assert one.digest == two.digest
    assert one.findings == two.findings
