"""Where acts stand in a committed extract: held to a plain listing, and bent."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.canonical import canonical, parse_canonical
from hetao.cdm.acts import read_all_acts
from hetao.cdm.committing import COMMITMENT, EVENTS, FIRSTS, KEYS, read_keys
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.cdm.extract import Extract
from hetao.cdm.standing import GROUP
from hetao.errors import InvalidData, Unverified, Usage
from hetao.ledger.acts import decode_act
from hetao.ledger.commitments import (
    NONCE,
    ORDER,
    TILE,
    PersonKeys,
    act_leaf,
    keyed,
    nonces,
    secret_for,
)
from hetao.ledger.merkle import root
from support_acts import (
    ANNA,
    BO,
    MASTER,
    committed,
    in_plain_order,
    published,
    small_extract,
    write_acts,
    write_many_acts,
)


@pytest.fixture
def extract(tmp_path):
    return small_extract(tmp_path)


# --- held to a plain listing ----------------------------------------------------------
def _listed(extract):
    """Return all acts as (place, which of theirs, bytes), by sorting everybody."""
    used = {name: tuple(names) for name, names in extract.commitment.used.items()}
    found = {None: [], **dict.fromkeys(_in_plain_order(extract), ())}
    for acts in read_all_acts(extract.engine, used, [*found][1:], 10**6):
        found |= {who: data for who, _, data in acts.each()}
    return [
        (place, nth, data)
        for place, theirs in enumerate(found.values())
        for nth, data in enumerate(theirs)
    ]


def _in_plain_order(extract):
    numbers = [who for (who,) in extract.engine.rows("SELECT person_id FROM person")]
    secret = secret_for(MASTER, ORDER, bytes.fromhex(extract.commitment.extract))
    return in_plain_order(numbers, GROUP, secret)


def _root_of(extract, listed):
    wrap = keyed(secret_for(MASTER, NONCE, bytes.fromhex(extract.commitment.extract)))
    keys, _ = read_keys(extract.folder / KEYS, extract.commitment.people)
    leaves = []
    for place, nth, data in listed:
        nonce = nonces(wrap(keys.of(place)), nth + 1)[-32:]
        leaves.append(act_leaf(nonce, data))
    return root(leaves).hex()


@pytest.mark.parametrize(("people", "rows"), [(2500, 9000), (2, 9000), (1, 40)])
def test_all_stands_where_a_plain_listing_has_it(tmp_path, people, rows):
    write_many_acts(tmp_path, people=people, rows=rows)
    extract = committed(tmp_path)
    listed = _listed(extract)
    opened = dict(extract.open_all(range(len(listed))))

    assert extract.commitment.acts == len(listed)
    assert extract.commitment.tree == _root_of(extract, listed)
    assert [one.act for one in opened.values()] == [data for *_, data in listed]
    for one in opened.values():
        one.check(published(extract))
    for index in range(0, len(listed), 397):
        act = decode_act(listed[index][2])
        begin = index - listed[index][1]
        assert extract.index_of(act.person, act.visit, act.day) == index
        theirs = [n for n, one in enumerate(listed) if one[0] == listed[index][0]]
        assert [*extract.indices_of(act.person)] == theirs
        assert theirs[0] == begin
        assert replace(extract).open(index) == opened[index]


def test_a_person_of_several_tiles_is_shredded_whole(tmp_path):
    write_many_acts(tmp_path, people=3, rows=12_000)
    extract = committed(tmp_path)
    person = decode_act(extract.open(0).act).person
    before, theirs = dict(extract.open_all(range(1200))), extract.indices_of(person)
    assert len(theirs) > TILE

    assert extract.shred(person) == len(theirs)
    assert extract.indices_of(person) == theirs
    for index, one in replace(extract).open_all(before):
        assert one == (None if index in theirs else before[index])
    extract.check_whole()


def test_nobody_is_shredded_on_other_tables_than_those_committed_to(tmp_path):
    write_many_acts(tmp_path, people=3, rows=12_000)
    extract = committed(tmp_path)
    person = decode_act(extract.open(0).act).person
    last = decode_act(extract.open(extract.indices_of(person)[-1]).act)
    extract.engine.close()
    with connect(tmp_path / "cdm.duckdb") as connection:
        connection.execute(
            "UPDATE measurement SET value_as_number = 8 WHERE visit_occurrence_id = ?",
            [last.visit],
        )
    engine = DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb"))
    keys = (extract.folder / KEYS).read_bytes()

    with pytest.raises(Unverified):
        replace(extract, engine=engine).shred(person)
    assert (extract.folder / KEYS).read_bytes() == keys


# --- marks ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Return an extract of six tiles, what is shown of each, and its marks."""
    folder = tmp_path_factory.mktemp("marked")
    write_many_acts(folder, people=400, rows=9000)
    extract = committed(folder)
    indices = [*range(9, TILE * 5, TILE), extract.commitment.acts - 1]
    return extract, dict(extract.open_all(indices)), _marks(extract)


