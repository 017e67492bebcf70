"""Two definitions of one study that differ for few people, and what models tell of it.

Two models that are alike but for the outcome, or for a category, tell by their
difference the sums of whoever the two definitions tell apart: of one person all that
the columns hold. So each model says of each of its definitions by how many people it
differs from each one of an earlier model of the study; over enough sites hubs find out,
sealed, whether any are few (`hetao.analysis.sealed_count`), elsewhere the site does.

Of the definitions within one model the site looks by itself: hardly any two of an
honest model say the same of nearly all people.

What `beside`, `within` and `reads` return is public; all else stays inside the site.
"""

import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Ints
from hetao.errors import InvalidStudy
from hetao.study import Analysis, Name, Study, Variable, parse_expression, parse_term
from hetao.study.model import SITE
from hetao.study.terms import names_of

MOST_PAIRS: Final = 1 << 16  # of definitions that one model is compared in
KEPT: Final = 256  # of whom each is known, while pairs are counted
Mask = NDArray[np.bool_]
Level = tuple[str, int]  # of a category, from 0
# Levels that somebody has, or has not, all of; or the name of a number.
Definition = tuple[Level, ...] | str


class Pairs(NamedTuple):
    """Definitions that are compared.

    Attributes:
        pairs: of a model and of another.
        variables: that the others are made of.
    """

    pairs: tuple[tuple[Definition, Definition], ...] = ()
    variables: tuple[Variable, ...] = ()

    @property
    def counts(self) -> int:
        """Return how many counts `apart` finds: two of each pair, one of numbers."""
        return sum(1 if _are_numbers(pair) else 2 for pair in self.pairs)


NONE: Final = Pairs()


def reads(analysis: Analysis) -> tuple[str, ...]:
    """Return the variables an analysis reads, each once; none for counts."""
    names = [*analysis.variables, analysis.outcome, analysis.time, analysis.event]
    for text in (*analysis.terms, *analysis.score):
        names += parse_term(text).names
    if analysis.offset:
        names += names_of(parse_expression(analysis.offset))
    names += [analysis.treatment, *analysis.strata, analysis.by, analysis.weights]
    names += [analysis.start, analysis.person, analysis.matched]
    return tuple(dict.fromkeys(filter(None, names)))


# --- public ---------------------------------------------------------------------------
def definitions(study: Study, analysis: Analysis) -> tuple[Definition, ...]:
    """Return what a model says of a person; of a screen what all of its pairs do.

    Of a category of two levels the second says all.
    """
    models = [one for _, _, one in analysis.pairs] or [analysis]
    variables = _variables(study, models)
    categories = [one for one in variables if one.kind == "category"]
    single = [((v.name, n),) for v in categories for n in _levels(v)]
    crossed = [
        tuple(chosen)
        for one in models
        for text in (*one.terms, *one.score)
        if len(of_term := _categories(study, text)) > 1
        for chosen in itertools.product(
            *([(v.name, n) for n in range(len(v.levels))] for v in of_term)
        )
    ]
    numbers = [one.name for one in variables if one.kind == "number"]
    return tuple(dict.fromkeys((*single, *crossed, *numbers)))


def _variables(study: Study, models: Iterable[Analysis]) -> list[Variable]:
    names = dict.fromkeys(name for one in models for name in reads(one))
    return [study.variable(name) for name in names if name != SITE]


def _levels(variable: Variable) -> range:
    size = len(variable.levels)
    return range(int(size == 2), size)


def _categories(study: Study, term: str) -> list[Variable]:
    """Return the categories of a term that stand in it as factors, each once."""
    factors = parse_term(term).factors
    names = dict.fromkeys(f.name for f in factors if isinstance(f, Name))
    variables = [study.variable(name) for name in names if name != SITE]
    return [one for one in variables if one.kind == "category"]


def is_model(analysis: Analysis) -> bool:
    """Return whether an analysis tells sums over people times what columns hold."""
    return bool(analysis.terms or analysis.score or analysis.exposures)


def beside(study: Study, analysis: Analysis) -> Pairs:
    """Return a model's definitions, each with those of earlier models it has not.

    So each pair is looked at once, before the later of both. Not one that an earlier
    model has both of: that tells of it by itself. Nothing for a screen, and for what is
    no model.

    Raises:
        InvalidStudy: there are too many pairs.
    """
    if not is_model(analysis) or analysis.exposures or analysis not in study.analyses:
        return NONE
    own = definitions(study, analysis)
    before = study.analyses[: study.analyses.index(analysis)]
    others = [frozenset(definitions(study, one)) for one in before if is_model(one)]
    new = dict.fromkeys(
        one for a in before if is_model(a) for one in definitions(study, a)
    )
    pairs = [
        pair
        for one in new
        if one not in own
        for pair in itertools.product(own, [one])
        if not any(of.issuperset(pair) for of in others)
    ]
    if len(pairs) > MOST_PAIRS:
        raise InvalidStudy(
            f"{analysis.name}: its variables and those of earlier models make more "
            f"than {MOST_PAIRS} pairs",
            fix="read fewer variables, or ask for a study of its own",
        )
    names = dict.fromkeys(name for _, one in pairs for name in _names(one))
    return Pairs(tuple(pairs), tuple(study.variable(name) for name in names))


def within(study: Study, analysis: Analysis) -> Pairs:
    """Return the pairs of two variables of one model, of which it tells by itself.

    Levels of one variable are no two, and products of categories are left out.
    """
    if not is_model(analysis) or analysis.exposures:
        return NONE
    single = [one for one in definitions(study, analysis) if len(_names(one)) == 1]
    return Pairs(
        tuple(
            (one, other)
            for one, other in itertools.combinations(single, 2)
            if _names(one) != _names(other)
        )
    )


def _names(one: Definition) -> tuple[str, ...]:
    return (one,) if isinstance(one, str) else tuple(name for name, _ in one)


def _are_numbers(pair: tuple[Definition, Definition]) -> bool:
    return all(isinstance(one, str) for one in pair)


# --- inside the site ------------------------------------------------------------------
def apart(pairs: Pairs, known: Mapping[str, NDArray[Any]], person: Ints) -> Ints:
    """Return by how many people each two definitions differ.

    Args:
        pairs: of definitions.
        known: one (n,) array a variable of both: numbers, NaN where one is missing,
            and the place of a level, below 0 where it is missing.
        person: (n,) whose row each is, from 0; empty if each is another's.

    Returns:
        Of each pair that is not two numbers, how many people differ, and how many would
        if one of both said the contrary; of two numbers how many differ.
    """
    values = functools.lru_cache(KEPT)(functools.partial(_values, known=known))
    found: list[int] = []
    for pair in pairs.pairs:
        one, other = map(values, pair)
        found.append(_people(one != other, person))
        if not _are_numbers(pair):
            contrary = (one, ~other) if other.dtype == bool else (~one, other)
            found.append(_people(contrary[0] != contrary[1], person))
    return np.array(found, dtype=np.int64)


def fewest(counts: Iterable[int]) -> int | None:
    """Return the smallest count that is not 0; None of none."""
    return min((int(count) for count in counts if count), default=None)


def _people(rows: Mask, person: Ints) -> int:
    if not len(person):
        return int(np.count_nonzero(rows))
    return int(np.count_nonzero(np.bincount(person[rows])))


def _values(one: Definition, known: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return (n,) a number, or who has all of some levels."""
    if isinstance(one, str):
        return known[one]
    has = np.ones(len(known[one[0][0]]), dtype=bool)
    for name, level in one:
        has &= known[name] == level
    return has
