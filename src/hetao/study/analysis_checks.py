"""An analysis, held to what its method reads and to the study's variables."""

import dataclasses
import itertools
import math

from hetao.errors import InvalidStudy
from hetao.study.effects import check_effect
from hetao.study.methods import FAMILIES, METHODS, POOLED, PROFILED, method_of
from hetao.study.model import SITE, Analysis, Study
from hetao.study.network import check_network
from hetao.study.performance import check_performance
from hetao.study.screens import check_screen
from hetao.study.shrinkage import check_shrinkage
from hetao.study.terms import names_of, parse_expression, parse_term

MOST_GRID = 20_000
MOST_RHO = 100
POINTS = (9, 100)  # of a quadrature
MOST_MERGED = 1000
MOST_ROWS = 100_000


def check_analysis(study: Study, analysis: Analysis, where: str) -> None:
    """Refuse an analysis that cannot be carried out, or says what nobody reads.

    Raises:
        InvalidStudy: the field is named, and what to write instead.
        BadFormula: a term cannot be read.
    """
    _check_fields(analysis, where)
    if analysis.exposures:
        check_screen(study, analysis, where)
        for _, _, one in analysis.pairs:
            check_analysis(study, one, where)
        return
    if analysis.model:
        _check_pooled(study, analysis, where)
        return
    _check_choices(analysis, where)
    if analysis.weights:
        _check_weights(study, analysis, where)
    _check_person(study, analysis, where)
    _check_names(study, analysis, where)
    _check_outcome(study, analysis, where)
    check_effect(study, analysis, where)
    check_performance(study, analysis, where)
    _check_grid(analysis, where)
    _check_curves(analysis, where)
    _check_rates(study, analysis, where)
    if analysis.network:
        check_network(analysis.network, where)


def check_persons(study: Study, where: str) -> None:
    """Refuse a study that takes the same rows for one person's here, for many's there.

    Raises:
        InvalidStudy: an analysis leaves out the key that another one names.
    """
    for analysis in study.analyses:
        if analysis.method != "counts" and analysis.person != study.person:
            raise InvalidStudy(
                f"{where} [[analyses]] {analysis.name}: by the key {study.person!r} a "
                "person may have several rows; here each would count as a person",
                fix=f"write person = {study.person!r}, or ask of one row a person "
                "in a study of its own",
            )


def _check_person(study: Study, analysis: Analysis, where: str) -> None:
    if bool(analysis.person) != bool(analysis.most_rows):
        raise InvalidStudy(
            f"{where}: person and most_rows go together: what somebody can add to a "
            "sum follows from how many rows they may have",
            fix="write person = a key, and most_rows = the most rows of one person",
        )
    if analysis.person:
        _require(study, analysis.person, "key", where)
        if not 1 <= analysis.most_rows <= MOST_ROWS:
            raise InvalidStudy(f"{where}: most_rows lies in 1 to {MOST_ROWS}")
        _check_clustered(analysis, where)
    if analysis.matched:
        _require(study, analysis.matched, "key", where)


def _check_clustered(analysis: Analysis, where: str) -> None:
    """Check that rows of one person are not taken for independent ones."""
    if analysis.score:
        raise InvalidStudy(
            f"{where}: a propensity score is of people, of whom each has one row",
            fix="leave out the score, or give weights that each row has",
        )
    if analysis.penalty:
        raise InvalidStudy(
            f"{where}: a penalised model is of people, of whom each has one row",
            fix="leave out the penalty, or take one row a person",
        )
    apart = "variance" in METHODS[analysis.method].fields and not analysis.start
    if apart and not _is_robust(analysis):
        raise InvalidStudy(
            f"{where}: rows of one person depend on each other",
            fix="write variance = 'robust', or of a cox model name the rows' start",
        )


def _check_names(study: Study, analysis: Analysis, where: str) -> None:
    """Check that what is named exists, and is of the kind that is needed there."""
    for term in (*analysis.terms, *analysis.score):
        for name in parse_term(term).names:
            _check_term_variable(study, term, name, where)
    offset = names_of(parse_expression(analysis.offset)) if analysis.offset else ()
    for name in offset:
        _require(study, name, "number", where)
    for name in analysis.variables:
        _refuse_key(study, name, where)
        if analysis.method == "quantiles":
            _require(study, name, "number", where)
    for name in filter(None, (analysis.by, *analysis.strata)):
        _require(study, name, "category", where)


