"""Counts that people see, rounded; and what is worked out of counts, no finer.

A count is rounded to the nearest multiple of a base. A share is shown as a multiple of
the base over the rounded number it is a share of, a rate from rounded events, a mean
beside counts to three digits: so that none of them gives the exact count back.

Estimates of models stay exact. How well a model predicts is worked out of counts: an
area under a curve times both outcomes' numbers is a whole number, so it has three
digits, and so have the other measures of performance. Where a model has as many
parameters as there are cells, its estimates do give the cells back (docs/threats.md,
saturated regressions).

Source:
    Statistical disclosure control for outputs: OpenSAFELY's permitted results policy
    (counts rounded to 5, derived figures from rounded counts); ONS guidance.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hetao.analysis.discrimination import group_of, threshold_of
from hetao.analysis.poisson_limits import rate_limits

Payload = dict[str, Any]

COUNTS: Final = {
    "n",
    "events",
    "count",
    "missing",
    "removed",
    "at_risk",
    "observed",
    "people",
    "learned",
    "tp",
    "fp",
    "sets",
    "overlap",
}
DIGITS: Final = 3  # of a number that is worked out of counts


def round_counts(payload: Payload, base: int) -> None:
    """Round every count of a finding's payload, and what follows from counts.

    Args:
        payload: as suppression left it; changed in place.
        base: what counts become multiples of; 1 leaves everything as it is.
    """
    if base <= 1:
        return
    people = payload.get("n")
    _walk(payload, base)
    if payload["model"] in _DERIVED:
        _DERIVED[payload["model"]](payload, base)
    if "prediction" in payload:
        _round_measures(payload)
    if "roc" in payload:
        _round_performance(payload)
    if payload.get("df") is not None and people is not None:
        payload["df"] = payload["n"] - (people - payload["df"])
    for arm in payload.get("arms", ()):
        arm["ess"] = _digits(arm.get("ess"))


def rounded(count: float, base: int) -> int:
    """Return a count as the nearest multiple of `base`, halves upwards."""
    return base * math.floor(count / base + 0.5)


def _walk(value: Any, base: int) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in COUNTS and not isinstance(inner, dict):
                value[key] = _all_rounded(inner, base)
            else:
                _walk(inner, base)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner, base)


def _all_rounded(value: Any, base: int) -> Any:
    if isinstance(value, list):
        return [_all_rounded(inner, base) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return rounded(value, base)
    return value


def _digits(value: float | None, digits: int = DIGITS) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}")


def _share(value: float | None, of: float | None, base: int) -> float | None:
    """Return a share as so many times the base out of the rounded whole."""
    if value is None or not of:
        return None
    return min(1.0, rounded(value * of, base) / of)


def _interval(
    cell: Payload, keys: Sequence[str], of: float | None, base: int, scale: float = 1
) -> None:
    for key in keys:
        value = cell.get(key)
        part = _share(None if value is None else value / scale, of, base)
        cell[key] = None if part is None else part * scale


# --- tables -------------------------------------------------------------------------
def _round_steps(payload: Payload, _: int) -> None:
    for before, after in itertools.pairwise(payload["steps"]):
        if after["removed"] is not None:
            after["removed"] = before["n"] - after["n"]


def _round_table(payload: Payload, base: int) -> None:
    """Shares of rounded groups; means, spreads and differences to a few digits."""
    rows = payload["rows"]
    sizes = [cell["count"] for cell in rows[0]["by_group"]]
    together = sum(n for n in sizes if n is not None)
    for row in rows:
        for cell, size in zip(row["by_group"], sizes, strict=True):
            of = together if row is rows[0] else size
            _interval(cell, ["percent"] if "percent" in cell else [], of, base, 100)
            for key in ("mean", "sd"):
                if key in cell:
                    cell[key] = _digits(cell[key])
        row["smd"] = _digits(row["smd"], 2)


# --- survival -----------------------------------------------------------------------
def _round_curves(payload: Payload, base: int) -> None:
    for curve in payload["curves"]:
        for key in ("survival", "lower", "upper"):
            curve[key] = [_share(value, curve["n"], base) for value in curve[key]]
        for key in curve.keys() & {"se", "cumhaz", "cumhaz_se"}:
            curve[key] = [_digits(value, 2) for value in curve[key]]
        for key in curve.keys() & {"rmst", "rmst_se", "rmst_least", "rmst_most"}:
            curve[key] = _digits(curve[key])


def _round_groups(payload: Payload, _: int) -> None:
    for group in payload["groups"]:
        group["expected"] = _digits(group["expected"], 2)


# --- rates --------------------------------------------------------------------------
def _round_rates(payload: Payload, _: int) -> None:
    for group in payload["groups"]:
        for cell in (group, *group["strata"]):
            _round_rate(cell)
        _few_digits(group["standardised"])
    for one in payload["comparisons"]:
        _few_digits(one)


def _round_rate(cell: Payload) -> None:
    if cell["time"] is None or cell["events"] is None:
        return
    before = cell["events"] / cell["time"] if cell["time"] else None
    cell["time"] = _digits(cell["time"])
    if before is None or not cell["rate"]:
        return
    rate, lower, upper = rate_limits(cell["events"], cell["time"])
    cell.update(rate=_digits(rate), lower=_digits(lower), upper=_digits(upper))


def _few_digits(cell: Payload | None) -> None:
    for key, value in (cell or {}).items():
        if isinstance(value, float):
            cell[key] = _digits(value)  # type: ignore[index]
        elif isinstance(value, dict):
            _few_digits(value)


# --- indicators ---------------------------------------------------------------------
def _round_periods(payload: Payload, base: int) -> None:
    limits = ("value", "lower", "upper")
    for period in payload["periods"]:
        if payload["is_share"]:
            _interval(period, limits, period["n"], base)
        _few_digits(period)
    payload["centre"] = _digits(payload["centre"])


# --- effects ------------------------------------------------------------------------
def _round_strata(payload: Payload, _: int) -> None:
    for stratum in payload["strata"]:
        for key in ("difference", "se"):
            stratum[key] = _digits(stratum.get(key))


# --- performance --------------------------------------------------------------------
def _round_measures(payload: Payload) -> None:
    """Give measures of predictions, and the share that trees begin from, few digits."""
    for cell in (*payload.get("terms", ()), payload.get("auc")):
        _few_digits(cell)
    for key in payload.keys() & {"loglik", "base"}:
        payload[key] = _digits(payload[key])


def _round_performance(payload: Payload) -> None:
    """Work thresholds and calibration out again, of rounded counts."""
    payload["bins"] = None
    if payload["events"] is None or payload["n"] is None:
        return
    people = (payload["events"], payload["n"] - payload["events"])
    for row in payload["thresholds"]:
        if row["tp"] is not None:
            row.update(threshold_of(row["threshold"], (row["tp"], row["fp"]), people))
    payload["calibration"] = [
        group_of(
            (group["low"], group["high"]),
            (group["n"], group["events"], group["predicted"] * group["n"]),
        )
        for group in payload["calibration"]
        if group["n"]
    ]
    for group in payload["calibration"]:
        group["predicted"] = _digits(group["predicted"])


_DERIVED: Final[Mapping[str, Callable[[Payload, int], None]]] = {
    "counts": _round_steps,
    "table1": _round_table,
    "km": _round_curves,
    "logrank": _round_groups,
    "rates": _round_rates,
    "indicators": _round_periods,
    "ps_strata": _round_strata,
}
