"""A study: what is asked, of whom, how it is answered, and what may be shown."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from hetao import canonical as bytes_of
from hetao.errors import InvalidStudy
from hetao.records import fields_of
from hetao.study.concepts import ConceptSet
from hetao.study.definitions import Definition
from hetao.study.network import Network
from hetao.study.population import (
    TABLES,
    Criterion,
    Event,
    FollowUp,
    Intervals,
    Matching,
    Outcome,
    Population,
    Score,
    Value,
)

EVERYONE = "Everyone in the data"
EVENT_TABLES = tuple(table for table in TABLES if table != "death")
SOURCES = (
    *EVENT_TABLES,
    "events",
    "age",
    "sex",
    "index_day",
    "month",
    "arm",
    "time_at_risk",
    "outcome",
    "outcome_count",
    "death",
    "time_to_death",
    "score",
    "column",
    "person",
    "interval_start",
    "interval_stop",
    "interval_days",
    "window",
    "case",
)
AGGREGATES = (
    "any",
    "count",
    "days",
    "days_since_first",
    "days_since_last",
    "first",
    "last",
    "min",
    "max",
    "mean",
    "days_supply",
)
SHRINKING = {"ridge": 0.0, "lasso": 1.0, "elastic_net": 0.5}  # penalty, lasso's share
NUMBERS_FOR_SHARE = 100.0  # a person, of models' rounds, for a share of 1
SITE = "site"  # the one variable that every study has: where a person's rows lie


@dataclass(frozen=True)
class Level:
    """One level of a category: its name, and what the source calls it.

    `value` is an OMOP concept id, or the text of a flat file's cell.
    """

    name: str
    value: int | str


@dataclass(frozen=True)
class Variable:
    """One column of the analysis: where it comes from and what it may hold.

    Attributes:
        name: how terms refer to it.
        kind: "number", "category", or "key", which tells rows apart that belong
            together, by any text or whole number; it never leaves the site.
        source: one of SOURCES: an event table, "events" of several tables, what a
            person is on the index day ("age", "sex", "index_day", "month", "arm"),
            what follow-up gives ("time_at_risk", "outcome", "outcome_count",
            "time_to_death", "death"), "score", or "column" of a flat table; of rows
            cut by `Study.intervals` whose each is ("person"), the days before it and
            with it ("interval_start", "interval_stop"), how many it has
            ("interval_days"), whether it lies in a "window", and, of windows about
            events, which event it is about ("case").
        concepts: names of concept sets, or OMOP concept ids that stand for themselves
            alone; any of them counts.
        column: the flat table's column; "" otherwise.
        unit: UCUM unit of a number; "" for a category.
        bounds: (low, high) of a number in that unit, public; rows beyond are an
            error, and the secure sum's declared bounds follow from them.
        levels: of a category, the first being the reference; at least two. An age
            band is a level such as "65-74", a calendar period "2015-01-01/2017-12-31",
            a season "12-2" of months.
        window_days: (from, to) relative to the index day, both included.
        label: what a reader sees.
        aggregate: one of AGGREGATES; "" for the source's usual one.
        at_least: of "any", how many rows in the window make it the second level.
        value: which rows count, by their value.
        events: of the source "events", what counts.
        outcome: name of the outcome that a follow-up variable is about.
        score: name of the score.
        window: name of the window of the source "window".
        at: "row" for what somebody is on a row's first day, of age, index_day and
            month; "" for the index day.
    """

    name: str
    kind: str
    source: str
    concepts: tuple[int | str, ...] = ()
    column: str = ""
    unit: str = ""
    bounds: tuple[float, float] | None = None
    levels: tuple[Level, ...] = ()
    window_days: tuple[int, int] = (-365, 0)
    label: str = ""
    aggregate: str = ""
    at_least: int = 1
    value: Value | None = None
    events: tuple[Event, ...] = ()
    outcome: str = ""
    score: str = ""
    window: str = ""
    at: str = ""

    @property
    def event_rows(self) -> tuple[Event, ...]:
        """Return the rows that the variable is made of; none where it is of none."""
        if self.source == "events":
            return self.events
        if self.source in EVENT_TABLES:
            return (Event(self.source, self.concepts, self.value),)
        return ()

    @property
    def summary(self) -> str:
        """Return the aggregate, spelled out; "" where rows are not summed up."""
        if self.source in ("measurement", "observation"):
            return self.aggregate or "last"
        if self.source in EVENT_TABLES or self.source == "events":
            return self.aggregate or "any"
        return ""


@dataclass(frozen=True)
class Grid:
    """A public grid of times.

    Attributes:
        edges: right edges, increasing, in the time's unit.
        merge: whether neighbouring bins are joined, as few as need be, until each
            holds enough people and events of each site, or none; of cox alone.
    """

    edges: tuple[float, ...]
    merge: bool = False


@dataclass(frozen=True)
class Weight:
    """How many people of a standard population have one level of a category."""

    level: str
    weight: float


@dataclass(frozen=True)
class Coefficient:
    """What a published model multiplies a column of its design by, in its own unit."""

    name: str
    value: float


@dataclass(frozen=True)
class Boosting:
    """How trees are grown, in scikit-learn's and XGBoost's terms.

    Attributes:
        trees: how many, one after the other.
        depth: most splits from the root to a leaf.
        learning_rate: by which every leaf is shrunk.
        bins: most bins of a column.
        l2: penalty of the leaves, lambda of XGBoost.
        min_people: fewest people in a leaf; never fewer than the study's least cell.
        holdout: share of the people whom no tree sees and in whom the predictions are
            measured; 0 measures them in those who were fitted.
    """

    trees: int = 50
    depth: int = 3
    learning_rate: float = 0.1
    bins: int = 32
    l2: float = 0.0
    min_people: int = 20
    holdout: float = 0.2


@dataclass(frozen=True)
class Minimum:
    """Counts that a study asks for; a site's policy applies wherever it is stricter.

    Attributes:
        people: fewest people a site may contribute with.
        cell: fewest people on either side of a design column at a site, and in any
            count that is shown.
        events: fewest outcome events (and, for a binary outcome, non-events).
        share: most parameters per person at a site.
        leverage: largest share of a fitted value that one person may decide.
        sites: fewest sites in one sum.
        rounding: what counts that are shown become multiples of.
    """

    people: int = 50
    cell: int = 10
    events: int = 10
    share: float = 0.1
    leverage: float = 0.5
    sites: int = 3
    rounding: int = 5

    @property
    def told(self) -> float:
        """Return most numbers that the rounds of models tell for each person."""
        return NUMBERS_FOR_SHARE * self.share


@dataclass(frozen=True)
class QualityRule:
    """The data quality that a site needs to join, over the fields that the study reads.

    Attributes:
        passing: least share of checks that pass, of all that have something to check.
        conformance, completeness, plausibility: the same within one of Kahn's
            categories.
        must_pass: types of checks of which none may fail; see the guide to quality.
    """

    passing: float = 0.0
    conformance: float = 0.0
    completeness: float = 0.0
    plausibility: float = 0.0
    must_pass: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """One answer asked for.

    Attributes:
        name: unique within the study.
        method: one of `methods.METHODS`, which says what it uses of the fields below.
        outcome: the variable that a regression explains, or the events of rates where
            a person may have several.
        time, event: variables of a follow-up.
        start: number from which on a row is at risk, up to and with `time`, as in R's
            Surv(start, stop, event); "" where every row is from 0 on.
        terms: right-hand side, in the grammar of `terms`; "1" is the intercept.
        offset: expression added to the linear predictor; "" for none.
        by: grouping category of table1, quantiles, km, logrank and rates; "" for
            one group.
        weights: a number of the study, not below 0, by which people count, as R's prior
            weights do; "" where all count alike.
        penalty: "firth" for Firth's penalty of a logistic regression; "ridge", "lasso"
            or "elastic_net" of a logistic, linear or poisson one; "" for none.
        alpha: of "elastic_net", the lasso's share, above 0 and below 1, as in glmnet.
        lambdas: strengths of a ridge, lasso or elastic net to choose among, falling;
            () for glmnet's path.
        folds: of the cross-validation inside sites that chooses; 0 for none, which
            needs a single strength.
        seed: public, of the folds.
        select: "lambda.1se" or "lambda.min", the strength whose fit is the answer.
        standardize: whether a penalty meets coefficients of columns of unit variance.
        unpenalised: terms that a ridge, lasso or elastic net leaves alone.
        variance: "model", or "robust" for the sandwich of White (HC0).
        variables: rows of table1, or the numbers of quantiles.
        treatment: category of two levels whose effect is asked for, the second being
            the treatment.
        score: of a model, terms of a propensity score of the treatment, fitted in the
            same analysis, by which people are weighted; none where all count alike.
        estimand: whose mean effect: "ATE" of everyone, "ATT" of the treated, "ATO" of
            the overlap of the arms.
        person: key of whom a row belongs to; "" where each row is a person.
        most_rows: most rows that one person may have; public, for what a person may
            add to a sum follows from it. 0 without `person`.
        matched: key of the matched set a row belongs to, of a conditional model.
        likelihood: of clogit and case_crossover: "exact", or its approximation "efron"
            or "breslow", as R's clogit has them.
        truncation: a score nearer than this to 0 or 1 weighs as if it lay there; 0
            for none.
        ratio: of a model with a score, most others that each treated person is matched
            to, who then count instead of weights; 0 for weights.
        caliper: how far the logits of their scores may lie apart, in standard
            deviations of all people's; 0 without matching.
        subclasses: strata of the score, of equally many people; of a cox model with a
            score, by which it is stratified instead of weighted. 0 for the usual, 5,
            and of a cox model for none.
        overlap_bins: bins of the score's histogram in either arm, equal ones from 0 to
            1; 0 for none.
        strata: categories that stratify a cox model, a log-rank test or rates, or by
            which the sets of a conditional model are split; "site" is always allowed.
        ties: "efron" or "breslow".
        grid: public times for km and for cox without site strata.
        horizon: public time up to which km takes the restricted mean; None for none.
        baseline: whether a cox model on a grid tells its cumulative baseline hazard.
        zph: transform of time, "identity" or "log", of the test of proportional
            hazards of a cox model, as of R's cox.zph; "" for no test.
        rho: power of the survival that weighs an event of logrank; 0 weighs all alike.
        conf_type: scale of km's limits: "log", "log-log" or "plain", as of R's survfit.
        standard: a public standard population, one weight a level of the one category
            of the strata other than "site"; rates are standardised to it.
        model: the method that each site of a meta-analysis carries out by itself; the
            other fields are this method's.
        show_sites: whether people are shown each site's own estimates.
        coefficients: of a published model whose performance is asked for, one a column
            of the design; none for a model that is fitted to these people.
        link: of a published model: "logit", "cloglog" (a Cox model at one time), or
            "identity", where the terms add up to the probability itself.
        validation: "leave_one_site_out" for predictions at each site by the model of
            the other sites; "" for those of the people that a model was fitted to.
        thresholds: probabilities at or above which people would be treated; public.
        groups: of equally many people by prediction, that calibration is shown in.
        boosting: how trees are grown; None for the usual way.
        effect: the column of the design whose likelihood profile is asked for.
        REML: whether a linear mixed model maximises the restricted likelihood, as R's
            lmer does if nothing is said, or the likelihood.
        family: of a generalised linear mixed model, "binomial" or "poisson"; of an
            effect "poisson" where the outcome is a count, "" elsewhere.
        nAGQ: points of its quadrature, as of R's glmer.
        network: a neural network and how it is trained.
        exposures: of a screen, numbers or categories of two levels, each in turn the
            first of the terms.
        outcomes: of a screen, the outcomes, or the events of a follow-up.
        times: of a screen of follow-ups, the time of each event, or one for all.
        controls: which of the outcomes no exposure can cause.
    """

    name: str
    method: str
    outcome: str = ""
    time: str = ""
    event: str = ""
    start: str = ""
    terms: tuple[str, ...] = ()
    offset: str = ""
    weights: str = ""
    variance: str = "model"
    penalty: str = ""
    person: str = ""
    most_rows: int = 0
    matched: str = ""
    likelihood: str = "exact"
    alpha: float = 0.5
    lambdas: tuple[float, ...] = ()
    folds: int = 5
    seed: int = 1
    select: str = "lambda.1se"
    standardize: bool = True
    unpenalised: tuple[str, ...] = ()
    treatment: str = ""
    score: tuple[str, ...] = ()
    estimand: str = "ATE"
    truncation: float = 0.0
    overlap_bins: int = 0
    ratio: int = 0
    caliper: float = 0.0
    subclasses: int = 0
    by: str = ""
    variables: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    ties: str = "efron"
    grid: Grid | None = None
    horizon: float | None = None
    conf_type: str = "log"
    rho: float = 0.0
    zph: str = ""
    baseline: bool = False
    standard: tuple[Weight, ...] = ()
    model: str = ""
    show_sites: bool = False
    coefficients: tuple[Coefficient, ...] = ()
    link: str = "logit"
    validation: str = ""
    thresholds: tuple[float, ...] = ()
    groups: int = 10
    boosting: Boosting | None = None
    effect: str = ""
    REML: bool = True
    family: str = ""
    nAGQ: int = 25  # noqa: N815 - lme4's name
    network: Network | None = None
    exposures: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    @cached_property
    def pairs(self) -> "tuple[tuple[str, str, Analysis], ...]":
        """Return a screen's pairs: exposure, outcome and the model of both."""
        times = self.times * (len(self.outcomes) if len(self.times) == 1 else 1)
        times = times or ("",) * len(self.outcomes)
        return tuple(
            (exposure, outcome, self._of_pair(exposure, outcome, time))
            for exposure in self.exposures
            for outcome, time in zip(self.outcomes, times, strict=True)
        )

    def _of_pair(self, exposure: str, outcome: str, time: str) -> "Analysis":
        return replace(
            self,
            method=self.model,
            model="",
            exposures=(),
            outcomes=(),
            times=(),
            controls=(),
            terms=(exposure, *self.terms),
            time=time,
            event=outcome if time else "",
            outcome="" if time else outcome,
        )

    @property
    def of_score(self) -> "Analysis":
        """Return the logistic regression that is a model's propensity score."""
        return Analysis(self.name, "logistic", outcome=self.treatment, terms=self.score)

    @property
    def shrinks(self) -> bool:
        """Return whether the penalty is a ridge, a lasso or an elastic net."""
        return self.penalty in SHRINKING

    @property
    def alone(self) -> "Analysis":
        """Return what a site of a meta-analysis carries out by itself."""
        is_cox = self.model == "cox"
        within = (SITE,) if is_cox and SITE not in self.strata else ()
        return replace(
            self,
            method=self.model,
            model="",
            effect="",
            show_sites=False,
            strata=(*self.strata, *within),
        )


