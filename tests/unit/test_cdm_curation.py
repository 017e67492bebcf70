"""One clear error for each bad input, and never half a database."""

import os
import signal
import stat
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from hetao.cdm import curate, open_site, open_tables, read_site
from hetao.errors import HetaoError, InvalidData, InvalidMapping

SITE = """
[site]
name = "shenzhen"
title = "深圳某医院"
language = "zh-Hans"

[source]
file = "病人.csv"
encoding = "{encoding}"
missing = ["-9"]

[database]
path = "out/site.duckdb"

[person]
id = "编号"
age = "年龄"
sex = "性别"
male = ["男"]
female = ["女"]

[visit]
date = "日期"

[[measurements]]
column = "胆固醇"
concept_id = 3019900
name = "总胆固醇"
unit_source_value = "mg/dL"
unit = "mmol/L"
factor = 0.02586
zero_means_missing = true
plausible = [1.0, 20.0]

[[observations]]
column = "吸烟"
concept_id = 2000000201
name = "吸烟"
values = [
  {{ code = "是", concept_id = 4188539, name = "Yes" }},
  {{ code = "否", concept_id = 4188540, name = "No" }},
]

[[conditions]]
column = "诊断"
concept_id = 317576
name = "冠心病"
values = ["有"]
absent = ["无"]
"""
HEADER = "编号,日期,年龄,性别,胆固醇,吸烟,诊断"
ROWS = [
    "A1,2020-01-02,50,男,200,是,有",
    "A2,2020-01-03,60,女,0,否,无",
    "A3,2020-01-04,70,男,-9,也许,无",
    "A4,2020-01-05,55,?,abc,,有",
    "A5,2020-01-06,56,女,9000,是,不详",
    "A6,2020-13-01,57,女,210,是,无",
    "A7,2020-01-07,157,女,210,是,无",
    "A8,2999-01-07,57,女,210,是,无",
]


def quiet(_: str) -> None:
    """Take progress and say nothing."""


def site(folder: Path, rows=ROWS, header=HEADER, encoding="utf-8", toml=SITE) -> Path:
    (folder / "site.toml").write_text(toml.format(encoding=encoding), "utf-8")
    body = "\n".join([header, *rows]) + "\n"
    (folder / "病人.csv").write_bytes(body.encode(encoding))
    return folder / "site.toml"


def rejected(path: Path) -> list[tuple]:
    with open_tables(path) as tables:
        query = """SELECT source_row, source_column, reason FROM rejected
            ORDER BY ALL"""
        return tables.connection.execute(query).fetchall()


def test_every_bad_cell_is_kept_aside_with_its_reason(tmp_path):
    found = curate(site(tmp_path), quiet)

    assert (found.rows, found.people) == (8, 5)
    assert rejected(found.database) == [
        (2, "胆固醇", "zero stands for not measured"),
        (3, "吸烟", "code is not in the mapping"),
        (4, "性别", "code is not in the mapping"),
        (4, "胆固醇", "not a number"),
        (5, "胆固醇", "outside the plausible range"),
        (5, "诊断", "code is not in the mapping"),
        (6, "日期", "not a date in the declared format"),
        (7, "年龄", "no plausible age or year of birth"),
        (8, "日期", "date lies in the future"),
    ]


def test_gb18030_gives_the_same_people_as_utf_8(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = curate(site(tmp_path / "a"), quiet)
    (tmp_path / "b" / "pseudonym.key").write_bytes(
        (tmp_path / "a" / "pseudonym.key").read_bytes()
    )

    second = curate(site(tmp_path / "b", encoding="gb18030"), quiet)

    assert second.snapshot == first.snapshot


def test_a_chinese_report_is_written_in_chinese(tmp_path):
    page = curate(site(tmp_path), quiet).report.read_text("utf-8")

    assert '<html lang="zh-Hans">' in page
    assert "数据质量报告" in page
    assert "胆固醇" in page


def test_headers_are_escaped_in_the_report(tmp_path):
    header = HEADER + ",<script>x</script>"

    page = curate(site(tmp_path, [ROWS[0] + ",1"], header), quiet).report.read_text()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_headers_that_differ_in_case_only_are_two_columns(tmp_path):
    header, row = HEADER + ",Note,note,SOURCE_ROW,visit_date", ROWS[0] + ",a,b,c,d"

    assert curate(site(tmp_path, [row], header), quiet).people == 1


def test_the_key_is_for_its_owner_alone_and_survives(tmp_path):
    config = site(tmp_path)
    first = curate(config, quiet)
    key = tmp_path / "pseudonym.key"
    before = key.read_bytes()

    second = curate(config, quiet)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes() == before
    assert first.snapshot == second.snapshot


def test_another_key_makes_other_people(tmp_path):
    config = site(tmp_path)
    first = curate(config, quiet).snapshot
    (tmp_path / "pseudonym.key").unlink()

    assert curate(config, quiet).snapshot != first


BAD_EXTRACTS = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "is empty"),
    "header only": (HEADER.encode() + b"\n", "no row"),
    "short row": (f"{HEADER}\nA1,2020-01-02\n".encode(), "fewer cells"),
    "long row": (f"{HEADER}\n{ROWS[0]},1,2\n".encode(), "more cells"),
    "open quote": (f'{HEADER}\n"{ROWS[0]}\n'.encode(), "病人.csv"),
    "wrong encoding": (f"{HEADER}\n{ROWS[0]}\n".encode("gb18030"), "not utf-8"),
    "column twice": (f"{HEADER},年龄\n{ROWS[0]},1\n".encode(), "'年龄' stands twice"),
    "nameless": (f"{HEADER},\n{ROWS[0]},1\n".encode(), "no name"),
    "renamed": (HEADER.replace("年龄", "岁数").encode() + b"\n1,2,3,4,5,6,7\n", "年龄"),
    "same id": (f"{HEADER}\n{ROWS[0]}\n{ROWS[0]}\n".encode(), "'编号'"),
    "no usable row": (f"{HEADER}\n{ROWS[5]}\n".encode(), "no row has"),
}


