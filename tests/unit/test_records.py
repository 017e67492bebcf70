"""A table becomes a dataclass, or an error that names the field."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.errors import InvalidData, InvalidNetwork, InvalidStudy
from hetao.records import LARGEST_FILE, read_toml, record


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    share: float = 0.5
    is_open: bool = False
    items: tuple[int, ...] = ()
    pair: tuple[float, float] | None = None
    value: int | str = 0
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    notes: dict[str, str] | None = None


def read(table):
    return record(Outer, table, "file.toml [outer]", InvalidStudy)


def test_every_kind_of_field_is_read():
    found = read(
        {
            "name": "a",
            "share": 1,
            "is_open": True,
            "items": [1, 2],
            "pair": [0, 1.5],
            "value": "text",
            "inner": {"size": 3},
            "inners": [{}, {"size": 4}],
            "notes": {"k": "v"},
        }
    )

    assert found == Outer(
        "a",
        1.0,
        True,
        (1, 2),
        (0.0, 1.5),
        "text",
        Inner(3),
        (Inner(1), Inner(4)),
        {"k": "v"},
    )
    assert type(found.share) is float


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (None, "[outer]"),
        ([], "[outer]"),
        ("text", "[outer]"),
        ({}, "'name' is missing"),
        ({"name": "a", "nmae": "b"}, "'nmae'"),
        ({"name": 1}, "name"),
        ({"name": None}, "name"),
        ({"name": "a", "share": "0.5"}, "share"),
        ({"name": "a", "share": True}, "share"),
        ({"name": "a", "is_open": 1}, "is_open"),
        ({"name": "a", "items": 1}, "items"),
        ({"name": "a", "items": "12"}, "items"),
        ({"name": "a", "items": [1, 2.0]}, "items, item 2"),
        ({"name": "a", "items": [True]}, "items, item 1"),
        ({"name": "a", "items": [2**53]}, "items, item 1"),
        ({"name": "a", "pair": [1.0]}, "pair"),
        ({"name": "a", "pair": [1.0, 2.0, 3.0]}, "pair"),
        ({"name": "a", "share": 10**400}, "share"),
        ({"name": "a", "value": 1.5}, "value"),
        ({"name": "a", "value": 10**30}, "value"),
        ({"name": "a", "inner": 5}, "inner"),
        ({"name": "a", "inner": {"size": 1, "x": 2}}, "'x'"),
        ({"name": "a", "inners": [{}, {"size": "1"}]}, "inners, item 2: size"),
        ({"name": "a", "notes": {"k": 1}}, "notes.k"),
    ],
    ids=str,
)
def test_a_bad_table_is_refused_and_the_field_is_named(table, place):
    with pytest.raises(InvalidStudy) as caught:
        read(table)

    assert "file.toml [outer]" in str(caught.value)
    assert place in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(list(Outer.__dataclass_fields__)) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(table=json_values)
def test_any_value_is_a_record_or_that_one_error(table):
    try:
        found = read(table)
    except InvalidStudy:
        return

    assert isinstance(found, Outer)


# --- files --------------------------------------------------------------------------
def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")

    assert read_toml(path, InvalidNetwork) == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        "[a]\nb = '中文'\n".encode("gbk"),
        "a = 1\n".encode("utf-16"),
        "a = 'é'\n".encode("latin-1"),
        b"\xff\xfe\x00",
    ],
)
def test_a_file_in_another_encoding_is_refused(tmp_path, data):
    path = tmp_path / "x.toml"
    path.write_bytes(data)

    with pytest.raises(InvalidData, match=r"x\.toml is not UTF-8"):
        read_toml(path, InvalidNetwork)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a = ",
        "[a",
        "a = 1\na = 2",
        "a = '\0'",
        "a = " + "1" * 5000,
        "a = " + "[" * 50_000,
        "a = " + "[" * 50_000 + "]" * 50_000,
        'a = "\\ud800"',
    ],
    ids=lambda text: text[:12],
)
def test_a_text_that_is_not_toml_is_refused(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidNetwork, match=r"x\.toml is not TOML"):
        read_toml(path, InvalidNetwork)


def test_a_file_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "x.toml"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)

    with pytest.raises(InvalidData, match="16 MiB"):
        read_toml(path, InvalidNetwork)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InvalidData):
            read_toml(path, InvalidNetwork)
