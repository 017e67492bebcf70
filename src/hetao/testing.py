"""Is an estimator exact? Pooled and federated, any split, and the awkward sites.

For whoever adds an estimator: `oracle` runs it in memory, without cryptography, over
many splits of the same rows, and raises at the first promise that does not hold.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import (
    Columns,
    Finding,
    check_message,
    estimator_for,
    key_codes,
    make_rows,
)
from hetao.analysis import oracle as in_memory
from hetao.errors import HetaoError, InvalidStudy, NotEstimable
from hetao.study import SITE, Analysis, Grid, Level, Study, Variable, parse_term
from hetao.study.analysis_checks import check_analysis
from hetao.study.methods import METHODS

HOSPITAL: Final = "hospital_"  # the site of a pooled row, as a category of its own
TWIN: Final = "twin_"  # a column that says what another one says
WEIGHT: Final = "weight_"  # by which people count, where the analysis says none
EVERY: Final = 7  # so many people apart are those of weight 0
NEXT_TO_NONE: Final = 1e-9  # a weight beside others of about 1
SWAY: Final = 1e-3  # standard errors by which such weights may move an estimate
SITES: Final = 5
ROUNDED: Final = 1e-12  # below it a number is 0


@dataclass(frozen=True)
class Exactness:
    """What `oracle` found.

    Attributes:
        situations: that were run: "split", "empty site", "one row" and "permuted
            sites" always; "collinear column" and "zero weights" where the analysis has
            a term, or takes weights.
        splits: how many were compared with the pooled rows.
        estimate: largest difference of an estimate, in standard errors; of a finding
            without terms or errors, largest relative difference of any number.
        se: largest relative difference of a standard error.
        rounds: messages that a site sent.
        numbers: of the largest message.
    """

    situations: tuple[str, ...]
    splits: int
    estimate: float
    se: float
    rounds: int
    numbers: int


def oracle(
    study: Study,
    analysis: Analysis,
    columns: Columns,
    *,
    seed: int = 0,
    splits: int = 10,
    tolerance: float = 1e-9,
) -> Exactness:
    """Hold an estimator to its promises on some rows.

    Args:
        study: names the variables; its sites are replaced by five.
        analysis: to be carried out.
        columns: variable → (n,) array: float64 with NaN, or level index with -1.
        seed: of the splits.
        splits: how many random ones, beside one with an empty site and one with a
            site of one row.
        tolerance: of estimates, in standard errors; standard errors and numbers
            without one may differ by ten times as much, relatively.

    Returns:
        The largest differences met.

    Raises:
        AssertionError: a split gives another finding than the pooled rows, the order of
            sites or a repetition changes a bit, a message breaks its declaration, a
            collinear column or a weight of zero is not treated as it must be. The
            message says which.
        HetaoError: the pooled rows have no answer at all.
    """
    study = _prepared(study, analysis)
    columns, ends = _together(analysis, columns)
    n = len(next(iter(columns.values())))
    reference: Finding | type[HetaoError]
    reference, within = _pooled(study, analysis, columns, [n]), SITE in analysis.strata
    draw = np.random.default_rng(seed)
    cuts = [sorted(draw.integers(0, n + 1, SITES - 1)) for _ in range(splits)]
    cuts += [[0, n // 3, n // 2, n], [1, n // 3, n // 2, n // 2]]
    cuts = [ends[np.searchsorted(ends, cut)].tolist() for cut in cuts]
    situations = ["split", "empty site", "one row", "permuted sites"]
    worst_estimate, worst_se = 0.0, 0.0
    for cut in cuts:
        sizes = np.diff([0, *map(int, cut), n])
        parts = _parts(study, columns, sizes)
        if within:
            try:
                reference = _pooled(study, analysis, columns, sizes)
            except HetaoError as error:
                reference = type(error)
        found = _answer(study, analysis, parts)
        if _is_cut_by_sites(study, analysis):
            reference = _beside_the_smallest(study, analysis, parts)
        elif _chooses(analysis):
            if isinstance(found, type):
                continue  # a site of few people leaves no cut of the grid, or no fold
            reference = _pooled(study, _chosen(analysis, found), columns, [n])
        if isinstance(reference, type) or isinstance(found, type):
            _require(
                reference is found,
                f"sites of {sizes.tolist()} rows: pooled rows give "
                f"{_name(reference)}, the sites {_name(found)}",
            )
            continue
        away, se_away = _difference(reference.as_json(), found.as_json())
        _require(
            away <= tolerance and se_away <= 10 * tolerance,
            f"sites of {sizes.tolist()} rows: the finding lies {away:.3g} standard "
            f"errors from the pooled one, its standard errors {se_away:.3g} of theirs",
        )
        worst_estimate = max(worst_estimate, away)
        worst_se = max(worst_se, se_away)
    parts = _parts(study, columns, np.diff([0, *map(int, cuts[0]), n]))
    _check_order(study, analysis, parts)
    numbers = _check_messages(study, analysis, parts)
    if not _takes_twins(analysis) and _check_twin(study, analysis, columns):
        situations.append("collinear column")
    if _check_zero_weights(study, analysis, parts, tolerance):
        situations.append("zero weights")
    rounds = _rounds(study, analysis, parts)
    return Exactness(
        tuple(situations), len(cuts), worst_estimate, worst_se, rounds, numbers
    )


# --- studies and parts ----------------------------------------------------------------
def _prepared(study: Study, analysis: Analysis) -> Study:
    names = tuple(f"site{n}" for n in range(1, SITES + 1))
    hospital = Variable(
        HOSPITAL,
        "category",
        "column",
        column=HOSPITAL,
        levels=tuple(Level(name, name) for name in names),
    )
    kept = tuple(v for v in study.variables if v.name != HOSPITAL)
    return replace(
        study, sites=names, variables=(*kept, hospital), analyses=(analysis,)
    )


def _together(
    analysis: Analysis, columns: Columns
) -> tuple[Columns, NDArray[np.int64]]:
    """Return the rows, a matched set's or a person's together, and where to cut them.

    Both lie within a site; somebody may have rows in several matched sets.
    """
    n = len(next(iter(columns.values())))
    key = analysis.person
    if "matched" in METHODS[analysis.method].needs:
        key = analysis.matched
    if not key:
        return columns, np.arange(n + 1)
    codes = key_codes(np.asarray(columns[key]))
    order = np.argsort(codes, kind="stable")
    ends = np.nonzero(np.diff(codes[order]))[0] + 1
    ordered = {name: array[order] for name, array in columns.items()}
    return ordered, np.concatenate([[0], ends, [n]])


def _parts(
    study: Study, columns: Columns, sizes: Sequence[int] | NDArray[Any]
) -> dict[str, Columns]:
    ends = np.cumsum(sizes)
    return {
        site: {
            **{name: array[end - size : end] for name, array in columns.items()},
            HOSPITAL: np.full(int(size), place, dtype=np.int64),
        }
        for place, (site, size, end) in enumerate(
            zip(study.sites, sizes, ends, strict=False)
        )
    }


def _pooled(study: Study, analysis: Analysis, columns: Columns, sizes: Any) -> Finding:
    """Return the finding of all rows at one site.

    Where risk sets or tables stay inside a site, the pooled rows keep their hospital as
    a stratum.
    """
    if SITE in analysis.strata:
        analysis = replace(analysis, strata=(*analysis.strata, HOSPITAL))
    hospital = np.repeat(np.arange(len(sizes)), sizes)
    everyone = {study.sites[0]: {**columns, HOSPITAL: hospital}}
    return in_memory(study, analysis, everyone)


def _is_cut_by_sites(study: Study, analysis: Analysis) -> bool:
    """Return whether the smallest site says into how few cells people are put."""
    return estimator_for(study, analysis).name == "km_merged"


def _beside_the_smallest(
    study: Study, analysis: Analysis, parts: Mapping[str, Columns]
) -> Finding | type[HetaoError]:
    """Return the answer of two sites: the one of fewest people, and all others."""
    plan = estimator_for(study, analysis).plan
    people = {site: make_rows(plan, parts[site], site).people for site in parts}
    least = min((site for site in parts if people[site]), key=people.__getitem__)
    others = [columns for site, columns in parts.items() if site != least]
    together = {
        name: np.concatenate([columns[name] for columns in others])
        for name in parts[least]
    }
    other = next(site for site in study.sites if site != least)
    return _answer(study, analysis, {least: parts[least], other: together})


def _chooses(analysis: Analysis) -> bool:
    """Return whether a part of the question is a matter of the sites."""
    merges = analysis.grid is not None and analysis.grid.merge
    return merges or (analysis.shrinks and analysis.folds > 0)


def _chosen(analysis: Analysis, found: Finding) -> Analysis:
    """Return the analysis at what the sites chose: bins of a grid, or a strength."""
    said = found.as_json()
    if analysis.shrinks:
        return replace(analysis, lambdas=(said["lambda"],), folds=0)
    return replace(analysis, grid=Grid(tuple(said["edges"])))


def _answer(
    study: Study, analysis: Analysis, parts: Mapping[str, Columns]
) -> Finding | type[HetaoError]:
    try:
        return in_memory(study, analysis, parts)
    except HetaoError as error:
        return type(error)


# --- promises -------------------------------------------------------------------------
def _check_order(
    study: Study, analysis: Analysis, parts: Mapping[str, Columns]
) -> None:
    first, again = _answer(study, analysis, parts), _answer(study, analysis, parts)
    turned = _answer(study, analysis, dict(reversed(list(parts.items()))))
    if isinstance(first, type):
        _require(
            first is again is turned, "another order of sites is refused otherwise"
        )
        return
    texts = [
        json.dumps(one.as_json()) if isinstance(one, Finding) else one.__name__
        for one in (first, again, turned)
    ]
    _require(texts[0] == texts[1], "the same rows give another finding a second time")
    _require(texts[0] == texts[2], "the order of sites changes the finding")


def _check_messages(
    study: Study, analysis: Analysis, parts: Mapping[str, Columns]
) -> int:
    """Hold each site's opening to its declaration, also of one row and of none."""
    method = estimator_for(study, analysis)
    declared = method.declare(0)
    for site, columns in parts.items():
        for size in (len(next(iter(columns.values()))), 1, 0):
            rows = make_rows(
                method.plan, {name: a[:size] for name, a in columns.items()}, site
            )
            message = method.start(rows)
            check_message(message, declared, rows.people)
            again = method.start(rows)
            _require(
                all(np.array_equal(message[k], again[k]) for k in message),
                "the same rows give another message a second time",
            )
    later = method.declare(1) if method.most_rounds > 1 else {}
    return max(
        sum(math.prod(one.shape) for one in sums.values()) for sums in (declared, later)
    )


