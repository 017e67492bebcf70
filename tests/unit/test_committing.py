"""A site shows one act of its committed extract, and can never show another instead."""

import stat
from dataclasses import replace

import pytest

from hetao.canonical import canonical, parse_canonical
from hetao.cdm.acts import read_acts
from hetao.cdm.committing import (
    COMMITMENT,
    FIRSTS,
    FORM,
    KEYS,
    commit_acts,
    find_commitment,
)
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.errors import InvalidData, Shredded, Unverified, Usage
from hetao.ledger.acts import FORM as ACT
from hetao.ledger.acts import decode_act
from hetao.ledger.commitments import TILE
from support_acts import (
    ANNA,
    BO,
    DIGEST,
    MANIFEST,
    MASTER,
    acts_by_hand,
    committed,
    published,
    small_extract,
    write_acts,
    write_many_acts,
)


@pytest.fixture
def extract(tmp_path):
    return small_extract(tmp_path)


def test_every_act_is_shown_and_holds(extract):
    size = extract.commitment.acts
    shown = [extract.open(index) for index in range(size)]

    for opened in shown:
        opened.check(published(extract))
    texts = [opened.act for opened in shown]
    acts = [decode_act(text) for text in texts if text.startswith(ACT)]
    assert sorted(map(repr, acts)) == sorted(map(repr, acts_by_hand()))
    assert {b"made", b"given"} < set(texts)
    assert len({opened.nonce for opened in shown}) == size == 11


def test_an_act_is_found_by_visit_or_by_day(extract):
    for act in acts_by_hand():
        if act.person is not None:
            index = extract.index_of(act.person, act.visit, act.day)
            assert decode_act(extract.open(index).act) == act
    for asked in ((ANNA, 9, ""), (BO, None, "2020-02-28"), (13, None, "")):
        with pytest.raises(InvalidData):
            extract.index_of(*asked)
    with pytest.raises(Usage):
        extract.open(11)


def test_a_snapshot_is_committed_to_once(extract, tmp_path):
    again = commit_acts(extract.engine, tmp_path, MANIFEST, MASTER)

    assert again == extract.commitment == find_commitment(tmp_path, DIGEST)


