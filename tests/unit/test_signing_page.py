"""What the page of a passkey shows and takes, and from whom."""

import base64
import http.client
import json
import re
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hetao.canonical import digest, parse_canonical
from hetao.cli import passkey
from hetao.cli.localhost import LARGEST, Desk, ask_here
from hetao.cli.main import main
from hetao.errors import BadSignature, HetaoError, InvalidNetwork, NotApproved, Usage
from hetao.federation.reviewing import Vote, gather_votes, lay_package, lay_vote
from hetao.permit import (
    Basis,
    Bundle,
    Key,
    Limit,
    Statement,
    Words,
    draft_notice,
    new_identity,
    read_bundle,
    sign_notice,
    sign_vote,
    state,
    write_bundle,
)
from hetao.permit.passkey import check_origin
from hetao.permit.signing_ask import (
    ASKED,
    Answer,
    answer_from,
    ask_key,
    ask_notice,
    ask_vote,
    asked_from,
)
from hetao.permit.signing_page import page
from hetao.permit.signing_words import LANGUAGES, WORDS
from support_federation import toy_study
from support_permit import NOW, VALID, Scene

SCENE = Scene()
GIVEN = {"authenticatorData": "", "clientDataJSON": "", "signature": ""}


def asked(**fields):
    permit = SCENE.varied(**fields).permit
    body = draft_notice(Bundle(permit), SCENE.keys[0], "approve", NOW, Words(read=True))
    return ask_notice(permit, body)


def test_every_word_of_the_page_is_there_in_three_languages():
    keys = {lang: set(words) for lang, words in WORDS.items()}

    assert set(keys) == set(LANGUAGES)
    assert keys["en"] == keys["zh-Hant"] == keys["zh-Hans"]
    for words in zip(*(WORDS[lang].values() for lang in LANGUAGES), strict=True):
        places = {tuple(sorted(re.findall(r"{\w+}", text))) for text in words}
        assert len(places) == 1


def test_nothing_of_a_permit_becomes_part_of_the_page():
    made = page(asked(purpose="</script><script>alert(1)</script>"))

    assert made.count("<script") == 2  # what is asked, and the page's own
    assert made.count("</script>") == 2
    assert "&lt;script&gt;alert(1)" in made
    assert not re.search(r"""(src|href)=["']?\w+:""", made)


def test_a_character_that_turns_text_round_is_written_out():
    persons = tuple(
        one
        if one.name != "author"
        else type(one)(**{**vars(one), "organisation": "A\u202eB"})
        for one in SCENE.persons
    )

    assert "\\u202e" in page(asked(persons=persons))


def test_the_page_says_what_grounds_demand_and_whose_each_limit_is():
    ground = Basis("hgr", "2026-1", "sha256:" + "0" * 64, *VALID, ("no <export>",))
    fields = {"bases": (ground,), "data_use": ("GRU",)}
    made = page(asked(**fields, limits=(Limit("tubes", 7, "hospital-hk"),)))

    for lang in LANGUAGES:
        for word in ("conditions", "uses", "limits"):
            assert f"<dt>{WORDS[lang][word]}</dt>" in made
    assert made.count("<dd>hgr: no &lt;export&gt;</dd>") == len(LANGUAGES)
    assert made.count("<dd>7 tubes (hospital-hk)</dd>") == len(LANGUAGES)


def test_a_page_is_headed_by_what_it_is_about():
    """A new passkey lets nothing cross, nor does a vote."""
    key = page(ask_key("chan-1", "chan", "http://localhost:8790", VALID, "ab" * 16))

    for words in WORDS.values():
        assert f"<h2>{words['what_register']}</h2>" in key
        assert f"<h2>{words['what']}</h2>" not in key
        assert f"<h2>{words['what']}</h2>" in page(asked())


def test_the_page_opens_in_the_language_that_is_asked():
    made = page(asked(), "zh-Hant")

    assert '<html lang="zh-Hant">' in made
    assert f"<title>{WORDS['zh-Hant']['sign']}</title>" in made


