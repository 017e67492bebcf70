"""A concept set is read as code lists side by side, or refused where it stands."""

from pathlib import Path

import pytest

from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy
from hetao.study import CodeList, ConceptSet, read_study, study_from
from hetao.study.writing import write_study

STUDY = """
[study]
name = "toy"
title = "A toy"
question = "Does it work?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a", "b", "c"]
[variables.age]
kind = "number"
source = "age"
bounds = [0, 120]
[[analyses]]
name = "count"
method = "counts"
"""
AFIB = """
[concepts.afib]
label = "Atrial fibrillation"
icd9cm = ["427.3"]
icd10 = ["I48", "I49.0", "I48"]
omop = [313217, 4108832]
omop_alone = [4154290]
exclude = { icd10 = ["I48.9"], omop = [4232697] }
"""


@pytest.fixture
def read(tmp_path):
    def read_text(concepts):
        path = tmp_path / "study.toml"
        path.write_text(STUDY + concepts, encoding="utf-8")
        return read_study(path)

    return read_text


def test_a_set_holds_several_systems_side_by_side(read):
    study = read(AFIB)

    assert study.concept_set("afib") == ConceptSet(
        name="afib",
        label="Atrial fibrillation",
        lists=(CodeList("icd10", ("I48", "I49.0")), CodeList("icd9cm", ("427.3",))),
        omop=(313217, 4108832),
        omop_alone=(4154290,),
        exclude=(CodeList("icd10", ("I48.9",)),),
        exclude_omop=(4232697,),
    )


def test_order_and_repetition_do_not_change_what_is_asked(read):
    again = """
    [concepts.afib]
    exclude = { omop = [4232697], icd10 = ["I48.9", "I48.9"] }
    omop = [4108832, 313217, 313217]
    omop_alone = [4154290]
    icd10 = ["I49.0", "I48"]
    icd9cm = ["427.3"]
    label = "Atrial fibrillation"
    """

    assert read(AFIB).digest == read(again).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"I49.0"', '"I49.1"'),
        ('"427.3"', '"427.31"'),
        ("4108832", "4108833"),
        ("4154290", "4154291"),
        ("omop_alone = [4154290]", ""),
        ('"I48.9"', '"I48.8"'),
        ("[4232697]", "[4232698]"),
        ("icd9cm", "icd9proc"),
    ],
)
def test_every_code_is_part_of_the_digest(read, old, new):
    assert read(AFIB).digest != read(AFIB.replace(old, new)).digest


def test_the_canonical_form_and_the_written_file_are_the_same_study(read, tmp_path):
    study = read(AFIB)
    write_study(tmp_path / "again.toml", study)

    assert study_from(parse_canonical(study.canonical)) == study
    assert read_study(tmp_path / "again.toml").digest == study.digest


def test_a_study_says_which_sets_it_lacks(read):
    with pytest.raises(
        InvalidStudy, match=r"no concept set 'stroke'.*concepts\.stroke"
    ):
        read(AFIB).concept_set("stroke")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "the set is empty"),
        ('exclude = { icd10 = ["I48"] }', "the set is empty"),
        ("icd10 = []", "icd10 lists no code"),
        ('icd10 = "I48"', "not a list of codes in quotes"),
        ("icd9cm = [427.3]", "not a list of codes in quotes"),
        ('icd10 = [""]', "empty or too long"),
        ('icd10 = ["."]', "empty or too long"),
        ('icd10 = ["*"]', "empty or too long"),
        (f'icd10 = ["{"I" * 61}"]', "empty or too long"),
        ('icd10 = ["I*8"]', "has a \\* inside"),
        ('icd10 = ["Ｉ４８"]', "half-width"),
        ('icd10 = [" I48"]', "without spaces"),
        ('icd10 = ["I\\u000048"]', "not plain text"),
        ('"ICD 10" = ["I48"]', "not a code system"),
        ("omop = [0]", "from 1"),
        ("omop = [-5]", "from 1"),
        ('omop = ["313217"]', "not a list of whole numbers"),
        ("omop = [true]", "not a list of whole numbers"),
        ("omop = [9007199254740992]", "beyond 2\\^53-1"),
        ('label = 3\nicd10 = ["I48"]', "label is not text"),
        ('exclude = ["I48"]\nicd10 = ["I48"]', "exclude is not a table"),
    ],
)
def test_a_set_that_cannot_be_meant_is_refused_by_name(read, body, says):
    with pytest.raises(InvalidStudy, match=r"concepts.*" + says) as error:
        read(f"[concepts.afib]\n{body}\n")

    assert "study.toml" in str(error.value)


def test_a_set_that_is_no_table_is_refused(read):
    with pytest.raises(InvalidStudy, match="expected a table"):
        read('[concepts]\nafib = "I48"\n')


def test_a_received_study_with_unordered_codes_is_refused(read):
    form = parse_canonical(read(AFIB).canonical)
    form["concepts"][0]["lists"][0]["codes"].reverse()

    with pytest.raises(InvalidStudy, match="once each, in order"):
        study_from(form)


def test_names_of_sets_are_plain(read):
    with pytest.raises(InvalidStudy, match="not a plain name"):
        read('[concepts."no spaces"]\nicd10 = ["I48"]\n')


def test_the_examples_in_the_guide_are_read(read):
    guide = Path(__file__).parents[2] / "docs" / "guide" / "vocabulary.md"
    blocks = guide.read_text(encoding="utf-8").split("```toml\n")[1:]
    sets = [text for block in blocks if "[concepts." in (text := block.split("```")[0])]

    assert sets
    assert all(read(text).concepts for text in sets)
