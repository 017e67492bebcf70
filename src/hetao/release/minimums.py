"""Minimum counts: rule 8 of the gate, about the facts behind what asks to leave."""

import math
from typing import Final

from hetao.analysis import Estimator, Evidence, Rows
from hetao.analysis.alike import looked_at
from hetao.analysis.estimator import USUAL_ROUNDS
from hetao.analysis.sealed_count import (
    numbers_told,
    rounds_counted,
    tells_combinations,
)
from hetao.errors import (
    Dominated,
    HighLeverage,
    NearlyOne,
    SmallCell,
    SmallCohort,
    TooManyParameters,
)
from hetao.ledger.sealed_counts import PEOPLE, SITES
from hetao.release.policy import Dominance
from hetao.study import Minimum

# An opening's one vector of offsets or exposures, which holds no outcome.
OF_OPENING: Final = ("shift", "exposed")
TWICE: Final = (
    "take one of two variables that say nearly the same, or of two numbers that few "
    "people have"
)
BOTH: Final = "take one definition of a group, an outcome or a number in both"
# Neither scores nor information, in up to hundreds of rounds: not counted.
UNCOUNTED: Final = ("boosted_trees", "neural_network")


def check_folds(evidence: Evidence, minimum: Minimum, site: str) -> None:
    """Refuse folds of too few people, whose sums could be told by subtraction."""
    if any(part.people < minimum.people for part in evidence.parts):
        raise SmallCohort(
            f"{site} holds fewer than {minimum.people} people in a fold",
            fix="take fewer folds, or none with a single lambda",
        )


def check_counts(evidence: Evidence, minimum: Minimum, site: str) -> None:
    """Refuse facts that do not reach the minimum counts.

    Raises:
        SmallCell: too few people with or without the event, on a column's side, or
            behind the numbers of a model.
        TooManyParameters, HighLeverage: as `check_model` does.
    """
    for what, count in (
        ("with the event", evidence.events),
        ("without the event", evidence.non_events),
    ):
        if count is not None and is_small(count, minimum.events):
            raise SmallCell(
                f"{site} holds fewer than {minimum.events} people {what}",
                fix="choose a commoner outcome or a longer follow-up",
                local=f"{what}: {count}",
            )
    small = [
        n for n, side in evidence.smallest_side.items() if is_small(side, minimum.cell)
    ]
    if small:
        raise SmallCell(
            f"{site} holds fewer than {minimum.cell} people on one side of "
            f"{', '.join(small)}",
            fix="merge levels or leave the term out",
            local=str({name: evidence.smallest_side[name] for name in small}),
        )
    check_model(evidence, minimum, site)
    if evidence.carriers is not None and is_small(evidence.carriers, minimum.cell):
        raise SmallCell(
            f"at {site} fewer than {minimum.cell} people make up nearly all of the "
            "numbers of a model, its offset or its predictions, or could be told apart "
            "from all others by them",
            fix="leave out a term that few people differ in, or transform it; of a "
            "score, predict alike for a rare value and its neighbours",
            local=f"made up by: {evidence.carriers}",
        )


def check_pairs(
    evidence: Evidence, minimum: Minimum, site: str, counted: int | None, *, alone: bool
) -> None:
    """Refuse definitions that differ for few people, of one analysis or of two.

    Args:
        evidence: of the analysis.
        minimum: in force.
        site: whose.
        counted: below how many people a sealed count over all sites looked for them;
            None where there is none.
        alone: whether this site's own part may be told apart, so that what others hold
            hides nobody here.

    Raises:
        NearlyOne: two of the analysis itself differ so, or one of it and one of an
            earlier one of the study.
    """
    if not alone and counted is not None and counted >= minimum.cell:
        return
    for differ, what, fix in (
        (evidence.nearest, "two variables of an analysis differ", TWICE),
        (evidence.apart, "an analysis differs from an earlier one of the study", BOTH),
    ):
        if differ is not None and is_small(differ, minimum.cell):
            raise NearlyOne(
                f"at {site} {what} for fewer than {minimum.cell} people, of whom the "
                "sums would tell",
                fix=fix,
                local=f"differ: {differ}",
            )


