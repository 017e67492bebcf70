"""A table that is taken over is what a curation from nothing would make of it."""

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.cdm import open_tables
from hetao.errors import InvalidData
from support_cdm import curated

SITE = """
[site]
name = "north"
[store]
path = "store"
[[sources]]
name = "people"
files = "people.csv"
identifiers = ["no"]
[[sources]]
name = "visits"
files = "visits*.csv"
identifiers = ["no"]
missing = ["-9"]
[[sources]]
name = "labs"
files = "labs.csv"
identifiers = ["no"]
"""
SELECTS = {
    "care_site": "SELECT DISTINCT pseudonym('ward ' || ward) AS care_site_id, "
    "ward AS care_site_source_value FROM visits WHERE ward IS NOT NULL",
    "person": "SELECT pseudonym(no) AS person_id, as_year(born) AS year_of_birth, "
    "sex AS gender_source_value, 'local' AS gender_system, source_row FROM people",
    "death": "SELECT pseudonym(no) AS person_id, partial_date(died) AS death_date "
    "FROM people WHERE died IS NOT NULL",
    "visit_occurrence": "SELECT pseudonym(no || day) AS visit_occurrence_id, "
    "pseudonym(no) AS person_id, 9202 AS visit_concept_id, "
    "as_date(day) AS visit_start_date, "
    "pseudonym('ward ' || ward) AS care_site_id FROM visits",
    "condition_occurrence": "SELECT pseudonym(no) AS person_id, "
    "as_date(day) AS condition_start_date, code AS condition_source_value, "
    "'icd10' AS condition_system FROM visits WHERE code IS NOT NULL",
    "observation": "SELECT pseudonym(no) AS person_id, "
    "as_date(day) AS observation_date, 'row' AS observation_source_value, "
    "'local' AS observation_system, source_row % 7 AS value_as_number FROM labs",
    "measurement": "SELECT pseudonym(no) AS person_id, "
    "as_date(day) AS measurement_date, test AS measurement_source_value, "
    "'local' AS measurement_system, result AS value_source_value, "
    "unit AS unit_source_value, pseudonym(no || day) AS visit_occurrence_id FROM labs",
}
FILES = {
    "people.csv": """no,born,sex,died
A1000001,1950,M,2020-
A1000002,1960,F,
A1000003,19x0,F,
A1000004,1970,?,2031-01-01
""",
    "visits_1.csv": """no,day,code,ward
A1000001,2019-01-01,I10,W1
A1000002,2019-02-01,E11.9,W2
A1000003,2019-02-30,I10,-9
""",
    "visits_2.csv": """no,day,code,ward
A1000004,2019-03-01,,W1
A1000009,2019-03-01,I10,W1
A1000002,2030-06-01,I48,W3
""",
    "labs.csv": """no,day,test,result,unit
A1000001,2019-01-01,chol,200,mg/dL
A1000001,2019-01-01,chol,5.1,mmol/L
A1000002,2019-02-02,chol,"4,9",mmol/L
A1000002,2019-02-02,chol,5,parts
A1000004,2019-03-01,odd,7,g
""",
    "codes.csv": """system,code,concept_id,name,analyte,status
local,M,8507,male,,confirmed
local,F,8532,female,,confirmed
local,chol,,cholesterol,cholesterol_total,confirmed
icd10,I10,320128,hypertension,,confirmed
""",
    "units.csv": "analyte,source_unit,unit\n",
}
TODAY = date(2025, 1, 1)


def replaced(name, old, new):
    """Return a change that writes something else into a file."""

    def change(folder):
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), "utf-8")

    return change


def added(name, text):
    """Return a change that adds to the end of a file."""

    def change(folder):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def forget_key(folder):
    """Have the next curation make another key."""
    (folder / "pseudonym.key").write_text("ab" * 32 + "\n", "ascii")


def rename(folder):
    """Give one file of a source another name."""
    (folder / "visits_2.csv").rename(folder / "visits_3.csv")


