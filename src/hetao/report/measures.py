"""Findings that are plain tables of numbers: quantiles, rates, meta-analyses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hetao.report.drawing import Drawing
from hetao.report.forest import Row
from hetao.report.forest_sites import Pooled, SiteRow, draw_sites
from hetao.report.heads import Own
from hetao.report.labels import INTERCEPT, event_label, term_label, variable_label
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    interval_texts,
    number_of,
    p_sentence,
    p_text,
    percent_text,
    ratio_of,
    short_text,
)
from hetao.report.tables import NOT_SHOWN
from hetao.study import SITE, Analysis, Study
from hetao.study.methods import METHODS

Z = 1.959964  # of a 95% interval
PER = 1000  # units of person-time that a rate is shown for


@dataclass(frozen=True)
class MeasureTable:
    """One table: its caption, its column heads, and rows that start with a label.

    Attributes:
        is_fixed: whether the rows' labels are the page's own words, not the study's.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_fixed: bool = False


@dataclass(frozen=True)
class MeasuresView:
    """Tables of one finding, its figures if it has some, and what they show."""

    tables: tuple[MeasureTable, ...]
    figures: tuple[Drawing, ...] = ()
    caption: str = ""


def quantiles_of(
    study: Study, analysis: Analysis, payload: Mapping[str, Any], few: str
) -> tuple[MeasuresView, str]:
    """Return the view of a finding of quantiles and its sentence, as `rates_of`."""
    groups = tuple(map(str, payload.get("groups", ())))
    rows = [
        (
            variable_label(study, str(row["variable"])),
            *(_quartiles(cell, few) for cell in row["by_group"]),
            _half_width(row["by_group"]),
        )
        for row in payload.get("rows", ())
    ]
    by = f" by {variable_label(study, analysis.by)}" if analysis.by else ""
    caption = (
        f"Median (quartiles){by}. Each is the middle of an interval that holds the "
        "quantile, and enough people; ± says how far its ends are"
    )
    heads = ("", *map(Own, groups), "±")
    table = MeasureTable(caption, heads, tuple(rows))
    said = "; ".join(f"{row[0]} {row[1]}" for row in rows[:3] if groups)
    of = f" of “{groups[0]}”" if len(groups) > 1 else ""
    return MeasuresView((table,)), f"Median (quartiles){of}: {said or 'none'}."


def _quartiles(cell: Mapping[str, Any], few: str) -> str:
    found = {one["p"]: one for one in cell.get("quantiles") or ()}
    texts = [_middle(found.get(p)) for p in (0.5, 0.25, 0.75)]
    n = few if cell.get("n") is None else count_text(cell["n"])
    return f"{texts[0]} ({texts[1]} to {texts[2]}), n {n}" if found else NOT_SHOWN


def _middle(one: Mapping[str, Any] | None) -> str:
    """Return the middle of an interval in as many digits as its width allows."""
    if one is None:
        return NOT_SHOWN
    low, high = float(one["low"]), float(one["high"])
    decimals = 0 if high - low >= 1 else min(4, math.ceil(-math.log10(high - low)))
    return fixed_text((low + high) / 2, decimals)


def _half_width(cells: Sequence[Mapping[str, Any]]) -> str:
    widths = [
        (one["high"] - one["low"]) / 2
        for cell in cells
        for one in cell.get("quantiles") or ()
    ]
    return short_text(max(widths)) if widths else DASH


