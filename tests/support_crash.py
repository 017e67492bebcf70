"""A log whose machine loses power, again and again: what it told must be there.

`tests/attack/test_log_power.py` runs a slice, `benchmarks/crash.py` the whole.
"""

import base64
import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import HetaoError
from hetao.ledger.log import Log
from hetao.ledger.note import Checkpoint, parse_checkpoint, verify_note
from support_disk import Disk

ORIGIN = "log.example.org/power"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
FILES = ("study.log", "study.log-wal", "study.log.head", "study.log.head-wal")
ROUNDS = 8  # power cuts in the life of one log
_numbers = itertools.count()


@dataclass
class Toll:
    """What power cuts did.

    Attributes:
        cuts: how many power cuts, kills or faults there were.
        hit: those that stopped an append or an opening; kills of who had told of one.
        acknowledged: appends that returned.
        lost: logs that had less than was acknowledged, or did not open for it.
        forked: logs in which an acknowledged checkpoint was no longer true.
        damaged: logs that did not open, or in which fsck found something.
    """

    cuts: int = 0
    hit: int = 0
    acknowledged: int = 0
    lost: int = 0
    forked: int = 0
    damaged: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def harm(self):
        return self.lost + self.forked + self.damaged


def entries(count):
    return tuple(b"entry %d" % next(_numbers) for _ in range(count))


def says(log, first=0, entries=()):
    note = verify_note(log.checkpoint(), ORIGIN, KEY.public_key())
    return Told(parse_checkpoint(note), first, entries)


def append(log, count):
    """Append so many new entries and return what the log told."""
    new = entries(count)
    return says(log, log.append(new), new)


@dataclass(frozen=True)
class Told:
    """What a log told: a checkpoint, and where it put entries."""

    checkpoint: Checkpoint
    first: int = 0
    entries: tuple[bytes, ...] = ()


def check(folder, told, toll):
    """Count what a log in a folder, opened by SQLite as it is, has lost."""
    largest = max((one.checkpoint.size for one in told), default=0)
    try:
        with Log.open(folder / "study.log", ORIGIN, KEY) as log:
            if log.size < largest:
                toll.lost += 1
                return
            for one in told[-20:]:
                size, look = one.checkpoint.size, log._kept.look(log.size)
                stop = one.first + len(one.entries)
                if (
                    look.root(0, size) != one.checkpoint.root
                    or (*log.entries(one.first, stop),) != one.entries
                ):
                    toll.forked += 1
                    return
            faults = list(log.faults())
            toll.damaged += bool(faults)
            toll.said += faults
    except (HetaoError, sqlite3.Error) as error:
        toll.damaged += 1
        toll.said.append(str(error))


@contextlib.contextmanager
def a_disk(kind=Disk):
    disk = kind(f"disk{next(_numbers)}")
    try:
        yield disk
    finally:
        disk.unregister()


def run_until_the_cut(folder, choose, told, normal):
    """Append until power fails; return the disk, and whether that stopped an append."""
    with a_disk() as disk:
        disk.cut_at = choose.randint(1, 80)
        log, pages = None, choose.choice((4, 1000))
        try:
            log = Log.open(
                folder / "study.log",
                ORIGIN,
                KEY,
                opener=lambda path: disk.connect(path, normal, pages),
            )
            for _ in range(choose.randint(1, 12)):
                told.append(append(log, choose.choice((1, 1, 1, 3, 256, 300))))
        except sqlite3.Error:
            if not disk.is_off:
                raise
        hit, disk.is_off = disk.is_off, True
        if log is not None:
            with contextlib.suppress(apsw.Error, sqlite3.Error):
                log.close()
    return disk, hit


def cut_power(seed, cuts, folder: Path, *, normal=False):
    """Return what so many power cuts did to logs with synchronous=FULL, or NORMAL."""
    choose, toll = random.Random(seed), Toll()  # noqa: S311 - repeatable
    while toll.cuts < cuts:
        here = folder / f"life{toll.cuts}"
        here.mkdir()
        Log.open(here / "study.log", ORIGIN, KEY).close()
        told = []
        for number in range(ROUNDS):
            before = len(told)
            disk, hit = run_until_the_cut(here, choose, told, normal)
            toll.cuts, toll.hit = toll.cuts + 1, toll.hit + hit
            toll.acknowledged += len(told) - before
            after, harm = folder / f"{here.name}-{number}", toll.harm
            after.mkdir()
            disk.after_the_cut(choose, after, [here / name for name in FILES])
            copy = folder / "copy"
            shutil.copytree(after, copy)
            check(copy, told, toll)
            shutil.rmtree(copy)
            shutil.rmtree(here)
            here = after
            if toll.harm > harm or toll.cuts == cuts:
                break
        shutil.rmtree(here)
    return toll


# --- Kills --------------------------------------------------------------------------
READY = b"ready\n"
THREADS = 3  # that append at the same time in the process that is killed


def _append_until_killed(path, seed, pipe):
    """Append from several threads for ever; tell of each append that returned."""
    telling = threading.Lock()

    def work(log, choose):
        while True:
            new = tuple(choose.randbytes(20) for _ in range(choose.choice((1, 1, 300))))
            told = says(log, log.append(new), new)
            line = f"{told.checkpoint.size} {told.checkpoint.root.hex()} {told.first} "
            line += base64.b64encode(b"".join(new)).decode() + "\n"
            with telling:
                os.write(pipe, line.encode())

    with Log.open(path, ORIGIN, KEY) as log:
        os.write(pipe, READY)  # before any thread tells of an append
        for number in range(THREADS):
            choose = random.Random(f"{seed}/{number}")  # noqa: S311
            threading.Thread(target=work, args=(log, choose), daemon=True).start()
        while True:
            time.sleep(60)


