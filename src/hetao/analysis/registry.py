"""The installed estimators: which one carries out an analysis, and what each is."""

from functools import cache

from hetao.analysis.boosted_trees import BoostedTrees
from hetao.analysis.cells import is_told
from hetao.analysis.clogit import CaseCrossover, ConditionalLogistic
from hetao.analysis.counts import Counts
from hetao.analysis.cox import Cox
from hetao.analysis.cox_grid import CoxGrid
from hetao.analysis.cox_merged import CoxMerged
from hetao.analysis.effect_methods import Aipw, GComputation, Ipw
from hetao.analysis.estimator import Estimator, Protocol, protocol_of
from hetao.analysis.firth import Firth
from hetao.analysis.gamma import Gamma
from hetao.analysis.glmm import LogisticMixed, PoissonMixed
from hetao.analysis.indicators import Indicators
from hetao.analysis.km import KaplanMeier
from hetao.analysis.km_merged import KaplanMeierMerged
from hetao.analysis.linear import Linear
from hetao.analysis.lmm import LinearMixed
from hetao.analysis.logistic import Logistic
from hetao.analysis.logrank import LogRank
from hetao.analysis.meta import Meta
from hetao.analysis.negative_binomial import NegativeBinomial
from hetao.analysis.neural_network import NeuralNetwork
from hetao.analysis.penalised_models import (
    PenalisedLinear,
    PenalisedLogistic,
    PenalisedPoisson,
)
from hetao.analysis.performance import Performance, PerformanceLeftOut
from hetao.analysis.plan import make_plan
from hetao.analysis.poisson import Poisson
from hetao.analysis.profile import Profile
from hetao.analysis.quantiles import Quantiles
from hetao.analysis.rates import Rates
from hetao.analysis.sccs import SelfControlled
from hetao.analysis.score_strata import CoxScoreStrata
from hetao.analysis.scored_models import (
    CoxScored,
    LinearScored,
    LogisticScored,
    PoissonScored,
)
from hetao.analysis.scored_survival import KaplanMeierScored, LogRankScored
from hetao.analysis.screen import (
    CoxScreen,
    LogisticScreen,
    NegativeBinomialScreen,
    PoissonScreen,
)
from hetao.analysis.sealed_count import SealedCount
from hetao.analysis.strata import Strata
from hetao.analysis.table1 import Table1
from hetao.errors import InvalidStudy
from hetao.study import Analysis, Study
from hetao.study.methods import METHODS

INSTALLED: tuple[type[Estimator], ...] = (
    Counts,
    Table1,
    Logistic,
    Firth,
    PenalisedLogistic,
    PenalisedLinear,
    PenalisedPoisson,
    Linear,
    Poisson,
    NegativeBinomial,
    Gamma,
    Cox,
    CoxGrid,
    CoxMerged,
    ConditionalLogistic,
    CaseCrossover,
    SelfControlled,
    KaplanMeier,
    KaplanMeierMerged,
    LogRank,
    LinearMixed,
    LogisticMixed,
    PoissonMixed,
    Meta,
    Performance,
    PerformanceLeftOut,
    BoostedTrees,
    NeuralNetwork,
    Profile,
    Quantiles,
    Rates,
    Indicators,
    Ipw,
    GComputation,
    Aipw,
    Strata,
    LogisticScored,
    LinearScored,
    PoissonScored,
    CoxScored,
    CoxScoreStrata,
    KaplanMeierScored,
    LogRankScored,
    LogisticScreen,
    PoissonScreen,
    NegativeBinomialScreen,
    CoxScreen,
)


def estimator_for(study: Study, analysis: Analysis) -> Estimator:
    """Return the estimator of an analysis, fitted to its public plan.

    Raises:
        InvalidStudy: no installed estimator does this, or the analysis cannot be
            carried out within the public bounds.
    """
    if analysis.method not in METHODS:
        raise InvalidStudy(f"{analysis.name}: there is no method {analysis.method!r}")
    plan = make_plan(study, analysis)
    name = analysis.method
    if name == "cox" and not plan.within_sites:
        merges = analysis.grid is not None and analysis.grid.merge
        name = "cox_merged" if merges else "cox_grid"
    if name == "km" and is_told(plan) and not analysis.score:
        name = "km_merged"
    if analysis.validation:
        name = "performance_left_out"
    if name == "glmm" and analysis.family == "poisson":
        name = "glmm_poisson"
    if analysis.penalty:
        name = f"penalised_{name}" if analysis.shrinks else analysis.penalty
    if analysis.exposures:
        name = f"screen_{analysis.model}"
    if analysis.score:
        name = f"{name}_score_strata" if analysis.subclasses else f"{name}_scored"
    return next(one for one in INSTALLED if one.name == name)(plan)


@cache
def protocol(name: str) -> Protocol:
    """Return an installed estimator as permits list it.

    Raises:
        InvalidStudy: it is not installed.
    """
    known: tuple[type[Estimator], ...] = (*INSTALLED, SealedCount)
    for one in known:
        if one.name == name:
            return protocol_of(one)
    raise InvalidStudy(f"no protocol {name!r} is installed")


@cache
def protocols() -> tuple[Protocol, ...]:
    """Return every installed estimator as permits list it."""
    return tuple(protocol(one.name) for one in INSTALLED)
