"""The looks of a surveillance, drawn against the value at which it signals."""

from collections.abc import Sequence
from typing import Protocol

from hetao.report.drawing import Drawing, Scale, even_ticks
from hetao.report.forest import tick_text
from hetao.report.sentences import joined, say

WIDTH, LEFT, RIGHT, TOP, BOTTOM, FOOT = 860.0, 70.0, 848.0, 34.0, 300.0, 56.0
DOT = 3.5  # half of a point's side


class Shown(Protocol):
    """What a drawing reads of a look: both as totals from the beginning."""

    @property
    def expected(self) -> float:
        """Events awaited without an excess."""

    @property
    def statistic(self) -> float:
        """Log-likelihood ratio of the events seen."""


def draw_looks(name: str, looks: Sequence[Shown], critical: float) -> Drawing:
    """Return log-likelihood ratios by expected events, and the critical value.

    Args:
        name: what is watched.
        looks: in order.
        critical: at or beyond which there is a signal.
    """
    most = max([critical, *(look.statistic for look in looks)])
    up = Scale(0.0, 1.08 * most, BOTTOM, TOP)
    across = Scale(0.0, 1.02 * max(look.expected for look in looks), LEFT, RIGHT)
    seen = [(tick_text(look.expected), f"{look.statistic:.3f}") for look in looks]
    about = joined(
        "list", (say("watch_about", expected=e, statistic=s) for e, s in seen)
    )
    title = say("watch_title", name=name)
    drawing = Drawing("watch", (WIDTH, BOTTOM + FOOT), (title, about))
    for tick in even_ticks(up.low, up.high):
        drawing.line((LEFT, up.at(tick)), (RIGHT, up.at(tick)), "grid")
        drawing.text((LEFT - 8, up.at(tick) + 5), tick_text(tick), "small end")
    for tick in even_ticks(across.low, across.high):
        drawing.line((across.at(tick), BOTTOM), (across.at(tick), BOTTOM + 5), "rule")
        drawing.text((across.at(tick), BOTTOM + 21), tick_text(tick), "small middle")
    drawing.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "rule")
    drawing.line((LEFT, up.at(critical)), (RIGHT, up.at(critical)), "null")
    drawing.text((RIGHT, up.at(critical) - 6), say("watch_signal"), "small end")
    points = [(across.at(look.expected), up.at(look.statistic)) for look in looks]
    drawing.path(points, "curve g0")
    for x, y in points:
        drawing.box((x - DOT, y - DOT), (2 * DOT, 2 * DOT), "point")
    middle = (LEFT + RIGHT) / 2
    drawing.text((middle, BOTTOM + 44), say("watch_across"), "small middle")
    drawing.text((LEFT, 18), say("watch_up", name=name), "strong")
    return drawing
