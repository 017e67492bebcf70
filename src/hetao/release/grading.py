"""Study + analysis → what it reads; what it reads + checks passed → the class.

Nobody declares what a release is made of. It follows from the study: from who enters,
how they are followed, and the variables that the estimator computes with. The table of
kinds is `hetao.permit.grades`, so that a verifier grades by the same rules.
"""

import functools
from collections.abc import Collection, Iterable

from hetao.dictionary import dictionary
from hetao.permit.grades import KINDS, Grade, Kind
from hetao.permit.grades import grade as grade_level
from hetao.study import Analysis, Study, fields_touched

__all__ = [
    "KINDS",
    "Field",
    "Grade",
    "Kind",
    "grade",
    "lineage",
    "names",
    "source",
    "unforeseen",
    "with_read",
]

Field = tuple[str, str]  # table, field
STUDIES_KEPT = 64


def lineage(study: Study, analysis: Analysis) -> tuple[Field, ...]:
    """Return the (table, field) pairs that decide an analysis, sorted, each once.

    They are derived from the study, and worked out once for each of its analyses. A
    column of a flat file stands as ("flat", header), which the data dictionary does
    not know.
    """
    return _lineages(_Keyed(study)).of(analysis)


def with_read(
    fields: tuple[Field, ...], study: Study, read: Iterable[str]
) -> tuple[Field, ...]:
    """Return a lineage with whatever else was read at a site for the whole study.

    Nothing should have been: `read` is held against what all variables of the study
    are made of, and what is in none of them is added to the lineage of everything.
    """
    more = unforeseen(study, read)
    return tuple(sorted({*fields, *more})) if more else fields


def unforeseen(study: Study, read: Iterable[str]) -> tuple[Field, ...]:
    """Return the fields that were read and that no variable of the study is made of."""
    return _lineages(_Keyed(study)).beyond(tuple(read))


def source(fields: Iterable[Field]) -> int:
    """Return the highest level of these fields; one that nobody knows is 5."""
    return dictionary().level(names(fields))


def grade(kind: str, fields: Iterable[Field], passed: Collection[str]) -> Grade:
    """Return the class of a payload made of these fields; see `hetao.permit.grades`.

    A payload that was made of nothing known is graded as made of what nobody knows.
    """
    made_of = tuple(fields) or (("", ""),)
    return grade_level(kind, source(made_of), passed)


def names(fields: Iterable[Field]) -> tuple[str, ...]:
    """Return fields as the dictionary writes them, `table.field`."""
    return tuple(f"{table}.{field}" for table, field in fields)


class _Keyed:
    """A study that is known by its digest."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def __hash__(self) -> int:
        return hash(self.study.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and other.study.digest == self.study.digest


class _Lineages:
    """What each analysis of one study reads, each worked out once."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._found: dict[str, tuple[Analysis, tuple[Field, ...]]] = {}
        self._beyond: dict[tuple[str, ...], tuple[Field, ...]] = {}

    def of(self, analysis: Analysis) -> tuple[Field, ...]:
        known = self._found.get(analysis.name)
        if known is None or known[0] != analysis:
            read = fields_touched(self._study, analysis)
            known = (analysis, tuple(_split(path) for path in read))
            self._found[analysis.name] = known
        return known[1]

    def beyond(self, read: tuple[str, ...]) -> tuple[Field, ...]:
        if read not in self._beyond:
            whole = Analysis(
                "", "table1", variables=tuple(v.name for v in self._study.variables)
            )
            expected = set(fields_touched(self._study, whole))
            more = sorted(set(read) - expected)
            self._beyond[read] = tuple(_split(path) for path in more)
        return self._beyond[read]


@functools.lru_cache(maxsize=STUDIES_KEPT)
def _lineages(keyed: _Keyed) -> _Lineages:
    return _Lineages(keyed.study)


def _split(path: str) -> Field:
    table, _, field = path.partition(".")
    return table, field
