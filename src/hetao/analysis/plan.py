"""A study and one of its analyses → the public plan that every party computes alike."""

from dataclasses import dataclass, replace

import numpy as np

from hetao.analysis.design import INTERCEPT, Column, design_columns, number_bounds
from hetao.analysis.expressions import Floats, Interval, bounds_of
from hetao.analysis.neighbours import NONE, Pairs, beside, reads, within
from hetao.errors import InvalidStudy
from hetao.study import (
    Analysis,
    Expression,
    Minimum,
    Study,
    Term,
    Variable,
    parse_expression,
    parse_term,
)
from hetao.study.methods import Method, method_of
from hetao.study.model import SITE

ALL = "All"
MOST_STRATA = 10_000
USUAL_STRATA = 5  # of a propensity score


@dataclass(frozen=True)
class Plan:
    """What is public about one analysis; the same at every site and outside.

    Attributes:
        analysis: what is asked.
        variables: every variable that the analysis reads, `site` with its levels.
        sites, minimum: as the study says.
        columns: of the design, in order; none for counts, table1 and km.
        intercept: whether `columns[0]` is the intercept.
        outcome: public bounds of a number that is the outcome, or of a person's events.
        offset, offset_bounds: added to the linear predictor as it is.
        groups: labels of the groups of `by`; one, "All", without it; of an effect, the
            arms.
        score: of the logistic regression whose fitted values weigh people; None where
            none does.
        parts: of a screen, one for each of its pairs.
        most_weight: the highest public weight of a person; 1 where all count alike.
        strata: labels of the strata of times or rates that do not follow from the site.
        within_sites: whether risk sets, and ratios of rates, stay inside a site.
        edges: right edges of the public grid of times.
        steps: labels of the attrition table.
        penalised: of a ridge, lasso or elastic net, whether it meets each column.
        within, beside: the definitions within it that are compared, and its own with
            those of earlier analyses of the study.
    """

    analysis: Analysis
    variables: tuple[Variable, ...]
    sites: tuple[str, ...]
    minimum: Minimum | None
    columns: tuple[Column, ...] = ()
    intercept: bool = False
    outcome: Interval = (0.0, 1.0)
    offset: Expression | None = None
    offset_bounds: Interval = (0.0, 0.0)
    most_weight: float = 1.0
    groups: tuple[str, ...] = ()
    score: "Plan | None" = None
    parts: "tuple[Plan, ...]" = ()
    strata: tuple[str, ...] = ()
    within_sites: bool = False
    edges: tuple[float, ...] = ()
    steps: tuple[str, ...] = ()
    penalised: tuple[bool, ...] = ()
    within: Pairs = NONE
    beside: Pairs = NONE

    @property
    def method(self) -> Method:
        """Return what the analysis's method uses; of meta-analysis, its model."""
        model = "" if self.parts else self.analysis.model
        return method_of(model or self.analysis.method, self.analysis.family)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the design's columns."""
        return tuple(column.name for column in self.columns)

    @property
    def parameters(self) -> int:
        """Return how many numbers the model estimates."""
        return len(self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the variables that a person must have for a row to count."""
        if self.parts:  # each pair has people of its own
            return ()
        if self.analysis.variables:  # each is described by itself, missing ones too
            return (self.analysis.by,) if self.analysis.by else ()
        return tuple(variable.name for variable in self.variables)

    @property
    def tells_sites(self) -> bool:
        """Return whether some numbers of a sum are one site's alone.

        Strata do not make it so: what is summed over them is one number for all.
        """
        if self.parts:
            return self.parts[0].tells_sites
        return SITE in reads(replace(self.analysis, strata=()))

    @property
    def crosses_sites(self) -> bool:
        """Return whether a term tells one site's part of another column."""
        if self.parts:
            return any(part.crosses_sites for part in self.parts)
        columns = self.columns + (self.score.columns if self.score else ())
        return any(
            name == SITE and (column.factors or len(column.levels) > 1)
            for column in columns
            for name, _ in column.levels
        )

    @property
    def counts_apart(self) -> bool:
        """Return whether people, rows and weights are three sums and not one."""
        return bool(self.analysis.weights or self.analysis.person)

    @property
    def most_rows(self) -> int:
        """Return the most rows that one person may have; 1 where a row is a person."""
        return self.analysis.most_rows or 1

    @property
    def subclasses(self) -> int:
        """Return how many strata of a propensity score there are; 5 if left out."""
        return self.analysis.subclasses or USUAL_STRATA

    @property
    def set_key(self) -> str:
        """Return the key of the sets that a conditional model compares rows within."""
        return self.analysis.matched or self.analysis.person

    @property
    def is_robust(self) -> bool:
        """Return whether the variance is the sandwich."""
        return self.analysis.variance == "robust"

    @property
    def is_binary(self) -> bool:
        """Return whether the outcome is a category of two levels, the event second."""
        name = self.analysis.outcome
        return bool(name) and self.variable(name).kind == "category"

    @property
    def is_count(self) -> bool:
        """Return whether the outcome is a count."""
        return self.method.outcome == "count"

    @property
    def outcome_scale(self) -> Interval:
        """Return (centre, scale) that bring a number outcome into -1 to 1."""
        low, high = self.outcome
        if self.intercept:
            return (low + high) / 2, (high - low) / 2
        return 0.0, max(abs(low), abs(high))

    def variable(self, name: str) -> Variable:
        """Return a variable that the analysis reads, by its name."""
        return next(v for v in self.variables if v.name == name)

    def to_units(self) -> Floats:
        """Return the (p, p) matrix from standardised to original coefficients."""
        scales = np.array([column.scale for column in self.columns])
        matrix = np.diag(1.0 / scales)
        if self.intercept:
            centres = np.array([column.centre for column in self.columns])
            matrix[0, 1:] = -centres[1:] / scales[1:]
        return matrix


def make_plan(study: Study, analysis: Analysis) -> Plan:
    """Return the plan of an analysis, from what is public alone.

    Raises:
        InvalidStudy: the analysis cannot be carried out within the public bounds;
            the error names the term or the field and the remedy.
        BadFormula: a term cannot be read.
    """
    make = _meta_plan if analysis.model else _single_plan
    plan = (_screen_plan if analysis.exposures else make)(study, analysis)
    fields = {"analysis": analysis, "beside": beside(study, analysis)}
    return _with(plan, **fields, within=within(study, analysis))


def _single_plan(study: Study, analysis: Analysis) -> Plan:
    variables = tuple(study.variable(name) for name in reads(analysis))
    plan = Plan(analysis, variables, study.sites, study.minimum)
    method = plan.method
    if analysis.method == "counts":
        return _with(plan, steps=study.steps)
    if "by" in method.fields:
        plan = _with(plan, groups=_labels(study, (analysis.by,) if analysis.by else ()))
    if analysis.treatment:
        plan = _with(plan, groups=_labels(study, (analysis.treatment,)))
    if method.has_times:
        plan = _with_times(study, plan)
    if method.has_rates:
        plan = _with_rates(study, plan)
    plan = _with_weights(study, plan)
    is_number = method.outcome == "mean" and not plan.is_binary
    if is_number or method.outcome in ("number", "count", "positive"):
        plan = _with(plan, outcome=_outcome(study, plan))
    if method.is_model:
        plan = _with_design(study, plan)
    return plan


def _with(plan: Plan, **fields: object) -> Plan:
    return Plan(**{**plan.__dict__, **fields})


def _labels(study: Study, categories: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels for each combination of levels, the last category fastest."""
    labels = [""]
    for name in categories:
        levels = study.variable(name).levels
        labels = [
            f"{label}, {level.name}" if label else level.name
            for label in labels
            for level in levels
        ]
    if len(labels) > MOST_STRATA:
        raise InvalidStudy(
            f"the categories make more than {MOST_STRATA} strata",
            fix="leave out a category, or merge levels",
        )
    return tuple(labels) if categories else (ALL,)


def _with_times(study: Study, plan: Plan) -> Plan:
    analysis = plan.analysis
    earliest = _earliest(study, analysis.time)
    if analysis.start:
        _earliest(study, analysis.start)
    if earliest == 0 and analysis.zph == "log":
        raise InvalidStudy(
            f"the time {analysis.time!r} may be 0 by its bounds and has no logarithm",
            fix="start its bounds above 0, or write zph = 'identity'",
        )
    within = SITE in analysis.strata
    others = tuple(name for name in analysis.strata if name != SITE)
    strata = _labels(study, others) if "strata" in plan.method.fields else ()
    edges = analysis.grid.edges if analysis.grid and not within else ()
    if not edges and not within:
        raise InvalidStudy(
            f"{analysis.name}: times are summed over sites on a public grid only",
            fix="give a grid of times, or strata = ['site'] for cox and logrank",
        )
    return _with(plan, within_sites=within, strata=strata, edges=edges)


def _earliest(study: Study, name: str) -> float:
    """Return the earliest that a time may be by its bounds, which is not below 0."""
    earliest = number_bounds(study, (name,))[name][0]
    if earliest < 0:
        raise InvalidStudy(
            f"the time {name!r} may be negative by its bounds",
            fix="start its bounds at 0",
        )
    return earliest


def _with_weights(study: Study, plan: Plan) -> Plan:
    """Return the plan with what people may weigh, or the score that weighs them."""
    analysis = plan.analysis
    if analysis.weights:
        plan = _with(plan, most_weight=_most_weight(study, analysis.weights))
    if analysis.score:
        plan = _with(plan, score=make_plan(study, analysis.of_score))
    return plan


def _most_weight(study: Study, name: str) -> float:
    low, high = number_bounds(study, (name,))[name]
    if low < 0:
        raise InvalidStudy(
            f"the weight {name!r} may be negative by its bounds",
            fix="start its bounds at 0",
        )
    return high


def _meta_plan(study: Study, analysis: Analysis) -> Plan:
    """Return the plan by which a site of a meta-analysis fits the model by itself."""
    for text in analysis.terms:
        if SITE in parse_term(text).names:
            raise InvalidStudy(
                f"the term {text!r} is constant at a site that fits by itself",
                fix="take it out of the terms",
            )
    return make_plan(study, analysis.alone)


def _screen_plan(study: Study, analysis: Analysis) -> Plan:
    parts = tuple(make_plan(study, one) for _, _, one in analysis.pairs)
    names = dict.fromkeys(v.name for part in parts for v in part.variables)
    variables = tuple(study.variable(name) for name in names)
    return Plan(analysis, variables, study.sites, study.minimum, parts=parts)


def _with_rates(study: Study, plan: Plan) -> Plan:
    """Return the plan of rates, whose strata may be sites."""
    analysis = plan.analysis
    if number_bounds(study, (analysis.time,))[analysis.time][0] < 0:
        raise InvalidStudy(
            f"the time {analysis.time!r} may be negative by its bounds",
            fix="start its bounds at 0",
        )
    within = SITE in analysis.strata
    others = tuple(name for name in analysis.strata if name != SITE)
    return _with(
        plan,
        within_sites=within,
        strata=_labels(study, others),
        outcome=_count_bounds(study, analysis.outcome),
    )


def _with_sets(study: Study, plan: Plan) -> Plan:
    """Return the plan of a conditional model, whose sets its strata split."""
    names = plan.analysis.strata
    others = tuple(name for name in names if name != SITE)
    strata = _labels(study, others) if others else ()
    return _with(plan, within_sites=SITE in names, strata=strata)


def _count_bounds(study: Study, name: str) -> Interval:
    """Return the bounds of a count; of an event, which a person has or has not."""
    bounds = number_bounds(study, (name,))[name] if name else (0.0, 1.0)
    if bounds[0] < 0:
        raise InvalidStudy(
            f"the count {name!r} may be negative by its bounds",
            fix="start its bounds at 0",
        )
    return bounds


def _outcome(study: Study, plan: Plan) -> Interval:
    analysis = plan.analysis
    if plan.method.outcome == "count":
        return _count_bounds(study, analysis.outcome)
    bounds = number_bounds(study, (analysis.outcome,))[analysis.outcome]
    if plan.method.outcome == "positive" and bounds[0] <= 0:
        raise InvalidStudy(
            f"the outcome {analysis.outcome!r} may be 0 or less by its bounds, which "
            f"{analysis.method} regression cannot explain",
            fix="start its bounds above 0, or use another method",
        )
    return bounds


def _with_design(study: Study, plan: Plan) -> Plan:
    analysis = plan.analysis
    if plan.method.is_conditional:
        plan = _with_sets(study, plan)
    # A baseline hazard, or a level of each set's own, is the intercept.
    is_own = plan.method.has_times or plan.method.is_conditional
    texts = [text.strip() for text in analysis.terms]
    intercept = not is_own and "0" not in texts and "-1" not in texts
    terms = [parse_term(text) for text in texts if text not in ("0", "-1", "1")]
    _check_strata(plan, terms)
    coded = intercept or is_own
    columns = design_columns(study, terms, coded, coded, analysis.strata)
    if intercept:
        columns = (Column(INTERCEPT), *columns)
    if analysis.shrinks:
        plan = _with(plan, penalised=_penalised(study, analysis, columns))
    if not columns:
        raise InvalidStudy(
            f"{analysis.name}: the model has no columns", fix="name at least one term"
        )
    offset = parse_expression(analysis.offset) if analysis.offset else None
    if offset is None:
        return _with(plan, columns=columns, intercept=intercept)
    known = number_bounds(study, Term("", (offset,)).names)
    bounds = bounds_of(offset, known)
    return _with(
        plan,
        columns=columns,
        intercept=intercept,
        offset=offset,
        offset_bounds=bounds,
    )


def _penalised(
    study: Study, analysis: Analysis, columns: tuple[Column, ...]
) -> tuple[bool, ...]:
    """Return whether the penalty meets each column; the intercept it never does."""
    kept = [text.strip() for text in analysis.unpenalised]
    terms = [parse_term(text) for text in kept if text != "1"]
    alone = design_columns(study, terms, intercept=True, centred=True)
    spared = {INTERCEPT, *(column.name for column in alone)}
    return tuple(column.name not in spared for column in columns)


def _check_strata(plan: Plan, terms: list[Term]) -> None:
    for term in terms:
        if term.names and set(term.names) <= set(plan.analysis.strata):
            raise InvalidStudy(
                f"the term {term.text!r} is constant within every stratum",
                fix="take it out of the terms or out of the strata",
            )