def test_a_commitment_of_another_version_is_told_from_a_damaged_one(extract, tmp_path):
    path = extract.folder / COMMITMENT
    whole = path.read_text()

    for text, what, remedy in (
        (whole.replace(FORM, "hetao.commitment/1"), "version", "Hetao that made it"),
        (whole.replace(FORM, "hetao.other/2"), "is damaged", "backup"),
        (whole[:40], "is damaged", "backup"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidData, match=what) as told:
            find_commitment(tmp_path, DIGEST)
        assert remedy in told.value.fix
    path.write_text(whole.replace(FORM, "hetao.commitment/1"))
    extract.folder.rename(tmp_path / "kept")  # as the first remedy says
    assert committed(tmp_path).commitment.root != extract.commitment.root


def test_another_commitment_to_the_same_tables_has_another_root(extract, tmp_path):
    write_acts(tmp_path / "again")
    again = committed(tmp_path / "again")

    assert again.commitment.root != extract.commitment.root
    leaves = {opened.nonce for opened in map(extract.open, range(11))}
    assert not leaves & {opened.nonce for opened in map(again.open, range(9))}


def test_nobody_else_reads_what_is_kept(extract):
    for path in extract.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_cell_that_changed_after_the_commitment_is_found_out(extract, tmp_path):
    extract.engine.close()
    with connect(tmp_path / "cdm.duckdb") as connection:
        connection.execute(
            "UPDATE measurement SET value_as_number = 8 WHERE measurement_id = 1"
        )
    engine = DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb"))

    with pytest.raises(Unverified, match="no longer what was committed"):
        replace(extract, engine=engine).open(0)


def test_another_master_secret_opens_nothing(extract):
    with pytest.raises(Unverified):
        replace(extract, master=b"n" * 32).open(0)


def test_a_row_of_a_stranger_is_no_silent_loss(tmp_path):
    write_acts(tmp_path)
    with connect(tmp_path / "cdm.duckdb") as connection:
        connection.execute("DELETE FROM person WHERE person_id = 12")

    with pytest.raises(InvalidData, match="not among the people"):
        committed(tmp_path)
    assert find_commitment(tmp_path, DIGEST) is None


def test_a_shredded_person_is_never_shown_and_all_else_stands(extract):
    before = {n: extract.open(n) for n in range(11)}
    theirs = {n for n, one in before.items() if _is_of(one, BO)}
    old = (extract.folder / KEYS).read_bytes()
    assert extract.shred(BO) == len(theirs) == 5

    for n in range(11):
        if n in theirs:
            with pytest.raises(Shredded):
                extract.open(n)
        else:
            assert extract.open(n) == before[n]
            extract.open(n).check(published(extract))
    with pytest.raises(Shredded):
        extract.shred(BO)
    assert old not in [p.read_bytes() for p in extract.folder.iterdir()]


def _is_of(opened, person):
    return opened.act == b"given" or (
        opened.act.startswith(ACT) and decode_act(opened.act).person == person
    )


def test_the_rows_of_a_shredded_person_may_go_as_well(extract, tmp_path):
    kept = [n for n in range(11) if not _is_of(extract.open(n), ANNA)]
    extract.shred(ANNA)
    extract.engine.close()
    with connect(tmp_path / "cdm.duckdb") as connection:
        for table in ("person", "visit_occurrence", "measurement"):
            connection.execute(f"DELETE FROM {table} WHERE person_id = {ANNA}")  # noqa: S608
    engine = DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb"))

    for n in kept:
        replace(extract, engine=engine).open(n).check(published(extract))


def test_a_run_that_was_killed_while_it_shredded_leaves_no_old_keys(extract):
    path = extract.folder / KEYS
    aside = path.with_name(f".{path.name}.old")
    aside.write_bytes(b"keys of before")  # replaced, and not yet written over
    extract.open(0)
    assert not aside.exists()

    aside.hardlink_to(path)  # not yet replaced
    extract.open(0)
    assert not aside.exists()


def test_trees_of_many_tiles_open_anywhere(tmp_path):
    write_many_acts(tmp_path, people=400, rows=9000)
    extract = committed(tmp_path)
    size = extract.commitment.acts
    assert size > 1000

    for index in (0, 255, 256, size // 2, size - 1):
        extract.open(index).check(published(extract))
    person = decode_act(extract.open(300).act).person
    theirs = extract.indices_of(person)
    extract.shred(person)
    for index in {0, 255, 256, 511, 512, size - 1} - set(theirs):
        extract.open(index).check(published(extract))


@pytest.mark.parametrize(("at_once", "asked"), [(2_000, 1), (200, 3), (1, 6)])
def test_many_acts_are_opened_as_one_by_one_and_tables_asked_a_few_times(
    tmp_path, monkeypatch, at_once, asked
):
    write_many_acts(tmp_path, people=400, rows=9000)
    extract = committed(tmp_path)
    size, times = extract.commitment.acts, []
    assert -(-size // TILE) == 6
    extract.shred(decode_act(extract.open(300).act).person)
    each = {}
    for index in {n * 7919 % size for n in range(200)} | {0, 300, size - 1}:
        try:
            each[index] = extract.open(index)
        except Shredded:
            each[index] = None

    def counted(*told, **more):
        times.append(told)
        return read_acts(*told, **more)

    monkeypatch.setattr("hetao.cdm.extract.AT_ONCE", at_once)
    monkeypatch.setattr("hetao.cdm.extract.read_acts", counted)
    assert list(extract.open_all([*each, *each])) == sorted(each.items())
    assert each[300] is None
    assert len(times) == asked
    assert list(extract.open_all([])) == []
    for index in (-1, size):
        with pytest.raises(Usage):
            list(extract.open_all([0, index]))


@pytest.mark.parametrize("left", [None, 0, 7])
def test_who_stands_first_is_made_again_where_it_is_lost(extract, left):
    shown = dict(extract.open_all(range(extract.commitment.acts)))
    path = extract.folder / FIRSTS
    whole = path.read_bytes()
    extract.shred(ANNA)
    path.unlink()
    if left is not None:
        path.write_bytes(whole[:left])

    found = dict(replace(extract).open_all(shown))

    assert path.read_bytes() == whole
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert None in found.values()
    assert all(one in (None, shown[n]) for n, one in found.items())


def test_it_is_not_made_of_other_tables(extract, tmp_path):
    (extract.folder / FIRSTS).unlink()
    keys = parse_canonical((extract.folder / KEYS).read_bytes())
    keys["keys"][0][-1] = "00" * 32
    (extract.folder / KEYS).write_bytes(canonical(keys))

    with pytest.raises(Unverified):
        replace(extract).open(0)
    assert not (extract.folder / FIRSTS).exists()


def test_events_of_people_and_of_nobody_are_opened_with_the_acts(extract):
    found = dict(extract.open_all(range(11)))

    assert found == {n: extract.open(n) for n in range(11)}
    assert {b"made", b"given"} < {opened.act for opened in found.values()}
