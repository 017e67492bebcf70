"""The runs that a site has begun, in its journal, and what stays of one destroyed."""

import pytest

from hetao.errors import Replayed, UnlistedProtocol
from hetao.federation.answers import ANSWERS
from hetao.federation.begun import SCHEMA, Begun
from hetao.federation.course import STATES
from hetao.federation.store import Store
from hetao.ledger.envelope import Header, seal
from hetao.permit import Bundle, new_identity
from support_permit import VALID, Scene

SITE, SENDER = new_identity("a"), new_identity("coordinator")
BUNDLE = Bundle(Scene(fields={"most_runs": 2}).permit)
PERMIT = BUNDLE.permit.digest


@pytest.fixture
def begun():
    store = Store(None, SCHEMA + STATES + ANSWERS)
    yield Begun(store, "a")
    store.close()


def letter(run):
    """Return what begins a run."""
    header = Header("s", PERMIT, run, "begin", "begin", "", "", VALID[1], 2)
    return seal(SENDER, SITE.party("HK", "site", "An owner"), header, b"")


def keep(begun, *runs, snapshot="one", permit=PERMIT):
    letters = [letter(run) for run in runs]
    for one in letters:
        begun.keep(one, permit, snapshot)
    return letters


def test_what_began_a_run_is_kept_to_the_last_byte(begun):
    (one,) = keep(begun, "run-1")

    assert begun.envelope("run-1").data == one.data
    assert begun.envelope("run-2") is None
    assert begun.kept() == ["run-1"]


def test_of_a_run_that_is_destroyed_only_its_place_is_left(begun):
    keep(begun, "run-1", "run-2")
    for run in ("run-1", "run-2"):
        begun._store.write(
            [
                ("INSERT INTO state VALUES (?, 'm', 1, 1, x'01')", (run,)),
                ("INSERT INTO answered VALUES (?, 'd', ?, 0, x'01')", (run, run)),
                ("INSERT INTO outgoing VALUES (?, 'h', 0, 'd', x'01')", (run,)),
            ]
        )

    begun.destroy("run-1")
    assert begun.kept() == ["run-1", "run-2"]  # until its log says so
    begun.forget("run-1")

    assert begun.envelope("run-1") is None
    assert begun.kept() == ["run-2"]
    for text in ("SELECT run FROM state", "SELECT task FROM outgoing"):
        assert begun._store.rows(text) == [("run-2",)]
    with pytest.raises(UnlistedProtocol):  # it is counted all the same
        begun.check_earlier("run-3", BUNDLE, {"one"})


def test_a_permits_runs_are_over_the_data_of_its_first(begun):
    assert begun.first_snapshot(PERMIT) == ""
    keep(begun, "run-0", permit="another", snapshot="zero")
    keep(begun, "run-1", snapshot="")
    assert begun.first_snapshot(PERMIT) == ""

    keep(begun, "run-2", snapshot="one")

    assert begun.first_snapshot(PERMIT) == "one"


def test_no_more_runs_begin_than_the_permit_names(begun):
    keep(begun, "run-1")
    begun.check_earlier("run-2", BUNDLE, {"one"})
    keep(begun, "run-2")

    for run in ("run-1", "run-2"):  # which have begun, and go on
        begun.check_earlier(run, BUNDLE, {"one"})
    with pytest.raises(UnlistedProtocol, match="runs are used up"):
        begun.check_earlier("run-3", BUNDLE, {"one"})


def test_a_run_over_other_data_than_an_earlier_one_is_refused(begun):
    keep(begun, "run-0", snapshot="")
    begun.check_earlier("run-1", BUNDLE, {"two"})
    keep(begun, "run-1", snapshot="one")

    for run in ("run-1", "run-0"):
        begun.check_earlier(run, BUNDLE, {"one"})
        with pytest.raises(Replayed, match="a has answered under this permit"):
            begun.check_earlier(run, BUNDLE, {"two"})


def test_data_that_are_named_by_two_digests_are_the_same_data(begun):
    keep(begun, "run-1", snapshot="bare")

    begun.check_earlier("run-2", BUNDLE, {"keyed", "bare"})
    with pytest.raises(Replayed, match="a has answered under this permit"):
        begun.check_earlier("run-2", BUNDLE, {"keyed"})
    assert begun.snapshot("run-1") == "bare"
    assert begun.snapshot("run-2") == ""
