"""The documents are true: commands parse, links resolve, words and codes exist."""

import argparse
import contextlib
import functools
import importlib
import inspect
import re
import shlex
import tomllib
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from hetao import errors
from hetao.analysis import estimator_for, protocols
from hetao.analysis.registry import INSTALLED
from hetao.canonical import digest_bytes
from hetao.cdm import read_site
from hetao.cli.main import build_parser
from hetao.federation.hub import MOST_VALUES
from hetao.federation.network import CoordinatorTable, HubTable, Keys, NetworkTable
from hetao.ledger import certificate, opened
from hetao.permit import Permit, directory_from
from hetao.records import record
from hetao.release import (
    STRICT,
    add,
    decode,
    encode,
    mask,
    policy_from,
    split,
    stream,
    tag_of,
    tag_text,
)
from hetao.study import read_study
from hetao.study.methods import METHODS
from hetao.study.terms import FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("changes/*.md"),
    ]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
README, GLOSSARY = ROOT / "README.md", ROOT / "GLOSSARY.md"
ERRORS = ROOT / "docs" / "errors.md"
SPECS, GUIDE = ROOT / "docs" / "specs", ROOT / "docs" / "guide"


def blocks(page, language):
    """Return the fenced blocks of a language, in the page's order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def block(page, marker):
    """Return the one TOML block that holds a line."""
    (found,) = [b for b in blocks(page, "toml") if marker in b.splitlines()]
    return found


def prose(page):
    """Return a page without its fenced blocks."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)


def rows(page, columns):
    """Return the cells of every table row of so many columns."""
    lines = [line for line in prose(page).splitlines() if line.startswith("|")]
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]
    return [row for row in cells if len(row) == columns and set(row[0]) - set(":- ")]