@pytest.mark.parametrize(
    "table",
    [
        None,
        [],
        {},
        {"do": "approve", "body": {}, "assertion": GIVEN},
        {"do": "sign", "body": [], "assertion": GIVEN},
        {"do": "sign", "body": {}, "assertion": {**GIVEN, "signature": 1}},
        {"do": "sign", "body": {}, "assertion": {**GIVEN, "signature": "?"}},
        {"do": "sign", "body": {}, "assertion": {}},
        {"do": "register", "body": {}, "assertion": GIVEN, "public": 1},
        {"do": "vote", "body": {}, "assertion": GIVEN, "comment": None},
    ],
)
def test_an_answer_of_another_shape_is_refused(table):
    with pytest.raises(BadSignature, match="malformed"):
        answer_from(table)


# --- what was asked ------------------------------------------------------------------
def test_the_code_of_a_page_covers_the_word_and_not_the_permit_alone():
    permit = SCENE.permit
    asks = [
        ask_notice(permit, draft_notice(Bundle(permit), SCENE.keys[0], verb, NOW))
        for verb in ("approve", "refuse")
    ]

    assert asks[0].code != asks[1].code
    assert asks[0].about == asks[1].about  # which two signers compare
    for ask in asks:
        made = page(ask)
        assert ask.code in made
        assert ask.about in made
        assert re.fullmatch(r"[2-9A-HJ-NP-Z]{4}(-[2-9A-HJ-NP-Z]{4}){3}", ask.code)


@pytest.mark.parametrize(
    "change",
    [
        {"do": "vote"},
        {"comment": "more"},
        {"statement": Statement({}, "")},
        {"statement": Statement({**asked().body, "verb": "refuse"}, "")},
        {"statement": Statement({**asked().body, "at": "2026-11-22T00:00:01Z"}, "")},
        {"statement": Statement({**asked().body, "sequence": True}, "")},
    ],
)
def test_an_answer_is_held_against_what_was_asked(change):
    kept = asked_from(json.loads(json.dumps(asked().as_json())))
    answer = {"do": "sign", "statement": Statement(kept.body, ""), "comment": ""}

    kept.check(Answer(**answer))
    with pytest.raises(BadSignature, match="another question"):
        kept.check(Answer(**{**answer, **change}))


@pytest.mark.parametrize(
    "change", [{"type": "hetao.asked/2"}, {"do": "dance"}, {"body": []}, {"more": ""}]
)
def test_what_was_not_asked_is_not_taken_for_it(change):
    kept = asked().as_json()

    assert kept["type"] == ASKED
    with pytest.raises(InvalidNetwork, match="not what a page was asked"):
        asked_from({**kept, **change})


# --- on this machine -----------------------------------------------------------------
class Served:
    """A desk that takes any answer, and what it took."""

    def __init__(self):
        self.taken = []
        probe = Desk("http://localhost:0", "<p>page", self.take)
        self.port = probe.server_address[1]
        probe.origin = f"http://localhost:{self.port}"
        self.desk = probe
        self.thread = threading.Thread(target=probe.wait, daemon=True)
        self.thread.start()

    def take(self, answer):
        self.taken.append(answer)
        return "taken"

    def ask(self, method, path, body=None, **headers):
        way = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        whole = {"Host": f"localhost:{self.port}", **headers}
        way.request(
            method, path, body, {k.replace("_", "-"): v for k, v in whole.items()}
        )
        answer = way.getresponse()
        found = answer.status, answer.read().decode()
        way.close()
        return found

    def hand_in(self, body="{}", path=None, **headers):
        own = {"Origin": self.desk.origin, **headers}
        return self.ask("POST", path or self.desk.path, body, **own)


@pytest.fixture
def served():
    made = Served()
    yield made
    made.desk.shutdown()
    made.thread.join(10)
    made.desk.server_close()