def meta_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[MeasuresView, str]:
    """Return the view of a meta-analysis and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: the figures' key in the page, and the text of a count that is hidden.
    """
    key, few = style
    measure = METHODS[analysis.model].ratio
    terms = list(payload.get("terms", ()))
    names = [str(term["name"]) for term in terms]
    pairs = [
        (term, term_label(study, name, names).full)
        for term, name in zip(terms, names, strict=True)
        if name != INTERCEPT
    ]
    tables = [_pooled(term, label, measure) for term, label in pairs]
    if payload.get("sites"):
        tables.append(_by_site(payload, [label for _, label in pairs], measure))
    k = count_text(payload.get("pooled_sites"))
    n = few if payload.get("n") is None else count_text(payload["n"])
    said = "; ".join(
        f"{label} {_scaled(term, ('estimate', 'lower', 'upper'), measure)}"
        for term, label in pairs[:3]
    )
    what = measure or "difference"
    sentence = (
        f"{what.capitalize()}s of {k} sites and {n} people, each fitted by itself, "
        f"pooled with random effects (REML, HKSJ): {said or 'none'}."
    )
    figures = tuple(
        figure
        for i, (term, label) in enumerate(pairs)
        for figure in _forest(f"{key}-{i}", label, (measure, names), term, payload)
    )
    return MeasuresView(tuple(tables), figures, DRAWN if figures else ""), sentence


def _forest(
    key: str,
    label: str,
    form: tuple[str, list[str]],
    term: Mapping[str, Any],
    payload: Mapping[str, Any],
) -> list[Drawing]:
    """Return the forest plot of one term over the sites that may be shown."""
    measure, names = form
    place, methods = names.index(str(term["name"])), list(term.get("methods") or ())
    if not methods:
        return []
    best = methods[-1]
    pooled = [_drawn("Fixed effect", methods[0], measure)]
    prediction = None
    if len(methods) > 1:
        random = {**best, **(best.get("hksj") or {}), "estimate": best["estimate"]}
        pooled.append(_drawn("Random effects (REML, HKSJ)", random, measure))
    if best.get("prediction"):
        ahead = {**best["prediction"], "estimate": best["estimate"]}
        row = _drawn("95% prediction interval", ahead, measure)
        prediction = replace(row, estimate=None, text=_range(ahead, measure))
    sites = [
        (str(one["site"]), one["estimate"][place], one["se"][place])
        for one in payload.get("sites") or ()
    ]
    weights = [1 / (se**2 + best["tau2"]) for _, _, se in sites]
    rows = [
        SiteRow(_drawn(site, _own_limits(estimate, se), measure), w / sum(weights))
        for (site, estimate, se), w in zip(sites, weights, strict=True)
    ]
    notes = [_heterogeneity(term)] if len(methods) > 1 else []
    if not sites:
        notes.append(
            "Each site's own estimate is not shown: the study does not ask for it "
            "(show_sites)."
        )
    what = measure or "difference"
    title = f"{label}: {what}s by site, pooled" if sites else f"{label}: pooled {what}s"
    return draw_sites(
        key,
        (title, what.capitalize()),
        rows,
        Pooled(tuple(pooled), prediction, tuple(notes)),
        bool(measure),
    )


def _drawn(label: str, found: Mapping[str, Any], measure: str) -> Row:
    keys = ("estimate", "lower", "upper")
    estimate, lower, upper = (number_of(found.get(key)) for key in keys)
    return Row(label, "", estimate, lower, upper, _scaled(found, keys, measure))


DRAWN = (
    "A square is as large as the site's weight in the random effects; a diamond "
    "reaches from limit to limit; the bar is where a further site's effect would lie."
)
EFFECTS = {
    "FE": "Fixed effect",
    "DL": "Random, DerSimonian-Laird",
    "PM": "Random, Paule-Mandel",
    "REML": "Random, REML",
}


def _pooled(term: Mapping[str, Any], label: str, measure: str) -> MeasureTable:
    rows = [
        (
            EFFECTS.get(str(one["method"]), str(one["method"])),
            _scaled(one, ("estimate", "lower", "upper"), measure),
            _scaled(
                {"estimate": one["estimate"], **(one.get("hksj") or {})},
                ("estimate", "lower", "upper"),
                measure,
            )
            if one.get("hksj")
            else DASH,
            _range(one.get("prediction"), measure),
            short_text(one.get("tau2")),
        )
        for one in term.get("methods") or ()
    ]
    caption = f"{label}. {_heterogeneity(term)}"
    heads = ("", f"{measure or 'difference'}".capitalize() + " (95% interval)")
    more = ("With HKSJ limits", "95% prediction interval", "τ²")
    return MeasureTable(caption, heads + more, tuple(rows), is_fixed=True)


