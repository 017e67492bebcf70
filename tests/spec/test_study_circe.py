"""A study whose people an OHDSI definition names: at one site, and over three."""

import dataclasses
import json
from pathlib import Path

import pytest

from hetao.cdm import CuratedTables
from hetao.cli import main
from hetao.cohort import build
from hetao.cohort.circe import cohort_rows
from hetao.ledger.certificate import verify_certificate
from hetao.study import read_study
from support_cdm import SELECTS, curated, write_folder
from support_circe import AFIB, STROKE, WARFARIN, counted, entry, everyone, group, rules
from support_federation import Federation, Plan
from support_omop import add, circe, concepts, condition, drug, observed, omop
from support_omop import person as born
from support_vocabulary import write_download

STUDY = """
[study]
name = "afib"
title = "Atrial fibrillation"
question = "How many had no stroke before?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a", "b", "c"]
[population]
circe = "definition.json"
[variables.age]
source = "age"
bounds = [0, 150]
[[analyses]]
name = "people"
method = "counts"
"""
RHYTHM = 900001  # of the made-up vocabulary, with two concepts under it
ROWS = (
    "A1,2020-01-02,50,男,200,I48",
    "A2,2020-01-03,60,女,190,I48.1",
    "A3,2020-01-04,70,男,210,I10",
)


def write_study(folder, definition):
    folder.mkdir(exist_ok=True)
    (folder / "definition.json").write_text(json.dumps(definition), encoding="utf-8")
    path = folder / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def rhythm(tmp_path):
    """A study of everybody with a diagnosis under the vocabulary's river rhythm."""
    definition = circe({"ConditionOccurrence": {"CodesetId": 0}}, sets={0: [RHYTHM]})
    return write_study(tmp_path / "study", definition)


def write_site(folder, *, loaded):
    site = write_folder(folder, ROWS, selects=SELECTS)
    if loaded:
        download = write_download(folder / "download")
        assert main(["vocab", "load", str(download), "--site", str(site)]) == 0
    curated(site)
    return site


