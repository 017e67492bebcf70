"""The answer says whether all sites meant the same by each concept set, and no more."""

import copy
import dataclasses
import json

import pytest

from hetao.cdm import open_site
from hetao.cdm.vocabulary import resolve_each
from hetao.cli import main
from hetao.errors import Unverified
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.concept_sets import across_sites
from hetao.report.extras import Extras
from hetao.report.page import render_body, render_report
from hetao.study import read_study
from support_cdm import SELECTS, curated, write_folder
from support_federation import Federation, Plan, restated
from support_vocabulary import ANCESTOR, write_download

STUDY = """
[study]
name = "rhythm"
title = "River rhythm"
question = "How many?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a", "b", "c", "d"]
[concepts.rhythm]
label = "River rhythm 河律"
icd10 = ["I48"]
omop = [900001]
[concepts.thinner]
atc = ["B01AA"]
[population]
entry = { condition = ["rhythm"] }
[variables.age]
source = "age"
bounds = [0, 150]
[[analyses]]
name = "people"
method = "counts"
"""
# Site c loaded a vocabulary in which one concept lies elsewhere; site d loaded none.
OTHER = ANCESTOR.replace("900001\t900003\t1\t2\n", "")
LOADED = {"a": {}, "b": {}, "c": {"CONCEPT_ANCESTOR": OTHER}, "d": None}
CODES = {"a": ("I48", "I48.1"), "b": ("I48",), "c": ("I48.2",), "d": ("I48.1",)}


def write_site(folder, name):
    rows = [
        f"{name}{n},2020-01-02,{40 + n % 40},男,200,{CODES[name][n % len(CODES[name])]}"
        for n in range(60)
    ]
    site = write_folder(folder, rows, selects=SELECTS)
    if LOADED[name] is not None:
        download = write_download(folder / "download", **LOADED[name])
        assert main(["vocab", "load", str(download), "--site", str(site)]) == 0
    curated(site)
    return site


