"""A party killed outright at any step changes no bit of the answer, and loses no entry.

Every party is a process of its own, over mutual TLS; `kill -9` is the only way to die.
"""

import os
import random
import signal
import time

import pytest

from support_federation import COUNTS, LOGISTIC, toy_study
from support_system import estimates, read_until, write_asked

pytestmark = pytest.mark.xdist_group("system")


def test_a_site_killed_before_and_within_a_round_goes_on(network, run_again, tmp_path):
    network.kill("a")
    coordinator = network.run(network.asked, tmp_path)
    time.sleep(1.0)
    network.start("a")
    read_until(coordinator, "model: round 2")
    network.kill("b")
    network.start("b")
    read_until(coordinator, "more: round 1")
    network.kill("c")
    network.start("c")

    network.finish(coordinator)

    run_again(tmp_path)


def test_each_hub_killed_in_mid_run_goes_on(network, run_again, tmp_path):
    coordinator = network.run(network.asked, tmp_path)
    for hub, moment in (("hub-hk", "model: round 3"), ("hub-sz", "last: round 2")):
        read_until(coordinator, moment)
        network.kill(hub)
        network.start(hub)

    network.finish(coordinator)

    run_again(tmp_path)


def test_a_killed_coordinator_goes_on_where_it_was(network, run_again, tmp_path):
    for moment in ("attrition: round 1", "again: round 2", "last: round 4"):
        coordinator = network.run(network.asked, tmp_path)
        read_until(coordinator, moment)
        coordinator.kill()
        coordinator.wait()
        assert not list(tmp_path.iterdir())

    said = network.finish(network.run(network.asked, tmp_path))

    assert "resuming the run that was interrupted" in said
    run_again(tmp_path)


def test_any_party_killed_at_any_time_loses_nothing(network, run_again, tmp_path):
    draw = random.Random(20261122)  # noqa: S311 - times of death, to be drawn alike
    names = [*network.words, "coordinator"]
    coordinator = network.run(network.asked, tmp_path)
    read_until(coordinator, "round 1")
    for name in draw.sample(names, 4):
        time.sleep(draw.uniform(0.05, 0.4))
        if name == "coordinator":
            coordinator.kill()
            coordinator.wait()
            coordinator = network.run(network.asked, tmp_path)
        else:
            network.kill(name)
            network.start(name)

    network.finish(coordinator)

    run_again(tmp_path)


def test_a_site_that_hangs_is_named_at_the_deadline_and_the_run_resumes(
    network, tmp_path
):
    study = toy_study((COUNTS, LOGISTIC), deadline_seconds=3)
    asked = write_asked(tmp_path / "asked", network.pilot, study)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    network.finish(network.run(asked, undisturbed))
    coordinator = network.run(asked, out)
    read_until(coordinator, "attrition: round 1")
    os.kill(network.pid("c"), signal.SIGSTOP)

    said = network.finish(coordinator, code=5)

    assert "hetao: error: HT-500: c did not answer" in said
    assert "Traceback" not in said
    assert not out.exists()
    os.kill(network.pid("c"), signal.SIGCONT)
    said = network.finish(network.run(asked, out))
    assert "resuming" in said
    assert estimates(out) == estimates(undisturbed)
