"""The page on which a person reads what they sign, and signs it with a passkey.

One file that fetches nothing, in three languages. What is shown is written here; what
is signed is hashed in the browser from the text that stands on the page, and a permit
whose text does not have the digest that is signed is not signed at all. Whoever made
the page could lie in it, also about the short code, which finds mix-ups and no more.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from hetao.errors import BadSignature
from hetao.permit import passkey
from hetao.permit.bundle import signed_bytes
from hetao.permit.keys import DOMAIN, Key, Statement
from hetao.permit.permit import Permit
from hetao.permit.rulebook import Requirement
from hetao.permit.signing_words import LANGUAGES, WORDS

KEY: Final = "hetao.key/1"
DO: Final = ("sign", "vote", "register")
Told = Sequence[tuple[str, str]]  # what it is called, what it is
Rows = Mapping[str, Told]  # language → rows


@dataclass(frozen=True)
class Ask:
    """What a person is asked to sign.

    Attributes:
        do: one of `DO`.
        body: of the statement.
        code: short code to compare by.
        digest: of what the statement is about.
        rows: what is said of that, in each language.
        shown: canonical text of the permit that is shown; "" for none.
        comment: travels beside a vote.
    """

    do: str
    body: Mapping[str, Any]
    code: str
    digest: str
    rows: Rows
    shown: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Answer:
    """What the page gives back.

    Attributes:
        do: one of `DO`.
        statement: the body, as the page had it, and the passkey's assertion.
        public: of a new passkey: its public key, DER in base64.
        comment: that stood on the page.
    """

    do: str
    statement: Statement
    public: str = ""
    comment: str = ""


def ask_notice(permit: Permit, body: Mapping[str, Any]) -> Ask:
    """Return what to ask of a person who says something about a permit."""
    rows = {lang: permit_rows(permit, WORDS[lang]) for lang in LANGUAGES}
    text = permit.canonical
    code = passkey.code(text)
    return Ask("sign", body, code, permit.digest, rows, text.decode())


def ask_vote(
    body: Mapping[str, Any], code: str, about: Mapping[str, str], comment: str
) -> Ask:
    """Return what to ask of an output checker.

    Args:
        body: of the vote.
        code: of the package.
        about: what is said of it: "title", "run".
        comment: to the author.
    """
    rows = {}
    for lang in LANGUAGES:
        words = WORDS[lang]
        told = [(words[name], value) for name, value in about.items()]
        told += [(words["comment"], comment)] if comment else []
        rows[lang] = [("", words["look"]), *told]
    return Ask("vote", body, code, str(body["package"]), rows, comment=comment)


def ask_key(
    name: str, owner: str, origin: str, valid: tuple[str, str], number: str
) -> Ask:
    """Return what to ask of a person who registers a passkey.

    Args:
        name: of the key.
        owner: whose it is.
        origin: page that it signs on.
        valid: from when until when, UTC.
        number: drawn at random, so that no earlier answer fits.
    """
    body = {"type": KEY, "name": name, "owner": owner, "kind": "passkey"}
    body |= {"origin": origin, "number": number}
    body |= {"valid_from": valid[0], "valid_until": valid[1]}
    rows = {}
    for lang in LANGUAGES:
        words = WORDS[lang]
        rows[lang] = [
            ("", words["twice"]),
            (words["name"], name),
            (words["owner"], owner),
            (words["origin"], origin),
            (words["window"], words["from"].format(first=valid[0], last=valid[1])),
        ]
    text = signed_bytes(body)
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    return Ask("register", body, passkey.code(text), digest, rows)


def key_from(answer: Answer) -> Key:
    """Return the entry of a new passkey that has shown that it signs.

    Raises:
        BadSignature: it has not.
        InvalidNetwork: its entry cannot be used.
    """
    body = answer.statement.body
    if answer.do != "register" or body.get("type") != KEY:
        raise BadSignature("the answer registers no passkey")
    key = Key(
        name=str(body.get("name")),
        owner=str(body.get("owner")),
        kind="passkey",
        public=answer.public,
        valid_from=str(body.get("valid_from")),
        valid_until=str(body.get("valid_until")),
        origin=str(body.get("origin")),
    )
    key.check_form()
    answer.statement.verify_key(key, key.valid_from)
    return key


def answer_from(table: object) -> Answer:
    """Return what the page gave back; nothing about it is believed yet.

    Raises:
        BadSignature: it has another shape.
    """
    match table:
        case {
            "do": str(do),
            "body": dict(body),
            "assertion": dict(given),
            **rest,
        } if do in DO and set(rest) <= {"public", "comment"}:
            made = passkey.assertion_of(given)
            public, comment = rest.get("public", ""), rest.get("comment", "")
            if isinstance(public, str) and isinstance(comment, str):
                return Answer(do, Statement(body, made.as_signature()), public, comment)
    raise BadSignature("the answer of a signing page is malformed")


# --- what is said of a permit -------------------------------------------------------
def permit_rows(permit: Permit, words: Mapping[str, str]) -> Told:
    """Return a permit in plain words, in the language of `words`."""
    rows = [
        (words["crossing"], words[permit.crossing]),
        (
            words["number"],
            words["version"].format(number=permit.number, version=permit.version),
        ),
        (words["amends"], permit.amends),
        (words["purpose"], permit.purpose),
        (words["study"], permit.study),
        (words["sites"], _parties(permit, permit.sites, words)),
        (words["hubs"], _parties(permit, permit.hubs, words)),
        (words["authors"], _people(permit, permit.authors, words)),
        (words["operators"], _people(permit, permit.operators, words)),
        (words["offices"], _offices(permit.required, words)),
        (words["reviews"], _offices(permit.reviews, words)),
        (
            words["window"],
            words["from"].format(first=permit.not_before, last=permit.not_after),
        ),
        *_amounts(permit, words),
        (words["lease"], words["hours"].format(hours=permit.lease_hours)),
        (words["report"], words["days"].format(days=permit.report_days)),
        (
            words["bases"],
            words["comma"].join(
                words["held"].format(
                    instrument=b.instrument, reference=b.reference, until=b.valid_until
                )
                for b in permit.bases
            ),
        ),
        (words["law"], ", ".join(permit.law.rules) if permit.law else words["none"]),
    ]
    return [(name, value) for name, value in rows if value]


def _amounts(permit: Permit, words: Mapping[str, str]) -> list[tuple[str, str]]:
    limits = words["comma"].join(f"{one.most} {one.unit}" for one in permit.limits)
    rows = [(words["limits"], limits)]
    if permit.crossing == "data":
        most = words["most"].format(
            runs=permit.most_runs, attempts=permit.most_attempts
        )
        names = words["comma"].join(
            f"{one.name} {one.version}" for one in permit.protocols
        )
        rows += [(words["protocols"], names), (words["runs"], most)]
        rows += [(words["grade"], str(permit.highest_grade))]
    return rows


def _parties(permit: Permit, names: Iterable[str], words: Mapping[str, str]) -> str:
    found = [permit.directory[name] for name in names]
    return words["comma"].join(f"{p.name} ({p.organisation}, {p.side})" for p in found)


def _people(permit: Permit, names: Iterable[str], words: Mapping[str, str]) -> str:
    found = [permit.directory.person(name) for name in names]
    return words["comma"].join(f"{p.name} ({p.organisation}, {p.side})" for p in found)


def _offices(needs: Iterable[Requirement], words: Mapping[str, str]) -> str:
    found = {f"{words.get(n.role, n.role)} ({n.side})": None for n in needs}
    return words["comma"].join(found)


# --- the page -------------------------------------------------------------------------
def page(ask: Ask, language: str = "en", token: str = "") -> str:
    """Return the page, whole.

    Args:
        ask: what to sign.
        language: that it opens in.
        token: with which it hands its answer in; "" saves the answer as a file.
    """
    style, script = _part("signing.css"), _part("signing.js")
    data = {
        "do": ask.do,
        "domain": DOMAIN.decode(),
        "text": signed_bytes(ask.body).decode(),
        "shown": ask.shown,
        "key": str(ask.body.get("name", ask.body.get("key", ""))),
        "owner": str(ask.body.get("owner", "")),
        "comment": ask.comment,
        "language": language,
        "token": token,
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
    whole = [signed_bytes(ask.body).decode(), ask.shown]
    text = "\n\n".join(_safe(part) for part in whole if part)
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
        f"<dl><dt>{_safe(words['digest'])}</dt>"
        f"<dd><code>{_safe(ask.digest)}</code></dd></dl>"
        f'<button type="button" class="sign">{_safe(button)}</button>{said}'
        f'<p class="said offered" role="status" hidden>{_safe(words["offered"])} '
        f'<a class="answer" download="answer.json">{_safe(words["save"])}</a></p>'
        f"</section><section><h2>{_safe(words['what'])}</h2><dl>{rows}</dl></section>"
        f"<section><details><summary>{_safe(words['whole'])}</summary>"
        f"<pre>{text}</pre></details></section></article>"
    )


def _deed(ask: Ask, words: Mapping[str, str]) -> str:
    """Return what is said, and as whom, for what is no new passkey."""
    if ask.do == "register":
        return ""
    body = ask.body
    verb = words[str(body.get("verb", body.get("vote")))]
    role = str(body["role"])
    who = words["as"].format(
        person=body["by"], role=words.get(role, role), side=body["side"]
    )
    more = [f"{name} = {value}" for name, value in dict(body.get("change", {})).items()]
    more += [str(body[name]) for name in ("until", "replaced_by") if body.get(name)]
    more += list(body.get("recalls", ()))
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
