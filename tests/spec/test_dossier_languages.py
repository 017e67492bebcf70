"""Whoever reads a certificate's page in one of three languages reads all in it."""

import html
import re

import pytest

from hetao.canonical import parse_canonical
from hetao.dossier import page as module
from hetao.ledger.certificate import published
from hetao.permit.signing_words import office_named
from hetao.study import LANGUAGES
from support_scripts import SIMPLIFIED, TRADITIONAL

# The study's own words, names of parties and persons, and of programs and files.
OWN = """
toy Does it work age sex ill attrition model coordinator hub operator hk sz ethics data
protection output checker teaching keys made for the occasion HK SZ UTC
hetao verify verify_hetao py certificate revoked json list
"""


def articles_of(words):
    """Return language → what its article shows, tags taken out."""
    parts = re.findall(
        r'<article[^>]* lang="([^"]+)">(.*?)</article>', words, re.DOTALL
    )
    tags = re.compile(r"<code>.*?</code>|<[^>]+>")
    return {lang: html.unescape(tags.sub(" ", text)) for lang, text in parts}


@pytest.fixture(scope="module")
def articles(model_run):
    value = parse_canonical(published(model_run.certificate))
    value["body"]["study"]["title"] = "A toy"
    return articles_of(module._words(value))


def test_there_is_an_article_in_each_language(articles):
    assert tuple(articles) == LANGUAGES
    assert "Odds ratio, log scale" in articles["en"]
    assert "優勢比，對數刻度" in articles["zh-Hant"]
    assert "优势比，对数刻度" in articles["zh-Hans"]


@pytest.mark.parametrize("language", ["zh-Hant", "zh-Hans"])
def test_no_english_is_left_for_who_reads_chinese(articles, language):
    """Figures, tables, sentences, offices: what the study words itself stays."""
    found = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]+", articles[language]))

    assert found - set(OWN.split()) == set()


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (0, ("No hospital had", "沒有醫院在研究開始前", "没有医院在研究开始前")),
        (1, ("Of 3 hospitals 1 had", "間醫院中，1 間在", "家医院中，1 家在")),
        (3, ("All 3 hospitals had", "全部 3 間醫院在", "全部 3 家医院在")),
    ],
)
def test_of_records_nobody_committed_to_what_is_said_is_so(model_run, bound, said):
    value = parse_canonical(published(model_run.certificate))
    sites = value["body"]["sites"]
    for place, one in enumerate(sites):
        one["extract"] = {"index": 0} if place < bound else None

    told = module.told_of(value)["proofs"]

    assert len(sites) == 3
    for language, words in zip(LANGUAGES, said, strict=True):
        (line,) = (one for one in told[language] if words in one)
        others = re.search("others|其餘|其余", line)
        assert bool(others) == (bound == 1)


def test_no_chinese_is_left_for_who_reads_english(articles):
    assert not re.search(r"[\u4e00-\u9fff]", articles["en"])


def test_neither_script_strays_into_the_other(articles):
    assert not SIMPLIFIED & set(articles["zh-Hant"])
    assert not TRADITIONAL & set(articles["zh-Hans"])


def test_an_office_is_named_and_an_unknown_one_stays_as_it_is():
    assert office_named("ethics", "zh-Hant") == "倫理審查"
    assert office_named("purpose", "en") == "purpose"