def test_the_page_itself_hands_its_answer_in(served):
    assert served.ask("GET", served.desk.path) == (200, "<p>page")

    assert served.hand_in() == (200, "taken")

    served.thread.join(10)
    assert not served.thread.is_alive()
    assert served.taken == [{}]


@pytest.mark.parametrize(
    "change",
    [
        {"Host": "evil.example.org"},
        {"Host": "127.0.0.1"},
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"path": "/"},
        {"path": "/answer"},
        {"path": "/" + "x" * 32},
    ],
)
def test_another_page_hands_nothing_in(served, change):
    assert served.hand_in(**change) == (403, "")
    assert served.taken == []


@pytest.mark.parametrize("path", ["/", "/answer", "/index.html", "//", "/é"])
def test_nobody_is_shown_the_page_who_does_not_know_its_path(served, path):
    assert served.ask("GET", quote(path)) == (404, "")


def test_every_page_has_a_path_of_its_own(served):
    with Desk("http://localhost:0", "", str) as other:
        assert other.path != served.desk.path
        assert min(len(other.path), len(served.desk.path)) > 30


def test_a_page_under_another_name_is_shown_nothing(served):
    assert served.ask("GET", served.desk.path, Host="evil.example.org") == (404, "")


@pytest.mark.parametrize("body", [b"\xff", b"[" * 20_000, b"x" * (LARGEST + 1)])
def test_what_is_no_answer_is_refused_and_another_may_come(served, body):
    status, said = served.hand_in(body)

    assert (status, said[:6]) == (403, "HT-310")
    assert served.hand_in()[0] == 200


@pytest.mark.parametrize("length", ["9" * 5000, "", "-1", "1_0", "\u0662"])
def test_a_length_that_is_none_is_refused_and_another_may_come(served, length):
    status, said = served.hand_in(Content_Length=length.encode())

    assert (status, said[:6]) == (403, "HT-310")
    assert served.hand_in()[0] == 200


def test_a_refusal_that_quotes_no_text_is_shown(served):
    def refuse(_):
        raise BadSignature("by \ud800")

    served.desk.take = refuse
    assert served.hand_in() == (403, f"HT-310: by \\ud800 ({BadSignature.remedy})")
    served.desk.take = served.take
    assert served.hand_in()[0] == 200


@pytest.mark.parametrize(
    "problem", [OSError(28, "No space left"), OSError(2, "x", "y")]
)
def test_an_answer_that_cannot_be_kept_is_refused_and_may_be_handed_in_again(
    monkeypatch, tmp_path, problem
):
    """The disk is full; or the folder is gone."""
    body = {"type": "hetao.vote/1", "package": "sha256:0"}
    ask = ask_vote(body, "code", {}, "")
    table = {"do": "vote", "body": body, "assertion": GIVEN, "comment": ""}
    acts, said = iter([problem, None]), []

    def lay(folder, _):
        if (act := next(acts)) is not None:
            raise act
        return folder / "laid"

    def hand_in(origin, shown, take, tell, *, opens):
        with pytest.raises(Usage, match=r"what was signed cannot be kept"):
            take(table)
        said.append(take(table))

    monkeypatch.setattr("hetao.cli.passkey.lay_vote", lay)
    monkeypatch.setattr("hetao.cli.passkey.ask_here", hand_in)
    monkeypatch.setattr("hetao.cli.passkey.page", lambda *_, **__: "")
    chosen = SimpleNamespace(page=None, language="en", no_browser=True)
    origin = "http://localhost:1"

    assert passkey._put(chosen, origin, ask, (tmp_path, None)) == 0
    assert said == [str(tmp_path / "laid")]


@pytest.mark.parametrize("text", ["{", "[]", "[" * 20_000, "1", '{"number": 1}'])
def test_a_damaged_new_version_is_refused(text, tmp_path):
    """What was asked lay in a file beside the page."""
    bundle, path = Bundle(SCENE.permit), tmp_path / "permit.json"
    write_bundle(path, bundle)
    said = sign_notice(bundle, SCENE.identities["ethics-hk"], "approve", NOW)
    notice = said.notices[-1]
    question = asked_from({**asked().as_json(), "replacing": text})

    with pytest.raises(HetaoError):
        passkey._keep(question, Answer("sign", notice), (path, tmp_path / "new.json"))

    assert not (tmp_path / "new.json").exists()
    assert read_bundle(path) == bundle


