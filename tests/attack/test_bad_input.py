"""Bad extracts: a clear report, everything accounted for, and never half a snapshot."""

import re
import zipfile

import pytest

from hetao.cdm import curate, snapshots
from hetao.errors import HetaoError, InvalidData, InvalidMapping
from hetao.synth.files import EXCEL_PARTS
from support_cdm import (
    CODES,
    HEADER,
    ROWS,
    SELECTS,
    SITE,
    curated,
    quiet,
    rejected,
    rows_of,
    write_folder,
)

GOOD = [f"P{n},2020-01-02,50,男,200,I25.1" for n in range(40)]
UNUSABLE = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "is empty"),
    "header only": (HEADER.encode() + b"\n", "no row"),
    "all short rows": (f"{HEADER}\nA1,2020-01-02\n".encode(), "fewer cells"),
    "all long rows": (f"{HEADER}\n{ROWS[0]},1,2\n".encode(), "more cells"),
    "open quote": (f'{HEADER}\n"{ROWS[0]}\n'.encode(), "病人.csv"),
    "wrong encoding": (f"{HEADER}\n{ROWS[0]}\n".encode("gb18030"), "not utf-8"),
    "cut in a character": (
        f"{HEADER}\n{ROWS[0]}\nA2,2020-01-02,50,男".encode()[:-1],
        "cut",
    ),
    "nameless column": (f"{HEADER},\n{ROWS[0]},1\n".encode(), "no name"),
    "renamed column": (
        HEADER.replace("年龄", "岁数").encode() + b"\n1,2,3,4,5,6\n",
        "'年龄'",
    ),
    "no identifier": (
        HEADER.replace("编号", "序号").encode() + b"\n1,2,3,4,5,6\n",
        "编号",
    ),
    "another format": (b"PK\x03\x04" + b"\0" * 200, "病人.csv"),
}


