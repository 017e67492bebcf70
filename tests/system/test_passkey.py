"""A person registers a passkey in a real browser, and signs with it what they read."""

import contextlib
import datetime
import http.client
import json
import queue
import random
import socket
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hetao.canonical import parse_canonical
from hetao.cli.main import main
from hetao.errors import BadSignature, NotApproved
from hetao.federation.reviewing import gather_votes, lay_package, read_package
from hetao.permit import (
    Bundle,
    Key,
    Person,
    Words,
    add_notice,
    code,
    read_bundle,
    sign_notice,
    signed_bytes,
    standing,
    statement_from,
    tally,
    write_bundle,
)
from hetao.permit.signing_words import LANGUAGES, WORDS
from hetao.records import read_toml
from support_chromium import LIMIT_SECONDS, Browser
from support_federation import toy_study
from support_permit import PEOPLE, Scene

HOLDERS = ("ethics-hk", "checker-hk")  # whose keys are passkeys here
PURPOSE = "To see </script><b>whether</b> 河套 & all that"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def origin():
    """Give a page's address, at a port that no outgoing connection is ever given.

    Who asks again and again whether somebody listens at a port from which the machine
    itself may be asking is sooner or later connected to itself, and holds the port.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return f"http://localhost:{port}"
    raise AssertionError("no port is free")


@pytest.fixture(scope="module", autouse=True)
def shown():
    """Give what commands have a browser open, one after another."""
    asked = queue.Queue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hetao.cli.localhost.webbrowser.open", asked.put)
        yield asked


class Waiting:
    """A command that waits for a person, beside the test."""

    def __init__(self, *words):
        self._words, self.status = [str(word) for word in words], None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self.status = main(self._words)

    def ended(self):
        self._thread.join(LIMIT_SECONDS)
        return self.status


def show(browser, shown):
    """Show the page of a command as it has a browser open it, and return that way."""
    way = shown.get(timeout=LIMIT_SECONDS)
    browser.open(way)
    return way


def register(browser, shown, origin, owner, out):
    browser.held_by(owner)
    words = ("--name", f"{owner}-passkey", "--owner", owner, "--origin", origin)
    waiting = Waiting("permit", "passkey", "new", *words, "--out", out)
    show(browser, shown)
    said, text = browser.sign()
    assert (said, waiting.ended()) == ("done", 0), text
    return Key(**read_toml(out, BadSignature)["keys"][0])


@pytest.fixture(scope="module")
def scene(browser, shown, origin, tmp_path_factory):
    """A permit in which an ethics office and an output checker hold passkeys."""
    folder = tmp_path_factory.mktemp("keys")
    made = {
        owner: register(browser, shown, origin, owner, folder / f"{owner}.toml")
        for owner in HOLDERS
    }
    plain = Scene((*PEOPLE, Person("deputy-hk", "HK", "REC", ("staff",))))
    begin = datetime.datetime.fromisoformat(made["ethics-hk"].valid_from)
    return plain.varied(
        keys=tuple(made.get(key.owner, key) for key in plain.keys),
        purpose=PURPOSE,
        not_before=made["ethics-hk"].valid_from,
        not_after=(begin + datetime.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


@pytest.fixture
def permit(scene, tmp_path):
    """The permit's file, approved by everybody but the holder of the passkey."""
    bundle, now = Bundle(scene.permit), datetime.datetime.now(datetime.UTC)
    for name in ("ethics-sz", "privacy-hk", "privacy-sz"):
        bundle = sign_notice(bundle, scene.identities[name], "approve", now)
    write_bundle(tmp_path / "permit.json", bundle)
    return tmp_path / "permit.json"


def ask_to_approve(permit, *words):
    key = ("--key-name", "ethics-hk-passkey")
    return Waiting("permit", "passkey", "sign", permit, "approve", *key, *words)


