"""Kaplan-Meier curves as steps with bands, and how many are at risk, in inline SVG."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetao.report.drawing import Drawing, Scale, even_ticks, shortened
from hetao.report.forest import tick_text
from hetao.report.labels import language_of
from hetao.report.numerals import DASH, count_text, fixed_text, number_of
from hetao.report.sentences import Said, joined, same, say

WIDTH, HEIGHT, LEFT, RIGHT, FOOT = 860.0, 340.0, 62.0, 845.0, 52.0
COLOURS = 6  # of the page's style; further curves differ by their dashes
MOST_BANDS = 6  # more bands than that hide the curves


@dataclass(frozen=True)
class Step:
    """One step of a curve: survival just after `time`, with limits if there are any."""

    time: float
    survival: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Curve:
    """One group's curve.

    Attributes:
        label: the group.
        steps: shown steps in order of time; empty where too few events may be shown.
        at_risk: for each tick of the page's table, a count or a dash.
        shares, hazards: for each tick, survival with its limits and the Nelson-Aalen
            cumulative hazard at the last step shown by then.
    """

    label: str
    steps: tuple[Step, ...]
    at_risk: tuple[str, ...] = ()
    shares: tuple[Said, ...] = ()
    hazards: tuple[str, ...] = ()


def ticks_of(curves: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the times to mark, from 0 to the last step that is shown."""
    last = max((t for curve in curves for t in _numbers(curve, "time")), default=0.0)
    return even_ticks(0.0, last, 8) if last > 0 else [0.0]


def curve_of(payload: Mapping[str, Any], ticks: Sequence[float], few: str) -> Curve:
    """Return a finding's curve; `few` stands for a count that is not shown."""
    times, survivals = _numbers(payload, "time"), _numbers(payload, "survival")
    ends = ([number_of(x) for x in payload.get(k, ())] for k in ("lower", "upper"))
    at_risk = list(payload.get("at_risk", ()))
    steps = tuple(map(Step, times, survivals, *ends))
    n = payload.get("n")
    counts = [few if n is None else count_text(n)]
    for tick in ticks[1:]:
        later = [c for t, c in zip(times, at_risk, strict=False) if t >= tick]
        counts.append(count_text(later[0]) if later else DASH)
    hazards = list(payload.get("cumhaz", ()))
    last = [bisect.bisect_right(times, tick) - 1 for tick in ticks]
    return Curve(
        str(payload.get("stratum", "")),
        steps,
        tuple(counts),
        tuple(_share(steps[i]) if i >= 0 else same(DASH) for i in last),
        tuple(fixed_text(hazards[i], 3) if i >= 0 else DASH for i in last),
    )


def _share(step: Step) -> Said:
    share = f"{100 * step.survival:.1f}%"
    if step.lower is None or step.upper is None:
        return same(share)
    lower, upper = (f"{100 * end:.1f}" for end in (step.lower, step.upper))
    return say("interval", middle=share, lower=lower, upper=upper)


def _numbers(payload: Mapping[str, Any], key: str) -> list[float]:
    return [float(value) for value in payload.get(key, ())]


def draw_curves(
    key: str, title: Said, axis: str, curves: Sequence[Curve], ticks: Sequence[float]
) -> Drawing:
    """Return the figure: curves as steps, shaded 95% bands, a legend above."""
    legend = 22.0 * math.ceil(len(curves) / 2) + 12
    last = max((s.time for c in curves for s in c.steps), default=1.0)
    across = Scale(0.0, max(last, *ticks), LEFT, RIGHT)
    up = Scale(0.0, 1.0, legend + HEIGHT, legend + 8)
    about = joined("list", map(_about, curves)) or say("km_none")
    drawing = Drawing(key, (WIDTH, legend + HEIGHT + FOOT), (title, about))
    _grid(drawing, across, up, ticks)
    drawing.text(
        ((LEFT + RIGHT) / 2, up.left + 44),
        shortened(axis, 60),
        "small middle",
        language_of(axis),
    )
    for i, curve in enumerate(curves):
        kind = f"g{i % COLOURS} d{i // COLOURS % 4}"
        x, y = LEFT + (i % 2) * 395, 16 + 22.0 * (i // 2)
        drawing.line((x, y - 4), (x + 30, y - 4), f"curve {kind}")
        name = shortened(curve.label, 25)
        drawing.text((x + 38, y), name, "label", language_of(name))
        if len(curves) <= MOST_BANDS:
            drawing.path(_band(curve, across, up), f"band {kind}", closed=True)
        drawing.path(_stairs(curve, across, up), f"curve {kind}")
    return drawing


def _about(curve: Curve) -> Said:
    text = say("km_no_step")
    if curve.steps:
        last = curve.steps[-1]
        share, time = f"{100 * last.survival:.0f}%", tick_text(last.time)
        text = say("km_last", share=share, time=time)
    return say("named", label=curve.label, text=text)


def _grid(drawing: Drawing, across: Scale, up: Scale, ticks: Sequence[float]) -> None:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = up.at(share)
        drawing.line((LEFT, y), (RIGHT, y), "grid" if share else "rule")
        drawing.text((LEFT - 8, y + 5), f"{100 * share:.0f}%", "small end")
    for tick in ticks:
        x = across.at(tick)
        drawing.line((x, up.left), (x, up.left + 5), "rule")
        drawing.text((x, up.left + 21), tick_text(tick), "small middle")


def _stairs(curve: Curve, across: Scale, up: Scale) -> list[tuple[float, float]]:
    if not curve.steps:
        return []
    points = [(across.at(0.0), up.at(1.0))]
    for step in curve.steps:
        x = across.at(step.time)
        points += [(x, points[-1][1]), (x, up.at(step.survival))]
    return points


def _band(curve: Curve, across: Scale, up: Scale) -> list[tuple[float, float]]:
    """Return the outline between the limits, as far as there are any."""
    upper = [(across.at(0.0), up.at(1.0))]
    lower = [(across.at(0.0), up.at(1.0))]
    for step in curve.steps:
        x = across.at(step.time)
        upper.append((x, upper[-1][1]))
        lower.append((x, lower[-1][1]))
        if step.lower is None or step.upper is None:
            break
        upper.append((x, up.at(step.upper)))
        lower.append((x, up.at(step.lower)))
    return upper + lower[::-1] if len(upper) > 2 else []
