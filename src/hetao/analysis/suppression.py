"""Which counts of a finding may be shown, so that no small one is given back.

A cell is small from 1 to `smallest - 1`. What is hidden becomes None, together with
whatever would give it back by subtraction from what is shown.

KNOWN GAP: each finding is looked at alone; two findings of one study over nearly the
same people can still be subtracted from each other, and so can the numbers at risk at
two neighbouring steps of a survival curve, which tell how many left without an event.
The survival that is shown stays exact, so the counts of merged steps can be searched
for. A regression is shown whole: where it is saturated in two categories, their small
cells over all sites together follow from its estimates, and so do those of a category
from its balance before weighting.
"""

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hetao.analysis.curves import restricted_mean_between
from hetao.analysis.discrimination import group_of

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
        case "logrank":
            _hide_groups(shown, smallest)
        case "meta" | "profile":
            shown["sites"] = shown["sites"] if shown["show_sites"] else None
            _hide_totals(shown, smallest)
        case (
            "quantiles"
            | "rates"
            | "performance"
            | "indicators"
            | "boosted_trees"
            | "neural_network"
        ) as model:
            hide = {
                "quantiles": _hide_quantiles,
                "rates": _hide_rates,
                "performance": _hide_performance,
                "indicators": _hide_periods,
                "boosted_trees": _hide_trees,
                "neural_network": _hide_network,
            }
            hide[model](shown, smallest)
        case "ipw" | "g_computation" | "aipw" | "ps_strata":
            _hide_effect(shown, smallest)
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
    if "baseline" in payload:
        _hide_baseline(payload["baseline"], smallest)
    if payload.get("score"):
        _hide_score(payload, smallest)
        if payload.get("strata"):
            _hide_strata(payload, smallest)
    for one in (payload, *payload.get("pairs", ())):  # of a screen
        for key in ("n", "events"):
            if _is_small(one.get(key), smallest):
                one[key] = None
    _hide_close(payload.get("pairs", ()), smallest)


def _hide_close(pairs: Sequence[Payload], smallest: int) -> None:
    """Hide counts of a screen that differ by few people from one that is shown.

    Pairs with an exposure or an outcome in common are of the same people, but for those
    who lack the other; events can be subtracted of one outcome alone.
    """
    for key, shared in (("n", ("exposure", "outcome")), ("events", ("outcome",))):
        seen: dict[tuple[str, Any], set[int]] = {}
        for one in pairs:
            if one.get(key) is None:
                continue
            alike = [seen.setdefault((name, one[name]), set()) for name in shared]
            others = set().union(*alike)
            if any(_is_small(abs(one[key] - other), smallest) for other in others):
                one[key] = None
            else:
                for counts in alike:
                    counts.add(one[key])


def _hide_baseline(curves: list[Payload], smallest: int) -> None:
    """Keep the steps of a hazard at which enough events have come together.

    What it adds at a step divides events by a sum over all at risk, each counting by
    their own covariates, so the hazard that is kept gives no count back.
    """
    few = hidden([sum(curve["events"]) for curve in curves], smallest)
    for curve, is_hidden in zip(curves, few, strict=True):
        steps = 0 if is_hidden else len(curve["time"])
        alone = {**curve, "at_risk": [smallest] * len(curve["time"])}
        kept = _kept_steps(alone, steps, smallest)
        for key in ("time", "cumhaz"):
            curve[key] = [curve[key][place] for _, place, _ in kept]
        curve["events"] = [count for _, _, count in kept]


# --- effects ------------------------------------------------------------------------
def _hide_effect(payload: Payload, smallest: int) -> None:
    """Hide small arms, their few events, and small bins of the score's histogram.

    A mean risk of the treated is a share of their events, so no mean is shown where
    a number of events is not.
    """
    arms = payload["arms"]
    if any(hidden([arm["n"] for arm in arms], smallest)):
        _empty_but(arms, ("arm",))
    elif payload.get("events") is not None and any(
        any(hidden(_events_of(arm, payload), smallest)) for arm in arms
    ):
        _empty_but(arms, ("arm", "n", "ess"))
        payload["events"] = None
    _hide_overlap(payload, smallest)
    _hide_strata(payload, smallest)
    for key in ("n", "events"):
        if _is_small(payload.get(key), smallest):
            payload[key] = None


def _hide_strata(payload: Payload, smallest: int) -> None:
    """Hide the cells of all strata where one of them is small.

    The arms' totals are shown, so that a cell could be worked out from the others.
    """
    strata = payload.get("strata", [])
    cells = [n for one in strata for n in one["n"]]
    for one in strata:
        if one["events"] is not None:
            pairs = zip(one["n"], one["events"], strict=True)
            cells += [m for n, e in pairs for m in (e, n - e)]
    arm = payload["arms"][0]
    if any(hidden(cells, smallest)) or arm.get("mean", arm["events"]) is None:
        _empty_but(strata, ("from", "to"))


