"""Whoever reads one of the three languages alone reads the whole report in it."""

import inspect
import re
import string
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import pytest

from hetao.analysis import oracle
from hetao.analysis.screen import REASONS
from hetao.canonical import parse_canonical
from hetao.report import ComparedTerm, Comparison, Extras
from hetao.report.headings import FACTS, SECTIONS
from hetao.report.heads import FORMS, HEADS, PERSON_TIME, named, step_named
from hetao.report.page import render_body
from hetao.report.sentences import catalogue, say
from hetao.study import LANGUAGES, Analysis, Study
from hetao.study.methods import METHODS
from hetao.study.model import EVERYONE
from support_analysis import BENT, STUDY, VARIABLES, people, split
from support_scripts import SIMPLIFIED, TRADITIONAL

PARTS = split(people(1, 1200), (0.05, 0.3, 0.5, 0.9))
LABELLED = replace(
    STUDY,
    title="V90",
    question="V91?",
    variables=tuple(replace(one, label=f"V{i}") for i, one in enumerate(VARIABLES)),
    analyses=(*STUDY.analyses, Analysis("flow", "counts")),
)
EXTRAS = Extras(
    comparison=(
        Comparison(
            "km", "R 4", 0.0, (ComparedTerm("age", 0.5, 0.1, 0.5, 0.1, 0, 0.4),)
        ),
    ),
    bytes_per_site={"aa": 1234},
    messages=99,
)
VOID = {"meta", "br", "img", "hr", "link", "input"}
# What is written in Latin letters in Chinese too: names of people and of methods, and
# abbreviations. The rest are the study's own words.
LATIN = """
ROC SMD HKSJ REML Mantel Haenszel DerSimonian Laird Paule Mandel Firth Efron Breslow
ATE ATT ATO alpha lambda theta logit log min se Brier Benjamini Hochberg Nelson Aalen
ns knots Boundary show sites UTC Hetao hetao Kaplan Meier relu tanh Cox Poisson Gamma
SCAFFOLD HK SZ
"""


def finding_of(analysis):
    if analysis.method == "counts":
        steps = [
            {"label": EVERYONE, "n": 900, "removed": 0},
            {"label": "V1", "n": None, "removed": None},
        ]
        return {"model": "counts", "steps": steps}
    return oracle(LABELLED, analysis, PARTS).shown(10)[0].as_json()


def body_of(analyses):
    """Return a certificate's body with findings, a lost site and lowered minimums."""
    study, sites = replace(LABELLED, analyses=tuple(analyses)), LABELLED.sites
    minimum = {"people": 5, "cell": 5, "events": 5, "share": 0.1, "leverage": 1.0}
    failed = {"type": "codes-unmapped", "table": "V9", "field": "", "share": "1-5%"}
    part = {"table": "V9", "category": "plausibility", "passing": "all"}
    failures = [failed, {**failed, "share": "few"}]
    quality = {"summary": [part], "failed": failures, "shortened": True}
    permit = {
        "number": "7",
        "purpose": "V2",
        "parties": [{"name": site, "side": "HK"} for site in sites],
        "sites": list(sites),
        "persons": [],
        "keys": [],
        "required": [],
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2027-01-01T00:00:00Z",
        "crossing": "data",
        "highest_grade": 3,
    }
    return {
        "study": parse_canonical(study.canonical),
        "findings": [
            {
                "analysis": one.name,
                "finding": finding_of(one),
                "members": list(sites[1:]),
                "rounds": 3,
                "withheld": True,
            }
            for one in study.analyses
        ],
        "smallest_shown": 10,
        "rounded_to": 5,
        "issued": "2026-11-29T00:00:00Z",
        "run": "r7",
        "software": "hetao 1",
        "lost": {"aa": "V3"},
        "sites": [
            {
                "name": site,
                "snapshot": "",
                "checkpoint": "x\n7\ny",
                "policy": {"minimum": minimum, "lowered": ["cell"], "reason": ""},
                "quality": quality if site == "bb" else {},
                "concepts": {},
            }
            for site in sites[1:]
        ],
        "rounds": [
            {
                "task": "t",
                "analysis": "km",
                "round": 0,
                "receipts": {"bb": {"body": {"values": 1, "bytes": 2}}},
            }
        ],
        "permit": {"permit": permit, "notices": []},
    }


@pytest.fixture(scope="module")
def page():
    """Return two pages in one: where people have several rows, all analyses say so."""
    by_person = [one for one in LABELLED.analyses if one.person]
    others = [one for one in LABELLED.analyses if not one.person]
    pages = [render_body(body_of(some), {}, EXTRAS) for some in (others, by_person)]
    return "".join(pages)


class Reader(HTMLParser):
    """Keeps what the page shows to whoever chose a language, piece by piece.

    Attributes:
        shown: (the tags that a text stands in, text).
    """

    def __init__(self, language):
        super().__init__()
        self.language, self.open, self.shown = language, [], []

    def hides(self, attrs):
        """Do as report.css does."""
        kinds, language = attrs.get("class", "").split(), attrs.get("lang", "")
        if self.language == "en":
            return "zh" in kinds
        other = "zh-Hans" if self.language == "zh-Hant" else "zh-Hant"
        return "en" in kinds or ("zh" in kinds and language == other)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append((tag, self.hides(dict(attrs))))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        if data.strip() and not any(hidden for _, hidden in self.open):
            self.shown.append((tags, data.strip()))


