"""What all people of one site have alike: a number that may tell the site from others.

A district's code is one number at each site. Arithmetic makes of it what is 1 here and
0 elsewhere, and a product with it is a site's own part of another column, as one with
`site` is. No site sees what the others hold, but each sees that its people have a part
of a term alike, whatever the term adds to it: the parts are looked at, not their sum.
Where they differ, the site cannot see whether it is alone with that; it says of each
part whether they do, into a sealed count of the sites: `hetao.analysis.sealed_count`.

Everything in this file stays inside the site.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.design import Column
from hetao.analysis.expressions import Floats, Ints, bounds_of, value_of
from hetao.analysis.plan import Plan
from hetao.study import Basis, Call, Expression, Name, Operation
from hetao.study.model import SITE
from hetao.study.terms import names_of

SPREAD: Final = 1e-5  # of the range of the public bounds: a number of less is alike
FEW: Final = 9  # people who may differ; one fewer than the strict least of a cell
SHARE: Final = 0.01  # of the people, if that is more


class Alike(NamedTuple):
    """What is told of a site by what its people have alike.

    Attributes:
        tells_site: whether a column is alike for all, or one crosses.
        crosses_site: whether one is made of what is alike for all and of what is not;
            or an offset, the weights or the outcome, which meet all columns, are alike.
        differing: whether people differ in each that `looked_at` names.
    """

    tells_site: bool = False
    crosses_site: bool = False
    differing: NDArray[np.bool_] = np.zeros(0, dtype=bool)


class Look(NamedTuple):
    """Something of a plan in which people of a site may differ.

    Attributes:
        kind: "column" of a design that has several parts, or one of one part "alone";
            the "level" of a category, a "number", or the "outcome", as a follow-up's
            times are. Of a number alone, and of the outcome, ten people are enough who
            have something else, as they are of a level; in a product, which nearly all
            at a site would have alike, they are not.
        what: the design and the place in it, or the arithmetic, or the name.
    """

    kind: str
    what: tuple[str, int] | Expression | str


class _Part(NamedTuple):
    """Whether what is looked at is alike for nearly all, and differs for anybody."""

    is_alike: bool
    differs: bool


@dataclass(frozen=True, eq=False)
class _People:
    """The variables of a site's rows, and whose they are.

    Attributes:
        plan: which says the public bounds of numbers.
        known: one (n,) array a variable.
        person: (n,) whose row each is, from 0; empty if each is another's.
        values: of the rows, X and, if there is a score, Z.
        found: what was looked at before.
    """

    plan: Plan
    known: Mapping[str, NDArray[Any]]
    person: Ints
    values: Mapping[str, Floats]
    found: dict[Look, _Part] = field(default_factory=dict)

    def looked(self, at: Look) -> _Part:
        """Return whether what a plan names is alike; each is looked at once."""
        if at not in self.found:
            self.found[at] = self._looked(at)
        return self.found[at]

    def _looked(self, at: Look) -> _Part:
        match at:
            case Look("column", (str(design), int(place))):
                return self.part(self.values[design][:, place], 2.0)  # from -1 to 1
            case Look("alone", (str(design), int(place))):
                found = self.looked(Look("column", (design, place)))
                if not found.is_alike:  # nor is it with fewer left out
                    return found
                return self.part(self.values[design][:, place], 2.0, share=0)
            case Look("level", str(name)):
                return self.level(name)
            case Look("outcome", str(name)):
                return self.part(self.known[name], self._reach(Name(name)), share=0)
        expression: Any = at.what
        return self.part(value_of(expression, self.known), self._reach(expression))

    def _reach(self, factor: Expression) -> float:
        bounds = {n: self.plan.variable(n).bounds or (-1, 1) for n in names_of(factor)}
        low, high = bounds_of(factor, bounds)
        return high - low

    def number(self, factor: Expression) -> _Part:
        """Return whether a number is alike, by its public range."""
        return self.looked(Look("number", factor))

    def level(self, name: str) -> _Part:
        """Return whether people have the level of a category that most have."""
        codes = self.known[name]
        return self.part((codes != np.bincount(codes).argmax()).astype(float), 1.0)

    def part(self, values: Floats, reach: float, share: float = SHARE) -> _Part:
        """Return whether (n,) values are alike, but for the few furthest out."""
        away = np.abs(values - np.median(values))
        of_each = away
        if len(self.person):
            of_each = np.zeros(int(self.person.max()) + 1)
            np.maximum.at(of_each, self.person, away)
        few = max(FEW, int(share * len(of_each)))
        if few >= len(of_each):
            return _Part(is_alike=False, differs=True)
        most = np.partition(of_each, -few - 1)[-few - 1]
        kept = away[away <= most] / (reach or 1.0)  # whose squares are not too large
        spread = float(np.sqrt(np.mean(kept**2)))
        return _Part(spread <= SPREAD, bool(away.any()))

    def mixes(self, factor: Expression) -> bool:
        """Return whether some arithmetic takes what is alike and what is not."""
        match factor:
            case Call(_, argument) | Basis(_, _, argument):
                return self.mixes(argument)
            case Operation(_, left, right):
                sides = [side for side in (left, right) if names_of(side)]
                return any(map(self.mixes, sides)) or _meet(map(self.number, sides))
        return False

    def crosses(self, column: Column) -> bool:
        """Return whether a column is made of what is alike and of what is not."""
        if any(self.mixes(factor) for factor in column.factors):
            return True
        factors = [factor for factor in column.factors if names_of(factor)]
        levels = {name for name, _ in column.levels if name != SITE}
        if len(factors) + len(levels) < 2:
            return False
        return _meet([*map(self.number, factors), *map(self.level, levels)])


def _meet(parts: Iterable[_Part]) -> bool:
    """Return whether a part that is alike meets one that differs at all.

    How far a part may differ to be alike follows from its public range, which
    arithmetic can stretch: two such parts may be one that is and one that is not.
    """
    found = list(parts)
    return (
        len(found) > 1
        and any(part.is_alike for part in found)
        and any(part.differs for part in found)
    )


def alike(
    plan: Plan,
    known: Mapping[str, NDArray[Any]],
    person: Ints,
    values: Mapping[str, Floats],
) -> Alike:
    """Return what is told of a site by what its people have alike.

    Categories alone tell nothing here: a level that nobody has is refused by its side.

    Args:
        plan: the public plan.
        known: one (n,) array a variable, of the rows that count.
        person: (n,) whose row each is, from 0; empty if each is another's.
        values: of the rows, `origin` and, as far as they are, X, Z and `offset`.
    """
    looks = looked_at(plan)
    if not len(values["origin"]):
        return Alike(differing=np.zeros(len(looks), dtype=bool))
    people, analysis = _People(plan, known, person, values), plan.analysis
    designs = _designs(plan)
    columns = [column for _, of in designs for column in of.columns]
    crosses = any(map(people.crosses, columns))
    crosses = crosses or any(
        people.number(Name(one.name)).is_alike and bool(np.median(known[one.name]))
        for one in plan.variables
        if one.kind == "number" and one.name in (analysis.weights, analysis.outcome)
    )
    if plan.offset is not None and not crosses:
        low, high = plan.offset_bounds
        crosses = people.mixes(plan.offset)
        crosses = crosses or people.part(values["offset"], high - low).is_alike
    tells = crosses or any(
        people.looked(Look("column", (design, place))).is_alike
        for design, of in designs
        for place, column in enumerate(of.columns)
        if column.factors and not column.levels
    )
    differing = [not people.looked(look).is_alike for look in looks]
    return Alike(tells, crosses, np.array(differing, dtype=bool))


def looked_at(plan: Plan) -> tuple[Look, ...]:
    """Return everything in which people of one site alone may differ, each once.

    It follows from the public plan: each column with a number in it and each part of
    one, the parts of the offset, the weights, an outcome that is a number, and the
    times of a follow-up. Of a screen it is that of each pair, one after the other; of
    what has no design and no weights nothing.
    """
    if plan.parts:
        return tuple(look for part in plan.parts for look in looked_at(part))
    if not (plan.columns or plan.score or plan.analysis.weights):
        return ()
    found = dict.fromkeys(_looks_of_columns(plan))
    if plan.offset is not None:
        found |= dict.fromkeys(_numbers(plan.offset))
    of = plan.analysis
    if of.weights:
        found[Look("number", Name(of.weights))] = None
    for name in (of.outcome, of.time, of.start):
        if name and plan.variable(name).kind == "number":
            found[Look("outcome", name)] = None
    return tuple(found)


def _designs(plan: Plan) -> list[tuple[str, Plan]]:
    return [("X", plan)] + ([("Z", plan.score)] if plan.score else [])


def _looks_of_columns(plan: Plan) -> Iterable[Look]:
    for design, of in _designs(plan):
        for place, column in enumerate(of.columns):
            factors = [factor for factor in column.factors if names_of(factor)]
            if not factors:  # categories alone: a level that nobody has is refused
                continue
            levels = [name for name, _ in column.levels if name != SITE]
            is_alone = len(factors) + len(levels) < 2  # the column is its only factor
            yield Look("alone" if is_alone else "column", (design, place))
            for factor in factors:
                yield from list(_numbers(factor))[int(is_alone) :]
            yield from (Look("level", name) for name in levels)


def _numbers(expression: Expression) -> Iterable[Look]:
    """Yield an expression that has a variable in it, and all such within it."""
    if not names_of(expression):
        return
    yield Look("number", expression)
    match expression:
        case Call(_, argument) | Basis(_, _, argument):
            yield from _numbers(argument)
        case Operation(_, left, right):
            yield from _numbers(left)
            yield from _numbers(right)
