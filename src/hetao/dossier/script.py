"""The shell of a page that checks itself: its script, one style, words as data.

It holds a certificate, the words about it in three languages, and a script that shows
them only when the digest of both is the page's own and every step of the certificate
that the script takes holds. Until then, and whenever anything was changed, it says in
red that nothing is verified. Whether it counts is for the reader's own policy to say:
what reads one is a script of its own, and so is Ed25519 for a browser that has none;
they are text until they are needed, so that no opening waits for them. The page's
Content-Security-Policy names these two scripts and the one style; nothing else may run.
"""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from jinja2 import Environment
from markupsafe import Markup

from hetao.dossier.words import CHOOSE, NAMES, ON_PAPER, SEEN_BY, STATES
from hetao.errors import InvalidData
from hetao.permit.signing_words import office_named
from hetao.report.custody import time_text
from hetao.report.drawing import Drawing
from hetao.report.sentences import catalogue, in_language, say
from hetao.study import LANGUAGES
from hetao.templates import templates_of

Kind = Literal["study", "revoked"]

REFUSED: Final = "refused_"  # how keys of the sentences begin that the script says
_HERE: Final = Path(__file__).parent
_ENDS: Final = ("</script", "<!--", "<script")  # what a script's text may not hold


def render_shell(kind: Kind, title: str, words: str, certificate: bytes) -> str:
    """Return a page that shows words once it has checked a certificate.

    Args:
        kind: of the certificate: of a study that ended well, or was revoked.
        title: the study's.
        words: HTML, escaped when it was rendered.
        certificate: its bytes, which anybody may see.

    Raises:
        InvalidData: a text in the words cannot stand in a page.
    """
    if any(end in words.lower() for end in _ENDS):
        raise InvalidData("a text of the study cannot stand in a page")
    script, later, style = script_of(kind), later_script(), _style()
    packed = base64.b64encode(certificate).decode("ascii")
    return environment().get_template("page.html.j2").render(
        kind=kind,
        title=title,
        script=Markup(script),  # noqa: S704 - our own files
        style=Markup(style),  # noqa: S704 - our own files
        later=Markup(later),  # noqa: S704 - our own files
        script_digests=[_source(script), _source(later)],
        style_digest=_source(style),
        digests=" ".join(map(_digest, (words.encode(), certificate))),
        states=STATES[kind],
        seen_by=SEEN_BY,
        choose=CHOOSE,
        on_paper=ON_PAPER,
        names=NAMES,
        languages=LANGUAGES,
        words=Markup(words),  # noqa: S704 - escaped when it was rendered
        certificate=packed,
        refusals=Markup(_refusals()),  # noqa: S704 - our own sentences
    )  # fmt: skip


@functools.cache
def script_of(kind: Kind) -> str:
    """Return the one script of a page; its first line has it read only once."""
    parts = [_text(f"verify{name}.js") for name in ("", f"_{kind}", "_page")]
    lines = ["//# allFunctionsCalledOnLoad", '"use strict";', "(() => {", *parts]
    return "\n".join(lines) + "})();"


@functools.cache
def later_script() -> str:
    """Return the script for later: one function of what the first one has."""
    tools = re.search(r"hetaoTools = (\{.*?\});", _text("verify_page.js"))
    if tools is None:
        raise AssertionError("the page's script hands nothing on")
    parts = [_text(f"verify_{name}.js") for name in ("mldsa", "ed25519", "policy")]
    head = f'"use strict";\nglobalThis.hetaoLater = ({tools[1]}) => {{\n'
    return (
        head
        + "".join(parts)
        + "return { holdsByHand, readPolicy, checkLog, isMet, judged };\n};"
    )


@functools.cache
def _refusals() -> str:
    """Return why the script may refuse, as JSON: key → language → the sentence.

    What fills a sentence in is numbered as its English names it.
    """
    found = {}
    for key, texts in catalogue().items():
        if key.startswith(REFUSED):
            slots = re.findall(r"\{(\w+)\}", texts["en"])
            said = say(key, **{name: f"{{{i}}}" for i, name in enumerate(slots)})
            told = zip(LANGUAGES, said.texts, strict=True)
            found[key.removeprefix(REFUSED)] = dict(told)
    return json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")


def drawn(figure: Drawing, language: str) -> Markup:
    """Return a figure in a language; its names are unique among those of the page."""
    text = figure.in_language(language)
    named = re.sub(r'( id=")([^"]*)"', rf'\1\2-in-{language}"', text)
    pattern = r'( aria-labelledby=")(\S+) (\S+)"'
    named = re.sub(pattern, rf'\1\2-in-{language} \3-in-{language}"', named)
    return Markup(named)  # noqa: S704 - escaped by the XML writer


def render_words(template: str, told: Mapping[str, Any]) -> str:
    """Return what a page says, in every language, as HTML."""
    return environment().get_template(template).render(languages=LANGUAGES, **told)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _source(text: str) -> str:
    packed = base64.b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256-{packed.decode('ascii')}"


def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


@functools.cache
def _style() -> str:
    report = (_HERE.parent / "report" / "report.css").read_text("utf-8")
    return report + _text("page.css")


@functools.cache
def environment() -> Environment:
    """Return the templates, compiled once a process."""
    made = templates_of("hetao.dossier")
    drawing: Callable[[Drawing, str], Markup] = drawn
    made.filters |= {"time": time_text, "drawn": drawing, "of": in_language}
    made.filters["office"] = office_named
    return made
