"""The flow of people through the criteria, as trial reports draw it (CONSORT)."""

from collections.abc import Sequence

from hetao.report.drawing import Drawing, wrapped
from hetao.report.sentences import Said, joined, say
from hetao.report.tables import Step

WIDTH, BOX, SIDE = 860.0, 520.0, 250.0  # of the figure, its boxes, those beside
LABEL = 26.0  # width of a label, in font sizes
LINE, PAD, GAP = 17.0, 9.0, 38.0
HEAD = 5.0  # half the width of an arrow's head


def draw_flow(key: str, title: Said, steps: Sequence[Step]) -> Drawing:
    """Return one box a step with the people left; beside each arrow who left there.

    Args:
        key: unique in the page.
        title: what it shows.
        steps: in the order of their carrying out.
    """
    labels = [wrapped(step.label, LABEL, 3) for step in steps]
    heights = [2 * PAD + LINE * len(lines) for lines in labels]
    size = (WIDTH, 2 + sum(heights) + GAP * max(len(steps) - 1, 0))
    counts = (say("named", label=step.label, text=step.n) for step in steps)
    about = joined("list", counts) or say("flow_none")
    drawing = Drawing(key, size, (title, about))
    y = 1.0
    for i, (step, lines, height) in enumerate(zip(steps, labels, heights, strict=True)):
        if i:
            _arrow(drawing, y, step.removed)
            y += GAP
        drawing.box((1, y), (BOX, height), "frame")
        for line, text in enumerate(lines):
            drawing.text((12, y + PAD + 13 + LINE * line), text, "label")
        drawing.text((BOX - 11, y + height / 2 + 5), step.n, "strong end")
        y += height
    return drawing


def _arrow(drawing: Drawing, top: float, removed: str) -> None:
    """Draw the way down to the next box, and the way out of it."""
    middle, end, side = BOX / 2, top + GAP, top + GAP / 2
    left = WIDTH - SIDE
    drawing.line((middle, top), (middle, end), "flow")
    drawing.path(
        [(middle - HEAD, end - 2 * HEAD), (middle, end), (middle + HEAD, end - 10)],
        "arrow",
        closed=True,
    )
    drawing.line((middle, side), (left, side), "flow")
    drawing.path(
        [(left - 2 * HEAD, side - HEAD), (left, side), (left - 10, side + HEAD)],
        "arrow",
        closed=True,
    )
    drawing.box((left, side - 14), (SIDE - 1, 28), "frame")
    drawing.text((left + 12, side + 5), say("flow_out"), "small")
    drawing.text((WIDTH - 12, side + 5), removed, "small end")
