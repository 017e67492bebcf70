"""`hetao cohort` explains a study, builds it at a site, and hides small counts."""

import json
import os
import stat

import pytest

from hetao.cdm import CuratedTables
from hetao.cli import cohort as command
from hetao.cli import main
from hetao.cohort import HIDDEN, build, flow_text, shown_attrition, write_rows
from hetao.errors import Usage
from hetao.study import LANGUAGES, explain, read_study
from support_cohort import Row, World, empty_database, load

STUDY = """
[study]
name = "afib"
title = "Statins"
question = "Who?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a"]
[concepts.statin]
label = "他汀 statin"
omop = [1]
[population]
entry = { drug = ["statin"] }
occurrence = "any"
prior_observation_days = 0
criteria = [
  { label = "No stroke", events = { condition = [2] }, at_most = 0 },
  { label = "Known", rule = "known(hba1c)" },
]
[variables.hba1c]
source = "measurement"
concepts = [3]
bounds = [0, 200]
[variables.sex]
source = "sex"
[[analyses]]
name = "n"
method = "counts"
"""
HUNDRED = range(1, 101)


@pytest.fixture
def study_path(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def site(study_path, monkeypatch):
    """A site of a hundred people: 4 had a stroke, of 3 others no HbA1c is known."""
    study = read_study(study_path)
    connection = empty_database()
    rows = [Row("drug", key, key, 1, 0, 5) for key in HUNDRED]
    rows += [Row("condition", key, key, 2, 0, 1) for key in range(1, 5)]
    rows += [Row("measurement", key, key, 3, 0, 1, 40) for key in range(1, 98)]
    people = {person: (8507 if person % 2 else 8532, 1950) for person in HUNDRED}
    load(connection, World(people, [(person, 0, 9) for person in HUNDRED], {}, rows))
    tables = CuratedTables(study_path, connection, "d", study.dictionary_digest)
    monkeypatch.setattr(command, "open_site", lambda _: tables)
    return study, tables


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_study_is_said_in_sentences(study_path, capsys, language):
    assert main(["cohort", "explain", str(study_path), "--language", language]) == 0

    said = capsys.readouterr().out
    assert "他汀 statin" in said
    assert "{" not in said
    titles = {"en": "Who enters", "zh-Hant": "納入人群", "zh-Hans": "纳入人群"}
    assert said.startswith(titles[language])


def test_the_same_is_said_as_json(study_path, capsys):
    main(["cohort", "explain", str(study_path), "--json"])

    sections = json.loads(capsys.readouterr().out)
    titles = ["Who enters", "Criteria", "Variables", "Concept sets"]
    assert [one["title"] for one in sections] == titles


def test_attrition_hides_small_counts_unless_local(site, study_path, capsys):
    words = ["cohort", "attrition", str(study_path), "--site", "site.toml", "--json"]
    main(words)

    shown = json.loads(capsys.readouterr().out)["steps"]
    assert shown == [
        ["Everyone in the data", 100],
        ["Observed for long enough", 100],
        ["No stroke", None],
        ["Known", None],
    ]


def test_to_the_site_itself_every_count_is_shown(site, study_path, capsys):
    words = ["cohort", "attrition", str(study_path), "--site", "site.toml", "--local"]
    main(words)

    assert capsys.readouterr().out.splitlines()[-2:] == [
        "No stroke                         96  (-4)",
        "Known                             93  (-3)",
    ]


def test_a_cohort_is_built_and_its_rows_kept_for_the_owner(
    site, study_path, tmp_path, capsys
):
    rows = tmp_path / "rows.csv"
    words = ["cohort", "build", str(study_path), "--site", "site.toml"]

    assert main([*words, "--rows", str(rows), "--json"]) == 0

    body = json.loads(capsys.readouterr().out)
    assert body["attrition"][-1] == ["Known", 93]
    assert "measurement.value_as_number" in body["fields"]
    assert body["resolved"].startswith("sha256:")
    assert stat.S_IMODE(os.stat(rows).st_mode) == 0o600
    lines = rows.read_text().splitlines()
    assert lines[:2] == ["hba1c,sex", "40.0,male"]
    assert len(lines) == 94


def test_rows_go_to_a_new_file_of_a_known_form_only(site, tmp_path):
    study, tables = site
    cohort = build(study, tables)
    (tmp_path / "there.csv").touch()

    with pytest.raises(Usage, match="already there"):
        write_rows(study, cohort, tmp_path / "there.csv")
    with pytest.raises(Usage, match="neither"):
        write_rows(study, cohort, tmp_path / "rows.xlsx")
    write_rows(study, cohort, tmp_path / "rows.parquet")
    assert (tmp_path / "rows.parquet").read_bytes()[:4] == b"PAR1"


def test_a_count_is_shown_only_if_no_small_count_follows_from_it():
    steps = (("a", 100), ("b", 95), ("c", 60), ("d", 60), ("e", 5), ("f", 0))

    shown = shown_attrition(steps, 10)

    assert [n for _, n in shown] == [100, HIDDEN, 60, 60, HIDDEN, HIDDEN]
    assert "hidden" in flow_text(shown, 10)
    assert shown_attrition(steps, 1) == steps


def test_an_unknown_language_is_refused_by_the_command(study_path):
    with pytest.raises(SystemExit):
        main(["cohort", "explain", str(study_path), "--language", "fr"])
    assert explain(read_study(study_path), "en")