def slug(heading):
    """Return the anchor that code hosts give a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


@functools.cache
def whole_parser():
    return build_parser()


def subcommands(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


# --- commands ----------------------------------------------------------------------
COMMANDS = [
    (name, line)
    for name, page in zip(NAMES, PAGES, strict=True)
    for text in blocks(page, "sh")
    for line in text.splitlines()
]


@pytest.mark.parametrize(("name", "line"), COMMANDS)
def test_every_command_line_is_one_that_the_program_takes(name, line):
    words = shlex.split(line)

    if words[0] == "make":
        assert re.search(rf"(?m)^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"))
    else:
        assert words[0] == "hetao"
        assert whole_parser().parse_args(words[1:]).run


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_in_a_sentence_exists(page):
    for text in re.findall(r"`hetao ([a-z][^`]*)`", prose(page)):
        here = subcommands(whole_parser())
        assert text.split()[0] in here, text
        for word in text.split():
            if not here or word.startswith("-"):
                break
            assert word in here, text
            here = subcommands(here[word])


# --- links and paths ---------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            assert target.startswith("https://")
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(ROOT)
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"(?m)^#+ (.*)$", prose(there))
            assert anchor in map(slug, heads), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_path_that_is_named_exists(page):
    for path in re.findall(r"`((?:src|tests|docs|requirements)/[^`\s]*)`", prose(page)):
        assert (ROOT / path).exists(), path


# --- words ---------------------------------------------------------------------------
WORDS = [row for row in rows(GLOSSARY, 5) if row[1] and row[0] != "word"]


def test_the_glossary_has_each_word_once_in_three_scripts():
    words = [row[0] for row in WORDS]

    assert len(words) > 50
    assert len(set(words)) == len(words)
    assert all(all(row) for row in WORDS)


WORDED = (".py", ".toml", ".j2", ".js", ".html", ".typ")
OURS = [*PAGES, *(one for one in ROOT.glob("src/**/*.*") if one.suffix in WORDED)]


def test_what_is_asked_in_traditional_characters_is_spelt_one_way():
    """Hong Kong writes 甚麼; 什麼 is as common elsewhere."""
    spelt = [str(one) for one in OURS if "什麼" in one.read_text("utf-8")]

    assert spelt == []
    assert sum("甚麼" in one.read_text("utf-8") for one in OURS) > 5


@pytest.mark.parametrize("row", WORDS, ids=[row[0] for row in WORDS])
def test_what_the_glossary_names_is_there(row):
    if row[4] == "—":
        return
    (name,) = re.findall(r"^`(hetao[\w.]*)`$", row[4])
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(".".join(parts[:count]))
            break

    for part in parts[count:]:
        found = getattr(found, part)
    assert found is not None


# --- errors --------------------------------------------------------------------------
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.HetaoError)
]


def test_every_error_has_a_code_of_its_own():
    codes = [kind.code for kind in KINDS]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"HT-\d{3}", code) for code in codes)


def test_every_error_is_documented_with_its_class_and_exit_code():
    table = {(row[0], row[1], row[3]) for row in rows(ERRORS, 5) if row[0] != "code"}

    assert table == {(k.code, f"`{k.__name__}`", str(k.exit_code)) for k in KINDS}


def test_the_readme_lists_exactly_the_exit_codes_that_there_are():
    listed = [int(row[0]) for row in rows(README, 2) if row[0].isdigit()]

    known = {0, errors.UNCOUNTED, 130} | {kind.exit_code for kind in KINDS}
    assert listed == sorted(known)


# --- examples ------------------------------------------------------------------------
def test_the_guides_study_holds(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(block(GUIDE / "investigator.md", "[study]"), "utf-8")

    study = read_study(path)

    assert [estimator_for(study, analysis).name for analysis in study.analyses]


@pytest.mark.parametrize("marker", ["[[sources]]", "[flat]"])
def test_the_guides_site_files_hold(tmp_path, marker):
    path = tmp_path / "site.toml"
    path.write_text(block(GUIDE / "hospital.md", marker), "utf-8")

    assert read_site(path).site.name == "north"


@pytest.mark.parametrize(
    ("page", "marker", "tables"),
    [
        ("hospital.md", "[network]", {"network": NetworkTable, "keys": Keys}),
        ("hospital.md", "[hub]", {"hub": HubTable, "keys": Keys}),
        (
            "investigator.md",
            "[coordinator]",
            {"coordinator": CoordinatorTable, "keys": Keys},
        ),
    ],
)
def test_the_guides_network_files_hold(page, marker, tables):
    read = tomllib.loads(block(GUIDE / page, marker))

    for name, kind in tables.items():
        assert record(kind, read[name], name, errors.InvalidNetwork)


def test_the_policies_and_parties_of_the_documents_hold():
    for page in (SPECS / "release.md", GUIDE / "hospital.md"):
        text = block(page, "[minimum]")
        assert policy_from(tomllib.loads(text)).lowered == ("cell",)
    parties = tomllib.loads(block(SPECS / "permit.md", "[[parties]]"))
    assert directory_from(parties).holders("ethics", "HK")


# --- figures -------------------------------------------------------------------------
def test_the_strict_minimum_is_the_documented_one():
    documented = {
        row[0].strip("`").removeprefix("minimum."): float(row[1])
        for row in rows(SPECS / "release.md", 3)
        if row[0].startswith("`minimum.")
    }

    assert documented == asdict(STRICT)


def test_every_estimator_is_documented_as_it_is():
    documented = {
        found[1]: (int(row[1]), row[2])
        for row in rows(SPECS / "release.md", 3)
        if (found := re.match(r"`(\w+)`", row[0])) and row[2].startswith(("yes", "no"))
    }

    assert documented.keys() == {protocol.name for protocol in protocols()}
    for kind in INSTALLED:
        rounds, words = documented[kind.name]
        assert rounds == kind.most_rounds
        assert words.startswith("yes") == kind.publishable
        assert ("own_cells" in words) == kind.own_cells


def named(page, *columns):
    """Return every code word in the first cells of the tables of so many columns."""
    cells = [row[0] for count in columns for row in rows(page, count)]
    return {word for cell in cells for word in re.findall(r"`([\w.]+)`", cell)}


def test_every_field_of_a_permit_and_a_certificate_is_documented():
    permit, page = SPECS / "permit.md", SPECS / "certificate.md"

    assert {field.name for field in fields(Permit)} <= named(permit, 2)
    assert named(page, 2) >= opened.BODY
    (findings,) = [row[1] for row in rows(page, 2) if row[0] == "`findings`"]
    assert set(re.findall(r"`(\w+)`", findings)) == certificate.FINDING
    assert certificate.LATEST == 3600
    assert "within an hour of `issued`" in prose(page)


def test_what_a_draft_permit_says_is_documented():
    said = {row[0]: row[1] for row in rows(SPECS / "permit.md", 2)}

    for name in (
        "highest_grade",
        "most_attempts",
        "most_runs",
        "lease_hours",
        "report_days",
    ):
        default = Permit.__dataclass_fields__[name].default
        assert f"a draft says {default}" in said[f"`{name}`"]


def test_every_field_of_a_sites_network_is_documented():
    assert {f.name for f in fields(NetworkTable)} <= named(GUIDE / "hospital.md", 2)


def test_the_longest_vector_is_the_documented_one():
    (most,) = [row[1] for row in rows(SPECS / "securesum.md", 2) if "hub" in row[0]]

    assert most == f"1 to {MOST_VALUES:,}"


def test_every_decision_stands_in_the_list():
    pages = (ROOT / "docs" / "decisions").glob("0*.md")
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")

    for page in pages:
        title = page.read_text("utf-8").splitlines()[0].removeprefix("# ")
        number, _, words = title.partition(" ")
        assert f"| [{number}]({page.name}) | {words} |" in listed


def test_the_functions_of_the_grammar_are_the_documented_ones():
    text = prose(GUIDE / "study.md")

    assert all(f"`{function}`" in text for function in FUNCTIONS)


def test_the_example_of_the_sealed_sum_is_what_the_code_computes():
    page = SPECS / "securesum.md"
    table = [np.array(_numbers(row), np.uint64) for row in rows(page, 3)[-9:]]
    seeds = [bytes(range(16)), bytes(range(16, 32))]
    values = [np.array([1.5, -0.25, 1.0]), np.array([2.0, 0.75, 1.0])]
    words = [encode(v, 2) for v in values]
    shares = [split(w, lambda _, s=s: s) for w, s in zip(words, seeds, strict=True)]
    streams = [stream(seed, 6).reshape(2, 3) for seed in seeds]
    totals = [add(streams), add([rest for _, rest in shares])]

    expected = [words[0], words[1], streams[0], shares[0][1], streams[1]]
    expected += [shares[1][1], *totals, add(totals)]
    for found, wanted in zip(table, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(decode(add(totals)), [3.5, 0.5, 2.0])
    for total in totals:
        assert digest_bytes(total.astype("<u8").tobytes()) in prose(page)
    key = bytes(range(32, 48))
    tags = [tag_of(w, key, "ab", s) for w, s in zip(words, "ab", strict=True)]
    first = sum(mask(seed, 6) for seed in seeds)
    for tag in (*tags, first, sum(tags) - first):
        assert f"`{tag_text(tag)}`" in prose(page)


def _numbers(row):
    return [[int(word, 16) for word in re.findall(r"[0-9a-f]{16}", c)] for c in row[1:]]


def test_the_guide_to_estimators_quotes_the_code_as_it_is():
    source = inspect.getsource(importlib.import_module("hetao.study.methods"))
    source += inspect.getsource(importlib.import_module("hetao.analysis.km"))
    plain = " ".join(source.split())
    quoted = [
        " ".join(block.split()).removesuffix(" ...")
        for block in re.findall(
            r"```python\n(.*?)```",
            (GUIDE / "estimators.md").read_text("utf-8"),
            re.DOTALL,
        )
    ]

    assert all(quote in plain for quote in quoted[:2])
    assert len(quoted) == 3


def test_the_page_of_exactness_has_every_method_and_every_protocol():
    """It is written by `make exactness`; a new method without an oracle fails here."""
    text = (ROOT / "docs" / "exactness.md").read_text("utf-8")
    compared, sent = text.split("| estimator | a site sends |")
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", compared, re.MULTILINE)

    assert {name for name, _ in rows} == set(METHODS)
    for name, rest in rows:
        _, oracle, data, sites, rounds, numbers, cases, *away = rest.split("|")
        told = (oracle, data, sites, cases)
        assert all(cell.strip(" –") for cell in told), f"{name}: {rest}"
        assert any(cell.strip() for cell in away), f"{name}: {rest}"
        # What was pooled from printed estimates alone had no rounds.
        assert name == "meta" or all(c.strip(" –") for c in (rounds, numbers)), rest
    assert {p.name for p in protocols()} == set(
        re.findall(r"^\| `(\w+)` \|", sent, re.MULTILINE)
    )