def _heterogeneity(term: Mapping[str, Any]) -> str:
    limits = " to ".join(short_text(term.get(f"tau2_{k}")) for k in ("lower", "upper"))
    methods = list(term.get("methods") or ())
    tau2 = short_text(methods[-1].get("tau2")) if methods else DASH
    return (
        f"I² {percent_text(term.get('i2'))}; Q {fixed_text(term.get('q'), 1)} on "
        f"{count_text(term.get('q_df'))} df, {p_sentence(term.get('q_p'))}; "
        f"τ² {tau2} (95% interval {limits})"
    )


def _by_site(
    payload: Mapping[str, Any], labels: Sequence[str], measure: str
) -> MeasureTable:
    names = [str(term["name"]) for term in payload["terms"]]
    places = [i for i, name in enumerate(names) if name != INTERCEPT]
    rows = [
        (
            str(one["site"]),
            *(_own(one["estimate"][i], one["se"][i], measure) for i in places),
        )
        for one in payload["sites"]
    ]
    heads = ("Site", *map(Own, labels))
    return MeasureTable("Each site's own estimates", heads, tuple(rows))


def profile_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[MeasuresView, str]:
    """Return the view of a meta-analysis by likelihood profiles, as `meta_of`."""
    key, few = style
    measure = METHODS[analysis.model].ratio
    term = payload["terms"][0]
    label = term_label(study, str(term["name"])).full
    keys = ("estimate", "lower", "upper")
    names = {"FE": "Fixed effect", "ML": "Random effects (ML)"}
    found = [(names[str(one["method"])], one) for one in term["methods"]]
    heads = ("", f"{measure.capitalize()} (95% interval)", "p")
    rows = [
        (
            *(name, _scaled(one, keys, measure), p_text(one.get("p"))),
            *(_range(one.get("prediction"), measure), short_text(one.get("tau2"))),
        )
        for name, one in found
    ]
    more = ("95% prediction interval", "τ²")
    table = MeasureTable(
        f"{label}: the sites' curves added up", heads + more, tuple(rows), is_fixed=True
    )
    drawn = tuple(_drawn(name, one, measure) for name, one in found)
    ahead = found[-1][1].get("prediction")
    wide = None
    if ahead:
        wide = _drawn("95% prediction interval", ahead, measure)
        wide = replace(wide, text=_range(ahead, measure))
    title = (f"{label}: pooled {measure}s", measure.capitalize())
    figures = draw_sites(key, title, (), Pooled(drawn, wide, ()), is_ratio=True)
    n = few if payload.get("n") is None else count_text(payload["n"])
    sentence = (
        f"{measure.capitalize()} of {count_text(payload.get('pooled_sites'))} sites "
        f"and {n} people by their likelihood profiles: {label} "
        f"{_scaled(term, keys, measure)}."
    )
    return MeasuresView((table,), tuple(figures)), sentence


def _own(estimate: float, se: float, measure: str) -> str:
    found = _own_limits(estimate, se)
    return _scaled(found, ("estimate", "lower", "upper"), measure)


def _own_limits(estimate: float, se: float) -> dict[str, float]:
    ends = {"lower": estimate - Z * se, "upper": estimate + Z * se}
    return {"estimate": estimate, **ends}


def _scaled(found: Mapping[str, Any], keys: tuple[str, str, str], measure: str) -> str:
    values = [number_of(found.get(key)) for key in keys]
    if measure:
        values = [None if value is None else ratio_of(value) for value in values]
    return _interval(tuple(values), is_ratio=bool(measure))


def _range(found: Mapping[str, Any] | None, measure: str) -> str:
    if not found:
        return DASH
    middle = (found["lower"] + found["upper"]) / 2
    text = _scaled({**found, "m": middle}, ("m", "lower", "upper"), measure)
    return text.partition("(")[2].removesuffix(")")