def _events_of(arm: Payload, payload: Payload) -> list[int]:
    """Return an arm's events, and those without one where a person has at most one."""
    is_risk = payload["terms"][0]["name"] == "risk_difference"
    return [arm["events"], *([arm["n"] - arm["events"]] if is_risk else [])]


def _hide_overlap(payload: Payload, smallest: int) -> None:
    for counts in payload["overlap"]:
        mask = hidden(counts, smallest)
        counts[:] = [None if m else c for c, m in zip(counts, mask, strict=True)]


def _hide_score(payload: Payload, smallest: int) -> None:
    """Hide small arms, and few events within either, of a model weighted by a score."""
    arms = payload["arms"]
    has_events = all("events" in arm for arm in arms)
    if any(hidden([arm["n"] for arm in arms], smallest)):
        _empty_but(arms, ("arm",))
    elif has_events and any(
        any(hidden([arm["events"], arm["n"] - arm["events"]], smallest)) for arm in arms
    ):
        _empty_but(arms, ("arm", "n", "ess"))
        payload["events"] = None
    _hide_overlap(payload, smallest)
    matching = payload.get("matching")
    treated = arms[1].get("n")
    others = arms[0].get("n")
    left = None  # events of those who found no match
    if has_events and payload["events"] is not None and arms[0]["events"] is not None:
        left = sum(arm["events"] for arm in arms) - payload["events"]
    if matching and (
        treated is None
        or any(hidden([matching["sets"], treated - matching["sets"]], smallest))
        or _is_small(others - (payload["n"] - matching["sets"]), smallest)
        or _is_small(left, smallest)
    ):  # the matched and their effective number would give the few others back
        matching["sets"] = payload["n"] = payload["events"] = None
        for arm in arms:
            arm["ess"] = None


def _empty_but(cells: list[Payload], kept: Sequence[str]) -> None:
    for cell in cells:
        cell.update(dict.fromkeys(key for key in cell if key not in kept))


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


# --- tests --------------------------------------------------------------------------
def _hide_groups(payload: Payload, smallest: int) -> None:
    """Hide small groups, and what was observed and expected where events are few.

    The test itself stays: it is one number for at least two counts that are hidden.
    """
    groups = payload["groups"]
    for keys in (("n",), ("events", "observed", "expected")):
        mask = hidden([group[keys[0]] for group in groups], smallest)
        for group, is_hidden in zip(groups, mask, strict=True):
            if is_hidden:
                group.update(dict.fromkeys(keys))
    _hide_totals(payload, smallest)


# --- survival curves ----------------------------------------------------------------
def _hide_curves(payload: Payload, smallest: int) -> None:
    curves, merged = payload["curves"], payload.get("cells", {})
    mask = hidden([curve["n"] for curve in curves], smallest)
    few = hidden([sum(curve["events"]) for curve in curves], smallest)
    for curve, no_people, no_events in zip(curves, mask, few, strict=True):
        if no_people:
            curve["n"] = None
        steps = 0 if no_people or no_events else len(curve["time"])
        kept = _kept_steps(curve, steps, smallest)
        alone = 0 if merged else _alone(kept)  # a cell joins steps of its own
        horizon = payload.get("horizon")
        before = sum(merged != {} or t <= (horizon or 0) for t in curve["time"])
        _hide_mean(curve, kept, horizon if before > alone else None)
        _merge_steps(curve, kept, alone)
    if any(mask) or any(few):
        payload.pop("logrank", None)
    if any(mask) or any(few) or any(c.get("rmst", 0) is None for c in curves):
        payload.pop("contrasts", None)  # a difference tells what an arm's mean does
    if _is_small(merged.get("people", 0), smallest):  # an edge is a few people's time
        payload["cells"] = dict.fromkeys(merged)
    elif merged:  # and the last is when the last one left
        ends = {kind: of for kind, of in merged.items() if kind != "people"}
        payload["cells"] |= {kind: [*of[:-1], None] for kind, of in ends.items()}
    _hide_totals(payload, smallest)


Kept = list[tuple[int, int, int]]  # first of the steps that are joined, last, events


def _kept_steps(curve: Payload, steps: int, smallest: int) -> Kept:
    """Return the steps at which enough events have come together."""
    kept: Kept = []
    first, events = 0, 0
    for place in range(steps):
        if curve["at_risk"][place] < smallest and kept:
            break
        if curve["at_risk"][place] < smallest:
            return []  # of who enter late: each later survival has this step's factor
        events += curve["events"][place]
        if events >= smallest:
            kept.append((first, place, events))
            first, events = place + 1, 0
    if _is_small(sum(curve["events"]) - sum(count for _, _, count in kept), smallest):
        kept = kept[:-1]  # the total would give the last few events back
    return kept