def _check_choices(analysis: Analysis, where: str) -> None:
    if analysis.ties not in ("efron", "breslow"):
        raise InvalidStudy(f"{where}: ties is 'efron' or 'breslow'")
    if analysis.likelihood not in ("exact", "efron", "breslow"):
        raise InvalidStudy(f"{where}: likelihood is 'exact', 'efron' or 'breslow'")
    check_shrinkage(analysis, where)
    if analysis.penalty and analysis.variance != "model":
        raise InvalidStudy(f"{where}: a penalised model has no robust variance")
    if analysis.variance not in ("model", "robust"):
        raise InvalidStudy(f"{where}: variance is 'model' or 'robust'")
    if analysis.family and analysis.family not in FAMILIES:
        raise InvalidStudy(
            f"{where}: family is " + " or ".join(map(repr, FAMILIES)),
            fix="use method = 'lmm' for a number that is no count",
        )
    if not POINTS[0] <= analysis.nAGQ <= POINTS[1]:
        raise InvalidStudy(
            f"{where}: nAGQ lies in {POINTS[0]} to {POINTS[1]}; with fewer points a "
            "likelihood is only an approximation",
        )


def _check_weights(study: Study, analysis: Analysis, where: str) -> None:
    name = analysis.weights
    _require(study, name, "number", where)
    bounds = study.variable(name).bounds
    if bounds is None or bounds[0] < 0:
        raise InvalidStudy(
            f"{where}: the weight {name!r} may be negative by its bounds",
            fix="start its bounds at 0",
        )


def _check_pooled(study: Study, analysis: Analysis, where: str) -> None:
    """Check the analysis that each site of a meta-analysis carries out by itself."""
    known = PROFILED if analysis.method == "profile" else POOLED
    if analysis.model not in known:
        raise InvalidStudy(f"{where}: model is one of " + ", ".join(known))
    check_analysis(study, analysis.alone, where)


def _check_fields(analysis: Analysis, where: str) -> None:
    """Refuse an unknown method, a field it lacks, and one that means nothing to it."""
    method = METHODS.get(analysis.method)
    if method is None:
        raise InvalidStudy(f"{where}: method is one of " + ", ".join(METHODS))
    for field in dataclasses.fields(Analysis):
        if field.name in ("name", "method"):
            continue
        value = getattr(analysis, field.name)
        if field.name in method.needs and not value:
            raise InvalidStudy(f"{where}: {analysis.method} needs {field.name!r}")
        if field.name not in method.fields and value != field.default:
            raise InvalidStudy(
                f"{where}: {analysis.method} has no use for {field.name!r}",
                fix="leave it out; it reads " + (", ".join(method.fields) or "none"),
            )


def _check_term_variable(study: Study, term: str, name: str, where: str) -> None:
    _refuse_key(study, name, where)
    variable = study.variable(name)
    plain = name in [part.strip() for part in term.split(":")]
    if variable.kind == "category" and not plain:
        raise InvalidStudy(
            f"{where}: {term!r} does arithmetic on the category {name!r}"
        )


def _refuse_key(study: Study, name: str, where: str) -> None:
    if study.variable(name).kind == "key":
        raise InvalidStudy(
            f"{where}: {name!r} is a key: it tells whose a row is and leaves no site, "
            "so nothing is counted or explained by it",
            fix="name it as person or matched, and nowhere else",
        )


def _require(study: Study, name: str, kind: str, where: str) -> None:
    if study.variable(name).kind != kind:
        raise InvalidStudy(f"{where}: {name!r} must be a {kind}")


def _check_outcome(study: Study, analysis: Analysis, where: str) -> None:
    method = method_of(analysis.method, analysis.family)
    if method.outcome and not method.fits:
        is_share = method.outcome == "mean" and study.variable(analysis.outcome).levels
        if method.outcome == "binary" or is_share:
            _require_binary(study, analysis.outcome, where)
        else:
            _require(study, analysis.outcome, "number", where)
    if method.has_times:
        _require(study, analysis.time, "number", where)
        _require_binary(study, analysis.event, where)
        _check_entry(study, analysis, where)
    if method.is_test and (
        SITE not in analysis.strata or analysis.by in analysis.strata
    ):
        raise InvalidStudy(
            f"{where}: {analysis.method} compares the groups of 'by' within sites",
            fix="write 'site' among the strata and 'by' not; km tests over a grid",
        )
    _check_rho(analysis, where)
    if analysis.zph:
        _check_zph(analysis, where)
    if analysis.baseline and SITE in analysis.strata:
        raise InvalidStudy(
            f"{where}: within sites each site has a baseline hazard of its own",
            fix="leave out baseline, or model over sites on a grid",
        )
    is_more = analysis.weights or analysis.score or _is_robust(analysis)
    if analysis.method == "cox" and is_more and SITE not in analysis.strata:
        raise InvalidStudy(
            f"{where}: weights and robust variance are of cox models within sites",
            fix="write strata = ['site']",
        )
    if analysis.method == "cox" and SITE not in analysis.strata and not analysis.grid:
        raise InvalidStudy(
            f"{where}: a cox model whose risk sets span sites needs a public grid",
            fix="write strata = ['site'], or give a grid of times",
        )


