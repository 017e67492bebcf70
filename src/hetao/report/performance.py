"""How good predictions are → measures, tables, and three figures of them.

The ROC curve joins the cuts that may be shown by straight lines, which is where its
area counts ties half; calibration has a group's mean prediction below its share of
events; the decision curve has the net benefit at the study's thresholds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetao.report.drawing import (
    Drawing,
    Scale,
    even_ticks,
    shortened,
    text_width,
    wrapped,
)
from hetao.report.forest import tick_text
from hetao.report.heads import named
from hetao.report.labels import event_label, language_of, outcome_said, term_label
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    interval_said,
    number_of,
    p_text,
    ratio_of,
    short_text,
)
from hetao.report.sentences import NOTHING, Said, confident, joined, same, say
from hetao.study import Analysis, Study

WIDTH, HEIGHT, LEFT, SIDE, TOP, FOOT = 860.0, 400.0, 66.0, 400.0, 34.0, 50.0
NOTE = LEFT + SIDE + 34  # where the text beside a square figure begins
NOTE_WIDTH = 25.0  # in font sizes
MOST_BARS, BAR, BARS = 20, 28.0, 290.0
# Measure → its name, and which sentence says what it means.
WORDS = {
    "auc": ("Area under the ROC curve", "auc_means"),
    "brier": ("Brier score", "brier_means"),
    "scaled_brier": ("Scaled Brier score", "scaled_means"),
    "oe_ratio": ("Observed to expected events", "right_at_1"),
    "calibration_in_the_large": ("Calibration in the large", "right_at_0"),
    "calibration_intercept": ("Calibration intercept", "intercept_means"),
    "calibration_slope": ("Calibration slope", "slope_means"),
    "mse": ("Mean squared error", "perfect_at_0"),
    "rmse": ("Root mean squared error", "unit_of_outcome"),
    "r_squared": ("R²", "scaled_means"),
}
# What predicts → which sentence says so.
WHOSE = {
    "published": "of_published",
    "fitted to these people": "of_fitted",
    "held out": "of_held_out",
    "left out": "of_left_out",
    "each site by the others": "of_others",
}
Row = tuple[str, ...]
Point = tuple[float, float]


@dataclass(frozen=True)
class PerformanceView:
    """Performance of a prediction: its measures, thresholds, groups and figures.

    Attributes:
        whose: which model predicts.
        about: outcome, counts and `whose` in sentences.
        measures: label, what it means, estimate with limits.
        bounds: where the area before binning lies.
        thresholds, groups: rows of the tables.
        figures: ROC curve, calibration and decision curve, those that may be shown; of
            trees what columns gain, first.
        is_hidden: whether anything is hidden for too few people.
        importance: of trees, column, share of all gain, and splits.
        trees: each as its rules, one a leaf, with what the leaf adds.
        training: of a network, how it was trained; label and value.
        note: what is to be said of how it was trained.
    """

    outcome: str
    whose: Said
    n: str
    events: str
    about: Said
    measures: tuple[Row, ...]
    bounds: Said
    thresholds: tuple[Row, ...]
    groups: tuple[Row, ...]
    figures: tuple[Drawing, ...]
    is_hidden: bool
    importance: tuple[Row, ...] = ()
    trees: tuple[Row, ...] = ()
    training: tuple[Row, ...] = ()
    note: Said = NOTHING


def performance_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[PerformanceView, Said]:
    """Return the view of a performance finding and its sentence, as `effect_of`."""
    key, few = style
    terms = {str(term["name"]): term for term in payload.get("terms", ())}
    auc = payload.get("auc", {})
    thresholds = list(payload.get("thresholds", ()))
    groups = list(payload.get("calibration", ()))
    n, events = payload.get("n"), payload.get("events")
    counts = (few if n is None else count_text(n), _events(payload, few))
    outcome = event_label(study, analysis.outcome)
    kind = str(payload.get("prediction"))
    whose = say(WHOSE[kind]) if kind in WHOSE else NOTHING
    predictions = say("predictions", whose=whose)
    least, most = (fixed_text(auc.get(key), 3) for key in ("least", "most"))
    names = [str(row["name"]) for row in payload.get("importance", ())]
    importance = [
        (term_label(study, str(row["name"]), names).full, row["gain"], row["splits"])
        for row in sorted(payload.get("importance", ()), key=lambda r: -r["gain"])
    ]
    figures = (
        draw_importance(f"{key}-gain", analysis.name, importance),
        draw_roc(f"{key}-roc", analysis.name, payload),
        draw_calibration(f"{key}-calibration", analysis.name, payload),
        draw_decision(f"{key}-decision", analysis.name, payload),
    )
    view = PerformanceView(
        outcome=outcome,
        whose=whose,
        n=counts[0],
        events=counts[1],
        about=joined("run_on", (outcome_said(outcome, *counts), predictions)),
        measures=tuple(
            (*_named(name), _limits(term), p_text(term.get("p")))
            for name, term in terms.items()
        ),
        bounds=say("between", lower=least, upper=most) if auc else NOTHING,
        thresholds=tuple(map(_threshold, thresholds)),
        groups=tuple(map(_group, groups)),
        figures=tuple(figure for figure in figures if figure is not None),
        importance=tuple(
            (label, f"{100 * gain:.1f}%", count_text(count))
            for label, gain, count in importance
        ),
        trees=tuple(
            tuple(_rules(tree, {n: term_label(study, n, names).text for n in names}))
            for tree in payload.get("trees", ())
        ),
        is_hidden=n is None
        or ("events" in payload and events is None)
        or any(row.get("tp") is None for row in thresholds),
    )
    said = [
        say("measured", label=_named(name)[0], text=_limits(terms[name]))
        for name in ("auc", "calibration_slope", "oe_ratio", "rmse", "r_squared")
        if name in terms
    ]
    if not said:
        return view, predictions
    measured = joined("list", (confident(said[0]), *said[1:]))
    return view, joined("run_on", (say("stopped", text=measured), predictions))


def _named(name: str) -> tuple[Said, Said]:
    """Return a measure's name and what it means."""
    if name not in WORDS:
        return same(name), NOTHING
    title, means = WORDS[name]
    return named(title), say(means)


