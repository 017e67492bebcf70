"""Sealed counts: two hubs' tokens tell whether a count is small, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hetao.analysis import estimator_for, make_rows, sealed_count
from hetao.analysis.sealed_count import SealedCount, possible, tells_combinations
from hetao.canonical import digest_bytes
from hetao.errors import BadEnvelope, InvalidStudy, WrongShape
from hetao.ledger.sealed_counts import PEOPLE, SITES, TOKEN, finds_few
from hetao.release import add, encode, split, stream
from hetao.release.minimums import counted_before
from hetao.release.sealed_count import MOST_TOKENS, secret_of, tokens_of
from hetao.study import Analysis
from support_analysis import category, number, study_of

SECRET = bytes(range(32))
CELL = 10
counts_of_sites = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 30), min_size=n, max_size=n), min_size=1, max_size=4
    )
)


def shared(table):
    """Return each hub's sum of its shares of counts (sites, n), a part's one beside."""
    first, second = [], []
    for row in table:
        words = encode(np.array([*row, 1.0]), len(table))
        seed, rest = split(words)
        first.append(stream(seed, words.size).reshape(words.shape))
        second.append(rest)
    return add(first), add(second)


def parts_of(raw):
    """Return a hub's tokens, without its nonce."""
    return [raw[at : at + TOKEN] for at in range(TOKEN, len(raw), TOKEN)]


def told(table, cell=CELL, secret=SECRET, other=SECRET, members=None):
    """Return what both hubs would sign of counts, and their tokens."""
    said, tokens = [], []
    many = len(table) if members is None else members
    for at, (words, key) in enumerate(zip(shared(table), (secret, other), strict=True)):
        raw, control = tokens_of(words, key, cell, many, first=at == 0)
        body = {"cell": cell, "combinations": len(table[0]), "control": control}
        said.append({**body, "tokens": digest_bytes(raw)})
        tokens.append(raw)
    return said, tokens


@given(table=counts_of_sites, cell=st.integers(1, 12))
def test_tokens_meet_where_a_count_over_all_sites_is_small_and_nowhere_else(
    table, cell
):
    totals = np.sum(table, axis=0)
    is_small = bool(((totals > 0) & (totals < cell)).any())

    assert finds_few(*told(table, cell), "t") == is_small


@given(table=counts_of_sites)
def test_what_hubs_send_is_as_long_whatever_the_counts(table):
    _, (first, second) = told(table)
    _, (of_none, of_none_too) = told(np.zeros_like(table))

    assert len(first) == len(of_none) == TOKEN * (1 + len(table[0]))
    assert len(second) == len(of_none_too) == TOKEN * (1 + len(table[0]) * (CELL - 1))


def test_tokens_say_nothing_of_which_count_is_small_nor_of_how_small():
    """In no order but their own, and one token of each hub meets, whichever it is."""
    met = []
    for place in range(8):
        table = [[0] * 8, [50] * 8]
        table[0][place], table[1][place] = place + 1, 0
        _, tokens = told(table)
        parts = [parts_of(raw) for raw in tokens]
        assert all(one == sorted(one) for one in parts)
        both = set(parts[0]) & set(parts[1])
        met.append([[one.index(token) for one in parts] for token in both])

    assert [len(one) for one in met] == [1] * 8
    assert len({place[0][0] for place in met}) > 2  # not the small one's own place
    assert len({place[0][1] for place in met}) > 2


def test_tokens_of_other_counts_look_alike():
    """Each bit is set as often as not, of nobody as of fifty people."""
    for count in (0, 3, 50):
        _, tokens = told([[count] * 500])
        for raw in tokens:
            bits = np.unpackbits(np.frombuffer(raw, np.uint8))
            away = abs(bits.mean() - 0.5) * 2 * np.sqrt(len(bits))
            assert away < 5


def test_the_same_shares_have_other_tokens_under_another_secret():
    words, _ = shared([[3, 4, 50]])
    other = bytes(32)

    one, _ = tokens_of(words, SECRET, CELL, 1, first=True)
    two, _ = tokens_of(words, other, CELL, 1, first=True)

    assert set(parts_of(one)).isdisjoint(parts_of(two))


def test_hubs_that_have_no_common_secret_do_not_find_that_nothing_is_small():
    """Unlike tokens never meet: the last word, whose sum is known, must."""
    with pytest.raises(BadEnvelope, match="do not fit together"):
        finds_few(*told([[3, 40]], other=bytes(32)), "t")