def told(permit, capsys):
    assert main(["permit", "show", str(permit), "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_passkey_approves_what_its_holder_read(scene, permit, browser, shown, capsys):
    browser.held_by("ethics-hk")
    waiting = ask_to_approve(permit)
    show(browser, shown)

    read = {
        lang: browser.run(
            f"document.querySelector('nav button[lang={lang}]').click(),"
            " document.querySelector('article:not([hidden])').innerText"
        )
        for lang in LANGUAGES
    }
    said, text = browser.sign()

    assert (said, waiting.ended()) == ("done", 0), text
    own = code(signed_bytes(read_bundle(permit).notices[-1].body))
    assert f"code {own}" in capsys.readouterr().err
    everybodys = told(permit, capsys)["code"]
    for lang, words in read.items():
        for part in (PURPOSE, own, everybodys, scene.permit.not_after):
            assert part in words
        assert scene.permit.digest in words
        assert WORDS[lang]["approve"] in words
        assert "hospital-sz (An owner, SZ)" in words
    found = told(permit, capsys)
    assert found["state"] == "active"
    assert "ethics-hk-passkey" in [one["key"] for one in found["approved_by"]]
    assert browser.faults == []


def test_what_a_passkey_signed_approves_no_changed_permit(
    scene, permit, browser, shown
):
    browser.held_by("ethics-hk")
    waiting = ask_to_approve(permit)
    show(browser, shown)
    assert browser.sign()[0] == "done"
    assert waiting.ended() == 0
    signed = read_bundle(permit).notices[-1]

    changed = replace(scene.permit, highest_grade=5)
    with pytest.raises(NotApproved, match="signed another permit"):
        add_notice(Bundle(changed), signed)
    body = {**signed.body, "permit": changed.digest}
    with pytest.raises(NotApproved, match="passkey signed something else"):
        add_notice(Bundle(changed), replace(signed, body=body))


def test_a_page_that_shows_another_permit_signs_nothing(permit, browser, shown):
    browser.held_by("ethics-hk")
    waiting = ask_to_approve(permit)
    way = show(browser, shown)
    browser.run("ask.shown = ask.shown.replace('To see', 'To sea'), true")

    said, _ = browser.sign()

    assert said == "changed"
    browser.open(way)  # as it was, it signs
    assert browser.sign()[0] == "done"
    assert waiting.ended() == 0


def test_another_persons_passkey_does_not_approve(permit, browser, shown, capsys):
    browser.held_by("checker-hk")
    waiting = ask_to_approve(permit)
    show(browser, shown)

    said, text = browser.sign()

    assert said == "refused"
    assert "HT-301" in text
    assert told(permit, capsys)["state"] == "draft"
    browser.held_by("ethics-hk")
    assert browser.sign()[0] == "done"
    assert waiting.ended() == 0
    browser.faults.clear()  # a refusal is an error of the page's console


def test_a_written_page_saves_its_answer_for_another_machine(
    permit, browser, origin, tmp_path, capsys
):
    browser.held_by("ethics-hk")
    place = tmp_path / "page.html"
    assert ask_to_approve(permit, "--page", place, "--language", "zh-Hant").ended() == 0
    browser.show_as(origin + "/page.html", place.read_bytes())

    saved = browser.saved(tmp_path)

    said, text = browser.sign()
    answer = saved("answer.json")

    assert said == "offered", text
    assert WORDS["zh-Hant"]["offered"] in text
    asked = ("--asked", str(place) + ".asked")
    assert main(["permit", "passkey", "take", str(answer), str(permit), *asked]) == 0
    capsys.readouterr()
    assert told(permit, capsys)["state"] == "active"


def test_another_word_of_the_same_person_is_no_answer(
    permit, browser, origin, tmp_path, capsys
):
    """Somebody puts a page of their own before the one that was asked."""
    browser.held_by("ethics-hk")
    asked, put = tmp_path / "asked.html", tmp_path / "put.html"
    assert ask_to_approve(permit, "--page", asked).ended() == 0
    words = ("permit", "passkey", "sign", permit, "refuse")
    key = ("--key-name", "ethics-hk-passkey")
    assert Waiting(*words, *key, "--page", put).ended() == 0
    browser.show_as(origin + "/page.html", put.read_bytes())
    saved = browser.saved(tmp_path)
    assert browser.sign()[0] == "offered"
    answer = saved("answer.json")

    def taken(question):
        words = (answer, permit, "--asked", f"{question}.asked")
        return main(["permit", "passkey", "take", *map(str, words)])

    assert taken(asked) == 3
    assert "HT-310: the answer is to another question" in capsys.readouterr().err
    assert told(permit, capsys)["state"] == "draft"
    assert taken(put) == 0  # which it is the answer to, once
    assert taken(put) == 4


def test_a_passkey_lends_an_office_and_its_deputy_speaks(
    scene, permit, browser, shown, tmp_path, capsys
):
    browser.held_by("ethics-hk")
    words = ("permit", "passkey", "delegate", permit, "--key-name", "ethics-hk-passkey")
    waiting = Waiting(*words, "--to", "deputy-hk", "--out", tmp_path / "lent.json")
    show(browser, shown)
    read = browser.run("document.querySelector('article:not([hidden])').innerText")
    said, text = browser.sign()

    assert (said, waiting.ended()) == ("done", 0), text
    assert f"{WORDS['en']['lends']} deputy-hk" in read
    lent = statement_from(json.loads((tmp_path / "lent.json").read_text("utf-8")))
    assert code(signed_bytes(lent.body)) in read
    now = datetime.datetime.now(datetime.UTC)
    deputy, bundle = scene.identities["deputy-hk"], read_bundle(permit)
    signed = sign_notice(bundle, deputy, "approve", now, Words(delegation=lent))
    assert standing(signed, now).state == "active"


def test_a_passkey_amends_a_permit_in_favour_of_what_its_holder_read(
    scene, permit, browser, shown, tmp_path, capsys
):
    browser.held_by("ethics-hk")
    key, out = ("--key-name", "ethics-hk-passkey"), tmp_path / "new.json"
    words = ("permit", "passkey", "amend", permit, *key, "--set", "lease_hours=12")
    waiting = Waiting(*words, "--out", out)
    way = show(browser, shown)
    browser.run("ask.replacing = ask.replacing.replace('hospital', 'hostel'), true")
    assert browser.sign()[0] == "changed"
    browser.open(way)
    read = browser.run("document.querySelector('article:not([hidden])').innerText")
    said, text = browser.sign()

    assert (said, waiting.ended()) == ("done", 0), text
    new = read_bundle(out)
    assert (new.permit.version, new.permit.lease_hours, new.notices) == (2, 12, ())
    assert new.permit.amends == scene.permit.digest
    assert "lease_hours: 24 → 12" in read
    assert code(new.permit.canonical) in read
    found = told(permit, capsys)
    assert (found["state"], found["replaced_by"]) == ("closed", new.permit.digest)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("delegate", "--to", "deputy-hk"), "deputy-hk"),
        (("amend", "--set", "lease_hours=12"), "lease_hours: 24 → 12"),
    ],
    ids=["delegate", "amend"],
)
def test_the_answer_of_a_written_page_makes_its_file_once(
    permit, browser, origin, tmp_path, words, says
):
    browser.held_by("ethics-hk")
    (act, *more), key = words, ("--key-name", "ethics-hk-passkey")
    place, out = tmp_path / "page.html", tmp_path / "new.json"
    head = ("permit", "passkey", act, permit, *key, *more, "--out", out)
    assert Waiting(*head, "--page", place).ended() == 0
    browser.show_as(origin + "/page.html", place.read_bytes())
    saved = browser.saved(tmp_path)
    said, text = browser.sign()
    assert said == "offered", text
    assert says in text
    taken = ("permit", "passkey", "take", saved("answer.json"), permit)
    asked = ("--asked", tmp_path / "page.html.asked")

    assert not out.exists()
    assert main([str(word) for word in (*taken, *asked)]) == 2  # names no new file
    assert main([str(word) for word in (*taken, *asked, "--out", out)]) == 0
    before = out.read_bytes()
    assert main([str(word) for word in (*taken, *asked, "--out", out)]) == 4
    assert out.read_bytes() == before
    if act == "amend":
        assert (
            read_bundle(permit).notices[-1].body["replaced_by"]
            == read_bundle(out).permit.digest
        )


