"""A treatment's effect → contrasts, arms, balance and overlap, with their figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetao.report.drawing import Drawing, Scale, even_ticks, shortened, wrapped
from hetao.report.forest import Row, draw_forest, tick_text
from hetao.report.heads import named
from hetao.report.labels import event_label, language_of, term_label, variable_label
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    interval_said,
    number_of,
    p_text,
    ratio_of,
    short_text,
)
from hetao.report.sentences import Said, confident, joined, same, say
from hetao.study import Analysis, Study

WIDTH, LEFT, RIGHT = 860.0, 300.0, 800.0
LINE, TOP, FOOT = 17.0, 44.0, 48.0
LABEL = 20.5  # width of a label, in font sizes
LITTLE = 0.1  # standardised difference below which arms are usually called alike
HEIGHT = 120.0  # of either half of the overlap's figure
WORDS = {
    "risk_difference": "Risk difference",
    "mean_difference": "Mean difference",
    "risk_ratio": "Risk ratio",
    "odds_ratio": "Odds ratio",
    "mantel_haenszel_risk_ratio": "Risk ratio (Mantel-Haenszel)",
    "mantel_haenszel_odds_ratio": "Odds ratio (Mantel-Haenszel)",
    "mean_ratio": "Mean ratio",
    "rate_difference": "Rate difference",
    "rate_ratio": "Rate ratio",
    "mantel_haenszel_rate_ratio": "Rate ratio (Mantel-Haenszel)",
    "survival_difference": "Difference of survival",
    "rmst_difference": "Difference of restricted means",
}
WHOSE = ("ATE", "ATT", "ATO")


@dataclass(frozen=True)
class ContrastRow:
    """One contrast of the arms as a reader sees it."""

    label: Said
    interval: Said
    estimate: str
    se: str
    p: str


@dataclass(frozen=True)
class ArmRow:
    """One arm: its people and events, its mean, and how many people it is worth."""

    label: str
    n: str
    events: str
    mean: str
    ess: str


def _smd_text(value: float | None) -> str:
    return DASH if value is None else fixed_text(value, 3)


@dataclass(frozen=True)
class BalanceRow:
    """One column's standardised difference, before and after weighting."""

    label: str
    against: str
    before: float | None
    after: float | None

    @property
    def texts(self) -> tuple[str, str]:
        """Return both as a reader sees them."""
        return _smd_text(self.before), _smd_text(self.after)


@dataclass(frozen=True)
class BalanceView:
    """The arms and their balance, and the figures of both.

    Attributes:
        arms, balance: rows of the tables.
        love, overlap: the love plot, None where no score was fitted; and the score's
            histograms, None where none were asked for.
        has_means: whether the arms' mean outcomes were found.
        weighs: whether people are weighted, not stratified.
    """

    arms: tuple[ArmRow, ...]
    balance: tuple[BalanceRow, ...]
    love: Drawing | None
    overlap: Drawing | None
    has_means: bool
    weighs: bool = True

    @property
    def is_hidden(self) -> bool:
        """Return whether any count is shown as small."""
        return any("*" in arm.n + arm.events for arm in self.arms)


@dataclass(frozen=True)
class EffectView:
    """An effect: its contrasts, the balance of its arms, and its figures.

    Attributes:
        whose: whose mean effect it is.
        contrasts: rows of the table.
        figures: forest plots of differences and of ratios.
        strata: of the score: its ends, people and events of either arm, difference.
    """

    treatment: str
    outcome: str
    whose: Said
    contrasts: tuple[ContrastRow, ...]
    figures: tuple[Drawing, ...]
    balance: BalanceView
    strata: tuple[tuple[str, ...], ...] = ()

    @property
    def is_hidden(self) -> bool:
        """Return whether any count is shown as small."""
        return self.balance.is_hidden


def effect_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[EffectView, Said]:
    """Return the view of an effect's finding and its sentence.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: the figures' key in the page, and the text of a count that is hidden.
    """
    key = style[0]
    terms = list(payload.get("terms", ()))
    rows = contrast_rows(terms)
    labels = [str(arm["arm"]) for arm in payload.get("arms", ())]
    whose = whose_of(payload)
    view = EffectView(
        treatment=variable_label(study, analysis.treatment),
        outcome=event_label(study, analysis.outcome),
        whose=whose,
        contrasts=tuple(rows),
        figures=tuple(_forests(key, analysis.name, terms)),
        balance=balance_view(study, analysis, payload, style),
        strata=strata_rows(payload, style[1]),
    )
    if not rows:
        return view, say("effect_none")
    return view, say(
        "effect",
        label=rows[0].label,
        first=labels[0],
        second=labels[1],
        whose=whose,
        interval=confident(rows[0].interval),
    )


