"""The engine's pseudonyms are HMAC-SHA-256, to the bit."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.cdm.engine_duckdb import connect
from hetao.cdm.macros import make_macros
from hetao.cdm.pseudonym import read_or_make_key
from hetao.errors import InvalidData

ENGINE = connect()  # macros, which hold the key, are each cursor's own
identifiers = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200
)


@given(key=st.binary(min_size=32, max_size=32), identifier=identifiers)
def test_a_pseudonym_is_the_top_63_bits_of_the_hmac(key, identifier):
    digest = hmac.new(key, identifier.encode(), "sha256").digest()
    wanted = int.from_bytes(digest[:8], "big") >> 1

    with ENGINE.cursor() as connection:
        make_macros(connection, key)
        query = "SELECT pseudonym($text::VARCHAR)"
        found = connection.execute(query, {"text": identifier}).fetchone()

    assert found == (wanted,)


def test_a_spoilt_key_is_refused_and_never_replaced(tmp_path):
    path = tmp_path / "pseudonym.key"
    for spoilt in ("", "not hex", "ab" * 31):
        path.write_text(spoilt)

        with pytest.raises(InvalidData):
            read_or_make_key(path)

        assert path.read_text() == spoilt
