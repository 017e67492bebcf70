"""Files that a made-up site exports: what stands in them is what a reader finds."""

import json

import duckdb
import pytest
from lxml import html
from python_calamine import CalamineWorkbook

from hetao.synth.files import (
    Rows,
    write_delimited,
    write_excel,
    write_html,
    write_ndjson,
)
from hetao.synth.identifiers import hkid, reference_key, resident_id

TWO = Rows(
    "SELECT * FROM (VALUES (1, 'a<b & \"c\"', DATE '2015-09-03'), (2, NULL, NULL)) "
    "ORDER BY 1",
    ("Key\n", "Word", "Word"),
)


@pytest.fixture
def engine():
    with duckdb.connect() as connection:
        yield connection


def test_an_html_table_keeps_headers_that_end_in_a_line_end(engine, tmp_path):
    path = write_html(engine, TWO, tmp_path / "a.xls")

    rows = html.fromstring(path.read_bytes()).findall(".//tr")
    assert [cell.text for cell in rows[0]] == ["Key\n", "Word", "Word"]
    assert [cell.text for cell in rows[1]] == ["1", 'a<b & "c"', "2015-09-03"]
    assert [cell.text for cell in rows[2]] == ["2", "\u00a0", "\u00a0"]


def test_a_workbook_keeps_numbers_and_days_as_excel_does(engine, tmp_path):
    kinds = ("number", "text", "date")

    path = write_excel(engine, TWO, tmp_path / "a.xlsx", kinds)

    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_name("Data")
    head, first, second = sheet.to_python()
    assert head == ["Key\n", "Word", "Word"]
    assert first[:2] == [1.0, 'a<b & "c"']
    assert first[2].isoformat() == "2015-09-03"
    assert second == [2.0, "", ""]


def test_a_delimited_file_is_in_the_encoding_asked_for(engine, tmp_path):
    rows = Rows("SELECT '男，“陈”', 1 UNION ALL SELECT NULL, 2", ("性别,码", "n"))

    path = write_delimited(engine, rows, tmp_path / "a.csv", "gb18030")

    assert path.read_bytes().decode("gb18030") == ('"性别,码",n\n男，“陈”,1\n,2\n')


def test_a_line_of_json_is_one_object(engine, tmp_path):
    query = "SELECT to_json({'a': 'x\"y\n', 'b': [1]})::VARCHAR FROM range(2)"

    path = write_ndjson(engine, query, tmp_path / "a.ndjson")

    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 'x"y\n', "b": [1]}] * 2


def test_nothing_but_the_file_asked_for_is_left(engine, tmp_path):
    write_delimited(engine, TWO, tmp_path / "a.csv")
    write_html(engine, TWO, tmp_path / "b.xls")
    write_excel(engine, TWO, tmp_path / "c.xlsx")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.xls", "c.xlsx"]


@pytest.mark.parametrize(
    "made",
    [
        reference_key("n"),
        hkid("n"),
        resident_id("n", "'F'", "DATE '1949-12-31'"),
    ],
)
def test_no_two_people_share_an_identifier(engine, made):
    counted = engine.execute(
        f"SELECT count(DISTINCT {made}) FROM range(1, 100001) AS people(n)"
    ).fetchone()

    assert counted == (100_000,)


def test_no_identity_card_can_bear_a_number_that_is_made(engine):
    mainland = resident_id("n", "'M'", "DATE '2001-01-01'")
    cards = engine.execute(
        f"SELECT {hkid('n')}, {mainland} FROM range(1, 2001) AS people(n)"
    ).fetchall()

    assert not [card for card, _ in cards if is_valid_hkid(card)]
    assert not [card for _, card in cards if is_valid_resident_id(card)]
    assert is_valid_hkid("A123456(3)")
    assert is_valid_resident_id("11010519491231002X")


def is_valid_hkid(card: str) -> bool:
    letter, digits, check = card[0], card[1:7], card[8]
    values = [36, ord(letter) - 55, *map(int, digits)]
    total = sum(w * v for w, v in zip(range(9, 1, -1), values, strict=True))
    return "0123456789A".index(check) == -total % 11


def is_valid_resident_id(card: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(w * int(d) for w, d in zip(weights, card[:17], strict=True))
    return "10X98765432"[total % 11] == card[17]