class Hospitals(Federation):
    """A federation of curated sites, each with the vocabulary that it loaded."""

    def setup(self, name):
        site = self.folder.parent / name / "site.toml"
        return dataclasses.replace(
            super().setup(name), open_source=lambda: open_site(site)
        )


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Return the run of the study over the four sites, and their site files."""
    folder = tmp_path_factory.mktemp("told")
    path = folder / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    sites = {name: write_site(folder / name, name) for name in LOADED}
    with Hospitals(folder / "run", Plan(read_study(path))) as federation:
        return federation.run(), sites


@pytest.fixture(scope="module")
def ran(answered):
    return answered[0]


def told(body, site):
    (entry,) = [one for one in body["sites"] if one["name"] == site]
    return {one["name"]: one["digest"] for one in entry["concepts"]}


def test_the_certificate_says_which_sites_resolved_a_set_alike(ran):
    verified = verify_certificate(ran.certificate, ran.cast.directory)

    rhythm, thinner = verified.concept_sets
    assert [sites for _, sites in rhythm.groups] == [("a", "b"), ("c",)]
    assert [sites for _, sites in thinner.groups] == [("a", "b", "c")]
    assert rhythm.without == thinner.without == ("d",)
    assert rhythm.differs
    assert not thinner.differs
    assert not thinner.is_same


def test_which_codes_occur_at_a_site_is_told_nowhere(answered):
    ran, sites = answered
    study = read_study(sites["a"].parents[1] / "study.toml")
    inside = set()
    for site in sites.values():
        with open_site(site) as tables:
            rhythm, _ = resolve_each(tables.engine, study.concepts)
            inside.add(rhythm.digest)

    assert len(inside) == len(sites)  # also of a and b, which loaded the same
    assert told(ran.body, "a") == told(ran.body, "b")
    assert told(ran.body, "d") == {"rhythm": "", "thinner": ""}
    assert not any(digest in ran.certificate.decode() for digest in inside)


def change(body):
    body["sites"][2]["concepts"] = copy.deepcopy(body["sites"][0]["concepts"])


def leave_out(body):
    body["sites"][2]["concepts"] = []


def tell_more(body):
    body["sites"][2]["concepts"][0]["ids"] = 3


def tell_of_another(body):
    body["sites"][2]["concepts"][0]["name"] = "other"


def swap_ready(body):
    one, other = body["sites"][0], body["sites"][1]
    one["ready"], other["ready"] = other["ready"], one["ready"]


def not_signed(body):
    del body["sites"][0]["ready"]


@pytest.mark.parametrize(
    "spoil",
    [
        change,
        leave_out,
        tell_more,
        tell_of_another,
        swap_ready,
        not_signed,
    ],
)
def test_a_coordinator_cannot_say_that_sites_agreed(ran, spoil):
    body = ran.body
    spoil(body)

    with pytest.raises(Unverified, match="step 8"):
        verify_certificate(ran.resigned(body))


def test_what_a_site_told_in_another_run_does_not_count(ran):
    body = ran.body
    ready = body["sites"][0]["ready"]
    body["sites"][0]["ready"] = restated(ran, ready, "a", run="0" * 32)

    with pytest.raises(Unverified, match="the ready of a names another run"):
        verify_certificate(ran.resigned(body))


def test_verify_names_the_groups(ran, tmp_path, capsys):
    file = tmp_path / "certificate.json"
    file.write_bytes(ran.certificate)

    words = ["verify", str(file), "--policy", "hubs"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert main([*words, "--json"]) == 0
    rhythm, _ = json.loads(capsys.readouterr().out)["concept_sets"]

    assert "concept set rhythm: the sites' vocabularies make other" in said
    assert "lists of it: a, b | c" in said
    assert "thinner" not in said
    assert [group["sites"] for group in rhythm["groups"]] == [["a", "b"], ["c"]]
    assert rhythm["without"] == ["d"]


def test_the_report_says_it_in_three_languages(ran):
    page = render_report(ran.certificate)

    assert "The sites&#39; vocabularies make 2 different lists of it" in page
    assert '<span class="zh" lang="zh-Hant">各機構的詞彙表解析出 2 種不同結果<' in page
    assert '<span class="zh" lang="zh-Hans">各机构的词汇表解析出 2 种不同结果<' in page
    assert "The same list at every site that has a vocabulary" in page
    assert "River rhythm 河律" in page
    digest = told(ran.body, "c")["rhythm"].removeprefix("sha256:")[:12]
    assert f"<code>{digest}</code> c" in page


@pytest.mark.parametrize(
    ("digests", "said"),
    [
        (("sha256:1",) * 4, "各机构的词汇表解析结果一致"),
        (("sha256:1", "", "", ""), "凡已加载词汇表的机构，解析结果一致"),
        (("",) * 4, "没有机构加载词汇表"),
    ],
)
def test_each_case_has_its_own_words(ran, digests, said):
    body = ran.body
    for site, digest in zip(body["sites"], digests, strict=True):
        for one in site["concepts"]:
            one["digest"] = digest

    page = render_body(body, json.loads(ran.certificate)["log"], Extras())

    assert said in page
    assert "different lists" not in page


def test_sets_stand_in_the_studys_order_and_the_largest_group_first():
    said = {
        "x": [{"name": "b", "digest": "1"}, {"name": "a", "digest": "1"}],
        "y": [{"name": "b", "digest": "2"}, {"name": "a", "digest": "1"}],
        "z": [{"name": "b", "digest": "2"}, {"name": "a", "digest": "1"}],
        "flat": [],
    }

    one, other = across_sites(said)

    assert (one.name, one.groups) == ("b", (("2", ("y", "z")), ("1", ("x",))))
    assert (other.name, other.is_same) == ("a", True)
    assert across_sites({}) == ()
