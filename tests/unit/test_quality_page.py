"""The page of a quality report: three languages, text of others stays text."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hetao.cdm.quality import Quality, Statistics
from hetao.cdm.quality.check import Check, Distribution, worst_first
from hetao.cdm.quality.page import language_of, page_text, write_page, write_reports
from hetao.dictionary import dictionary
from hetao.dictionary.checks import LANGUAGES, check_types
from hetao.dictionary.checks_page import checks_tables

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "quality.md"
ATTACK = "<script>alert('x')</script><img src=x onerror=alert(1)>"
CHECKS = (
    Check("isRequired", "person", "year_of_birth", "", 7, 400),
    Check("isRequired", "drug_exposure", "drug_concept_id", "", 0, 400),
    Check("rows-rejected", "diagnosis", "", "", 90, 400, 0.05, "date: none (90)"),
    Check(
        "plausibleValueHigh",
        "measurement",
        "value_as_number",
        "cholesterol_total",
        50,
        400,
        0.01,
        "1.0–20.0 mmol/L",
    ),
    Check("fkDomain", "specimen", "specimen_concept_id"),
)
REPORT = Quality(
    "north", "North Hospital", "en", "sha256:now", dictionary().digest, "2026-11-28",
    "sha256:before", worst_first(CHECKS),
    Statistics(
        {"person": 400},
        analytes=(Distribution("cholesterol_total", 400, 5.1, 2.0, 9.0, (1, 5, 2, 0)),),
    ),
)  # fmt: skip
LINEAGE = {
    "tables": {
        "person": {
            "person_id": {
                "from": [],
                "pseudonym_of": ["patient.HKID"],
                "functions": [],
            },
            "year_of_birth": {"from": ["patient.DOB"], "pseudonym_of": []},
        }
    }
}


class Read(HTMLParser):
    """Which tags a page has, and that each that opens closes."""

    VOID = frozenset({"meta", "br", "rect"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key) for key, _ in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def read(page):
    reader = Read()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_in_one_language_and_says_what_to_do(language):
    page = html.unescape(page_text(REPORT, LINEAGE, language))

    assert f'<html lang="{language}">' in page
    failed = {"isRequired", "rows-rejected", "plausibleValueHigh"}
    for name in failed:
        wording = check_types()[name].wording[language]
        assert wording.remedy in page
        assert wording.meaning in page
    assert dictionary().tables["measurement"].label[language] in page
    assert dictionary().analytes["cholesterol_total"].labels[language] in page
    assert "pseudonym(patient.HKID)" in page


def test_the_page_needs_no_network_and_no_script():
    page = read(page_text(REPORT, LINEAGE))

    assert not {"script", "img", "link", "iframe", "object", "base", "a"} & set(
        page.tags
    )
    assert "http" not in page_text(REPORT, LINEAGE).replace("http-equiv", "")


def test_every_header_cell_has_a_scope_and_every_chart_a_name():
    page = read(page_text(REPORT, LINEAGE))

    scoped = [tag for tag, key in page.attributes if (tag, key) == ("th", "scope")]
    named = [tag for tag, key in page.attributes if (tag, key) == ("svg", "aria-label")]
    assert len(scoped) == page.tags.count("th")
    assert len(named) == page.tags.count("svg") == 1


def test_a_colour_is_never_alone():
    """Every coloured cell of the heat map holds a symbol and a share."""
    cells = re.findall(r'<td class="h\d">(.)', page_text(REPORT, LINEAGE))

    assert cells
    assert set(cells) <= {"✓", "✗"}


def test_the_worst_table_stands_first_and_failures_by_their_share():
    page = page_text(REPORT)

    places = [page.index(f">{table}<") for table in ("diagnosis", "drug_exposure")]
    assert places == sorted(places)
    headings = re.findall(r"<h3>.*?<small>([\w-]+) ", page)
    assert headings == ["rows-rejected", "plausibleValueHigh", "isRequired"]


@pytest.mark.parametrize(
    "poisoned",
    [
        replace(REPORT, title=ATTACK),
        replace(REPORT, snapshot=ATTACK, previous=ATTACK),
        replace(REPORT, checks=(replace(CHECKS[2], table=ATTACK),)),
        replace(REPORT, checks=(replace(CHECKS[2], detail=ATTACK),)),
        replace(REPORT, checks=(replace(CHECKS[3], concept=ATTACK),)),
    ],
)
def test_text_of_others_stays_text(poisoned):
    page = page_text(poisoned)

    assert html.escape(ATTACK)[:14] in page
    assert not {"script", "img"} & set(read(page).tags)


@pytest.mark.parametrize(
    "empty",
    [
        replace(REPORT, checks=()),
        replace(REPORT, checks=CHECKS[1:2], previous=""),
        replace(REPORT, statistics=Statistics()),
    ],
)
def test_a_report_with_little_in_it_is_a_page_too(empty):
    for lineage in (None, {}, {"tables": {}}, LINEAGE):
        read(page_text(empty, lineage))


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"), ("en-GB", "en"), ("fr", "en"), ("zh-Hant", "zh-Hant"),
        ("zh_HK", "zh-Hant"), ("zh-TW", "zh-Hant"), ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"), ("zh-Hans", "zh-Hans"),
    ],
)  # fmt: skip
def test_a_language_tag_chooses_one_of_three(tag, language):
    assert language_of(tag) == language


def test_both_reports_stand_in_the_folder_and_the_page_can_be_written_again(tmp_path):
    write_reports(tmp_path, replace(REPORT, language="zh-HK"))
    first = (tmp_path / "quality.html").read_text("utf-8")

    again = write_page(tmp_path, REPORT, "zh-Hans")

    assert '<html lang="zh-Hant">' in first
    assert '<html lang="zh-Hans">' in again.read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "quality.html",
        "quality.json",
    ]


def test_the_guide_tells_of_every_check_what_the_code_does():
    assert GUIDE.read_text("utf-8").endswith(checks_tables().rstrip() + "\n")
