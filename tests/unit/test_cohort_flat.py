"""A flat file gives the cells that the study names, and refuses the others."""

from dataclasses import replace

import duckdb
import numpy as np
import pytest

from hetao.cdm import FlatFile, open_flat, open_site
from hetao.cohort import build
from hetao.errors import InvalidData, InvalidMapping, InvalidStudy
from hetao.study import Analysis, Level, Study, Variable

AGE = Variable("age", "number", "column", column="Age", bounds=(0.0, 120.0))
ARM = Variable(
    "arm",
    "category",
    "column",
    column="arm",
    levels=(Level("control", "A"), Level("treated", "B")),
)
ROWS = "site,Age,age,arm\nx,50,1,A\ny,60,2,B\nx,NA,3,B\nx,70.5,4,\n"


def study(*variables: Variable) -> Study:
    return Study("s", "", "", "1", "flat", ("a",), variables, ())


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "flat.csv"
    path.write_text(ROWS)
    return path


def test_a_site_gets_its_own_rows_in_the_order_of_the_file(table):
    with open_flat(table, "site", "x") as opened:
        cohort = build(study(AGE, ARM), opened)

    assert cohort.people == 3
    np.testing.assert_array_equal(cohort.columns["age"], [50.0, np.nan, 70.5])
    assert cohort.columns["arm"].tolist() == [0, 1, -1]
    assert cohort.columns["arm"].dtype == np.int64
    assert cohort.attrition == (("Everyone in the data", 3),)


def test_every_row_is_taken_without_a_split(table):
    with open_flat(table) as opened:
        assert build(study(AGE), opened).people == 4


def test_parquet_and_csv_give_the_same_cohort(tmp_path, table):
    duckdb.execute(
        f"COPY (FROM read_csv('{table}', all_varchar = true)) "
        f"TO '{tmp_path}/flat.parquet'"
    )

    with open_flat(table) as a, open_flat(tmp_path / "flat.parquet") as b:
        first, second = build(study(AGE, ARM), a), build(study(AGE, ARM), b)

    np.testing.assert_array_equal(first.columns["age"], second.columns["age"])
    np.testing.assert_array_equal(first.columns["arm"], second.columns["arm"])


def test_typed_parquet_columns_are_read(tmp_path):
    path = tmp_path / "typed.parquet"
    duckdb.execute(
        "COPY (SELECT * FROM (VALUES (1.5, 1.0, true), (NULL, 0.0, false), "  # noqa: S608
        f"('NaN'::DOUBLE, NULL, NULL)) t(Age, arm, flag)) TO '{path}'"
    )
    arm = replace(ARM, levels=(Level("control", 0), Level("treated", 1)))
    flag = replace(
        ARM,
        name="flag",
        column="flag",
        levels=(Level("n", "false"), Level("y", "true")),
    )

    with open_flat(path) as opened:
        found = build(study(AGE, arm, flag), opened).columns

    np.testing.assert_array_equal(found["age"], [1.5, np.nan, np.nan])
    assert found["arm"].tolist() == [1, 0, -1]
    assert found["flag"].tolist() == [1, 0, -1]


@pytest.mark.parametrize("variable", [AGE, replace(ARM, column="Age")])
@pytest.mark.parametrize("cell", ["secret7", "inf", "1e999"])
def test_a_cell_that_fits_nothing_is_refused_and_not_told(table, variable, cell):
    table.write_text(ROWS + f"x,{cell},9,A\n")

    with open_flat(table) as opened, pytest.raises(InvalidData) as caught:
        build(study(variable), opened)

    assert "'Age'" in str(caught.value)
    assert cell not in str(caught.value)


def test_a_missing_column_is_named(table):
    with open_flat(table) as opened, pytest.raises(InvalidData, match="'dose'"):
        build(study(replace(AGE, column="dose")), opened)
    with pytest.raises(InvalidData, match="'zone'"):
        open_flat(table, "zone", "x")


def test_a_site_without_rows_is_refused(table):
    with pytest.raises(InvalidData, match="no row"):
        open_flat(table, "site", "z")


def test_only_columns_can_be_asked_of_a_flat_file(table):
    other = Variable("a", "number", "age", bounds=(0.0, 1.0))

    with open_flat(table) as opened, pytest.raises(InvalidStudy, match="'age'"):
        build(study(other), opened)


