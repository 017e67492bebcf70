"""A screen's finding → its table, the funnel of each exposure, and one sentence."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hetao.report.drawing import Drawing, Scale, even_ticks, ratio_ticks
from hetao.report.forest import tick_text
from hetao.report.heads import measure_named, named
from hetao.report.labels import event_label, variable_label
from hetao.report.measures import MeasuresView, MeasureTable
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
from hetao.report.sentences import Said, same, say
from hetao.study import Analysis, Study
from hetao.study.methods import METHODS

COUNTS = ("n", "events")
MOST_SHOWN = 100  # pairs of a table; the certificate holds all
MOST_FUNNELS = 12
DISCOVERY = 0.05  # adjusted p value up to which a pair is counted as found
SIZE, LEFT, RIGHT, TOP, BOTTOM = (860.0, 420.0), 90.0, 820.0, 40.0, 360.0
Z = 1.959964
STEPS = 24  # of the curve beyond which an estimate is significant
WIDEST = 2.302585  # log of 10: the least half-width that the funnel may be cut to


def screen_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[MeasuresView, Said]:
    """Return the view of a screen's finding and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: the figures' key in the page, and the text of a count that is hidden.
    """
    key, few = style
    pairs = list(payload.get("pairs", ()))
    fitted = [pair for pair in pairs if not pair["refused"]]
    asked = sorted(
        (pair for pair in fitted if not pair["is_control"]),
        key=lambda pair: (_number(pair.get("q"), 1.0), _number(pair.get("p"), 1.0)),
    )
    measure = METHODS[analysis.model].ratio
    tables = [_pairs(study, asked, measure, few)]
    controls = [pair for pair in fitted if pair["is_control"]]
    if controls:
        tables += [
            _errors(study, payload.get("systematic_error", ())),
            _controls(study, controls, measure, few),
        ]
    refused = [pair for pair in pairs if pair["refused"]]
    if refused:
        tables.append(_refused(study, refused))
    figures = _funnels(study, payload, fitted, (key, measure))
    found = sum(_number(pair.get("q"), 1.0) <= DISCOVERY for pair in asked)
    caption = say("funnel_caption")
    return MeasuresView(tuple(tables), tuple(figures), caption), say(
        "screen",
        fitted=len(fitted),
        pairs=len(pairs),
        controls=len(controls),
        found=found,
        others=len(asked),
    )


def _number(value: Any, instead: float) -> float:
    found = number_of(value)
    return instead if found is None else found


def _pair_text(study: Study, pair: Mapping[str, Any]) -> Said:
    return say(
        "screen_pair",
        outcome=event_label(study, str(pair["outcome"])),
        exposure=variable_label(study, str(pair["exposure"])),
    )


def _interval(found: Mapping[str, Any] | None) -> Said:
    if not found:
        return same(DASH)
    ends = tuple(number_of(found.get(k)) for k in ("estimate", "lower", "upper"))
    ratios = tuple(None if end is None else ratio_of(end) for end in ends)
    return interval_said(ratios, is_ratio=True)


def _counts(pair: Mapping[str, Any], few: str) -> tuple[str, str]:
    n, events = (few if pair.get(k) is None else count_text(pair[k]) for k in COUNTS)
    return n, events


def _pairs(
    study: Study, pairs: Sequence[Mapping[str, Any]], measure: str, few: str
) -> MeasureTable:
    rows = [
        (
            _pair_text(study, pair),
            *_counts(pair, few),
            _interval(pair),
            p_text(pair.get("p")),
            _interval(pair.get("calibrated")),
            p_text((pair.get("calibrated") or {}).get("p")),
            p_text(pair.get("q")),
        )
        for pair in pairs[:MOST_SHOWN]
    ]
    limits = say("axis", measure=measure_named(measure))
    heads = ("", "People", "Events", limits, "p")
    more = ("Calibrated (95% CI)", "Calibrated p", "Adjusted p")
    key = "screen_pairs" if len(pairs) <= MOST_SHOWN else "screen_pairs_first"
    caption = say(key, most=MOST_SHOWN)
    return MeasureTable(caption, (*heads, *more), tuple(rows))


def _errors(study: Study, errors: Sequence[Mapping[str, Any]]) -> MeasureTable:
    rows = tuple(
        (
            variable_label(study, str(one["exposure"])),
            count_text(one["controls"]),
            DASH if one["mean"] is None else short_text(one["mean"]),
            DASH if one["sd"] is None else short_text(one["sd"]),
        )
        for one in errors
    )
    heads = ("Exposure", "Controls fitted", "Mean", "Standard deviation")
    return MeasureTable(say("screen_errors"), heads, rows)


def _controls(
    study: Study, pairs: Sequence[Mapping[str, Any]], measure: str, few: str
) -> MeasureTable:
    rows = tuple(
        (_pair_text(study, pair), *_counts(pair, few), _interval(pair))
        for pair in pairs[:MOST_SHOWN]
    )
    heads = ("", "People", "Events", say("axis", measure=measure_named(measure)))
    return MeasureTable(say("screen_controls"), heads, rows)


def _refused(study: Study, pairs: Sequence[Mapping[str, Any]]) -> MeasureTable:
    rows = tuple(
        (_pair_text(study, pair), named(str(pair["refused"])))
        for pair in pairs[:MOST_SHOWN]
    )
    return MeasureTable(say("screen_refused"), ("", "Reason"), rows)


# --- funnels ------------------------------------------------------------------------
def _funnels(
    study: Study,
    payload: Mapping[str, Any],
    fitted: Sequence[Mapping[str, Any]],
    style: tuple[str, str],
) -> list[Drawing]:
    key, measure = style
    figures: list[Drawing] = []
    for number, error in enumerate(payload.get("systematic_error", ())):
        mine = [pair for pair in fitted if pair["exposure"] == error["exposure"]]
        if mine and len(figures) < MOST_FUNNELS:
            label = variable_label(study, str(error["exposure"]))
            place = f"{key}-funnel-{number}"
            figures.append(draw_funnel(place, (label, measure), mine, error))
    return figures


def draw_funnel(
    key: str,
    texts: tuple[str, str],
    pairs: Sequence[Mapping[str, Any]],
    error: Mapping[str, Any],
) -> Drawing:
    """Return estimates against standard errors: controls open, other pairs full.

    Outside the dashed lines p is below 0.05; outside the curve, where one is drawn, the
    calibrated p is.

    Args:
        key: unique in the page.
        texts: the exposure's label, and the name of the ratio.
        pairs: with `estimate`, `se` and `is_control`.
        error: `mean` and `sd` of the systematic error, None without one.
    """
    label, measure = texts
    most = max(float(pair["se"]) for pair in pairs) * 1.08
    wide = max([WIDEST / 5, *(abs(float(pair["estimate"])) for pair in pairs)]) * 1.08
    across = Scale(-wide, wide, LEFT, RIGHT)
    up = Scale(0.0, most, TOP, BOTTOM)
    about = say(
        "funnel_about",
        label=label,
        measure=measure_named(measure),
        pairs=len(pairs),
        controls=sum(bool(pair["is_control"]) for pair in pairs),
    )
    drawing = Drawing(key, SIZE, (say("funnel_title", label=label), about))
    _axes(drawing, across, up, measure)
    _limits(drawing, across, up, (0.0, 0.0), "null")
    if error.get("mean") is not None:
        of = (float(error["mean"]), float(error["sd"]))
        _limits(drawing, across, up, of, "curve g1")
    for pair in sorted(pairs, key=lambda one: not one["is_control"]):
        x, y = across.at(float(pair["estimate"])), up.at(float(pair["se"]))
        kind = "open" if pair["is_control"] else "point"
        drawing.box((x - 4, y - 4), (8, 8), kind)
    for x, kind, text in (
        (LEFT, "open", say("funnel_control")),
        (LEFT + 190, "point", say("funnel_other")),
    ):
        drawing.box((x, 8), (10, 10), kind)
        drawing.text((x + 18, 18), text, "label")
    return drawing


def _axes(drawing: Drawing, across: Scale, up: Scale, measure: str) -> None:
    for tick in ratio_ticks(across.low, across.high):
        x = across.at(math.log(tick))
        drawing.line((x, TOP), (x, BOTTOM), "grid")
        drawing.text((x, BOTTOM + 18), tick_text(tick), "small middle")
    for tick in even_ticks(up.low, up.high):
        y = up.at(tick)
        drawing.line((LEFT, y), (RIGHT, y), "grid")
        drawing.text((LEFT - 46, y + 4), fixed_text(tick, 2), "small")
    drawing.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "rule")
    middle = (LEFT + RIGHT) / 2
    drawing.text((middle, BOTTOM + 40), named(measure.capitalize()), "small middle")
    drawing.text((8, TOP - 10), named("Standard error"), "small")


def _limits(
    drawing: Drawing, across: Scale, up: Scale, of: tuple[float, float], kind: str
) -> None:
    """Draw where an estimate is just significant, given a systematic error."""
    mean, sd = of
    errors = [up.high * step / STEPS for step in range(STEPS + 1)]
    for side in (-1.0, 1.0):
        ends = [(mean + side * Z * math.hypot(sd, se), se) for se in errors]
        inside = [p for p in ends if across.low <= p[0] <= across.high]
        points = [(across.at(x), up.at(se)) for x, se in inside]
        if kind == "null":
            for start, end in itertools.pairwise(points):
                drawing.line(start, end, kind)
        else:
            drawing.path(points, kind)
