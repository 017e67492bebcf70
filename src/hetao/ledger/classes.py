"""A release record graded again, by whoever verifies it."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from hetao.dictionary import dictionary
from hetao.errors import Unverified
from hetao.permit.grades import KINDS, grade
from hetao.study import Study, fields_touched

PASSED = "passed"


class Lineages:
    """What the analyses of a certified study read, each worked out once."""

    def __init__(self, study: Study) -> None:
        """Take the study that stands in the certificate."""
        self._study = study
        self._read: dict[str, frozenset[str]] = {}
        self._covered: set[tuple[str, tuple[str, ...]]] = set()

    @cached_property
    def known(self) -> bool:
        """Return whether the study's data dictionary is the one installed here.

        The levels of another edition are not known here; then what a record says of
        its source stands, and only the class that follows from it is worked out.
        """
        return self._study.dictionary_digest in ("", dictionary().digest)

    def covers(self, analysis: str, lineage: Mapping[str, list[str]]) -> bool:
        """Return whether a record's lineage holds all that its analysis reads."""
        key = (analysis, fields_of(lineage))
        if key not in self._covered:
            if analysis not in self._read:
                asked = self._study.analysis(analysis)
                self._read[analysis] = frozenset(fields_touched(self._study, asked))
            if not self._read[analysis] <= set(key[1]):
                return False
            self._covered.add(key)
        return True


def fields_of(lineage: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return a record's lineage as `table.field`s."""
    return tuple(f"{table}.{f}" for table, fields in lineage.items() for f in fields)


def check_class(body: Mapping[str, Any], what: str, known: bool) -> None:
    """Return quietly if a record's class is no lower than it has to be.

    Args:
        body: of the record.
        what: whose it is, for the error.
        known: whether the levels of its fields are those of the dictionary here.

    Raises:
        Unverified: it is lower than its lineage, its kind and its checks give, or its
            kind is none that leaves.
    """
    said, checks = body["class"], body["checks"]
    kind = KINDS.get(str(said["kind"]))
    if kind is None or not kind.leaves:
        raise Unverified(f"{what} is of a kind that does not leave")
    fields = fields_of(body["lineage"])
    source = dictionary().level(fields) if fields else 5
    if known and said["source"] < source:
        raise Unverified(f"{what} claims a lower source than its lineage gives")
    passed = checks.get(PASSED, {})
    if said["released"] < grade(kind.name, int(said["source"]), passed).released:
        raise Unverified(f"{what} claims a lower class than its lineage gives")
