"""Snapshots are immutable and restartable; what changed between two is told."""

import json
import os
import signal

import pytest

from hetao.cdm import (
    compare,
    curate,
    open_site,
    open_tables,
    previous_folder,
    read_manifest,
    snapshots,
)
from hetao.cdm.engine_duckdb import counts
from hetao.cdm.mapping import read_folder
from hetao.cdm.snapshot import table_digest, table_digests
from hetao.cdm.vocabulary import load_athena
from hetao.cli.main import main
from hetao.dictionary import dictionary
from hetao.errors import InvalidData
from support_cdm import CODES, ROWS, curate_until, curated, rows_of, write_folder
from support_forks import exit_code
from support_vocabulary import VOCABULARY, write_download


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """Return a site folder curated twice: fewer people, and one code more mapped."""
    folder = tmp_path_factory.mktemp("site")
    path = write_folder(folder)
    first = curated(path)
    write_folder(folder, [*ROWS[:3], *ROWS[4:]])
    (folder / "codes.csv").write_text(CODES + "icd10,E11.9,201826,糖尿病,,confirmed\n")
    return path, first, curated(path)


def test_the_older_snapshot_is_kept_as_it_was(refreshed):
    path, first, second = refreshed

    kept = snapshots(path.parent / "store")

    assert [(m.snapshot, now) for m, now in kept] == [
        (first.snapshot, False),
        (second.snapshot, True),
    ]
    assert rows_of(first, "SELECT count(*) FROM person") == [(5,)]


def test_digests_of_all_tables_are_those_of_each(refreshed):
    _, _, second = refreshed
    with open_tables(second.database) as tables:
        rows = counts(tables.connection, dictionary().tables)
        found = table_digests(tables.connection, rows)
        each = {
            name: table_digest(tables.connection, table)
            for name, table in dictionary().tables.items()
        }

    assert found == each
    assert {name: number for name, number in rows.items() if number} == second.tables
    assert len(second.tables) < len(rows)


def test_a_manifest_says_what_the_snapshot_is(refreshed):
    _, first, _ = refreshed

    told = read_manifest(first.folder)

    assert (told.snapshot, told.lineage) == (first.snapshot, first.proof)
    assert told.rows == dict(first.tables)
    assert told.mapping.startswith("sha256:")


def test_tables_keep_to_the_vocabulary_that_they_were_curated_with(tmp_path):
    path = write_folder(tmp_path / "site")
    store = read_folder(path).store_path
    bare = curated(path)
    first = load_athena(write_download(tmp_path / "d"), store)
    with open_tables(bare.folder / "cdm.duckdb") as tables:
        assert tables.vocabulary is None

    with open_tables(curated(path).folder / "cdm.duckdb") as tables:
        assert tables.vocabulary == first
        text = VOCABULARY.replace("v9.9", "v9.10")
        second = load_athena(write_download(tmp_path / "e", VOCABULARY=text), store)
        assert tables.vocabulary == first
    with open_tables(curated(path).folder / "cdm.duckdb") as tables:
        assert tables.vocabulary == second


def test_what_changed_is_told_by_table_and_code(refreshed):
    path, first, second = refreshed

    found = compare(previous_folder(path.parent / "store"), second.folder)

    tables = {t.table: (t.before, t.after, t.removed, t.added) for t in found.tables}
    assert (found.before, found.after) == (first.snapshot, second.snapshot)
    assert tables["person"] == (5, 4, 1, 0)
    assert tables["condition_occurrence"] == (3, 3, 1, 1)
    assert "measurement" not in tables
    assert (found.mapped, found.unmapped) == (("ICD10 E11.9",), ())