def test_the_digest_is_of_the_rows_of_the_site(tmp_path, table):
    with open_flat(table, "site", "x") as opened:
        first = opened.snapshot
    table.write_text(ROWS.replace("y,60", "y,61"))
    with open_flat(table, "site", "x") as opened:
        others_changed = opened.snapshot
    table.write_text(ROWS.replace("x,50", "x,51"))
    with open_flat(table, "site", "x") as opened:
        own_changed = opened.snapshot

    assert first == others_changed
    assert first != own_changed
    assert first.startswith("sha256:")


@pytest.mark.parametrize("body", [b"", b"PAR1 and then nothing", b"a,b\n1\n"])
def test_a_file_that_cannot_be_read_is_one_error(tmp_path, body):
    path = tmp_path / "bad"
    path.write_bytes(body)

    with pytest.raises(InvalidData, match="bad"):
        open_flat(path)
    with pytest.raises(InvalidData):
        open_flat(tmp_path / "none")
    with pytest.raises(InvalidData):
        open_flat(tmp_path)


# --- several rows a person ------------------------------------------------------------
LONG = "who,Age\n7,50\n7,51\n9,60\n"
WHO = Variable("who", "key", "column", column="who")
OF_PEOPLE = Analysis(
    "a", "linear", outcome="age", terms=("1",), person="who", most_rows=9
)


@pytest.fixture
def long_table(tmp_path):
    (tmp_path / "flat.csv").write_text(LONG)
    path = tmp_path / "site.toml"
    path.write_text('[site]\nname = "x"\n[flat]\nfile = "flat.csv"\nperson = "who"\n')
    return path


def test_a_site_whose_people_have_several_rows_counts_people(long_table):
    asked = replace(study(AGE, WHO), analyses=(OF_PEOPLE,))
    with open_site(long_table) as opened:
        assert build(asked, opened).people == 2


def test_a_study_that_would_count_its_rows_as_people_is_refused(long_table):
    by_age = replace(WHO, name="by_age", column="Age")
    for asked, words in (
        (study(AGE, WHO), "counts each row as a person"),
        (
            replace(
                study(AGE, by_age), analyses=(replace(OF_PEOPLE, person="by_age"),)
            ),
            "by another column",
        ),
    ):
        with (
            open_site(long_table) as opened,
            pytest.raises(InvalidStudy, match=words) as refused,
        ):
            build(asked, opened)
        assert "'who'" in str(refused.value)


def test_a_study_that_knows_people_by_a_column_that_the_site_does_not_is_refused(
    long_table,
):
    long_table.write_text(long_table.read_text().replace('person = "who"', ""))
    asked = replace(study(AGE, WHO), analyses=(OF_PEOPLE,))

    with (
        open_site(long_table) as opened,
        pytest.raises(InvalidStudy, match="each row of this site's table is a person"),
    ):
        build(asked, opened)


def test_a_person_that_is_no_column_is_refused(long_table):
    text = long_table.read_text().replace('person = "who"', 'person = "whose"')
    long_table.write_text(text)

    with pytest.raises(InvalidMapping, match="person names no column"):
        open_site(long_table)


def test_a_file_that_is_read_once_opens_as_one_read_each_time(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("site,age\na,1\nb,2\na,3\n,4\n", "utf-8")
    file = FlatFile(path)

    for split in (("site", "a"), ("site", "b"), ("", "")):
        with open_flat(path, *split, person="age", genes=()) as alone:
            for _ in range(2):  # the second time, rows that are there already
                with file.open(*split, "age", ()) as shared:
                    assert replace(shared, connection=alone.connection) == alone
                    rows = [
                        one.connection.execute(
                            "SELECT rowid, * FROM flat ORDER BY rowid"
                        ).fetchall()
                        for one in (alone, shared)
                    ]
                    assert rows[0] == rows[1]
    with pytest.raises(InvalidData, match="holds no row of this site"):
        file.open("site", "c")
    with pytest.raises(InvalidData, match="has no column 'zone'"):
        file.open("zone", "a")
    with file.open("site", "a") as still:
        path.unlink()
        assert still.connection.execute("SELECT count(*) FROM flat").fetchone() == (2,)
    file.close()
