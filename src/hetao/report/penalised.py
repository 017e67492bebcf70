"""A penalised model → its coefficients, its path and its cross-validation curve."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetao.report.drawing import Drawing, Scale, even_ticks, shortened
from hetao.report.forest import tick_text
from hetao.report.heads import measure_named
from hetao.report.labels import (
    INTERCEPT,
    TermLabel,
    event_label,
    language_of,
    outcome_said,
    term_label,
    variable_label,
)
from hetao.report.numerals import (
    DASH,
    MINUS,
    count_text,
    fixed_text,
    number_of,
    ratio_of,
    short_text,
)
from hetao.report.sentences import Said, joined, say
from hetao.study import Analysis, Study
from hetao.study.methods import METHODS

WIDTH, LEFT, RIGHT, HEIGHT, FOOT = 860.0, 70.0, 840.0, 260.0, 56.0
COLOURS, NAMED = 6, 12  # colours of curves, and how many of them have a name


@dataclass(frozen=True)
class ShrunkRow:
    """One coefficient: its name, its ratio or "", itself, and at unit variance."""

    label: TermLabel
    ratio: str
    coefficient: str
    standardised: str


@dataclass(frozen=True)
class StrengthRow:
    """One strength of the path: lambda, terms in, deviance, its error, and a mark."""

    strength: str
    terms: str
    deviance: str
    error: str
    mark: str


@dataclass(frozen=True)
class PathView:
    """A penalised model.

    Attributes:
        about: outcome, counts, which penalty, its lasso's share, and how its strength
            was chosen.
        path: rows of the path.
        figures: the path of the coefficients, and the cross-validation curve, if any.
    """

    measure: Said
    outcome: str
    n: str
    events: str
    about: Said
    terms: tuple[ShrunkRow, ...]
    path: tuple[StrengthRow, ...]
    figures: tuple[Drawing, ...]


def path_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[PathView, Said]:
    """Return the view of a penalised model's finding and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: the figures' key in the page, and the text of a count that is hidden.
    """
    key, few = style
    names = [str(term["name"]) for term in payload["terms"]]
    labels = [term_label(study, name, names) for name in names]
    ratio = METHODS[analysis.method].ratio
    spread = [number_of(one) or 0.0 for one in payload["spread"]]
    rows = [
        _row(term, label, ratio, unit)
        for term, label, unit in zip(payload["terms"], labels, spread, strict=True)
    ]
    path = list(payload["path"])
    figures = []
    if len(path) > 1:
        figures.append(draw_path(f"{key}-path", analysis.name, labels, payload))
        if payload["folds"]:
            figures.append(draw_deviance(f"{key}-cv", analysis.name, payload))
    counts = [
        few if payload.get(name) is None else count_text(payload[name])
        for name in ("n", "events")
    ]
    if analysis.method == "linear":
        counts[1] = ""
    outcome = event_label(study, analysis.outcome)
    penalty = say("stopped", text=_penalty(study, payload))
    view = PathView(
        measure=measure_named(ratio or "difference"),
        outcome=outcome,
        n=counts[0],
        events=counts[1],
        about=joined("run_on", (outcome_said(outcome, *counts), penalty)),
        terms=tuple(rows),
        path=tuple(_strength(one, payload) for one in path),
        figures=tuple(figures),
    )
    kept = sum(1 for term in payload["terms"][1:] if term["estimate"] != 0)
    strength = short_text(payload["lambda"])
    return view, say(
        "shrunk",
        penalty=say(str(payload["penalty"])),
        kept=kept,
        columns=len(names) - 1,
        strength=strength,
    )


def _row(
    term: Mapping[str, Any], label: TermLabel, ratio: str, unit: float
) -> ShrunkRow:
    estimate = number_of(term["estimate"])
    is_intercept = str(term["name"]) == INTERCEPT
    return ShrunkRow(
        label=label,
        ratio=_ratio(estimate) if ratio and not is_intercept else "",
        coefficient=short_text(estimate),
        standardised=(
            DASH if is_intercept or not unit else short_text((estimate or 0.0) * unit)
        ),
    )


def _ratio(estimate: float | None) -> str:
    ratio = None if estimate is None else ratio_of(estimate)
    return DASH if ratio is None else short_text(ratio)


def _penalty(study: Study, payload: Mapping[str, Any]) -> Said:
    said = [say(str(payload["penalty"]))]
    if payload["penalty"] == "elastic_net":
        said = [say("elastic_net_alpha", alpha=short_text(payload["alpha"]))]
    if payload["folds"]:
        key = "folds_min" if payload["select"] == "lambda.min" else "folds_1se"
        said.append(say(key, folds=payload["folds"]))
    if payload.get("weights"):
        weights = variable_label(study, str(payload["weights"]))
        said.append(say("weighted", name=weights))
    return joined("stops", said)


def _strength(one: Mapping[str, Any], payload: Mapping[str, Any]) -> StrengthRow:
    marks = {"lambda_min": "lambda.min", "lambda_1se": "lambda.1se"}
    return StrengthRow(
        strength=short_text(one["lambda"]),
        terms=count_text(sum(1 for b in one["coefficients"][1:] if b != 0)),
        deviance=fixed_text(one.get("deviance"), 4),
        error=fixed_text(one.get("deviance_se"), 4),
        mark=", ".join(
            word for key, word in marks.items() if payload.get(key) == one["lambda"]
        ),
    )


# --- figures ------------------------------------------------------------------------
def _logs(payload: Mapping[str, Any]) -> list[float]:
    return [math.log10(float(one["lambda"])) for one in payload["path"]]


def _frame(
    drawing: Drawing, across: Scale, up: Scale, payload: Mapping[str, Any], axis: Said
) -> None:
    for value in even_ticks(min(up.low, up.high), max(up.low, up.high), 5):
        y = up.at(value)
        drawing.line((LEFT, y), (RIGHT, y), "grid")
        drawing.text((LEFT - 8, y + 5), tick_text(value), "small end")
    drawing.line((LEFT, up.left), (RIGHT, up.left), "rule")
    for value in even_ticks(across.low, across.high, 8):
        x = across.at(value)
        drawing.line((x, up.left), (x, up.left + 5), "rule")
        text = f"{value:g}".replace("-", MINUS)
        drawing.text((x, up.left + 21), text, "small middle")
    x = across.at(math.log10(float(payload["lambda"])))
    drawing.line((x, up.right), (x, up.left), "null")
    drawing.text(((LEFT + RIGHT) / 2, up.left + 44), axis, "small middle")


def draw_path(
    key: str, name: str, labels: Sequence[TermLabel], payload: Mapping[str, Any]
) -> Drawing:
    """Return the figure of the coefficients of columns of unit variance by log lambda.

    The largest have their name in the legend; the dashed line is the answer.
    """
    logs = _logs(payload)
    units = [number_of(unit) or 0.0 for unit in payload["spread"]]
    curves = [
        [float(one["coefficients"][i]) * units[i] for one in payload["path"]]
        for i in range(1, len(labels))
        if units[i]
    ]
    texts = [label.listed for i, label in enumerate(labels) if i and units[i]]
    order = sorted(range(len(curves)), key=lambda i: -max(map(abs, curves[i])))
    legend = 22.0 * math.ceil(min(len(curves), NAMED) / 2) + 12
    ends = [value for curve in curves for value in curve] or [0.0]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.05 * (high - low) or 1.0
    up = Scale(low - room, high + room, legend + HEIGHT, legend + 8)
    across = Scale(min(logs), max(logs), LEFT, RIGHT)
    ends_at = [(texts[i], short_text(curves[i][-1])) for i in order]
    about = joined("list", (say("path_about", label=i, value=j) for i, j in ends_at))
    title, size = say("path_title", name=name), (WIDTH, legend + HEIGHT + FOOT)
    drawing = Drawing(key, size, (title, about or say("path_none")))
    _frame(drawing, across, up, payload, say("path_axis"))
    for rank, i in enumerate(order):
        kind = f"curve g{rank % COLOURS} d{rank // COLOURS % 4}"
        points = zip(logs, curves[i], strict=True)
        drawing.path([(across.at(x), up.at(y)) for x, y in points], kind)
        if rank < NAMED:
            x, y = LEFT + (rank % 2) * 395, 16 + 22.0 * (rank // 2)
            drawing.line((x, y - 4), (x + 30, y - 4), kind)
            text = shortened(texts[i], 25)
            drawing.text((x + 38, y), text, "label", language_of(text))
    return drawing


def draw_deviance(key: str, name: str, payload: Mapping[str, Any]) -> Drawing:
    """Return the figure of the deviance outside the folds, with its standard errors."""
    logs = _logs(payload)
    rows = [
        (number_of(one["deviance"]) or 0.0, number_of(one["deviance_se"]) or 0.0)
        for one in payload["path"]
    ]
    low = min(mean - error for mean, error in rows)
    high = max(mean + error for mean, error in rows)
    room = 0.05 * (high - low) or 1.0
    up = Scale(low - room, high + room, HEIGHT + 8, 16.0)
    across = Scale(min(logs), max(logs), LEFT, RIGHT)
    best = short_text(payload["lambda_min"])
    title = say("deviance_title", name=name)
    chosen = short_text(payload["lambda"])
    about = say("deviance_about", best=best, chosen=chosen)
    drawing = Drawing(key, (WIDTH, HEIGHT + FOOT + 8), (title, about))
    _frame(drawing, across, up, payload, say("deviance_axis"))
    for x, (mean, error) in zip(map(across.at, logs), rows, strict=True):
        drawing.line((x, up.at(mean - error)), (x, up.at(mean + error)), "whisker")
        drawing.box((x - 4, up.at(mean) - 4), (8, 8), "point")
    return drawing
