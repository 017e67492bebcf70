"""The published dictionary is the dictionary, in three languages."""

import re
from pathlib import Path

import pytest

from hetao.dictionary import dictionary
from hetao.dictionary.page import NAMES, PAGES, WORDS, page
from support_system import called

DOCS = Path(__file__).resolve().parents[2] / "docs"
HERE = dictionary()
LANGUAGES = tuple(PAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_published_page_is_what_the_command_writes(language):
    published = (DOCS / PAGES[language]).read_text("utf-8")

    assert published == page(HERE, language), "run `hetao dictionary page` again"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_holds_every_field_with_its_level_and_its_words(language):
    text = page(HERE, language)

    assert HERE.digest in text
    for table in HERE.tables.values():
        start = text.index(f"\n### {table.name}\n")
        part = text[start : text.find("\n### ", start + 1)]
        for field in table.fields.values():
            (row,) = [
                line
                for line in part.split("\n")
                if line.startswith(f"| `{field.name}`")
            ]
            cells = [cell.strip() for cell in row.split("|")[1:-1]]
            assert cells[1:4] == [field.label[language], field.type, str(field.level)]
            assert cells[4].startswith(field.definition[language])
    for name in (*HERE.analytes, *HERE.systems):
        assert f"\n| `{name}` | " in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_table_of_the_page_has_rows_as_long_as_its_head(language):
    for block in re.findall(r"(?:^\|.*\n)+", page(HERE, language), re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_pages_say_the_same_things_in_each_language():
    assert {tuple(words) for words in WORDS.values()} == {tuple(WORDS["en"])}
    assert set(NAMES) == set(PAGES) == set(WORDS)


def test_the_pages_are_written_again_by_a_command(tmp_path, capsys):
    said = called(capsys, "dictionary", "page", "--out", tmp_path / "docs")

    assert said.code == 0
    for name in PAGES.values():
        assert (tmp_path / "docs" / name).read_bytes() == (DOCS / name).read_bytes()


def test_a_field_is_shown_in_the_language_asked_for(capsys):
    path = "measurement.value_as_number"
    for language in LANGUAGES:
        said = called(capsys, "dictionary", "show", path, "--language", language)
        assert said.out.startswith(path)
        assert HERE.field(path).definition[language] in said.out


def test_a_table_is_shown_as_the_page_has_it(capsys):
    said = called(capsys, "dictionary", "show", "death")

    assert said.out in page(HERE, "en")
    assert "| `death_date` |" in said.out


def test_an_analyte_is_shown_with_the_units_that_it_accepts(capsys):
    said = called(capsys, "dictionary", "show", "hba1c", "--language", "zh-Hans")
    body = called(capsys, "dictionary", "show", "hba1c", "--json").json

    assert HERE.analytes["hba1c"].labels["zh-Hans"] in said.out
    assert "mmol/mol = 10.929 × % + -23.49735" in said.out
    assert body["units"]["%"] == ["10.929", "-23.49735"]


def test_without_a_name_the_digest_is_shown(capsys):
    said = called(capsys, "dictionary", "show", "--json")

    assert said.json["digest"] == HERE.digest
    assert said.json["tables"] == list(HERE.tables)


@pytest.mark.parametrize("path", ["deaths", "death.day"])
def test_what_is_not_in_the_dictionary_is_an_error_that_lists_what_is(path, capsys):
    said = called(capsys, "dictionary", "show", path)

    assert (said.code, said.error) == (4, "HT-102")
    assert "death" in said.err