def read(page, language):
    reader = Reader(language)
    reader.feed(page)
    reader.close()
    return reader.shown


def own_words():
    """Return what the study and its parties say themselves, by the longest first."""
    words = {one.name for one in LABELLED.analyses} | {*LABELLED.sites, "km", "R 4"}
    words |= {LABELLED.name, "codes-unmapped", BENT.removeprefix("ns(age, ")}
    for variable in VARIABLES:
        words |= {variable.name, *(level.name for level in variable.levels)}
    return sorted(words, key=len, reverse=True)


OWN = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in own_words()))


def english_in(text):
    """Return the English words of a text that are not the study's own."""
    return sorted(
        set(re.findall(r"[A-Za-z]{2,}", OWN.sub("", text))) - set(LATIN.split())
    )


def test_a_finding_of_every_method_is_on_the_page(page):
    assert {one.method for one in LABELLED.analyses} == set(METHODS)
    for one in LABELLED.analyses:
        assert page.count(f"<code>{one.name}</code>") >= 1


@pytest.mark.parametrize("language", ["zh-Hant", "zh-Hans"])
def test_no_text_is_left_in_english_for_who_reads_chinese(page, language):
    """Of the page as it shows once a language is chosen, figures and their texts too.

    What others wrote stays: the study's words, and codes, commands, names of files.
    """
    left = [
        (tags[-1], text, words)
        for tags, text in read(page, language)
        if not {"code", "style", "title", "label"} & {tags[-1]}
        if (words := english_in(text))
    ]

    assert left == []


def test_the_chinese_is_hidden_from_who_chose_english(page):
    han = re.compile(r"[\u4e00-\u9fff]")

    shown = [text for tags, text in read(page, "en") if tags[-1] not in ("label",)]

    assert len(shown) > 5000
    assert [text for text in shown if han.search(text)] == []


@pytest.mark.parametrize("language", ["zh-Hant", "zh-Hans"])
def test_each_caption_and_sentence_in_english_has_one_in_chinese(page, language):
    """As many of each kind: none is dropped on the way to another language."""
    kinds = ("caption", "figcaption", "summary", "h2", "h3", "th", "desc")
    told = {}
    for reader in ("en", language):
        shown = read(page, reader)
        told[reader] = {kind: sum(kind in tags for tags, _ in shown) for kind in kinds}

    assert told["en"]["caption"] > 50
    for kind in kinds:
        assert told[language][kind] >= told["en"][kind], kind


def test_sentences_are_filled_in_alike_in_every_language():
    for key, words in catalogue().items():
        assert tuple(words) == LANGUAGES, key
        slots = [
            sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)
            for text in words.values()
        ]
        assert [set(one) for one in slots] == [set(slots[0])] * 3, key
        assert all(words.values()) or key == "run_on", key


def test_every_sentence_of_the_catalogue_is_said_somewhere():
    """And none is asked for that is not in it: a key's name is in some source."""
    sources = "".join(
        one.read_text("utf-8")
        for one in resources.files("hetao.report").iterdir()
        if one.name.endswith((".py", ".j2"))
    )
    asked = set(re.findall(r'(?:say|joined|\bp)\(\s*"([a-z_0-9]+)"', sources))
    written = set(re.findall(r'"([A-Za-z_0-9]+)"', sources))
    written |= {one.lower() for one in written}

    assert len(asked) > 150
    assert asked <= set(catalogue())
    made = {
        "band_all",
        "band_few",
        "ratios_title",
        "differences_title",
        "lasso",
        "ridge",
    }
    ratios = {method.ratio.removesuffix(" ratio") for method in METHODS.values()}
    left = set(catalogue()) - written - made - ratios
    # of the script of a certificate's page: tests/system/test_certificate_page.py
    assert {key for key in left if not key.startswith("refused_")} == set()


def test_neither_script_strays_into_the_other():
    pairs = [*HEADS.values(), *PERSON_TIME.values(), *(form[1:] for form in FORMS)]
    pairs += [section.title.texts[1:] for section in SECTIONS.values()]
    pairs += [section.lead for section in SECTIONS.values()]
    pairs += [fact.texts[1:] for fact in FACTS.values()]
    pairs += [(one["zh-Hant"], one["zh-Hans"]) for one in catalogue().values()]
    hant, hans = ("".join(texts) for texts in zip(*pairs, strict=True))

    assert not TRADITIONAL & set(hans)
    assert not SIMPLIFIED & set(hant)
    assert not re.search(r"[一-鿿][,;:.](?![0-9])", hant + hans)


def test_methods_steps_of_attrition_and_reasons_of_screens_are_said_in_chinese():
    steps = re.findall(r'"([A-Z][a-z ]+)"', inspect.getsource(Study.steps.fget))

    assert len(steps) == 9
    assert [m.title for m in METHODS.values() if not named(m.title).chinese] == []
    assert [one for one in (EVERYONE, *steps) if not step_named(one).chinese] == []
    assert [one for one in REASONS.values() if not named(one).chinese] == []


def test_a_sentence_is_filled_in_each_language_with_that_language():
    whose = say("att")

    said = say("weighted_score", whose=whose)

    assert said == "Weighted by a propensity score to the treated (ATT)"
    assert said.traditional == "按傾向性評分加權，以代表接受治療者（ATT）"
    assert said.chinese == (
        ("zh-Hant", said.traditional),
        ("zh-Hans", "按倾向性评分加权，以代表接受治疗者（ATT）"),
    )
