"""Worker processes that house many sites each, so that sites share this machine.

One Python process works on one thing at a time however many processors there are. The
sites of a real network are processes of their own; here each worker is one, and holds
the keys, journals and logs of the sites that live in it. Envelopes go to it and come
back through a pipe.
"""

import functools
import multiprocessing
import os
import queue
import resource
import threading
import time
from collections import deque
from concurrent.futures import Future

from hetao.federation.embedded import Housing
from hetao.federation.site import Site

TICKS = os.sysconf("SC_CLK_TCK")


class Worker:
    """One process with the sites that live in it."""

    def __init__(self, setups, clock):
        """Start it; it inherits what it needs by fork, keys are never written."""
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, setups, clock), daemon=True
        )
        self._process.start()
        other.close()
        self._lock, self._asked, self._queue = threading.Lock(), deque(), queue.Queue()
        for task in (self._write, self._read):
            threading.Thread(target=task, daemon=True).start()

    def ask(self, name, method, *arguments):
        """Have a site do something; return what it returned."""
        answer = Future()
        with self._lock:
            self._asked.append(answer)
            self._queue.put((True, name, method, arguments))
        return answer.result()

    def tell(self, name, method, *arguments):
        """Have a site do something in its turn, and go on."""
        with self._lock:
            self._queue.put((False, name, method, arguments))

    def cpu(self):
        """Return the seconds of processor time that it has taken so far."""
        with open(f"/proc/{self._process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def end(self):
        """End it."""
        self._queue.put(None)
        self._process.join()

    def _write(self):
        while (message := self._queue.get()) is not None:
            self._pipe.send(message)
        self._pipe.send(None)

    def _read(self):
        while self._process.is_alive() or self._pipe.poll():
            try:
                fault, answer = self._pipe.recv()
            except EOFError:
                break
            waiting = self._asked.popleft()
            if fault is None:
                waiting.set_result(answer)
            else:
                waiting.set_exception(fault)
        for waiting in self._asked:
            waiting.set_exception(RuntimeError("a worker process has died"))


class HousedSite:
    """What stands for a site that lives in a worker."""

    def __init__(self, worker, name):
        """Begin at the beginning of the hub's line: the site is a fresh one."""
        self.name, self._worker, self._places = name, worker, {}

    @property
    def answers(self):
        """Return what keeps the place in the hub's line."""
        return self

    def cursor(self, hub):
        """Return the place in the hub's line up to which envelopes are answered."""
        return self._places.get(hub, ("", 0))

    def advance(self, hub, epoch, seq):
        """Have the site remember it."""
        self._places[hub] = (epoch, seq)
        self._worker.tell(self.name, "advance", hub, epoch, seq)

    def handle(self, data):
        """Return what the site sends for an envelope."""
        return self._worker.ask(self.name, "handle", data)

    def give_up(self, data):
        """Return the site's refusal."""
        return self._worker.ask(self.name, "give_up", data)

    def close(self):
        """Close the site's journal and log."""
        self._worker.ask(self.name, "close")


class Workers:
    """As many workers as there are processors, each with its part of the people."""

    def __init__(self, people):
        """House sites of so many people each, name → people."""
        self._people, self._workers = people, []

    @property
    def housing(self):
        """Return what `run_embedded` asks for."""
        return Housing(self._open, threads=16 * os.cpu_count())

    def cpu(self):
        """Return the processor time of all workers so far, in seconds."""
        return sum(worker.cpu() for worker in self._workers)

    def end(self):
        """Return the seconds in cohorts and in all, and the peak bytes; end them."""
        spent, peak = {"cohort": 0.0, "all": 0.0}, 0
        for worker in self._workers:
            found, most = worker.ask("", "spent")
            spent = {name: spent[name] + found[name] for name in spent}
            peak += most
            worker.end()
        return spent, peak

    def _open(self, setups, clock):
        loads = [[0, []] for _ in range(os.cpu_count())]
        for setup in sorted(setups, key=lambda s: -self._people[s.identity.name]):
            least = min(loads, key=lambda load: load[0])
            least[0] += self._people[setup.identity.name]
            least[1].append(setup)
        housed = {}
        for _, part in loads:
            if part:
                worker = Worker(part, clock)
                self._workers.append(worker)
                for setup in part:
                    name = setup.identity.name
                    housed[name] = HousedSite(worker, name)
        return [housed[setup.identity.name] for setup in setups]


def _serve(pipe, setups, clock):
    """Answer for the sites of one worker, one question after another."""
    sites = {setup.identity.name: Site(setup, clock) for setup in setups}
    spent = _watch()
    while (message := pipe.recv()) is not None:
        wants_answer, name, method, arguments = message
        if method == "spent":
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            pipe.send((None, (spent, most)))
            continue
        try:
            does = sites[name].answers if method == "advance" else sites[name]
            answer = None, getattr(does, method)(*arguments)
        except Exception as fault:  # noqa: BLE001 - told to whoever asked
            answer = fault, None
        if wants_answer:
            pipe.send(answer)


def _watch():
    """Tell how long this process spends on people, and on people and covariates."""
    from hetao.cohort import curated
    from hetao.federation import site

    spent = {"cohort": 0.0, "all": 0.0}

    def timed(name, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - start

        return call

    curated.make_people = timed("cohort", curated.make_people)
    site.cohorts.build = timed("all", site.cohorts.build)
    return spent