def _check_rho(analysis: Analysis, where: str) -> None:
    if not 0 <= analysis.rho <= MOST_RHO:
        raise InvalidStudy(f"{where}: rho lies in 0 to {MOST_RHO}")
    if analysis.rho and (analysis.weights or analysis.score):
        raise InvalidStudy(
            f"{where}: events that weigh by the survival, and people who weigh, have "
            "no variance that is known to hold",
            fix="leave out rho, or the weights",
        )


def _check_entry(study: Study, analysis: Analysis, where: str) -> None:
    """Check what is said of late entry and of several rows a person."""
    is_cox = analysis.method == "cox"
    if analysis.start:
        _require(study, analysis.start, "number", where)
        if analysis.start == analysis.time:
            raise InvalidStudy(f"{where}: start and time are one variable")
    if is_cox and (analysis.start or analysis.person) and SITE not in analysis.strata:
        raise InvalidStudy(
            f"{where}: late entry and several rows a person are of cox models within "
            "sites: over sites, who leaves a bin less who enters there could be one",
            fix="write strata = ['site']",
        )
    if analysis.method == "km" and analysis.start and analysis.weights:
        raise InvalidStudy(
            f"{where}: the variance of weighted curves is of people at risk from 0 on",
            fix="leave out start, or use logrank or cox within sites",
        )
    if analysis.score and analysis.start:
        raise InvalidStudy(
            f"{where}: a propensity score is of people who are at risk from 0 on",
            fix="leave out the score, or give weights that each row has",
        )


def _is_robust(analysis: Analysis) -> bool:
    return analysis.variance == "robust"


def _require_binary(study: Study, name: str, where: str) -> None:
    _require(study, name, "category", where)
    if len(study.variable(name).levels) != 2:
        raise InvalidStudy(f"{where}: {name!r} must have two levels, the event second")


def _check_grid(analysis: Analysis, where: str) -> None:
    if analysis.grid is None:
        return
    edges = analysis.grid.edges
    if analysis.grid.merge and analysis.method != "cox":
        raise InvalidStudy(f"{where}: only a cox model merges bins of its grid")
    if analysis.grid.merge and len(edges) > MOST_MERGED:
        raise InvalidStudy(f"{where}: at most {MOST_MERGED} bins can be merged")
    rising = all(a < b for a, b in itertools.pairwise(edges))
    finite = all(map(math.isfinite, edges))
    if not 1 <= len(edges) <= MOST_GRID or not rising or not finite:
        raise InvalidStudy(
            f"{where}: the grid needs 1 to {MOST_GRID} increasing finite times"
        )


def _check_curves(analysis: Analysis, where: str) -> None:
    if analysis.conf_type not in ("log", "log-log", "plain"):
        raise InvalidStudy(f"{where}: conf_type is 'log', 'log-log' or 'plain'")
    horizon, grid = analysis.horizon, analysis.grid
    if horizon is not None and grid and not 0 < horizon <= grid.edges[-1]:
        raise InvalidStudy(
            f"{where}: the horizon lies beyond the grid of times",
            fix="choose one above 0 and up to the last time of the grid",
        )


def _check_zph(analysis: Analysis, where: str) -> None:
    if analysis.zph in ("km", "rank"):
        raise InvalidStudy(
            f"{where}: the transform {analysis.zph!r} of zph needs the times of all "
            "sites together, which leave none",
            fix="write 'identity' or 'log', which need nothing but a site's own times",
        )
    if analysis.zph not in ("identity", "log"):
        raise InvalidStudy(f"{where}: zph is 'identity' or 'log'")
    if SITE not in analysis.strata:
        raise InvalidStudy(
            f"{where}: zph tests a cox model whose risk sets stay inside a site",
            fix="write strata = ['site']",
        )


def _check_rates(study: Study, analysis: Analysis, where: str) -> None:
    if not METHODS[analysis.method].has_rates:
        return
    _require(study, analysis.time, "number", where)
    if bool(analysis.event) == bool(analysis.outcome):
        raise InvalidStudy(
            f"{where}: rates count an event or an outcome",
            fix="write event = a category of two levels, or outcome = a count",
        )
    if analysis.event:
        _require_binary(study, analysis.event, where)
    else:
        _require(study, analysis.outcome, "number", where)
    if SITE in analysis.strata and analysis.by == SITE:
        raise InvalidStudy(f"{where}: sites are compared, or strata, but not both")
    if analysis.standard:
        _check_standard(study, analysis, where)


def _check_standard(study: Study, analysis: Analysis, where: str) -> None:
    """Check that a standard population weighs each level of one category."""
    strata = [name for name in analysis.strata if name != SITE]
    levels = [one.name for one in study.variable(strata[0]).levels] if strata else []
    given = [one.level for one in analysis.standard]
    if len(strata) != 1 or sorted(given) != sorted(levels):
        raise InvalidStudy(
            f"{where}: a standard population weighs each level of one category",
            fix="name that category in strata, and give one weight a level",
        )
    weights = [one.weight for one in analysis.standard]
    if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
        raise InvalidStudy(f"{where}: weights of a standard population start at 0")