def _events(payload: Mapping[str, Any], few: str) -> str:
    """Return how many had the event; "" of an outcome that is a number."""
    if "events" not in payload:
        return ""
    events = payload["events"]
    return few if events is None else count_text(events)


def _rules(
    tree: Sequence[Mapping[str, Any]], labels: Mapping[str, str]
) -> Iterable[Said]:
    """Return each leaf as the conditions that lead to it and what it adds."""
    nodes = {int(node["node"]): node for node in tree}
    for node in tree:
        if "value" not in node:
            continue
        said: list[Said] = []
        place = int(node["node"])
        while place:
            parent = nodes[(place - 1) // 2]
            sign = "<" if place % 2 else "≥"
            label = labels.get(parent["column"], parent["column"])
            below = f"{sign} {short_text(parent['below'])}"
            said.append(say("measured", label=label, text=below))
            place = (place - 1) // 2
        rule = joined("and", reversed(said)) or say("everyone")
        yield say("named", label=rule, text=short_text(node["value"]))


def _limits(term: Mapping[str, Any]) -> Said:
    is_ratio = str(term.get("name", "")).endswith("_ratio")
    ends = tuple(number_of(term.get(k)) for k in ("estimate", "lower", "upper"))
    if is_ratio:
        ends = tuple(None if end is None else ratio_of(end) for end in ends)
    return interval_said(ends, is_ratio)


def _share(share: Mapping[str, Any] | None) -> Said:
    if share is None:
        return same(DASH)
    middle, lower, upper = (
        fixed_text(100 * share[key], 1) for key in ("estimate", "lower", "upper")
    )
    return say("interval", middle=f"{middle}%", lower=lower, upper=upper)


def _threshold(row: Mapping[str, Any]) -> Row:
    benefit = row.get("net_benefit")
    return (
        f"{100 * float(row['threshold']):.4g}%",
        *(_share(row.get(k)) for k in ("sensitivity", "specificity", "ppv", "npv")),
        DASH if benefit is None else _limits(benefit),
        fixed_text(row.get("treat_all"), 3),
    )


def _group(group: Mapping[str, Any]) -> Row:
    low, high = (100 * float(group[key]) for key in ("low", "high"))
    return (
        say("range", lower=f"{low:.1f}%", upper=f"{high:.1f}%"),
        count_text(group["n"]),
        count_text(group["events"]),
        f"{100 * float(group['predicted']):.1f}%",
        _share(group["observed"]),
    )


# --- figures ------------------------------------------------------------------------
def draw_importance(
    key: str, name: str, rows: Sequence[tuple[str, float, int]]
) -> Drawing | None:
    """Return what share of the gain each column brought, at most 20; None of none."""
    rows = rows[:MOST_BARS]
    if not rows:
        return None
    gains = ((label, f"{100 * gain:.1f}%") for label, gain, _ in rows)
    about = joined("list", (say("named", label=i, text=j) for i, j in gains))
    height = TOP + BAR * len(rows) + FOOT
    drawing = Drawing(key, (WIDTH, height), (say("gain_title", name=name), about))
    scale = Scale(0.0, max(gain for _, gain, _ in rows), BARS, WIDTH - 70)
    for place, (label, gain, _) in enumerate(rows):
        y = TOP + BAR * place
        text = shortened(label, 19)
        drawing.text((0.0, y + 15), text, "label", language_of(text))
        drawing.box((BARS, y), (max(scale.at(gain) - BARS, 1.0), BAR - 8), "bar g0")
        drawing.text((scale.at(gain) + 8, y + 15), f"{100 * gain:.1f}%", "small")
    middle = (BARS + (WIDTH - BARS) / 2, height - 16)
    drawing.text(middle, say("gain_axis"), "small middle")
    return drawing


def draw_roc(key: str, name: str, payload: Mapping[str, Any]) -> Drawing | None:
    """Return the ROC curve with the thresholds on it; None where none may be shown."""
    n, n1 = (number_of(payload.get(k)) for k in ("n", "events"))
    points = list(payload.get("roc", ()))
    if n is None or n1 is None or not points:
        return None
    n0 = n - n1
    curve = [(0.0, 0.0), *((p["fp"] / n0, p["tp"] / n1) for p in points), (1.0, 1.0)]
    auc = next(t for t in payload["terms"] if t["name"] == "auc")
    drawing = _square(
        key,
        (say("roc_title", name=name), say("roc_about", interval=_limits(auc))),
        ((0.0, 1.0), (0.0, 1.0)),
        (say("roc_across"), named("Sensitivity")),
    )
    across, up = _scales((0.0, 1.0), (0.0, 1.0))
    drawing.line((across.at(0), up.at(0)), (across.at(1), up.at(1)), "null")
    drawing.path([(across.at(x), up.at(y)) for x, y in curve], "curve g0 d0")
    for row in payload.get("thresholds", ()):
        if row.get("tp") is None:
            continue
        x, y = across.at(row["fp"] / n0), up.at(row["tp"] / n1)
        drawing.box((x - 4, y - 4), (8, 8), "point")
        at, kind = ((x + 8, y + 14), "small")
        if x > across.at(0.9):  # inside the figure
            at, kind = ((x - 8, y + 20), "small end")
        drawing.text(at, f"{100 * row['threshold']:.4g}%", kind)
    bounds = payload.get("auc", {})
    least, most = (fixed_text(bounds.get(k), 3) for k in ("least", "most"))
    _note(
        drawing,
        [
            say("roc_area", interval=_limits(auc)),
            say("roc_binned", least=least, most=most),
            *([say("roc_squares")] if payload.get("thresholds") else []),
        ],
    )
    return drawing


def draw_calibration(key: str, name: str, payload: Mapping[str, Any]) -> Drawing | None:
    """Return observed shares over mean predictions; None where none may be shown."""
    groups = list(payload.get("calibration", ()))
    terms = {term["name"]: term for term in payload.get("terms", ())}
    if not groups:
        return None
    top = max(max(g["predicted"], g["observed"]["upper"]) for g in groups)
    ticks = even_ticks(0.0, 1.0, 10) if top > 0.5 else even_ticks(0.0, top * 1.2, 6)
    end = min(1.0, next((t for t in ticks if t >= top), 1.0))
    drawing = _square(
        key,
        (say("calibration_title", name=name), _calibration_text(groups)),
        ((0.0, end), (0.0, end)),
        (named("Predicted"), named("Observed")),
    )
    across, up = _scales((0.0, end), (0.0, end))
    drawing.line((across.at(0), up.at(0)), (across.at(end), up.at(end)), "null")
    line = [terms.get(f"calibration_{k}") for k in ("intercept", "slope")]
    if all(line):
        a, b = (float(term["estimate"]) for term in line if term)
        low, high = groups[0]["predicted"], groups[-1]["predicted"]
        curve = list(_recalibrated(a, b, low, high))
        drawing.path([(across.at(x), up.at(y)) for x, y in curve], "curve g1 d1")
    for group in groups:
        x, seen = across.at(group["predicted"]), group["observed"]
        drawing.line((x, up.at(seen["lower"])), (x, up.at(seen["upper"])), "whisker")
        drawing.box((x - 4, up.at(seen["estimate"]) - 4), (8, 8), "point")
    fitted = [
        say(key, interval=_limits(terms[key]))
        for key in ("calibration_slope", "calibration_intercept")
        if all(line)
    ]
    signs = [say("calibration_squares"), say("calibration_line")]
    _note(drawing, [*fitted, *signs])
    return drawing


def _recalibrated(a: float, b: float, low: float, high: float) -> Iterable[Point]:
    """Return the calibration's line between two predictions, on their own scale."""
    ends = [min(max(p, 1e-9), 1 - 1e-9) for p in (low, high)]
    first, last = (math.log(p / (1 - p)) for p in ends)
    for step in range(41):
        x = first + (last - first) * step / 40
        yield 1 / (1 + math.exp(-x)), 1 / (1 + math.exp(-min(max(a + b * x, -50), 50)))


def _calibration_text(groups: Sequence[Mapping[str, Any]]) -> Said:
    return _listed(
        "calibration_about",
        (
            {
                "predicted": f"{100 * g['predicted']:.1f}%",
                "observed": f"{100 * g['observed']['estimate']:.1f}%",
            }
            for g in groups
        ),
    )


def draw_decision(key: str, name: str, payload: Mapping[str, Any]) -> Drawing | None:
    """Return the decision curve; None of fewer than two thresholds that are shown."""
    rows = [row for row in payload.get("thresholds", ()) if row.get("tp") is not None]
    if len(rows) < 2:
        return None
    cuts = [float(row["threshold"]) for row in rows]
    lines = (
        (
            say("decision_model"),
            "g0",
            [float(row["net_benefit"]["estimate"]) for row in rows],
        ),
        (say("decision_all"), "g1", [float(row["treat_all"]) for row in rows]),
        (say("decision_none"), "g2", [0.0] * len(rows)),
    )
    top = max(max(values) for _, _, values in lines) * 1.1 or 0.1
    low = -top / 2  # treating all may cost any amount: it leaves the figure
    ends = ((cuts[0], cuts[-1]), (low, top))
    drawing = _square(
        key,
        (say("decision_title", name=name), _decision_text(rows)),
        ends,
        (say("decision_across"), named("Net benefit")),
    )
    across, up = _scales(*ends)
    for place, (label, kind, values) in enumerate(lines):
        inside = [(x, y) for x, y in zip(cuts, values, strict=True) if y >= low]
        drawing.path([(across.at(x), up.at(y)) for x, y in inside], f"curve {kind} d0")
        y = TOP + 20 + 24 * place
        drawing.line((NOTE, y - 4), (NOTE + 30, y - 4), f"curve {kind}")
        drawing.text((NOTE + 38, y), label, "label")
    return drawing


def _decision_text(rows: Sequence[Mapping[str, Any]]) -> Said:
    return _listed(
        "decision_about",
        (
            {
                "threshold": f"{100 * row['threshold']:.4g}%",
                "benefit": fixed_text(row["net_benefit"]["estimate"], 3),
                "all": fixed_text(row["treat_all"], 3),
            }
            for row in rows
        ),
    )


def _listed(sentence: str, each: Iterable[Mapping[str, str]]) -> Said:
    """Return one sentence said of each, one after the other."""
    return joined("list", (say(sentence, **words) for words in each))


Ends = tuple[float, float]


def _scales(x: Ends, y: Ends) -> tuple[Scale, Scale]:
    across = Scale(x[0], x[1], LEFT, LEFT + SIDE)
    return across, Scale(y[0], y[1], TOP + HEIGHT, TOP)


def _square(
    key: str,
    about: tuple[Said, Said],
    ends: tuple[Ends, Ends],
    axes: tuple[Said, Said],
) -> Drawing:
    """Return an empty figure with its grid, its ticks and what its axes are."""
    drawing = Drawing(key, (WIDTH, TOP + HEIGHT + FOOT), about)
    across, up = _scales(*ends)
    for tick in even_ticks(*ends[1]):
        y = up.at(tick)
        drawing.line((LEFT, y), (LEFT + SIDE, y), "grid")
        drawing.text((LEFT - 8, y + 5), tick_text(tick), "small end")
    for tick in even_ticks(*ends[0]):
        x = across.at(tick)
        drawing.line((x, TOP + HEIGHT), (x, TOP + HEIGHT + 5), "rule")
        drawing.text((x, TOP + HEIGHT + 20), tick_text(tick), "small middle")
    drawing.line((LEFT, TOP + HEIGHT), (LEFT + SIDE, TOP + HEIGHT), "rule")
    middle = (LEFT + SIDE / 2, TOP + HEIGHT + 42)
    drawing.text(middle, axes[0], "small middle")
    drawing.text((LEFT - 8 * min(1.0, text_width(axes[1])), 18), axes[1], "small")
    return drawing


def _note(drawing: Drawing, texts: Sequence[Said]) -> None:
    """Write paragraphs beside a square figure."""
    y = TOP + 20
    for text in texts:
        for line in wrapped(text, NOTE_WIDTH, 4):
            drawing.text((NOTE, y), line, "label", language_of(line))
            y += 19
        y += 8