def test_an_ended_page_leaves_no_connection_open():
    """A browser connects ahead of need, and asks later: of a page that has ended."""
    served = Served()
    with socket.create_connection(("127.0.0.1", served.port), 10) as ahead:
        ahead.settimeout(10)
        assert served.hand_in() == (200, "taken")
        served.thread.join(10)
        served.desk.server_close()

        assert ahead.recv(1) == b""


def test_a_browser_is_started_with_a_file_that_other_accounts_cannot_read(monkeypatch):
    opened = []

    def look(way):
        path = Path(urlsplit(way).path)
        opened.append((way, path.read_text("utf-8"), path.parent.stat().st_mode))
        raise KeyboardInterrupt  # the person goes away

    told = []
    monkeypatch.setattr("hetao.cli.localhost.webbrowser.open", look)
    with pytest.raises(KeyboardInterrupt):
        ask_here("http://localhost:0", "<p>page", str, told.append)

    ((way, text, mode),) = opened
    address = re.search(r"http://localhost:0/[\w-]+", told[0])[0]
    assert address.rpartition("/")[2] not in way
    assert f"url={address}" in text
    assert mode & 0o777 == 0o700
    assert not Path(urlsplit(way).path).exists()


def test_nobody_else_may_have_the_port_by_ipv6(served):
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("::1", served.port))


@pytest.mark.parametrize("where", ["127.0.0.1", "", "::1", "::"])
def test_another_account_gets_the_port_by_no_address(served, where):
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with socket.socket(family) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind((where, served.port))


def test_a_port_that_somebody_has_by_ipv6_is_refused():
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        with pytest.raises(Usage, match="cannot be opened"):
            Desk(f"http://localhost:{other.getsockname()[1]}", "", str)


@pytest.mark.parametrize("port", ["99999", "x", "-1"])
def test_a_port_that_cannot_be_is_refused(port):
    with pytest.raises(Usage, match="no port that can be"):
        Desk(f"http://localhost:{port}", "", str)


@pytest.mark.parametrize(
    ("origin", "written"),
    [
        ("http://localhost:80", "http://localhost"),
        ("https://sign.example.org:443", "https://sign.example.org"),
        ("https://Sign.Example.org", "https://sign.example.org"),
        ("https://sign.example.org:", "https://sign.example.org"),
        ("https://you@sign.example.org", "https://sign.example.org"),
        ("https://sign.example.org/", "https://sign.example.org"),
        ("https://sign.example.org:99999", "no address"),
        ("https://簽署.example.org", "xn--"),
    ],
)
def test_a_page_that_no_browser_names_is_none_of_a_passkey(origin, written):
    with pytest.raises(InvalidNetwork) as refused:
        check_origin(origin)

    assert written in str(refused.value)


def test_a_long_page_is_named_by_its_first_letters():
    origin = "https://A" + "b" * 300

    with pytest.raises(InvalidNetwork) as refused:
        check_origin(origin)
    assert f"(write {origin.lower()[:200]})" in str(refused.value)


def test_a_passkey_is_not_registered_for_a_page_that_no_browser_names(tmp_path, capsys):
    origin = "http://localhost:80"
    words = ["--name", "k", "--owner", "o", "--origin", origin]
    words += ["--out", str(tmp_path / "k.toml"), "--page", str(tmp_path / "p.html")]

    assert main(["permit", "passkey", "new", *words]) != 0

    assert "(write http://localhost)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:443", "https://a.b", "https://a.b:8443"],
)
def test_a_page_as_a_browser_names_it_is_registered(origin):
    check_origin(origin)


