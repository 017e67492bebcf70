"""A model's finding → its coefficients, its forest plot and one plain sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hetao.report.drawing import Drawing
from hetao.report.effects import (
    BalanceView,
    balance_view,
    contrast_rows,
    strata_rows,
    whose_of,
)
from hetao.report.forest import Row, draw_forest, tick_text
from hetao.report.heads import measure_named, named
from hetao.report.labels import (
    INTERCEPT,
    TermLabel,
    event_label,
    outcome_said,
    term_label,
    variable_label,
)
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    interval_said,
    interval_texts,
    number_of,
    p_text,
    ratio_of,
    short_text,
)
from hetao.report.sentences import Said, confident, joined, same, say
from hetao.study import Analysis, Study
from hetao.study.methods import method_of

MOST_STEPS = 8  # of a baseline hazard

# What a finding holds → the sentence of it, under the same name.
SAID = (
    ("penalty", "firth"),
    ("likelihood", "exact"),
    ("likelihood", "efron"),
    ("likelihood", "breslow"),
    ("model", "sccs"),
)


@dataclass(frozen=True)
class TermRow:
    """One coefficient as a reader sees it."""

    label: TermLabel
    interval: Said
    coefficient: str
    se: str
    z: str
    p: str


@dataclass(frozen=True)
class ModelView:
    """A model: its measure, its coefficients and its forest plot.

    Attributes:
        measure: in the middle of a sentence.
        ratio_sign: what estimate over standard error is called, z or t.
        spread: how the outcome varies about its expectation and how people count, of
            models that say so.
        about: outcome, counts and `spread` in sentences.
        balance: of the arms under the propensity score that weighs people; None where
            none does.
    """

    measure: Said
    ratio_sign: str
    outcome: str
    n: str
    events: str
    spread: Said
    about: Said
    terms: tuple[TermRow, ...]
    figures: tuple[Drawing, ...]
    drift: tuple[tuple[str, ...], ...] = ()
    baseline: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    balance: BalanceView | None = None
    strata: tuple[tuple[str, ...], ...] = ()


def model_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[ModelView, Said]:
    """Return the view of a model's finding and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: the figure's key in the page, and the text of a count that is hidden.
    """
    key, few = style
    ratio = method_of(analysis.method, analysis.family).ratio
    measure, is_ratio = measure_named(ratio or "difference"), bool(ratio)
    terms = list(payload.get("terms", ()))
    names = [str(term["name"]) for term in terms]
    labels = [term_label(study, name, names) for name in names]
    rows = [_row(t, lab, is_ratio) for t, lab in zip(terms, labels, strict=True)]
    shown = [r for r, name in zip(rows, names, strict=True) if name != INTERCEPT]
    outcome = event_label(study, analysis.event or analysis.outcome)
    counts = tuple(_shown_count(payload, name, few) for name in ("n", "events"))
    spread = _spread(study, payload)
    stopped = [say("stopped", text=spread)] if spread else []
    view = ModelView(
        measure=measure,
        ratio_sign="t" if "df" in payload else "z",
        outcome=outcome,
        n=counts[0],
        events=counts[1],
        spread=spread,
        about=joined("run_on", [outcome_said(outcome, *counts), *stopped]),
        terms=tuple(_term(t, lab, ratio) for t, lab in zip(terms, labels, strict=True)),
        figures=tuple(
            draw_forest(
                key,
                say("forest_title", name=analysis.name, measure=measure),
                named(measure.capitalize()),
                shown,
                is_ratio,
            )
        ),
    )
    if payload.get("zph"):
        view = replace(view, drift=_drift(study, payload["zph"]))
    if payload.get("baseline"):
        view = replace(view, baseline=tuple(map(_baseline, payload["baseline"])))
    if payload.get("score"):
        view = replace(
            view,
            balance=balance_view(study, analysis, payload, style),
            strata=strata_rows(payload, few),
        )
    used = [t for t in terms if str(t["name"]) != INTERCEPT]
    return view, _model_sentence(used, shown, measure, is_ratio)


def _spread(study: Study, payload: Mapping[str, Any]) -> Said:
    """Return how the outcome varies and how people count; "" where no model says."""
    said: list[Said] = []
    if "theta" in payload:
        theta, se = short_text(payload["theta"]), short_text(payload.get("theta_se"))
        said.append(say("theta", theta=theta, se=se))
    said += [
        say(key, value=short_text(payload[key]))
        for key in ("dispersion", "sigma")
        if key in payload
    ]
    if "tau" in payload:
        said.append(_between_intercepts(payload))
    elif "tau2" in payload:
        said.append(_between_sites(payload))
    said += [say(name) for key, name in SAID if payload.get(key) == name]
    if payload.get("weights"):
        weights = variable_label(study, str(payload["weights"]))
        said.append(say("weighted", name=weights))
    if payload.get("score"):
        said += _by_score(payload)
    elif payload.get("variance") == "robust":
        said.append(say("robust"))
    return joined("stops", said)


def _between_sites(payload: Mapping[str, Any]) -> Said:
    """Return how far the sites' intercepts lie apart in a linear model."""
    lower, upper = (
        short_text(payload.get(f"tau2_{end}")) for end in ("lower", "upper")
    )
    return say(
        "variance" if payload.get("singular") else "variance_limits",
        between=short_text(payload["tau2"]),
        share=short_text(payload.get("icc")),
        lower=lower,
        upper=upper,
    )


