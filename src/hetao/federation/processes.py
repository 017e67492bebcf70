"""Hubs, sites and the coordinator of one machine, each a process of its own."""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hetao.errors import HetaoError, Unreachable
from hetao.federation.clock import utc_now
from hetao.federation.parents import end_with_parent
from hetao.federation.pilot import HOST, Pilot, PilotWitness
from hetao.federation.reviewing import WAITS, cast_vote
from hetao.permit import read_identity

STOP_SECONDS = 10.0
LOOK_SECONDS = 0.5  # how soon a party's death is noticed
START_SECONDS = 60.0  # a witness takes one, on a machine that does little else
ERROR = "hetao: error: "
REVIEW_SECONDS = 600
ACCEPT = ("accept", "")


def command(*words: str | Path) -> list[str]:
    """Return the command line of `hetao` under this very interpreter."""
    return [sys.executable, "-m", "hetao.cli", *map(str, words)]


def environment() -> Mapping[str, str]:
    """Return the environment of a party's process: one thread for linear algebra."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
    return {**os.environ, **threads, "PYTHONUNBUFFERED": "1"}


class Process:
    """One started process, and the end of what it said."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        """Start it; its standard error goes to a temporary file."""
        self.name = name
        self._said = tempfile.TemporaryFile(mode="w+b")  # noqa: SIM115 - until stop()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env=environment(),
            preexec_fn=end_with_parent,  # noqa: PLW1509 - this program forks no thread
        )

    @property
    def pid(self) -> int:
        """Return the operating system's number of the process."""
        return self._process.pid

    def check(self) -> None:
        """Return quietly while it runs.

        Raises:
            HetaoError: it has ended; its own sentence and exit code, if it gave one.
        """
        status = self._process.poll()
        if status is None:
            return
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        if status > 0 and any(line.startswith(ERROR) for line in lines):
            raise told(status, lines)
        last = lines[-1][:500] if lines else "without a word"
        raise Unreachable(f"{self.name} stopped: {last}")

    def stop(self) -> None:
        """End it and wait until it has."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._said.close()


@contextlib.contextmanager
def running(pilot: Pilot) -> Iterator[tuple[Process, ...]]:
    """Run both hubs and every site of a pilot as processes while the block runs.

    So is its witness, where it has one; the block runs when that one listens, for the
    coordinator asks it once, before the first thing that its log signs.

    Raises:
        HetaoError: the witness ended, or does not begin to listen.
    """
    started: list[Process] = []
    try:
        if pilot.witness:
            started.append(_witness(pilot.witness))
        for name, path in pilot.hubs.items():
            started.append(Process(name, command("hub", "serve", path)))
        sites = list(pilot.sites.values())
        # One command for all sites of this machine: each becomes a process of its
        # own, forked after the libraries are loaded once.
        started.append(Process("the sites", command("site", "serve", *sites)))
        if pilot.witness:
            _wait_for(started[0], pilot.witness.port)
        yield tuple(started)
    finally:
        for process in started:
            process.stop()


def _witness(witness: PilotWitness) -> Process:
    words = ("witness", "serve", witness.folder, "--host", HOST)
    return Process("the witness", command(*words, "--port", str(witness.port)))


def _wait_for(process: Process, port: int) -> None:
    """Return when a process listens at a port of this machine.

    Raises:
        HetaoError: it has ended, or does not listen.
    """
    end = time.monotonic() + START_SECONDS
    while True:
        process.check()
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), LOOK_SECONDS).close()
            return
        if time.monotonic() > end:
            raise Unreachable(f"{process.name} does not listen at {HOST}:{port}")
        time.sleep(LOOK_SECONDS / 10)


def run_study(
    study: Path, permit: Path, pilot: Pilot, out: Path, others: Sequence[Process]
) -> None:
    """Run the coordinator in a process of its own and wait for its results.

    The pilot's output checkers accept whatever was found: nobody looks.

    Args:
        study: `study.toml`.
        permit: the approved permit.
        pilot: the network.
        out: where results go.
        others: processes that must stay alive meanwhile.

    Raises:
        HetaoError: with the coordinator's own sentence and exit code.
    """
    words = command("run", study, "--network", pilot.network, "--permit", permit)
    words += ["--out", str(out), "--json"]  # the caller says where results are
    words += ["--wait", str(REVIEW_SECONDS)]

    def heard(line: str) -> None:
        if WAITS in line:
            for key in pilot.checkers.values():
                cast_vote(out / "review", read_identity(key), ACCEPT, utc_now())

    with subprocess.Popen(  # noqa: S603 - our own interpreter
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - this program forks no thread
    ) as process:
        try:
            lines = _follow(process, others, heard)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise told(process.returncode, lines)


def _follow(
    process: "subprocess.Popen[str]",
    others: Sequence[Process],
    heard: Callable[[str], None],
) -> list[str]:
    """Pass on what the coordinator says; stop if a party's process has died."""
    lines: list[str] = []
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(
        target=_read, args=(process.stderr or (), said), daemon=True
    )
    reader.start()
    while True:
        try:
            line = said.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            for other in others:
                other.check()
            continue
        if not line:
            break
        lines.append(line.rstrip())
        heard(line)
        if not line.startswith(ERROR):  # the caller says it once, for both
            sys.stderr.write(f"  {line}")
    process.wait()
    return lines


def _read(source: Iterable[str], said: "queue.SimpleQueue[str]") -> None:
    for line in source:
        said.put(line)
    said.put("")


def told(exit_code: int, lines: Sequence[str]) -> "Told":
    """Return another process's error as one of ours, its sentence and code kept."""
    said = [line for line in lines if line.startswith(ERROR)]
    text = said[-1].removeprefix(ERROR) if said else "it gave no reason"
    return Told(exit_code, text)


class Told(HetaoError):
    """An error that another process of ours reported, in its own words."""

    def __init__(self, status: int, text: str) -> None:
        """Keep the other process's exit status and sentence."""
        super().__init__(text)
        self.status = status

    def __str__(self) -> str:
        """Return the sentence; it already bears its code."""
        return self.what
