"""The certificate's page checks itself in a real browser, from disk, offline."""

import base64
import contextlib
import functools
import hashlib
import json
import re
import shutil
import subprocess

import pytest
from markupsafe import escape

from hetao.canonical import canonical, parse_canonical
from hetao.dossier import render_page, write_page
from hetao.dossier.code import check_code, facts_of
from hetao.dossier.revoked import render_revoked
from hetao.dossier.script import REFUSED, later_script, script_of
from hetao.dossier.words import LANGUAGES, WORDS
from hetao.errors import InvalidNetwork, Unverified
from hetao.ledger import verify_hetao, verify_log
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.note import is_decimal
from hetao.permit.dates import parse_time
from hetao.report.sentences import catalogue
from support_chromium import HEADLESS
from support_federation import (
    restated,
    with_a_longer_checkpoint,
    with_a_release_left_out,
)
from support_lies import LIES, told
from support_revoked import revoked_body, signed
from support_weak import NAMED

FLAGS = (*HEADLESS, "--virtual-time-budget=20000")


@pytest.fixture(scope="module")
def page(model_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "certificate.html"
    write_page(path, model_run.certificate)
    return path


def browse(page, *flags, language="en"):
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed: `make test` installs it"
    profile = page.parent / "profile"
    done = subprocess.run(
        [
            *(chromium, *FLAGS, f"--user-data-dir={profile}", "--dump-dom"),
            *(*flags, f"{page.as_uri()}#{language}"),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout.decode("utf-8")


def state_of(dom):
    return re.search(r'<body data-state="(\w+)"', dom)[1]


def bent(page, name, old, new):
    """Return a copy of the page in which one character is another."""
    text = page.read_text("utf-8")
    assert text.count(old) >= 1
    path = page.with_name(name)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_an_untouched_page_holds_in_a_browser_and_fetches_nothing(page):
    dom = browse(page, language="zh-Hant")

    assert state_of(dom) == "holds"  # and green by no policy of its own
    assert 'data-language="zh-Hant"' in dom
    assert "1.107" in dom
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.read_text("utf-8"))


@pytest.mark.parametrize("where", ["a number that people read", "the certificate"])
def test_one_changed_character_is_invalid(page, where):
    if where == "the certificate":
        packed = re.search(r'id="certificate">([^<]+)<', page.read_text("utf-8"))[1]
        middle = packed[len(packed) // 2 :][:40]
        old, new = middle, ("A" if middle[0] != "A" else "B") + middle[1:]
    else:
        old, new = "1.107 (1.091", "1.207 (1.091"

    dom = browse(bent(page, "bent.html", old, new))

    assert state_of(dom) == "invalid"
    assert "INVALID" in dom
    why = dict(re.findall(r'class="why" lang="([^"]+)">([^<]+)<', dom))
    assert why == {one: catalogue()["refused_page"][one] for one in LANGUAGES}
    assert 'id="page"></div>' in dom  # nothing of it is shown


def test_the_page_of_a_revoked_study_checks_itself(small_run, tmp_path):
    page = tmp_path / "revoked.html"
    page.write_text(render_revoked(signed(small_run, revoked_body(small_run))), "utf-8")

    dom = browse(page, language="zh-Hans")
    assert state_of(dom) == "holds"
    assert "已撤销——本研究已被终止" in dom
    assert "VALID" not in re.sub("INVALID", "", re.sub(r"<!--.*?-->", "", dom))

    dom = browse(bent(page, "bent.html", "08:01:00 UTC", "09:01:00 UTC"))
    assert state_of(dom) == "invalid"
    assert 'id="page"></div>' in dom


def test_why_the_script_refuses_is_said_in_three_languages():
    """Each key of the script has its sentences, and each of these is of the script."""
    said = {key.removeprefix(REFUSED) for key in catalogue() if key.startswith(REFUSED)}
    text = script_of("study") + script_of("revoked") + later_script()
    asked = {"revoked", "type"} | set(re.findall(r'Refused\("([a-z_]+)"', text))
    asked |= set(re.findall(r', "([a-z_]+)"(?:, [a-z]+){0,2}\);', text))

    assert len(said) > 50
    assert asked == said
    assert said <= set(re.findall(r'"([a-z_]+)"', text))


MORE = """
<script>const native = hetaoVerify;</script>
<script>BY_HAND</script>
<script>(async () => {
  const packed = document.getElementById("certificate").textContent.trim();
  const data = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
  let accepted = 0;
  for (let i = 0; i < 60; i++) {
    const place = (i * 7919) % data.length;
    data[place] ^= 1;
    try { await native(data); accepted++; } catch { /* refused */ }
    data[place] ^= 1;
  }
  const found = await hetaoVerify(data);
  document.body.dataset.more = `${accepted} accepted, own ${found.own}`;
})()</script></body>
"""


def test_the_script_refuses_changed_bytes_and_needs_little_of_the_browser(page):
    """A slice of the bytes; `benchmarks/mutated.py --node` takes every one.

    An older browser has no Ed25519, and no way of its own to read base64 and hex; one
    in which names of sites are whole numbers puts them first.
    """
    text = page.read_text("utf-8")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0]
    by_hand = script
    for new, old in (
        ("own = true", "own = false"),
        ("const quick = ", "const quick = false && "),
        ("=> ordered(value, 100) ?", "=> false ?"),
        ("begin();\n})();", "})();"),
    ):
        assert by_hand.count(new) == 1
        by_hand = by_hand.replace(new, old)
    open_page = re.sub("<meta http-equiv[^>]*>", "", text)
    more = MORE.replace("BY_HAND", by_hand)
    path = page.with_name("more.html")
    path.write_text(open_page.replace("</body>", more), encoding="utf-8")

    assert 'data-more="0 accepted, own false"' in browse(path)


EMPTIED = """
<script>(async () => {
  const said = [];
  for (const packed of LIES) {
    const data = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
    try { await hetaoVerify(data); said.push("accepted"); }
    catch ({ message }) {
      said.push(["revoked", "weak_key"].includes(message) ? message : "no");
    }
  }
  document.body.dataset.more = said.join(" ");
})()</script></body>
"""


def test_the_script_refuses_what_a_coordinator_wrote_alone(page, model_run):
    """Signed and logged anew: no round and no site, a round less, nobody's log."""
    true, empty, shorter, lost, other = (model_run.body for _ in range(5))
    empty["rounds"], empty["sites"] = [], []
    shorter["rounds"].pop()
    lost["lost"] = {entry["name"]: "silent" for entry in lost["sites"]}
    lost["sites"] = []
    receipts = other["rounds"][0]["receipts"]
    receipts["a"] = restated(model_run, receipts["a"], "a", kind="ready")
    made = [true, empty, shorter, lost, other]
    lies = [published(model_run.resigned(body)) for body in made]
    # A site's release of an attempt before, which was given up, and of one after.
    lies += [published(with_a_release_left_out(model_run, n)) for n in (0, 2)]
    lies.append(published(with_a_longer_checkpoint(model_run)))
    lies.append(_in_another_order(lies[0]))
    ended = {**true, "type": "hetao.revoked-certificate/1", "sums": {}}
    lies.append(model_run.resigned(ended))  # of which the page's script knows the name
    said = "accepted no no no no accepted no no no revoked"

    assert said_of(page, lies) == said.split()


def test_the_script_refuses_what_the_other_verifiers_refuse(page, model_run):
    """Each told to its output checkers too; `support_lies` says what."""
    lies = [published(told(model_run, lie)) for lie in (None, *LIES)]

    assert said_of(page, lies) == ["accepted", *["no"] * len(LIES)]


def test_the_script_takes_no_text_that_others_cannot_read(page, model_run, monkeypatch):
    """Half a character, which none of ours writes, and what is nested too deeply."""

    def with_more(value):
        def lie(_, body):
            body["findings"][0]["finding"]["more"] = value

        told_so = json.loads(told(model_run, lie))
        return canonical({**told_so, "sums": {}})

    def written(value, _):
        halves = re.compile("[\ud800-\udfff]")
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=",:")
        return halves.sub(lambda one: f"\\u{ord(one[0]):04x}", text)

    nested = [functools.reduce(lambda one, _: [one], range(n), "") for n in (95, 96)]
    made = [with_more(value) for value in ["\\ud800", *nested]]
    monkeypatch.setattr("hetao.canonical._text", written)
    made.append(with_more("\ud800"))
    monkeypatch.undo()

    assert said_of(page, made) == ["accepted", "accepted", "no", "no"]
    for data, holds in zip(made, (True, True, False, False), strict=True):
        with contextlib.nullcontext() if holds else pytest.raises(Unverified):
            verify_certificate(data)


def test_the_script_takes_for_no_integers_an_empty_object_alone(page, model_run):
    """What has no names either is no such object, nor for the other verifiers."""
    true, end = published(model_run.certificate), b'"sums":{}}'
    others = [b"[]", b'""', b"0", b"false", b"null", b'{"a":{}}', b'{"sums":{}}']
    lies = [true.removesuffix(end) + b'"sums":%b}' % one for one in others]

    assert true.endswith(end)
    assert said_of(page, [true, *lies]) == ["accepted", *["no"] * len(lies)]
    for lie in lies:
        with pytest.raises(Unverified):
            verify_certificate(lie)
        with pytest.raises(verify_hetao.Refused):
            verify_hetao.verify(lie)


def test_the_script_takes_no_key_that_does_nothing(page, model_run):
    """Each is refused for its key, before anything else."""
    data = []
    for whose, raw in NAMED:
        body = model_run.body
        whose(body, raw)
        data.append(published(model_run.resigned(body)))

    assert said_of(page, data) == ["weak_key"] * len(data)


BUILT_IN = ("constructor", "toString", "valueOf", "__proto__", "hasOwnProperty")
ABSENT = """
<script>(async () => {
  const said = [];
  for (const name of NAMES) {
    const rounds = [{ task: "model/1/0", receipts: {} }];
    const site = { name, checkpoint: NOTE, extract: null, proofs: [], ready: null };
    const c = { body: { rounds }, released: rounds, ask: null };
    const leaves = new Map([[null, new Uint8Array()]]);
    try { logOf(c, site, leaves); said.push("none"); }
    catch ({ message }) { said.push(message.replaceAll(" ", "-")); }
  }
  document.body.dataset.more = said.join(" ");
})()</script></body>
"""


def test_a_site_that_is_named_as_what_every_object_has_is_where_it_is_alone(
    page, model_run
):
    """In a round that it had no part in it has no release, whatever its name."""
    note = model_run.body["sites"][0]["checkpoint"]
    more = ABSENT.replace("NAMES", json.dumps(BUILT_IN)).replace(
        "NOTE", json.dumps(note)
    )

    assert asked_of(page, "logOf", more) == ["none"] * len(BUILT_IN)


def asked_of(page, function, more):
    """Return what a script of ours says, word by word, of a function of the page's."""
    text = re.sub("<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    end, given = "begin();\n})();", f"globalThis.{function} = {function};\n}})();"
    assert text.count(end) == 1
    text = text.replace(end, given)
    path = page.with_name(f"{function}.html")
    path.write_text(text.replace("</body>", more), encoding="utf-8")
    return re.search(r'data-more="([^"]*)"', browse(path))[1].split()