@pytest.mark.parametrize("origin", ["https://sign.example.org", "http://example.org"])
def test_a_page_elsewhere_is_not_shown_here(origin):
    with pytest.raises(Usage, match="not a page of this machine"):
        Desk(origin, "", str)


# --- votes that no key file signed ----------------------------------------------------
@pytest.fixture
def review(tmp_path):
    """A package, and a permit whose checker in HK holds a passkey."""
    secret = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = secret.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = base64.b64encode(raw).decode()
    held = Key("p", "checker-hk", "passkey", public, *VALID, origin="https://a.b")
    keys = tuple(held if key.owner == "checker-hk" else key for key in SCENE.keys)
    scene = SCENE.varied(keys=keys)
    body = {key: [] for key in ("lost", "findings", "checks", "sites")}
    body |= {"permit": Bundle(scene.permit).as_json(), "run": "f" * 32}
    body |= {"study": parse_canonical(toy_study().canonical)}
    body |= {"smallest_shown": 10, "rounded_to": 5}
    return scene, tmp_path, lay_package(tmp_path, body)


def test_a_vote_that_the_passkey_did_not_sign_is_not_laid_down(review):
    scene, folder, package = review
    checker = scene.identities["checker-sz"]
    real = sign_vote(scene.permit, checker, package.digest, ("accept", ""), NOW)
    forged = state(new_identity("x"), {**real.body, "by": "checker-hk", "side": "HK"})

    with pytest.raises(NotApproved, match="forged"):
        lay_vote(folder, Vote(forged, ""))


def test_whoever_forges_a_passkeys_vote_stops_nothing(review, monkeypatch):
    scene, folder, package = review
    checker = scene.identities["checker-sz"]
    real = sign_vote(scene.permit, checker, package.digest, ("accept", ""), NOW)
    forged = state(new_identity("x"), {**real.body, "by": "checker-hk", "side": "HK"})
    accepting = SimpleNamespace(said={"checker-hk": "accept"})
    monkeypatch.setattr("hetao.federation.reviewing.tally", lambda *_: accepting)
    monkeypatch.setattr("hetao.federation.reviewing.digest", lambda _: "")
    lay_vote(folder, Vote(forged, ""))
    said = []

    assert gather_votes(folder, scene.machines["coordinator"], said.append) == []

    assert len(said) == 1
    assert "checker-hk" in said[0]


def test_half_a_vote_does_not_stand_in_the_way_of_the_whole_one(review, monkeypatch):
    """The disk is full while it is written."""
    scene, folder, package = review
    checker = scene.identities["checker-sz"]
    words = "accept", digest("")
    real = sign_vote(scene.permit, checker, package.digest, words, NOW)

    class Torn:
        @property
        def data(self):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("hetao.federation.reviewing.seal", lambda *_: Torn())
        with pytest.raises(OSError, match="No space left"):
            lay_vote(folder, Vote(real, ""))

    assert lay_vote(folder, Vote(real, "")).exists()


def test_a_registration_is_bound_to_its_page():
    ask = ask_key("k", "chan", "http://localhost:8790", VALID, "1")

    assert ask.code != ask_key("k", "chan", "http://localhost:8790", VALID, "2").code


def test_a_page_says_what_is_done_and_a_new_passkeys_page_what_it_registers():
    words = Words(reason="one\ntwo\u202e")
    body = draft_notice(Bundle(SCENE.permit), SCENE.keys[0], "warn", NOW, words)
    says = page(ask_notice(SCENE.permit, body))
    registers = page(ask_key("k", "ethics-hk", "https://a.example", VALID, "1"))

    for lang in LANGUAGES:
        mine = WORDS[lang]
        signs, takes = f">{mine['button']}</button>", f">{mine['registers']}</button>"
        assert signs in says
        assert takes not in says
        assert takes in registers
        assert signs not in registers
    assert says.count('class="deed"') == len(LANGUAGES)
    assert 'class="deed"' not in registers
    assert says.count(": one\ntwo\\u202e</p>") == len(LANGUAGES)
