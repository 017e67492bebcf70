"""A data manager reads in the site's own log what left, when, and by whose word."""

import json
import re
import sqlite3
from dataclasses import replace

import pytest

from hetao.canonical import canonical
from hetao.cli import main
from hetao.errors import InvalidData, Unverified
from hetao.federation.releases import DROPPED, REFUSED, SUM, read_releases
from hetao.report.leaving import WORDS, lines_of, page_of
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

LANGUAGES = sorted(WORDS)


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Return a federation that has answered, refused once and dropped once."""
    plan = Plan(toy_study(analyses=(COUNTS, LOGISTIC), sites=("a", "b", "c")))
    with Federation(tmp_path_factory.mktemp("leaving"), plan) as made:
        made.play()
        site = made.sites["a"]
        site.handle(made.task("a", ("a", "b"), round=0, analysis="model").data)
        site.handle(made.task("a", sender="b").data)  # not from the coordinator
        yield made


@pytest.fixture(scope="module")
def found(federation):
    return read_releases(federation.setup("a"))


def test_every_message_that_left_is_told_with_its_class_and_who_allowed_it(
    federation, found
):
    (sum_,) = [one for one in found.departures if one.kind == SUM]

    assert (sum_.analysis, sum_.round, sum_.members) == (
        "attrition",
        1,
        ("a", "b", "c"),
    )
    assert (sum_.source, sum_.released) == (5, 2)
    assert sum_.to == tuple(federation.bundle.permit.hubs)
    assert sum_.people == "200-499"
    assert sum_.course.title == federation.study.title
    assert sum_.course.number == federation.bundle.permit.number
    assert {one.role for one in sum_.course.allowed} == {
        need.role for need in federation.bundle.permit.required
    }
    assert found.departures[0].kind == "ready"


def test_what_was_refused_and_dropped_is_told_with_its_rule(found):
    rules = {o.kind: o.rule for o in found.departures if o.kind in (REFUSED, DROPPED)}

    assert "HT-405" in rules[REFUSED]
    assert set(rules) == {REFUSED, DROPPED}


def test_only_what_came_since_a_day_is_told(federation):
    assert read_releases(federation.setup("a"), "2026-11-22").departures
    later = read_releases(federation.setup("a"), "2026-11-23")
    assert not later.departures
    for language in LANGUAGES:
        assert "2026-11-23" in lines_of(later, language)[1]


@pytest.mark.parametrize("since", ["2026-13-01", "20261101", "1.11.2026", "yesterday"])
def test_a_day_that_is_none_never_reads_as_if_nothing_had_left(capsys, since):
    """Compared as text it would leave everything out, or nothing."""
    assert main(["site", "releases", "site.toml", "--since", since]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "write 2026-01-31" in said.err


@pytest.mark.parametrize("language", LANGUAGES)
def test_how_much_of_the_budgets_is_used_is_said_to_the_sites_own_people(
    found, language
):
    used = {one.budget: one for one in found.budgets}
    text = "\n".join(lines_of(found, language))

    # a model of 3 columns, six rounds of 9 numbers, about 400 people, of 10 a person
    assert used["told"].used == pytest.approx(6 * 9 / 400)
    assert used["told"].most == 10.0
    assert f"{6 * 9 / 400 / 10:.0%}" in text
    assert f"{used['shown'].used / used['shown'].most:.0%}" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_three_languages_say_the_same_facts(found, language):
    text = "\n".join(lines_of(found, language))

    for fact in ("attrition", "200-499", "hub-hk", "HT-405", "2026-11-22"):
        assert fact in text
    assert set(WORDS[language]) == set(WORDS["en"])
    assert all(
        set(re.findall(r"\{\w+\}", WORDS[language][key]))
        == set(re.findall(r"\{\w+\}", WORDS["en"][key]))
        for key in WORDS["en"]
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_each_message_and_needs_nothing_else(found, language):
    page = page_of(found, language)

    marks = page.count('class="class-2"')
    assert marks == sum(one.has_left for one in found.departures)
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=", page)
    assert f'<html lang="{language}">' in page


def test_what_others_wrote_cannot_become_markup(found):
    bad = replace(found.departures[0].course, title="<b>x</b>", number="<i>")
    spoilt = replace(found, departures=(replace(found.departures[0], course=bad),))

    page = page_of(spoilt)

    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x" in page


def test_it_reads_while_the_site_serves_and_writes_nothing(federation):
    before = federation.log_entries(federation.sites["a"])

    read_releases(federation.setup("a"))

    assert federation.log_entries(federation.sites["a"]) == before


def test_a_log_that_somebody_changed_is_said(federation):
    """The triggers do not stop who can write the file; the hashes do."""
    setup = federation.setup("b")
    path = setup.folder / "log.sqlite"
    with sqlite3.connect(path) as store:
        trigger = "SELECT sql FROM sqlite_master WHERE name = 'entries_update'"
        (again,) = store.execute(trigger).fetchone()
        store.execute("DROP TRIGGER entries_update")
        (data,) = store.execute("SELECT bytes FROM entries WHERE start = 0").fetchone()
        changed = data.replace(b'"released":2', b'"released":1')
        assert changed != data
        store.execute("UPDATE entries SET bytes = ? WHERE start = 0", (changed,))
        store.execute(again)
    store.close()

    with pytest.raises(Unverified):
        read_releases(setup)


def test_an_entry_that_the_site_did_not_sign_is_said(federation):
    """Whoever holds the log's key alone cannot make a release of it."""
    site = federation.sites["c"]
    entry = next(e for e in federation.log_entries(site) if b'"kind":"sum"' in e)
    forged = json.loads(entry)
    forged["body"]["class"]["released"] = 1
    site._log.append([canonical(forged)])

    with pytest.raises(Unverified, match="is not signed by c"):
        read_releases(federation.setup("c"))


def test_a_site_that_was_never_served_has_no_log(federation, tmp_path):
    setup = replace(federation.setup("a"), folder=tmp_path)

    with pytest.raises(InvalidData, match="no log yet"):
        read_releases(setup)
    assert not list(tmp_path.iterdir())