def _marks(extract):
    return np.fromfile(extract.folder / FIRSTS, dtype=">u4").reshape(-1, 2)


@pytest.mark.parametrize("tile", range(6))
@pytest.mark.parametrize("change", [(1, 0), (-1, 0), (0, 1), (0, -1), (3, 7), (40, 0)])
def test_a_mark_that_was_changed_shows_no_other_act(marked, tile, change):
    extract, shown, marks = marked
    bent = marks.astype(np.int64)
    bent[tile] += change
    (extract.folder / FIRSTS).write_bytes(bent.astype(">u4").tobytes())
    refused, again = 0, replace(extract)
    try:
        for index, one in shown.items():
            try:
                assert again.open(index) == one
            except Unverified:
                refused += 1
            act = decode_act(one.act)
            try:
                assert again.index_of(act.person, act.visit, act.day) == index
            except Unverified:
                refused += 1
    finally:
        (extract.folder / FIRSTS).write_bytes(marks.tobytes())

    assert refused or bent[tile].tolist() == [0, 0]  # of nobody, who has no leaf here
    assert dict(replace(extract).open_all(shown)) == shown


def test_marks_of_another_extract_show_nothing(marked, tmp_path):
    extract, shown, marks = marked
    write_many_acts(tmp_path, people=400, rows=9000)
    other = committed(tmp_path)
    (extract.folder / FIRSTS).write_bytes((other.folder / FIRSTS).read_bytes())
    refused = 0
    try:
        for index, one in shown.items():
            try:  # a mark may be the same by chance
                assert replace(extract).open(index) == one
            except Unverified:
                refused += 1
    finally:
        (extract.folder / FIRSTS).write_bytes(marks.tobytes())

    assert refused


@pytest.mark.parametrize("where", ["os.fsync", "os.link"])
def test_a_run_that_was_killed_while_it_made_marks_again_leaves_none(
    extract, monkeypatch, where
):
    path = extract.folder / FIRSTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(where, killed)
        with pytest.raises(KeyboardInterrupt):
            replace(extract).open(0)
    assert not path.exists()
    assert replace(extract).open(0) == extract.open(0)
    assert path.read_bytes() == whole


def test_two_that_make_marks_again_at_once_both_open(extract):
    path = extract.folder / FIRSTS
    whole = path.read_bytes()
    path.unlink()
    both = [replace(extract), replace(extract)]
    made = both[0]._sealed

    def meanwhile():
        both[1].open(0)
        return made()

    object.__setattr__(both[0], "_sealed", meanwhile)
    assert both[0].open(0) == both[1].open(0)
    assert path.read_bytes() == whole


# --- whose acts end with a tile -------------------------------------------------------
@pytest.fixture
def filled(tmp_path):
    """Return an extract of three people, each of just one tile, in their order."""
    write_many_acts(tmp_path, people=3, rows=0)
    with connect(tmp_path / "cdm.duckdb") as connection:
        _add_visits(connection, range(TILE - 1))
    extract = committed(tmp_path)
    return extract, [decode_act(extract.open(TILE * n).act).person for n in range(3)]


def _add_visits(connection, numbers, person=None):
    connection.execute(
        "INSERT INTO measurement (measurement_id, person_id, measurement_concept_id, "
        "measurement_date, measurement_type_concept_id, visit_occurrence_id) "
        "SELECT hash(person_id, n) >> 1, person_id, 1, DATE '2020-01-01', 1, n "
        "FROM person, unnest(?) t(n) WHERE person_id = coalesce(?, person_id)",
        [list(numbers), person],
    )


