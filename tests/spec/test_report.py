"""The report of a certificate: what a reader of one HTML file is promised."""

import asyncio
import copy
import csv
import functools
import html
import inspect
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from xml.etree import ElementTree as ET

import pytest

from hetao.canonical import canonical, parse_canonical
from hetao.cdm import open_flat
from hetao.dictionary.checks import CATEGORIES
from hetao.errors import Unverified
from hetao.federation.certify import recompute
from hetao.federation.embedded import run_embedded
from hetao.release import Policy
from hetao.report import (
    ComparedTerm,
    Comparison,
    Extras,
    indicators,
    measures,
    render_report,
    screens,
    write_report,
)
from hetao.report.custody import MINIMA
from hetao.report.effects import WORDS as CONTRASTS
from hetao.report.headings import SECTIONS
from hetao.report.heads import HEADS, named
from hetao.report.measures import EFFECTS
from hetao.report.page import ESTIMAND, render_body
from hetao.report.performance import WORDS as MEASURES
from hetao.study import (
    Analysis,
    Criterion,
    Grid,
    Level,
    Minimum,
    Study,
    Variable,
    Weight,
)
from hetao.study.methods import METHODS

SITES = ("north", "east", "south")
ATTACK = "<script>alert('x')</script>\"><img src=http://evil.example/x onerror=1>"
VOID = {"meta", "br", "img", "hr", "link", "input"}


def category(name, label, *levels):
    return Variable(
        name,
        "category",
        "column",
        column=name,
        levels=tuple(Level(level, level) for level in levels),
        label=label,
    )


def number(name, label, low, high):
    return Variable(
        name, "number", "column", column=name, bounds=(low, high), label=label
    )


STUDY = Study(
    name="toy",
    title="晚期肺癌的生存 & survival",
    question="Who lives <longer>?",
    version="1",
    dictionary="flat",
    sites=SITES,
    variables=(
        number("age", "Age (years)", 0, 120),
        category("sex", "性别", "女", "男"),
        category("ill", "Ill", "no", "yes"),
        number("days", "Days to death", 0, 1000),
        replace(number("stay", "Stay", 0.5, 1000), column="days"),
        category("died", "Died", "no", "yes"),
    ),
    analyses=(
        Analysis("who", "counts"),
        Analysis("first-table", "table1", by="ill", variables=("age", "sex")),
        Analysis("odds", "logistic", outcome="ill", terms=("1", "age/10", "sex")),
        Analysis("mean", "linear", outcome="age", terms=("1", "sex")),
        Analysis(
            "weighted",
            "logistic",
            outcome="ill",
            terms=("1", "sex"),
            weights="stay",
            variance="robust",
        ),
        Analysis("firths", "logistic", outcome="ill", terms=("sex",), penalty="firth"),
        Analysis(
            "shrunk",
            "logistic",
            outcome="ill",
            terms=("age", "sex", "days"),
            penalty="elastic_net",
            folds=3,
            weights="stay",
        ),
        Analysis("rate", "poisson", outcome="days", terms=("1", "sex")),
        Analysis("rates", "negative_binomial", outcome="days", terms=("1", "sex")),
        Analysis("stay", "gamma", outcome="stay", terms=("1", "sex")),
        Analysis(
            "hazard",
            "cox",
            time="days",
            event="died",
            terms=("age", "sex"),
            strata=("site",),
            zph="identity",
        ),
        Analysis(
            "effect", "ipw", outcome="died", treatment="ill", terms=("age", "sex")
        ),
        Analysis(
            "overlap",
            "ipw",
            outcome="died",
            treatment="ill",
            terms=("age", "sex"),
            estimand="ATO",
            overlap_bins=40,
        ),
        Analysis(
            "standard", "g_computation", outcome="days", treatment="ill", terms=("age",)
        ),
        Analysis(
            "robust", "aipw", outcome="died", treatment="ill", terms=("age", "sex")
        ),
        Analysis(
            "curve",
            "km",
            time="days",
            event="died",
            by="sex",
            grid=Grid(tuple(float(day) for day in range(100, 1001, 100))),
            horizon=500.0,
        ),
        Analysis(
            "joined",
            "cox",
            time="days",
            event="died",
            terms=("age", "sex"),
            grid=Grid(tuple(float(day) for day in range(20, 1001, 20)), merge=True),
            baseline=True,
        ),
        Analysis(
            "test", "logrank", time="days", event="died", by="sex", strata=("site",)
        ),
        Analysis(
            "apart",
            "meta",
            model="logistic",
            outcome="ill",
            terms=("1", "age/10", "sex"),
            show_sites=True,
        ),
        Analysis("middles", "quantiles", by="ill", variables=("age", "days")),
        Analysis(
            "deaths",
            "rates",
            time="days",
            event="died",
            by="sex",
            strata=("ill", "site"),
            standard=(Weight("no", 3.0), Weight("yes", 1.0)),
        ),
    ),
    criteria=(Criterion("Adults", "age >= 18"),),
    estimand={"population": "Patients in three hospitals", "summary": "Odds ratio"},
)
REASON = "A teaching file of 1988"


