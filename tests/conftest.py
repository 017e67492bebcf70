"""What several folders of tests share."""

import gc
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from support_exactness import held_to
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

TESTS = Path(__file__).parent
GAPS = ("not_yet", "never")
DEPTH = sys.getrecursionlimit()
gc.disable()  # while tests are found: what that makes stays, as do the libraries

# A busy machine is no failure: nothing here asserts how long something takes.
settings.register_profile("hetao", deadline=None)
settings.load_profile("hetao")


def pytest_configure(config):
    for gap in GAPS:
        config.addinivalue_line("markers", f"{gap}(reason): a known gap; must fail")
    words = "held_to(oracle, data): what a finding is compared with, for its page"
    config.addinivalue_line("markers", words)


def pytest_runtest_setup(item):
    held_to(item)


@pytest.hookimpl(tryfirst=True)  # before xdist reads which tests belong together
def pytest_collection_modifyitems(items):
    """A gap is expected to fail; a file's tests stay together, as what they share does.

    A gap fails when it starts to pass. Without a group of its own, a test goes where
    the others of its file go: each process would make the file's fixtures anew. Groups
    that share servers and networks take longest, and begin first.
    """
    items.sort(key=_has_no_group)
    for item in items:
        if _has_no_group(item):
            together = item.path.relative_to(TESTS).with_suffix("").as_posix()
            item.add_marker(pytest.mark.xdist_group(together))
        for gap in GAPS:
            for mark in item.iter_markers(gap):
                reason = f"{gap}: {mark.kwargs['reason']}"
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


def _has_no_group(item):
    return item.get_closest_marker("xdist_group") is None


def pytest_collection_finish():
    """Leave the thousands of tests out of what the collector looks at each time."""
    assert sys.getrecursionlimit() == DEPTH, "an import lifted it: a test would crash"
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    gc.unfreeze()  # or libraries that count their objects at the end find some


LONGEST_NAME = 100  # characters; of a case that is named by its text


def pytest_make_parametrize_id(val, argname):
    """Name cases alike in every process, which share them out by name.

    Bytes, digests, and texts longer than a sentence, may be of a key that each process
    draws anew; an object's name is its place.
    """
    if isinstance(val, str):
        return argname if len(val) > LONGEST_NAME or val[:7] == "sha256:" else None
    return argname if isinstance(val, bytes) or type(val) is object else None


def pytest_sessionfinish(session, exitstatus):
    """A skipped test is a test that did not run: nothing here may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def federation(tmp_path):
    """Return a fresh federation of three sites that counts people."""
    with Federation(tmp_path / "federation") as made:
        yield made


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Return a finished study of one round: the smallest certificate there is."""
    with Federation(tmp_path_factory.mktemp("small")) as made:
        return made.run()


@pytest.fixture(scope="session")
def model_run(tmp_path_factory):
    """Return a finished study of a count and of a model of several rounds."""
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(tmp_path_factory.mktemp("model"), plan) as made:
        return made.run()
