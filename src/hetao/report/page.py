"""The page: one HTML file that opens from disk, with no network and no script.

Everything a study, a mapping or a policy says is text that somebody else wrote. It
reaches the page through jinja2's autoescape or the XML writer of the figures, and the
page's own policy forbids scripts and every address, should either ever fail.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment

from hetao.canonical import digest, parse_canonical
from hetao.dictionary.checks import CATEGORIES
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.proof import parse_proof
from hetao.report.answers import Answer, answers_of
from hetao.report.concept_sets import sets_of
from hetao.report.custody import (
    MINIMA,
    approvals_of,
    short_digest,
    sites_of,
    time_text,
)
from hetao.report.effects import EffectView
from hetao.report.extras import Extras
from hetao.report.headings import FACTS, SECTIONS
from hetao.report.heads import named
from hetao.report.labels import language_of, term_label
from hetao.report.models import ModelView
from hetao.report.numerals import count_text, difference_text, fixed_text, short_text
from hetao.report.penalised import PathView
from hetao.report.sentences import joined, same, say
from hetao.study import Study, study_from
from hetao.templates import templates_of
from hetao.whole import write_whole

# The attributes of ICH E9(R1), in plain words.
ESTIMAND = {
    "population": "Who",
    "treatment": "What is compared",
    "variable": "What is measured in each person",
    "intercurrent_events": "What may happen in between",
    "summary": "How it is summed up",
}


def write_report(path: Path, certificate: bytes, extras: Extras | None = None) -> None:
    """Write the report of a certificate, whole or not at all.

    Raises:
        Unverified: as `render_report`.
    """
    text = render_report(certificate, extras)
    write_whole(path, text.encode())


def render_report(certificate: bytes, extras: Extras | None = None) -> str:
    """Return the report of a certificate as one HTML page.

    The certificate is verified first, against no list of trusted parties: nothing is
    drawn of one that does not hold, and the page says what to check further.

    Raises:
        Unverified: the certificate does not verify.
    """
    verified = verify_certificate(certificate)
    value = parse_canonical(certificate)
    return render_body(value["body"], value["log"], extras or Extras(), verified.steps)


def render_body(
    body: Mapping[str, Any],
    log: Mapping[str, Any],
    extras: Extras,
    steps: tuple[str, ...] = (),
) -> str:
    """Return the page of a certificate's body that was verified before.

    Args:
        body: of the certificate.
        log: where the certificate stands in the issuer's log.
        extras: what a demonstration knows beyond it.
        steps: what verification said, step by step.
    """
    study = study_from(body["study"])
    answers = answers_of(study, body)
    by_method = {
        kind: tuple(a for a in answers if a.method in methods)
        for kind, methods in {
            "curves": ("km",),
            "tests": ("logrank",),
            "tables": ("table1",),
            "steps_answers": ("counts",),
            "performances": ("performance", "boosted_trees", "neural_network"),
            "measures": (
                "indicators",
                "meta",
                "profile",
                "quantiles",
                "rates",
                "screen",
            ),
        }.items()
    }
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            body=body,
            study=study,
            estimand=_estimand(study),
            answers=answers,
            models=tuple(a for a in answers if _is_model(a)),
            effects=tuple(a for a in answers if isinstance(a.view, EffectView)),
            **by_method,
            sites=sites_of(body),
            concept_sets=sets_of(study, body),
            sections=SECTIONS,
            facts=FACTS,
            categories=CATEGORIES,
            minima=tuple(MINIMA.values()),
            approvals=approvals_of(body),
            permit=body["permit"]["permit"],
            permit_digest=digest(body["permit"]["permit"]),
            study_digest=digest(body["study"]),
            checkpoint=_checkpoint(log),
            log=log,
            extras=extras,
            compared=_compared(study, extras),
            steps=steps,
        )
    )


def _is_model(answer: Answer) -> bool:
    return isinstance(answer.view, ModelView | PathView) or answer.view is None


@functools.cache
def _environment() -> Environment:
    """Return the templates, compiled once a process."""
    environment = templates_of("hetao.report")
    environment.filters |= {
        "named": named,
        "same": same,
        "count": count_text,
        "fixed": fixed_text,
        "language": language_of,
        "brief": short_digest,
        "time": time_text,
        "tiny": difference_text,
        "short": short_text,
    }
    environment.globals |= {"say": say, "joined": joined}
    return environment


def _estimand(study: Study) -> tuple[tuple[str, str], ...]:
    known = [key for key in ESTIMAND if key in study.estimand]
    others = [key for key in study.estimand if key not in ESTIMAND]
    return tuple(
        (named(ESTIMAND[k]) if k in ESTIMAND else same(k), study.estimand[k])
        for k in known + others
    )


@dataclass(frozen=True)
class _Checkpoint:
    origin: str
    size: str
    root: str
    index: int
    cosigners: tuple[str, ...]


def _checkpoint(log: Mapping[str, Any]) -> _Checkpoint | None:
    """Return the lines of a signed note; the issuer's own signature is its first."""
    if not log:
        return None
    proof = parse_proof(log["proof"])
    text, _, signatures = proof.note.partition("\n\n")
    origin, size, root = (*text.split("\n"), "", "", "")[:3]
    signers = [
        line.split(" ")[1]
        for line in signatures.split("\n")
        if line.startswith("— ") and line.count(" ") >= 2
    ]
    return _Checkpoint(origin, size, root, proof.index, tuple(signers[1:]))


@dataclass(frozen=True)
class _Compared:
    """A comparison with the labels of its terms."""

    analysis: str
    software: str
    largest: float
    rows: tuple[tuple[str, Any], ...]

    @property
    def has_truth(self) -> bool:
        """Return whether the truth is known of any term."""
        return any(term.truth is not None for _, term in self.rows)


def _compared(study: Study, extras: Extras) -> tuple[_Compared, ...]:
    found = []
    for one in extras.comparison:
        names = [term.name for term in one.terms]
        rows = tuple((term_label(study, t.name, names).full, t) for t in one.terms)
        found.append(_Compared(one.analysis, one.software, one.largest, rows))
    return tuple(found)
