"""A curation that is told to end leaves no patient's row behind; a killed one, soon."""

import os
import shutil
import signal
import time

import pytest

from hetao.cdm import open_site
from support_cdm import ROWS, curated, write_folder
from support_system import read_until, start

pytestmark = pytest.mark.xdist_group("system")
MANY = 25_000  # times the rows of the small extract: enough to be busy for a while


@pytest.fixture(autouse=True)
def signals_are_heard():
    """Undo a `nohup`, or a `&`, before the tests, which processes would inherit."""
    ours = signal.SIGHUP, signal.SIGINT
    ignored = [one for one in ours if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    yield
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a site folder with a snapshot, whose extract has become much larger."""
    path, good = made_busy(tmp_path_factory.mktemp("busy"))
    return path, good


def made_busy(folder):
    path = write_folder(folder)
    good = curated(path)
    write_folder(folder, ROWS * MANY)
    return path, good


def scratch(path):
    return sorted((path.parent / "store").rglob(".*part*"))


@pytest.mark.parametrize(
    ("step", "number", "code"),
    [
        ("reading", signal.SIGTERM, 143),
        ("selecting", signal.SIGINT, 130),
        ("filling", signal.SIGTERM, 143),
        ("selecting", signal.SIGHUP, 129),
    ],
)
def test_who_is_told_to_end_takes_the_scratch_away_at_once(site, step, number, code):
    path, good = site
    process = caught_at(step, path, good)

    os.killpg(process.pid, number)  # as a terminal does
    os.killpg(process.pid, signal.SIGCONT)

    _, rest = process.communicate()
    assert process.returncode == code
    assert rest.endswith("hetao: interrupted\n")
    assert "Traceback" not in rest
    assert scratch(path) == []
    with open_site(path) as tables:
        assert tables.snapshot == good.snapshot


def caught_at(step, path, good):
    """Return a curation that stands still in mid step, its scratch about.

    One that was done before it could be held is made again: how fast the machine is,
    and whom it lets run, decides nothing.
    """
    for _ in range(10):
        if step == "reading":  # what was staged before is not read again
            shutil.rmtree(path.parent / "store" / "staged", ignore_errors=True)
        process = start("site", "curate", path, "--whole", session=True)
        read_until(process, step)
        while held(process):
            with open_site(path) as tables:
                is_done = tables.snapshot != good.snapshot
            if scratch(path) and not is_done:
                return process
            os.killpg(process.pid, signal.SIGCONT)
            time.sleep(0.01)
        process.communicate()
        made_busy(path.parent)
    raise AssertionError(f"no curation could be held in mid {step}")


def held(process):
    """Return whether a process stands still now; if not, it has ended."""
    os.killpg(process.pid, signal.SIGSTOP)
    how = os.WSTOPPED | os.WEXITED | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, how).si_code == os.CLD_STOPPED


def test_what_a_kill_leaves_the_next_curation_takes_away(site):
    path, good = site
    process = caught_at("filling", path, good)
    process.kill()
    process.communicate()
    left = scratch(path)

    again = start("site", "curate", path, "--whole")
    read_until(again, "filling")
    again.terminate()
    again.communicate()

    assert left
    assert scratch(path) == []
