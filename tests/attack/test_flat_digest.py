"""The digest of a flat table confirms no guess; a budget outlives a change of it."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from hetao.cdm import open_flat
from hetao.errors import InvalidData, InvalidNetwork, MemoryLost
from hetao.federation.pinning import Named, Pinning
from hetao.federation.replay import replay
from hetao.federation.site import Site
from hetao.ledger.opened import open_certificate
from support_federation import Federation, Plan
from support_memory import Hospital

KEPT = ("load", "told", "rounds", "spent")


class EarlierPinning(Pinning):
    """As it was before flat tables had a keyed digest."""

    def open(self, permit):
        return self.setup.open_source()

    def named(self, run, table):
        return Named(table.snapshot, frozenset({table.snapshot}))


class EarlierSite(Site):
    """A site of an edition that named a flat table by the bare digest of its rows."""

    edition = EarlierPinning

    @property
    def _pinning(self):
        return self.edition(self._setup, self.memory, self._begun, self.name)


@pytest.fixture
def federation(tmp_path):
    with Federation(tmp_path) as made:
        yield made


def begin(federation, run, site):
    """Begin a run at a site; return what its `ready` says of the data, or the rule."""
    posts = site.handle(federation.begin(site.name, run=run).data)
    kind, meta, _ = federation.opened(posts[0][1])
    return meta["snapshot"] if kind == "ready" else meta["rule"]


def bare(federation, name="a"):
    with open_flat(federation.patients, "hospital", name) as table:
        return {table.snapshot, table.contents}


def earlier_site(federation):
    return EarlierSite(federation.setup("a"), federation.clock)


def shuffled(federation):
    header, *rows = federation.patients.read_text("utf-8").splitlines()
    federation.patients.write_text("\n".join([header, *sorted(rows)]) + "\n")


def memory(federation):
    path = federation.setup("a").folder / "releases.sqlite"
    with closing(sqlite3.connect(path)) as db:
        return {one: db.execute(f"SELECT * FROM {one}").fetchall() for one in KEPT}  # noqa: S608


def names(federation, site, run):
    """Return the digests by which the records of a run name the data."""
    bodies = [json.loads(e).get("body", {}) for e in federation.log_entries(site)]
    mine = [body for body in bodies if body.get("run") == run]
    return {body["snapshot"] for body in mine if "snapshot" in body}


def spent(kept):
    """Return what a memory keeps, but for the digests of the data."""
    return {table: [row[1:] for row in rows] for table, rows in kept.items()}


def test_a_site_names_the_same_rows_alike_in_any_order_and_others_otherwise(federation):
    site = federation.sites["a"]
    told = begin(federation, "run-1", site)
    shuffled(federation)
    assert begin(federation, "run-2", site) == told
    site.close()
    back = federation.open_site("a")
    assert begin(federation, "run-3", back) == told

    lines = federation.patients.read_text("utf-8").splitlines(keepends=True)
    federation.patients.write_text("".join([*lines, lines[1]]))  # a row of site a
    assert "from other data" in begin(federation, "run-4", back)
    assert told not in bare(federation)


def test_two_sites_name_the_same_rows_otherwise(tmp_path):
    told = set()
    for folder in ("one", "two"):
        with Federation(tmp_path / folder) as federation:
            told.add(begin(federation, "run-1", federation.sites["a"]))

    assert len(told) == 2


def test_nothing_that_a_party_hears_holds_a_bare_digest(federation):
    ran = federation.run()

    sent = [ran.certificate, *federation.carried]
    sent += [
        e for site in federation.sites.values() for e in federation.log_entries(site)
    ]
    for name in federation.sites:
        for digest in bare(federation, name):
            assert not any(digest.removeprefix("sha256:").encode() in d for d in sent)


def test_a_budget_under_the_bare_digest_is_not_given_back(federation):
    earlier = earlier_site(federation)
    told = begin(federation, "run-1", earlier)
    earlier.handle(federation.task("a", run="run-1").data)
    earlier.close()
    before = memory(federation)

    keyed = begin(federation, "run-2", federation.open_site("a"))

    after = memory(federation)
    assert told in bare(federation)
    assert {row[0] for row in before["spent"]} == {told}
    assert {row[0] for table in KEPT for row in after[table]} == {keyed}
    assert before["load"]
    assert spent(after) == spent(before)  # the same study weighs once, then and now


def test_a_run_that_began_by_the_bare_digest_goes_on_by_it(federation):
    """All records of a run must name the same data, or no verifier takes them."""
    earlier = earlier_site(federation)
    told = begin(federation, "run-1", earlier)
    earlier.close()
    site = federation.open_site("a")

    posts = site.handle(federation.task("a", run="run-1").data)
    keyed = begin(federation, "run-2", site)
    site.handle(federation.task("a", run="run-2").data)

    assert len(posts) == 3  # a share for each hub, and the record
    assert names(federation, site, "run-1") == {told}
    assert names(federation, site, "run-2") == {keyed}
    assert keyed not in bare(federation)


class ChangedSite(EarlierSite):
    """A site whose program is changed when a run has begun."""

    def handle(self, data):
        posts = super().handle(data)
        self.edition = Pinning
        self._runs.clear()
        return posts


def test_a_run_across_the_change_is_certified(tmp_path):
    with Federation(tmp_path, Plan(site_types={"a": ChangedSite})) as federation:
        certificate = open_certificate(federation.run().certificate)

        told = {one["name"]: one["snapshot"] for one in certificate.body["sites"]}
        assert told["a"] in bare(federation, "a")
        assert told["b"] not in bare(federation, "b")
        assert not bare(federation, "a") & {
            row[0] for row in memory(federation)["load"]
        }


def test_a_memory_that_was_lost_is_worked_out_under_the_keyed_digest(federation):
    earlier = earlier_site(federation)
    begin(federation, "run-1", earlier)
    earlier.handle(federation.task("a", run="run-1").data)
    earlier.close()
    before = memory(federation)
    for path in federation.setup("a").folder.glob("releases.sqlite*"):
        path.unlink()

    federation.open_site("a").close()

    after = memory(federation)
    assert before["load"]
    assert spent(after) == spent(before)
    assert not bare(federation) & {row[0] for rows in after.values() for row in rows}


def test_a_site_that_lost_key_and_memory_does_not_start(federation):
    site = federation.sites["a"]
    begin(federation, "run-1", site)
    site.handle(federation.task("a", run="run-1").data)
    site.close()
    for path in federation.setup("a").folder.glob("releases.*"):
        path.unlink()

    with pytest.raises(MemoryLost):
        federation.open_site("a")


def test_what_was_kept_under_both_digests_is_added_up(tmp_path):
    hospital = Hospital(tmp_path)
    whole = np.ones(len(hospital.ids), dtype=bool)
    hospital.ask(whole, permit="one", snapshot="bare", told=3, rounds=2)
    keyed = hospital.memory.keyed("rows", "another")
    hospital.ask(whole, permit="two", snapshot=keyed, told=3, rounds=2)
    (load, told) = (
        _units(hospital, table, "bare", keyed) for table in ("load", "told")
    )

    assert hospital.memory.keyed("rows", "bare") == keyed

    for table, (bare_units, units) in (("load", load), ("told", told)):
        (added,) = _units(hospital, table, keyed)
        assert _units(hospital, table, "bare") == []
        np.testing.assert_array_equal(added, bare_units + units)
    purposes = hospital.memory._store.rows("SELECT snapshot, study FROM spent")
    assert sorted(purposes) == [(keyed, "study of one"), (keyed, "study of two")]


def _units(hospital, table, *snapshots):
    query = f"SELECT units FROM {table} WHERE snapshot = ?"  # noqa: S608
    found = [hospital.memory._store.rows(query, (one,)) for one in snapshots]
    return [np.frombuffer(units, "<u8") for rows in found for (units,) in rows]


def test_a_move_that_is_cut_off_leaves_all_as_it_was(tmp_path):
    hospital = Hospital(tmp_path)
    hospital.ask(np.ones(len(hospital.ids), dtype=bool), snapshot="bare")
    hospital.memory._store.write(
        [
            (
                "CREATE TRIGGER full BEFORE DELETE ON spent "
                "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
                (),
            )
        ]
    )

    with pytest.raises(sqlite3.DatabaseError):
        hospital.memory.keyed("rows", "bare")

    for table in ("load", "spent"):
        query = f"SELECT DISTINCT snapshot FROM {table}"  # noqa: S608
        assert hospital.memory._store.rows(query) == [("bare",)]


@pytest.mark.parametrize("edition", [Site, EarlierSite])
def test_a_study_on_a_flat_table_is_replayed(tmp_path, edition):
    with Federation(tmp_path, Plan(site_types={"a": edition})) as federation:
        certificate = open_certificate(federation.run().certificate)
        federation.sites["a"].close()
        setup = federation.setup("a")

        assert replay(setup, certificate, None).tasks
        lines = federation.patients.read_text("utf-8").splitlines(keepends=True)
        federation.patients.write_text("".join(lines[:1] + lines[2:]))
        with pytest.raises(InvalidData, match="no longer there"):
            replay(setup, certificate, None)


def test_nothing_is_replayed_without_the_key(federation):
    certificate = open_certificate(federation.run().certificate)
    federation.sites["a"].close()
    key = federation.setup("a").folder / "releases.key"
    key.unlink()

    with pytest.raises(InvalidNetwork, match=r"releases\.key"):
        replay(federation.setup("a"), certificate, None)
    assert not key.exists()
