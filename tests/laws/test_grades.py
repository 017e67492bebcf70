"""One more field, or one check less, never lowers the class of what leaves."""

import itertools

import numpy as np
import pytest

from hetao.dictionary import dictionary
from hetao.permit.grades import KINDS
from hetao.permit.grades import grade as grade_level
from hetao.release.grading import grade, source

CHECKS = sorted({check for kind in KINDS.values() for check in kind.demands})
SUBSETS = [
    frozenset(check for place, check in enumerate(CHECKS) if bits >> place & 1)
    for bits in range(2 ** len(CHECKS))
]
# One field of each level, of the dictionary; and one that it does not know.
BY_LEVEL = {
    field.level: (table.name, field.name)
    for table in dictionary().tables.values()
    for field in table.fields.values()
}
FIELDS = [*BY_LEVEL.values(), ("nowhere", "known")]
LINEAGES = [
    tuple(itertools.compress(FIELDS, chosen))
    for chosen in itertools.product((0, 1), repeat=len(FIELDS))
]
LEVELS = range(1, 6)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_neither_a_higher_source_nor_a_check_less_ever_lowers_the_class(kind):
    """Over all levels and all subsets of all checks of all kinds."""
    found = np.array(
        [
            [grade_level(kind, level, passed).released for passed in SUBSETS]
            for level in LEVELS
        ]
    )

    assert (np.diff(found, axis=0) >= 0).all()
    bits = np.arange(len(SUBSETS))
    for place in range(len(CHECKS)):
        assert (found[:, bits & ~(1 << place)] >= found).all()


def test_one_more_field_never_lowers_the_source():
    for fields in filter(None, LINEAGES):
        for more in set(FIELDS) - set(fields):
            assert source((*fields, more)) >= source(fields)


@pytest.mark.parametrize("kind", sorted(KINDS.values(), key=lambda kind: kind.name))
def test_nothing_is_lowered_below_the_floor_of_its_kind(kind):
    everything = frozenset(CHECKS)
    for fields in filter(None, LINEAGES):
        found = grade(kind.name, fields, everything)

        assert found.source == source(fields)
        floor = kind.floor or found.source
        assert found.released == min(found.source, floor)


@pytest.mark.parametrize("kind", sorted(KINDS.values(), key=lambda kind: kind.name))
def test_each_check_of_a_kind_is_needed(kind):
    unknown = (("nowhere", "known"),)
    for check in kind.demands:
        found = grade(kind.name, unknown, set(CHECKS) - {check})

        assert (found.released, found.missing) == (5, (check,))


def test_what_nobody_knows_is_of_the_highest_class():
    assert source([("person", "hkid")]) == 5
    assert grade("nonsense", [("concept", "concept_id")], CHECKS).kind == "row"
    assert grade("row", [("person", "person_id")], CHECKS).released == 3
    assert grade("table", [], ()).released == 5


def test_every_kind_names_its_clauses_and_rows_do_not_leave():
    assert all(kind.clause for kind in KINDS.values())
    assert {kind.name for kind in KINDS.values() if not kind.leaves} == {
        "row",
        "pseudonymised_row",
    }