def test_every_command_takes_such_a_study(rhythm, tmp_path, capsys):
    site = write_site(tmp_path / "site", loaded=True)
    words = [str(rhythm), "--site", str(site)]
    file = rhythm.with_name("definition.json")
    assert main(["cohort", "build", "--circe", str(file), *words[1:], "--json"]) == 0
    by_ohdsi = json.loads(capsys.readouterr().out)

    assert main(["study", "check", str(rhythm)]) == 0
    assert main(["cohort", "explain", str(rhythm)]) == 0
    assert main(["cohort", "attrition", *words, "--local"]) == 0
    said = capsys.readouterr()
    assert main(["cohort", "build", *words, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["attrition"]

    assert by_ohdsi["people"] == 2
    assert steps[-1][1] == 2
    assert "population: from definition.json, sha256:" in said.err
    assert "was taken from definition.json (sha256:" in said.out


def test_without_a_vocabulary_nobody_knows_what_lies_under_a_concept(
    rhythm, tmp_path, capsys
):
    site = write_site(tmp_path / "site", loaded=False)

    assert main(["cohort", "build", str(rhythm), "--site", str(site)]) == 4

    said = capsys.readouterr().err
    assert "HT-110" in said
    assert "definition.json takes what lies under the OMOP concepts of set 0" in said
    assert "hetao vocab load" in said


# --- over three sites ---------------------------------------------------------------
def people_of(site):
    """Return the tables of a site of ninety people, each with a condition or two."""
    tables = omop(concepts(AFIB, STROKE))
    for n in range(1, 91):
        add(tables, "person", born(n, 1940 + n % 40))
        add(tables, "observation_period", observed(n, "2010-01-01", "2016-12-31"))
        month = 1 + (n + ord(site)) % 9
        add(
            tables,
            "condition_occurrence",
            condition(2 * n, n, AFIB, f"2012-0{month}-01"),
            condition(2 * n + 1, n, (AFIB, STROKE)[n % 3 == 0], "2012-05-15"),
        )
    return tables


class Hospitals(Federation):
    """A federation of sites with curated tables."""

    def setup(self, name):
        tables = people_of(name)

        def opened():
            digest = self.study.dictionary_digest
            return CuratedTables(Path(), tables.cursor(), "sha256:" + name * 64, digest)

        return dataclasses.replace(super().setup(name), open_source=opened)


def test_sites_without_the_file_answer_for_the_people_that_it_names(tmp_path):
    definition = everyone(
        sets={0: [AFIB], 1: [STROKE]},
        InclusionRules=rules(group(counted(entry(codes=1), None, -1, 0, 0))),
    )
    path = write_study(tmp_path / "study", definition)
    study = read_study(path)
    path.with_name("definition.json").unlink()

    with Hospitals(tmp_path / "run", Plan(study)) as federation:
        ran = federation.run()

    verify_certificate(ran.certificate)
    (answer,) = ran.body["findings"]
    pooled = sum(
        len({person for person, _, _ in cohort_rows(definition, people_of(site))})
        for site in "abc"
    )
    assert answer["finding"]["steps"][-1]["n"] == pooled
    assert ran.body["study"]["definitions"][0]["file"] == "definition.json"


# --- arms and outcomes ---------------------------------------------------------------
COMPARED = """
[study]
name = "afib"
title = "Old and new"
question = "Which is better?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a", "b", "c"]
[population.arms.old]
circe = "old.json"
[population.arms.new]
circe = "new.json"
[follow_up]
[outcomes.stroke]
circe = "stroke.json"
[variables.arm]
source = "arm"
[variables.stroke]
source = "outcome"
outcome = "stroke"
[[analyses]]
name = "people"
method = "counts"
"""
OLD, NEW = WARFARIN, WARFARIN + 1


def users():
    """Return the tables of people who used one drug, the other, or both in turn."""
    tables = omop(concepts(OLD, NEW, STROKE))
    for n in range(1, 61):
        add(tables, "person", born(n))
        add(tables, "observation_period", observed(n, "2010-01-01", "2016-12-31"))
        days = (f"2011-0{1 + n % 5}-11", f"2011-0{1 + n % 7}-11")
        if n % 3:
            add(tables, "drug_exposure", drug(2 * n, n, OLD, days[0]))
        if n % 4:
            add(tables, "drug_exposure", drug(2 * n + 1, n, NEW, days[1]))
        if n % 5 < 2:
            day = f"2011-0{1 + n % 9}-11"
            add(tables, "condition_occurrence", condition(n, n, STROKE, day))
    return tables


def test_arms_and_outcomes_are_those_of_the_definitions(tmp_path):
    drugs = entry("DrugExposure", 0, First=True)
    definitions = {
        "old": circe(drugs, sets={0: [OLD]}),
        "new": circe(drugs, sets={0: [NEW]}),
        "stroke": everyone(
            sets={0: [STROKE]},
            EndStrategy={"DateOffset": {"DateField": "StartDate", "Offset": 0}},
        ),
    }
    for name, one in definitions.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(one), encoding="utf-8")
    path, tables = tmp_path / "study.toml", users()
    path.write_text(COMPARED, encoding="utf-8")
    study = read_study(path)

    source = CuratedTables(Path(), tables.cursor(), "d", study.dictionary_digest)
    with source:
        cohort = build(study, source)

    starts = {
        name: [(person, start) for person, start, _ in cohort_rows(one, tables)]
        for name, one in definitions.items()
    }
    old, new = dict(starts["old"]), dict(starts["new"])
    expected = []
    for person in sorted({*old, *new}):
        index = min(days[person] for days in (old, new) if person in days)
        if old.get(person) == new.get(person):
            continue  # of both arms on one day
        is_ill = any(who == person and day > index for who, day in starts["stroke"])
        expected.append((int(new.get(person) == index), int(is_ill)))
    found = zip(cohort.columns["arm"], cohort.columns["stroke"], strict=True)
    assert [(int(arm), int(ill)) for arm, ill in found] == expected
    assert len(set(expected)) == 4
