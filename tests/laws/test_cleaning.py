"""`clean` gives a text as people read it, whether it is ASCII or not."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from hetao.cdm.engine_duckdb import connect
from hetao.cdm.macros import SPACES, make_macros

LETTERS = st.sampled_from([*SPACES, *"aZ09-/.'", *"Ａ９！～身份證\u0301é龍"])
CONNECTION = connect()
make_macros(CONNECTION, bytes(32))


def plain(text):
    narrow = (chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in text)
    return unicodedata.normalize("NFC", "".join(narrow).strip(SPACES))


@given(st.text(LETTERS, max_size=8))
def test_clean_makes_full_width_forms_plain_and_trims(text):
    found = CONNECTION.execute("SELECT clean($1)", [text]).fetchone()

    assert found == (plain(text),)


def test_clean_of_nothing_is_nothing():
    assert CONNECTION.execute("SELECT clean(NULL)").fetchone() == (None,)
