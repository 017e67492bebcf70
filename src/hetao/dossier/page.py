"""`certificate.html`: a certificate that checks itself, from disk, for anybody's eyes.

One file, no address, no library (`script.py`). It holds the published certificate (no
integers) and the words about it in three languages.

A page can lie about itself, and says so: whoever decides by it checks the certificate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hetao.canonical import parse_canonical
from hetao.dossier.code import code_svg, facts_of
from hetao.dossier.script import render_shell, render_words
from hetao.dossier.words import LANGUAGES, WORDS
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.sealed_counts import FIELD
from hetao.permit import bundle_from
from hetao.report.answers import Answer, answers_of
from hetao.report.custody import approvals_of, sites_of
from hetao.report.drawing import Drawing
from hetao.report.sentences import same
from hetao.study import explain, study_from
from hetao.whole import write_whole


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
    write_whole(path, render_page(certificate).encode())


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
    study = value["body"]["study"]
    title = study.get("title") or study["name"]
    return render_shell("study", title, _words(value), public)


def _words(value: Mapping[str, Any]) -> str:
    """Return what the page says of a certificate, in every language, as HTML."""
    told = told_of(value)
    code = Markup(code_svg(told["facts"]))  # noqa: S704 - drawn of digests alone
    return render_words("words.html.j2", {"said": WORDS, "code": code, **told})


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
                committed=_committed(body["sites"], WORDS[language]["committed"]),
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


def _committed(sites: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> str:
    """Return which hospitals had committed to their extracts."""
    bound = sum(one["extract"] is not None for one in sites)
    kind = "none" if not bound else "some" if bound < len(sites) else "all"
    return said[kind].format(logs=len(sites), bound=bound)


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
