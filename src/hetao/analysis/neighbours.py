"""Two definitions of one study that differ for few people, and what sums tell of it.

Two models that are alike but for the outcome, or for a category, tell by their
difference the sums of whoever the two definitions tell apart: of one person all that
the columns hold; and so do two tables or curves by two groups. So each analysis says of
each of its definitions by how many people it differs from each one of an earlier
analysis of the study; over enough sites hubs find out, sealed, whether any are few
(`hetao.analysis.sealed_count`), elsewhere the site does.

Of the definitions within one analysis these counts are told too, if there is a sealed
count; where there is none the site looks by itself.

What `beside`, `within` and `reads` return is public; all else stays inside the site.
"""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Ints
from hetao.errors import InvalidStudy
from hetao.study import Analysis, Name, Study, Variable, parse_expression, parse_term
from hetao.study.model import SITE
from hetao.study.terms import names_of

MOST_PAIRS: Final = 1 << 16  # of definitions that one model is compared in
KEPT: Final = 400  # of whom each is known, while pairs are counted
LAST: Final = 4  # variables whose levels are looked for
Mask = NDArray[np.bool_]
# A variable's (n,) numbers, NaN where missing, or places of levels, below 0 where
# missing; None where the site could answer nothing that reads it.
Known = Callable[[str], NDArray[Any] | None]
# Of a category, from 0; or all levels from one to another, both included.
Level = tuple[str, int] | tuple[str, int, int]
# Levels that somebody has, or has not, all of; or the name of a number.
Definition = tuple[Level, ...] | str
NOBODY: Final[Definition] = ()  # has another value than most: a number few have is near


class _Said(NamedTuple):
    """What a definition says of each row, and what its contrary does.

    Where it is missing both are 0, as in any sum over those of whom it is known.
    """

    says: NDArray[Any]  # (n,) a number, or who has all of some levels
    contrary: NDArray[Any]  # (n,) 1 less the number, or who is known not to have them
    is_whole: bool  # nothing is missing


class Pairs(NamedTuple):
    """Definitions that are compared.

    Attributes:
        pairs: of an analysis and of another.
        variables: that the others are made of.
        is_whole: whether nothing of them can be missing, as of a model's own.
    """

    pairs: tuple[tuple[Definition, Definition], ...] = ()
    variables: tuple[Variable, ...] = ()
    is_whole: bool = False

    @property
    def counts(self) -> int:
        """Return how many counts `apart` finds."""
        return sum(map(self.counts_of, self.pairs))

    def counts_of(self, pair: tuple[Definition, Definition]) -> int:
        """Return how many of a pair: one with NOBODY, two of what is whole, or four."""
        if pair[1] == NOBODY:
            return 1
        return 2 if self.is_whole else 4


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
    """Return what an analysis says of a person; of a screen what all of its pairs do.

    Of a category of two levels the second says all; of four and more each half that a
    cut between two levels makes, if it is of several. Of one that a table describes
    nothing: of a level that few people have, a table may tell by itself.
    """
    variables = _variables(study, analysis)
    described = {*analysis.variables} - {analysis.by}
    categories = [
        one for one in variables if one.kind == "category" and one.name not in described
    ]
    single: list[Definition] = [((v.name, n),) for v in categories for n in _levels(v)]
    single += [((v.name, *cut),) for v in categories for cut in _cuts(v)]
    crossed = [
        tuple(chosen)
        for text in (*analysis.terms, *analysis.score)
        if len(of_term := _categories(study, text)) > 1
        for chosen in itertools.product(
            *([(v.name, n) for n in range(len(v.levels))] for v in of_term)
        )
    ]
    numbers = [one.name for one in variables if one.kind == "number"]
    return tuple(dict.fromkeys((*single, *crossed, *numbers)))


def _variables(study: Study, analysis: Analysis) -> list[Variable]:
    lists = (analysis.exposures, analysis.outcomes, analysis.times)
    names = dict.fromkeys((*reads(analysis), *itertools.chain(*lists)))
    return [study.variable(name) for name in names if name != SITE]


def _levels(variable: Variable) -> range:
    size = len(variable.levels)
    return range(int(size == 2), size)


def _cuts(variable: Variable) -> list[tuple[int, int]]:
    """Return the upper half of each cut whose halves are both of several levels."""
    last = len(variable.levels) - 1
    return [(least, last) for least in range(2, last)]


def _categories(study: Study, term: str) -> list[Variable]:
    """Return the categories of a term that stand in it as factors, each once."""
    factors = parse_term(term).factors
    names = dict.fromkeys(f.name for f in factors if isinstance(f, Name))
    variables = [study.variable(name) for name in names if name != SITE]
    return [one for one in variables if one.kind == "category"]


