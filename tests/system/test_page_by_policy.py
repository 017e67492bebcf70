"""The certificate's page counts by the policy that its reader chooses, and by no other.

In a real browser, from disk, as a person would: under the page's own policy of what may
run, and each policy a file. The rules are held to those of the other two verifiers in
`tests/attack/test_three_policies.py`.
"""

import contextlib
import json
import random
import re
import time

import pytest

from hetao.dossier.page import render_page
from hetao.dossier.revoked import render_revoked
from hetao.dossier.script import later_script
from hetao.dossier.words import CHOOSE, ON_PAPER, STATES
from hetao.report.sentences import catalogue
from hetao.study import LANGUAGES
from support_chromium import LIMIT_SECONDS, Browser
from support_policies import ALONE, UNMET, USUAL, filled, keys_of, seen_by_all
from support_revoked import revoked_body, signed

AMBER, GREEN, RED, INK = "242,177,52", "29,107,50", "161,18,18", "29,35,39"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chromium")
    with contextlib.closing(Browser(folder / "profile")) as one:
        yield one


@pytest.fixture(scope="module")
def page(small_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "certificate.html"
    path.write_text(render_page(seen_by_all(small_run)), "utf-8")
    return path


@pytest.fixture(scope="module")
def ended(small_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("ended") / "revoked.html"
    data = signed(small_run, revoked_body(small_run))
    path.write_text(render_revoked(data), "utf-8")
    return path


@pytest.fixture
def written(small_run, tmp_path):
    """Return a function that writes a policy to a file."""

    def write(text):
        path = tmp_path / "policy"
        if isinstance(text, str):
            text = filled(text, keys_of(small_run)).encode()
        path.write_bytes(text)
        return path

    return write


def opened(browser, page, language="en"):
    browser.show_alone(f"{page.as_uri()}#{language}", "state", "waiting")
    browser.call("Log.enable")
    browser.call("Runtime.enable")
    browser.faults.clear()
    return state_of(browser)


def state_of(browser):
    return browser.run("document.body.dataset.state")


def chosen(browser, path):
    """Choose a file as a person would, by a click, and return what state follows."""
    browser.run("document.getElementById('witnesses').onclick()")
    browser.run("document.body.dataset.state = 'asked'")
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=document, selector="#witnesses")
    browser.call("DOM.setFileInputFiles", files=[str(path)], **node)
    for _ in range(int(LIMIT_SECONDS / 0.02)):
        if (state := state_of(browser)) not in ("asked", "holds"):
            return state
        time.sleep(0.02)
    raise AssertionError("nothing came of the file that was chosen")


def verdict(browser):
    """Return what a reader sees of the verdict, and on which colour."""
    return browser.run("document.getElementById('verdict').innerText"), browser.run(
        "getComputedStyle(document.getElementById('verdict')).backgroundColor"
    ).removeprefix("rgb(").rstrip(")").replace(" ", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_amber_and_green_by_its_readers_policy_alone(
    browser, page, written, language
):
    assert opened(browser, page, language) == "holds"
    said, colour = verdict(browser)
    assert (said, colour) == (STATES["study"]["holds"][language], AMBER)
    asked = browser.run("document.getElementById('choose').innerText")
    assert CHOOSE[language]["label"] in asked
    assert CHOOSE[language]["hint"] in asked

    assert chosen(browser, written(USUAL)) == "valid"
    said, colour = verdict(browser)
    assert said.startswith(STATES["study"]["valid"][language])
    assert ("hk, sz, uni" if language == "en" else "hk、sz、uni") in said
    assert colour == GREEN
    for other in LANGUAGES:
        browser.run(f"document.querySelector('button[lang={other}]').click()")
        assert verdict(browser)[0].startswith(STATES["study"]["valid"][other])
    assert browser.faults == []  # nothing that the page's policy would not let run


@pytest.mark.parametrize("language", LANGUAGES)
def test_below_its_readers_quorum_a_page_is_red_and_says_why(
    browser, page, written, language
):
    opened(browser, page, language)

    assert chosen(browser, written(UNMET["below"])) == "below"

    said, colour = verdict(browser)
    why = catalogue()["refused_policy_below"][language]
    assert said.startswith(STATES["study"]["below"][language])
    assert why.format(names="hk, sz, uni", quorum="g") in said
    assert colour == RED
    assert browser.faults == []


def test_seen_by_parties_alone_it_is_green_and_says_so(browser, page, written):
    opened(browser, page)

    for name in ("both hubs", "a party by name", "a party by key", "nobody of two"):
        assert chosen(browser, written(ALONE[name])) == "alone", name
        said, colour = verdict(browser)
        assert "SEEN BY NOBODY INDEPENDENT" in said
        assert ("Your witnesses who saw it" in said) == (name != "nobody of two")
        assert colour == GREEN


REFUSED = {
    "policy_other_key": UNMET["another key of the log"],
    "policy_no_log": UNMET["another log"],
    "policy_no_second": UNMET["a second key that did not sign"],
    "policy_unseen": UNMET["none of them"],
    "policy_control": random.Random(3).randbytes(5000),  # noqa: S311 - no secret
    "policy_line": "<!doctype html><title>a</title>\n",
    "policy_cut": USUAL[:-1],
    "policy_quorum": "",
    "policy_large": b"#" * 2**24,
    "policy_twice": USUAL + "quorum all\n",
}


def test_what_is_no_policy_is_refused_and_the_next_choice_counts(
    browser, page, written
):
    opened(browser, page)
    texts = catalogue()

    for key, text in REFUSED.items():
        assert chosen(browser, written(text)) == "below", key
        said, colour = verdict(browser)
        pattern = re.escape(texts[f"refused_{key}"]["en"])
        assert re.search(re.sub(r"\\\{\w+\\\}", ".+", pattern), said), (key, said)
        assert colour == RED
        assert chosen(browser, written(USUAL)) == "valid"
    assert browser.faults == []


def test_a_file_that_is_gone_or_a_folder_is_refused(browser, page, written, tmp_path):
    opened(browser, page)
    path = written(USUAL)
    path.unlink()

    assert chosen(browser, path) == "below"
    assert "cannot be read" in verdict(browser)[0]


def test_what_a_policy_says_is_shown_as_text(browser, page, written):
    opened(browser, page)
    name = "<img/src=x/onerror=document.title=1>\u202e\u200b"
    text = f"log LOG\nwitness hk HK\nwitness {name} NEVER\nquorum {name}\n"

    assert chosen(browser, written(text)) == "below"

    said = verdict(browser)[0]
    assert "<img/src=x/onerror=document.title=1>\\u{202e}\\u{200b}" in said
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.faults == []


def test_to_choose_again_is_to_be_amber_until_then(browser, page, written):
    opened(browser, page)
    assert chosen(browser, written(USUAL)) == "valid"

    browser.run("document.getElementById('witnesses').onclick()")  # and to think better

    assert state_of(browser) == "holds"
    assert browser.run("document.getElementById('witnesses').files.length") == 0


def test_a_slow_file_does_not_speak_over_a_later_one(browser, page, written):
    """Read later than it was chosen: the last choice is the one that is told."""
    opened(browser, page)
    own = json.dumps([written(USUAL).read_text(), written(UNMET["below"]).read_text()])
    told = browser.run(
        """(async () => {
          const [good, bad] = OWN, input = document.getElementById("witnesses");
          const file = (text, wait) => ({ size: text.length, arrayBuffer: async () => {
            await new Promise(done => setTimeout(done, wait));
            return new TextEncoder().encode(text).buffer;
          } });
          let now;
          Object.defineProperty(input, "files", { get: () => [now] });
          now = file(good, 300); const first = input.onchange();
          now = file(bad, 0); await input.onchange(); await first;
          return document.body.dataset.state;
        })()""".replace("OWN", own)
    )

    assert told == "below"


def test_a_page_that_was_changed_offers_no_choice(browser, page):
    text = page.read_text("utf-8")
    bent = page.with_name("bent.html")
    bent.write_text(text.replace("A toy</h1>", "A tof</h1>", 1), "utf-8")

    assert opened(browser, bent) == "invalid"

    shown = browser.run(
        "getComputedStyle(document.getElementById('choose')).display"
        " + String(document.getElementById('witnesses').onchange)"
    )
    assert shown == "nonenull"


def test_what_reads_a_policy_is_asleep_until_one_is_chosen(browser, page, written):
    """And if it was changed, it does not run, and the page is not green."""
    opened(browser, page)
    assert browser.run("typeof hetaoLater") == "undefined"
    assert chosen(browser, written(USUAL)) == "valid"
    assert browser.run("typeof hetaoLater") == "function"
    text = page.read_text("utf-8")
    assert text.count(later_script()) == 1
    bent = page.with_name("bent.html")
    changed = later_script().replace("quorum === NONE || ", "true || ")
    assert changed != later_script()
    bent.write_text(text.replace(later_script(), changed), "utf-8")

    assert opened(browser, bent) == "holds"
    assert chosen(browser, written(UNMET["below"])) == "below"
    assert chosen(browser, written(USUAL)) == "below"
    assert any("Content Security Policy" in fault for fault in browser.faults)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_revoked_page_is_dark_and_says_whether_it_counts(
    browser, ended, written, language
):
    assert opened(browser, ended, language) == "holds"
    assert verdict(browser) == (STATES["revoked"]["holds"][language], INK)

    assert chosen(browser, written(ALONE["both hubs"])) == "alone"
    said, colour = verdict(browser)
    assert said.startswith(STATES["revoked"]["alone"][language])
    assert colour == INK
    assert chosen(browser, written("log LOG\nwitness hk HK\nquorum hk\n")) == "below"
    said, colour = verdict(browser)
    assert said.startswith(STATES["revoked"]["below"][language])
    assert colour == RED
    assert browser.faults == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_paper_nothing_counts(browser, page, written, language):
    """Whoever is handed a sheet did not choose the policy that it was printed by."""
    opened(browser, page, language)
    assert chosen(browser, written(USUAL)) == "valid"

    browser.call("Emulation.setEmulatedMedia", media="print")
    said, colour = verdict(browser)
    choice = browser.run("getComputedStyle(document.getElementById('choose')).display")
    browser.call("Emulation.setEmulatedMedia", media="")

    holds = STATES["study"]["holds"][language]
    assert [line for line in said.split("\n") if line] == [holds, ON_PAPER[language]]
    assert colour == AMBER
    assert choice == "none"
    assert verdict(browser)[1] == GREEN


def test_the_choice_has_a_name_and_the_verdict_is_spoken(browser, page):
    """To a screen reader, in the language that is shown; by keyboard alone too."""
    opened(browser, page, "zh-Hant")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    told = {
        node["role"]["value"]: node
        for node in nodes
        if not node["ignored"] and node["role"]["value"] == "status"
    }
    names = [node.get("name", {}).get("value", "") for node in nodes]
    assert any(name.startswith(CHOOSE["zh-Hant"]["label"]) for name in names)
    assert not any(CHOOSE["en"]["label"] in name for name in names)
    assert "status" in told
    live = {one["name"]: one["value"]["value"] for one in told["status"]["properties"]}
    assert live["live"] == "polite"
    reached = set()
    for _ in range(8):
        for kind in ("rawKeyDown", "keyUp"):
            browser.call(
                "Input.dispatchKeyEvent",
                type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9,
            )  # fmt: skip
        reached.add(browser.run("document.activeElement.id"))
    assert "witnesses" in reached


def test_each_state_is_said_in_each_language_and_shown(small_run):
    assert {*STATES["study"]} == {*STATES["revoked"]}
    for states in STATES.values():
        assert all({*said} == {*LANGUAGES} for said in states.values())
    text = render_page(small_run.certificate)
    for state in STATES["study"]:
        assert f'body[data-state="{state}"] .{state}' in text