def kill_once(path, seed, lines, seconds):
    """Return what a process told of its appends before it was killed.

    Args:
        path: the log's file.
        seed: of what is appended.
        lines: how many lines of its telling are waited for: READY, then appends.
        seconds: and how long after that, so that it is in the midst of something.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        try:
            _append_until_killed(path, seed, writes)
        finally:
            sys.stderr.flush()
            os._exit(1)
    os.close(writes)
    with open(reads, "rb") as pipe:
        data = b"".join(pipe.readline() for _ in range(lines))
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        data += pipe.read()  # to its end, which is the process's
    data = data.removeprefix(READY)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the process ended by itself"
    told = []
    for line in data.decode().split("\n")[:-1]:
        size, root, first, packed = line.split(" ")
        raw = base64.b64decode(packed)
        new = tuple(raw[at : at + 20] for at in range(0, len(raw), 20))
        checkpoint = Checkpoint(ORIGIN, int(size), bytes.fromhex(root))
        told.append(Told(checkpoint, int(first), new))
    return told


def kill(seed, kills, folder: Path):
    """Return what so many kills did to logs, each killed many times in its life."""
    choose, toll = random.Random(seed), Toll()  # noqa: S311 - repeatable
    while toll.cuts < kills:
        here = folder / f"killed{toll.cuts}"
        here.mkdir()
        told = []
        for _ in range(50):
            lines, seconds = choose.randrange(7), choose.uniform(0, 0.01)
            new = kill_once(here / "study.log", toll.cuts, lines, seconds)
            toll.cuts, toll.hit = toll.cuts + 1, toll.hit + bool(new)
            toll.acknowledged += len(new)
            told += new
            harm = toll.harm
            check(here, told, toll)
            if toll.harm > harm or toll.cuts == kills:
                break
        shutil.rmtree(here)
    return toll


# --- Each operation of the disk that fails ------------------------------------------
def fail_once(base, folder, how, number, then):
    """Let one operation of an opening or an append fail; return which, and the harm.

    Args:
        base: a folder with a log; copied, and never written.
        folder: for the copies.
        how: as `Disk.how`.
        number: which operation, from 1.
        then: "goes on" with the log as it is, is "killed" and opened anew, or is "cut"
            off from power as soon as it was opened anew.

    Returns:
        What failed, "" when there are fewer operations; and a `Toll`.
    """
    here, after, toll = folder / "here", folder / "after", Toll()
    shutil.copytree(base, here)
    after.mkdir()
    told, opened = [], []
    with a_disk() as disk:
        disk.fail_at, disk.how = number, how
        try:
            for _ in range(3):
                try:
                    _append_one(disk, here, opened, told)
                except sqlite3.Error:
                    assert disk.failed, "an error, and no operation of the disk failed"
                    if then != "goes on":
                        _kill(disk, opened)
                        _open(disk, here, opened)
                        told.append(says(opened[0]))
                    if then == "cut":
                        break
                    _append_one(disk, here, opened, told)
        except (HetaoError, sqlite3.Error) as error:
            toll.damaged += 1
            toll.said.append(str(error))
        _kill(disk, opened)
    choose = random.Random(number)  # noqa: S311
    disk.after_the_cut(choose, after, [here / name for name in FILES])
    toll.acknowledged = len(told)
    check(after, told, toll)
    shutil.rmtree(here)
    shutil.rmtree(after)
    return disk.failed, toll


def _open(disk, folder, opened):
    def opener(path):
        return disk.connect(path, pages=4)

    opened.append(Log.open(folder / "study.log", ORIGIN, KEY, opener=opener))


def _append_one(disk, folder, opened, told):
    if not opened:
        _open(disk, folder, opened)
    told.append(append(opened[0], 3))


def _kill(disk, opened):
    """End a log without letting it write, as a kill does; the machine stays on."""
    disk.is_off = True
    for log in opened:
        with contextlib.suppress(apsw.Error, sqlite3.Error):
            log.close()
    opened.clear()
    disk.is_off = False


def bases(folder):
    """Make two logs to begin from: one in order, one whose last append is unsigned."""
    plain, unsigned = folder / "plain", folder / "unsigned"
    plain.mkdir()
    with Log.open(plain / "study.log", ORIGIN, KEY) as log:
        log.append(entries(255))
        head = (plain / "study.log.head").read_bytes()
        walled = plain / "study.log.head-wal"
        wal = walled.read_bytes() if walled.exists() else None
        log.append(entries(5))
        shutil.copytree(plain, unsigned, ignore=shutil.ignore_patterns("*-shm"))
    (unsigned / "study.log.head").write_bytes(head)
    if wal is not None:
        (unsigned / "study.log.head-wal").write_bytes(wal)
    return [plain, unsigned]


HOWS = ("fails", "persisted", "forgets")
THENS = ("goes on", "killed", "cut")


def fail_everywhere(folder, hows=HOWS, thens=THENS, step=1):
    """Let each `step`-th operation of the disk fail, one in a log; return the toll."""
    total = Toll()
    for base in bases(folder):
        for how, then in itertools.product(hows, thens):
            for number in itertools.count(1, step):
                failed, toll = fail_once(base, folder, how, number, then)
                if not failed:
                    break
                total.cuts, total.hit = total.cuts + 1, total.hit + 1
                total.acknowledged += toll.acknowledged
                total.lost += toll.lost
                total.forked += toll.forked
                total.damaged += toll.damaged
                total.said += [f"{base.name}, {how} {failed} {number}, {then}"] * bool(
                    toll.harm
                )
        shutil.rmtree(base)
    return total
