"""Each row and cell of an extract is in the tables, or kept aside with its reason."""

import stat

import pytest

from hetao.canonical import parse_canonical
from hetao.cdm import curate, open_site, read_site
from hetao.errors import InvalidMapping, InvalidStudy
from hetao.study import study_from
from support_cdm import (
    HEADER,
    ROWS,
    SITE,
    curated,
    quiet,
    rejected,
    rows_of,
    write_folder,
)
from support_federation import toy_study


def test_every_bad_cell_is_kept_aside_with_its_reason(tmp_path):
    found = curated(write_folder(tmp_path))

    assert (found.rows, found.people) == (8, 5)
    assert rejected(found) == [
        (2, "胆固醇", "zero stands for not measured"),
        (4, "胆固醇", "not a number"),
        (5, "胆固醇", "outside the plausible range"),
        (6, "日期", "not a date"),
        (7, "日期", "not a date"),
        (8, "年龄, 日期", "no plausible year of birth"),
        (8, "日期", "date lies in the future"),
    ]


def test_gb18030_gives_the_same_snapshot_as_utf_8(tmp_path):
    first = curated(write_folder(tmp_path / "a"))
    second = write_folder(tmp_path / "b", encoding="gb18030")
    key = (tmp_path / "a" / "pseudonym.key").read_bytes()
    (tmp_path / "b" / "pseudonym.key").write_bytes(key)

    assert curated(second).snapshot == first.snapshot


def test_codes_get_the_concepts_that_codes_csv_confirms(tmp_path):
    found = curated(write_folder(tmp_path))

    assert rows_of(
        found,
        "SELECT condition_concept_id, condition_source_value, count(*) "
        "FROM condition_occurrence GROUP BY ALL ORDER BY ALL",
    ) == [(0, "E11.9", 1), (317576, "I25.1", 2)]


def test_headers_that_differ_in_case_only_are_two_columns(tmp_path):
    path = write_folder(tmp_path, [ROWS[0] + ",a,b,c"], HEADER + ",Dose,dose,dose")

    assert curated(path).people == 1


def test_the_key_is_for_its_owner_alone_and_survives(tmp_path):
    config = write_folder(tmp_path)
    first = curated(config)
    key = tmp_path / "pseudonym.key"
    before = key.read_bytes()

    second = curated(config)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes() == before
    assert first.snapshot == second.snapshot


def test_another_key_makes_other_people(tmp_path):
    config = write_folder(tmp_path)
    first = curated(config).snapshot
    (tmp_path / "pseudonym.key").unlink()

    assert curated(config).snapshot != first


def test_tables_that_others_read_are_let_through(tmp_path):
    more = "[network]\nhub = 1\n[keys]\nx = 1\n[policy]\ny = 1\n[trust]\nz = 1\n"

    assert curated(write_folder(tmp_path, toml=SITE + more)).people == 5


def test_a_flat_site_has_nothing_to_curate(tmp_path):
    config = tmp_path / "site.toml"
    config.write_text('[site]\nname = "a"\n[flat]\nfile = "x.csv"\n')
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")

    assert read_site(config).flat is not None
    with open_site(config) as table:
        assert table.columns == ("a", "b")
    with pytest.raises(InvalidMapping, match="nothing to curate"):
        curate(config, quiet)


@pytest.mark.parametrize(
    "name", ["", "..", "../elsewhere", "a/b", "a b", "深圳", "<b>", "\u212ah", "x" * 41]
)
def test_a_site_is_called_what_studies_can_call_it(tmp_path, name):
    path = write_folder(tmp_path / "site", toml=SITE.replace('"shenzhen"', f'"{name}"'))

    with pytest.raises(InvalidMapping, match="cannot be a site's name"):
        curated(path)

    assert sorted(part.name for part in tmp_path.iterdir()) == ["site"]
    with pytest.raises(InvalidStudy):
        study_from({**parse_canonical(toy_study().canonical), "sites": [name]})
