"""`hetao appraise`: what a certified finding withstands.

How strong an unmeasured confounder would have to be, what negative controls say of
systematic error, and which of several findings hold together. The certificate is
verified first: nothing is said of one that does not hold.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hetao.analysis.calibration import (
    SystematicError,
    calibrated,
    false_discovery,
    systematic_error,
)
from hetao.analysis.sensitivity import MEASURES, e_value
from hetao.canonical import parse_canonical
from hetao.cli.main import plain, say
from hetao.cli.verdict import say_what_counts, verdict_of
from hetao.errors import Usage
from hetao.federation.certify import recompute
from hetao.ledger.certificate import read_certificate, verify_certificate
from hetao.study.methods import METHODS, Method, method_of

LARGEST = 700.0  # log of a ratio that a float holds


def appraise(chosen: argparse.Namespace) -> int:
    """Print E-values, calibrated intervals and adjusted p values of findings."""
    data = read_certificate(chosen.certificate)
    verify_certificate(data)
    certificate = parse_canonical(data)
    recompute(certificate)
    verdict = verdict_of(chosen.policy, certificate)
    body = certificate["body"]
    asked = [_term(body, text) for text in chosen.term or _only(body)]
    controls = [_term(body, text) for text in chosen.control or ()]
    error = None
    if controls:
        values = [(term["estimate"], term["se"]) for _, _, term in controls]
        error = systematic_error(*map(list, zip(*values, strict=True)))
    rows = [_row(*one, error, is_rare=not chosen.common) for one in asked]
    adjusted = false_discovery([row["p"] for row in rows])
    for row, q in zip(rows, adjusted, strict=True):
        row["p_adjusted"] = q
    if chosen.json:
        told = _error(error) if error else None
        answer = {**verdict.told, "systematic_error": told, "findings": rows}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        return verdict.exit_code
    if error:
        say(
            f"{error.controls} negative controls: systematic error "
            f"{error.mean:.3f} ± {error.sd:.3f} on the log scale"
        )
    for row in rows:
        sys.stdout.write("\n".join(_lines(row, len(rows) > 1)) + "\n")
    say_what_counts(verdict)
    return verdict.exit_code


def _term(body: Mapping[str, Any], text: str) -> tuple[str, str, Mapping[str, Any]]:
    """Return (measure, label, term) of `ANALYSIS` or `ANALYSIS:TERM`."""
    name, _, wanted = text.partition(":")
    item = next((f for f in body["findings"] if f["analysis"] == name), None)
    if item is None:
        known = ", ".join(str(f["analysis"]) for f in body["findings"])
        raise Usage(f"the certificate has no finding {name!r}", fix=f"it has {known}")
    analysis = next(a for a in body["study"]["analyses"] if a["name"] == name)
    method = _method(analysis)
    if method is None or not method.ratio or "terms" not in item["finding"]:
        raise Usage(f"{name} estimates no ratio")
    terms = [t for t in item["finding"]["terms"] if t["name"] != "(Intercept)"]
    if not wanted:
        if len(terms) != 1:
            raise Usage(
                f"{name} has several terms", fix=f"write {name}:{terms[0]['name']}"
            )
        return method.ratio, f"{name}:{terms[0]['name']}", terms[0]
    found = next((t for t in terms if t["name"] == wanted), None)
    if found is None:
        known = ", ".join(str(t["name"]) for t in terms)
        raise Usage(f"{name} has no term {wanted!r}", fix=f"it has {known}"[:300])
    return method.ratio, text, found


def _method(analysis: Mapping[str, Any]) -> Method | None:
    name = str(analysis["method"])
    if name not in METHODS:
        return None
    return method_of(name, str(analysis.get("family") or ""))


def _only(body: Mapping[str, Any]) -> Sequence[str]:
    """Return every term of every ratio that the certificate has."""
    methods = ((a["name"], _method(a)) for a in body["study"]["analyses"])
    models = {name for name, method in methods if method and method.ratio}
    found = [
        f"{item['analysis']}:{term['name']}"
        for item in body["findings"]
        if item["analysis"] in models
        for term in item["finding"].get("terms", ())
        if term["name"] != "(Intercept)"
    ]
    if not found:
        raise Usage("the certificate has no finding that estimates a ratio")
    return found


def _row(
    measure: str,
    label: str,
    term: Mapping[str, Any],
    error: SystematicError | None,
    *,
    is_rare: bool,
) -> dict[str, Any]:
    logs = [float(term[key]) for key in ("estimate", "lower", "upper")]
    if any(abs(value) > LARGEST for value in logs):
        raise Usage(f"{label}: the ratio is too large to be a number")
    ratios = [math.exp(value) for value in logs]
    known = measure if measure in MEASURES else "risk ratio"
    value = e_value(ratios[0], ratios[1], ratios[2], known, is_rare=is_rare)
    row: dict[str, Any] = {
        "term": label,
        "measure": measure,
        "ratio": ratios[0],
        "lower": ratios[1],
        "upper": ratios[2],
        "p": float(term["p"]),
        "e_value": value.estimate,
        "e_value_limit": value.limit,
    }
    if error:
        told = calibrated(float(term["estimate"]), float(term["se"]), error)
        row["calibrated"] = {
            "ratio": math.exp(told.estimate),
            "lower": math.exp(told.lower),
            "upper": math.exp(told.upper),
            "p": told.p,
        }
    return row


def _error(error: SystematicError) -> dict[str, Any]:
    return {"mean": error.mean, "sd": error.sd, "controls": error.controls}


def _lines(row: Mapping[str, Any], several: bool) -> list[str]:
    lines = [
        f"{plain(row['term'])}: {row['measure']} {_interval(row)}, p {row['p']:.3g}"
        + (f", adjusted {row['p_adjusted']:.3g}" if several else "")
    ]
    lines.append(
        f"  E-value {row['e_value']:.2f}, of the confidence limit "
        f"{row['e_value_limit']:.2f}"
    )
    if "calibrated" in row:
        lines.append(
            f"  calibrated {_interval(row['calibrated'])}, "
            f"p {row['calibrated']['p']:.3g}"
        )
    return lines


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['ratio']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})"
