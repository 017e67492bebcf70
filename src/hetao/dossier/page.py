"""`certificate.html`: a certificate that checks itself, from disk, for anybody's eyes.

One file, no address, no library. It holds the published certificate (no integers), the
words about it in three languages, and a script that shows them only when the digest of
both is the page's own and every step of the certificate that the script takes holds.
Until then, and whenever anything was changed, it says in red that nothing is verified.
The page's policy names the one script and the one style that may run.

A page can lie about itself, and says so: whoever decides by it checks the certificate.
"""

import base64
import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hetao.canonical import parse_canonical
from hetao.dossier.code import code_svg, facts_of
from hetao.dossier.words import LANGUAGES, NAMES, STATES, WORDS
from hetao.errors import InvalidData
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.sealed_counts import FIELD
from hetao.permit import bundle_from
from hetao.permit.signing_words import office_named
from hetao.report.answers import Answer, answers_of
from hetao.report.custody import approvals_of, sites_of, time_text
from hetao.report.drawing import Drawing
from hetao.report.sentences import in_language, same
from hetao.study import explain, study_from

_HERE: Final = Path(__file__).parent
_ENDS: Final = ("</script", "<!--", "<script")  # what a script's text may not hold


@dataclass(frozen=True)
class Term:
    """One line of a model: what, against what, how much, how sure."""

    label: str
    against: str
    interval: str
    p: str


@dataclass(frozen=True)
class Found:
    """One answer, as far as a reader who is no statistician needs it.

    What the page words is said in three languages; the study's own words are as it has
    them.
    """

    name: str
    title: str
    sentence: str
    outcome: str
    n: str
    events: str
    measure: str
    terms: tuple[Term, ...]
    steps: tuple[tuple[str, str, str], ...]
    figures: tuple[Drawing, ...]


def write_page(path: Path, certificate: bytes) -> None:
    """Write the page of a certificate, whole or not at all.

    Raises:
        Unverified, InvalidData: as `render_page`.
    """
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(render_page(certificate), encoding="utf-8")
    os.replace(temporary, path)


def render_page(certificate: bytes) -> str:
    """Return the page of a certificate.

    Args:
        certificate: its bytes, with integers or without; none of them gets into the
            page.

    Raises:
        Unverified: the certificate does not verify.
        InvalidData: a text in it cannot stand in a page.
    """
    verify_certificate(certificate)
    public = published(certificate)
    value = parse_canonical(public)
    words = _words(value)
    if any(end in words.lower() for end in _ENDS):
        raise InvalidData("a text of the study cannot stand in a page")
    script, style = _text("verify.js"), _style()
    packed = base64.b64encode(public).decode("ascii")
    whole = hashlib.sha256((words + packed).encode()).hexdigest()
    study = value["body"]["study"]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=study.get("title") or study["name"],
            script=Markup(script),  # noqa: S704 - our own file
            style=Markup(style),  # noqa: S704 - our own file
            script_digest=_source(script),
            style_digest=_source(style),
            digest=whole,
            states=STATES,
            names=NAMES,
            words=Markup(words),  # noqa: S704 - escaped when it was rendered
            certificate=packed,
        )
    )


def _words(value: Mapping[str, Any]) -> str:
    """Return what the page says of a certificate, in every language, as HTML."""
    template = _environment().get_template("words.html.j2")
    told = told_of(value)
    code = Markup(code_svg(told["facts"]))  # noqa: S704 - drawn of digests alone
    return template.render(languages=LANGUAGES, said=WORDS, code=code, **told)


def told_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a published certificate, on a screen or on paper."""
    body, facts = value["body"], facts_of(value)
    study, bundle = study_from(body["study"]), bundle_from(body["permit"])
    boss, hubs = bundle.permit.coordinator.name, bundle.permit.hubs
    released = (*body["rounds"], *body.get(FIELD, ()))
    releases = sum(len(one["receipts"]) for one in released)
    proofs = {
        language: [
            one.format(
                boss=boss,
                hubs=WORDS[language]["comma"].join(hubs),
                releases=releases,
                index=facts.index,
                size=facts.size,
                logs=len(body["sites"]),
                bound=sum(one["extract"] is not None for one in body["sites"]),
            )
            for one in WORDS[language]["proofs"]
        ]
        for language in LANGUAGES
    }
    others = [one for one in facts.signers if one not in (boss, *hubs)]
    limits = {
        language: (
            said["seen" if others else "unseen"].format(
                names=said["comma"].join(others), hubs=said["comma"].join(hubs)
            ),
            *said["limits"],
        )
        for language, said in WORDS.items()
    }
    return {
        "study": study,
        "body": body,
        "permit": body["permit"]["permit"],
        "boss": boss,
        "explained": {one: explain(study, one) for one in LANGUAGES},
        "approvals": approvals_of(body),
        "reviewers": sorted({str(v["body"]["by"]) for v in body["review"]["votes"]}),
        "sites": sites_of(body),
        "answers": tuple(_found(one) for one in answers_of(study, body)),
        "proofs": proofs,
        "limits": limits,
        "facts": facts,
        "prints": {p.name: p.fingerprint for p in bundle.permit.parties},
    }


def _found(answer: Answer) -> Found:
    view: Any = answer.view
    terms = getattr(view, "terms", ()) if hasattr(view, "measure") else ()
    single = getattr(view, "figure", None)
    return Found(
        name=answer.name,
        title=answer.title,
        sentence=answer.sentence,
        outcome=same(getattr(view, "outcome", "")),
        n=same(getattr(view, "n", "")),
        events=same(getattr(view, "events", "")),
        measure=str(getattr(view, "measure", "")),
        terms=tuple(
            Term(
                one.label.text,
                one.label.against,
                same(getattr(one, "interval", "") or getattr(one, "ratio", "")),
                same(getattr(one, "p", "")),
            )
            for one in terms
        ),
        steps=tuple((s.label, s.n, s.removed) for s in getattr(view, "steps", ())),
        figures=(single,) if single else tuple(getattr(view, "figures", ())),
    )


def drawn(figure: Drawing, language: str) -> Markup:
    """Return a figure in a language; its names are unique among those of the page."""
    text = figure.in_language(language)
    named = re.sub(r'( id=")([^"]*)"', rf'\1\2-in-{language}"', text)
    pattern = r'( aria-labelledby=")(\S+) (\S+)"'
    named = re.sub(pattern, rf'\1\2-in-{language} \3-in-{language}"', named)
    return Markup(named)  # noqa: S704 - escaped by the XML writer


def _source(text: str) -> str:
    packed = base64.b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256-{packed.decode('ascii')}"


@functools.cache
def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


@functools.cache
def _style() -> str:
    report = (_HERE.parent / "report" / "report.css").read_text("utf-8")
    return report + _text("page.css")


@functools.cache
def _environment() -> Environment:
    """Return the templates, compiled once a process."""
    environment = Environment(
        loader=PackageLoader("hetao.dossier", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawing: Callable[[Drawing, str], Markup] = drawn
    environment.filters |= {"time": time_text, "drawn": drawing, "of": in_language}
    environment.filters["office"] = office_named
    return environment