@pytest.mark.parametrize(("body", "said"), BAD_EXTRACTS.values(), ids=BAD_EXTRACTS)
def test_a_bad_extract_is_one_error_that_names_file_and_place(tmp_path, body, said):
    config = site(tmp_path)
    (tmp_path / "病人.csv").write_bytes(body)

    with pytest.raises(InvalidData) as caught:
        curate(config, quiet)

    assert said in str(caught.value)
    assert "A1" not in str(caught.value)
    assert not (tmp_path / "out" / "site.duckdb").exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_an_error_tells_a_band_of_lines_not_the_line(tmp_path):
    rows = [f"P{n},2020-01-02,50,男,200,是,有" for n in range(2500)] + ["P9999,2020"]

    with pytest.raises(InvalidData) as caught:
        curate(site(tmp_path, rows), quiet)

    assert "lines 2001-3000" in str(caught.value)
    assert "2502" not in str(caught.value)


def test_a_line_without_end_is_refused(tmp_path):
    config = site(tmp_path)
    with (tmp_path / "病人.csv").open("wb") as file:
        file.write(HEADER.encode() + b"\nA1,2020-01-02,50,")
        for _ in range(8):
            file.write(b"x" * (1 << 20))

    with pytest.raises(InvalidData, match="a line is longer than"):
        curate(config, quiet)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    config = site(tmp_path)
    extract = tmp_path / "病人.csv"
    extract.unlink()
    with pytest.raises(InvalidData, match="cannot be read"):
        curate(config, quiet)

    extract.mkdir()
    with pytest.raises(InvalidData, match="is a folder"):
        curate(config, quiet)


BAD_MAPPINGS = {
    "unknown table": ("[site]", "[zone]\nx = 1\n[site]", "'zone'"),
    "unknown field": ('age = "年龄"', 'age = "年龄"\nweight = "x"', "'weight'"),
    "two births": ('age = "年龄"', 'age = "年龄"\nyear_of_birth = "x"', "one of them"),
    "both sexes": ('female = ["女"]', 'female = ["男"]', "both sexes"),
    "encoding": ('"{encoding}"', '"klingon"', "unknown"),
    "byte codec": ('"{encoding}"', '"hex"', "unknown"),
    "unit": ('unit = "mmol/L"', 'unit = "mg%"', "not in the dictionary"),
    "factor": ("factor = 0.02586", "factor = 0", "factor of 0"),
    "range": ("[1.0, 20.0]", "[20.0, 1.0]", "low < high"),
    "codes": ('code = "否"', 'code = "是"', "one meaning"),
    "condition": ('absent = ["无"]', "", "present_when"),
    "present": ('values = ["有"]\nabsent = ["无"]', 'present_when = "big"', "be read"),
    "date format": ('date = "日期"', 'date = "日期"\nformat = "%Q"', "date format"),
}


@pytest.mark.parametrize(
    ("old", "new", "said"), BAD_MAPPINGS.values(), ids=BAD_MAPPINGS
)
def test_a_bad_mapping_is_one_error_that_names_the_place(tmp_path, old, new, said):
    assert old in SITE
    config = site(tmp_path, toml=SITE.replace(old, new, 1))

    with pytest.raises(InvalidMapping, match=said):
        curate(config, quiet)


def test_tables_that_others_read_are_let_through(tmp_path):
    more = "[network]\nhub = 1\n[keys]\nx = 1\n[policy]\ny = 1\n[trust]\nz = 1\n"

    assert curate(site(tmp_path, toml=SITE + more), quiet).people == 5


def test_a_flat_site_has_nothing_to_curate(tmp_path):
    config = tmp_path / "site.toml"
    config.write_text('[site]\nname = "a"\n[flat]\nfile = "x.csv"\n')
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")

    assert read_site(config).flat is not None
    with open_site(config) as table:
        assert table.columns == ("a", "b")
    with pytest.raises(InvalidMapping, match="nothing to curate"):
        curate(config, quiet)