def test_who_does_not_know_a_pages_address_is_shown_nothing(
    permit, browser, shown, origin
):
    browser.held_by("ethics-hk")
    waiting = ask_to_approve(permit)
    way = show(browser, shown)
    for path in ("/", "/answer", "/sign.html"):
        other = http.client.HTTPConnection("127.0.0.1", int(origin[-5:]), timeout=10)
        other.request("GET", path, headers={"Host": origin.removeprefix("http://")})
        answer = other.getresponse()
        assert (answer.status, answer.read()) == (404, b"")
        other.close()

    assert browser.sign()[0] == "done"
    assert waiting.ended() == 0
    assert way.startswith("file:")  # the words of a browser's start tell no address
    assert not Path(urlsplit(way).path).exists()


def test_an_output_checker_votes_with_a_passkey(
    scene, permit, browser, shown, tmp_path
):
    review = tmp_path / "review"
    nothing = {key: [] for key in ("lost", "findings", "checks", "sites")}
    body = {**nothing, "permit": read_bundle(permit).as_json(), "run": "f" * 32}
    study = replace(toy_study(), title="河套")
    body |= {"study": parse_canonical(study.canonical)}
    body |= {"smallest_shown": 10, "rounded_to": 5}
    package = lay_package(review, body)
    browser.held_by("checker-hk")
    words = ("--key-name", "checker-hk-passkey", "--comment", "well done")

    waiting = Waiting("permit", "passkey", "vote", review, "accept", *words)
    show(browser, shown)
    said, text = browser.sign()

    assert (said, waiting.ended()) == ("done", 0), text
    assert read_package(review).code in text
    votes = gather_votes(review, scene.machines["coordinator"], pytest.fail)
    counted = tally(scene.permit, package.digest, [one.statement for one in votes])
    assert [one.comment for one in votes] == ["well done"]
    assert counted.said == {"checker-hk": "accept"}
    assert [need.side for need in counted.missing] == ["SZ"]