def _by_score(payload: Mapping[str, Any]) -> list[Said]:
    """Return what a propensity score does to a model, sentence by sentence."""
    if payload.get("strata"):
        return [
            say("stratified", count=len(payload["strata"])),
            *(
                say("over_strata", label=row.label, interval=row.interval, p=row.p)
                for row in contrast_rows(payload.get("contrasts", ()))
            ),
            say("score_given"),
        ]
    whose = whose_of(payload)
    if payload.get("matching"):
        ratio, sets = (payload["matching"][key] for key in ("ratio", "sets"))
        key = "pairs" if sets is None else "pairs_sets"
        many = count_text(sets)
        pairs = say(key, ratio=count_text(ratio), sets=many, whose=whose)
        return [pairs, say("clustered")]
    return [say("weighted_score", whose=whose), say("robust_score")]


def _between_intercepts(payload: Mapping[str, Any]) -> Said:
    """Return how far the sites' intercepts lie apart, on the scale of the terms."""
    if payload.get("singular"):
        return say("intercepts_same")
    lower, upper = (short_text(payload.get(f"tau_{end}")) for end in ("lower", "upper"))
    return say(
        "intercepts",
        tau=short_text(payload["tau"]),
        lower=lower,
        upper=upper,
        ratio=short_text(payload.get("median_ratio")),
    )


def _drift(study: Study, zph: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    tests = list(zph.get("terms", ()))
    names = [str(test.get("name")) for test in tests]
    texts = [term_label(study, name, names).listed for name in names]
    return tuple(
        (
            text,
            fixed_text(test.get("chi2"), 2),
            count_text(test.get("df")),
            p_text(test.get("p")),
        )
        for text, test in zip(
            [*texts, say("all_together")],
            [*tests, zph.get("together") or {}],
            strict=True,
        )
    )


def _baseline(curve: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return a stratum's name and evenly chosen steps of its hazard, the last too."""
    steps = list(zip(curve.get("time", ()), curve.get("cumhaz", ()), strict=True))
    count = min(len(steps), MOST_STEPS)
    chosen = [steps[(i + 1) * len(steps) // count - 1] for i in range(count)]
    texts = tuple((tick_text(time), short_text(hazard)) for time, hazard in chosen)
    return str(curve.get("stratum", "")), texts


def _shown_count(payload: Mapping[str, Any], key: str, few: str) -> str:
    """Return a count; `events` of a model of a number is none and stays empty."""
    if key in payload and payload[key] is None:
        return "" if "df" in payload and key == "events" else few
    return count_text(payload.get(key)) if key in payload else ""


def _natural(term: Mapping[str, Any], is_ratio: bool) -> tuple[float | None, ...]:
    values = (number_of(term.get(k)) for k in ("estimate", "lower", "upper"))
    return tuple(ratio_of(v) if is_ratio and v is not None else v for v in values)


def _row(term: Mapping[str, Any], label: TermLabel, is_ratio: bool) -> Row:
    return Row(
        label=label.text,
        against=label.against,
        estimate=number_of(term.get("estimate")),
        lower=number_of(term.get("lower")),
        upper=number_of(term.get("upper")),
        text=_interval(term, is_ratio),
    )


def _interval(term: Mapping[str, Any], is_ratio: bool) -> Said:
    ends = _natural(term, is_ratio)
    middle, lower, upper = interval_texts(ends, is_ratio)
    if middle == DASH:
        return say("not_estimated")
    return same(middle) if DASH in (lower, upper) else interval_said(ends, is_ratio)


def _term(term: Mapping[str, Any], label: TermLabel, ratio: str) -> TermRow:
    is_ratio = bool(ratio)
    if str(term["name"]) == INTERCEPT and is_ratio:
        what = ratio.removesuffix(" ratio")
        label = TermLabel(say("intercept_of", what=say(what)), is_fixed=True)
    return TermRow(
        label=label,
        interval=_interval(term, is_ratio),
        coefficient=short_text(term.get("estimate")),
        se=short_text(term.get("se")),
        z=fixed_text(term.get("z"), 2),
        p=p_text(term.get("p")),
    )


def _model_sentence(
    terms: Sequence[Mapping[str, Any]],
    rows: Sequence[Row],
    measure: Said,
    is_ratio: bool,
) -> Said:
    """Name the term that lies furthest from no association, and count the others."""
    known = [
        (abs(number_of(t.get("z")) or 0.0), row)
        for t, row in zip(terms, rows, strict=True)
        if row.estimate is not None
    ]
    if not known:
        return say("model_none")
    _, row = max(known, key=lambda pair: pair[0])
    return say(
        "model_one" if len(rows) == 1 else "model_largest",
        label=TermLabel(row.label, row.against).listed,
        measure=measure,
        interval=confident(row.text),
        terms=len(rows),
        out=sum(_leaves_out_null(row) for row in rows),
        null="1" if is_ratio else "0",
    )


def _leaves_out_null(row: Row) -> bool:
    if row.lower is None or row.upper is None:
        return False
    return row.lower > 0 or row.upper < 0