def check_together(few: int | None, minimum: Minimum, site: str) -> None:
    """Refuse numbers that single few people out with those of other analyses.

    Args:
        few: how many people; None where nothing is to be looked at so.
        minimum: in force.
        site: whose.

    Raises:
        SmallCell: fewer than a cell.
    """
    if few is not None and is_small(few, minimum.cell):
        raise SmallCell(
            f"at {site} fewer than {minimum.cell} people could be told apart from all "
            "others by the numbers of several analyses of the study together",
            fix="write a number, or its spline, alike in all analyses, or plainly: as "
            "it is, its square, cube, root or logarithm; of numbers that differ for "
            "few people take one",
            local=f"told apart: {few}",
        )


def is_small(count: int, least: int) -> bool:
    """A least count of one asks for nothing: then an empty cell may be seen too."""
    return least > 1 and count < least


def check_model(evidence: Evidence, minimum: Minimum, site: str) -> None:
    """Refuse a model of too many parameters, or of which one person decides too much.

    Raises:
        TooManyParameters: more than the share of the people.
        HighLeverage: one person decides more than may be of a fitted value.
    """
    if evidence.parameters > minimum.share * evidence.people:
        raise TooManyParameters(
            f"{site} holds too few people for {evidence.parameters} parameters",
            fix=f"use at most one parameter for {1 / minimum.share:.3g} people",
        )
    if evidence.max_leverage is not None and evidence.max_leverage > minimum.leverage:
        raise HighLeverage(
            f"at {site} one person alone would decide more than {minimum.leverage:g} "
            "of a fitted value",
            fix="leave out the rare term, or transform it",
        )


def check_dominance(evidence: Evidence, most: Dominance, site: str) -> None:
    """Refuse sums of numbers of which one person, or two, make up most.

    Raises:
        Dominated: some sum is.
    """
    for facts in (evidence, *evidence.parts):
        for name, found in facts.magnitudes.items():
            is_over = found.first > most.first or found.two > most.two
            if is_over or found.ratio < most.ratio:
                raise Dominated(
                    f"at {site} one or two people make up most of a sum of {name}, "
                    "which could be told apart from those of other sites",
                    fix="merge groups, tighten the number's public bounds, take its "
                    "logarithm, or take more sites in",
                    local=f"{name}: {found}",
                )


def check_combinations(
    evidence: Evidence, rounds: tuple[int, int], minimum: Minimum, site: str
) -> None:
    """Refuse a design of which few people share a combination that its sums count.

    Args:
        evidence: of the model.
        rounds: of this message, from 0, and the most that are listed.
        minimum: in force.
        site: whose.

    Raises:
        SmallCell: two columns of two values have a cell of few people; or all columns
            together have, and there are no more combinations than numbers told.
    """
    for facts in (evidence, *evidence.parts):
        found = facts.combinations
        if found is None:
            continue
        told = numbers_told(facts.parameters, rounds_counted(*rounds))
        counted = [found.pair] + ([found.whole] if found.possible <= told else [])
        if any(is_small(count, minimum.cell) for count in counted if count is not None):
            raise SmallCell(
                f"{site} holds fewer than {minimum.cell} people in a combination of "
                "values of the model's columns, whose sums could be told apart from "
                "those of other sites",
                fix="merge levels, leave a term out, put a number such as age in as "
                "it is, or take more sites in",
                local=f"{found}",
            )


def check_counted(counted: int | None, minimum: Minimum, site: str) -> None:
    """Refuse a model of which no sealed count, or one of fewer people, went before.

    Args:
        counted: below how many people it looked for; None where there is none.
        minimum: in force.
        site: whose.

    Raises:
        SmallCell: it was not looked for so few people as the minimum asks.
    """
    if counted is None or counted < minimum.cell:
        raise SmallCell(
            f"{site} was not shown that no combination of values of the model's "
            f"columns is of fewer than {minimum.cell} people over all sites",
            fix="let the hubs count before the first round, or put a number such as "
            "age in as it is",
        )