TOLD = """
<script>
  const told = text => { try { return FUNCTION(text); } catch { return "no"; } };
  document.body.dataset.more = TEXTS.map(told).join(" ");
</script></body>
"""
TIMES = (
    *("2026-11-30T08:00:00Z", "2024-02-29T23:59:59Z", "1000-01-01T00:00:00Z"),
    *("2026-02-30T08:00:00Z", "2025-02-29T00:00:00Z", "2026-11-31T08:00:00Z"),
    *("2026-11-30T24:00:00Z", "2026-11-30T23:60:00Z", "2026-11-30T08:00:61Z"),
    *("2026-13-01T08:00:00Z", "2026-00-10T08:00:00Z", "2026-11-00T08:00:00Z"),
    *("0999-12-31T23:59:59Z", "2999-12-31T23:59:59Z", "3000-01-01T00:00:00Z"),
    *("0000-01-01T00:00:00Z", "2026-11-30t08:00:00Z", "2026-11-30 08:00:00Z"),
    *("2026-11-30T08:00:00z", "2026-11-3 T08:00:00Z", "2026-11-30T8:00:000Z"),
    *("+02026-11-30T08:00Z", "2026-11-30T08:00:00", "\uff12026-11-30T08:00:00Z", ""),
)
SIZES = (
    *("0", "7", "10", "999999999999999", "1000000000000000", "3e+30", "1e+127"),
    *("", " 7", "7 ", "07", "+7", "-7", "-0", "7.0", "0x7", "NaN", "Infinity"),
    *("1e5", "\uff17", "\u0667", "7\n"),
)