def rates_of(
    study: Study, analysis: Analysis, payload: Mapping[str, Any], few: str
) -> tuple[MeasuresView, str]:
    """Return the view of a finding of rates and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        few: stands for a count that is not shown.
    """
    unit = str(payload.get("unit") or variable_label(study, analysis.time))
    groups = list(payload.get("groups", ()))
    event = event_label(study, analysis.event or analysis.outcome)
    tables = [_rates(f"{event}: rate for {PER:,} person-{unit}", groups, few)]
    strata = " and ".join(variable_label(study, s) for s in analysis.strata)
    tables += [
        _rates(f"{group['label']}, by {strata}", group["strata"], few)
        for group in groups
        if group.get("strata")
    ]
    comparisons = list(payload.get("comparisons", ()))
    if comparisons:
        tables.append(_compared(comparisons, strata, unit))
    said = "; ".join(f"{g['label']} {_rate(g)}" for g in groups)
    where = " within sites" if SITE in analysis.strata else ""
    more = "".join(_said(one, where) for one in comparisons[:1])
    sentence = f"{event}, for {PER:,} person-{unit}: {said or 'none'}.{more}"
    return MeasuresView(tuple(tables)), sentence


def _rates(caption: str, cells: Sequence[Mapping[str, Any]], few: str) -> MeasureTable:
    heads = ["", "People", "Events", "Person-time", "Rate (95% interval)"]
    standardised = any(cell.get("standardised") for cell in cells)
    if standardised:
        heads.append("Standardised rate (95% interval)")
    rows = []
    for cell in cells:
        is_hidden = cell.get("n") is None
        row = [
            str(cell["label"]),
            few if is_hidden else count_text(cell["n"]),
            few if is_hidden else count_text(cell["events"]),
            NOT_SHOWN if is_hidden else count_text(cell["time"]),
            NOT_SHOWN if is_hidden else _rate(cell),
        ]
        if standardised:
            row.append(_rate(cell.get("standardised") or {}))
        rows.append(tuple(row))
    return MeasureTable(caption, tuple(heads), tuple(rows))


def _rate(cell: Mapping[str, Any]) -> str:
    found = [number_of(cell.get(key)) for key in ("rate", "lower", "upper")]
    scaled = tuple(None if value is None else PER * value for value in found)
    return _interval(scaled, is_ratio=False)


def _interval(values: tuple[float | None, ...], *, is_ratio: bool) -> str:
    if all(value is None for value in values):
        return DASH
    middle, lower, upper = interval_texts(values, is_ratio)
    return f"{middle} ({lower} to {upper if values[2] is not None else '∞'})"


def _compared(
    comparisons: Sequence[Mapping[str, Any]], strata: str, unit: str
) -> MeasureTable:
    heads = ["", "Rate ratio (95% interval)", "p"]
    heads.append(f"Difference for {PER:,} person-{unit}")
    if strata:
        heads.append(f"Ratio adjusted for {strata}")
    rows = []
    for one in comparisons:
        gap = [
            number_of(one.get(f"difference{key}")) for key in ("", "_lower", "_upper")
        ]
        row = [
            f"{one['group']} against {one['against']}",
            _ratio(one, "ratio", "ratio_lower", "ratio_upper"),
            p_text(one.get("p")),
            _interval(
                tuple(None if g is None else PER * g for g in gap), is_ratio=False
            ),
        ]
        if strata:
            row.append(_ratio(one.get("adjusted") or {}, "ratio", "lower", "upper"))
        rows.append(tuple(row))
    return MeasureTable("Rates compared", tuple(heads), tuple(rows))


def _ratio(found: Mapping[str, Any], *keys: str) -> str:
    return _interval(tuple(number_of(found.get(k)) for k in keys), is_ratio=True)


def _said(one: Mapping[str, Any], where: str) -> str:
    adjusted = one.get("adjusted")
    if adjusted:
        ratio = _ratio(adjusted, "ratio", "lower", "upper")
        what = f"adjusted rate ratio{where}"
    else:
        ratio = _ratio(one, "ratio", "ratio_lower", "ratio_upper")
        what = "rate ratio"
    return f" {one['group']} against {one['against']}: {what} {ratio}."
