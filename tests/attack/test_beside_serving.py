"""What stops a site that serves stops its other commands, and what is asked again."""

from dataclasses import replace

import pytest

from hetao.errors import BadEnvelope, InvalidData, NotApproved, OutOfTime, StoppedHere
from hetao.federation import beside, guard
from hetao.federation.courier import answered
from hetao.federation.register import SCHEMA, Register
from hetao.federation.self_service import Question, ask, spent_of
from hetao.federation.store import Store
from hetao.permit import format_time, sign_notice
from hetao.release.policy import Policy, Privacy
from support_federation import START, Federation, Plan, toy_study
from support_permit import HOUR, NOW
from support_uses import HK, SZ, a_use, approved, book_of, scene_of, trusted_of

SCENE = scene_of("materials")
BUNDLE = approved(SCENE)
STUDY = toy_study()


def said(verb, by="ethics-sz", hours=0.5):
    signed = sign_notice(BUNDLE, SCENE.identities[by], verb, NOW + hours * HOUR)
    return signed.notices[-1]


@pytest.fixture
def journal(tmp_path):
    """Return the journal of a site that serves while its book is opened."""
    (tmp_path / HK).mkdir()
    store = Store(tmp_path / HK / beside.JOURNAL, SCHEMA + guard.LATEST)
    yield store
    store.close()


@pytest.fixture
def book(tmp_path, journal):
    made = book_of(SCENE, tmp_path, HK)
    yield made
    made.close()


def dispatch(book, number="W-1", hours=1.0):
    use = a_use(SCENE, number, hours=hours)
    return book.dispatch(BUNDLE, use, lambda: NOW + hours * HOUR)


# --- samples, people and money --------------------------------------------------------
def test_what_hubs_told_a_site_of_a_revocation_stops_its_uses(book, journal):
    Register(journal, trusted_of(SCENE), tuple).take([said("revoke")])

    with pytest.raises(NotApproved, match="said 'revoke'"):
        dispatch(book)


def test_what_hubs_told_a_site_of_a_revocation_stops_what_arrives(tmp_path, journal):
    sender = book_of(SCENE, tmp_path, SZ)
    use = sender.dispatch(
        BUNDLE, a_use(SCENE, site=SZ, to=HK, hours=2), lambda: NOW + 2 * HOUR
    )
    sender.close()
    Register(journal, trusted_of(SCENE), tuple).take([said("revoke")])
    book = book_of(SCENE, tmp_path, HK)

    with pytest.raises(NotApproved, match="said 'revoke'"):
        book.expect(BUNDLE, use, NOW + 3 * HOUR)
    book.close()


def test_a_notice_of_another_permit_or_of_one_without_a_say_stops_no_use(
    tmp_path, journal
):
    other = scene_of("materials", number="P-2")
    elsewhere = sign_notice(approved(other), other.identities["ethics-sz"], "revoke",
                            NOW).notices[-1]  # fmt: skip
    forged = replace(said("revoke"), signature=elsewhere.signature)
    Register(journal, trusted_of(SCENE), tuple).take([elsewhere, forged])
    book = book_of(SCENE, tmp_path, HK, lambda: (elsewhere, forged))

    assert dispatch(book).body["number"] == "W-1"
    book.close()


def test_a_journal_that_cannot_be_read_lets_nothing_cross(tmp_path, journal, book):
    journal.write([("DROP TABLE heard", ())])

    with pytest.raises(InvalidData, match="journal cannot be read"):
        dispatch(book)


@pytest.mark.parametrize("hours", [1.0, 22.0, 22.9])
def test_a_clock_that_is_set_back_brings_no_ended_lease_back(book, hours):
    dispatch(book, "W-1", 23.0)

    with pytest.raises(OutOfTime, match="clock was set back"):
        dispatch(book, "W-2", hours)
    assert dispatch(book, "W-2", 22.95)  # as far as honest clocks differ


def test_a_clock_that_is_set_back_is_held_against_what_the_site_served_at(
    book, journal
):
    at = format_time(NOW + 30 * HOUR)
    journal.write([("INSERT INTO latest VALUES (1, ?)", (at,))])

    with pytest.raises(OutOfTime, match="clock was set back"):
        dispatch(book)


# --- counts with noise ----------------------------------------------------------------
@pytest.fixture
def setup(tmp_path):
    policy = Policy(privacy=Privacy(epsilon=1.0, each=0.5))
    plan = Plan(STUDY, policies={"a": policy})
    with Federation(tmp_path, plan) as federation:
        yield federation.setup("a")


@pytest.mark.parametrize(("at", "spent"), [("open_source", 0.0), ("random", 0.5)])
def test_a_count_with_noise_is_not_told_once_the_switch_is_thrown(
    setup, monkeypatch, at, spent
):
    from hetao.federation import self_service

    def throw():
        guard.stop(setup.folder, START, "")

    def counting():
        throw()
        return setup.open_source()

    def drawing(*words):
        throw()
        return noisy(*words)

    noisy, asked = self_service.noisy, setup
    if at == "open_source":
        asked = replace(setup, open_source=counting)
    else:
        monkeypatch.setattr(self_service, "noisy", drawing)

    with pytest.raises(StoppedHere):
        ask(asked, Question(STUDY, (), 0.5), START)
    assert spent_of(setup) == spent


# --- letters in a file ----------------------------------------------------------------
@pytest.mark.parametrize("verb", ["revoke", "suspend"])
def test_a_file_that_is_given_again_brings_no_sum_of_a_permit_that_ended(
    tmp_path, verb
):
    with Federation(tmp_path, Plan(STUDY)) as federation:
        asked = [federation.begin("b").data, federation.task("b").data]

        def answers():
            site = federation.sites["b"]
            return answered(asked, "b", site.handle, site.may_send)

        first = answers()
        assert answers() == first
        key, now = federation.cast.identities["ethics-hk"], federation.clock()
        federation.notices += sign_notice(federation.bundle, key, verb, now).notices

        for _ in range(2):  # of the same process, and of another
            with pytest.raises(BadEnvelope, match="stays"):
                answers()
            federation.sites["b"].close()
            federation.sites["b"] = federation.open_site("b")
