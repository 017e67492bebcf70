"""Unmapped terms get suggestions, in any script; only a person makes one count."""

import datetime

import pytest

from hetao.cdm.engine_duckdb import connect
from hetao.cdm.vocabulary import load_athena
from hetao.cdm.vocabulary.codes_file import CodeRow, read_codes, write_codes
from hetao.cdm.vocabulary.suggesting import (
    Candidate,
    Term,
    analyte_candidates,
    code_candidates,
    confirm,
    suggest,
    unmapped_terms,
    vocabulary_candidates,
    with_suggestions,
)
from hetao.cdm.vocabulary.terms import normal_term
from hetao.dictionary import dictionary
from hetao.errors import InvalidMapping, Usage
from support_vocabulary import write_download

TODAY = datetime.date(2026, 11, 28)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("總膽固醇", "总胆固醇"),
        ("心房顫動", "心房颤动"),
        ("房顫", "心房颤动"),
        ("心房纖顫", "心房颤动"),
        ("Ｔｏｔａｌ　Ｃｈｏｌｅｓｔｅｒｏｌ", "total cholesterol"),
        ("血紅素", "血红蛋白"),
        ("白血球計數", "白细胞计数"),
        ("肺惡性腫瘤", "肺癌"),
        ("二型糖尿病", "2型糖尿病"),
        ("Ⅱ型糖尿病", "2型糖尿病"),
        ("Ischaemic heart disease", "ISCHEMIC HEART-DISEASE"),
        ("尿素 (血)", "尿素（血）"),
        ("HbA1c", "Haemoglobin A1c"),
        ("急性 心肌 梗塞", "急性心肌梗塞"),
    ],
)
def test_one_term_written_two_ways_has_one_form(one, other):
    assert normal_term(one) == normal_term(other) != ""


def test_normalising_twice_changes_nothing():
    for text in ("房顫", "心房颤动", "恶性肿瘤", "癌", "HbA1c", "二型糖尿病"):
        assert normal_term(normal_term(text)) == normal_term(text)


def test_traditional_labels_find_their_analyte_by_the_simplified_one():
    analytes = dictionary().analytes.values()
    simplified = [Candidate(a.labels["zh-Hans"], analyte=a.name) for a in analytes]
    terms = [Term("ha_lis", a.name, a.labels["zh-Hant"]) for a in analytes]

    best = {row.code: row.analyte for row in reversed(suggest(terms, simplified))}
    right = [name for name, analyte in best.items() if name == analyte]

    assert len(right) >= 0.97 * len(terms)  # the rest are other words for one thing


def test_a_chinese_laboratory_term_finds_its_analyte():
    terms = [Term("ha_lis", "TC", "總膽固醇"), Term("local", "02", "总胆固醇测定")]

    first, second = (suggest([term], analyte_candidates()) for term in terms)

    assert (first[0].analyte, first[0].score) == ("cholesterol_total", 100.0)
    assert (first[0].status, first[0].confirmed_by) == ("suggested", "")
    assert second[0].analyte == "cholesterol_total"


def test_what_resembles_nothing_gets_no_suggestion():
    assert suggest([Term("ha_lis", "X", "車牌號碼")], analyte_candidates()) == []
    assert suggest([Term("ha_lis", "X", "---")], analyte_candidates()) == []
    assert suggest([], analyte_candidates()) == []
    assert suggest([Term("ha_lis", "X", "glucose")], []) == []


def test_the_best_comes_first_each_target_once_and_not_too_many():
    names = ["atrial fibrillation", "fibrillation atrial", "atrial fibrillations"]
    candidates = [Candidate(name, 10 + n) for n, name in enumerate(names)]
    candidates += [Candidate("Atrial Fibrillation", 10), Candidate("atrial fib", 14)]

    found = suggest([Term("local", "AF", "Atrial fibrillation")], candidates)

    assert [row.concept_id for row in found] == [10, 11, 12]
    assert found[0].score == found[1].score == 100.0
    assert found[2].score < 100


def test_a_diagnosis_is_not_suggested_a_medicine():
    candidates = [Candidate("gout", 1, domain="Drug"), Candidate("gouts", 2)]

    found = suggest([Term("icd10", "M10", "gout")], candidates)

    assert [row.concept_id for row in found] == [2]


