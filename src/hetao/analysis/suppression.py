"""Which counts of a finding may be shown, so that no small one is given back.

A cell is small from 1 to `smallest - 1`. What is hidden becomes None, together with
whatever would give it back by subtraction from what is shown.

KNOWN GAP: each finding is looked at alone; two findings of one study over nearly the
same people can still be subtracted from each other, and so can the numbers at risk at
two neighbouring steps of a survival curve, which tell how many left without an event.
The survival that is shown stays exact, so the counts of merged steps can be searched
for. A regression is shown whole: where it is saturated in two categories, their small
cells over all sites together follow from its estimates.
"""

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

Payload = dict[str, Any]


def shown_payload(payload: Mapping[str, Any], smallest: int) -> tuple[Payload, bool]:
    """Return a finding's payload without small cells, and whether any was withheld."""
    shown = copy.deepcopy(dict(payload))
    if smallest <= 1:
        return shown, False
    match payload["model"]:
        case "counts":
            _hide_steps(shown["steps"], smallest)
        case "table1":
            _hide_table(shown, smallest)
        case "km":
            _hide_curves(shown, smallest)
        case _:
            _hide_totals(shown, smallest)
    return shown, shown != payload


def hidden(counts: Sequence[int], smallest: int) -> list[bool]:
    """Return which of some counts with a known total must be hidden.

    Small ones are; if there are any, so are further ones, the smallest first, until
    two or more are hidden and the hidden ones together are not small themselves.
    """
    mask = [_is_small(count, smallest) for count in counts]
    if not any(mask):
        return mask
    rest = sorted(
        (i for i, is_hidden in enumerate(mask) if not is_hidden),
        key=lambda i: (counts[i] == 0, counts[i]),
    )
    for place in rest:
        together = sum(
            c for c, is_hidden in zip(counts, mask, strict=True) if is_hidden
        )
        if sum(mask) >= 2 and together >= smallest:
            break
        mask[place] = True
    return mask


def _is_small(count: float | None, smallest: int) -> bool:
    return count is not None and 0 < count < smallest


def _hide_totals(payload: Payload, smallest: int) -> None:
    for key in ("n", "events"):
        if _is_small(payload.get(key), smallest):
            payload[key] = None


# --- attrition ----------------------------------------------------------------------
def _hide_steps(steps: list[Payload], smallest: int) -> None:
    """Show the last step, the first, then others that differ by nothing or enough."""
    counts = [step["n"] for step in steps]
    last = len(counts) - 1
    seen: list[int] = []
    for place in dict.fromkeys([last, 0, *range(last, 0, -1)]):
        n = counts[place]
        close = any(_is_small(abs(n - other), smallest) for other in seen)
        if _is_small(n, smallest) or close:
            steps[place]["n"] = None
        else:
            seen.append(n)
    for before, after in itertools.pairwise(steps):
        if before["n"] is None or after["n"] is None:
            after["removed"] = None


# --- tables -------------------------------------------------------------------------
def _hide_table(payload: Payload, smallest: int) -> None:
    rows = payload["rows"]
    sizes = [cell["count"] for cell in rows[0]["by_group"]]
    groups = hidden(sizes, smallest)
    blocks: dict[str, list[Payload]] = {}
    for row in rows:
        blocks.setdefault(row["variable"], []).append(row)
    for block in blocks.values():
        touched = False
        for place, is_hidden in enumerate(groups):
            cells = [row["by_group"][place] for row in block]
            if is_hidden:
                _empty(cells)
                touched = True
            else:
                touched |= _hide_cells(cells, smallest, alone=block is blocks[""])
        for row in block:
            if touched and (any(groups[:2]) or "count" in row["by_group"][0]):
                row["smd"] = None


def _empty(cells: list[Payload]) -> None:
    for cell in cells:
        cell.update(dict.fromkeys(cell))


def _hide_cells(cells: list[Payload], smallest: int, alone: bool) -> bool:
    """Hide the small cells of one variable in one group whose size is shown."""
    if alone:
        return False
    if "count" in cells[0]:
        mask = hidden([cell["count"] for cell in cells], smallest)
        _empty([cell for cell, is_hidden in zip(cells, mask, strict=True) if is_hidden])
        if any(mask):  # a share of the known would give the hidden number known back
            for cell in cells:
                cell["percent"] = None
        return any(mask)
    cell = cells[0]
    if not any(hidden([cell["n"], cell["missing"]], smallest)):
        return False
    if _is_small(cell["n"], smallest):
        cell["mean"] = cell["sd"] = None
    people = cell["n"] + cell["missing"]
    for key in ("mean", "sd"):  # exact, a mean of whole numbers tells of how many
        cell[key] = _coarse(cell[key], people)
    cell["n"] = cell["missing"] = None
    return True


def _coarse(value: float | None, people: int) -> float | None:
    """Return a number to three digits, and to no finer than two people's share of one.

    Then every count that may be hidden has a whole total that rounds to this mean.
    """
    if value is None or value == 0:
        return value
    digits = math.floor(math.log10(abs(value))) - 2
    shares = math.ceil(math.log10(2 / people))
    return round(value, -max(digits, shares))


# --- survival curves ----------------------------------------------------------------
def _hide_curves(payload: Payload, smallest: int) -> None:
    curves = payload["curves"]
    mask = hidden([curve["n"] for curve in curves], smallest)
    few = hidden([sum(curve["events"]) for curve in curves], smallest)
    for curve, no_people, no_events in zip(curves, mask, few, strict=True):
        if no_people:
            curve["n"] = None
        _merge_steps(
            curve, 0 if no_people or no_events else len(curve["time"]), smallest
        )
    if any(mask) or any(few):
        payload.pop("logrank", None)
    _hide_totals(payload, smallest)


def _merge_steps(curve: Payload, steps: int, smallest: int) -> None:
    """Keep the steps at which enough events have come together, all still exact."""
    kept: list[tuple[int, int, int]] = []  # place, people at risk, events
    first, events = 0, 0
    for place in range(steps):
        if curve["at_risk"][place] < smallest:
            break
        events += curve["events"][place]
        if events >= smallest:
            kept.append((place, curve["at_risk"][first], events))
            first, events = place + 1, 0
    if _is_small(sum(curve["events"]) - sum(count for _, _, count in kept), smallest):
        kept = kept[:-1]  # the total would give the last few events back
    places = [place for place, _, _ in kept]
    for key in ("time", "survival", "se"):
        curve[key] = [curve[key][place] for place in places]
    if len(places) < steps or steps == 0:
        halved = [
            t for t, s in zip(curve["time"], curve["survival"], strict=True) if s <= 0.5
        ]
        curve["median"] = halved[0] if halved else None
    curve["at_risk"] = [at_risk for _, at_risk, _ in kept]
    curve["events"] = [count for _, _, count in kept]
