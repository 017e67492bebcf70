"""Acts are the same however rows are stored, and however many are read at once."""

import numpy as np
import pytest

from hetao.cdm import acts
from hetao.cdm.acts import act_number, read_acts, read_all_acts, used_columns
from hetao.cdm.engine_duckdb import (
    DuckDBEngine,
    Packed,
    connect,
    connect_read_only,
)
from hetao.errors import InvalidData, UnportablePlan
from hetao.ledger.acts import decode_act
from hetao.ledger.commitments import act_leaf
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
    used = used_columns(engine)
    return _told(read_all_acts(engine, used, people, ROWS + len(people)))


def _told(acts):
    return [one for some in acts for one in some.each()]


@pytest.fixture(scope="module")
def expected(engine):
    return _read(engine)


def test_acts_come_by_person_and_number_with_their_rows_by_key(engine, expected):
    assert [person for person, _, _ in expected] == sorted(_people(engine))
    rows = 0
    for person, numbers, acts_of in expected:
        assert numbers == sorted(set(numbers))
        for number, data in zip(numbers, acts_of, strict=True):
            act = decode_act(data)
            rows += len(act.rows)
            assert (act.person, act_number(act.visit, act.day)) == (person, number)
            keys = [row.values["measurement_id"] for row in act.rows if act.visit]
            assert keys == sorted(keys)
    assert rows == ROWS + 40


@pytest.mark.parametrize(
    "change",
    [
        "visit_occurrence_id = -5",
        f"visit_occurrence_id = {act_number(None, '2020-02-29')}",  # a day's number
        "measurement_date = DATE '10000-01-01'",
        "measurement_date = DATE '0001-01-01' - 1",
        "measurement_date = DATE 'infinity'",
        "measurement_datetime = TIMESTAMP '10000-01-01 00:00:00'",
    ],
    ids=["negative", "a day's", "late", "early", "never", "late time"],
)
def test_what_no_act_could_state_is_not_committed_to(engine, change):
    """It would be packed, and nobody could open it any more."""
    engine.connection.execute("BEGIN")
    try:
        engine.connection.execute(
            f"UPDATE measurement SET {change} WHERE measurement_id = "  # noqa: S608
            "(SELECT min(measurement_id) FROM measurement)"
        )
        with pytest.raises(InvalidData, match="outside of the calendar"):
            used_columns(engine)
    finally:
        engine.connection.execute("ROLLBACK")
    assert used_columns(engine)


def test_a_leaf_is_made_where_acts_stand_and_is_that_of_the_whole_act(engine):
    people = _people(engine)
    (some,) = read_all_acts(engine, used_columns(engine), people, ROWS)
    stream = bytes(n % 251 for n in range(32 * len(some.numbers)))
    data = [act for _, _, acts_of in some.each() for act in acts_of]
    nonces = [stream[n : n + 32] for n in range(0, len(stream), 32)]

    assert some.rows == ROWS + 40
    assert some.leaves(stream) == b"".join(map(act_leaf, nonces, data))
    assert [one for _, _, one in some.each()] == [one for _, _, one in _read(engine)]


@pytest.mark.parametrize(
    "order",
    ["hash(measurement_id)", "person_id, measurement_id DESC", "measurement_id"],
)
def test_the_order_of_rows_in_storage_changes_no_act(engine, expected, order):
    engine.connection.execute("DELETE FROM measurement")
    engine.connection.execute(f"INSERT INTO measurement FROM kept ORDER BY {order}")

    assert _read(engine) == expected


def test_visits_whose_ids_differ_at_their_ends_alone_come_in_their_order(tmp_path):
    write_many_acts(tmp_path, people=8, rows=600)
    with DuckDBEngine(connect(tmp_path / "cdm.duckdb")) as engine:
        engine.connection.execute(
            "UPDATE measurement SET visit_occurrence_id = (1::BIGINT << 62) + "
            "visit_occurrence_id % 1000"
        )
        engine.connection.execute("CREATE TABLE kept AS FROM measurement")
        engine.connection.execute("DELETE FROM measurement")
        engine.connection.execute(
            "INSERT INTO measurement FROM kept ORDER BY hash(measurement_id)"
        )
        found = _read(engine)

    visits = [decode_act(data).visit for _, _, acts_of in found for data in acts_of[1:]]
    assert len({visit >> 12 for visit in visits if visit}) == 1
    for _, numbers, _ in found:
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("fetched", [1, 700, 10_000])
@pytest.mark.parametrize("packed", [1, 100, 1400])
@pytest.mark.parametrize("order", ["person_id", "hash(measurement_id)"])
def test_reading_fewer_rows_at_once_changes_no_act(
    engine, expected, fetched, packed, order, monkeypatch
):
    engine.connection.execute("DELETE FROM measurement")
    engine.connection.execute(f"INSERT INTO measurement FROM kept ORDER BY {order}")
    monkeypatch.setattr(acts, "FETCHED_ROWS", fetched)
    monkeypatch.setattr(acts, "PACKED_ROWS", packed)

    assert _read(engine) == expected