def test_the_commands_list_and_compare(refreshed, capsys):
    path, first, second = refreshed

    assert main(["site", "snapshots", str(path)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert main(["site", "diff", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["site", "diff", str(path)]) == 0
    shown = capsys.readouterr().out
    assert main(["site", "diff", str(path), first.snapshot, first.snapshot]) == 0

    assert [line[:14].strip() for line in listed] == [
        first.snapshot[7:19],
        f"* {second.snapshot[7:19]}",
    ]
    assert told["mapped"] == ["ICD10 E11.9"]
    assert "person: 5 -> 4 rows, 1 went, 0 came [20-50%]" in shown
    assert "nothing changed" in capsys.readouterr().out


def test_one_snapshot_alone_has_nothing_before_it(tmp_path):
    store = curated(write_folder(tmp_path)).folder.parents[1]

    with pytest.raises(InvalidData, match="no earlier snapshot"):
        previous_folder(store)


def test_a_snapshot_that_lost_its_manifest_is_made_again(tmp_path):
    path = write_folder(tmp_path)
    first = curated(path)
    (first.folder / "manifest.json").unlink()

    again = curated(path)

    assert again.snapshot == first.snapshot
    assert (again.folder / "manifest.json").is_file()
    assert sorted((tmp_path / "store" / "snapshots").iterdir()) == [again.folder]


def test_a_broken_manifest_is_refused(tmp_path):
    path = write_folder(tmp_path)
    (curated(path).folder / "manifest.json").write_text("{}")

    with pytest.raises(InvalidData, match="not whole"):
        snapshots(tmp_path / "store")


STEPS = (
    *("reading", "proving", "selecting visit", "mapping", "filling measurement"),
    *("accounting", "taking", "checking", "keeping"),
)


def test_who_is_killed_anywhere_leaves_the_last_good_snapshot(tmp_path):
    path = write_folder(tmp_path)
    good = curated(path)
    write_folder(tmp_path, ROWS[:1])
    for step in STEPS:
        assert exit_code(curate_until, path, step) == -signal.SIGKILL, step
        with open_site(path) as tables:
            assert tables.snapshot == good.snapshot, step
        assert len(snapshots(tmp_path / "store")) == 1, step

    after = curated(path)

    assert after.people == 1
    assert list((tmp_path / "store").rglob(".part*")) == []


def test_who_is_killed_while_taking_over_leaves_the_last_good_snapshot(tmp_path):
    path = write_folder(tmp_path)
    good = curated(path)
    before = rows_of(good, "FROM person ORDER BY ALL")
    (tmp_path / "codes.csv").write_text(CODES + "icd10,E11.9,201826,糖,,confirmed\n")
    for step in ("taking person", "filling condition", "keeping"):
        assert exit_code(curate_until, path, step) == -signal.SIGKILL, step
        with open_site(path) as tables:
            assert tables.snapshot == good.snapshot, step
        assert rows_of(good, "FROM person ORDER BY ALL") == before, step

    after = curated(path)

    assert set(after.taken_over) == {"person", "visit_occurrence", "measurement"}
    assert after.snapshot != good.snapshot
    assert list((tmp_path / "store").rglob(".part*")) == []


def test_a_killed_curation_goes_on_with_what_it_had_staged(tmp_path):
    path = write_folder(tmp_path)
    assert exit_code(curate_until, path, "proving") == -signal.SIGKILL
    said = []

    curate(path, said.append)

    assert said[0] == "病人.csv: unchanged, not read again"


def test_a_curation_that_still_lives_keeps_its_folder(tmp_path):
    path = write_folder(tmp_path)
    other = tmp_path / "store" / "snapshots" / f".part-{os.getppid()}-x"
    other.mkdir(parents=True)

    curated(path)

    assert other.exists()


def test_a_reader_keeps_its_tables_and_the_next_one_sees_the_new(tmp_path):
    path = write_folder(tmp_path)
    curated(path)
    with open_site(path) as reader:
        write_folder(tmp_path, ROWS[:1])
        curated(path)

        with open_site(path) as later:
            people = [
                t.connection.execute("SELECT count(*) FROM person").fetchone()[0]
                for t in (reader, later)
            ]

    assert people == [5, 1]


def test_a_curation_that_another_overtakes_ends_as_well(tmp_path):
    path = write_folder(tmp_path)
    overtaken = []

    def progress(said):
        if said.startswith("reading"):
            overtaken.append(curated(path))

    found = curate(path, progress)

    assert found.snapshot == overtaken[0].snapshot
    assert len(snapshots(path.parent / "store")) == 1
