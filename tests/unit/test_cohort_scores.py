"""Shipped scores add up as a clinician adds them up by hand."""

import contextlib

import pytest

from hetao.dictionary import dictionary, local_concept_id
from hetao.study import read_study
from support_cohort import Row, World, built, date, empty_database, insert

STUDY = """
[study]
name = "scores"
title = "Scores"
question = "How ill?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a"]
[scores.cci]
use = "charlson"
[scores.risk]
use = "cha2ds2_vasc"
[variables.cci]
source = "score"
score = "cci"
window_days = ["ever", 0]
bounds = [0, 40]
[variables.risk]
source = "score"
score = "risk"
window_days = ["ever", 0]
bounds = [0, 9]
[[analyses]]
name = "n"
method = "counts"
"""
BORN = {64: 1956, 65: 1955, 74: 1946, 75: 1945}

# sex, age in 2020, codes, Charlson, CHA2DS2-VASc
CASES = {
    "a healthy man": (8507, 64, [], 0, 0),
    "a woman of 65": (8532, 65, [], 0, 2),
    "a man of 74": (8507, 74, [], 0, 1),
    "a man of 75": (8507, 75, [], 0, 2),
    "heart failure after an infarct, hypertension": (
        8507,
        64,
        [("icd10", "I50.0"), ("icd10", "I25.2"), ("icd10", "I10")],
        2,
        3,
    ),
    "one disease coded on both sides counts once": (
        8507,
        64,
        [("icd9cm", "428.0"), ("icd10", "I50.9")],
        1,
        1,
    ),
    "diabetes with complication takes the plain one's place": (
        8507,
        64,
        [("icd10", "E11.9"), ("icd10", "E11.2")],
        2,
        1,
    ),
    "metastasis takes the place of the tumour": (
        8507,
        64,
        [("icd9cm", "162.9"), ("icd9cm", "197.0")],
        6,
        0,
    ),
    "cirrhosis with bleeding varices": (
        8507,
        64,
        [("icd10", "K74.6"), ("icd10", "I85.0")],
        3,
        0,
    ),
    "a woman of 75 with everything that AF patients have": (
        8532,
        75,
        [
            ("icd9cm", "428.0"),
            ("icd9cm", "401.9"),
            ("icd9cm", "250.00"),
            ("icd9cm", "434.91"),
            ("icd9cm", "443.9"),
        ],
        4,
        9,
    ),
    "skin cancer other than melanoma is not counted": (
        8507,
        64,
        [("icd10", "C44.3")],
        0,
        0,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_score_is_what_hand_counting_gives(tmp_path, case):
    sex, age, codes, charlson, risk = CASES[case]
    (tmp_path / "study.toml").write_text(STUDY)
    study = read_study(tmp_path / "study.toml")
    rows = [
        Row("condition", key, 1, 0, local_concept_id(system, code), -5)
        for key, (system, code) in enumerate(codes)
    ]
    world = World({1: (sex, BORN[age])}, rows=[*rows, Row("visit", 99, 1, 9202, 0, 0)])

    with contextlib.closing(empty_database()) as connection:
        for system, code in codes:
            name_code(connection, system, code)
        found = built(connection, study, world)

    assert found.columns["cci"].tolist() == [charlson]
    assert found.columns["risk"].tolist() == [risk]


def name_code(connection, system, code):
    insert(
        connection,
        "concept",
        concept_id=local_concept_id(system, code),
        concept_name=code,
        domain_id="Condition",
        vocabulary_id=dictionary().systems[system].vocabulary_id,
        concept_class_id="code",
        concept_code=code,
        valid_start_date=date(0),
        valid_end_date=date(0),
    )