@pytest.mark.parametrize(("body", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_file_is_one_error_that_names_file_and_remedy(tmp_path, body, said):
    path = write_folder(tmp_path)
    (tmp_path / "病人.csv").write_bytes(body)

    with pytest.raises((InvalidData, InvalidMapping)) as caught:
        curate(path, quiet)

    assert said in str(caught.value)
    assert caught.value.fix
    assert "A1" not in str(caught.value)
    assert snapshots(tmp_path / "store") == ()
    assert list((tmp_path / "store").rglob(".part*")) == []


def test_a_missing_file_is_named(tmp_path):
    path = write_folder(tmp_path)
    (tmp_path / "病人.csv").unlink()

    with pytest.raises(InvalidData, match=r"no file '病人.csv'"):
        curate(path, quiet)


def test_a_few_ragged_rows_are_kept_aside_by_line(tmp_path):
    rows = [*GOOD[:20], "X1,2020-01-02", *GOOD[20:]]

    found = curated(write_folder(tmp_path, rows))

    assert (found.rows, found.people) == (41, 40)
    assert rejected(found) == [(22, "", "row has fewer cells than the header")]


def test_too_many_ragged_rows_refuse_the_file_by_a_band_of_lines(tmp_path):
    rows = [*(f"P{n},2020-01-02,50,男,200," for n in range(1500)), *["X"] * 100]

    with pytest.raises(InvalidData) as caught:
        curate(write_folder(tmp_path, rows), quiet)

    assert "lines 1001-2000" in str(caught.value)
    assert "more than 5%" in str(caught.value)
    assert "1502" not in str(caught.value)
    assert "100 of 1600" in caught.value.local


def test_one_bad_row_in_very_many_costs_that_row_alone(tmp_path):
    rows = [f"P{n},2020-01-02,50,男,200," for n in range(100_000)]
    rows[77_777] = "P77777,2020-02-31,50,男,200,"

    found = curated(write_folder(tmp_path, rows))

    assert (found.rows, found.people) == (100_000, 99_999)
    assert {row for row, _, _ in rejected(found)} == {77_778}


@pytest.mark.parametrize("end", ["\r\n", "\r", "mixed"])
def test_line_ends_of_every_kind_are_one(tmp_path, end):
    path = write_folder(tmp_path, GOOD)
    lines = [HEADER, *GOOD]
    ends = ["\r\n", "\n", "\r"] if end == "mixed" else [end]
    body = "".join(line + ends[n % len(ends)] for n, line in enumerate(lines))
    (tmp_path / "病人.csv").write_bytes(b"\xef\xbb\xbf" + body.encode())

    assert curated(path).people == 40


DATES = {
    "2020-02-31": "not a date",
    "0202-01-05": "not a date",
    "2015-09-": "not a date",
    "43831": "not a date",
    "01/02/2020": "not a date",
    "2020-13-01": "not a date",
    "2099-01-01": "date lies in the future",
}


@pytest.mark.parametrize(("cell", "reason"), DATES.items())
def test_a_date_that_cannot_be_meant_is_kept_aside(tmp_path, cell, reason):
    rows = [*GOOD, GOOD[0].replace("P0", "Q1").replace("2020-01-02", cell)]
    selects = {
        **SELECTS,
        "person": SELECTS["person"].replace('as_date("日期")', "DATE '2020-01-01'"),
    }

    found = curated(write_folder(tmp_path, rows, selects=selects))

    assert (41, "日期", reason) in rejected(found)
    assert rows_of(found, "SELECT count(*) FROM visit_occurrence") == [(40,)]


def test_a_partial_date_is_completed_and_counted(tmp_path):
    rows = [*GOOD, *(f"Q{n},2015-09-,50,男,200," for n in range(3))]
    visit = SELECTS["visit_occurrence"].replace("as_date", "partial_date")

    found = curated(
        write_folder(tmp_path, rows, selects={**SELECTS, "visit_occurrence": visit})
    )

    query = "SELECT number FROM curation_counts WHERE counted = 'completed'"
    assert rows_of(found, query) == [(3,)]
    assert all("completed" not in reason for _, _, reason in rejected(found))


def test_of_rows_with_one_key_the_first_is_kept(tmp_path):
    rows = [*GOOD, GOOD[3].replace(",50,", ",60,")]

    found = curated(write_folder(tmp_path, rows))

    assert found.people == 40
    assert (41, "编号", "key stands twice") in rejected(found)


def test_events_of_unknown_people_are_kept_aside(tmp_path):
    person = SELECTS["person"] + " WHERE \"性别\" = '男'"
    rows = [row.replace("男", "女") if row.startswith("P7,") else row for row in GOOD]

    found = curated(write_folder(tmp_path, rows, selects={**SELECTS, "person": person}))

    assert (8, "编号", "person is not among the people") in rejected(found)
    assert rows_of(found, "SELECT count(*) FROM measurement") == [(39,)]


def test_an_unknown_unit_is_kept_aside_and_units_csv_explains_it(tmp_path):
    odd = SELECTS["measurement"].replace("mg/dL", "毫克每分升")
    path = write_folder(tmp_path, GOOD, selects={**SELECTS, "measurement": odd})
    reasons = {reason for _, _, reason in rejected(curated(path))}

    (tmp_path / "units.csv").write_text(
        "analyte,source_unit,unit\ncholesterol_total,毫克每分升,mg/dL\n", "utf-8"
    )
    found = curated(path)

    assert reasons == {"unit has no conversion for this analyte"}
    assert rejected(found) == []
    assert rows_of(
        found, "SELECT DISTINCT value_as_number::VARCHAR FROM measurement"
    ) == [("5.172000",)]


def test_a_result_below_a_limit_keeps_its_operator(tmp_path):
    rows = [*GOOD, "Q1,2020-01-02,50,男,<200,"]

    found = curated(write_folder(tmp_path, rows))

    query = """SELECT operator_concept_id, value_as_number::VARCHAR FROM measurement
        WHERE value_source_value = '<200'"""
    assert rows_of(found, query) == [(4171756, "5.172000")]


def test_a_mapping_that_drops_many_codes_shows_in_the_tables(tmp_path):
    """Nothing is lost: an unmapped code stands there, without a standard concept."""
    rows = [
        f"P{n},2020-01-02,50,男,200,{'I25.1' if n % 5 < 3 else 'Z99.9'}"
        for n in range(40)
    ]

    found = curated(write_folder(tmp_path, rows))

    query = """SELECT condition_concept_id, condition_source_value, count(*)
        FROM condition_occurrence GROUP BY ALL ORDER BY ALL"""
    assert rows_of(found, query) == [(0, "Z99.9", 16), (317576, "I25.1", 24)]


def test_an_identifier_in_an_undeclared_column_is_found_in_the_data(tmp_path):
    header = HEADER + ",备注"
    rows = [f"HK12345{n},2020-01-02,50,男,200,,HK12345{n}" for n in range(10)]
    condition = SELECTS["condition_occurrence"].replace('"诊断"', '"备注"')
    path = write_folder(
        tmp_path, rows, header, selects={**SELECTS, "condition_occurrence": condition}
    )

    with pytest.raises(HetaoError, match="HT-414") as caught:
        curate(path, quiet)

    assert "HK12345" not in str(caught.value)
    assert snapshots(tmp_path / "store") == ()


BAD_FOLDERS = {
    "unknown table": ("site.toml", SITE + "\n[zone]\nx = 1\n", "'zone'"),
    "unknown field": ("site.toml", SITE + 'weight = "x"\n', "'weight'"),
    "encoding": ("site.toml", SITE.replace("{encoding}", "klingon"), "unknown"),
    "byte codec": ("site.toml", SITE.replace("{encoding}", "hex"), "unknown"),
    "format": ("site.toml", SITE + 'format = "word"\n', "'word'"),
    "engine": ("site.toml", SITE.replace('"store"', '"store"\nengine = "x"'), "engine"),
    "a password": (
        "site.toml",
        SITE.replace(
            'files = "病人.csv"',
            'format = "postgres"\ndsn_env = "postgresql://a:b@c"\nquery = "person"',
        ),
        "dsn_env is the name of an environment variable",
    ),
    "a database of files": ("site.toml", SITE + 'dsn_env = "HERE"\n', "dsn_env"),
    "no such table": ("people.sql", "SELECT 1 AS x", "named like no table"),
    "a column too many": (
        "person.sql",
        SELECTS["person"].replace("person_id", "pid"),
        "'pid'",
    ),
    "no year of birth": (
        "person.sql",
        'SELECT pseudonym("编号") AS person_id FROM visits',
        "'gender_concept_id'",
    ),
    "a link to nothing": (
        "measurement.sql",
        SELECTS["measurement"].replace(
            "SELECT", 'SELECT pseudonym("日期") AS provider_id,', 1
        ),
        "provider",
    ),
    "a system that is none": (
        "condition_occurrence.sql",
        SELECTS["condition_occurrence"].replace("icd10", "icd99"),
        "code system",
    ),
    "a code confirmed twice": (
        "codes.csv",
        CODES + "local,男,8507,男,,confirmed\n",
        "codes.csv",
    ),
    "units": ("units.csv", "analyte,source_unit,unit\nnone,x,mg/dL\n", "line 2"),
    "types": (
        "person.sql",
        SELECTS["person"].replace('year(as_date("日期"))', 'year("日期")'),
        "cannot be carried out",
    ),
}


@pytest.mark.parametrize(
    ("file", "body", "said"), BAD_FOLDERS.values(), ids=BAD_FOLDERS
)
def test_a_bad_mapping_is_one_error_that_names_the_place(tmp_path, file, body, said):
    path = write_folder(tmp_path, GOOD)
    (tmp_path / file).write_text(body.replace("{encoding}", "utf-8"), "utf-8")

    with pytest.raises(InvalidMapping) as caught:
        curate(path, quiet)

    assert said in str(caught.value)
    assert snapshots(tmp_path / "store") == ()


def test_files_of_one_source_must_have_the_same_columns(tmp_path):
    toml = SITE.replace("病人.csv", "*.csv")
    path = write_folder(tmp_path, GOOD, toml=toml)
    (tmp_path / "codes.csv").rename(tmp_path / "kept")
    (tmp_path / "more.csv").write_text("编号,日期\nA,2020-01-01\n", "utf-8")

    with pytest.raises(InvalidData, match="differ in the column"):
        curate(path, quiet)


def test_several_files_are_one_table_whatever_their_order_of_columns(tmp_path):
    toml = SITE.replace("病人.csv", "dx*.csv")
    path = write_folder(tmp_path, GOOD, toml=toml)
    (tmp_path / "病人.csv").rename(tmp_path / "dx1.csv")
    turned = "\n".join(
        ",".join(reversed(line.split(",")))
        for line in (HEADER, *(row.replace("P", "R") for row in GOOD))
    )
    (tmp_path / "dx2.csv").write_text(turned, "utf-8")

    found = curated(path)

    assert found.people == 80
    assert rows_of(
        found,
        "SELECT DISTINCT source_file FROM curation_counts "
        "WHERE counted = 'rows' ORDER BY ALL",
    ) == [("dx1.csv",), ("dx2.csv",)]


def test_no_error_of_the_engine_shows_a_cell(tmp_path):
    rows = [*GOOD, "Q1,2020-01-02,1e300,男,1e308,I25.1"]

    found = curated(write_folder(tmp_path, rows))

    assert (41, "胆固醇", "not a number") in rejected(found)


def test_a_zip_bomb_of_a_workbook_is_no_crash(tmp_path):
    toml = SITE + 'format = "excel"\n'
    path = write_folder(tmp_path, toml=toml)
    with zipfile.ZipFile(tmp_path / "病人.csv", "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")

    with pytest.raises(InvalidData, match="workbook"):
        curate(path, quiet)


def write_workbook(path, *sheets):
    """Write a workbook of sheets named a, b, …: each the text of its cells by row."""
    parts = dict(EXCEL_PARTS)
    for part, pattern in (
        ("xl/workbook.xml", r'<sheet name="Data" sheetId="1" r:id="rId1"/>'),
        ("xl/_rels/workbook.xml.rels", r'<Relationship Id="rId1"[^>]*/>'),
        ("[Content_Types].xml", r'<Override PartName="/xl/worksheets[^>]*/>'),
    ):
        one = re.search(pattern, parts[part])[0]
        every = "".join(
            one.replace("Data", "ab"[n])
            .replace('"1"', f'"{n + 1}"')
            .replace("rId1", f"rId{n + 5}")
            .replace("sheet1", f"sheet{n + 1}")
            for n in range(len(sheets))
        )
        parts[part] = parts[part].replace(one, every)
    with zipfile.ZipFile(path, "w") as book:
        for n, rows in enumerate(sheets):
            cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
            body = "".join(
                f"<row>{''.join(map(cell.format, row.split(',')))}</row>"
                for row in rows
            )
            parts[f"xl/worksheets/sheet{n + 1}.xml"] = (
                '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/'
                f'2006/main"><sheetData>{body}</sheetData></worksheet>'
            )
        for name, body in parts.items():
            book.writestr(name, body)


def test_of_two_sheets_none_is_lost_silently(tmp_path):
    path = write_folder(tmp_path, toml=SITE + 'format = "excel"\n')
    half = [HEADER, *GOOD[:20]]
    write_workbook(tmp_path / "病人.csv", half, [HEADER, *GOOD[20:]])

    with pytest.raises(InvalidData, match=r"several sheets.*it has: a, b"):
        curate(path, quiet)

    write_workbook(tmp_path / "病人.csv", half, [])
    assert curated(path).people == 20


COMMA = 'decimal = ","\ndelimiter = ";"\n'
BY_MACRO = SELECTS["measurement"].replace(
    '"胆固醇" AS value_source_value', 'as_number("胆固醇") AS value_as_number'
)


@pytest.mark.parametrize("measurement", [SELECTS["measurement"], BY_MACRO])
def test_a_decimal_comma_is_the_sources_own(tmp_path, measurement):
    rows = [row.replace(",", ";").replace(";200;", ";200,5;") for row in GOOD]
    selects = {**SELECTS, "measurement": measurement}
    header = HEADER.replace(",", ";")

    found = curated(
        write_folder(tmp_path, rows, header, toml=SITE + COMMA, selects=selects)
    )

    query = "SELECT DISTINCT value_as_number::VARCHAR FROM measurement"
    assert rows_of(found, query) == [("5.184930",)]


def test_a_number_of_two_kinds_of_sources_names_its_decimal_mark(tmp_path):
    toml = SITE + '\n[[sources]]\nname = "more"\nfiles = "m.csv"\ndecimal = ","\n'
    selects = {**SELECTS, "measurement": BY_MACRO}
    path = write_folder(tmp_path, GOOD, toml=toml, selects=selects)
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")

    with pytest.raises(InvalidMapping, match="decimal mark"):
        curate(path, quiet)


def test_a_nul_character_is_a_blank(tmp_path):
    rows = [*GOOD, "Q1\0,2020-01-02,50,男,200,I10\0.9"]

    found = curated(write_folder(tmp_path, rows))

    query = "SELECT count(*) FROM condition_occurrence WHERE condition_source_value "
    assert rows_of(found, query + "= 'I10 .9'") == [(1,)]
    assert found.people == 41


def test_an_extract_of_which_nobody_is_left_keeps_the_last_good_snapshot(tmp_path):
    path = write_folder(tmp_path, GOOD)
    good = curated(path)
    write_folder(tmp_path, [row.replace("2020-01-02", "43832") for row in GOOD])

    with pytest.raises(InvalidData, match=r"no person.*not a date: column 日期"):
        curated(path)

    assert (good.folder.parent.parent / "current").read_text().strip() in good.snapshot