def _changed(extract, change):
    """Return the extract over tables that were changed."""
    extract.engine.close()
    path = extract.folder.parents[1] / "cdm.duckdb"
    with connect(path) as connection:
        change(connection)
    return replace(extract, engine=DuckDBEngine(connect_read_only(path)))


@pytest.mark.parametrize("more", [1, TILE, 2 * TILE])
@pytest.mark.parametrize("place", range(3))
def test_an_act_that_was_added_is_not_the_next_person_s(filled, place, more):
    extract, people = filled
    keys, person = (extract.folder / KEYS).read_bytes(), people[place]
    added = range(1000, 1000 + more)
    extract = _changed(extract, lambda tables: _add_visits(tables, added, person))

    for ask in (
        lambda: extract.index_of(person, added[-1]),
        lambda: extract.indices_of(person),
        lambda: extract.shred(person),
    ):
        with pytest.raises(Unverified, match="no longer what was committed"):
            ask()
    assert (extract.folder / KEYS).read_bytes() == keys


def test_nobody_is_shredded_in_part(tmp_path):
    write_many_acts(tmp_path, people=3, rows=0)
    with connect(tmp_path / "cdm.duckdb") as connection:
        _add_visits(connection, range(TILE + 43))
    extract = committed(tmp_path)
    person = decode_act(extract.open(0).act).person
    assert len(extract.indices_of(person)) == TILE + 44
    lost = "visit_occurrence_id >= ? AND person_id = ?"  # the rest ends with a tile
    extract = _changed(
        extract,
        lambda tables: tables.execute(
            f"DELETE FROM measurement WHERE {lost}",  # noqa: S608
            [TILE - 1, person],
        ),
    )

    with pytest.raises(Unverified, match="no longer what was committed"):
        extract.shred(person)
    assert not read_keys(extract.folder / KEYS, extract.commitment.people)[1]


def test_acts_that_a_shredded_person_got_since_are_nobody_else_s(filled):
    extract, people = filled
    extract.shred(people[0])
    extract = _changed(extract, lambda tables: _add_visits(tables, [1000], people[0]))

    with pytest.raises(Unverified, match="no longer what was committed"):
        extract.index_of(people[0], 1000)
    assert [*extract.indices_of(people[0])] == [*range(TILE)]


# --- who is there ---------------------------------------------------------------------
def test_nothing_is_shown_where_somebody_is_missing_or_new(extract, tmp_path):
    extract.engine.close()
    with connect(tmp_path / "cdm.duckdb") as connection:
        connection.execute("UPDATE person SET person_id = 13 WHERE person_id = 12")
    with DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb")) as engine:
        for index in range(11):
            with pytest.raises(Unverified):
                replace(extract, engine=engine).open(index)
    with connect(tmp_path / "cdm.duckdb") as connection:
        connection.execute("DELETE FROM person WHERE person_id = 13")
    with DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb")) as engine:
        for ask in (lambda e: e.open(0), lambda e: e.holds(BO), Extract.check_whole):
            with pytest.raises(Unverified, match="no longer what was committed"):
                ask(replace(extract, engine=engine))


def test_a_shredded_person_is_looked_up_as_anybody(extract):
    theirs = extract.indices_of(BO)
    assert extract.holds(BO)
    extract.shred(BO)

    again = replace(extract)
    assert not again.holds(BO)
    assert again.indices_of(BO) == theirs
    assert again.index_of(BO, 9) in theirs
    assert again.index_of_event(b"given") == theirs[-1]


def test_keys_that_name_another_as_shredded_show_nothing(extract):
    extract.shred(BO)
    keys = parse_canonical((extract.folder / KEYS).read_bytes())
    assert keys["gone"][0][1] == str(BO)
    keys["gone"][0][1] = "13"
    (extract.folder / KEYS).write_bytes(canonical(keys))

    with pytest.raises(Unverified):
        replace(extract).open(0)


def test_keys_that_name_nobody_a_table_could_hold_cannot_be_read(extract):
    extract.shred(BO)
    keys = parse_canonical((extract.folder / KEYS).read_bytes())
    keys["gone"][0][1] = str(2**63)
    (extract.folder / KEYS).write_bytes(canonical(keys))

    with pytest.raises(InvalidData, match="keys of the acts"):
        replace(extract).open(0)


