"""Acts are the same however rows are stored, and however many are read at once."""

import numpy as np
import pytest

from hetao.cdm import acts
from hetao.cdm.acts import act_number, read_acts, read_all_acts, used_columns
from hetao.cdm.engine_duckdb import DuckDBEngine, connect
from hetao.errors import InvalidData
from hetao.ledger.acts import decode_act
from support_acts import write_many_acts

ROWS = 1500


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Return tables of forty people that every test may store anew."""
    folder = tmp_path_factory.mktemp("many")
    write_many_acts(folder, people=40, rows=ROWS)
    with DuckDBEngine(connect(folder / "cdm.duckdb")) as engine:
        engine.connection.execute("CREATE TABLE kept AS FROM measurement")
        yield engine


def _people(engine):
    return engine.fetch("SELECT person_id FROM person")["person_id"].tolist()


def _read(engine):
    people = _people(engine)
    return list(read_all_acts(engine, used_columns(engine), people, ROWS + len(people)))


@pytest.fixture(scope="module")
def expected(engine):
    return _read(engine)


def test_acts_come_by_person_and_number_with_their_rows_by_key(engine, expected):
    assert [one.person for one in expected] == sorted(_people(engine))
    assert sum(one.rows for one in expected) == ROWS + 40
    for one in expected:
        assert one.numbers == sorted(set(one.numbers))
        for number, data in zip(one.numbers, one.data, strict=True):
            act = decode_act(data)
            assert (act.person, act_number(act.visit, act.day)) == (one.person, number)
            keys = [row.values["measurement_id"] for row in act.rows if act.visit]
            assert keys == sorted(keys)


@pytest.mark.parametrize(
    "order",
    ["hash(measurement_id)", "person_id, measurement_id DESC", "measurement_id"],
)
def test_the_order_of_rows_in_storage_changes_no_act(engine, expected, order):
    engine.connection.execute("DELETE FROM measurement")
    engine.connection.execute(f"INSERT INTO measurement FROM kept ORDER BY {order}")

    assert _read(engine) == expected


@pytest.mark.parametrize("rows", [1, 100, 1400])
def test_reading_fewer_rows_at_once_changes_no_act(engine, expected, rows, monkeypatch):
    monkeypatch.setattr(acts, "CHUNK_ROWS", rows)

    assert _read(engine) == expected


def test_a_few_people_are_read_alone(engine, expected):
    some = [expected[n] for n in (3, 17, 18)]
    used = used_columns(engine)

    assert list(read_acts(engine, used, [one.person for one in some])) == some
    assert list(read_acts(engine, used, [])) == []


def test_what_is_nobodys_is_an_act_a_row_in_the_order_of_its_key(engine):
    engine.connection.execute("INSERT INTO care_site (care_site_id) VALUES (7), (5)")
    try:
        (first, *_) = _read(engine)
    finally:
        engine.connection.execute("DELETE FROM care_site")

    assert (first.person, first.rows) == (None, 2)
    wards = [decode_act(data).rows[0].values for data in first.data]
    assert [ward["care_site_id"] for ward in wards] == [5, 7]


def test_texts_arrive_behind_each_other_over_many_batches(engine):
    query = "SELECT range AS n, 'é' || range AS word FROM range(300_000) ORDER BY n"
    found, text = engine.fetch_packed(query, "word")

    assert np.array_equal(found["n"], np.arange(300_000))
    for n in (0, 131_071, 131_072, 299_999):
        begin, end = found["word"][n : n + 2]
        assert text[begin:end].decode() == f"é{n}"
    assert len(found["word"]) == 300_001
    assert found["word"][-1] == len(text)


def test_no_rows_are_no_texts(engine):
    found, text = engine.fetch_packed("SELECT 1::BIGINT AS n, '' AS w LIMIT 0", "w")

    assert (len(found["n"]), found["w"].tolist(), text) == (0, [0], b"")


@pytest.mark.parametrize("cell", ["NULL", "CAST('x' || range AS BIGINT)"])
def test_a_cell_that_is_none_is_refused_and_not_quoted(engine, cell):
    query = f"SELECT CASE WHEN range = 200_000 THEN {cell} ELSE 1 END AS n, 'w' AS w "
    with pytest.raises(InvalidData) as refused:
        engine.fetch_packed(query + "FROM range(250_000)", "w")
    assert "x200000" not in refused.value.what
