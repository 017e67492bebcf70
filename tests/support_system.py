"""Real processes for tests: the command line, and a network whose parties can die."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hetao.cli import main
from hetao.errors import NotApproved
from hetao.federation.clock import utc_now
from hetao.federation.pilot import Pilot, PilotSite, write_pilot
from hetao.federation.processes import command, environment
from hetao.federation.propose import draft_permit
from hetao.federation.reviewing import cast_vote
from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, root
from hetao.ledger.note import parse_checkpoint
from hetao.ledger.tiles import unpack
from hetao.permit import read_directory, read_identity, sign_notice, write_bundle
from hetao.study.writing import write_study
from support_federation import write_patients
from support_forks import forks

LAX = """\
reason = "Public research data, for a test"
[minimum]
people = 1
cell = 1
events = 1
share = 100.0
leverage = 1.0
sites = 1
"""
ERROR = re.compile(r"hetao: error: (HT-[0-9]{3}): .")
SIDES = ("HK", "SZ")


# --- the command line -----------------------------------------------------------------
@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Return the code of the one error line; a traceback or a second one fails."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if "hetao: error:" in line]
        assert len(lines) == 1, self.err
        found = ERROR.match(lines[0])
        assert found, lines[0]
        return found[1]

    @property
    def json(self):
        return json.loads(self.out)


def hetao(*words, seconds=120):
    """Run a command as a process of its own; check that nothing of it goes on."""
    process = subprocess.Popen(
        command(*words),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = process.communicate(timeout=seconds)
    wait_until(lambda: not pids_of_session(process.pid), 10)
    return Said(process.returncode, out, err)


def called(capsys, *words):
    """Call a command in this process and return what it left: for all that is quick."""
    capsys.readouterr()
    mask = os.umask(0o022)
    try:
        code = main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    finally:
        os.umask(mask)
    out, err = capsys.readouterr()
    return Said(code, out, err)


def start(*words, session=False):
    """Start a command and return the process; its standard error is a pipe."""
    return subprocess.Popen(
        command(*words),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=session,
    )


def read_until(process, words):
    """Read what a process says until a line holds `words`, and return the lines."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"{words!r} was never said: {lines}")


def pids_of_session(leader):
    """Return the live processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if session == str(leader) and state != "Z":
            found.append(int(path.parent.name))
    return found


def wait_until(is_so, seconds=30.0):
    """Return once a condition holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def estimates(out):
    """Return a run's findings with their every bit, without what differs by run."""
    results = json.loads((out / "findings.json").read_text("utf-8"))
    return json.dumps(results["findings"], sort_keys=True)


# --- data -----------------------------------------------------------------------------
def people(count=400, seed=11):
    """Return columns of made-up people of three hospitals, every outcome in them."""
    draw = np.random.default_rng(seed)
    n = 3 * count
    age = draw.normal(60, 10, n).round(2)
    bmi = draw.normal(26, 4, n).round(2)
    man = draw.random(n) < 0.5
    score = (age - 60) / 15 + 0.4 * man + (bmi - 26) / 10
    days = draw.integers(100, 1000, n)
    return {
        "hospital": np.repeat(["North", "East", "South"], count),
        "age": age,
        "sex": np.where(man, "m", "f"),
        "bmi": bmi,
        "ill": (draw.random(n) < 1 / (1 + np.exp(-score))).astype(int),
        "days": days,
        "visits": draw.poisson(np.exp(0.2 * score) * days / 400),
        "time": np.ceil(draw.exponential(np.exp(-score / 2)) * 8).clip(1, 20),
        "dead": (draw.random(n) < 0.7).astype(int),
        "group": np.array(["a", "b", "c"])[draw.integers(0, 3, n)],
    }


# --- a network ------------------------------------------------------------------------
def write_network(folder, study, policies=None):
    """Write a pilot over made-up patients; return it with an approved permit."""
    patients = write_patients(folder / "patients.csv", study.sites)
    sites = {
        name: PilotSite(
            SIDES[number % 2],
            "a hospital of a test",
            f'[site]\nname = "{name}"\n\n[flat]\nfile = "{patients}"\ngenes = []\n'
            f'split_column = "hospital"\nsplit_value = "{name}"\n',
            (policies or {}).get(name, ""),
        )
        for number, name in enumerate(study.sites)
    }
    return write_pilot(folder / "network", sites, utc_now())


