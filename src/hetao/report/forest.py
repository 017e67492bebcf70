"""The forest plot: a point and its interval for every term, in inline SVG."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hetao.report.drawing import (
    Drawing,
    Scale,
    even_ticks,
    ratio_ticks,
    text_width,
    wrapped,
)
from hetao.report.heads import named
from hetao.report.labels import language_of
from hetao.report.numerals import MINUS, SUPERSCRIPTS, short_text
from hetao.report.sentences import Said, joined, same, say

WIDTH, LEFT, RIGHT = 860.0, 300.0, 632.0  # of the figure; ends of the plot in it
LABEL = 20.5  # width of a label, in font sizes
FONT = 14.0  # size of the page's style
TOP, LINE, GAP, FOOT = 34.0, 17.0, 13.0, 48.0
MOST_ROWS = 24  # of one figure, so that each fits a printed page
WIDEST = math.log(100)  # a ratio within is always shown in full
GIANT = math.log(1e9)  # a ratio beyond never is


@dataclass(frozen=True)
class Row:
    """One term of a forest plot.

    Attributes:
        label, against: its name, and what it is compared with.
        estimate, lower, upper: on the model's own scale, log for ratios; None where
            there is none.
        text: the three as a reader sees them.
    """

    label: str
    against: str
    estimate: float | None
    lower: float | None
    upper: float | None
    text: Said


def draw_forest(
    key: str, title: Said, measure: Said, rows: Sequence[Row], is_ratio: bool
) -> list[Drawing]:
    """Return figures of at most `MOST_ROWS` rows each, all on one scale.

    Intervals that run beyond the scale end in an arrowhead.
    """
    low, high = ends_of(rows, is_ratio)
    scale = Scale(low, high, LEFT, RIGHT)
    parts = [rows[i : i + MOST_ROWS] for i in range(0, len(rows), MOST_ROWS)]
    return [
        _draw(f"{key}-{i}", (title, measure), part, scale, is_ratio)
        for i, part in enumerate(parts)
    ]


def ends_of(rows: Sequence[Row], is_ratio: bool) -> tuple[float, float]:
    """Return the ends of the scale: the null inside, no giant pressing the rest."""
    ends = [e for r in rows for e in (r.estimate, r.lower, r.upper) if e is not None]
    if not ends:
        return (-1.0, 1.0)
    middle = sorted(map(abs, ends))[len(ends) // 2]
    limit = 20 * middle or max(map(abs, ends))
    if is_ratio:
        limit = min(max(WIDEST, 3 * middle), GIANT)
    low, high = max(min([0.0, *ends]), -limit), min(max([0.0, *ends]), limit)
    room = 0.04 * (high - low)
    if is_ratio and high - low < math.log(1.1):
        room = math.log(1.1) / 2
    return (low - room, high + room) if high - low + room > 0 else (-1.0, 1.0)


def _draw(
    key: str,
    names: tuple[Said, Said],
    rows: Sequence[Row],
    scale: Scale,
    is_ratio: bool,
) -> Drawing:
    title, measure = names
    labels = [_label(row) for row in rows]
    texts = [_lines(row.text) for row in rows]
    heights = [
        LINE * max(len(left), len(right)) + GAP
        for left, right in zip(labels, texts, strict=True)
    ]
    bottom = TOP + sum(heights)
    about = about_rows(rows) or say("forest_none")
    drawing = Drawing(key, (WIDTH, bottom + FOOT), (title, about))
    drawing.text((0, 18), named("Term"), "strong")
    drawing.text((WIDTH, 18), say("axis", measure=measure), "strong end")
    drawing.line((0, TOP - 8), (WIDTH, TOP - 8), "rule")
    draw_axis(drawing, scale, (bottom, measure), is_ratio)
    y = TOP
    for row, left, right, height in zip(rows, labels, texts, heights, strict=True):
        _write(drawing, left, y)
        draw_interval(drawing, row, scale, y + height / 2)
        first = y + height / 2 + 5 - LINE * (len(right) - 1) / 2
        for i, line in enumerate(right):
            drawing.text((WIDTH, first + LINE * i), line, "end")
        y += height
    return drawing


def about_rows(rows: Sequence[Row]) -> Said:
    """Return what each row says, for who does not see the figure."""
    return joined("list", (say("named", label=r.label, text=r.text) for r in rows))


def _label(row: Row) -> list[tuple[Said, str]]:
    """Return lines, each with its class."""
    lines = [(line, "label") for line in wrapped(row.label, LABEL, 3)]
    extra = wrapped(row.against, LABEL, 2) if row.against else []
    return lines + [(line, "small") for line in extra]


def _lines(text: Said) -> list[Said]:
    """Return an estimate and its interval, beneath each other where both are wide."""
    if FONT * text_width(text) <= WIDTH - RIGHT - FONT:
        return [same(text)]
    split = (re.split(r" (?=\()|(?=（)", one, maxsplit=1) for one in same(text).texts)
    return [Said(*lines) for lines in itertools.zip_longest(*split, fillvalue="")]


def _write(drawing: Drawing, lines: Sequence[tuple[Said, str]], y: float) -> None:
    for i, (line, kind) in enumerate(lines):
        at = (0, y + GAP / 2 + LINE * i + 13)
        drawing.text(at, line, kind, language_of(line))


def draw_axis(
    drawing: Drawing, scale: Scale, foot: tuple[float, Said], is_ratio: bool
) -> None:
    """Draw ticks, the line of no difference, and the measure beneath.

    Args:
        drawing: to draw on.
        scale: of estimates.
        foot: where the rows end, and the measure.
        is_ratio: whether the scale is of logarithms.
    """
    bottom, measure = foot
    ticks = (
        [(math.log(t), t) for t in ratio_ticks(scale.low, scale.high) if t > 0]
        if is_ratio
        else [(t, t) for t in even_ticks(scale.low, scale.high)]
    )
    for place, value in ticks:
        x = scale.at(place)
        drawing.line((x, TOP - 8), (x, bottom + 4), "grid")
        drawing.text((x, bottom + 18), tick_text(value), "small middle")
    null = scale.at(0.0)
    drawing.line((null, TOP - 8), (null, bottom + 4), "null")
    drawing.line((scale.left, bottom + 4), (scale.right, bottom + 4), "rule")
    note = say("forest_log", measure=measure) if is_ratio else measure
    drawing.text(((scale.left + scale.right) / 2, bottom + 38), note, "small middle")


def tick_text(value: float) -> str:
    """Return a tick's number: powers of ten as such where zeros would crowd."""
    if value and not 1e-3 <= abs(value) < 1e5:
        power = math.log10(abs(value))
        if abs(power - round(power)) < 1e-9:
            sign = MINUS if value < 0 else ""
            return f"{sign}10{str(round(power)).translate(SUPERSCRIPTS)}"
        return short_text(value)
    return f"{value:.10g}".replace("-", MINUS)


def draw_interval(
    drawing: Drawing, row: Row, scale: Scale, y: float, side: float = 10.0
) -> None:
    """Draw limits, ending in bars or arrowheads, and a square of that side."""
    if row.estimate is None:
        return
    if row.lower is not None and row.upper is not None:
        x1, x2 = scale.at(row.lower), scale.at(row.upper)
        drawing.line((x1, y), (x2, y), "whisker")
        _tip(drawing, (x1, y), 1 if row.lower < scale.low else 0)
        _tip(drawing, (x2, y), -1 if row.upper > scale.high else 0)
    if scale.low <= row.estimate <= scale.high:
        corner = (scale.at(row.estimate) - side / 2, y - side / 2)
        drawing.box(corner, (side, side), "point")


def _tip(drawing: Drawing, at: tuple[float, float], inward: int) -> None:
    """End a whisker in a bar, or in an arrowhead where it runs on."""
    x, y = at
    if inward:
        back = x + 9 * inward
        drawing.path([(back, y - 5), (x, y), (back, y + 5)], "arrow", closed=True)
    else:
        drawing.line((x, y - 5), (x, y + 5), "whisker")
