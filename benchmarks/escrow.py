"""The escrow under random walks on two machines, and what its calls cost.

    python benchmarks/escrow.py 1000 50

The first number is of walks on py-evm, the second of walks on a real node; each has up
to 40 steps. A walk that does not end as the model says ends this with the shortest that
does so.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from support_escrow import Escrowed, Play
from support_evm import PyEvm, anvil

STEPS = 40


def main(walks, node_walks):
    with anvil() as node:
        print_gas(PyEvm())
        print_gas(node)
        for name, machine, count in (
            ("py-evm", PyEvm, walks),
            ("anvil", lambda: node, node_walks),
        ):
            started = time.process_time()
            walk(machine, count)
            print(f"{name}: {count} walks of {STEPS} steps, nothing lost and nothing "
                  f"paid twice; {time.process_time() - started:.0f} CPU s")  # fmt: skip


def walk(machine, count):
    class Here(Escrowed):
        def __init__(self):
            # An embedded machine for each: one grows slower with every contract on it.
            self.machine = machine()
            super().__init__()

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=count,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )


def print_gas(machine):
    for signers, quorum in (((4, 5, 6), 2), (tuple(range(4, 12)), 8)):
        play = Play(machine, signers=signers, quorum=quorum)
        play.approve(play.terms.total)
        funded = play.fund(0, 1)
        released = play.release(0, signers[:quorum])
        if not (funded.ok and released.ok):
            sys.exit("the escrow does not pay")
        print(f"{type(machine).__name__}: release by {quorum} of {len(signers)}: "
              f"{released.gas} gas; funding two orders after an approval: "
              f"{funded.gas}")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or (1000, 50)))
