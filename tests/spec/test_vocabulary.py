"""From codes that nobody mapped to cohorts: load, suggest, confirm, curate again."""

import csv
import datetime
import json

import pytest

from hetao.cdm import open_site
from hetao.cdm.vocabulary import resolve
from hetao.cli import main
from hetao.study import CodeList, ConceptSet
from support_cdm import SELECTS, curated, rows_of, write_folder
from support_omop import circe
from support_vocabulary import CONCEPT, write_download

LOCAL = {
    "condition_occurrence": SELECTS["condition_occurrence"].replace(
        "'icd10'", "'local'"
    )
}
ROWS = (
    "A1,2020-01-02,50,男,200,河流心律",
    "A2,2020-01-03,60,女,190,快速河流心律",
    "A3,2020-01-04,70,男,210,房颤",
    "A4,2020-01-05,55,男,220,从未见过的说法",
)


@pytest.fixture
def site(tmp_path):
    """A site that writes its diagnoses in its own words, with a vocabulary loaded."""
    path = write_folder(tmp_path / "site", ROWS, selects=SELECTS | LOCAL)
    download = write_download(tmp_path / "download")
    assert main(["vocab", "load", str(download), "--site", str(path)]) == 0
    curated(path)
    return path


def codes(site):
    with (site.parent / "codes.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["code"], row["concept_id"] or row["classes"]): row
            for row in csv.DictReader(file)
            if row["system"] == "local"
        }


def test_terms_of_a_hospital_get_suggestions_with_a_score(site, capsys):
    assert main(["vocab", "suggest", str(site), "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {"terms": 4, "suggested": 3}
    found = codes(site)
    same = found["河流心律", "900001"]
    assert (same["status"], same["score"], same["meaning"]) == (
        "suggested",
        "100.0",
        "河流心律",
    )
    assert found["快速河流心律", "900002"]["status"] == "suggested"
    assert found["房颤", "icd10:I48.9|icd9cm:427.31"]["status"] == "suggested"
    assert not any(code == "从未见过的说法" for code, _ in found)


def test_a_suggestion_maps_nothing_and_a_confirmed_one_maps(site):
    main(["vocab", "suggest", str(site)])
    query = "SELECT condition_source_value, condition_concept_id " \
        "FROM condition_occurrence ORDER BY ALL"  # fmt: skip
    before = rows_of(curated(site), query)

    confirm = ["vocab", "confirm", str(site), "local", "河流心律", "--by", "陳醫生"]
    assert main([*confirm, "--concept", "900001"]) == 0
    after = rows_of(curated(site), query)

    assert {concept for _, concept in before} == {0}
    assert dict(after) == dict(before) | {"河流心律": 900001}
    row = codes(site)["河流心律", "900001"]
    assert (row["confirmed_by"], row["status"]) == ("陳醫生", "confirmed")
    assert datetime.date.fromisoformat(row["confirmed_on"])


def test_confirmed_rows_stay_whatever_is_suggested_later(site):
    main(["vocab", "suggest", str(site)])
    main(["vocab", "confirm", str(site), "local", "房颤", "--by", "Dr Chan"])
    settled = codes(site)["房颤", "icd10:I48.9|icd9cm:427.31"]

    assert main(["vocab", "suggest", str(site)]) == 0

    assert codes(site)["房颤", "icd10:I48.9|icd9cm:427.31"] == settled


def test_a_confirmed_class_lets_a_code_list_find_the_hospitals_own_words(site):
    main(["vocab", "suggest", str(site)])
    main(["vocab", "confirm", str(site), "local", "房颤", "--by", "Dr Chan"])
    curated(site)

    with open_site(site) as tables:
        engine = tables.engine
        rows = "SELECT condition_source_concept_id FROM condition_occurrence " \
            "WHERE condition_source_value = '房颤'"  # fmt: skip
        ((word,),) = engine.rows(rows)
        sets = read_set(icd10=("I48",)), read_set(icd10=("I49",))
        assert [word in resolve(engine, one).ids for one in sets] == [True, False]


def read_set(**lists):
    return ConceptSet("set", lists=tuple(CodeList(k, v) for k, v in lists.items()))


def test_descendants_count_once_a_vocabulary_is_loaded(site):
    main(["vocab", "suggest", str(site)])
    confirm = [
        "vocab",
        "confirm",
        str(site),
        "local",
        "快速河流心律",
        "--by",
        "Dr Chan",
    ]
    main([*confirm, "--concept", "900002"])
    curated(site)

    with open_site(site) as tables:
        found = resolve(tables.engine, ConceptSet("set", omop=(900001,)))

    assert 900002 in found.ids


def test_what_another_site_confirmed_is_offered(site, tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text(
        "system,code,concept_id,name,status\nlocal,1,900003,从未见过的说法,confirmed\n",
        encoding="utf-8",
    )

    assert main(["vocab", "suggest", str(site), "--from", str(other)]) == 0

    assert codes(site)["从未见过的说法", "900003"]["score"] == "100.0"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["confirm", "{site}", "local", "没有", "--by", "Dr Chan"], 4, "no suggestion"),
        (["confirm", "{site}", "local", "没有", "--by", " "], 2, "needs a name"),
        (["load", "{site}", "--site", "{site}"], 4, "CONCEPT.csv is not"),
        (["suggest", "{site}", "--from", "{site}"], 4, "'system' is missing"),
    ],
)
def test_what_cannot_be_done_is_said(site, capsys, words, status, says):
    filled = [word.format(site=site) for word in words]

    assert main(["vocab", *filled]) == status

    assert says in capsys.readouterr().err


def test_a_broken_download_leaves_the_loaded_one_in_place(site, tmp_path, capsys):
    broken = write_download(tmp_path / "broken", CONCEPT=CONCEPT[:-10])

    assert main(["vocab", "load", str(broken), "--site", str(site)]) == 4

    assert "HT-112" in capsys.readouterr().err
    assert main(["vocab", "suggest", str(site)]) == 0
    assert codes(site)["河流心律", "900001"]


def test_one_of_ohdsis_definitions_is_built_at_a_site(site, tmp_path, capsys):
    file, kept = tmp_path / "cohort.json", tmp_path / "rows.csv"
    visits = circe({"VisitOccurrence": {}})
    file.write_text(json.dumps(visits), encoding="utf-8")

    words = ["cohort", "build", "--circe", str(file), "--site", str(site)]
    assert main([*words, "--rows", str(kept), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found == {"people": 4, "periods": 4, "native": "yes"}
    header, *rows = kept.read_text("utf-8").splitlines()
    assert header == "person_id,cohort_start_date,cohort_end_date"
    assert len(rows) == 4
    assert kept.stat().st_mode & 0o077 == 0


def test_a_definition_that_is_none_is_refused(site, tmp_path, capsys):
    file = tmp_path / "cohort.json"
    words = ["cohort", "build", "--circe", str(file), "--site", str(site)]

    assert main(words) == 4
    file.write_text("{", encoding="utf-8")
    assert main(words) == 4
    file.write_text("[1]", encoding="utf-8")
    assert main(words) == 4

    said = capsys.readouterr().err
    assert "cannot be read" in said
    assert "is not JSON" in said
    assert "holds no CIRCE definition" in said