@pytest.mark.parametrize("text", [b"{", b'["5"]', b'[["x","e"]]', b'[["",5]]', None])
def test_events_that_are_damaged_are_named(extract, text):
    path = extract.folder / EVENTS
    path.unlink()
    if text is not None:
        path.write_bytes(text)

    for ask in (lambda e: e.open(0), Extract.check_whole, Extract.events):
        with pytest.raises(InvalidData, match=r"events\.json"):
            ask(replace(extract))


def test_a_row_or_an_event_of_somebody_else_is_found_out(extract):
    path = extract.folder / EVENTS
    whole = path.read_bytes()
    path.write_bytes(canonical([*parse_canonical(whole), ["13", "more"]]))
    with pytest.raises(Unverified, match="no longer what was committed"):
        replace(extract).check_whole()
    path.write_bytes(whole)
    extract = _changed(
        extract,
        lambda tables: tables.execute("UPDATE death SET person_id = 13"),
    )
    with pytest.raises(Unverified, match="no longer what was committed"):
        extract.check_whole()


def test_people_of_any_number_are_found(tmp_path):
    write_acts(tmp_path)
    with connect(tmp_path / "cdm.duckdb") as connection:
        for table in ("person", "visit_occurrence", "measurement", "death"):
            connection.execute(
                f"UPDATE {table} SET person_id = -9223372036854775807 "  # noqa: S608
                f"WHERE person_id = {BO}"
            )
    extract = committed(tmp_path)

    for person in (-(2**63) + 1, ANNA):
        opened = extract.open(extract.index_of(person, None))
        opened.check(published(extract))
        assert decode_act(opened.act).person == person
    assert not extract.holds(BO)


def test_an_extract_of_nothing_has_no_act(tmp_path):
    write_many_acts(tmp_path, people=0, rows=0)
    extract = committed(tmp_path)

    assert (extract.commitment.acts, extract.commitment.people) == (0, 0)
    extract.check_whole()
    assert list(extract.open_all([])) == []
    assert not extract.holds(BO)
    with pytest.raises(Usage):
        extract.open(0)
    with pytest.raises(InvalidData):
        extract.indices_of(BO)


def test_what_is_kept_is_a_fifth_of_a_byte_an_act_and_less(tmp_path):
    write_many_acts(tmp_path, people=200, rows=120_000)
    extract = committed(tmp_path)
    sizes = {path.name: path.stat().st_size for path in extract.folder.iterdir()}
    acts = extract.commitment.acts

    whole = sum(sizes.values()) - sizes[COMMITMENT]  # which is as long for any extract
    assert acts > 11_000
    assert sizes[KEYS] + sizes["events.json"] < 200
    assert (whole - sizes[KEYS]) / acts <= 0.16


# --- keys of another tree -------------------------------------------------------------
def bent_keys(extract, **changes):
    path = extract.folder / KEYS
    path.write_bytes(canonical({**parse_canonical(path.read_bytes()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0},
        {"height": 9},
        {"height": -1},
        {"height": 10**6},
        {"keys": [[0, 1, "00" * 32]]},
        {"keys": [[3, 0, "00" * 32]]},
        {"keys": [[2, 4, "00" * 32]]},
        {"keys": [[1, -1, "00" * 32]]},
        {"keys": [[-1, 0, "00" * 32]]},
        {"gone": [[3, "1", []]]},
        {"gone": [[0, "1", []]]},
    ],
    ids=str,
)
def test_keys_of_another_number_of_people_are_refused(extract, changes):
    """Of two people; a wrong height went out of the tree, where all were checked."""
    assert extract.commitment.people == 2
    extract.check_whole()
    bent_keys(extract, **changes)

    for ask in (Extract.check_whole, lambda e: e.open(0), lambda e: e.holds(BO)):
        with pytest.raises(InvalidData, match="cannot be read"):
            ask(replace(extract))


@pytest.mark.parametrize("people", [1, 2, 3, 5, 8, 9])
def test_what_shredding_leaves_fits_the_number_of_people(people):
    keys = PersonKeys.sown(bytes(32), people)
    assert keys.fits(people)
    assert not any(keys.fits(n) for n in (2 * people + 1, 4 * people))
    for place in range(people):
        keys = keys.without(place)
        assert keys.fits(people)
        assert len(keys.each(people)) == people
