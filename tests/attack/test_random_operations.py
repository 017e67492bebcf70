"""Whatever is done about a permit, in whatever order: nothing unapproved leaves.

`make operations` does a million such things; here a seeded few thousand.
"""

import sys
from pathlib import Path

import pytest

from hetao.permit import decision, lifecycle
from hetao.release import decide as gate
from support_operations import Machine, remembered

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import operations

OPERATIONS = 3_000


def test_nothing_unapproved_leaves_in_all_these_operations(record_property):
    done = operations.operated(OPERATIONS, 20261129)

    record_property("figure", f"0 unapproved releases in {OPERATIONS:,} operations")
    assert done.total() == OPERATIONS
    assert done["left"] > OPERATIONS / 100
    assert done["refused"] > OPERATIONS / 10


# Each lets something through that should not be: a machine that misses it is none.
FORGETS = {
    "suspensions": (lifecycle, "_open", lambda *_: ()),
    "ends": (lifecycle, "_end", lambda *_: None),
    "words left out": (lifecycle, "check_complete", lambda _: None),
    "conflicts": (lifecycle, "conflicts", lambda *_: ()),
    "revoked keys": (decision, "voided_in", lambda *_: ()),
    "the permit's rounds": (gate, "_check_protocol", lambda *_: None),
    "small cohorts": (gate, "check_people", lambda *_: None),
}


@pytest.mark.parametrize("what", FORGETS)
def test_a_gate_that_forgets_a_rule_is_found(what, monkeypatch):
    monkeypatch.setattr(*FORGETS[what])
    machine = Machine(7)

    with remembered(), pytest.raises(AssertionError, match="an unapproved release"):
        machine.steps(20_000)
