"""Findings that are plain tables of numbers: quantiles, rates, meta-analyses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hetao.report.drawing import Drawing
from hetao.report.forest import Row
from hetao.report.forest_sites import Pooled, SiteRow, draw_sites
from hetao.report.heads import measure_named, named, person_time
from hetao.report.labels import (
    INTERCEPT,
    event_label,
    group_label,
    term_label,
    variable_label,
)
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
from hetao.report.sentences import NOTHING, Said, joined, same, say
from hetao.report.tables import NOT_SHOWN
from hetao.study import SITE, Analysis, Study
from hetao.study.methods import METHODS

Z = 1.959964  # of a 95% interval
ENDS = ("estimate", "lower", "upper")
PER = 1000  # units of person-time that a rate is shown for


@dataclass(frozen=True)
class MeasureTable:
    """One table: its caption, its column heads, and rows that start with a label."""

    caption: Said
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class MeasuresView:
    """Tables of one finding, its figures if it has some, and what they show."""

    tables: tuple[MeasureTable, ...]
    figures: tuple[Drawing, ...] = ()
    caption: Said = NOTHING


def quantiles_of(
    study: Study, analysis: Analysis, payload: Mapping[str, Any], few: str
) -> tuple[MeasuresView, Said]:
    """Return the view of a finding of quantiles and its sentence, as `rates_of`."""
    groups = tuple(group_label(analysis, one) for one in payload.get("groups", ()))
    rows = [
        (
            variable_label(study, str(row["variable"])),
            *(_quartiles(cell, few) for cell in row["by_group"]),
            _half_width(row["by_group"]),
        )
        for row in payload.get("rows", ())
    ]
    caption = say("quantiles_caption")
    if analysis.by:
        by = variable_label(study, analysis.by)
        caption = say("quantiles_caption_by", by=by)
    heads = ("", *map(same, groups), "±")
    table = MeasureTable(caption, heads, tuple(rows))
    first = [say("measured", label=r[0], text=r[1]) for r in rows[:3] if groups]
    said = joined("list", first) or say("none")
    if len(groups) > 1:
        return MeasuresView((table,)), say("quantiles_of", group=groups[0], said=said)
    return MeasuresView((table,)), say("quantiles", said=said)


def _quartiles(cell: Mapping[str, Any], few: str) -> Said:
    found = {one["p"]: one for one in cell.get("quantiles") or ()}
    if not found:
        return NOT_SHOWN
    median, lower, upper = (_middle(found.get(p)) for p in (0.5, 0.25, 0.75))
    n = few if cell.get("n") is None else count_text(cell["n"])
    return say("quartiles", median=median, lower=lower, upper=upper, n=n)


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
) -> tuple[MeasuresView, Said]:
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
    first = ((label, _scaled(term, ENDS, measure)) for term, label in pairs[:3])
    said = joined("list", (say("measured", label=i, text=j) for i, j in first))
    sentence = say(
        "meta",
        measure=named((measure or "difference").capitalize()),
        sites=k,
        n=n,
        said=said or say("none"),
    )
    figures = tuple(
        figure
        for i, (term, label) in enumerate(pairs)
        for figure in _forest(f"{key}-{i}", label, (measure, names), term, payload)
    )
    caption = DRAWN if figures else NOTHING
    return MeasuresView(tuple(tables), figures, caption), sentence


def _forest(
    key: str,
    label: Said,
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
    pooled = [_drawn(named("Fixed effect"), methods[0], measure)]
    prediction = None
    if len(methods) > 1:
        random = {**best, **(best.get("hksj") or {}), "estimate": best["estimate"]}
        pooled.append(_drawn(say("meta_random"), random, measure))
    if best.get("prediction"):
        ahead = {**best["prediction"], "estimate": best["estimate"]}
        row = _drawn(named("95% prediction interval"), ahead, measure)
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
        notes.append(say("meta_hidden"))
    what = measure or "difference"
    key_of = "meta_title_sites" if sites else "meta_title"
    title = say(key_of, label=label, measure=measure_named(what))
    return draw_sites(
        key,
        (title, named(what.capitalize())),
        rows,
        Pooled(tuple(pooled), prediction, tuple(notes)),
        bool(measure),
    )


def _drawn(label: str, found: Mapping[str, Any], measure: str) -> Row:
    estimate, lower, upper = (number_of(found.get(key)) for key in ENDS)
    return Row(label, "", estimate, lower, upper, _scaled(found, ENDS, measure))


DRAWN = say("meta_caption")
EFFECTS = {
    "FE": "Fixed effect",
    "DL": "Random, DerSimonian-Laird",
    "PM": "Random, Paule-Mandel",
    "REML": "Random, REML",
}


def _pooled(term: Mapping[str, Any], label: Said, measure: str) -> MeasureTable:
    rows = [
        (
            named(EFFECTS.get(str(one["method"]), str(one["method"]))),
            _scaled(one, ENDS, measure),
            _scaled(
                {"estimate": one["estimate"], **(one.get("hksj") or {})}, ENDS, measure
            )
            if one.get("hksj")
            else DASH,
            _range(one.get("prediction"), measure),
            short_text(one.get("tau2")),
        )
        for one in term.get("methods") or ()
    ]
    caption = joined("stops", (label, _heterogeneity(term)))
    heads = ("", f"{measure or 'difference'}".capitalize() + " (95% interval)")
    more = ("With HKSJ limits", "95% prediction interval", "τ²")
    return MeasureTable(caption, heads + more, tuple(rows))


def _heterogeneity(term: Mapping[str, Any]) -> Said:
    lower, upper = (short_text(term.get(f"tau2_{k}")) for k in ("lower", "upper"))
    methods = list(term.get("methods") or ())
    tau2 = short_text(methods[-1].get("tau2")) if methods else DASH
    return say(
        "heterogeneity",
        i2=percent_text(term.get("i2")),
        q=fixed_text(term.get("q"), 1),
        df=count_text(term.get("q_df")),
        p=p_sentence(term.get("q_p")),
        tau2=tau2,
        lower=lower,
        upper=upper,
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
    heads = ("Site", *labels)
    return MeasureTable(say("own_estimates"), heads, tuple(rows))


def profile_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[MeasuresView, Said]:
    """Return the view of a meta-analysis by likelihood profiles, as `meta_of`."""
    key, few = style
    measure = METHODS[analysis.model].ratio
    term = payload["terms"][0]
    label = term_label(study, str(term["name"])).full
    names = {"FE": "Fixed effect", "ML": "Random effects (ML)"}
    found = [(named(names[str(one["method"])]), one) for one in term["methods"]]
    heads = ("", f"{measure.capitalize()} (95% interval)", "p")
    rows = [
        (
            *(name, _scaled(one, ENDS, measure), p_text(one.get("p"))),
            *(_range(one.get("prediction"), measure), short_text(one.get("tau2"))),
        )
        for name, one in found
    ]
    more = ("95% prediction interval", "τ²")
    caption = say("profile_caption", label=label)
    table = MeasureTable(caption, heads + more, tuple(rows))
    drawn = tuple(_drawn(name, one, measure) for name, one in found)
    ahead = found[-1][1].get("prediction")
    wide = None
    if ahead:
        wide = _drawn(named("95% prediction interval"), ahead, measure)
        wide = replace(wide, text=_range(ahead, measure))
    title = say("meta_title", label=label, measure=measure_named(measure))
    texts = (title, named(measure.capitalize()))
    figures = draw_sites(key, texts, (), Pooled(drawn, wide, ()), is_ratio=True)
    n = few if payload.get("n") is None else count_text(payload["n"])
    sentence = say(
        "profile",
        measure=named(measure.capitalize()),
        sites=count_text(payload.get("pooled_sites")),
        n=n,
        label=label,
        interval=_scaled(term, ENDS, measure),
    )
    return MeasuresView((table,), tuple(figures)), sentence


def _own(estimate: float, se: float, measure: str) -> Said:
    return _scaled(_own_limits(estimate, se), ENDS, measure)


def _own_limits(estimate: float, se: float) -> dict[str, float]:
    ends = {"lower": estimate - Z * se, "upper": estimate + Z * se}
    return {"estimate": estimate, **ends}


def _scaled(found: Mapping[str, Any], keys: tuple[str, ...], measure: str) -> Said:
    values = [number_of(found.get(key)) for key in keys]
    if measure:
        values = [None if value is None else ratio_of(value) for value in values]
    return _interval(tuple(values), is_ratio=bool(measure))


def _range(found: Mapping[str, Any] | None, measure: str) -> Said:
    if not found:
        return same(DASH)
    low, high = float(found["lower"]), float(found["upper"])
    ends = ((low + high) / 2, low, high)
    scaled = tuple(map(ratio_of, ends)) if measure else ends
    _, lower, upper = interval_texts(scaled, is_ratio=bool(measure))
    return say("range", lower=lower, upper=upper)


def rates_of(
    study: Study, analysis: Analysis, payload: Mapping[str, Any], few: str
) -> tuple[MeasuresView, Said]:
    """Return the view of a finding of rates and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        few: stands for a count that is not shown.
    """
    unit = str(payload.get("unit") or variable_label(study, analysis.time))
    groups = [
        {**one, "label": group_label(analysis, one["label"])}
        for one in payload.get("groups", ())
    ]
    event = event_label(study, analysis.event or analysis.outcome)
    per, time = f"{PER:,}", person_time(unit)
    caption = say("rates_caption", event=event, per=per, time=time)
    tables = [_rates(caption, groups, few)]
    strata = joined("and", (variable_label(study, s) for s in analysis.strata))
    tables += [
        _rates(
            say("rates_by", group=group["label"], strata=strata), group["strata"], few
        )
        for group in groups
        if group.get("strata")
    ]
    comparisons = list(payload.get("comparisons", ()))
    if comparisons:
        tables.append(_compared(comparisons, strata, unit))
    said = joined(
        "list", (say("measured", label=g["label"], text=_rate(g)) for g in groups)
    )
    told = [say("rates", event=event, per=per, time=time, said=said or say("none"))]
    told += [_said(one, SITE in analysis.strata) for one in comparisons[:1]]
    return MeasuresView(tuple(tables)), joined("run_on", told)


def _rates(caption: Said, cells: Sequence[Mapping[str, Any]], few: str) -> MeasureTable:
    heads = ["", "People", "Events", "Person-time", "Rate (95% interval)"]
    standardised = any(cell.get("standardised") for cell in cells)
    if standardised:
        heads.append("Standardised rate (95% interval)")
    rows = []
    for cell in cells:
        is_hidden = cell.get("n") is None
        row = [
            cell["label"],
            few if is_hidden else count_text(cell["n"]),
            few if is_hidden else count_text(cell["events"]),
            NOT_SHOWN if is_hidden else count_text(cell["time"]),
            NOT_SHOWN if is_hidden else _rate(cell),
        ]
        if standardised:
            row.append(_rate(cell.get("standardised") or {}))
        rows.append(tuple(row))
    return MeasureTable(caption, tuple(heads), tuple(rows))


def _rate(cell: Mapping[str, Any]) -> Said:
    found = [number_of(cell.get(key)) for key in ("rate", "lower", "upper")]
    scaled = tuple(None if value is None else PER * value for value in found)
    return _interval(scaled, is_ratio=False)


def _interval(values: tuple[float | None, ...], *, is_ratio: bool) -> Said:
    if all(value is None for value in values):
        return same(DASH)
    middle, lower, upper = interval_texts(values, is_ratio)
    upper = upper if values[2] is not None else "∞"
    return say("interval", middle=middle, lower=lower, upper=upper)


def _compared(
    comparisons: Sequence[Mapping[str, Any]], strata: Said, unit: str
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
            say("group_against", group=one["group"], against=one["against"]),
            _ratio(one, "ratio", "ratio_lower", "ratio_upper"),
            p_text(one.get("p")),
            _interval(
                tuple(None if g is None else PER * g for g in gap), is_ratio=False
            ),
        ]
        if strata:
            row.append(_ratio(one.get("adjusted") or {}, "ratio", "lower", "upper"))
        rows.append(tuple(row))
    return MeasureTable(say("rates_compared"), tuple(heads), tuple(rows))


def _ratio(found: Mapping[str, Any], *keys: str) -> Said:
    return _interval(tuple(number_of(found.get(k)) for k in keys), is_ratio=True)


def _said(one: Mapping[str, Any], is_within: bool) -> Said:
    adjusted = one.get("adjusted")
    if adjusted:
        ratio = _ratio(adjusted, "ratio", "lower", "upper")
        key = "rate_ratio_within" if is_within else "rate_ratio_adjusted"
    else:
        ratio = _ratio(one, "ratio", "ratio_lower", "ratio_upper")
        key = "rate_ratio"
    return say(key, group=one["group"], against=one["against"], ratio=ratio)