def _takes_twins(analysis: Analysis) -> bool:
    """Return whether columns may say the same, as none has a coefficient to find."""
    is_given = bool(analysis.coefficients)
    is_learnt = bool(analysis.network) or analysis.method == "boosted_trees"
    return is_given or is_learnt or bool(analysis.exposures)


def _check_twin(study: Study, analysis: Analysis, columns: Columns) -> bool:
    """Refuse an answer to a column that says what another one says, or no name of it.

    Returns:
        Whether there is a column to be doubled.
    """
    of_score = bool(analysis.score)
    terms = analysis.score if of_score else analysis.terms
    named = [name for term in terms for name in parse_term(term).names if name != SITE]
    if not named or not (METHODS[analysis.method].is_model or of_score):
        return False
    if analysis.shrinks and analysis.penalty != "lasso":
        return False  # its ridge shares what the columns say between them
    numbers = [n for n in named if study.variable(n).kind == "number"]
    name = (numbers or named)[0]
    own = study.variable(name)
    twin, values = replace(own, name=TWIN, column=TWIN), np.asarray(columns[name])
    if numbers:
        low, high = own.bounds or (0.0, 1.0)
        twin = replace(twin, bounds=(2 * low + 1, 2 * high + 1))
        values = 2 * values + 1
    wider = replace(study, variables=(*study.variables, twin))
    both = (name, TWIN)
    asked = replace(analysis, unpenalised=())
    if not of_score:
        asked = replace(asked, terms=both)
    else:
        alone = (analysis.treatment,) if METHODS[analysis.method].is_model else ()
        asked = replace(asked, score=both, terms=alone)
    n = len(values)
    parts = _parts(wider, {**columns, TWIN: values}, [n // 2, n - n // 2])
    try:
        in_memory(wider, asked, parts)
    except NotEstimable as error:
        _require(TWIN in str(error), "a collinear column is refused without its name")
        return True
    raise AssertionError("two columns that determine each other get an answer")


def _check_zero_weights(
    study: Study, analysis: Analysis, parts: Mapping[str, Columns], tolerance: float
) -> bool:
    """Hold people of weight 0 to be nobody, and of hardly any weight to be hardly any.

    Returns:
        Whether the analysis takes weights.
    """
    if "weights" not in METHODS[analysis.method].fields or analysis.score:
        return False
    name = analysis.weights or WEIGHT
    high = (study.variable(name).bounds or (0.0, 1.0))[1] if analysis.weights else 1.0
    weight = Variable(name, "number", "column", column=name, bounds=(0.0, high))
    kept = tuple(v for v in study.variables if v.name != name)
    asked = replace(analysis, weights=name)
    wider = replace(study, variables=(*kept, weight), analyses=(asked,))
    try:
        estimator_for(wider, asked)
        check_analysis(wider, asked, "oracle")
    except InvalidStudy:
        return False
    with_none: dict[str, Columns] = {}
    with_little: dict[str, Columns] = {}
    without: dict[str, Columns] = {}
    for site, columns in parts.items():
        n = len(next(iter(columns.values())))
        own = np.asarray(columns[name]) if analysis.weights else np.ones(n)
        stays = np.arange(n) % EVERY > 0
        with_none[site] = {**columns, name: np.where(stays, own, 0.0)}
        little = np.where(stays, own, NEXT_TO_NONE * high)
        with_little[site] = {**columns, name: little}
        everything = {**columns, name: own}
        without[site] = {key: array[stays] for key, array in everything.items()}
    none, little_, gone = (
        _answer(wider, asked, one) for one in (with_none, with_little, without)
    )
    if isinstance(none, type) or isinstance(gone, type):
        _require(none is gone, "people of weight 0 change what is refused")
        return True
    away, se_away = _difference(gone.as_json(), none.as_json())
    same = away <= tolerance and se_away <= 10 * tolerance
    _require(same, "people of weight 0 change a finding")
    # Efron's ties count events, however little they weigh, as they do in R.
    by_count = METHODS[analysis.method].has_times and analysis.ties == "efron"
    if isinstance(little_, Finding) and not by_count:
        moved = _moved(gone.as_json(), little_.as_json())
        _require(moved <= SWAY, "people of hardly any weight move an estimate")
    return True


def _moved(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """Return how far estimates of two findings lie apart, in standard errors."""
    pairs = zip(a.get("terms", ()), b.get("terms", ()), strict=True)
    return max(
        (abs(x["estimate"] - y["estimate"]) / (x["se"] or 1.0) for x, y in pairs),
        default=0.0,
    )


def _rounds(study: Study, analysis: Analysis, parts: Mapping[str, Columns]) -> int:
    found = _answer(study, analysis, parts)
    if isinstance(found, type):
        return 0
    return int(found.as_json().get("rounds", 1))


# --- differences ----------------------------------------------------------------------
def _difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[float, float]:
    """Return (estimates in standard errors, standard errors relatively)."""
    if "terms" not in a:
        return _relative(a, b), 0.0
    _require(a["n"] == b["n"], "the sites count other people than the pooled rows")
    pairs = list(zip(a["terms"], b["terms"], strict=True))
    if all(x["se"] is None for x, _ in pairs):
        return _relative(a["terms"], b["terms"]), 0.0
    away = max(abs(x["estimate"] - y["estimate"]) / x["se"] for x, y in pairs)
    return away, max(abs(y["se"] / x["se"] - 1) for x, y in pairs)


def _relative(a: Any, b: Any) -> float:
    """Return the largest relative difference of two findings' numbers."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        _require(a.keys() == b.keys(), "the findings do not say the same things")
        return max((_relative(a[k], b[k]) for k in a if k != "rounds"), default=0.0)
    if isinstance(a, list) and isinstance(b, list):
        _require(len(a) == len(b), "the findings are not as long")
        return max(map(_relative, a, b), default=0.0)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) / max(abs(a), abs(b), ROUNDED)
    _require(a == b, "a count or a word of the findings differs")
    return 0.0


def _name(found: Finding | type[HetaoError]) -> str:
    return found.__name__ if isinstance(found, type) else "a finding"


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
