"""Facts about one site's rows, for its own gate; they never leave the site."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.carriers import carriers, turn_of
from hetao.analysis.combinations import Combinations, combinations
from hetao.analysis.expressions import Floats
from hetao.analysis.intervals import entry_bins
from hetao.analysis.magnitudes import Magnitude, magnitudes, totals
from hetao.analysis.neighbours import fewest
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.study import Minimum

Chosen = NDArray[np.bool_]
OFFSET = "the offset"


@dataclass(frozen=True)
class Evidence:
    """What a site's gate weighs before anything of an analysis leaves.

    Every count is of people: one who has several rows at a place counts there once.

    Attributes:
        people: that the message sums over.
        events: people with the event of a binary outcome or of a follow-up; of an
            effect, in the arm that has fewer; None elsewhere.
        non_events: people without, of a binary outcome; None elsewhere.
        parameters: p of the model, or of all behind an effect; groups compared less
            one of a test; else 0.
        smallest_side: design column → people away from its most frequent value; for
            a column of two values the smaller side; of a conditional model people away
            from the most frequent value of their set. Columns that say nothing but the
            site are left out. Of a test, group → its people.
        carriers: fewest people found to make up nearly all of a sum of a design's
            numbers, offset and weights, or of published predictions, or to be told
            apart by one; None without.
        max_leverage: the largest share of a fitted value that one person decides,
            from 0 to 1, all their rows together, or of the squared weights of a group
            of weighted curves; None without people, or without design and weights.
        cells: label → people, of methods whose own message is not publishable: every
            count in it that a reader of it could see; of a grid, the thinnest bin.
        bins: label → people, of counts at a state that no term crosses with the site:
            small ones may leave within a sum over enough sites, never by themselves.
        magnitudes: number → how much of its sums is one person's, or two people's.
        totals: number → the same, of its sum over everybody alone.
        combinations: how few people share a combination of the design's columns that
            its sums count; None without a design.
        nearest: fewest people for whom two definitions of it differ; None of none.
        apart: the same of a definition of it and one of an earlier analysis.
        parts: facts of each part of the people whose sums can be told apart, such as
            the folds of cross-validation, and of each pair of a screen that the round
            tells something of; each must pass as if it were a site.
    """

    people: int
    events: int | None = None
    non_events: int | None = None
    parameters: int = 0
    smallest_side: dict[str, int] = field(default_factory=dict)
    carriers: int | None = None
    max_leverage: float | None = None
    cells: dict[str, int] = field(default_factory=dict)
    bins: dict[str, int] = field(default_factory=dict)
    magnitudes: dict[str, Magnitude] = field(default_factory=dict)
    totals: dict[str, Magnitude] = field(default_factory=dict)
    combinations: Combinations | None = None
    nearest: int | None = None
    apart: int | None = None
    parts: "tuple[Evidence, ...]" = ()


def evidence(plan: Plan, rows: Rows, alike: Evidence | None = None) -> Evidence:
    """Return the facts about a site's rows that its gate needs, where all count alike.

    They stay the same from round to round; what a state adds, `weighed` says.

    Args:
        plan: the public plan.
        rows: the site's rows.
        alike: of rows of the very same design and weights, which are then not looked
            at again.
    """
    events, non_events = _events(plan, rows)
    if alike is not None:
        return replace(
            alike,
            events=events,
            non_events=non_events,
            magnitudes=magnitudes(plan, rows),
            totals=totals(plan, rows),
            nearest=fewest(rows.within),
            apart=fewest(rows.apart),
        )
    folds = range(plan.analysis.folds if len(rows.fold) else 0)
    return Evidence(
        people=rows.people,
        events=events,
        non_events=non_events,
        parameters=_parameters(plan),
        smallest_side=_smallest_sides(plan, rows),
        carriers=_carriers(plan, rows),
        max_leverage=_most_leverage(plan, rows, rows.weight),
        cells=_cells(plan, rows),
        magnitudes=magnitudes(plan, rows),
        totals=totals(plan, rows),
        combinations=combinations(plan, rows),
        nearest=fewest(rows.within),
        apart=fewest(rows.apart),
        parts=tuple(evidence(plan, _of_fold(rows, fold)) for fold in folds),
    )


def is_enough(facts: Evidence, minimum: Minimum) -> bool:
    """Return whether facts reach minimum counts, as the gate of a site weighs them."""
    least = minimum.events if minimum.events > 1 else 0
    of_events = (n for n in (facts.events, facts.non_events) if n is not None)
    cell = minimum.cell if minimum.cell > 1 else 0
    return (
        facts.people >= minimum.people
        and all(n >= least for n in of_events)
        and all(side >= cell for side in facts.smallest_side.values())
        and all(n is None or n >= cell for n in (facts.carriers, facts.nearest))
        and facts.parameters <= minimum.share * facts.people
        and (facts.max_leverage or 0.0) <= minimum.leverage
    )


def scored(facts: Evidence, plan: Plan, rows: Rows, weights: Floats) -> Evidence:
    """Return the facts of a model with those of the score that weights its people.

    Args:
        facts: of the same plan and rows; counts, and what the gate asked before.
        plan: with a score.
        rows: the site's rows.
        weights: (n,), how much each person counts in the score's regression.
    """
    assert plan.score is not None  # noqa: S101  the caller asks of one with a score
    return weighed(facts, plan.score, replace(rows, X=rows.Z), weights)


def _of_fold(rows: Rows, fold: int) -> Rows:
    """Return the people of a fold, who are no longer told apart."""
    mine = rows.fold == fold
    return Rows(
        rows.site,
        int(mine.sum()),
        rows.X[mine],
        y=rows.y[mine],
        offset=rows.offset[mine],
        weight=rows.weight[mine],
    )


def weighed(
    facts: Evidence, plan: Plan, rows: Rows, weights: Floats | Iterable[Floats]
) -> Evidence:
    """Return the facts with the leverage that somebody has under the weights, if more.

    Args:
        facts: of the same plan and rows, where all count alike.
        plan: the public plan.
        rows: the site's rows.
        weights: (n,), (k, n) or k of (n,) one by one, how much each person counts at
            the state that was asked for, the study's own weights aside.
    """
    if facts.max_leverage is None:
        return facts
    found = facts.max_leverage
    given = np.atleast_2d(weights) if isinstance(weights, np.ndarray) else weights
    for of_one in given:
        of_each = of_one * rows.weight
        most = float(of_each.max())
        if not np.isfinite(most) or most <= 0:
            # nobody counts, or somebody without bound: no honest state
            return replace(facts, max_leverage=1.0)
        found = max(found, _most_leverage(plan, rows, of_each / most) or 0.0)
    return replace(facts, max_leverage=found)


def _parameters(plan: Plan) -> int:
    of_score = plan.score.parameters if plan.score else 0
    if plan.method.is_test:
        return len(plan.groups) - 1 + of_score
    return plan.parameters * max(len(plan.method.fits), 1) + of_score


def _events(plan: Plan, rows: Rows) -> tuple[int | None, int | None]:
    if plan.is_binary:
        if not plan.method.fits:
            without, events = rows.people_in(rows.y.astype(np.int64), 2).tolist()
            return events, without
        events = np.bincount(rows.group, rows.y, minlength=2)
        people = np.bincount(rows.group, minlength=2)
        return int(events.min()), int((people - events).min())
    if plan.method.is_conditional:
        return _people(rows, rows.y > 0), None
    if plan.method.has_times:
        return int(rows.people_in(rows.event.astype(np.int64), 2)[1]), None
    return None, None


def _smallest_sides(plan: Plan, rows: Rows) -> dict[str, int]:
    if plan.score:
        everyone = np.ones(rows.n, dtype=bool)
        of_score = replace(rows, X=rows.Z)
        return _sides(plan, rows, everyone) | _sides_by_arm(plan, plan.score, of_score)
    if plan.method.fits:
        return _sides_by_arm(plan, plan, rows)
    return _sides(plan, rows, np.ones(rows.n, dtype=bool))


def _sides_by_arm(plan: Plan, of: Plan, rows: Rows) -> dict[str, int]:
    """Return the sides of the columns of a design within each arm of a plan."""
    found: dict[str, int] = {}
    for arm, label in enumerate(plan.groups):  # sums are told of each arm
        mine = rows.group == arm
        sides = _sides(of, rows, mine)
        found |= {f"{name} | {label}": side for name, side in sides.items()}
        found[f"{plan.analysis.treatment}[{label}]"] = _people(rows, mine)
    return found


def _people(rows: Rows, chosen: Chosen) -> int:
    return int(rows.people_in(chosen.astype(np.int64), 2)[1])


def _sides(plan: Plan, rows: Rows, mine: Chosen) -> dict[str, int]:
    found: dict[str, int] = {}
    if plan.method.is_test:
        sizes = rows.people_in(rows.group, len(plan.groups)).tolist()
        found = {
            f"{plan.analysis.by}[{group}]": size
            for group, size in zip(plan.groups, sizes, strict=True)
        }
    for place, column in enumerate(plan.columns):
        if column.is_public_at(rows.site, plan.sites):
            continue
        side = _side_within if plan.method.is_conditional else _side
        found[column.name] = side(rows, rows.X[:, place], mine)
    if _has_offset(plan, rows):
        found[OFFSET] = _side(rows, rows.offset, mine)
    return found


def _carriers(plan: Plan, rows: Rows) -> int | None:
    """Return the fewest people who make up the numbers of a design; None of none."""
    found = []
    arms = [rows.group == arm for arm in range(len(plan.groups))]
    everyone = np.ones(rows.n, dtype=bool)
    of_arms = plan.method.fits or not plan.columns  # weighted curves are of a group
    designs = [(plan, rows, arms if of_arms else [everyone])]
    if plan.score:
        designs.append((plan.score, replace(rows, X=rows.Z), arms))
    for of, own, parts in designs:
        for mine in parts if of.columns or of.analysis.weights else ():
            numbers = _numbers(of, own, mine)
            person = own.person[mine] if len(own.person) else own.person
            if numbers.size:
                beside = _design(of, own, mine, has_numbers=False)
                found.append(carriers(numbers, person, beside))
    return min(found, default=None)


def _numbers(plan: Plan, rows: Rows, mine: Chosen) -> Floats:
    """Return (m, k) what arithmetic or weights may make of some rows, weighted.

    That is the numbers of the design, an offset, an intercept; none of it where there
    is nothing but categories and all count alike.
    """
    numbers = _design(plan, rows, mine, has_numbers=True)
    if _has_offset(plan, rows):
        offset = rows.offset[mine] * np.sqrt(rows.weight[mine])
        numbers = np.column_stack([numbers, offset])
    if not numbers.shape[1] and not plan.analysis.weights:
        return numbers
    return np.column_stack([numbers, *_constant(plan, rows, mine)])


def _design(plan: Plan, rows: Rows, mine: Chosen, *, has_numbers: bool) -> Floats:
    """Return (m, k) columns of a design with numbers in them, or all else, weighted.

    No arithmetic takes categories in, whose sides are counted; but less the column of a
    level, (1 + number) times that level is the number of the people who have it.
    """
    places = [
        place
        for place, column in enumerate(plan.columns)
        if bool(column.factors) == has_numbers
        and not column.is_public_at(rows.site, plan.sites)
    ]
    found = rows.X[mine][:, places] * np.sqrt(rows.weight[mine])[:, None]
    return (
        found if has_numbers else np.column_stack([found, *_constant(plan, rows, mine)])
    )


def _constant(plan: Plan, rows: Rows, mine: Chosen) -> list[Floats]:
    """Return the intercept, if there is one, or what takes its place, weighted."""
    method = plan.method
    if plan.intercept or method.has_times or method.is_conditional:
        return [np.sqrt(rows.weight[mine])]
    return []


def _has_offset(plan: Plan, rows: Rows) -> bool:
    """Return whether an offset tells people here apart."""
    return plan.offset is not None and bool((rows.offset != rows.offset[:1]).any())


def _side(rows: Rows, values: Floats, mine: Chosen) -> int:
    """Return how many people are away from the value that most rows have.

    Of two values it is the people of the one that fewer have.
    """
    known, counts = np.unique(values[mine], return_counts=True)
    if len(known) < 2:
        return 0
    most = mine & (values == known[counts.argmax()])
    away = _people(rows, mine & ~most)
    return min(away, _people(rows, most)) if len(known) == 2 else away


def _side_within(rows: Rows, values: Floats, mine: Chosen) -> int:
    """Return how many people are away from the value that is commonest in their set."""
    known, value = np.unique(values, return_inverse=True)
    pairs, counts = np.unique(rows.set * len(known) + value, return_counts=True)
    sets = pairs // max(len(known), 1)
    order = np.lexsort((-counts, sets))
    commonest = pairs[order[np.unique(sets[order], return_index=True)[1]]]
    return _people(rows, mine & ~np.isin(rows.set * len(known) + value, commonest))


def _most_leverage(plan: Plan, rows: Rows, weights: Floats) -> float | None:
    """Return the leverage in the design; of an effect, in what either arm tells too."""
    if plan.method.is_conditional:
        return _leverage_within(rows, weights)
    if not plan.columns and (plan.analysis.weights or plan.score):
        return _share(plan, rows, weights)
    everyone = np.ones(rows.n, dtype=bool)
    most = _leverage(plan, rows, weights, everyone)
    if not plan.method.fits or most is None:
        return most
    for arm in range(len(plan.groups)):
        mine = rows.group == arm
        total = float(weights[mine].sum())
        if total > 0:
            most = max(most, float(weights[mine].max()) / total)
        if len(plan.method.fits) > 1:  # the outcome is fitted in each arm
            most = max(most, _leverage(plan, rows, weights, mine) or 0.0)
    return most


def _share(plan: Plan, rows: Rows, weights: Floats) -> float | None:
    """Return the largest share of a group's squared weights that is one person's."""
    if not rows.n:
        return None
    squares = weights * weights
    total = np.bincount(rows.group, squares)[rows.group]
    return float((squares / np.maximum(total, np.finfo(float).tiny)).max())


def _leverage(plan: Plan, rows: Rows, weights: Floats, mine: Chosen) -> float | None:
    """Return the largest share of a fitted value that one person decides.

    It is the largest diagonal element of W^½ Z (Z'WZ)^- Z'W^½, Z being X and, of cox,
    the unseen intercept that is its baseline hazard; None without columns or people.
    Of a person with several rows it is their sum, which no fitted value of theirs can
    depend on more than.
    """
    if not plan.columns or not mine.any():
        return None
    X, weights = rows.X[mine], weights[mine]
    if _has_offset(plan, rows):  # sums of it leave as sums of a column do
        X = np.column_stack([X, rows.offset[mine]])
    if plan.method.has_times:
        X = np.column_stack([np.ones(len(X)), X])
    weighted = X * np.sqrt(weights)[:, None]
    turned = weighted @ turn_of(weighted)
    of_each = np.einsum("ij,ij->i", turned, turned)
    if len(rows.person):
        of_each = np.bincount(rows.person[mine], of_each)
    return min(1.0, float(of_each.max()))


def _leverage_within(rows: Rows, weights: Floats) -> float | None:
    """Return the largest share of a conditional model's information one person decides.

    The information of a set is the sum over pairs of its rows of their squared
    difference, times both weights over the sum of the set's. What a person decides is
    the pairs that have a row of theirs, but never more than the whole of their sets.
    The share is traced over all directions, so it is no less than that of the worst.
    """
    if not rows.n:
        return None
    count = int(rows.set.max()) + 1
    mass = np.maximum(np.bincount(rows.set, weights), np.finfo(float).tiny)
    share = weights / mass[rows.set]
    means = np.array([np.bincount(rows.set, share * x) for x in rows.X.T]).T
    z = rows.X - means[rows.set]
    weighted = z * np.sqrt(weights)[:, None]
    turned = weighted @ turn_of(weighted)
    of_row = np.einsum("ij,ij->i", turned, turned)
    of_set = np.bincount(rows.set, of_row, minlength=count)
    person = rows.person if len(rows.person) else np.arange(rows.n)
    _, at, pair = np.unique(
        rows.set * np.int64(rows.people) + person,
        return_index=True,
        return_inverse=True,
    )
    pairs = np.bincount(pair, of_row + share * of_set[rows.set])
    of_person = np.bincount(person[at], np.minimum(pairs, of_set[rows.set[at]]))
    return min(1.0, float(of_person.max()))


def _cells(plan: Plan, rows: Rows) -> dict[str, int]:
    method = plan.analysis.method
    made = {"counts": _steps, "quantiles": _rarest, "rates": _rate_cells}
    made["indicators"] = _period_cells
    if method in made:
        return made[method](plan, rows)
    if plan.edges:
        of_arms = _arms(plan, rows) if plan.score else {}
        return thinnest(plan, rows) | of_arms
    if plan.method.is_test and not plan.score:
        return _count(plan, rows, "events", rows.event > 0)
    if plan.method.fits or plan.score:
        return _arms(plan, rows)
    return _described(plan, rows) if plan.analysis.variables else {}


def _described(plan: Plan, rows: Rows) -> dict[str, int]:
    """Return every count of table 1."""
    cells = _count(plan, rows, "people", np.ones(rows.n, dtype=bool))
    for name in plan.analysis.variables:
        variable, values = plan.variable(name), rows.values[name]
        if variable.kind == "number":
            known = ~np.isnan(values)
            cells |= _count(plan, rows, f"{name} known", known)
        else:
            known = values >= 0
            for i, level in enumerate(variable.levels):
                cells |= _count(plan, rows, f"{name}={level.name}", values == i)
        missing = _count(plan, rows, f"{name} missing", ~known)
        cells |= {label: count for label, count in missing.items() if count}
    return cells


def _arms(plan: Plan, rows: Rows) -> dict[str, int]:
    cells = _count(plan, rows, "people", np.ones(rows.n, dtype=bool))
    if plan.is_binary:
        cells |= _count(plan, rows, "with the event", rows.y > 0)
        cells |= _count(plan, rows, "without the event", rows.y == 0)
    if plan.method.has_times:
        cells |= _count(plan, rows, "with the event", rows.event > 0)
    return cells


def _steps(plan: Plan, rows: Rows) -> dict[str, int]:
    cells = dict(zip(plan.steps, rows.attrition, strict=True))
    for label, (before, after) in zip(
        plan.steps[1:], itertools.pairwise(rows.attrition), strict=True
    ):
        if before > after:
            cells[f"removed by {label}"] = before - after
    return cells


def _rate_cells(plan: Plan, rows: Rows) -> dict[str, int]:
    """Return the people, and those who had an event, of each group in each stratum."""
    cells: dict[str, int] = {}
    for i, stratum in enumerate(plan.strata):
        here = rows.stratum == i
        cells |= _count(plan, rows, f"people, {stratum}", here)
        cells |= _count(plan, rows, f"with an event, {stratum}", here & (rows.y > 0))
    return cells


def _period_cells(plan: Plan, rows: Rows) -> dict[str, int]:
    """Return the people of each period, of a share also with and without the event."""
    cells = _count(plan, rows, "people", np.ones(rows.n, dtype=bool))
    if plan.is_binary:
        cells |= _count(plan, rows, "with the event", rows.y > 0)
        cells |= _count(plan, rows, "without the event", rows.y == 0)
    return cells


def _rarest(plan: Plan, rows: Rows) -> dict[str, int]:
    """Return how many have the rarest value of each number: no bin holds fewer."""
    found: dict[str, int] = {}
    for name in plan.analysis.variables:
        for i, group in enumerate(plan.groups):
            values = rows.values[name][rows.group == i]
            _, counts = np.unique(values[~np.isnan(values)], return_counts=True)
            fewest = int(counts.min(initial=len(values)))
            found[f"{name}, rarest value | {group}"] = fewest
    return found


def thinnest(plan: Plan, rows: Rows) -> dict[str, int]:
    """Return the fewest people, and the fewest events, in any bin that has some."""
    codes = rows.group if plan.groups else rows.stratum
    parts = len(plan.groups or plan.strata)
    place = codes * len(plan.edges) + rows.bin
    size = parts * len(plan.edges)
    leaving = rows.people_in(place, size)
    deaths = rows.people_in(np.where(rows.event > 0, place, -1), size)
    found = {
        "leaving in the thinnest bin": leaving,
        "events in the thinnest bin": deaths,
    }
    if len(rows.weight) and not plan.columns:  # of weights two counts tell a third
        without = rows.people_in(np.where(rows.event > 0, -1, place), size)
        found["leaving without the event in the thinnest bin"] = without
    if len(rows.start):
        at = entry_bins(plan.edges, rows.start)
        entered = np.where(at >= 0, codes * len(plan.edges) + at, -1)
        found["entering in the thinnest bin"] = rows.people_in(entered, size)
    return {
        label: int(counts[counts > 0].min(initial=rows.people))
        for label, counts in found.items()
    }


def _count(plan: Plan, rows: Rows, label: str, chosen: Chosen) -> dict[str, int]:
    counts = rows.people_in(np.where(chosen, rows.group, -1), len(plan.groups))
    return {
        f"{label} | {group}": int(count)
        for group, count in zip(plan.groups, counts, strict=True)
    }