@pytest.mark.parametrize(
    "order", ["person_id, measurement_id DESC", "person_id", "measurement_id"]
)
def test_rows_that_arrive_in_many_pieces_make_the_same_acts(
    engine, expected, order, monkeypatch
):
    """Acts end anywhere in a piece; a later piece may hold earlier rows of one."""
    engine.connection.execute("DELETE FROM measurement")
    engine.connection.execute(f"INSERT INTO measurement FROM kept ORDER BY {order}")
    whole, number = DuckDBEngine.fetch_packed, []

    def in_pieces(self, *asked):
        for piece in whole(self, *asked):
            rows = len(piece.edges) - 1 or len(piece.columns["id"])
            for start in range(0, rows, 7):
                number.append(start)
                yield _piece(piece, slice(start, start + 7))

    monkeypatch.setattr(DuckDBEngine, "fetch_packed", in_pieces)
    assert _read(engine) == expected
    assert len(number) > ROWS // 7


def _piece(rows, some):
    edges, text = rows.edges, rows.text
    if len(edges) > 1:
        edges = edges[some.start : some.stop + 1]
        edges, text = edges - edges[0], bytes(text[edges[0] : edges[-1]])
    return Packed(
        {name: cells[some] for name, cells in rows.columns.items()},
        {name: gone[some] for name, gone in rows.missing.items() if gone[some].any()},
        edges,
        text,
    )


def test_rows_that_are_stored_by_person_are_packed_a_few_people_at_a_time(
    engine, expected, monkeypatch
):
    engine.connection.execute("DELETE FROM measurement")
    engine.connection.execute("INSERT INTO measurement FROM kept ORDER BY person_id")
    monkeypatch.setattr(acts, "PACKED_ROWS", 100)
    people, used = _people(engine), used_columns(engine)
    found = list(read_all_acts(engine, used, people, ROWS + 40))

    assert len(found) > 10
    assert max(some.rows for some in found) < 300
    assert _told(found) == expected


def test_a_few_people_are_read_alone(engine, expected):
    some = [expected[n] for n in (3, 17, 18)]
    used = used_columns(engine)

    assert _told(read_acts(engine, used, [person for person, _, _ in some])) == some
    assert _told(read_acts(engine, used, [])) == []


def test_what_is_nobodys_is_an_act_a_row_in_the_order_of_its_key(engine):
    engine.connection.execute("INSERT INTO care_site (care_site_id) VALUES (7), (5)")
    try:
        (first, *_) = _read(engine)
    finally:
        engine.connection.execute("DELETE FROM care_site")

    person, _, acts_of = first
    wards = [decode_act(data).rows[0].values for data in acts_of]
    assert person is None
    assert [ward["care_site_id"] for ward in wards] == [5, 7]


def test_texts_arrive_behind_each_other_over_many_batches(engine):
    numbers = np.arange(300_000)
    engine.load("many", {"n": numbers})
    plan = "SELECT n, 'é' || CAST(n AS VARCHAR) AS word FROM many ORDER BY n"
    pieces = engine.fetch_packed(plan, "word")

    assert len(pieces) > 1
    assert np.array_equal(np.concatenate([p.columns["n"] for p in pieces]), numbers)
    for columns, missing, edges, text in pieces:
        words = [f"é{n}".encode() for n in columns["n"].tolist()]
        assert not missing
        assert list(columns) == ["n"]
        assert bytes(text) == b"".join(words)
        assert edges.tolist() == np.cumsum([0, *map(len, words)]).tolist()


