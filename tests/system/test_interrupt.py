"""A curation that is told to end leaves no patient's row behind; a killed one, soon."""

import os
import shutil
import signal

import pytest

from hetao.cdm import open_site
from support_cdm import ROWS, curated, write_folder
from support_system import read_until, start, wait_until

pytestmark = pytest.mark.xdist_group("system")
MANY = 80_000  # times the rows of the small extract: enough to be busy for a while


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a site folder with a snapshot, whose extract has become much larger."""
    folder = tmp_path_factory.mktemp("busy")
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
    if step == "reading":  # what was staged before is not read again
        shutil.rmtree(path.parent / "store" / "staged")
    process = start("site", "curate", path, "--whole", session=True)
    read_until(process, step)
    wait_until(lambda: scratch(path), 20)

    os.killpg(process.pid, number)  # as a terminal does

    _, rest = process.communicate(timeout=60)
    assert process.returncode == code
    assert rest.endswith("hetao: interrupted\n")
    assert "Traceback" not in rest
    assert scratch(path) == []
    with open_site(path) as tables:
        assert tables.snapshot == good.snapshot


def test_what_a_kill_leaves_the_next_curation_takes_away(site):
    path, _ = site
    process = start("site", "curate", path, "--whole")
    read_until(process, "filling")
    process.kill()
    process.communicate(timeout=60)
    left = scratch(path)

    again = start("site", "curate", path, "--whole")
    read_until(again, "filling")
    again.terminate()
    again.communicate(timeout=60)

    assert left
    assert scratch(path) == []