def test_today_decides_what_lies_in_the_future(tmp_path):
    found = curate(site(tmp_path), quiet, today=date(2020, 1, 2))

    assert found.people == 1


def test_no_error_of_the_engine_shows_a_cell(tmp_path):
    row = "A1,2020-01-02,1e300,男,1e308,是,有"

    with pytest.raises(HetaoError) as caught:
        curate(site(tmp_path, [row]), quiet)

    assert "1e3" not in str(caught.value)


KILLED = """
import os, signal, sys
from pathlib import Path
from hetao.cdm import curate

def stop(step):
    if step.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

curate(Path(sys.argv[1]), stop)
"""


@pytest.mark.parametrize("step", ["reading", "mapping", "filling", "checking", "tak"])
def test_who_is_killed_halfway_leaves_the_last_good_tables(tmp_path, step):
    config = site(tmp_path)
    good = curate(config, quiet)
    site(tmp_path, ROWS[:1])

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(config), step], check=False
    )

    assert killed.returncode == -signal.SIGKILL
    with open_tables(good.database) as tables:
        assert tables.snapshot == good.snapshot
    after = curate(config, quiet)
    assert after.people == 1
    assert not list(good.database.parent.glob(".*part*"))


def test_a_reader_keeps_its_tables_and_the_next_one_sees_the_new(tmp_path):
    config = site(tmp_path)
    first = curate(config, quiet)
    with open_tables(first.database) as reader:
        site(tmp_path, ROWS[:1])
        second = curate(config, quiet)

        with open_tables(second.database) as later:
            people = [
                t.connection.execute("SELECT count(*) FROM person").fetchone()[0]
                for t in (reader, later)
            ]

    assert people == [5, 1]
    assert first.snapshot != second.snapshot


def test_tables_that_are_not_ours_are_refused(tmp_path):
    with pytest.raises(InvalidData, match="not there"):
        open_tables(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("no database at all, by far" * 1000)
    with pytest.raises(InvalidData, match="not a database"):
        open_tables(tmp_path / "text.duckdb")


DEATH = SITE + '\n[death]\ndate = "死亡"\n'
FOLLOWUP = SITE + '\n[followup]\ndays = "天"\ndied = "死"\nyes = ["1"]\nno = ["0"]\n'


def survival(path: Path) -> list[tuple]:
    with open_tables(path) as tables:
        return tables.connection.execute("""
            SELECT year_of_birth,
                observation_period_end_date - observation_period_start_date,
                death_date IS NOT NULL
            FROM person LEFT JOIN observation_period USING (person_id)
            LEFT JOIN death USING (person_id) ORDER BY year_of_birth
        """).fetchall()


def test_follow_up_becomes_observation_and_death(tmp_path):
    ends = ["100,1", "50,0", "-3,1", ",1", "20,x"]
    rows = [
        f"{ROWS[0].replace('A1,2020', f'B{i},{2020 + i}')},{e}"
        for i, e in enumerate(ends)
    ]

    found = curate(site(tmp_path, rows, HEADER + ",天,死", toml=FOLLOWUP), quiet)

    assert [(days, died) for _, days, died in survival(found.database)] == [
        (100, True),
        (50, False),
        (None, False),
        (None, False),
        (None, False),
    ]
    reasons = [row[1:] for row in rejected(found.database)]
    assert reasons == [
        ("天", "negative follow-up"),
        ("天", "follow-up not known"),
        ("死", "code is not in the mapping"),
    ]


def test_a_death_before_the_visit_is_kept_aside(tmp_path):
    ends = ["2020-03-01", "", "1999-01-01", "soon"]
    rows = [
        f"{ROWS[0].replace('A1,2020', f'B{i},{2020 + i}')},{e}"
        for i, e in enumerate(ends)
    ]

    found = curate(site(tmp_path, rows, HEADER + ",死亡", toml=DEATH), quiet)

    assert [died for *_, died in survival(found.database)] == [
        True,
        False,
        False,
        False,
    ]
    assert [row[2] for row in rejected(found.database)] == [
        "death before the visit",
        "not a date in the declared format",
    ]


def test_people_with_several_visits_are_one_person(tmp_path):
    toml = SITE.replace('date = "日期"', 'date = "日期"\nrepeats = true')
    rows = [ROWS[0], ROWS[0].replace("01-02", "03-02").replace("200", "300"), ROWS[1]]

    found = curate(site(tmp_path, rows, toml=toml), quiet)

    assert (found.people, dict(found.tables)["visit_occurrence"]) == (2, 3)


def test_a_run_that_still_lives_keeps_its_folder(tmp_path):
    config = site(tmp_path)
    other = tmp_path / "out" / f".site.duckdb.part-{os.getppid()}-x"
    other.mkdir(parents=True)

    curate(config, quiet)

    assert other.exists()


def test_a_million_cells_take_seconds_not_minutes(tmp_path):
    rows = [f"P{n},2020-01-02,50,男,200,是,有" for n in range(100_000)]
    start = time.monotonic()

    found = curate(site(tmp_path, rows), quiet)

    assert found.people == 100_000
    assert time.monotonic() - start < 60
