"""What a site's own people are told of its budgets: exact shares, of each snapshot."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hetao.federation import usage as module
from hetao.federation.memory import Memory
from hetao.federation.usage import Used, usage
from hetao.release import Policy
from hetao.release.differencing import UNITS
from hetao.release.policy import Privacy

POLICY = Policy()
INTO = {
    "load": "INSERT INTO load VALUES (?, ?, ?)",
    "told": "INSERT INTO told VALUES (?, ?, ?)",
}


@pytest.fixture
def setup(tmp_path):
    """Return what is read of a site's setup; its log has no answers with noise."""
    return SimpleNamespace(policy=POLICY, folder=tmp_path / "site")


@pytest.fixture(autouse=True)
def no_noise(monkeypatch):
    monkeypatch.setattr(module, "spent_of", lambda setup: 0.0)


def carry(folder, table, snapshot, *units, space="pseudonyms"):
    memory = Memory(folder)
    row = (snapshot, space, np.array(units, "<u8").tobytes())
    memory._store.write([(INTO[table], row)])
    memory.close()


def test_a_site_that_has_answered_nothing_has_used_nothing(setup):
    assert usage(setup) == ()

    Memory(setup.folder).close()

    assert usage(setup) == ()


def test_the_person_of_whom_most_is_known_says_how_much_of_a_budget_is_used(setup):
    carry(setup.folder, "load", "first", 0, UNITS // 4, UNITS // 2)
    carry(setup.folder, "load", "first", UNITS // 8, space="another key")
    carry(setup.folder, "load", "second", 0, 0)  # of nobody there anything was shown
    carry(setup.folder, "told", "first", 3 * UNITS)

    assert usage(setup) == (
        Used("shown", "first", 0.5, POLICY.shown_share),
        Used("shown", "second", 0.0, POLICY.shown_share),
        Used("told", "first", 3.0, POLICY.told_share),
    )


@pytest.mark.parametrize(
    ("epsilon", "spent", "found"),
    [
        (0.0, 0.0, ()),
        (1.0, 0.0, (Used("private", "", 0.0, 1.0),)),  # set aside
        (0.0, 0.5, (Used("private", "", 0.5, 0.0),)),  # used, and none allowed any more
        (1.0, 0.5, (Used("private", "", 0.5, 1.0),)),
    ],
)
def test_what_was_set_aside_for_noise_is_told_and_what_was_used_of_it(
    setup, monkeypatch, epsilon, spent, found
):
    setup.policy = replace(POLICY, privacy=Privacy(epsilon=epsilon, each=0.5))
    monkeypatch.setattr(module, "spent_of", lambda setup: spent)

    assert usage(setup) == found