EVERY = frozenset(SELECTS)
PEOPLE = frozenset({"person", "death"})
VISITS = frozenset({"care_site", "visit_occurrence", "condition_occurrence"})
LABS = frozenset({"measurement", "observation"})
# What changes → what changed, and which tables are taken over all the same.
CHANGES = {
    "nothing": (lambda _: None, EVERY),
    "a person's sex": (
        replaced("people.csv", "A1000002,1960,F", "A1000002,1960,M"),
        EVERY - PEOPLE,
    ),
    "a person who is no longer there": (
        replaced("people.csv", "A1000002,1960,F,\n", ""),
        frozenset({"care_site"}),
    ),
    "a person who was unknown": (
        added("people.csv", "A1000009,1955,M,\n"),
        frozenset({"care_site"}),
    ),
    "a visit of another ward": (
        replaced("visits_2.csv", "2019-03-01,,W1", "2019-03-01,,W2"),
        EVERY - VISITS,
    ),
    "a row more among the visits": (
        added("visits_1.csv", "A1000001,2020-01-01,I10,W1\n"),
        PEOPLE,
    ),
    "the same rows in the file": (
        added("labs.csv", "A1000001,2020-01-01,chol,6,mmol/L\n"),
        EVERY - LABS,
    ),
    "a code that somebody confirmed": (
        added("codes.csv", "icd10,E11.9,201826,diabetes,,confirmed\n"),
        EVERY - {"condition_occurrence"},
    ),
    "a code that nobody uses": (
        added("codes.csv", "icd10,Z99,7,dependence,,confirmed\n"),
        EVERY,
    ),
    "an analyte": (
        replaced("codes.csv", "cholesterol_total", ""),
        EVERY - {"measurement"},
    ),
    "a unit": (
        added("units.csv", "cholesterol_total,parts,mmol/L\n"),
        EVERY - {"measurement"},
    ),
    "the key of pseudonyms": (forget_key, frozenset()),
    "a SELECT": (
        replaced("condition_occurrence.sql", "code IS NOT NULL", "code <> 'I10'"),
        EVERY - {"condition_occurrence"},
    ),
    "the decimal mark": (
        replaced("site.toml", 'name = "labs"', 'name = "labs"\ndecimal = ","'),
        EVERY - LABS,
    ),
    "what stands for not known": (
        replaced("site.toml", '["-9"]', '["-9", "W3"]'),
        EVERY - VISITS,
    ),
    "what identifies": (
        replaced("site.toml", 'name = "labs"', 'name = "labs"\nharmless = ["test"]'),
        EVERY,
    ),
    "a file's name": (rename, EVERY - VISITS),
}
LATER = date(2032, 1, 1)  # what lay in the future has come: a death and a visit


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a site folder that was curated once."""
    folder = tmp_path_factory.mktemp("first") / "site"
    folder.mkdir()
    (folder / "site.toml").write_text(SITE, "utf-8")
    for table, body in SELECTS.items():
        (folder / f"{table}.sql").write_text(body, "utf-8")
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    curated(folder / "site.toml", today=TODAY)
    return folder


def content(curation):
    """Return all that a snapshot tells: each table's rows, and what is written."""
    with open_tables(curation.database) as tables:
        names = tables.connection.execute(
            "SELECT table_name FROM duckdb_tables() "
            "WHERE database_name = 'site' ORDER BY 1"
        ).fetchall()
        rows = {
            name: tables.connection.execute(f"FROM {name} ORDER BY ALL").fetchall()
            for (name,) in names
        }
    files = [path for path in curation.folder.iterdir() if path.suffix != ".duckdb"]
    return rows, {path.name: path.read_text("utf-8") for path in files}


def both_ways(first: Path, folder: Path, changes, today=TODAY):
    """Change a copy of the site; curate it with and without what was there before."""
    found = []
    for name, whole in (("taken", False), ("whole", True)):
        copy = folder / name
        shutil.copytree(first, copy)
        for change in changes:
            change(copy)
        found.append(curated(copy / "site.toml", today=today, whole=whole))
    return found


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_the_result_is_that_of_a_whole_curation(first, tmp_path, what):
    change, still = CHANGES[what]

    taken, whole = both_ways(first, tmp_path, [change])

    assert taken.snapshot == whole.snapshot
    assert content(taken) == content(whole)
    assert (frozenset(taken.taken_over), whole.taken_over) == (still, ())


def test_a_day_that_has_come_changes_the_tables_it_stands_in(first, tmp_path):
    taken, whole = both_ways(first, tmp_path, [], LATER)

    assert content(taken) == content(whole)
    assert frozenset(taken.taken_over) == EVERY - {
        "person",
        "death",
        "visit_occurrence",
        "condition_occurrence",
        "measurement",
    }


@settings(max_examples=6)
@given(
    kinds=st.lists(  # each once: a change made twice is no folder that anybody has
        st.sampled_from(sorted(CHANGES)), min_size=2, max_size=6, unique=True
    ).map(lambda kinds: [kinds[at : at + 2] for at in range(0, len(kinds), 2)])
)
def test_one_refresh_after_another_ends_where_a_whole_curation_does(
    first, tmp_path_factory, kinds
):
    folder = tmp_path_factory.mktemp("steps")
    shutil.copytree(first, folder / "site")
    for step in kinds:
        for kind in step:
            try:
                CHANGES[kind][0](folder / "site")
            except (AssertionError, FileNotFoundError):
                continue  # it was changed already
        last = curated(folder / "site" / "site.toml", today=TODAY)
    shutil.rmtree(folder / "site" / "store" / "snapshots")
    (folder / "site" / "store" / "current").unlink()

    whole = curated(folder / "site" / "site.toml", today=TODAY)

    assert last.snapshot == whole.snapshot


def test_a_snapshot_stands_without_the_one_it_was_taken_from(first, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(first, copy)
    CHANGES["a SELECT"][0](copy)
    before = {path.name for path in (copy / "store" / "snapshots").iterdir()}
    done = curated(copy / "site.toml", today=TODAY)

    for name in before:
        shutil.rmtree(copy / "store" / "snapshots" / name)

    with open_tables(done.database) as tables:
        assert tables.connection.execute("SELECT count(*) FROM person").fetchone()
    again = curated(copy / "site.toml", today=TODAY)
    assert again.snapshot == done.snapshot
    assert frozenset(again.taken_over) == EVERY


def test_a_table_that_somebody_changed_is_not_taken_over(first, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(first, copy)
    (folder,) = (copy / "store" / "snapshots").iterdir()
    with duckdb.connect(str(folder / "cdm.duckdb")) as connection:
        connection.execute("UPDATE death SET death_date = DATE '2020-02-02'")

    with pytest.raises(InvalidData, match="death of the current snapshot"):
        curated(copy / "site.toml", today=TODAY)

    assert curated(copy / "site.toml", today=TODAY, whole=True).taken_over == ()


def test_a_snapshot_without_origins_is_not_taken_over(first, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(first, copy)
    (folder,) = (copy / "store" / "snapshots").iterdir()
    (folder / "origins.duckdb").unlink()

    assert curated(copy / "site.toml", today=TODAY).taken_over == ()
    assert frozenset(curated(copy / "site.toml", today=TODAY).taken_over) == EVERY
