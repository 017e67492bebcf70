"""The columns of one site → the arrays that an estimator sees there.

Everything in this file stays inside the site.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.alike import alike
from hetao.analysis.design import Column
from hetao.analysis.expressions import Floats, Ints, value_of
from hetao.analysis.folds import folds_of
from hetao.analysis.intervals import check_intervals, refuse_rows
from hetao.analysis.neighbours import apart
from hetao.analysis.plan import Plan
from hetao.errors import ColumnMismatch, NotAParty, OutOfBounds
from hetao.study import Variable
from hetao.study.model import SITE

Columns = Mapping[str, NDArray[Any]]
PERSON = ""  # stands among the columns for whose row each is; no variable is named so
ROUNDING = 1e-9  # how far rounding may carry a standardised value beyond 1

_NO_FLOATS: Floats = np.zeros(0)
_NO_INTS: Ints = np.zeros(0, dtype=np.int64)
_NO_BOOLS: NDArray[np.bool_] = np.zeros(0, dtype=bool)


@dataclass(frozen=True, eq=False)
class Rows:
    """What an estimator sees at one site; complete cases, never leaving the site.

    Attributes:
        site: whose rows.
        n: rows, which are people unless `person` says otherwise; for counts, people
            before the first criterion.
        X: (n, p) standardised design, within -1 to 1.
        Z: (n, q) that of the propensity score by which a model weights people.
        y: (n,) outcome: 0 or 1 of a binary one, the count, the positive number as it
            is, any other number standardised.
        offset: (n,) added to the linear predictor.
        time, event: (n,) of cox and km; event is 0 or 1. Of rates, time alone.
        start: (n,) from which a row is at risk, later than which its time lies; empty
            where every row is from 0 on.
        weight: (n,) of a model or of weighted curves, how much each counts, above 0;
            those of weight 0 are no rows.
        stratum: (n,) index into `plan.strata`.
        bin: (n,) index into `plan.edges`, the first edge at or after the time.
        group: (n,) index into `plan.groups`.
        person: (n,) whose row each is, from 0; empty where each row is a person.
        set: (n,) of a conditional model, index of the set of each row, from 0 without
            gaps; sets that say nothing have no rows here.
        values: of table1: standardised number with NaN, or level index with -1.
        attrition: people left after each of `plan.steps`.
        fold: (n,) of a cross-validated model, which fold leaves the person out.
        origin: (n,) which row of the site's columns each is; empty where all are.
        tells_site, crosses_site, differing: what is told of the site by what its
            people have alike, and in what they differ, as `alike` says.
        within, apart: (`plan.within.counts`,), (`plan.beside.counts`,) by how many
            people definitions differ.
        parts: of a screen, the rows of each of its pairs.
    """

    site: str
    n: int
    X: Floats
    Z: Floats = field(default_factory=_NO_FLOATS.copy)
    y: Floats = field(default_factory=_NO_FLOATS.copy)
    offset: Floats = field(default_factory=_NO_FLOATS.copy)
    weight: Floats = field(default_factory=_NO_FLOATS.copy)
    time: Floats = field(default_factory=_NO_FLOATS.copy)
    event: Floats = field(default_factory=_NO_FLOATS.copy)
    start: Floats = field(default_factory=_NO_FLOATS.copy)
    stratum: Ints = field(default_factory=_NO_INTS.copy)
    bin: Ints = field(default_factory=_NO_INTS.copy)
    group: Ints = field(default_factory=_NO_INTS.copy)
    person: Ints = field(default_factory=_NO_INTS.copy)
    set: Ints = field(default_factory=_NO_INTS.copy)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    attrition: tuple[int, ...] = ()
    fold: Ints = field(default_factory=_NO_INTS.copy)
    origin: Ints = field(default_factory=_NO_INTS.copy)
    tells_site: bool = False
    crosses_site: bool = False
    differing: NDArray[np.bool_] = field(default_factory=_NO_BOOLS.copy)
    within: Ints = field(default_factory=_NO_INTS.copy)
    apart: Ints = field(default_factory=_NO_INTS.copy)
    parts: "tuple[Rows, ...]" = ()

    @property
    def people(self) -> int:
        """Return how many people the rows are of: what every least count is about."""
        return int(self.person.max()) + 1 if len(self.person) else self.n

    def by_person(self, values: Floats) -> Floats:
        """Return the (people, k) sums of (n, k) values over each person's rows."""
        if not len(self.person):
            return values
        sums = [np.bincount(self.person, column) for column in values.T]
        return np.asarray(sums, dtype=np.float64).T

    def people_in(self, place: Ints, size: int) -> Ints:
        """Return (size,) how many people have a row at each place, of (n,) places.

        A place below 0 is none.
        """
        used = place >= 0
        if not len(self.person):
            return np.bincount(place[used], minlength=size)
        pairs = np.unique(place[used] * np.int64(self.people) + self.person[used])
        return np.bincount(pairs // self.people, minlength=size)


def make_rows(
    plan: Plan,
    columns: Columns,
    site: str,
    attrition: Sequence[tuple[str, int]] = (),
    enough: Callable[[int], None] = lambda _: None,
) -> Rows:
    """Return the rows of a site that an analysis counts, checked and standardised.

    Args:
        plan: the public plan.
        columns: one (n,) array a variable of the study other than `site`: float64
            with NaN for a number, level index with -1 for a category, of a key text
            or whole numbers, "" or -1 where it is missing.
        site: the site's name in the study.
        attrition: of counts, (label, people left) in the plan's order.
        enough: raises for too few people. It is asked before anything is said that
            the values of the complete cases decide.

    Raises:
        OutOfBounds: a value lies beyond its variable's public bounds, a category has
            an unknown level, a count is no whole number, a time lies beyond the
            grid, a row does not start before its time, rows of one person overlap, or
            somebody has more rows, or events, than the study allows. The error names
            the variables only; `local` says how many rows.
        ColumnMismatch: a variable is missing, lengths differ, or attrition steps do
            not have the plan's labels.
        NotAParty: the study does not name the site.
    """
    if site not in plan.sites:
        raise NotAParty(f"the study does not name the site {site!r}")
    if plan.analysis.method == "counts":
        return _attrition_rows(plan, columns, site, attrition)
    if plan.parts:
        return _rows_of_parts(plan, columns, site, enough)
    known = {v.name: _checked(v, columns) for v in plan.variables if v.name != SITE}
    n = _length(known or columns)
    if any(v.name == SITE for v in plan.variables):
        known[SITE] = np.full(n, plan.sites.index(site), dtype=np.int64)
    keep = np.ones(n, dtype=bool)
    for name in plan.needed:
        keep &= _is_known(known[name])
    if plan.analysis.weights:
        keep &= _weighs(plan, known)
    if plan.method.is_conditional:
        keep &= _telling(plan, known, keep)
    known = {name: array[keep] for name, array in known.items()}
    n = int(keep.sum())
    person = _persons(plan, known)
    enough(int(person.max()) + 1 if len(person) else n)
    _check_rows_of_each(plan, person)
    rows = _rows(plan, known | {PERSON: person}, site, np.flatnonzero(keep))
    theirs = functools.partial(_known, plan, columns, keep)
    return replace(
        rows,
        within=apart(plan.within, theirs, person),
        apart=apart(plan.beside, theirs, person),
    )


def _known(
    plan: Plan, columns: Columns, keep: NDArray[np.bool_], name: str
) -> NDArray[Any] | None:
    """Return a variable of the rows that are kept, of an earlier analysis too.

    None where this site could not answer that one.
    """
    variables = {v.name: v for v in (*plan.beside.variables, *plan.variables)}
    try:
        return _checked(variables[name], columns)[keep]
    except (ColumnMismatch, OutOfBounds):
        return None


def _weighs(plan: Plan, known: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return (n,) whether somebody counts: of weight 0 they are not of the people."""
    return np.asarray(known[plan.analysis.weights] > 0)


def _telling(
    plan: Plan, known: Mapping[str, NDArray[Any]], keep: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return (n,) whether a row that is kept lies in a set that says something.

    That is one with an event and with another row that it is compared with: of matched
    sets one without an event.
    """
    codes = _sets(plan, known)
    outcome = known[plan.analysis.outcome]
    has_event = keep & ((outcome == 1) if plan.is_binary else (outcome > 0))
    others = np.bincount(codes[keep], minlength=len(codes) + 1)
    events = np.bincount(codes[has_event], minlength=len(codes) + 1)
    if plan.is_binary:
        tells = (events > 0) & (events < others)
    else:
        tells = (events > 0) & (others > 1)
    return np.asarray(tells[codes])


def _sets(plan: Plan, known: Mapping[str, NDArray[Any]]) -> Ints:
    """Return the set of each row that a conditional model compares it within."""
    if not plan.method.is_conditional:
        return _NO_INTS.copy()
    sets = _codes_of(known[plan.set_key])
    strata = _codes(plan, known, plan.analysis.strata, len(sets))
    return _codes_of(sets * max(len(plan.strata), 1) + strata)


def _codes_of(key: NDArray[Any]) -> Ints:
    """Return codes of a key's values, from 0 without gaps."""
    return np.asarray(np.unique(key, return_inverse=True)[1], dtype=np.int64)


def _rows_of_parts(
    plan: Plan, columns: Columns, site: str, enough: Callable[[int], None]
) -> Rows:
    """Return the rows of each pair; pairs of the same design share its array."""
    n = _length(columns)
    enough(n)
    parts: list[Rows] = []
    designs: dict[tuple[tuple[str, ...], int], Floats] = {}
    for part in plan.parts:
        rows = make_rows(part, columns, site)
        known = designs.setdefault((part.names, rows.n), rows.X)
        is_same = known is not rows.X and np.array_equal(known, rows.X)
        parts.append(replace(rows, X=known) if is_same else rows)
    keep = np.ones(n, dtype=bool)
    for name in set.intersection(*(set(part.needed) for part in plan.parts)):
        keep &= name == SITE or _is_known(_checked(plan.variable(name), columns))
    if weights := plan.analysis.weights:
        keep &= _checked(plan.variable(weights), columns) > 0
    return Rows(
        site,
        n,
        np.zeros((n, 0)),
        tells_site=any(part.tells_site for part in parts),
        crosses_site=any(part.crosses_site for part in parts),
        differing=np.concatenate([part.differing for part in parts]),
        apart=apart(
            plan.beside, functools.partial(_known, plan, columns, keep), _NO_INTS
        ),
        parts=tuple(parts),
    )


def _persons(plan: Plan, known: Mapping[str, NDArray[Any]]) -> Ints:
    """Return whose row each is, from 0 without gaps; empty if each is another's."""
    if not plan.analysis.person:
        return _NO_INTS.copy()
    return _codes_of(known[plan.analysis.person])


def _check_rows_of_each(plan: Plan, person: Ints) -> None:
    """Refuse a person with more rows than the public count, which bounds the sums."""
    counts = np.bincount(person)
    refuse_rows(
        plan.analysis.person,
        counts[person] > plan.most_rows,
        f"has more than {plan.most_rows} rows of one person, the study's most_rows",
    )


def _attrition_rows(
    plan: Plan, columns: Columns, site: str, attrition: Sequence[tuple[str, int]]
) -> Rows:
    if not attrition and len(plan.steps) == 1:
        attrition = [(plan.steps[0], _length(columns))]
    if tuple(label for label, _ in attrition) != plan.steps:
        raise ColumnMismatch(
            f"{site}: the attrition steps are not those of the study",
            fix="give one count a criterion, in the study's order",
        )
    counts = tuple(int(count) for _, count in attrition)
    if any(b > a for a, b in itertools.pairwise(counts)) or counts[-1] < 0:
        raise OutOfBounds(f"{site}: an attrition step adds people")
    return Rows(site, counts[0], np.zeros((counts[0], 0)), attrition=counts)


def _length(columns: Columns) -> int:
    lengths = {len(array) for array in columns.values()}
    if len(lengths) > 1:
        raise ColumnMismatch("the columns of the site have different lengths")
    return lengths.pop() if lengths else 0


def _checked(variable: Variable, columns: Columns) -> NDArray[Any]:
    """Return a variable's array, all of whose values are known or within bounds."""
    if variable.name not in columns:
        raise ColumnMismatch(f"the site has no column for {variable.name!r}")
    array = np.asarray(columns[variable.name])
    if array.ndim != 1:
        raise ColumnMismatch(f"the column {variable.name!r} is not one-dimensional")
    if variable.kind == "key":
        return key_codes(array)
    if variable.kind == "category":
        codes = array.astype(np.int64)
        beyond = (codes < -1) | (codes >= len(variable.levels)) | (codes != array)
        refuse_rows(variable.name, beyond, "has a level that the study does not name")
        return codes
    numbers = array.astype(np.float64)
    low, high = variable.bounds or (-np.inf, np.inf)
    beyond = (numbers < low) | (numbers > high)
    refuse_rows(variable.name, beyond, "has values beyond the study's public bounds")
    return numbers


def key_codes(array: NDArray[Any]) -> Ints:
    """Return the codes of a key's cells, alike for alike cells; -1 where missing.

    Args:
        array: (n,) text, "" or None being missing, or numbers, those below 0 and NaN
            being missing.
    """
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        cells, missing = array, ~(array >= 0)
    else:
        missing = np.array([cell is None or str(cell) == "" for cell in array], bool)
        cells = np.where(missing, "", array).astype(str)
    _, codes = np.unique(cells, return_inverse=True)
    return np.where(missing, -1, codes).astype(np.int64)


def _is_known(array: NDArray[Any]) -> NDArray[np.bool_]:
    if array.dtype.kind == "f":
        return np.asarray(~np.isnan(array))
    return np.asarray(array >= 0)


def _rows(plan: Plan, known: dict[str, NDArray[Any]], site: str, origin: Ints) -> Rows:
    analysis, n = plan.analysis, len(origin)
    fields: dict[str, Any] = {
        "origin": origin,
        "X": _design(plan, known, n),
        "person": known[PERSON],
        "set": _sets(plan, known),
    }
    fields |= _weighing(plan, known, n)
    if analysis.shrinks and analysis.folds:
        fields["fold"] = folds_of(analysis.seed, site, n, analysis.folds)
    if plan.method.outcome:
        fields["y"] = _outcome(plan, known[analysis.outcome])
    fields |= _times(plan, known)
    if plan.columns or plan.score or analysis.weights:
        fields |= alike(plan, known, known[PERSON], fields)._asdict()
    if plan.strata:
        fields["stratum"] = _codes(plan, known, analysis.strata, n)
    if plan.edges:
        fields["bin"] = _bins(plan, known[analysis.time])
    if plan.groups:
        fields["group"] = _codes(plan, known, (analysis.by or analysis.treatment,), n)
    if analysis.variables:
        fields["values"] = {
            name: _scaled(plan.variable(name), known[name])
            for name in analysis.variables
        }
    rows = Rows(site, n, **fields)
    if plan.method.has_times:
        check_intervals(plan, rows.__dict__)
    return rows


def _weighing(
    plan: Plan, known: Mapping[str, NDArray[Any]], n: int
) -> dict[str, Floats]:
    """Return what weighs people: their weights, a score's design, a model's offset."""
    analysis, found = plan.analysis, {}
    if plan.score is not None:
        found["Z"] = _design(plan.score, known, n)
    if plan.columns:
        offset = np.zeros(n) if plan.offset is None else value_of(plan.offset, known)
        found["offset"] = np.broadcast_to(offset, (n,)).astype(np.float64)
    if plan.columns or analysis.weights or plan.score:
        found["weight"] = known[analysis.weights] if analysis.weights else np.ones(n)
    return found


def _times(plan: Plan, known: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    analysis, found = plan.analysis, {}
    if plan.method.has_rates:
        found = {"time": known[analysis.time], "y": _events(plan, known)}
    if plan.method.has_times:
        had = (known[analysis.event] == 1).astype(np.float64)
        found = {"time": known[analysis.time], "event": had}
    if analysis.start:
        found["start"] = known[analysis.start]
    return found


def _design(plan: Plan, known: Mapping[str, NDArray[Any]], n: int) -> Floats:
    design = np.empty((n, plan.parameters))
    for place, column in enumerate(plan.columns):
        design[:, place] = column_of(column, known)
    beyond = np.abs(design) > 1 + ROUNDING
    if beyond.any():
        for place, column in enumerate(plan.columns):
            refuse_rows(column.name, beyond[:, place], "leaves its public bounds")
    return design


def column_of(column: Column, known: Mapping[str, NDArray[Any]]) -> Floats | float:
    """Return (n,) values of a design's column, or the one value of all rows.

    Args:
        column: of the public plan.
        known: one (n,) array a variable, that of `SITE` too; where a number is
            missing, NaN, the column is.
    """
    parts = [value_of(factor, known) for factor in column.factors]
    parts += [known[name] == level for name, level in column.levels]
    value = functools.reduce(operator.mul, parts) if parts else 1.0
    if not column.factors:  # indicators stand as they are
        return np.asarray(value, dtype=np.float64)
    return (value - column.centre) / column.scale


def _outcome(plan: Plan, values: NDArray[Any]) -> Floats:
    analysis = plan.analysis
    if plan.is_binary:
        return np.asarray(values == 1, dtype=np.float64)
    if plan.method.outcome == "count":
        return _count(analysis.outcome, values)
    if plan.method.outcome == "positive":
        return np.asarray(values, dtype=np.float64)
    centre, scale = plan.outcome_scale
    return np.asarray((values - centre) / scale, dtype=np.float64)


def _events(plan: Plan, known: Mapping[str, NDArray[Any]]) -> Floats:
    """Return how many events each person had."""
    analysis = plan.analysis
    if analysis.event:
        return np.asarray(known[analysis.event] == 1, dtype=np.float64)
    return _count(analysis.outcome, known[analysis.outcome])


def _count(name: str, values: NDArray[Any]) -> Floats:
    broken = values != np.floor(values)
    refuse_rows(name, broken, "is no whole number, as a count must be")
    return np.asarray(values, dtype=np.float64)


def _codes(
    plan: Plan, known: Mapping[str, NDArray[Any]], names: Sequence[str], n: int
) -> Ints:
    """Return the index of each row's combination of levels, the last name fastest."""
    codes = np.zeros(n, dtype=np.int64)
    for name in names:
        if not name or (name == SITE and plan.within_sites):
            continue
        codes = codes * len(plan.variable(name).levels) + known[name]
    return codes


def _bins(plan: Plan, time: Floats) -> Ints:
    edges = np.asarray(plan.edges)
    refuse_rows(
        plan.analysis.time, time > edges[-1], "lies beyond the last edge of the grid"
    )
    return np.searchsorted(edges, time, side="left").astype(np.int64)


def _scaled(variable: Variable, array: NDArray[Any]) -> NDArray[Any]:
    if variable.kind == "category":
        return array
    low, high = variable.bounds or (-1.0, 1.0)
    return np.asarray((array - (low + high) / 2) / ((high - low) / 2))