def write_asked(folder, pilot, study):
    """Write a study and its approved permit; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "study.toml", folder / "permit.json"
    write_study(paths[0], study)
    bundle = draft_permit(study, read_directory(pilot.parties), utc_now(), days=1)
    for key in pilot.approvers.values():
        bundle = sign_notice(bundle, read_identity(key), "approve", utc_now())
    write_bundle(paths[1], bundle)
    return paths


def _party(words, said):
    """Be a party: the body of a process forked from one that has loaded everything."""
    with Path(said).open("ab", 0) as file:
        os.dup2(file.fileno(), 2)
    sys.exit(main(words))


class Network:
    """Hubs and sites as processes, each of which can be killed and started again."""

    def __init__(self, pilot: Pilot) -> None:
        self.pilot = pilot
        self.words = {n: ["hub", "serve", str(p)] for n, p in pilot.hubs.items()}
        self.words |= {n: ["site", "serve", str(p)] for n, p in pilot.sites.items()}
        self._processes = {}
        self._coordinators = []
        for name in self.words:
            self.start(name)

    def start(self, name):
        process = forks().Process(
            target=_party, args=(self.words[name], str(self.said(name))), name=name
        )
        process.start()
        self._processes[name] = process

    def said(self, name):
        return self.folder(name) / "said.txt"

    def pid(self, name):
        return self._processes[name].pid

    def kill(self, name):
        """Kill -9, and check that it did die of that."""
        process = self._processes[name]
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL

    def close(self):
        for process in self._processes.values():
            if process.is_alive():
                os.kill(process.pid, signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            process.join(10)
            process.kill()
            process.join()
            process.close()
        for coordinator in self._coordinators:
            coordinator.kill()
            coordinator.communicate()

    # --- runs -------------------------------------------------------------------------
    def run(self, asked, out, *more, wait=60):
        """Start `hetao run` as a real process; its checkers accept whatever it finds.

        With `wait=0` nobody looks, and it ends with nothing shown.
        """
        study, permit = asked
        words = ["run", study, "--network", self.pilot.network, "--wait", wait]
        started = start(*words, "--permit", permit, "--out", out, *more)
        self._coordinators.append(started)
        if wait:
            checking = (started, out / "review")
            threading.Thread(target=self._check, args=checking, daemon=True).start()
        return started

    def _check(self, coordinator, folder):
        """Vote once there is something to vote about."""
        while coordinator.poll() is None:
            if (folder / "package.json").exists():
                self.vote(folder)
                return
            time.sleep(0.05)

    def vote(self, folder, said=("accept", "")):
        for key in self.pilot.checkers.values():
            with contextlib.suppress(NotApproved):  # a run before this one did
                cast_vote(folder, read_identity(key), said, utc_now())

    def finish(self, process, code=0):
        """Wait until a run ends, and return what else it said."""
        _, err = process.communicate(timeout=90)
        assert process.returncode == code, err
        return err

    # --- logs -------------------------------------------------------------------------
    def folder(self, name):
        if name == "coordinator":
            return self.pilot.root / "coordinator"
        return (self.pilot.hubs | self.pilot.sites)[name].parent

    def entries(self, name):
        """Return the log of a party as its file holds it, opened by nobody else."""
        path = self.folder(name) / "state" / "log.sqlite"
        if not path.exists():
            return []
        with sqlite3.connect(path, timeout=30) as log:
            rows = log.execute("SELECT bytes FROM entries ORDER BY start").fetchall()
        log.close()
        return [entry for (run,) in rows for entry in unpack(run)]

    def every_log(self):
        """Return the entries of every party's log."""
        return {name: self.entries(name) for name in (*self.words, "coordinator")}

    def check_logs(self, before):
        """Check that no log lost or changed an entry, and that each proves itself."""
        now = self.every_log()
        for name, entries in before.items():
            assert now[name][: len(entries)] == entries, f"{name} lost an entry"
            key = read_identity(self.folder(name) / "keys" / f"{name}.sign.pem")
            log = Log.open(
                self.folder(name) / "state" / "log.sqlite", name, key.signing_key
            )
            try:
                signed = parse_checkpoint(log.checkpoint().split("\n\n")[0] + "\n")
            finally:
                log.close()
            assert signed.size >= len(now[name])
            held = self.entries(name)[: signed.size]
            assert signed.root == root([leaf_hash(entry) for entry in held])
