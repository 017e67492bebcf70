"""What cannot go on stops soon, says why in one line, and leaves nothing behind."""

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hetao.errors import HetaoError
from hetao.federation.pilot import HOST, PilotWitness
from hetao.federation.processes import run_study, running
from support_federation import COUNTS, toy_study
from support_system import (
    called,
    people,
    pids_of_session,
    read_until,
    start,
    wait_until,
    write_asked,
    write_network,
)

pytestmark = pytest.mark.xdist_group("system")


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """Return a network of which nothing runs, and a study with a short deadline."""
    folder = tmp_path_factory.mktemp("still")
    study = toy_study((COUNTS,), deadline_seconds=1)
    made = write_network(folder, study)
    return made, write_asked(folder / "asked", made, study)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "people.csv"
    pd.DataFrame(people()).to_csv(path, index=False)
    return path


def test_a_hub_that_is_away_is_named_within_the_deadline(pilot, tmp_path, capsys):
    network, (study, permit) = pilot

    words = ["run", study, "--network", network.network, "--permit", permit]
    said = called(capsys, *words, "--out", tmp_path / "out")

    assert (said.code, said.error) == (5, "HT-500")
    assert "the hub hub-" in said.err
    assert not (tmp_path / "out").exists()


def test_a_port_in_use_is_named(pilot, capsys):
    network, _ = pilot
    path = network.hubs["hub-hk"]
    port = int(path.read_text().partition("port = ")[2].split()[0])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, port))
        other.listen()

        said = called(capsys, "hub", "serve", path)

    assert (said.code, said.error) == (5, "HT-500")
    assert f"hub-hk cannot listen at {HOST}:{port}" in said.err


def test_a_party_that_cannot_start_ends_the_run_at_once(tmp_path):
    study = toy_study((COUNTS,), deadline_seconds=60)
    network = write_network(tmp_path, study)
    asked = write_asked(tmp_path / "asked", network, study)
    (network.sites["b"].parent / "keys" / "b.tls.key").write_text("no key")

    with running(network) as others, pytest.raises(HetaoError) as caught:
        run_study(*asked, network, tmp_path / "out", others)

    assert str(caught.value).startswith("HT-103: the TLS files of keys/b.tls.pem")
    assert caught.value.status == 4
    assert not (tmp_path / "out").exists()


def test_a_witness_that_cannot_start_is_told_in_its_own_words(pilot, tmp_path):
    """And whatever was started beside it has ended, or its ports were not free."""
    network, _ = pilot
    nobody = PilotWitness(tmp_path / "nobody", "", 1)

    with pytest.raises(HetaoError) as caught, running(replace(network, witness=nobody)):
        pytest.fail("the block runs without the witness")

    assert "nobody holds no witness" in str(caught.value)
    assert caught.value.status == 4


def fit_words(table):
    words = ["fit", "logistic", "ill ~ age + sex + bmi", "--data", table]
    return [*words, "--split-by", "hospital"]


def test_ctrl_c_in_mid_run_ends_every_process(table, tmp_path):
    process = start(*fit_words(table), "--out", tmp_path / "out", session=True)
    read_until(process, "fit: round 1")
    assert len(pids_of_session(process.pid)) >= 6

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does

    _, rest = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert rest.rstrip().endswith("hetao: interrupted")
    wait_until(lambda: not pids_of_session(process.pid), 10)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_in_a_demonstration_ends_its_witness_too(tmp_path):
    process = start("demo", "--out", tmp_path / "out", session=True)
    read_until(process, "attrition: round 1")
    words = [Path(f"/proc/{pid}/cmdline") for pid in pids_of_session(process.pid)]
    assert sum(b"\0witness\0serve\0" in one.read_bytes() for one in words) == 1

    os.killpg(process.pid, signal.SIGINT)

    process.communicate(timeout=40)
    assert process.returncode == 130
    wait_until(lambda: not pids_of_session(process.pid), 10)


def test_a_launcher_killed_outright_leaves_no_process_behind(table):
    process = start(*fit_words(table), session=True)
    read_until(process, "fit: round 1")

    process.kill()

    process.communicate(timeout=40)
    wait_until(lambda: not pids_of_session(process.pid), 20)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("when", [3, 4, 5])  # processes: launcher, two of Python's, …
def test_sites_that_are_served_together_end_with_their_launcher(pilot, how, when):
    """Also one that is being started in the very moment, which nobody has yet."""
    network, _ = pilot
    process = start("site", "serve", *network.sites.values(), session=True)
    wait_until(lambda: len(pids_of_session(process.pid)) >= when, 30)

    process.send_signal(how)

    process.communicate(timeout=40)
    wait_until(lambda: not pids_of_session(process.pid), 20)