def test_hubs_that_added_another_number_of_parts_do_not_either():
    with pytest.raises(BadEnvelope, match="do not fit together"):
        finds_few(*told([[3, 40], [1, 2]], members=3), "t")


@pytest.mark.parametrize("field", ["cell", "combinations", "control"])
def test_counts_that_do_not_fit_together_are_none(field):
    said, tokens = told([[3, 40]])
    said[1] = {**said[1], field: 11}

    with pytest.raises(BadEnvelope):
        finds_few(said, tokens, "t")


def test_tokens_that_are_left_out_doubled_or_not_those_signed_are_refused():
    said, (first, second) = told([[3, 40]])

    def signed(raw):
        return [{**said[0], "tokens": digest_bytes(raw)}, said[1]]

    nonce, (one, two) = first[:TOKEN], parts_of(first)
    turned = nonce + two + one
    for raw in (nonce + one, nonce + one + one, turned):
        with pytest.raises(BadEnvelope):
            finds_few(signed(raw), [raw, second], "t")
    with pytest.raises(BadEnvelope):
        finds_few(said, [turned, second], "t")


def test_two_hubs_make_the_same_secret_for_one_purpose_and_nobody_else_does():
    one, two, three = (X25519PrivateKey.generate() for _ in range(3))
    what = {"run": "r", "task": "m/1/count"}

    secret = secret_of(one, two.public_key(), what)

    assert secret == secret_of(two, one.public_key(), what)
    assert secret != secret_of(three, one.public_key(), what)
    assert secret != secret_of(one, two.public_key(), {**what, "run": "s"})


def test_too_many_tokens_are_refused_before_they_are_made():
    words = np.zeros((2, 3), np.uint64)

    with pytest.raises(WrongShape):
        tokens_of(words, SECRET, MOST_TOKENS, 1, first=False)


# --- what is counted ------------------------------------------------------------------
VARIABLES = (
    category("arm", "no", "yes"),
    category("sex", "f", "m"),
    category("stage", "1", "2", "3"),
    category("ill", "no", "yes"),
    number("age", 18, 100),
)


def model(*terms, method="logistic", sites=("aa", "bb")):
    outcome = "age" if method == "linear" else "ill"
    analysis = Analysis("m", method, outcome=outcome, terms=("1", *terms))
    return estimator_for(study_of(VARIABLES, analysis, sites=sites), analysis)


def columns(n=300, seed=1):
    draw = np.random.default_rng(seed)
    levels = {"arm": 2, "sex": 2, "stage": 3, "ill": 2}
    made = {name: draw.integers(0, many, n) for name, many in levels.items()}
    return made | {"age": draw.integers(18, 100, n).astype(float)}


@pytest.mark.parametrize(
    "terms",
    [
        ("arm", "sex"),
        ("arm", "sex", "stage"),
        ("arm:sex",),
        ("arm", "stage", "arm:stage", "sex"),
        ("arm", "sex", "site"),
    ],
)
def test_the_people_of_each_combination_are_counted_once(terms):
    estimator, data = model(*terms), columns()
    rows = make_rows(estimator.plan, data, "bb")
    names = [n for n in ("arm", "sex", "stage") if any(n in term for term in terms)]
    whole = np.stack([data[name] for name in names], axis=1)
    _, expected = np.unique(whole, axis=0, return_counts=True)

    counts = SealedCount(estimator)
    message = counts.start(rows)
    people = message["people"]

    assert message["sites"].shape == (0,)
    assert sorted(people[people > 0]) == sorted(expected)
    assert len(people) == counts.declare(0)["people"].shape[0]
    assert people.sum() == rows.n


def test_a_column_of_sites_keeps_each_sites_people_apart():
    estimator, data = model("arm", "sex", "site"), columns()
    counts = SealedCount(estimator)

    own = [
        counts.start(make_rows(estimator.plan, data, site))["people"] > 0
        for site in ("aa", "bb")
    ]

    assert not (own[0] & own[1]).any()


@pytest.mark.parametrize(
    ("terms", "combinations"),
    [
        (("arm",), None),  # each site holds both its sides to its minimum
        (("stage",), 3),
        (("arm", "sex"), 4),
        (("arm", "sex", "age"), None),
        (("arm", "sex", "site"), 4),
    ],
)
def test_the_plan_says_which_models_need_a_count(terms, combinations):
    assert possible(model(*terms)) == combinations
    assert tells_combinations(model(*terms)) == (combinations is not None)


