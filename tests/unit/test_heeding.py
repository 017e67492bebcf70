"""Which runs are looked at once something was heard, and what becomes of them."""

from types import SimpleNamespace

import pytest

from hetao.errors import InvalidData
from hetao.federation.heeding import Heeding, stands
from hetao.federation.register import SCHEMA, Register
from hetao.federation.store import Store
from hetao.permit import sign_notice
from support_permit import HOUR, NOW, Scene

SCENE = Scene()
BUNDLE = SCENE.approve_all()
ENDED = sign_notice(BUNDLE, SCENE.identities["ethics-hk"], "revoke", NOW + HOUR)
LONG = "r" * 61


@pytest.fixture
def party():
    """Return a party with two runs of one permit, and what it looked at and did."""
    made = SimpleNamespace(kept=["one", "two"], looked=[], gone=[], said=[], bad=set())

    def bundle_of(run):
        made.looked.append(run)
        if run in made.bad:
            raise InvalidData(f"{run} cannot be read")
        return BUNDLE

    store = Store(None, SCHEMA)
    made.register = Register(store, SCENE.directory, tuple)
    made.heeding = Heeding(
        made.register,
        lambda: [run for run in made.kept if run not in made.gone],
        bundle_of,
        lambda run, known: made.gone.append(run),
        made.said.append,
    )
    yield made
    store.close()


def heed(party, *run):
    party.looked.clear()
    party.heeding.heed(*run)
    return party.looked


def test_each_run_is_looked_at_at_the_start_and_at_anything_new_and_at_no_other_time(
    party,
):
    assert heed(party) == ["one", "two"]
    assert heed(party) == []
    assert party.gone == []

    party.register.take(ENDED.notices)

    assert heed(party) == ["one", "two"]
    assert party.gone == ["one", "two"]


def test_a_run_that_was_refused_is_looked_at_though_nothing_new_was_heard(party):
    """It may have begun after its permit was revoked."""
    party.register.take(ENDED.notices)
    party.kept = []
    assert heed(party) == []
    party.kept = ["one", "two"]

    assert heed(party, "two") == ["two"]

    assert party.gone == ["two"]


def test_a_run_that_cannot_be_looked_at_is_looked_at_again_and_told_once(party):
    party.kept, party.bad = [LONG, "two"], {LONG}
    party.register.take(ENDED.notices)

    for _ in range(2):
        heed(party)
        assert party.gone == ["two"]
    party.bad.clear()
    heed(party)

    assert party.gone == ["two", LONG]
    (words,) = party.said
    assert words.startswith(f"run {'r' * 60} could not be held against revocations")


def test_a_permit_stands_until_its_end_was_heard(party):
    def is_so():
        return stands(party.register, BUNDLE, NOW + 2 * HOUR, SCENE.directory)

    assert is_so()
    party.register.take(ENDED.notices)
    assert not is_so()