@dataclass(frozen=True)
class Study:
    """A whole study in the form that is hashed, approved and carried out.

    `minimum` tightens what the sites' own policies ask; None asks no more. `quality` is
    what a site's data must reach before it joins; None asks for nothing.
    `on_lost_site` is "stop" or "continue"; `told_apart` names the sites whose own part
    other studies may tell, because they join or leave; `deadline_seconds` is how long a
    round waits for a site. `dictionary` names the common data model, "omop-5.4" or
    "flat"; `dictionary_digest` is that of the data dictionary the study was written
    for, so that the permit and the certificate fix what its words mean; "" for a flat
    table. `definitions` says which parts were taken over from OHDSI's cohort
    definitions.
    """

    name: str
    title: str
    question: str
    version: str
    dictionary: str
    sites: tuple[str, ...]
    variables: tuple[Variable, ...]
    analyses: tuple[Analysis, ...]
    criteria: tuple[Criterion, ...] = ()
    estimand: dict[str, str] = field(default_factory=dict)
    minimum: Minimum | None = None
    quality: QualityRule | None = None
    dictionary_digest: str = ""
    on_lost_site: str = "stop"
    deadline_seconds: int = 120
    concepts: tuple[ConceptSet, ...] = ()
    population: Population = field(default_factory=Population)
    follow_up: FollowUp | None = None
    intervals: Intervals | None = None
    outcomes: tuple[Outcome, ...] = ()
    scores: tuple[Score, ...] = ()
    matching: Matching | None = None
    definitions: tuple[Definition, ...] = ()
    told_apart: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the labels of the attrition table, in the order of their carrying out.

        First what the population asks, then the criteria about events, the time at
        risk, the criteria about variables, and the matching.
        """
        population = self.population
        asked = (
            (EVERYONE, True),
            ("Index day in the period", population.period is not None),
            ("Of the age asked for", population.ages is not None),
            ("Of the sex asked for", bool(population.sexes)),
            ("Index day in the season", population.months is not None),
            ("Observed for long enough", population.prior_observation_days is not None),
            ("No entry event in the washout", population.washout_days > 0),
            ("In one arm alone", bool(population.arms)),
        )
        rules = [one.label for one in self.criteria if one.rule]
        return (
            *(label for label, is_asked in asked if is_asked),
            *(one.label for one in self.criteria if not one.rule),
            *(("At risk",) if self.follow_up else ()),
            *rules,
            *(("Matched",) if self.matching else ()),
        )

    @property
    def person(self) -> str:
        """Return the key of whom a row belongs to; "" where each row is a person."""
        return next((one.person for one in self.analyses if one.person), "")

    @cached_property
    def canonical(self) -> bytes:
        """Return the study's canonical bytes (RFC 8785).

        `told_apart` stands in them where it names a site, so that a study of before
        there was such a field keeps its digest.
        """
        fields = fields_of(self)
        if not self.told_apart:
            del fields["told_apart"]
        return bytes_of.canonical({"type": "hetao.study/1", **fields})

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…` over the canonical bytes; everything later cites it."""
        return bytes_of.digest_bytes(self.canonical)

    def variable(self, name: str) -> Variable:
        """Return the variable of that name; `site` is one in every study.

        Raises:
            InvalidStudy: the study has no such variable.
        """
        if name == SITE:
            levels = tuple(Level(site, site) for site in self.sites)
            return Variable(SITE, "category", "site", levels=levels, label="Site")
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise InvalidStudy(
            f"the study has no variable {name!r}",
            fix="name one of: " + ", ".join(v.name for v in self.variables),
        )

    def concept_set(self, name: str) -> ConceptSet:
        """Return the concept set of that name.

        Raises:
            InvalidStudy: the study has no such concept set.
        """
        for concepts in self.concepts:
            if concepts.name == name:
                return concepts
        raise InvalidStudy(
            f"the study has no concept set {name!r}",
            fix=f"write it under [concepts.{name}]",
        )

    def analysis(self, name: str) -> Analysis:
        """Return the analysis of that name.

        Raises:
            InvalidStudy: the study has no such analysis.
        """
        for analysis in self.analyses:
            if analysis.name == name:
                return analysis
        raise InvalidStudy(f"the study has no analysis {name!r}")