def test_a_model_of_other_kinds_needs_none():
    analysis = Analysis("m", "table1", variables=("arm", "age"))

    assert not counted_before(estimator_for(study_of(VARIABLES, analysis), analysis))


@pytest.mark.parametrize(
    ("terms", "method", "counted"),
    [
        (("arm", "sex"), "logistic", (PEOPLE,)),
        (("arm", "sex"), "linear", (PEOPLE, SITES)),  # of a number
        (("arm",), "logistic", ()),
        (("age", "sex"), "logistic", (SITES,)),
        (("age", "site"), "logistic", (SITES,)),
        (("age:site",), "logistic", ()),  # each site's own part by its columns
    ],
)
def test_the_plan_says_what_is_counted_before_a_model(terms, method, counted):
    assert counted_before(model(*terms, method=method)) == counted


def test_what_is_counted_is_asked_of_each_round():
    assert counted_before(model("age"), 40) == (SITES,)


@pytest.mark.parametrize(("apart", "says"), [((), 1), (("bb",), 1), (("aa",), 0)])
def test_a_site_says_once_of_each_number_whether_its_people_differ(apart, says):
    estimator, data = model("age", "arm"), columns()
    counts = SealedCount(estimator, SITES, apart)
    for ages, differs in ((data["age"], says), (np.full(300, 60.0), 0)):
        rows = make_rows(estimator.plan, data | {"age": ages}, "aa")
        message = counts.start(rows)
        assert message["sites"].tolist() == [differs]
        assert message["people"].shape == (0,)
        declared = counts.declare(0)
        assert [declared[n].shape for n in message] == [(0,), (0,), (0,), (1,)]
        assert declared["sites"].low == 0
        assert 1 <= declared["sites"].per_person < 1.1


def test_a_model_of_more_combinations_than_its_rounds_tell_needs_none_until_they_do():
    names = tuple(f"x{i}" for i in range(9))
    analysis = Analysis("m", "logistic", outcome="ill", terms=("1", *names))
    variables = (*(category(n, "no", "yes") for n in names), VARIABLES[3])
    wide = estimator_for(study_of(variables, analysis), analysis)

    due = [tells_combinations(wide, at) for at in range(12)]

    assert due == [at >= 7 for at in range(12)]  # 65 numbers a round, 512 combinations


def test_a_model_of_as_many_combinations_as_its_rounds_tell_needs_one():
    sizes = (2, 3, 6, 7, 7)
    labels = [tuple(str(i) for i in range(size)) for size in sizes]
    names = [f"x{i}" for i in range(len(sizes))]
    analysis = Analysis("m", "logistic", outcome="ill", terms=("1", *names))
    made = [category(n, *few) for n, few in zip(names, labels, strict=True)]
    even = estimator_for(study_of((*made, VARIABLES[3]), analysis), analysis)

    assert possible(even) == 7 * 252  # numbers of a round
    assert [tells_combinations(even, at) for at in (5, 6, 7)] == [False, True, True]


def test_a_count_of_too_many_combinations_with_sites_is_refused():
    many = tuple(str(i) for i in range(300))
    variables = (category("a", *many), category("b", *many), VARIABLES[3])
    analysis = Analysis("m", "logistic", outcome="ill", terms=("1", "a", "b"))

    with pytest.raises(InvalidStudy):
        SealedCount(estimator_for(study_of(variables, analysis), analysis))


def test_a_count_has_one_message_and_no_step():
    counts = SealedCount(model("arm", "sex"))

    with pytest.raises(WrongShape):
        counts.local(make_rows(counts.plan, columns(), "aa"), {})
    with pytest.raises(WrongShape):
        counts.step({}, None, 0)


def test_a_row_that_its_plan_cannot_have_is_refused():
    counts = SealedCount(model("stage", "sex"))
    rows = make_rows(counts.plan, columns(), "aa")

    with pytest.raises(WrongShape):
        counts.start(replace(rows, X=np.ones_like(rows.X)))


def test_as_many_combinations_as_may_be_are_counted(monkeypatch):
    monkeypatch.setattr(sealed_count, "MOST_COMBINATIONS", 4)
    assert SealedCount(model("arm", "sex")).declare(0)["people"].shape == (4,)

    monkeypatch.setattr(sealed_count, "MOST_COMBINATIONS", 3)
    with pytest.raises(InvalidStudy, match="more than 3 combinations"):
        SealedCount(model("arm", "sex"))
