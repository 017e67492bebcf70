"""What a site remembers of what it let out cannot be set back by restoring a backup."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from hetao.errors import MemoryLost
from hetao.ledger.log import Log
from hetao.release.differencing import UNITS
from hetao.study import Analysis
from support_federation import RUN, Federation, Plan, toy_study
from support_permit import HOUR, NOW
from support_uses import HK, a_use, approved, book_of, scene_of

FILES = ("releases.sqlite", "releases.sqlite-wal", "releases.sqlite-shm")


@pytest.fixture
def federation(tmp_path):
    with Federation(tmp_path) as made:
        yield made


def memory(federation):
    return federation.setup("a").folder / "releases.sqlite"


def rows(federation, text):
    with closing(sqlite3.connect(memory(federation))) as store:
        return sorted(store.execute(text).fetchall())


def everything(federation):
    """Return what the memory holds of a release, but for how rows are numbered."""
    tables = {
        "shown": "SELECT digest, permit, analysis, part, until, sent FROM shown "
        "JOIN cohort ON id = cohort",
        "people": "SELECT space, count(*) FROM person GROUP BY space",
        "load": "SELECT * FROM load",
        "spent": "SELECT * FROM spent",
        "numbers": "SELECT * FROM numbers",
        "yearly": "SELECT * FROM yearly",
        "told": "SELECT * FROM told",
        "summed": "SELECT * FROM summed",
    }
    return {name: rows(federation, text) for name, text in tables.items()}


def put_back(federation, kept):
    """Restore the memory from a copy, or take it away where there was none."""
    for name in FILES:
        path = memory(federation).with_name(name)
        path.unlink(missing_ok=True)
        if (kept / name).exists():
            shutil.copy(kept / name, path)


def answered(federation, kept, *, begun=True):
    """Have a site answer a task, with a copy of its memory from before it began."""
    kept.mkdir()
    site = federation.sites["a"]
    site.close()
    if begun:
        for name in FILES:
            if memory(federation).with_name(name).exists():
                shutil.copy(memory(federation).with_name(name), kept / name)
    site = federation.open_site("a")
    site.handle(federation.begin("a").data)
    site.handle(federation.task("a").data)
    site.close()


@pytest.mark.parametrize("begun", [True, False], ids=["an older copy", "none at all"])
def test_a_memory_set_back_works_out_again_whom_it_showed(federation, tmp_path, begun):
    answered(federation, tmp_path / "kept", begun=begun)
    before = everything(federation)
    put_back(federation, tmp_path / "kept")

    federation.open_site("a").close()

    assert before["numbers"]
    assert everything(federation) == before


def test_a_table_by_a_group_weighs_what_it_weighed_when_it_is_worked_out(tmp_path):
    """Over three sites a sum about the group weighs half, then and again."""
    table = Analysis("t", "table1", variables=("age", "sex"), by="ill")
    with Federation(tmp_path, Plan(study=toy_study((table,)))) as federation:
        answered(federation, tmp_path / "kept")
        before = rows(federation, "SELECT units FROM load")
        put_back(federation, tmp_path / "kept")

        federation.open_site("a").close()

        assert rows(federation, "SELECT units FROM load") == before
        ((units,),) = before
        assert np.frombuffer(units, "<u8").max() / UNITS == pytest.approx(2 / 400)


def test_a_memory_that_cannot_be_worked_out_again_keeps_the_site_shut(
    federation, tmp_path
):
    answered(federation, tmp_path / "kept")
    put_back(federation, tmp_path / "kept")
    with closing(sqlite3.connect(federation.setup("a").folder / "site.sqlite")) as db:
        db.execute("UPDATE begun SET data = x'' WHERE run = ?", (RUN,))
        db.commit()

    with pytest.raises(MemoryLost, match="older than its log"):
        federation.open_site("a")


def test_a_run_that_cannot_be_worked_out_again_is_named_to_the_site_alone(
    federation, tmp_path
):
    (tmp_path / "kept").mkdir()
    site, run = federation.sites["a"], "r" * 61
    site.handle(federation.begin("a", run=run).data)
    site.handle(federation.task("a", run=run).data)
    site.close()
    put_back(federation, tmp_path / "kept")
    with closing(sqlite3.connect(federation.setup("a").folder / "site.sqlite")) as db:
        db.execute("UPDATE begun SET data = x''")
        db.commit()

    with pytest.raises(MemoryLost) as refused:
        federation.open_site("a")

    assert refused.value.local.startswith(f"run {'r' * 60}: ")
    assert "rrr" not in str(refused.value)


def test_other_tables_than_it_ran_on_tell_nothing_of_whom_it_showed(
    federation, tmp_path
):
    answered(federation, tmp_path / "kept")
    put_back(federation, tmp_path / "kept")
    lines = federation.patients.read_text().splitlines(keepends=True)
    federation.patients.write_text("".join([*lines, lines[1]]))

    with pytest.raises(MemoryLost):
        federation.open_site("a")


def test_a_memory_looks_at_what_was_logged_since_alone(federation, tmp_path):
    answered(federation, tmp_path / "kept")
    federation.open_site("a").close()

    ((size,),) = rows(federation, "SELECT size FROM heard")

    assert size == len(federation.log_entries(federation.open_site("a")))


# --- what crossed besides data --------------------------------------------------------
SCENE = scene_of("materials")


def opening(folder):
    """Return what opens the site's own log."""
    key = SCENE.machines[HK].signing_key
    return lambda: Log.open(folder / "log.sqlite", HK, key)