def _hide_mean(curve: Payload, kept: Kept, horizon: float | None) -> None:
    """Replace the restricted mean by what the steps that are shown leave open.

    The exact one is an integral over every step, so beside the steps that are shown
    it is an equation for those that are not.

    Args:
        curve: with all steps.
        kept: those that are shown.
        horizon: None where none is hidden before it, nor in a cell that may begin
            before it: then the mean says nothing that the steps do not, and stays.
    """
    if horizon is None or curve["rmst"] is None:
        return
    curve["rmst"] = curve["rmst_se"] = None
    if kept:
        places = [place for _, place, _ in kept]
        time, survival = (np.array(curve[k])[places] for k in ("time", "survival"))
        least, most = restricted_mean_between(time, survival, horizon)
        curve["rmst_least"], curve["rmst_most"] = least, most


def _alone(kept: Kept) -> int:
    """Return how many first steps are shown one by one, up to the first joined one."""
    alone = itertools.takewhile(  # a thin first step that is left out is joined too
        lambda one: one[1][0] == one[1][1] == one[0], enumerate(kept)
    )
    return len(list(alone))


def _merge_steps(curve: Payload, kept: Kept, alone: int) -> None:
    """Show the kept steps, all still exact; the hazard only as far as none is joined.

    Survival and its error tell a product and a sum over the steps that are joined.
    The Nelson-Aalen hazard and its error would be two more sums over the same few
    numbers, enough to solve for them; the limits say nothing that the survival and
    its error do not.
    """
    places = [place for _, place, _ in kept]
    is_whole = 0 < alone == len(curve["time"])
    for key in ("time", "survival", "se", "lower", "upper"):
        curve[key] = [curve[key][place] for place in places]
    for key in ("cumhaz", "cumhaz_se"):
        known = [curve[key][place] for place in places[:alone]]
        curve[key] = known + [None] * (len(places) - alone)
    if not is_whole:
        for key, limit in (("", "survival"), ("_lower", "lower"), ("_upper", "upper")):
            curve[f"median{key}"] = _first_half(curve["time"], curve[limit])
    curve["at_risk"] = [curve["at_risk"][first] for first, _, _ in kept]
    curve["events"] = [count for _, _, count in kept]


def _first_half(times: Sequence[float], values: Sequence[float | None]) -> float | None:
    pairs = zip(times, values, strict=True)
    return next((t for t, v in pairs if v is not None and v <= 0.5), None)


# --- quantiles ----------------------------------------------------------------------
def _hide_quantiles(payload: Payload, smallest: int) -> None:
    """Hide intervals of few people, and of each how many it holds.

    How many lie in an interval is always hidden: beside a narrower or a neighbouring
    one it would tell of few. So the bins of the sums stay hidden too.
    """
    groups = hidden(payload["people"], smallest)
    for g, is_hidden in enumerate(groups):
        if is_hidden:
            payload["people"][g] = None
        for row in payload["rows"]:
            cell = row["by_group"][g]
            few = is_hidden or _is_small(cell["n"], smallest)
            cell["quantiles"] = [
                {key: one[key] for key in ("p", "low", "high")}
                for one in cell["quantiles"]
                if not few and one["people"] >= smallest
            ]
            if is_hidden or any(hidden([cell["n"], cell["missing"]], smallest)):
                cell["n"] = cell["missing"] = None


# --- rates --------------------------------------------------------------------------
CELL = ("n", "events", "time", "rate", "lower", "upper")
ENOUGH = 3  # hidden strata that the standardised rate and its limits do not tell


def _hide_rates(payload: Payload, smallest: int) -> None:
    """Hide groups of few people or events, and every stratum of a group with few.

    A standardised rate and its limits are three equations for what the strata hold.
    With their sums, they would give two hidden strata back; with three or more hidden,
    there are more unknown counts and times than equations.
    """
    groups = payload["groups"]
    gone = _either(groups, smallest)
    for group, is_hidden in zip(groups, gone, strict=True):
        strata = group["strata"]
        if is_hidden:
            group.update(dict.fromkeys(CELL), standardised=None)
        if strata and (is_hidden or any(_either(strata, smallest))):
            for stratum in strata:
                stratum.update(dict.fromkeys(CELL))
            if len(strata) < ENOUGH:
                group["standardised"] = None
    lost = {g["label"] for g, is_hidden in zip(groups, gone, strict=True) if is_hidden}
    thin = {
        g["label"]
        for g in groups
        if len(g["strata"]) < ENOUGH and any(s["n"] is None for s in g["strata"])
    }
    for one in payload["comparisons"]:
        pair = {one["group"], one["against"]}
        if pair & (lost | thin):
            one["adjusted"] = None
        if pair & lost:
            one.update(dict.fromkeys(one.keys() - {"group", "against"}))
    _hide_totals(payload, smallest)