def may_be_alone(counted: tuple[int, bool] | None, minimum: Minimum) -> bool:
    """Return whether a number may differ within fewer sites than must be summed.

    Args:
        counted: below how many sites a sealed count looked, and whether it found such a
            number; None where there is no count: then it may be so.
        minimum: in force.
    """
    found = counted is None or counted[1] or counted[0] < minimum.sites
    return minimum.sites > 1 and found


def counted_before(estimator: Estimator, at: int = 0) -> tuple[str, ...]:
    """Return what is counted, sealed, before a model: people, sites, both or neither.

    Args:
        estimator: of the public plan.
        at: the round, from 0.
    """
    asked = {PEOPLE: tells_combinations(estimator, at), SITES: needs_sites(estimator)}
    return tuple(what for what, is_asked in asked.items() if is_asked)


def countable(estimator: Estimator) -> tuple[str, ...]:
    """Return what may be counted, sealed, before an analysis, though it need not be.

    Args:
        estimator: of the public plan.
    """
    before, plan = counted_before(estimator), estimator.plan
    if PEOPLE in before or not (plan.within.pairs or plan.beside.pairs):
        return before
    return PEOPLE, *before


def needs_sites(estimator: Estimator) -> bool:
    """Return whether a model has numbers that may differ within few sites alone.

    It follows from the public plan. Then a sealed count of the sites at which each
    does goes before it, or its sums are graded as one site's own part; of what is
    graded so anyway there is nothing to count.
    """
    plan = estimator.plan
    is_own = estimator.own_parts or plan.crosses_sites
    return not is_own and bool(looked_at(plan))


def numbers_of(estimator: Estimator, rows: Rows) -> int:
    """Return how many numbers about all its people a round of an estimator tells.

    Of a model whose own message may be published, what it declares to send in its usual
    rounds, evenly, but single numbers such as n and the likelihood. Of a path with a
    penalty one fit counts; of a Cox model on a grid the sums of each bin; and of any
    other method whose message may not be published the scores and information of each
    fit behind it.

    Args:
        estimator: of the public plan, as the site carries it out.
        rows: of the site.
    """
    plan, name = estimator.plan, estimator.name
    if name in UNCOUNTED:
        return 0
    if in_bins := estimator.told_in_bins(rows):
        return in_bins
    if not estimator.publishable or plan.analysis.shrinks:
        fits = max(len(plan.method.fits), 1) * numbers_told(plan.parameters, 1)
        return fits + (numbers_told(plan.score.parameters, 1) if plan.score else 0)
    usual = min(USUAL_ROUNDS, estimator.most_rounds)
    told = 0
    for number in range(usual):
        declared = estimator.declare(number).items()
        sizes = [
            math.prod(one.shape) for what, one in declared if what not in OF_OPENING
        ]
        told += sum(size for size in sizes if size > 1)
    return -(-told // usual)


def check_numbers(
    evidence: Evidence,
    rounds: tuple[int, int],
    minimum: Minimum,
    site: str,
    numbers: int | None = None,
) -> None:
    """Refuse a model whose rounds would tell too much about each person here.

    A round of p parameters tells a score and an information, p + p(p+1)/2 numbers about
    all the same people; those of the rounds to come are counted from the first, so that
    nothing of a model too large leaves.

    Args:
        evidence: of the model.
        rounds: of this message, from 0, and the most that are listed.
        minimum: in force.
        site: whose.
        numbers: of `numbers_of`; None where they follow from the parameters.

    Raises:
        TooManyParameters: more than the share allows.

    Source:
        Measured in `docs/explanation/what-sums-reveal.md`.
    """
    counted = rounds_counted(*rounds)
    for facts in (evidence, *evidence.parts):
        told = numbers_told(facts.parameters, counted)
        if facts is evidence and numbers is not None:
            told = numbers * counted
        if told > minimum.told * facts.people:
            raise TooManyParameters(
                f"{site} holds too few people for what the rounds of a "
                f"model of {facts.parameters} parameters would tell about them",
                fix="use fewer terms, or several models of fewer terms each; on a grid "
                "of times also fewer bins, or stratify the model by site",
            )