def test_a_loaded_vocabulary_offers_standard_concepts_and_their_synonyms(tmp_path):
    loaded = load_athena(write_download(tmp_path / "d"), tmp_path / "store")

    offered = vocabulary_candidates(loaded, ["icd10"])
    found = suggest([Term("icd10", "R01", "河流心律")], offered)

    assert {one.domain for one in offered} == {"Condition"}
    assert (found[0].concept_id, found[0].score) == (900001, 100.0)
    drugs = vocabulary_candidates(loaded, ["ha_drug"])
    assert {one.concept_id for one in drugs} == {900031}
    assert len(vocabulary_candidates(loaded, ["local"])) == len(offered) + len(drugs)


def test_what_another_site_confirmed_is_offered_and_nothing_else():
    rows = [
        CodeRow("icd9cm", "427.31", 313217, "AF", status="confirmed"),
        CodeRow("icd9cm", "427.32", 4, "Flutter", status="suggested"),
        CodeRow("icd9cm", "427.33", None, "Nothing", status="confirmed"),
    ]

    assert code_candidates(rows) == [
        Candidate("AF", 313217, domain="Condition"),
    ]


class Tables:
    """The concepts of a site: two local ones, of which one is mapped."""

    def rows(self, sql):
        assert "Maps to" in sql
        return [("HA LIS", "TC", "TC"), ("Nobody's", "x", "Something")]


def test_terms_take_their_words_from_the_codes_file_and_settled_ones_are_left_out():
    rows = [
        CodeRow("ha_lis", "TC", name="Cholesterol"),
        CodeRow("ha_lis", "NEW", name="Not used yet"),
        CodeRow("local", "y", 7, "Known", status="confirmed"),
    ]

    assert unmapped_terms(Tables(), rows) == [
        Term("ha_lis", "TC", "Cholesterol"),
        Term("local", "x", "Something"),
        Term("ha_lis", "NEW", "Not used yet"),
    ]


# --- the file ------------------------------------------------------------------------
OWN = CodeRow("icd10", "I48", 313217, "Afib", status="confirmed", confirmed_by="Dr X")
NO = CodeRow("ha_lis", "TC", None, "TC", analyte="hdl", status="rejected")
OLD = CodeRow("ha_lis", "TC", 5, "TC", status="suggested", score=70.0)
NEW = CodeRow("ha_lis", "TC", 6, "TC, 總", "", "", "suggested", 95.5, meaning='"x"')


def test_the_file_reads_back_as_it_was_written(tmp_path):
    rows = [OWN, OLD, NEW, CodeRow("local", "a,b\nc", name=" 院內 ".strip())]

    write_codes(tmp_path / "codes.csv", rows)

    with connect() as reader:
        assert read_codes(reader, tmp_path / "codes.csv") == rows
        assert read_codes(reader, tmp_path / "none.csv") == []
    assert [path.name for path in tmp_path.iterdir()] == ["codes.csv"]


def test_new_suggestions_take_the_place_of_old_ones_and_touch_nothing_else():
    again = CodeRow("ha_lis", "TC", None, "TC", analyte="hdl", status="suggested")
    over = CodeRow("icd10", "I48", 1, "Afib", status="suggested")
    plain = CodeRow("local", "x", name="X")

    found = with_suggestions([OWN, NO, OLD, plain], [NEW, again, over])

    assert found == [OWN, NO, plain, NEW]


def test_one_suggestion_is_confirmed_by_somebody_and_the_others_are_rejected():
    found = confirm([OWN, OLD, NEW], ("ha_lis", "TC"), 6, " Dr Chan ", TODAY)

    assert found[0] == OWN
    assert [row.status for row in found] == ["confirmed", "rejected", "confirmed"]
    assert (found[2].confirmed_by, found[2].confirmed_on) == ("Dr Chan", "2026-11-28")
    assert found[2].concept_id == 6


def test_a_single_suggestion_needs_no_further_word():
    found = confirm([OLD], ("ha_lis", "TC"), None, "Dr Chan", TODAY)

    assert found[0].status == "confirmed"


@pytest.mark.parametrize(
    ("key", "target", "by", "error"),
    [
        (("ha_lis", "TC"), None, "Dr Chan", InvalidMapping),  # two stand there
        (("ha_lis", "TC"), 7, "Dr Chan", InvalidMapping),
        (("ha_lis", "HDL"), None, "Dr Chan", InvalidMapping),
        (("icd10", "I48"), 313217, "Dr Chan", InvalidMapping),  # settled already
        (("ha_lis", "TC"), 6, " ", Usage),
    ],
)
def test_nothing_is_confirmed_by_nobody_or_without_a_suggestion(key, target, by, error):
    with pytest.raises(error):
        confirm([OWN, OLD, NEW], key, target, by, TODAY)
