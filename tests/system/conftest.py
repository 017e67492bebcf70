"""Networks of real processes, shared: each takes seconds to start."""

from dataclasses import replace

import pytest

from hetao.cli import main
from support_federation import COUNTS, LOGISTIC, toy_study
from support_system import Network, estimates, write_asked, write_network

LINEAR = replace(LOGISTIC, name="line", method="linear", outcome="age", terms=("1",))
ANALYSES = (
    COUNTS,
    LOGISTIC,
    replace(LOGISTIC, name="again", terms=("1", "sex", "age/10")),
    LINEAR,
    replace(LOGISTIC, name="more", terms=("1", "sex", "age", "age:sex")),
    replace(LOGISTIC, name="last", terms=("1", "log(age+1)", "sex")),
)


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Return a running network of three sites and the study that they all know."""
    folder = tmp_path_factory.mktemp("network")
    study = toy_study(ANALYSES, deadline_seconds=40)
    made = Network(write_network(folder, study))
    made.asked = write_asked(folder / "asked", made.pilot, study)
    yield made
    made.close()


@pytest.fixture(scope="session")
def finished(network, tmp_path_factory):
    """Return the folder of a run in which nothing went wrong."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    network.finish(network.run(network.asked, out))
    return out


@pytest.fixture(scope="session")
def undisturbed(finished):
    """Return the answer of a run in which nothing goes wrong."""
    return estimates(finished)


@pytest.fixture
def run_again(network, undisturbed, tmp_path):
    """Return a check: the run's answer is the undisturbed one, and all of it holds."""
    before = network.every_log()

    def check(out):
        assert estimates(out) == undisturbed
        certificate, parties = out / "certificate.json", network.pilot.parties
        words = ["verify", str(certificate), "--trust", str(parties)]
        assert main([*words, "--policy", "hubs"]) == 0
        network.check_logs(before)

    return check