def beside(study: Study, analysis: Analysis) -> Pairs:
    """Return an analysis's definitions, each with those of earlier ones it has not.

    So each pair is looked at once, before the later of both; one that an earlier one
    has both of too, for that may have been of other people. A screen's pairs are models
    of their own, so each of its definitions stands with all others of earlier analyses.

    Raises:
        InvalidStudy: there are too many pairs.
    """
    if analysis not in study.analyses:
        return NONE
    own = definitions(study, analysis)
    before = study.analyses[: study.analyses.index(analysis)]
    others = dict.fromkeys(one for a in before for one in definitions(study, a))
    known = frozenset() if analysis.exposures else frozenset(own)
    theirs = [one for one in others if one not in known]
    if len(own) < len(theirs):  # whom the fewer are of is kept, while pairs are counted
        pairs = ((mine, one) for one in theirs for mine in own)
    else:
        pairs = ((mine, one) for mine in own for one in theirs)
    limited = _limited(analysis, (pair for pair in pairs if pair[0] != pair[1]))
    names = dict.fromkeys(name for _, one in limited for name in _names(one))
    return Pairs(limited, tuple(study.variable(name) for name in names))


def within(study: Study, analysis: Analysis) -> Pairs:
    """Return the pairs of definitions of one analysis, of which it tells by itself.

    Levels of one variable are no two, nor are products of categories and their parts.
    A number stands with NOBODY too: its sums tell who has another value than all else.
    Without a design only numbers are pairs, and of these weights and the start stand
    with NOBODY: what else it tells are cells, small ones too.

    Raises:
        InvalidStudy: there are too many pairs.
    """
    if analysis.exposures:
        return NONE
    own = definitions(study, analysis)
    numbers = [one for one in own if isinstance(one, str)]
    is_model = bool(analysis.terms or analysis.score)
    held = numbers if is_model else filter(None, (analysis.weights, analysis.start))
    alone = [(one, NOBODY) for one in held]
    pairs = itertools.combinations(own if is_model else numbers, 2)
    apart = (pair for pair in pairs if not {*_names(pair[0])} & {*_names(pair[1])})
    limited = _limited(analysis, itertools.chain(alone, apart))
    return Pairs(limited, is_whole=is_model)


def _limited(
    analysis: Analysis, pairs: Iterable[tuple[Definition, Definition]]
) -> tuple[tuple[Definition, Definition], ...]:
    found = tuple(itertools.islice(pairs, MOST_PAIRS + 1))
    if len(found) > MOST_PAIRS:
        raise InvalidStudy(
            f"{analysis.name}: its variables and those of earlier analyses make more "
            f"than {MOST_PAIRS} pairs",
            fix="read fewer variables, merge levels, or ask in a study of its own",
        )
    return found


def _names(one: Definition) -> tuple[str, ...]:
    return (one,) if isinstance(one, str) else tuple(level[0] for level in one)


# --- inside the site ------------------------------------------------------------------
def apart(pairs: Pairs, known: Known, person: Ints) -> Ints:
    """Return by how many people each two definitions differ.

    Args:
        pairs: of definitions.
        known: of each variable of both.
        person: (n,) whose row each is, from 0; empty if each is another's.

    Returns:
        Of each pair for how many people one and the other differ, one and the other's
        contrary, both contraries, and the contrary and the other: all four of these
        sums are told, and where nothing is missing the last two are the first two. Of a
        number and NOBODY who has not what most rows have. 0 of what was told of nobody
        here.
    """
    known = functools.lru_cache(LAST)(known)
    said = functools.lru_cache(KEPT)(functools.partial(_said, known=known))
    found: list[int] = []
    for pair in pairs.pairs:
        if pair[1] == NOBODY:
            found.append(_away(known(str(pair[0])), person))
            continue
        one, other = map(said, pair)
        if one is None or other is None:
            found += [0] * pairs.counts_of(pair)
            continue
        found += _differing(one, other, person)[: pairs.counts_of(pair)]
    return np.array(found, dtype=np.int64)


def _differing(one: _Said, other: _Said, person: Ints) -> list[int]:
    differ = _people(one.says != other.says, person)
    turned = _people(one.says != other.contrary, person)
    if one.is_whole and other.is_whole:
        return [differ, turned, differ, turned]
    both = _people(one.contrary != other.contrary, person)
    return [differ, turned, both, _people(one.contrary != other.says, person)]


def _away(numbers: NDArray[Any] | None, person: Ints) -> int:
    """Return how many people have another number than most rows have."""
    if numbers is None or not len(numbers):
        return 0
    values, counts = np.unique(numbers, return_counts=True)
    return _people(numbers != values[counts.argmax()], person)


def fewest(counts: Iterable[int]) -> int | None:
    """Return the smallest count that is not 0; None of none."""
    return min((int(count) for count in counts if count), default=None)


def _people(rows: Mask, person: Ints) -> int:
    if not len(person):
        return int(np.count_nonzero(rows))
    return int(np.count_nonzero(np.bincount(person[rows])))


def _said(one: Definition, known: Known) -> _Said | None:
    """Return what a definition says of each row; None where nobody can say."""
    if isinstance(one, str):
        if (numbers := known(one)) is None:
            return None
        missing = np.isnan(numbers)
        if not missing.any():
            return _Said(numbers, 1 - numbers, True)
        says, contrary = (np.where(missing, 0.0, x) for x in (numbers, 1 - numbers))
        return _Said(says, contrary, False)
    parts = [(known(name), levels) for name, *levels in one]
    told = [
        ((levels[0] <= codes) & (codes <= levels[-1]), codes >= 0)
        for codes, levels in parts
        if codes is not None
    ]
    if len(told) < len(parts):
        return None
    has, is_known = map(np.logical_and.reduce, zip(*told, strict=True))
    return _Said(has, is_known & ~has, bool(is_known.all()))
