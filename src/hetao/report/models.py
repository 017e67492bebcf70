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
from hetao.report.labels import (
    INTERCEPT,
    TermLabel,
    event_label,
    term_label,
    variable_label,
)
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    interval_texts,
    number_of,
    p_text,
    ratio_of,
    short_text,
)
from hetao.study import Analysis, Study
from hetao.study.methods import method_of

MOST_STEPS = 8  # of a baseline hazard

HOLDS = (
    "Each person is compared with themselves alone; this holds if an event changes "
    "neither later exposure nor how long they are observed"
)
SAID = {
    ("penalty", "firth"): "Firth's penalised likelihood",
    ("likelihood", "exact"): "Exact conditional likelihood",
    ("likelihood", "efron"): "Conditional likelihood by Efron's approximation",
    ("likelihood", "breslow"): "Conditional likelihood by Breslow's approximation",
    ("model", "sccs"): HOLDS,
}
SPREADS = {"dispersion": "Dispersion", "sigma": "Residual standard error"}


@dataclass(frozen=True)
class TermRow:
    """One coefficient as a reader sees it."""

    label: TermLabel
    interval: str
    coefficient: str
    se: str
    z: str
    p: str


@dataclass(frozen=True)
class ModelView:
    """A model: its measure, its coefficients and its forest plot.

    Attributes:
        ratio_sign: what estimate over standard error is called, z or t.
        spread: how the outcome varies about its expectation and how people count, of
            models that say so.
        balance: of the arms under the propensity score that weighs people; None where
            none does.
    """

    measure: str
    ratio_sign: str
    outcome: str
    n: str
    events: str
    spread: str
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
) -> tuple[ModelView, str]:
    """Return the view of a model's finding and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: the figure's key in the page, and the text of a count that is hidden.
    """
    key, few = style
    ratio = method_of(analysis.method, analysis.family).ratio
    measure, is_ratio = ratio or "difference", bool(ratio)
    terms = list(payload.get("terms", ()))
    names = [str(term["name"]) for term in terms]
    labels = [term_label(study, name, names) for name in names]
    rows = [_row(t, lab, is_ratio) for t, lab in zip(terms, labels, strict=True)]
    shown = [r for r, name in zip(rows, names, strict=True) if name != INTERCEPT]
    event = analysis.event or analysis.outcome
    view = ModelView(
        measure=measure,
        ratio_sign="t" if "df" in payload else "z",
        outcome=event_label(study, event),
        n=_shown_count(payload, "n", few),
        events=_shown_count(payload, "events", few),
        spread=_spread(study, payload),
        terms=tuple(_term(t, lab, ratio) for t, lab in zip(terms, labels, strict=True)),
        figures=tuple(
            draw_forest(
                key,
                f"{analysis.name}: {measure}s with 95% intervals",
                measure.capitalize(),
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


def _spread(study: Study, payload: Mapping[str, Any]) -> str:
    """Return how the outcome varies and how people count; "" where no model says."""
    said = []
    if "theta" in payload:
        theta, se = short_text(payload["theta"]), short_text(payload.get("theta_se"))
        said.append(f"Theta {theta} (standard error {se})")
    for key, words in SPREADS.items():
        if key in payload:
            said.append(f"{words} {short_text(payload[key])}")
    if "tau" in payload:
        said.append(_between_intercepts(payload))
    elif "tau2" in payload:
        between, share = short_text(payload["tau2"]), short_text(payload.get("icc"))
        ends = [short_text(payload.get(f"tau2_{end}")) for end in ("lower", "upper")]
        limits = "" if payload.get("singular") else f" (95% CI {' to '.join(ends)})"
        said.append(f"Variance between sites {between}{limits}, a share of {share}")
    said += [
        words for (key, is_said), words in SAID.items() if payload.get(key) == is_said
    ]
    if payload.get("weights"):
        said.append(f"Weighted by {variable_label(study, str(payload['weights']))}")
    if payload.get("score"):
        said += _by_score(payload)
    elif payload.get("variance") == "robust":
        said.append("Robust (sandwich) standard errors")
    return ". ".join(said)


def _by_score(payload: Mapping[str, Any]) -> list[str]:
    """Return what a propensity score does to a model, sentence by sentence."""
    if payload.get("strata"):
        return [
            f"Stratified by {len(payload['strata'])} strata of a propensity score",
            *(
                f"{row.label} over the same strata {row.interval}, p {row.p}"
                for row in contrast_rows(payload.get("contrasts", ()))
            ),
            "Standard errors take the score as given",
        ]
    whose = whose_of(payload)
    if payload.get("matching"):
        ratio, sets = (payload["matching"][key] for key in ("ratio", "sets"))
        pairs = f"Matched 1 to {count_text(ratio)} on a propensity score inside sites"
        many = "" if sets is None else f", {count_text(sets)} sets"
        return [
            f"{pairs}{many}, effect in {whose}",
            "Standard errors are clustered by matched set",
        ]
    return [
        f"Weighted by a propensity score to {whose}",
        "Robust (sandwich) standard errors that count its estimation",
    ]


def _between_intercepts(payload: Mapping[str, Any]) -> str:
    """Return how far the sites' intercepts lie apart, on the scale of the terms."""
    if payload.get("singular"):
        return "The sites do not differ: no variance between them"
    ends = (short_text(payload.get(f"tau_{end}")) for end in ("lower", "upper"))
    return (
        f"Standard deviation of the sites' intercepts {short_text(payload['tau'])} "
        f"(95% CI {' to '.join(ends)}), a median ratio between two sites of "
        f"{short_text(payload.get('median_ratio'))}"
    )


def _drift(study: Study, zph: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    tests = list(zph.get("terms", ()))
    names = [str(test.get("name")) for test in tests]
    labels = [term_label(study, name, names) for name in names]
    texts = [
        f"{one.text}, {one.against}" if one.against else one.text for one in labels
    ]
    return tuple(
        (
            text,
            fixed_text(test.get("chi2"), 2),
            count_text(test.get("df")),
            p_text(test.get("p")),
        )
        for text, test in zip(
            [*texts, "All together"], [*tests, zph.get("together") or {}], strict=True
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


def _interval(term: Mapping[str, Any], is_ratio: bool) -> str:
    middle, lower, upper = interval_texts(_natural(term, is_ratio), is_ratio)
    if middle == DASH:
        return "not estimated"
    return middle if DASH in (lower, upper) else f"{middle} ({lower} to {upper})"


def _term(term: Mapping[str, Any], label: TermLabel, ratio: str) -> TermRow:
    is_ratio = bool(ratio)
    if str(term["name"]) == INTERCEPT and is_ratio:
        what = ratio.removesuffix(" ratio")
        label = TermLabel(f"Intercept: {what} where every term is 0", is_fixed=True)
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
    measure: str,
    is_ratio: bool,
) -> str:
    """Name the term that lies furthest from no association, and count the others."""
    known = [
        (abs(number_of(t.get("z")) or 0.0), row)
        for t, row in zip(terms, rows, strict=True)
        if row.estimate is not None
    ]
    if not known:
        return "No term was estimated."
    _, row = max(known, key=lambda pair: pair[0])
    text = row.text.replace("(", "(95% CI ", 1)
    name = f"{row.label}, {row.against}" if row.against else row.label
    said = f"{name}: {measure} {text}"
    if len(rows) == 1:
        return f"{said}."
    null = "1" if is_ratio else "0"
    out = sum(_leaves_out_null(row) for row in rows)
    return (
        f"{said}, of {len(rows)} terms the largest relative to its standard error. "
        f"{out} of {len(rows)} intervals leave out {null}."
    )


def _leaves_out_null(row: Row) -> bool:
    if row.lower is None or row.upper is None:
        return False
    return row.lower > 0 or row.upper < 0