def test_times_and_sizes_are_read_in_their_one_form_as_by_the_other_verifiers(page):
    """A browser's own ways to read either take more than that."""

    def time(text):
        try:
            found = int(verify_log.seconds(text))
        except (ValueError, verify_log.Refused):
            with pytest.raises(InvalidNetwork):
                parse_time(text)
            return "no"
        assert parse_time(text).timestamp() == found
        return str(found)

    def size(text):
        return text if is_decimal(text) and len(text) <= 15 else "no"

    for function, texts, holds in (("seconds", TIMES, time), ("counting", SIZES, size)):
        more = TOLD.replace("FUNCTION", function).replace("TEXTS", json.dumps(texts))
        said = asked_of(page, function, more)

        assert said == [*map(holds, texts)]
        assert said[3:].count("no") >= len(texts) - 4  # the first ones alone are true


def test_no_party_is_taken_that_only_an_objects_own_names_would_list(page, model_run):
    bodies = [model_run.body for _ in BUILT_IN]
    for body, name in zip(bodies, BUILT_IN, strict=True):
        body["lost"] = {name: "silent"}

    lies = [published(model_run.resigned(body)) for body in bodies]

    assert said_of(page, lies) == ["no"] * len(BUILT_IN)


def said_of(page, certificates):
    """Return what the script says of each certificate."""
    packed = str([base64.b64encode(data).decode() for data in certificates])
    text = re.sub("<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    path = page.with_name("alone.html")
    more = EMPTIED.replace("LIES", packed)
    path.write_text(text.replace("</body>", more), encoding="utf-8")
    return re.search(r'data-more="([^"]*)"', browse(path))[1].split()


def _in_another_order(certificate):
    """Return it with the names of each object backwards: true, and not canonical."""
    value = json.loads(
        certificate, object_pairs_hook=lambda pairs: dict(reversed(pairs))
    )
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_only_scripts_and_style_that_may_run_are_the_pages_own(page):
    text = page.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    asleep = re.findall(r'id="later">(.*?)</script>', text, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)

    assert script[0].startswith("//# allFunctionsCalledOnLoad\n")  # read once, and fast
    assert [script, asleep] == [[script_of("study")], [later_script()]]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, own in (("script-src", script + asleep), ("style-src", style)):
        made = (hashlib.sha256(one.encode()).digest() for one in own)
        named = (f" 'sha256-{base64.b64encode(one).decode()}'" for one in made)
        assert f"; {kind}{''.join(named)};" in policy


def test_the_page_holds_what_is_published_and_no_integer(page, model_run):
    text = page.read_text("utf-8")
    packed = re.search(r'id="certificate">([^<]+)<', text)[1]

    assert base64.b64decode(packed) == published(model_run.certificate)
    for parts in model_run.sums.values():
        for part in parts.values():
            assert not any(value in text for value in part.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reader_is_told_what_is_not_proved_in_each_language(page, language):
    text = page.read_text("utf-8")

    for line in (*WORDS[language]["limits"], WORDS[language]["unproved"]):
        assert str(escape(line)) in text
    assert {*WORDS[language]} == {*WORDS["en"]}
    for key in ("limits", "proofs"):
        assert len(WORDS[language][key]) == len(WORDS["en"][key])


def test_what_a_study_says_cannot_leave_its_place(model_run):
    """A title is somebody's text: it is escaped, or the page is not made."""
    from hetao.dossier import page as module

    value = parse_canonical(published(model_run.certificate))
    value["body"]["study"]["title"] = "</script><script>alert(1)</script>"

    assert "<script" not in module._words(value)
    assert "&lt;script&gt;" in module._words(value)


def test_no_page_is_made_of_what_does_not_verify(model_run):
    data = model_run.certificate.replace(b'"cell":10', b'"cell":11', 1)

    with pytest.raises(Unverified):
        render_page(data)


def test_the_code_names_this_certificate_and_no_other(model_run, small_run):
    value, other = model_run.value, small_run.value
    text = facts_of(value).code

    assert "this certificate" in check_code(text + "\n", value)
    for wrong in (text[:-1] + "x", "", facts_of(other).code):
        with pytest.raises(Unverified):
            check_code(wrong, value)
