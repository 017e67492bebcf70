"""Units: normalising is a projection; a conversion keeps order and can be undone."""

from decimal import Decimal

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from hetao.dictionary import dictionary, normal_unit, unit_text, unit_text_sql

ANALYTES = dictionary().analytes
PIECES = [
    *"xX×*^eE10369/μµuU²³⁹⁰％ＡＢｚ１０／.·°℃℉ \t\u3000\u200b毫升mgdLol'\"",
    "10",
    "10^9/L",
    "mmol/L",
    "**",
]
written = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
measured = st.sampled_from(
    [(name, code) for name, a in ANALYTES.items() for code in a.units]
)
numbers = st.decimals(-(10**6), 10**6, places=6, allow_nan=False)
CONNECTION = duckdb.connect()


@given(text=written)
def test_the_engine_and_python_normalise_alike(text):
    (found,) = CONNECTION.execute(
        f"SELECT {unit_text_sql('$1')}",
        [text],
    ).fetchone()

    assert found == unit_text(text)


@given(text=st.text(max_size=12))
def test_any_text_at_all_is_normalised_alike_and_without_an_error(text):
    (found,) = CONNECTION.execute(
        f"SELECT {unit_text_sql('$1')}",
        [text.replace("\0", "")],
    ).fetchone()

    assert found == unit_text(text.replace("\0", ""))


@given(text=written)
def test_a_known_unit_is_its_own_normal_form(text):
    code = normal_unit(text)

    if code in dictionary().units:
        assert normal_unit(code) == code


@given(pair=measured, x=numbers)
def test_a_conversion_can_be_undone_to_the_last_decimal_kept(pair, x):
    name, code = pair
    a, b = ANALYTES[name].units[code]

    back = (ANALYTES[name].convert(x, code) - b) / a

    # half of the last decimal kept, seen through the factor
    assert abs(back - x) <= Decimal("0.0000005") / a + Decimal("1e-18")


@given(pair=measured, x=numbers, y=numbers)
def test_a_conversion_keeps_the_order_of_values(pair, x, y):
    name, code = pair
    convert = ANALYTES[name].convert

    assert (x <= y) <= (convert(x, code) <= convert(y, code))


@given(name=st.sampled_from(list(ANALYTES)), x=numbers)
def test_a_value_in_the_canonical_unit_is_left_as_it_is(name, x):
    assert ANALYTES[name].convert(x, ANALYTES[name].unit) == x