def held_book(folder):
    book = book_of(SCENE, folder, HK)
    try:
        book.hold_against(opening(folder))
    except MemoryLost:
        book.close()
        raise
    return book


def spend(folder, number, book=None):
    with closing(book or held_book(folder)) as opened:
        use = a_use(SCENE, number, 10)
        return opened.dispatch(approved(SCENE), use, lambda: NOW + HOUR)


def marks(folder):
    with opening(folder)() as log:
        return [e for e in log.entries(0, log.size) if b"hetao.used/1" in e]


@pytest.mark.parametrize("kept", [True, False], ids=["an older copy", "none at all"])
def test_a_book_set_back_spends_nothing_twice(tmp_path, kept):
    spend(tmp_path, "W-1")
    copy = (tmp_path / HK / "uses.sqlite").read_bytes()
    spend(tmp_path, "W-2")
    if kept:
        (tmp_path / HK / "uses.sqlite").write_bytes(copy)
    else:
        (tmp_path / HK / "uses.sqlite").unlink()

    with pytest.raises(MemoryLost, match="book of what crossed"):
        held_book(tmp_path)


def test_the_log_is_told_of_each_use_once_and_nothing_of_it(tmp_path):
    signed = spend(tmp_path, "W-1")
    with closing(held_book(tmp_path)) as book:
        again = book.dispatch(approved(SCENE), a_use(SCENE, "W-1", 10), lambda: NOW)

    (entry,) = marks(tmp_path)
    assert again.body == signed.body
    assert b"W-1" not in entry
    assert signed.body["permit"].encode() not in entry


def test_what_was_spent_and_not_told_before_a_kill_is_told_at_the_next_opening(
    tmp_path,
):
    spend(tmp_path, "W-1", book_of(SCENE, tmp_path, HK))  # it told nobody
    with opening(tmp_path)() as log:
        assert log.size == 0

    for _ in range(2):
        held_book(tmp_path).close()
        assert len(marks(tmp_path)) == 1


def test_a_use_whose_telling_failed_is_given_out_once_the_log_was_told(tmp_path):
    book = book_of(SCENE, tmp_path, HK)
    failing = []

    def opens():
        if failing:
            raise OSError("the disk is full")
        return opening(tmp_path)()

    book.hold_against(opens)
    failing.append(1)
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            book.dispatch(approved(SCENE), a_use(SCENE, "W-1", 10), lambda: NOW + HOUR)
    assert marks(tmp_path) == []

    failing.clear()
    signed = spend(tmp_path, "W-1", book)

    assert signed.body["number"] == "W-1"
    assert len(marks(tmp_path)) == 1
