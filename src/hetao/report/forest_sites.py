"""The forest plot of a meta-analysis: each site, what is pooled, what is predicted."""

from collections.abc import Sequence
from dataclasses import dataclass

from hetao.report.drawing import Drawing, Scale, shortened
from hetao.report.forest import (
    FONT,
    MOST_ROWS,
    TOP,
    Row,
    about_rows,
    draw_axis,
    draw_interval,
    ends_of,
)
from hetao.report.heads import named
from hetao.report.labels import language_of
from hetao.report.sentences import Said, say

WIDTH, LEFT, RIGHT = 860.0, 250.0, 574.0  # of the figure; ends of the plot in it
TEXTS = 782.0  # where the texts of estimates end
LINE, FOOT, HALF = 28.0, 50.0, 7.0  # of a row, of the axis, of a diamond's height
SMALLEST, LARGEST = 4.0, 15.0  # side of a square
LABEL = (LEFT - 12) / FONT


@dataclass(frozen=True)
class SiteRow:
    """A site of a forest plot.

    Attributes:
        row: its name, estimate and limits, on the model's own scale.
        share: of all weight, from 0 to 1, that it has in the pooled estimate.
    """

    row: Row
    share: float


@dataclass(frozen=True)
class Pooled:
    """What is drawn beneath the sites.

    Attributes:
        estimates: each a diamond from limit to limit.
        prediction: a bar; None where there is none.
        notes: lines of text.
    """

    estimates: tuple[Row, ...]
    prediction: Row | None
    notes: tuple[Said, ...]


def draw_sites(
    key: str,
    names: tuple[Said, Said],
    sites: Sequence[SiteRow],
    pooled: Pooled,
    is_ratio: bool,
) -> list[Drawing]:
    """Return figures of at most `MOST_ROWS` sites, each with what is pooled of all.

    Args:
        key: unique in the page.
        names: title, and measure.
        sites: none where they may not be shown.
        pooled: of all of them.
        is_ratio: whether the scale is of logarithms.
    """
    beneath = [*pooled.estimates, *([pooled.prediction] if pooled.prediction else [])]
    ends = ends_of([*(one.row for one in sites), *beneath], is_ratio)
    scale = Scale(*ends, LEFT, RIGHT)
    largest = max((one.share for one in sites), default=1.0)
    starts = range(0, max(len(sites), 1), MOST_ROWS)
    parts = [sites[i : i + MOST_ROWS] for i in starts]
    return [
        _draw(f"{key}-{i}", names, part, pooled, (scale, is_ratio, largest))
        for i, part in enumerate(parts)
    ]


def _draw(
    key: str,
    names: tuple[Said, Said],
    sites: Sequence[SiteRow],
    pooled: Pooled,
    form: tuple[Scale, bool, float],
) -> Drawing:
    title, measure = names
    scale, is_ratio, largest = form
    beneath = [*pooled.estimates, *([pooled.prediction] if pooled.prediction else [])]
    bottom = TOP + LINE * (len(sites) + len(beneath)) + 4
    height = bottom + FOOT + 18 * len(pooled.notes)
    every = [*(one.row for one in sites), *beneath]
    drawing = Drawing(key, (WIDTH, height), (title, about_rows(every)))
    drawing.text((0, 18), named("Site") if sites else "", "strong")
    drawing.text((TEXTS, 18), say("axis", measure=measure), "strong end")
    drawing.text((WIDTH, 18), named("Weight") if sites else "", "strong end")
    drawing.line((0, TOP - 8), (WIDTH, TOP - 8), "rule")
    draw_axis(drawing, scale, (bottom, measure), is_ratio)
    y = TOP + LINE / 2
    for one in sites:
        side = SMALLEST + (LARGEST - SMALLEST) * (one.share / largest) ** 0.5
        _write(drawing, one.row, y, "label")
        drawing.text((WIDTH, y + 5), f"{100 * one.share:.1f}%", "end")
        draw_interval(drawing, one.row, scale, y, side)
        y += LINE
    if sites:
        drawing.line((0, y - LINE / 2 + 1), (WIDTH, y - LINE / 2 + 1), "rule")
    for row in pooled.estimates:
        _write(drawing, row, y, "strong")
        _diamond(drawing, row, scale, y)
        y += LINE
    if pooled.prediction:
        _write(drawing, pooled.prediction, y, "label")
        _bar(drawing, pooled.prediction, scale, y)
    for i, note in enumerate(pooled.notes):
        drawing.text((0, bottom + FOOT + 8 + 18 * i), note, "small")
    return drawing


def _write(drawing: Drawing, row: Row, y: float, kind: str) -> None:
    label = shortened(row.label, LABEL)
    drawing.text((0, y + 5), label, kind, language_of(label))
    drawing.text((TEXTS, y + 5), row.text, f"{kind} end")


def _diamond(drawing: Drawing, row: Row, scale: Scale, y: float) -> None:
    if row.estimate is None or row.lower is None or row.upper is None:
        return
    low, middle, high = (scale.at(v) for v in (row.lower, row.estimate, row.upper))
    corners = [(low, y), (middle, y - HALF), (high, y), (middle, y + HALF)]
    drawing.path(corners, "point", closed=True)


def _bar(drawing: Drawing, row: Row, scale: Scale, y: float) -> None:
    if row.lower is None or row.upper is None:
        return
    low, high = scale.at(row.lower), scale.at(row.upper)
    drawing.box((low, y - HALF / 2), (max(high - low, 1.0), HALF), "interval")
