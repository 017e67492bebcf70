"""An indicator over time: a table of periods, and the chart that a ward knows."""

from collections.abc import Mapping, Sequence
from typing import Any

from hetao.report.drawing import Drawing, Scale, even_ticks, shortened, text_width
from hetao.report.forest import tick_text
from hetao.report.labels import event_label, language_of, variable_label
from hetao.report.measures import MeasuresView, MeasureTable
from hetao.report.numerals import (
    DASH,
    count_text,
    decimals_for,
    fixed_text,
    interval_said,
    number_of,
    p_sentence,
    percent_text,
)
from hetao.report.sentences import Said, joined, same, say
from hetao.report.tables import NOT_SHOWN
from hetao.study import Analysis, Study

WIDTH, LEFT, RIGHT, TOP, BOTTOM, FOOT = 860.0, 78.0, 848.0, 34.0, 300.0, 52.0
FONT = 12.5  # of the small texts, pixels
DOT = 3.5  # half of a point's side


def indicators_of(
    study: Study, analysis: Analysis, payload: Mapping[str, Any], style: tuple[str, str]
) -> tuple[MeasuresView, Said]:
    """Return the view of an indicator over time and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: a key for the figure, and what stands for a count that is not shown.
    """
    key, few = style
    is_share = bool(payload.get("is_share"))
    label = event_label if is_share else variable_label
    what = label(study, analysis.outcome)
    periods = list(payload.get("periods", ()))
    table = _table(what, periods, is_share, few)
    by = variable_label(study, analysis.by)
    title = say("indicator_title", name=analysis.name, what=what, by=by)
    centre = number_of(payload.get("centre"))
    figure = draw_periods((key, title), periods, centre, is_share)
    said = _trend(payload.get("trend") or {}, is_share)
    return MeasuresView((table,), (figure,)), say("named", label=what, text=said)


def _table(
    what: str, periods: Sequence[Mapping[str, Any]], is_share: bool, few: str
) -> MeasureTable:
    heads = ["", "People", *(["With it"] if is_share else [])]
    heads.append("Share (95% interval)" if is_share else "Mean (95% interval)")
    rows = []
    for period in periods:
        keys = ("n", "events") if is_share else ("n",)
        counts = [
            few if period.get(key) is None else count_text(period[key]) for key in keys
        ]
        rows.append((str(period.get("label")), *counts, _value(period, is_share)))
    return MeasureTable(say("indicator_caption", what=what), tuple(heads), tuple(rows))


def _value(period: Mapping[str, Any], is_share: bool) -> Said:
    numbers = tuple(number_of(period.get(key)) for key in ("value", "lower", "upper"))
    if period.get("n") is None:
        return NOT_SHOWN
    if None in numbers:
        return same(DASH)
    if not is_share:
        return interval_said(numbers, is_ratio=False)
    middle, lower, upper = (percent_text(100 * (v or 0.0)) for v in numbers)
    return say("interval", middle=middle, lower=lower, upper=upper)


def _trend(trend: Mapping[str, Any], is_share: bool) -> Said:
    ends = [number_of(trend.get(key)) for key in ("estimate", "lower", "upper")]
    if None in ends:
        return say("no_trend")
    unit = 100.0 if is_share else 1.0
    change, lower, upper = (unit * (value or 0.0) for value in ends)
    decimals = decimals_for((upper - lower) / 2, 0, 6)
    texts = [fixed_text(value, decimals) for value in (change, lower, upper)]
    return say(
        "trend_points" if is_share else "trend",
        change=texts[0],
        lower=texts[1],
        upper=texts[2],
        p=p_sentence(trend.get("p")),
    )


def draw_periods(
    named: tuple[str, Said],
    periods: Sequence[Mapping[str, Any]],
    centre: float | None,
    is_share: bool,
) -> Drawing:
    """Return the run chart: values with limits, the centre and limits of control.

    Args:
        named: a key that is unique in the page, and what the figure shows.
        periods: in the order of time.
        centre: over all periods; None where it may not be shown.
        is_share: whether values are shares, which read as percentages.
    """
    written = _percent if is_share else tick_text
    shown = [
        value
        for period in periods
        for name in ("lower", "upper", "control_low", "control_high", "value")
        if (value := number_of(period.get(name))) is not None
    ]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.5
    up = Scale(low - room, high + room, BOTTOM, TOP)
    across = Scale(-0.5, max(len(periods), 1) - 0.5, LEFT, RIGHT)
    about = joined(
        "list",
        (
            say("named", label=period.get("label"), text=written(value))
            for period in periods
            if (value := number_of(period.get("value"))) is not None
        ),
    )
    key, title = named
    size = (WIDTH, BOTTOM + FOOT)
    drawing = Drawing(key, size, (title, about or say("no_period")))
    for tick in even_ticks(up.low, up.high):
        drawing.line((LEFT, up.at(tick)), (RIGHT, up.at(tick)), "grid")
        drawing.text((LEFT - 8, up.at(tick) + 5), written(tick), "small end")
    drawing.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "rule")
    if centre is not None:
        drawing.line((LEFT, up.at(centre)), (RIGHT, up.at(centre)), "null")
        _control(drawing, periods, across, up)
    _values(drawing, periods, across, up)
    _names(drawing, [str(period.get("label")) for period in periods], across)
    signs = say("chart_key" if centre is None else "chart_key_control")
    drawing.text((LEFT, 16), signs, "small")
    return drawing


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _control(
    drawing: Drawing, periods: Sequence[Mapping[str, Any]], across: Scale, up: Scale
) -> None:
    upper, lower = [], []
    for place, period in enumerate(periods):
        ends = [number_of(period.get(f"control_{end}")) for end in ("low", "high")]
        if ends[0] is None or ends[1] is None:
            continue
        for x in (across.at(place - 0.5), across.at(place + 0.5)):
            lower.append((x, up.at(ends[0])))
            upper.append((x, up.at(ends[1])))
    drawing.path(upper + lower[::-1], "band g0", closed=True)


def _values(
    drawing: Drawing, periods: Sequence[Mapping[str, Any]], across: Scale, up: Scale
) -> None:
    line: list[tuple[float, float]] = []
    for place, period in enumerate(periods):
        names = ("value", "lower", "upper")
        value, lower, upper = (number_of(period.get(name)) for name in names)
        x = across.at(place)
        if value is None or lower is None or upper is None:
            drawing.path(line, "curve g0")
            line = []
            drawing.text((x, BOTTOM - 6), "*", "small middle")
            continue
        drawing.line((x, up.at(lower)), (x, up.at(upper)), "whisker")
        corner = (x - DOT, up.at(value) - DOT)
        drawing.box(corner, (2 * DOT, 2 * DOT), "point")
        line.append((x, up.at(value)))
    drawing.path(line, "curve g0")


def _names(drawing: Drawing, labels: Sequence[str], across: Scale) -> None:
    """Write as many periods' names as there is room for, always the first."""
    wide = max((FONT * text_width(shortened(name, 12)) for name in labels), default=1)
    each = (RIGHT - LEFT) / max(len(labels), 1)
    stride = max(1, int(-(-(wide + 10) // each)))
    for place in range(0, len(labels), stride):
        x = across.at(place)
        drawing.line((x, BOTTOM), (x, BOTTOM + 5), "rule")
        name = shortened(labels[place], 12)
        drawing.text((x, BOTTOM + 21), name, "small middle", language_of(name))
