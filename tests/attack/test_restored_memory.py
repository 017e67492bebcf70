"""A site's memory of what it has shown cannot be set back by restoring a backup."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from hetao.errors import MemoryLost
from support_federation import RUN, Federation

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