# --- indicators ---------------------------------------------------------------------
def _hide_periods(payload: Payload, smallest: int) -> None:
    """Hide periods of few people, with or without the event; then what sums them.

    The trend, its error and the centre are equations for what the periods hold.
    """
    gone = False
    for period in payload["periods"]:
        n, events = period["n"], period.get("events")
        without = None if events is None else n - events
        if any(_is_small(count, smallest) for count in (n, events, without)):
            period.update(dict.fromkeys(period.keys() - {"label"}))
            gone = True
    if gone:
        # where each row is a person, n less the periods shown is the hidden one's
        payload.update(centre=None, trend=None, n=None)
        for period in payload["periods"]:
            period.update(control_low=None, control_high=None)
    _hide_totals(payload, smallest)


def _either(cells: Sequence[Payload], smallest: int) -> list[bool]:
    """Return which cells must be hidden, for their people or for their events."""
    people = hidden([cell["n"] for cell in cells], smallest)
    events = hidden([cell["events"] for cell in cells], smallest)
    return [a or b for a, b in zip(people, events, strict=True)]


# --- performance --------------------------------------------------------------------
def _hide_performance(payload: Payload, smallest: int) -> None:
    """Keep the cuts between any two of which nobody or enough people lie, by outcome.

    Thresholds that were asked for come first, then the ends of the calibration's
    groups, then the rest of the curve; groups whose end is hidden are joined. Bins are
    never shown: some hold few people, and so do the fine ones that a round counted.
    """
    payload["bins"] = None
    n1, n0 = payload["events"], payload["n"] - payload["events"]
    if any(hidden([n1, n0], smallest)):
        payload["events"] = None
        payload["roc"], payload["calibration"], payload["thresholds"] = [], [], []
        # the area is a share of n1 n0 pairs and gives n1 back; so does, beside the
        # Brier score, the scaled one; of few people no mean is shown at all
        payload["terms"], payload["auc"], payload["loglik"] = [], {}, None
        _hide_totals(payload, smallest)
        return
    counts = {one["cut"]: (one["tp"], one["fp"]) for one in payload["roc"]}
    ends = [group["high"] for group in payload["calibration"][:-1]]
    asked = [row["threshold"] for row in payload["thresholds"]]
    order = dict.fromkeys([*(cut for cut in asked if cut in counts), *ends, *counts])
    seen, kept = [(0, 0), (n1, n0)], set()
    for cut in order:
        pairs = [zip(counts[cut], other, strict=True) for other in seen]
        if not any(_is_small(abs(a - b), smallest) for pair in pairs for a, b in pair):
            seen.append(counts[cut])
            kept.add(cut)
    payload["roc"] = [one for one in payload["roc"] if one["cut"] in kept]
    for row in payload["thresholds"]:
        if row["threshold"] not in kept:
            row.update(dict.fromkeys(row.keys() - {"threshold"}))
    payload["calibration"] = _joined(payload["calibration"], kept)


def _joined(groups: list[Payload], kept: set[float]) -> list[Payload]:
    """Return the groups, each joined with the next ones until its end is shown."""
    found: list[Payload] = []
    open_groups: list[Payload] = []
    for group in groups:
        open_groups.append(group)
        if group["high"] in kept or group is groups[-1]:
            sums = [sum(g[key] for g in open_groups) for key in ("n", "events")]
            predicted = sum(g["predicted"] * g["n"] for g in open_groups)
            between = (open_groups[0]["low"], group["high"])
            one = group if len(open_groups) == 1 else None
            found.append(one or group_of(between, (sums[0], sums[1], predicted)))
            open_groups = []
    return found


def _hide_network(payload: Payload, smallest: int) -> None:
    """Hide what measures a network as of any prediction; its weights are shown."""
    if _is_small(payload["learned"], smallest):
        payload["learned"] = None
    if "events" in payload:
        _hide_performance(payload, smallest)
    _hide_totals(payload, smallest)


def _hide_trees(payload: Payload, smallest: int) -> None:
    """Round what leaves add and columns gain: exact, they are equations for counts.

    KNOWN GAP: with the base rate, the first tree's leaves still leave few choices for
    the events among learners (docs/security/threats.md).
    """
    for node in itertools.chain(*payload["trees"]):
        if "value" in node:
            node["value"] = float(f"{node['value']:.3g}")
    for row in payload["importance"]:
        row["gain"] = round(row["gain"], 3)
    if _is_small(payload["learned"], smallest):
        payload["learned"] = None
    if "events" in payload:
        _hide_performance(payload, smallest)
        return
    payload["bins"] = None
    _hide_totals(payload, smallest)