def test_what_is_missing_is_told_over_many_batches(engine):
    numbers = np.arange(300_000)
    engine.load("many", {"n": np.ma.MaskedArray(numbers, mask=numbers % 7 == 3)})
    pieces = engine.fetch_packed("SELECT n, 1 AS one FROM many")
    assert {name for piece in pieces for name in piece.missing} == {"n"}
    gone = np.concatenate([piece.missing["n"] for piece in pieces])
    found = np.concatenate([piece.columns["n"] for piece in pieces])

    assert np.array_equal(gone, numbers % 7 == 3)
    assert np.array_equal(found[~gone], numbers[~gone])


def test_no_rows_are_no_piece(engine):
    plan = "SELECT person_id AS n, 'w' AS w FROM person"

    assert engine.fetch_packed(plan, "w", " WHERE FALSE") == []


def test_a_cell_that_is_none_is_refused_and_not_quoted(engine):
    engine.load("many", {"n": np.arange(250_000)})
    with pytest.raises(InvalidData) as refused:
        engine.fetch_packed(
            "SELECT CASE WHEN n = 200000 THEN CAST('x' || CAST(n AS VARCHAR) "
            "AS BIGINT) ELSE 1 END AS n FROM many"
        )
    assert "x200000" not in refused.value.what


def test_a_row_of_nobody_in_a_table_of_people_is_refused_and_not_lost(engine):
    """The tables cannot hold one; an engine that finds one says so."""
    engine.load("death", {"person_id": np.ma.MaskedArray([1, 2], mask=[True, False])})
    (found,) = engine.fetch_packed("SELECT person_id AS person FROM death")
    engine.drop("death")

    assert found.missing["person"].tolist() == [True, False]


DIAGNOSED = """
    INSERT INTO condition_occurrence (condition_occurrence_id, person_id,
        condition_concept_id, condition_start_date, condition_type_concept_id,
        visit_occurrence_id, condition_source_value, condition_status_source_value)
    SELECT measurement_id, person_id, 201826, measurement_date, 32817,
        visit_occurrence_id, CASE WHEN measurement_id % 3 > 0 THEN 'é' END,
        CASE WHEN measurement_id % 5 > 0 THEN measurement_source_value END
    FROM measurement WHERE measurement_id % 2 = 0 ORDER BY {order}"""
TOLD = {
    "measurement": ("measurement_id", "measurement_source_value"),
    "condition_occurrence": (
        "condition_occurrence_id",
        "condition_source_value",
        "condition_status_source_value",
    ),
}


@pytest.mark.parametrize("order", ["hash(person_id)", "person_id"])
def test_acts_of_several_tables_hold_the_rows_of_each(tmp_path, order):
    """Every second measurement is a diagnosis too, with two texts, one or none."""
    write_many_acts(tmp_path, people=30, rows=900)
    with DuckDBEngine(connect(tmp_path / "cdm.duckdb")) as engine:
        engine.connection.execute(DIAGNOSED.format(order=order))
        found = _read(engine)
        expected = {
            name: engine.rows(f"SELECT person_id, {', '.join(names)} FROM {name}")  # noqa: S608
            for name, names in TOLD.items()
        }
    rows = [
        (act.person, row)
        for _, _, acts_of in found
        for act in map(decode_act, acts_of)
        for row in act.rows
    ]

    for name, names in TOLD.items():
        told = [
            (person, *(row.values[column] for column in names))
            for person, row in rows
            if row.table == name
        ]
        assert len(told) > 300
        assert sorted(told, key=str) == sorted(expected[name], key=str)


def test_plans_that_are_asked_at_once_answer_in_their_order(tmp_path):
    write_many_acts(tmp_path, people=3, rows=30)
    path = tmp_path / "cdm.duckdb"
    plans = [
        "SELECT person_id AS a FROM person",
        "SELECT measurement_id AS b FROM measurement",
    ]
    for connected in (connect_read_only, connect):
        with DuckDBEngine(connected(path)) as engine:
            for where in (" WHERE person_id > 0", " WHERE person_id < 0"):
                asked = [plan + where for plan in plans]
                alone = [engine.fetch(plan) for plan in asked]
                at_once = engine.fetch_at_once(asked)

                assert [list(one) for one in at_once] == [["a"], ["b"]]
                for one, other in zip(alone, at_once, strict=True):
                    assert all((one[name] == other[name]).all() for name in one)
            with pytest.raises(UnportablePlan):
                engine.fetch_at_once([*plans, "SELECT x FROM person"])
            assert engine.fetch_at_once([]) == []
