"""Findings → what a page shows of them: tables, figures and one plain sentence each."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hetao.report.drawing import Drawing
from hetao.report.effects import (
    BalanceView,
    ContrastRow,
    EffectView,
    balance_view,
    contrast_rows,
    effect_of,
    whose_of,
)
from hetao.report.flow import draw_flow
from hetao.report.forest import tick_text
from hetao.report.heads import named
from hetao.report.indicators import indicators_of
from hetao.report.labels import event_label, group_label, variable_label
from hetao.report.measures import (
    MeasuresView,
    meta_of,
    profile_of,
    quantiles_of,
    rates_of,
)
from hetao.report.models import ModelView, model_of
from hetao.report.networks import network_of
from hetao.report.numerals import (
    DASH,
    count_text,
    decimals_for,
    fixed_text,
    interval_said,
    number_of,
    p_sentence,
    short_text,
)
from hetao.report.penalised import PathView, path_of
from hetao.report.performance import PerformanceView, performance_of
from hetao.report.screens import screen_of
from hetao.report.sentences import NOTHING, Said, joined, same, say
from hetao.report.survival import Curve, curve_of, draw_curves, ticks_of
from hetao.report.tables import Step, TableGroup, steps_of, table_of
from hetao.study import Analysis, Study
from hetao.study.methods import METHODS

Z = 1.959964  # of a 95% interval


@dataclass(frozen=True)
class CurvesView:
    """Survival curves: the figure, the times of the table, each curve's numbers.

    Attributes:
        means: restricted means up to `horizon`; empty texts where none was asked for.
        scale: on which the limits are normal.
        counted: how people count, where not all alike, and in which cells of times.
        contrasts: of the arms at the horizon.
        balance: of the arms under a propensity score; None without one.
    """

    figure: Drawing
    axis: str
    ticks: tuple[str, ...]
    curves: tuple[Curve, ...]
    medians: tuple[Said, ...]
    means: tuple[Said, ...]
    horizon: str
    scale: str
    logrank: Said
    counted: Said = NOTHING
    contrasts: tuple[ContrastRow, ...] = ()
    balance: BalanceView | None = None

    @property
    def is_hidden(self) -> bool:
        """Return whether any count is shown as small."""
        of_arms = self.balance is not None and self.balance.is_hidden
        return of_arms or any("*" in n for curve in self.curves for n in curve.at_risk)


@dataclass(frozen=True)
class TableView:
    """Table 1: what the groups are, and rows by variable."""

    by: str
    groups: tuple[str, ...]
    rows: tuple[TableGroup, ...]


@dataclass(frozen=True)
class TestView:
    """A test of groups: for each its name, people, events, observed and expected.

    Attributes:
        weighted: the power of the survival that weighs an event; "" for none.
        counted, balance: as of `CurvesView`.
    """

    by: str
    outcome: str
    weighted: str
    rows: tuple[tuple[str, ...], ...]
    counted: Said = NOTHING
    balance: BalanceView | None = None


@dataclass(frozen=True)
class StepsView:
    """Attrition, step by step, and the same as a flow of boxes."""

    steps: tuple[Step, ...]
    figure: Drawing


View = (
    ModelView
    | PathView
    | EffectView
    | CurvesView
    | TestView
    | TableView
    | StepsView
    | MeasuresView
    | PerformanceView
)
Show = Callable[[Study, Analysis, Mapping[str, Any], str], tuple[View, Said]]
Draw = Callable[
    [Study, Analysis, Mapping[str, Any], tuple[str, str]], tuple[View, Said]
]


@dataclass(frozen=True)
class Answer:
    """One analysis of the study with its finding.

    Attributes:
        sentence: what came out, in neutral words made from the numbers alone.
        absent: sites of the study that have no part in this answer.
        withheld: whether any count is not shown.
        view: what to show; None for a finding of a kind that this page cannot show.
    """

    name: str
    method: str
    title: Said
    sentence: Said
    members: tuple[str, ...]
    absent: tuple[str, ...]
    rounds: int
    withheld: bool
    view: View | None


def answers_of(study: Study, body: Mapping[str, Any]) -> tuple[Answer, ...]:
    """Return an answer for each finding, in the study's order."""
    few = f"<{int(body.get('smallest_shown') or 1)}*"
    return tuple(
        _answer(study, item, few, f"figure-{i}")
        for i, item in enumerate(body["findings"], 1)
    )