def whose_of(payload: Mapping[str, Any]) -> Said:
    """Return whose mean effect a finding is of."""
    estimand = str(payload.get("estimand"))
    return say(estimand.lower()) if estimand in WHOSE else same(estimand)


def balance_view(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> BalanceView:
    """Return the arms and their balance under an effect or a weighted model.

    Args:
        study: holds the labels.
        analysis: what was asked.
        payload: what was found.
        style: as of `effect_of`.
    """
    key, few = style
    names = [str(row["name"]) for row in payload.get("balance", ())]
    balance = tuple(
        BalanceRow(
            label.text,
            label.against,
            number_of(row.get("before")),
            number_of(row.get("after")),
        )
        for row in payload.get("balance", ())
        for label in (term_label(study, str(row["name"]), names),)
    )
    arms = list(payload.get("arms", ()))
    weighs = bool(payload.get("score"))
    overlap = [counts for counts in payload.get("overlap", ()) if counts]
    labels = [str(arm["arm"]) for arm in arms]
    name = analysis.name
    return BalanceView(
        arms=tuple(_arm(arm, few) for arm in arms),
        balance=balance,
        love=draw_love(f"{key}-love", name, balance) if weighs else None,
        overlap=(
            draw_overlap(f"{key}-overlap", name, labels, overlap) if overlap else None
        ),
        has_means=any("mean" in arm for arm in arms),
        weighs=not payload.get("strata"),
    )


def _is_ratio(term: Mapping[str, Any]) -> bool:
    return str(term["name"]).endswith("_ratio")


def _interval(term: Mapping[str, Any]) -> Said:
    ends = tuple(number_of(term.get(k)) for k in ("estimate", "lower", "upper"))
    if _is_ratio(term):
        ends = tuple(None if end is None else ratio_of(end) for end in ends)
    return interval_said(ends, _is_ratio(term))


def contrast_rows(terms: Sequence[Mapping[str, Any]]) -> list[ContrastRow]:
    """Return contrasts of the arms as a reader sees them."""
    return [_contrast(term) for term in terms]


def _contrast(term: Mapping[str, Any]) -> ContrastRow:
    name = str(term["name"])
    return ContrastRow(
        label=named(WORDS.get(name, name)),
        interval=_interval(term),
        estimate=short_text(term.get("estimate")),
        se=short_text(term.get("se")),
        p=p_text(term.get("p")),
    )


def strata_rows(payload: Mapping[str, Any], few: str) -> tuple[tuple[str, ...], ...]:
    """Return the strata of the score as a reader sees them."""
    return tuple(_stratum(one, few) for one in payload.get("strata", ()))


def _stratum(one: Mapping[str, Any], few: str) -> tuple[str, ...]:
    counts: list[str] = []
    for key in ("n", "events"):
        of_arms = one.get(key)
        if of_arms is None:
            counts.append(few if one.get("n") is None else DASH)
        else:
            counts.append(joined("and", map(count_text, of_arms)))
    low, high = fixed_text(one["from"], 3), fixed_text(one["to"], 3)
    ends = say("range", lower=low, upper=high)
    if "time" in one:
        time = one["time"]
        return (
            ends,
            *counts,
            few if time is None else joined("and", map(short_text, time)),
        )
    difference, se = short_text(one.get("difference")), short_text(one.get("se"))
    return (ends, *counts, difference, se)


def _arm(arm: Mapping[str, Any], few: str) -> ArmRow:
    n, events = arm.get("n"), arm.get("events")
    mean, ess = number_of(arm.get("mean")), number_of(arm.get("ess"))
    is_number = "events" not in arm or (mean is not None and events is None)
    return ArmRow(
        label=str(arm["arm"]),
        n=few if n is None else count_text(n),
        events="" if is_number else few if events is None else count_text(events),
        mean=DASH if mean is None else short_text(mean),
        ess="" if ess is None else fixed_text(ess, 1),
    )


def _forests(key: str, name: str, terms: Sequence[Mapping[str, Any]]) -> list[Drawing]:
    figures: list[Drawing] = []
    for is_ratio in (False, True):
        rows = [
            Row(
                named(WORDS.get(str(term["name"]), str(term["name"]))),
                "",
                number_of(term.get("estimate")),
                number_of(term.get("lower")),
                number_of(term.get("upper")),
                _interval(term),
            )
            for term in terms
            if _is_ratio(term) == is_ratio
        ]
        what = "ratio" if is_ratio else "difference"
        title, place = say(f"{what}s_title", name=name), f"{key}-{what}"
        measure = named(what.capitalize())
        figures += draw_forest(place, title, measure, rows, is_ratio) if rows else []
    return figures


def draw_love(key: str, name: str, rows: Sequence[BalanceRow]) -> Drawing:
    """Return the love plot: absolute differences before (open) and after (full)."""
    known = [abs(v) for row in rows for v in (row.before, row.after) if v is not None]
    scale = Scale(0.0, max([2 * LITTLE, *known]) * 1.05, LEFT, RIGHT)
    labels = [wrapped(row.label, LABEL, 2) for row in rows]
    labels = [
        [*lines, *(wrapped(row.against, LABEL, 1) if row.against else [])]
        for lines, row in zip(labels, rows, strict=True)
    ]
    heights = [LINE * len(lines) + 10 for lines in labels]
    bottom = TOP + sum(heights)
    texts = ((row.label, *row.texts) for row in rows)
    about = joined(
        "list", (say("love_about", label=r, before=b, after=a) for r, b, a in texts)
    )
    title = say("love_title", name=name)
    size = (WIDTH, bottom + FOOT)
    drawing = Drawing(key, size, (title, about or say("love_none")))
    keys = ((LEFT, "open", say("before")), (LEFT + 110, "point", say("after")))
    for x, kind, text in keys:
        drawing.box((x, 8), (10, 10), kind)
        drawing.text((x + 18, 18), text, "label")
    for tick in even_ticks(scale.low, scale.high):
        x = scale.at(tick)
        drawing.line((x, TOP - 8), (x, bottom + 4), "grid")
        drawing.text((x, bottom + 18), tick_text(tick), "small middle")
    x = scale.at(LITTLE)
    drawing.line((x, TOP - 8), (x, bottom + 4), "null")
    drawing.line((LEFT, bottom + 4), (RIGHT, bottom + 4), "rule")
    axis = say("love_axis")
    drawing.text(((LEFT + RIGHT) / 2, bottom + 38), axis, "small middle")
    y = TOP
    for row, lines, height in zip(rows, labels, heights, strict=True):
        for i, line in enumerate(lines):
            kind = "small" if i and line == lines[-1] and row.against else "label"
            at = (0.0, y + 13 + LINE * i)
            drawing.text(at, line, kind, language_of(line))
        for value, kind in ((row.before, "open"), (row.after, "point")):
            if value is not None:
                corner = (scale.at(abs(value)) - 5, y + height / 2 - 8)
                drawing.box(corner, (10, 10), kind)
        y += height
    return drawing


def draw_overlap(
    key: str, name: str, labels: Sequence[str], counts: Sequence[Sequence[Any]]
) -> Drawing:
    """Return the score's histograms, the second arm above the axis, the first below.

    Heights are shares of the arm; a bin whose count is not shown bears a star.
    """
    bins = len(counts[0])
    shown = [[number_of(c) or 0.0 for c in arm] for arm in counts]
    shares = [[c / (sum(arm) or 1.0) for c in arm] for arm in shown]
    most = max([max(arm) for arm in shares] + [1e-9])
    middle = TOP + HEIGHT
    title = say("overlap_title", name=name)
    few = say("overlap_few")
    listed = (joined("comma", (few if c is None else c for c in arm)) for arm in counts)
    about = joined(
        "list",
        (
            say("named", label=label, text=text)
            for label, text in zip(labels, listed, strict=True)
        ),
    )
    drawing = Drawing(key, (WIDTH, middle + HEIGHT + FOOT), (title, about))
    left, right = 20.0, WIDTH - 20.0
    scale = Scale(0.0, 1.0, left, right)
    for arm, (label, side) in enumerate(zip(labels, (1, -1), strict=True)):
        y = middle + side * (HEIGHT + 8) + (8 if side > 0 else 0)
        text = shortened(label, 40)
        drawing.text((left, y), text, "label", language_of(text))
        for i in range(bins):
            x1, x2 = scale.at(i / bins), scale.at((i + 1) / bins)
            if counts[arm][i] is None:
                at = ((x1 + x2) / 2, middle + side * 10 + 5)
                drawing.text(at, "*", "small middle")
            height = HEIGHT * 0.85 * shares[arm][i] / most
            if height > 0:
                top = middle if side > 0 else middle - height
                drawing.box((x1 + 1, top), (x2 - x1 - 2, height), f"bar g{1 - arm}")
    drawing.line((left, middle), (right, middle), "rule")
    foot = middle + HEIGHT + 26
    for tick in even_ticks(0.0, 1.0, 10):
        drawing.text((scale.at(tick), foot), tick_text(tick), "small middle")
    axis = say("overlap_axis")
    drawing.text(((left + right) / 2, foot + 18), axis, "small middle")
    return drawing
