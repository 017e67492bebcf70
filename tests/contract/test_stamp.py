"""The contract for anchors on two machines: a root has one time, the first."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from hetao.anchor.evm import shipped
from support_evm import PyEvm, anvil, call

pytestmark = pytest.mark.xdist_group("escrow")
ROOTS = (bytes(32), *(bytes([one]) * 32 for one in (1, 2, 255)))
GAS = 45_407  # a change of it is a change of the contract: it is looked at


class Stamped(RuleBasedStateMachine):
    """Whoever sends whatever root whenever, held against a model of one line."""

    machine = None  # of `support_evm`; a subclass names it

    def __init__(self):
        super().__init__()
        code = bytes.fromhex(shipped()["bytecode"])
        self.address = self.machine.send(0, "", code).address
        self.first = {}

    @rule(root=st.sampled_from(ROOTS), by=st.integers(0, 3))
    def somebody_stamps(self, root, by):
        done = self.machine.send(by, self.address, call("stamp(bytes32)", root))

        assert done.ok is (any(root) and root not in self.first)
        if done.ok:
            self.first[root] = self.machine.now
            assert abs(done.gas - GAS) <= 400  # bytes of the root that are zero

    @rule(seconds=st.integers(1, 10**6))
    def time_passes(self, seconds):
        self.machine.wait(seconds)

    @invariant()
    def each_root_has_its_first_time_and_no_other_has_any(self):
        for root in ROOTS:
            said = self.machine.ask(self.address, call("at(bytes32)", root))
            assert int.from_bytes(said, "big") == self.first.get(root, 0)


@pytest.mark.parametrize(("name", "examples"), [("py-evm", 8), ("anvil", 2)])
def test_a_root_has_one_time_whoever_sends_what(name, examples):
    def walk(kept):
        class Here(Stamped):
            machine = kept

        found = settings(max_examples=examples, stateful_step_count=10, deadline=None)
        run_state_machine_as_test(Here, settings=found)

    if name == "py-evm":
        walk(PyEvm())
        return
    with anvil() as node:
        walk(node)