def _answer(study: Study, item: Mapping[str, Any], few: str, key: str) -> Answer:
    analysis = study.analysis(str(item["analysis"]))
    payload = item["finding"]
    members = tuple(map(str, item.get("members", ())))
    view, sentence = _view(study, analysis, payload, (key, few))
    return Answer(
        name=analysis.name,
        method=analysis.method,
        title=named(METHODS[analysis.method].title),
        sentence=sentence,
        members=members,
        absent=tuple(site for site in study.sites if site not in members),
        rounds=int(item.get("rounds") or 0),
        withheld=bool(item.get("withheld")),
        view=view,
    )


def _view(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[View | None, Said]:
    few = style[1]
    match payload.get("model"):
        case "counts":
            steps = steps_of(payload.get("steps", ()), few)
            figure = draw_flow(style[0], say("flow_title", name=analysis.name), steps)
            return StepsView(steps, figure), _steps_sentence(steps)
        case (
            "km"
            | "logrank"
            | "performance"
            | "boosted_trees"
            | "neural_network"
            | "indicators"
            | "screen"
            | "meta"
            | "profile" as kind
        ):
            drawn: dict[str, Draw] = {
                "km": _curves,
                "logrank": _test,
                "performance": performance_of,
                "boosted_trees": performance_of,
                "neural_network": network_of,
                "indicators": indicators_of,
                "screen": screen_of,
                "meta": meta_of,
                "profile": profile_of,
            }
            return drawn[kind](study, analysis, payload, style)
        case "table1" | "quantiles" | "rates" as kind:
            shown: dict[str, Show] = {
                "table1": _table,
                "quantiles": quantiles_of,
                "rates": rates_of,
            }
            return shown[kind](study, analysis, payload, few)
    if METHODS[analysis.method].fits:
        return effect_of(study, analysis, payload, style)
    if METHODS[analysis.method].is_model and not analysis.model:
        model = path_of if analysis.shrinks else model_of
        return model(study, analysis, payload, style)
    return None, say("unknown_kind")


# --- curves -------------------------------------------------------------------------
def _curves(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[CurvesView, Said]:
    key, few = style
    found = list(payload.get("curves", ()))
    ticks = ticks_of(found)
    curves = tuple(
        replace(one, label=group_label(analysis, one.label))
        for one in (curve_of(curve, ticks, few) for curve in found)
    )
    axis = variable_label(study, analysis.time)
    event = event_label(study, analysis.event)
    title = say("km_title", name=analysis.name, event=event)
    logrank = payload.get("logrank") or {}
    medians = tuple(_median(curve) for curve in found)
    horizon = number_of(payload.get("horizon"))
    view = CurvesView(
        figure=draw_curves(key, title, axis, curves, ticks),
        axis=axis,
        ticks=tuple(map(tick_text, ticks)),
        curves=curves,
        medians=tuple(map(_with_limits, found, medians)),
        means=tuple(map(_mean, found)),
        horizon="" if horizon is None else tick_text(horizon),
        scale=str(payload.get("conf_type") or "log"),
        logrank=_logrank(logrank),
        counted=_counted_in(study, payload),
        contrasts=tuple(contrast_rows(payload.get("contrasts", ()))),
        balance=_balance(study, analysis, payload, style),
    )
    said = joined(
        "list",
        (
            say("named", label=curve.label, text=median)
            for curve, median in zip(curves, medians, strict=True)
        ),
    )
    told = [say("km_median", axis=axis, said=said or say("none"))]
    if logrank.get("p"):
        told.append(say("logrank_p", p=p_sentence(logrank["p"])))
    return view, joined("run_on", told)


def _counted_in(study: Study, payload: Mapping[str, Any]) -> Said:
    """Return how people of curves count, and into how many cells they are put."""
    told, merged = [_counted_by(study, payload)], payload.get("cells")
    if merged and merged["died"] is None:
        told.append(say("km_cells_small"))
    elif merged:
        sizes = {kind: str(len(merged[kind])) for kind in ("died", "left")}
        told.append(say("km_cells", **sizes, people=str(merged["people"])))
    return joined("run_on", [one for one in told if one])


def _counted_by(study: Study, payload: Mapping[str, Any]) -> Said:
    """Return by what people count, and what is robust for it; "" if all count alike."""
    if payload.get("score"):
        return say("counted_score", whose=whose_of(payload))
    if payload.get("weights"):
        name = variable_label(study, str(payload["weights"]))
        return say("counted_weights", name=name)
    return NOTHING


def _balance(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> BalanceView | None:
    if not payload.get("score"):
        return None
    return balance_view(study, analysis, payload, style)


def _median(curve: Mapping[str, Any]) -> Said:
    median = number_of(curve.get("median"))
    return say("km_not_reached") if median is None else same(tick_text(median))


def _with_limits(curve: Mapping[str, Any], median: Said) -> Said:
    ends = [number_of(curve.get(f"median_{end}")) for end in ("lower", "upper")]
    if number_of(curve.get("median")) is None or ends[0] is None:
        return median
    lower, upper = (DASH if end is None else tick_text(end) for end in ends)
    return say("interval", middle=median, lower=lower, upper=upper)


def _mean(curve: Mapping[str, Any]) -> Said:
    """Return a restricted mean with its 95% limits, or what may be said instead."""
    mean, se = number_of(curve.get("rmst")), number_of(curve.get("rmst_se"))
    if mean is not None and se is not None:
        return interval_said((mean, mean - Z * se, mean + Z * se), is_ratio=False)
    least, most = (number_of(curve.get(f"rmst_{end}")) for end in ("least", "most"))
    if least is None or most is None:
        return same(DASH)
    decimals = decimals_for((most - least) / 2, 0, 6)
    lower, upper = (fixed_text(end, decimals) for end in (least, most))
    return say("between", lower=lower, upper=upper)


def _logrank(test: Mapping[str, Any]) -> Said:
    if number_of(test.get("chi2")) is None:
        return NOTHING
    df = number_of(test.get("df"))
    return say(
        "logrank_one" if df == 1 else "logrank_many",
        chi2=fixed_text(test["chi2"], 1),
        df=count_text(df),
        p=p_sentence(test.get("p")),
    )


def _test(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[TestView, Said]:
    few = style[1]
    rho = number_of(payload.get("rho")) or 0.0
    rows = [
        (
            str(group.get("group")),
            *(_counted(group.get(key), few) for key in ("n", "events")),
            *(fixed_text(group.get(key), 1) for key in ("observed", "expected")),
        )
        for group in payload.get("groups", ())
    ]
    view = TestView(
        by=variable_label(study, analysis.by),
        outcome=event_label(study, analysis.event),
        weighted=short_text(rho) if rho else "",
        rows=tuple(rows),
        counted=_counted_by(study, payload),
        balance=_balance(study, analysis, payload, style),
    )
    return view, _logrank(payload) or say("logrank_none")


def _counted(count: Any, few: str) -> str:
    return few if count is None else count_text(count)


# --- tables -------------------------------------------------------------------------
def _table(
    study: Study, analysis: Analysis, payload: Mapping[str, Any], few: str
) -> tuple[TableView, Said]:
    groups = tuple(group_label(analysis, one) for one in payload.get("groups", ()))
    rows = table_of(payload.get("rows", ()), few)
    by = variable_label(study, analysis.by) if analysis.by else ""
    largest = max(
        ((row.difference or 0.0, row.label) for row in rows), default=(0.0, "")
    )
    if len(groups) > 1 and largest[0] > 0 and math.isfinite(largest[0]):
        return TableView(by, groups, rows), say(
            "table_largest_by" if by else "table_largest",
            label=largest[1],
            value=fixed_text(largest[0], 2),
            first=groups[0],
            second=groups[1],
            by=by,
        )
    key = "table_groups" if len(groups) > 1 else "table_one"
    variables = max(len(rows) - 1, 0)
    return TableView(by, groups, rows), say(
        key, groups=len(groups), variables=variables
    )


def _steps_sentence(steps: Sequence[Step]) -> Said:
    if not steps:
        return say("steps_none")
    count = len(steps) - 1
    key = "steps_one" if count == 1 else "steps_many"
    return say(key, last=steps[-1].n, first=steps[0].n, count=count)
