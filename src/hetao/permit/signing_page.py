"""The page on which a person reads what they sign, and signs it with a passkey.

One file that fetches nothing, in three languages. What is shown is written here; what
is signed is hashed in the browser from the text that stands on the page, and a permit
whose text does not have the digest that is signed is not signed at all. Whoever made
the page could lie in it, also about the codes.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources

from hetao.permit.bundle import signed_bytes
from hetao.permit.keys import DOMAIN
from hetao.permit.signing_ask import Ask
from hetao.permit.signing_words import LANGUAGES, WORDS


def page(ask: Ask, language: str = "en", *, is_served: bool = False) -> str:
    """Return the page, whole.

    Args:
        ask: what to sign.
        language: that it opens in.
        is_served: whether it hands its answer in where it came from, or saves it.
    """
    style, script = _part("signing.css"), _part("signing.js")
    data = {
        "do": ask.do,
        "domain": DOMAIN.decode(),
        "text": signed_bytes(ask.body).decode(),
        "shown": ask.shown,
        "replacing": ask.replacing,
        "key": str(ask.body.get("name", ask.body.get("key", ""))),
        "owner": str(ask.body.get("owner", "")),
        "comment": ask.comment,
        "language": language,
        "served": is_served,
    }
    rules = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    # A closing tag within the text would end the block: '<' is written as JSON may.
    blob = json.dumps(data, ensure_ascii=True).replace("<", "\\u003c")
    buttons = "".join(
        f'<button type="button" lang="{lang}">{name}</button>'
        for lang, name in LANGUAGES.items()
    )
    articles = "".join(_article(ask, lang) for lang in LANGUAGES)
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(WORDS[language][ask.do])}</title>\n<style>{style}</style>\n"
        f"</head>\n<body>\n<main>\n<nav>{buttons}</nav>\n{articles}\n</main>\n"
        f'<script type="application/json" id="ask">{blob}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _part(name: str) -> str:
    return resources.files("hetao.permit").joinpath("pages", name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _article(ask: Ask, lang: str) -> str:
    words = WORDS[lang]
    rows = "".join(
        (f"<dt>{_safe(name)}</dt>" if name else "") + f"<dd>{_safe(value)}</dd>"
        for name, value in ask.rows[lang]
    )
    whole = [signed_bytes(ask.body).decode(), ask.shown, ask.replacing]
    text = "\n\n".join(_safe(part) for part in whole if part)
    what = words.get(f"what_{ask.do}", words["what"])
    button = words["registers"] if ask.do == "register" else words["button"]
    said = "".join(
        f'<p class="said {name}" role="status" hidden>{_safe(words[name])} '
        '<span class="words"></span></p>'
        for name in ("done", "refused", "changed", "cancelled")
    )
    return (
        f'<article lang="{lang}" hidden><h1>{_safe(words[ask.do])}</h1>'
        f"{_deed(ask, words)}"
        f"<section><h2>{_safe(words['code'])}</h2>"
        f'<p class="code">{_safe(ask.code)}</p><p>{_safe(words["compare"])}</p>'
        f"<dl>{_about(ask, words)}<dt>{_safe(words['digest'])}</dt>"
        f"<dd><code>{_safe(ask.digest)}</code></dd></dl>"
        f'<button type="button" class="sign">{_safe(button)}</button>{said}'
        f'<p class="said offered" role="status" hidden>{_safe(words["offered"])} '
        f'<a class="answer" download="answer.json">{_safe(words["save"])}</a></p>'
        f"</section><section><h2>{_safe(what)}</h2><dl>{rows}</dl></section>"
        f"<section><details><summary>{_safe(words['whole'])}</summary>"
        f"<pre>{text}</pre></details></section></article>"
    )


def _about(ask: Ask, words: Mapping[str, str]) -> str:
    """Return the code that is the same for everybody who signs about the same."""
    if not ask.about:
        return ""
    return (
        f"<dt>{_safe(words['about_' + ask.do])}</dt>"
        f"<dd><code>{_safe(ask.about)}</code><br>{_safe(words['compare_about'])}</dd>"
    )


def _deed(ask: Ask, words: Mapping[str, str]) -> str:
    """Return what is said, and as whom, for what is no new passkey."""
    if ask.do == "register":
        return ""
    body = ask.body
    verb = words[str(body.get("verb", body.get("vote", "lends")))]
    role = str(body["role"])
    who = words["as"].format(
        person=body["by"], role=words.get(role, role), side=body["side"]
    )
    more = [f"{name} = {value}" for name, value in dict(body.get("change", {})).items()]
    more += [str(body[name]) for name in ("until", "replaced_by") if body.get(name)]
    more += [*body.get("recalls", ()), *([body["to"]] if ask.do == "delegate" else [])]
    reason = str(body.get("reason", ""))
    told = f"<p>{_safe(words['reason'])}: {_safe(reason)}</p>" if reason else ""
    return (
        f"<section><h2>{_safe(words['deed'])}</h2>"
        f'<p class="deed">{_safe(" ".join([verb, *more]))}</p><p>{_safe(who)}</p>{told}'
        "</section>"
    )


def _safe(text: str) -> str:
    """Return text for HTML; a character that turns or hides others is written out."""
    plain = "".join(
        c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text
    )
    return html.escape(plain)