def write_rows(path):
    draw = random.Random(7)  # noqa: S311 - made-up rows
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "sex", "ill", "days", "died", "place"])
        for i in range(600):
            age = round(draw.uniform(20, 90))
            ill = draw.random() < 0.2 + age / 200
            writer.writerow(
                [
                    age,
                    draw.choice("女男"),
                    "yes" if ill else "no",
                    round(draw.uniform(1, 999)),
                    draw.choice(["no", "yes"]),
                    SITES[i % 3],
                ]
            )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_rows(folder / "rows.csv")
    sources = {
        site: functools.partial(open_flat, folder / "rows.csv", "place", site, genes=())
        for site in SITES
    }
    # 21 analyses about 200 people a site show far more of them than a tenth.
    policies = {
        site: Policy(Minimum(cell=5 if site == "east" else 10, share=0.4), 3, REASON)
        for site in SITES
    }
    ran = asyncio.run(run_embedded(STUDY, sources, folder / "work", policies))
    return ran.certificate


@pytest.fixture(scope="module")
def report(certificate):
    """Return the page of the certificate; to write it takes half a second."""
    return render_report(certificate)


@pytest.fixture
def parts(certificate):
    value = parse_canonical(certificate)
    return copy.deepcopy(value["body"]), value["log"]


class Reader(HTMLParser):
    """Collects tags, attributes and visible text; checks that tags are closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


GAP = '<span class="gap"> </span>'  # what parts two languages, where both are shown


def in_english(page):
    """Return what is read on the page in English; its Chinese is left out."""
    return read(re.sub(r'<(\w+) class="[^"]*\bzh\b[^"]*"[^>]*>.*?</\1>', "", page))


def figures(page):
    found = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    return [ET.fromstring(svg) for svg in found]  # noqa: S314 - our own page


def finding(body, name):
    return next(f for f in body["findings"] if f["analysis"] == name)["finding"]


def stated(passing="80-95%", **more):
    failed = {
        "type": "plausibleValueHigh",
        "table": "measurement",
        "field": "value_as_number",
        "concept": "cholesterol_total",
        "share": "1-5%",
        **more,
    }
    part = {"table": "measurement", "category": "plausibility", "passing": passing}
    return {"summary": [part], "failed": [failed], "shortened": False}


def test_the_page_needs_no_network_and_no_script(report):
    page = read(report)

    assert not {"script", "img", "link", "iframe", "object", "base"} & set(page.tags)
    for tag, key, value in page.attributes:
        assert not key.startswith("on")
        if key in ("href", "src", "xlink:href", "action", "data", "srcset"):
            assert value.startswith("#"), (tag, key, value)
        if key == "style":
            assert re.fullmatch(r"width:[\d.]+%", value)
    policy = [v for t, k, v in page.attributes if "default-src" in v]
    assert policy[0].startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_no_address_stands_anywhere_in_the_page(report):
    assert "http:" not in report
    assert "https:" not in report
    assert "url(" not in report
    assert "@import" not in report


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(report):
    page = read(report)

    ids = [value for _, key, value in page.attributes if key == "id"]
    links = {v[1:] for _, key, v in page.attributes if key == "href"}
    named = {
        part
        for _, key, value in page.attributes
        if key == "aria-labelledby"
        for part in value.split()
    }

    assert len(ids) == len(set(ids))
    assert links | named <= set(ids)


def test_every_analysis_of_the_study_appears(report):
    text = read(report).text

    for analysis in STUDY.analyses:
        assert f"Analysis {analysis.name}, 3 of 3 sites" in text


def test_terms_are_named_by_the_labels_of_the_study(report):
    text = read(report).text

    assert "Age, per 10 years" in text
    assert "性别: 男" in text
    assert "vs 女" in text
    assert "sex[" not in text


def test_a_cox_model_shows_its_test_of_proportional_hazards(parts):
    body, log = parts
    tests = finding(body, "hazard")["zph"]

    page = render_body(body, log, Extras())

    together = f"{tests['together']['chi2']:.2f} 2"
    assert f"All together 合計 合计 {together}" in read(page).text
    text = in_english(page).text
    assert f"All together {together}" in text
    assert f"性别: 男, vs 女 {tests['terms'][1]['chi2']:.2f} 1" in text


def test_a_cox_model_over_sites_shows_the_hazard_where_all_terms_are_0(parts):
    body, log = parts
    found = finding(body, "joined")
    (curve,) = found["baseline"]
    page = render_body(body, log, Extras())

    assert 2 <= len(found["edges"]) < 50
    assert set(curve["time"]) <= set(found["edges"])
    assert min(curve["events"]) >= body["smallest_shown"]
    assert "Cumulative baseline hazard" in page


def test_a_model_is_answered_in_one_sentence_made_of_its_numbers(parts):
    body, log = parts
    finding(body, "odds")["terms"] = [
        term("(Intercept)", -1.0, 0.1),
        term("age/10", 0.1, 0.2),
        term("sex[男]", 1.1663, 0.2),
    ]

    text = read(render_body(body, log, Extras())).text

    assert (
        "性别: 男, vs 女: odds ratio 3.21 (95% CI 2.17 to 4.75), of 2 terms the "
        "largest relative to its standard error. 1 of 2 intervals leave out 1." in text
    )


def term(name, estimate, se):
    return {
        "name": name,
        "estimate": estimate,
        "se": se,
        "z": estimate / se,
        "p": 0.5,
        "lower": estimate - 1.959964 * se,
        "upper": estimate + 1.959964 * se,
    }


def test_rates_stand_with_limits_standard_and_ratio(report):
    text = read(report).text

    assert "Died: rate for 1,000 person-Days to death" in text
    assert "Standardised rate (95% interval)" in text
    assert re.search(
        r"男 against 女: adjusted rate ratio within sites \d\.\d\d \(", text
    )


def test_quartiles_are_middles_of_intervals_and_their_bins_stay_hidden(parts):
    body, log = parts
    item = next(f for f in body["findings"] if f["analysis"] == "middles")

    text = read(render_body(body, log, Extras())).text

    assert re.search(r"Age \(years\) \d+ \(\d+ to \d+\), n \d+", text)
    assert item["withheld"]


def test_the_bins_behind_quartiles_are_in_no_certificate(certificate):
    value = parse_canonical(certificate)
    tasks = {r["task"] for r in value["body"]["rounds"] if r["analysis"] == "middles"}

    assert tasks
    assert not tasks & set(value["sums"])


def test_a_meta_analysis_shows_every_method_and_each_site_as_asked(report):
    text = read(report).text

    assert "Random, REML" in text
    assert "95% prediction interval" in text
    assert "Each site's own estimates" in text
    assert "I² " in text


def test_every_finding_that_is_not_withheld_follows_from_the_certified_sums(
    certificate,
):
    assert recompute(parse_canonical(certificate)).endswith(
        "findings follow from the certified integers"
    )


def test_an_effect_is_shown_with_its_arms_balance_and_overlap(parts):
    body, log = parts
    payload = finding(body, "overlap")
    difference = payload["terms"][0]
    difference |= term("risk_difference", -0.0123, 0.04)
    payload["arms"][1]["ess"] = 321.04
    payload["balance"][1]["before"] = -0.2468
    payload["overlap"][0][3] = None

    page = in_english(render_body(body, log, Extras()))

    said = "Risk difference of “yes” against “no”, in the overlap of the arms (ATO)"
    assert f"{said}: −0.012 (95% CI −0.091 to 0.066)." in page.text
    assert "Treatment: Ill. Outcome: Died." in page.text
    assert "321.0" in page.text
    assert "性别: 男 vs 女 −0.247 0.000" in page.text
    assert "Propensity score" in page.text
    assert "A star stands for a bin with too few people" in page.text


def test_chinese_is_kept_and_marked_as_chinese(report):
    assert '<span lang="zh">晚期肺癌的生存 &amp; survival</span>' in report
    assert "<title>晚期肺癌的生存 &amp; survival</title>" in report


def test_figures_are_well_formed_and_have_a_title_and_a_description(report):
    drawn = figures(report)

    assert len(drawn) == 26  # ten models, four effects, two pooled, curves, a flow
    for svg in drawn:
        assert svg.get("role") == "img"
        assert svg[0].tag == "title"
        assert svg[0].text
        assert svg[1].tag == "desc"
        assert svg[1].text


def test_every_header_cell_has_a_scope(report):
    page = read(report)

    scoped = [tag for tag, key, _ in page.attributes if (tag, key) == ("th", "scope")]

    assert len(scoped) == page.tags.count("th")


@pytest.mark.parametrize(
    "poison",
    [
        lambda body: body["study"].update(title=ATTACK, question=ATTACK),
        lambda body: body["study"]["variables"][1].update(label=ATTACK),
        lambda body: body["study"]["estimand"].update(summary=ATTACK),
        lambda body: body["sites"][0].update(quality=stated(type=ATTACK)),
        lambda body: body["sites"][0].update(quality=stated(concept=ATTACK)),
        lambda body: body["sites"][0].update(quality=stated(share=ATTACK)),
        lambda body: body["sites"][0].update(quality=stated(passing=ATTACK)),
        lambda body: body["sites"][1]["policy"].update(reason=ATTACK),
        lambda body: body["lost"].update(south=ATTACK),
        lambda body: body["permit"]["permit"].update(purpose=ATTACK),
        lambda body: body["permit"]["permit"]["parties"][0].update(organisation=ATTACK),
        lambda body: finding(body, "who")["steps"][0].update(label=ATTACK),
        lambda body: finding(body, "curve")["curves"][0].update(stratum=ATTACK),
        lambda body: finding(body, "odds")["terms"][1].update(name=ATTACK),
        lambda body: finding(body, "first-table")["rows"][1].update(label=ATTACK),
    ],
)
def test_text_of_others_stays_text(parts, poison):
    body, log = parts
    poison(body)

    page = render_body(body, log, Extras({}, {ATTACK: 1.0}))

    reader = read(page)
    assert "<script" not in page
    assert "<img" not in page
    assert html.escape(ATTACK)[:20] in page
    assert not {"script", "img"} & set(reader.tags)
    assert all(figure.tag == "svg" for figure in figures(page))


def test_a_suppressed_cell_is_shown_as_less_than_k_with_the_reason(parts):
    body, log = parts
    row = finding(body, "first-table")["rows"][2]
    row["by_group"][0] = {"count": None, "percent": None}
    body["findings"][1]["withheld"] = True

    text = read(render_body(body, log, Extras())).text

    assert "<10*" in text
    assert "fewer than 10 people, or hidden so that no such count" in text


def test_every_section_is_named_and_explained_in_three_languages(parts):
    page = render_body(*parts, Extras())
    shown = [key for key in SECTIONS if f'<h2 id="{key}">' in page]

    assert {"answer", "models", "curves", "quality", "left", "verify"} <= set(shown)
    assert page.count("<h2 ") == len(shown)
    for section in (SECTIONS[key] for key in shown):
        assert f'<span class="en" lang="en">{section.title}</span>{GAP}<span' in page
        for tag, text in (*section.title.chinese, *section.leads):
            assert not text or f'lang="{tag}">{text}<' in page
    assert '<span class="zh" lang="zh-Hant">無</span>' in page  # no patient's row left


EVERYTHING = Extras(
    comparison=(
        Comparison("odds", "a", 1e-9, (ComparedTerm("x", 0.5, 0.1, 0.5, 0.1, 0, 0.4),)),
    ),
    bytes_per_site={"north": 1234},
    messages=99,
)


def test_every_head_of_a_table_is_said_in_chinese_too(certificate):
    page = render_report(certificate, EVERYTHING)
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page)
    own = {"Patients in three hospitals", *SITES}
    for variable in STUDY.variables:
        own |= {variable.label, *(level.name for level in variable.levels)}
    labels = re.compile(r"[\d,.]*|τ²|±|.*(vs female|per 10 years|vs 女).*")

    assert len(heads) > 150
    for head in heads:
        text = re.sub(r'(<span class="gap"> </span>)?<span class="zh.*', "", head)
        plain = re.sub(r"<[^>]*>", "", text)
        is_own = plain in own or labels.fullmatch(plain)
        assert is_own or '<span class="zh' in head, plain
    for text in ("標準誤", "标准误", "優勢比（95% 置信區間）", "至 500 的平均值"):
        assert f">{text}" in page, text
    purpose = (
        f'<span class="en" lang="en">Purpose</span>{GAP}<span class="zh" lang="zh">'
    )
    assert f"<dt>{purpose}目的</span></dt>" in page


def test_what_the_study_calls_by_one_of_our_words_is_not_translated(parts):
    """A variable may well be called Score, Left, Class, Record or Exposure."""
    body, log = parts
    said = "Score|Left|Class|Record|Exposure|Said"
    for variable, word in zip(body["study"]["variables"], said.split("|"), strict=True):
        variable["label"] = word
    finding(body, "middles")["groups"] = ["Class", "Record"]
    body["study"]["estimand"] = {"population": "All", "Score": "An own attribute"}

    page = render_body(body, log, EVERYTHING)
    rows = re.findall(rf'<th scope="row"[^>]*>({said})(.*?)</th>', page)
    assert {word for word, _ in rows} >= {"Score", "Record"}
    assert [row for row in rows if "<span" in row[1]] == []
    assert '<th scope="col" class="n">Class</th>' in page
    assert '<th scope="col" class="n">Record</th>' in page
    assert "<dt>Score</dt>" in page
    for own in ("Intercept", "All together", "Fixed effect"):
        said = f'<span class="en" lang="en">{own}</span>{GAP}<span class="zh"'
        assert f'<th scope="row">{said}' in page


def test_a_unit_of_person_time_is_said_in_chinese():
    years = named("Difference for 1,000 person-years").chinese
    weeks = named("Difference for 1,000 person-week").chinese
    assert years == (("zh", "每 1,000 人年的差值"),)
    assert dict(weeks)["zh-Hant"] == "每 1,000 人週的差值"
    assert named("Difference for 1,000 person-shift").chinese == (
        ("zh", "每 1,000 人·shift 的差值"),
    )


def test_every_head_that_the_page_may_show_has_its_words():
    """Whatever a study asks: heads in the template, of ratios, and of the measures."""
    template = resources.files("hetao.report").joinpath("report.html.j2")
    used = re.findall(r'\b(?:head|dt|chinese)\("([^"]+)"', template.read_text("utf-8"))
    for method in METHODS.values():
        used += [method.ratio.capitalize()] if method.ratio else []
    used += ["Difference", *MINIMA.values(), *ESTIMAND.values(), *EFFECTS.values()]
    used += [*CONTRASTS.values(), *(words for words, _ in MEASURES.values())]
    used += [category.capitalize() for category in CATEGORIES]
    sources = "".join(inspect.getsource(one) for one in (indicators, measures, screens))
    for line in re.findall(r"^ *(?:heads|more)\b.*$", sources, re.MULTILINE):
        used += re.findall(r'"([A-Z][^"{}]+)"', line)

    assert len(used) > 120
    assert {"Calibrated p", "Share (95% interval)", "Person-time"} <= set(used)
    assert named("Mean up to 90 (95% CI)").chinese
    used.remove("Mean up to ")
    assert [text for text in used if not named(text).chinese] == []
    for traditional, simplified in HEADS.values():
        assert not set(traditional) & set("后与时间级单机构数标准误对测预调")
        assert not set(simplified) & set("後與時間級單機構數標準誤對測預調")


def test_a_large_hidden_count_of_attrition_is_not_called_small(parts):
    body, log = parts
    steps = [
        {"label": "All", "n": 600, "removed": 0},
        {"label": "Known", "n": None, "removed": None},
        {"label": "Adults", "n": 590, "removed": None},
    ]
    finding(body, "who")["steps"] = steps
    body["findings"][0]["withheld"] = True

    text = in_english(render_body(body, log, Extras())).text

    assert "Known not shown* not shown* Adults 590 not shown*" in text


def test_a_lost_site_and_a_lowered_minimum_stand_at_the_top(parts):
    body, log = parts
    body["lost"] = {"south": "south did not answer in time"}
    body["sites"] = body["sites"][:2]
    for item in body["findings"]:
        item["members"] = item["members"][:2]

    text = read(render_body(body, log, Extras())).text
    top = text[: text.index("Who lives <longer>?")]

    assert "1 of 3 sites did not stay to the end." in top
    assert "south did not answer in time" in top
    assert REASON in top
    assert "In a cell, at least 5 (strict: 10)" in text.replace(
        "in a cell", "In a cell"
    )
    assert "Without south" in text


def test_what_left_each_site_is_listed_release_by_release(parts):
    body, log = parts

    text = read(render_body(body, log, Extras())).text

    for round_ in body["rounds"]:
        assert round_["task"] in text
    assert "Patient rows: none." in text
    assert text.count(f"north: {len(body['rounds'])} releases") == 1


def test_approvals_show_office_side_time_fingerprint_and_rule(parts):
    body, log = parts
    said = body["permit"]["notices"][0]["body"]

    text = read(render_body(body, log, Extras())).text

    assert f"{said['role']} {said['side']} approve" in text
    assert re.search(r"\b(?:[0-9a-f]{4} ){3}[0-9a-f]{4}\b", text)
    assert "data-ethics" in text


def test_how_to_verify_names_command_digests_and_checkpoint(report, parts):
    body, _ = parts

    text = read(report).text

    line = "hetao verify certificate.json --trust parties.toml --policy policy"
    assert line in text
    assert body["permit"]["permit"]["study"] in text
    assert body["run"] in text
    assert "cosigned by hub-hk and hub-sz" in text


def test_a_pooled_check_says_that_only_a_demonstration_can_make_it(certificate, report):
    compared = ComparedTerm("sex[男]", 0.5, 0.1, 0.5, 0.1, 3.2e-9)
    extras = Extras(
        comparison=(Comparison("odds", "statsmodels 0.15", 3.2e-9, (compared,)),),
        timings={"whole run": 2.5},
        bytes_per_site={"north": 1234},
        messages=99,
    )

    text = read(render_report(certificate, extras)).text

    assert "Largest difference: 3.2×10⁻⁹ standard errors" in text
    assert "Only a demonstration can make this check" in text
    assert "1,234" in text
    assert "Only a demonstration" not in read(report).text


@pytest.mark.parametrize(("truth", "shown"), [(-0.357, "−0.357"), (0.0, "0.000")])
def test_a_known_truth_stands_beside_the_estimate(certificate, truth, shown):
    compared = ComparedTerm("sex[男]", 0.5, 0.1, 0.5, 0.1, 3.2e-9, truth)
    extras = Extras(comparison=(Comparison("odds", "a", 3.2e-9, (compared,)),))
    unknown = Extras(
        comparison=(Comparison("odds", "a", 3.2e-9, (replace(compared, truth=None),)),)
    )

    text = read(render_report(certificate, extras)).text

    assert "Truth, in this made-up population" in text
    assert shown in text
    assert "Truth" not in read(render_report(certificate, unknown)).text


def test_a_certificate_that_does_not_verify_has_no_report(certificate, tmp_path):
    value = parse_canonical(certificate)
    value["body"]["smallest_shown"] = 1

    with pytest.raises(Unverified):
        write_report(tmp_path / "report.html", canonical(value))

    assert list(tmp_path.iterdir()) == []


def test_a_report_is_written_whole(certificate, tmp_path):
    write_report(tmp_path / "report.html", certificate)

    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page == render_report(certificate)
    assert page.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "bend",
    [
        lambda body: finding(body, "odds").update(
            terms=[term("age/10", 22.0, 9e4), term("sex[男]", -900.0, 1.0)]
        ),
        lambda body: finding(body, "mean").update(
            terms=[term("sex[男]", 1e300, 1e299), term("age", 1e-300, 1e-301)]
        ),
        lambda body: finding(body, "odds").update(terms=[]),
        lambda body: finding(body, "odds").update(
            terms=[{"name": "age", "estimate": None, "se": None, "z": None, "p": None}]
        ),
        lambda body: finding(body, "odds").update(
            terms=[term(f"age/{i}", 0.1, 0.1) for i in range(1, 400)]
        ),
        lambda body: finding(body, "odds").update(n=None, events=None),
        lambda body: finding(body, "curve")["curves"][0].update(
            time=[], survival=[], se=[], at_risk=[], events=[], n=None, median=None
        ),
        lambda body: finding(body, "curve").update(curves=[]),
        lambda body: finding(body, "curve").update(
            logrank={"chi2": None, "df": 0, "p": None}
        ),
        lambda body: finding(body, "first-table").update(rows=[], groups=[]),
        lambda body: finding(body, "apart").update(terms=[], sites=None, n=None),
        lambda body: [
            t.update(dict.fromkeys(t.keys() - {"name"}))
            for t in finding(body, "apart")["terms"]
        ],
        lambda body: finding(body, "middles").update(rows=[], groups=[]),
        lambda body: [
            cell.update(n=None, missing=None, quantiles=[])
            for row in finding(body, "middles")["rows"]
            for cell in row["by_group"]
        ],
        lambda body: finding(body, "deaths").update(groups=[], comparisons=[]),
        lambda body: [
            group.update(dict.fromkeys(group.keys() - {"label"}))
            for group in finding(body, "deaths")["groups"]
        ],
        lambda body: [
            one.update(dict.fromkeys(one.keys() - {"group", "against"}))
            for one in finding(body, "deaths")["comparisons"]
        ],
        lambda body: finding(body, "who").update(steps=[]),
        lambda body: finding(body, "who").update(
            steps=[{"label": "All", "n": None, "removed": None}]
        ),
        lambda body: finding(body, "mean").update(model="newer"),
        lambda body: [site.update(quality={}) for site in body["sites"]],
        lambda body: body["sites"][0].update(quality=stated("odd", share="odd")),
        lambda body: body["sites"][0].update(
            quality={**stated(), "failed": stated()["failed"] * 200, "shortened": True}
        ),
        lambda body: body["study"].update(estimand={}, question=""),
    ],
)
def test_extreme_and_empty_findings_still_make_a_page(parts, bend):
    body, log = parts
    bend(body)

    page = render_body(body, log, Extras())

    read(page)
    figures(page)
    assert not re.search(r"\b(nan|inf|None)\b", read(page).text)


def test_a_model_says_how_its_outcome_varies(report, parts):
    body, _ = parts
    found = {item["analysis"]: item["finding"] for item in body["findings"]}

    for name, key, words in (
        ("rates", "theta", "Theta {:.3g} (standard error "),
        ("stay", "dispersion", "Dispersion {:.3g}."),
        ("mean", "sigma", "Residual standard error {:.3g}."),
    ):
        assert words.format(found[name][key]) in report
    assert "Weighted by Stay. Robust (sandwich) standard errors." in report
    assert "Firth&#39;s penalised likelihood." in report
    assert "Intercept: mean where every term is 0" in report
    assert "600 people." in report  # no events, so none are said to be few


def test_a_penalised_model_shows_its_path_and_claims_no_limits(parts):
    body, log = parts
    found = finding(body, "shrunk")

    page = render_body(body, log, Extras())

    text = read(page).text
    article = text.split("Elastic net, alpha 0.5.")[1].split("Analysis shrunk,")[0]
    assert "Weighted by Stay." in article
    assert "the strongest within one standard error of the best" in article
    assert "no standard errors or limits" in article
    assert "95% CI" not in article
    assert len(found["path"]) == 25
    assert article.count("lambda.min") == article.count("lambda.1se") == 1
    titles = [figure.findtext("title") for figure in figures(page)]
    assert "shrunk: coefficients by strength of the penalty" in titles
    assert "shrunk: deviance of those whom the fits left out" in titles
    kept = sum(term["estimate"] != 0 for term in found["terms"][1:])
    assert f"Elastic net: {kept} of 3 columns are in at lambda" in text
