"""A revoked run's certificate: of each round, what holds of what was asked."""

import asyncio
import contextlib
import datetime
from dataclasses import dataclass, replace

import pytest

from hetao.errors import Unreachable
from hetao.federation import ending
from hetao.federation.coordinator import Coordinator
from hetao.federation.ending import certify_revoked, revoked_body
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.revoked import verify_revoked
from hetao.permit import format_time, sign_notice, state
from support_federation import START, Federation

TASK = "attrition/1/0"
END = START + datetime.timedelta(seconds=60)
ISSUED = format_time(END)


@dataclass
class Stage:
    """A coordinator whose sums were opened, and which is not closed yet."""

    federation: Federation
    coordinator: Coordinator
    runner: asyncio.Runner

    @property
    def ended(self):
        federation = self.federation
        signer = federation.cast.identities["ethics-hk"]
        return sign_notice(federation.bundle, signer, "revoke", END)

    def rounds(self, **bent):
        """Return the rounds that are told where some senders' mail is other, and first.

        `kind_sender` names whose mail is exchanged; None takes it away.
        """
        kept = self.coordinator.mail.items
        items = {}
        for place, meta in bent.items():
            kind, _, sender = place.partition("_")
            at = (TASK, kind, sender.replace("_", "-"))
            envelope, _, arrays = kept[at]
            items[at] = (envelope, meta or {}, arrays)
        try:
            self.coordinator.mail.items = {**items, **{**kept, **items}}
            return revoked_body(self.coordinator, self.ended, ISSUED)["rounds"]
        finally:
            self.coordinator.mail.items = kept

    def signed(self, kind, sender, by=None, /, **fields):
        """Return what a party would have signed, had it said something else."""
        _, meta, _ = self.coordinator.mail.items[TASK, kind, sender]
        keys = self.federation.cast.identities[by or sender]
        return state(keys, {**meta["body"], **fields}).as_json()


@contextlib.contextmanager
def staged(folder):
    with Federation(folder) as federation, asyncio.Runner() as runner:
        exchange = Exchange(federation.hubs)
        way = exchange.transport("coordinator")
        desk = federation.desk(lambda: tuple(federation.notices))
        coordinator = Coordinator(desk, federation.study, federation.bundle, way)
        runner.run(_answered(federation, exchange, coordinator))
        yield Stage(federation, coordinator, runner)
        coordinator.close()


async def _answered(federation, exchange, coordinator):
    async with federation.attended(exchange):
        await coordinator.answer()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with staged(tmp_path_factory.mktemp("ending")) as made:
        yield made


def test_a_round_is_told_as_it_was_asked_with_all_that_holds_of_it(stage):
    (one,) = stage.rounds()

    place = ("task", "analysis", "protocol", "attempt", "round", "members")
    assert [one[name] for name in place] == [
        TASK, "attrition", "counts", 1, 0, ["a", "b", "c"],
    ]  # fmt: skip
    assert (set(one["receipts"]), set(one["totals"])) == (
        {"a", "b", "c"},
        {"hub-hk", "hub-sz"},
    )


LIES = {
    "another attempt": {"attempt": 2},
    "another round": {"round": 1},
    "no round": {"round": -1},
    "another analysis": {"analysis": "model"},
    "another protocol": {"protocol": "mean/1"},
    "another task": {"task": "attrition/2/0"},
    "another run": {"run": "run-0"},
    "another study": {"study": "sha256:" + "0" * 64},
    "fewer members": {"members": ["a", "b"]},
    "others alone": {"members": ["b", "c"]},
    "a stranger": {"members": ["a", "b", "c", "z"]},
    "members as letters": {"members": "abc"},
    "members as a number": {"members": 3},
    "no members": {"members": None},
    "members of lists": {"members": ["a", ["b"]]},
    "another kind": {"kind": "profile"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_site_that_lies_keeps_nobody_elses_release_from_being_told(stage, lie):
    """Though its answer came first."""
    told = stage.signed("receipt", "a", **LIES[lie])

    (one,) = stage.rounds(receipt_a=told)

    assert set(one["receipts"]) == {"b", "c"}
    assert (one["task"], one["attempt"], one["round"]) == (TASK, 1, 0)
    assert (one["analysis"], one["protocol"]) == ("attrition", "counts")
    assert one["members"] == ["a", "b", "c"]
    assert set(one["totals"]) == {"hub-hk", "hub-sz"}


def test_of_two_lists_named_alike_the_one_that_was_asked_is_told(stage):
    lie = stage.signed("receipt", "a", members=["a", "b"])

    (one,) = stage.rounds(receipt_a=lie, receipt_b=None)

    assert (one["members"], set(one["receipts"])) == (["a", "b", "c"], {"c"})


def test_more_who_lie_keep_no_release_by_the_list_that_was_asked_from_being_told(stage):
    """Else an honest certificate would be refused beside an honest site's list."""
    lies = {
        f"receipt_{site}": stage.signed("receipt", site, members=["a", "b"])
        for site in "ab"
    }

    (one,) = stage.rounds(**lies)

    assert (one["members"], set(one["receipts"])) == (["a", "b", "c"], {"c"})


def test_what_only_a_liar_answered_is_told_as_the_liar_signed_it(stage):
    """A release left that site; by whose list, its own signature says."""
    lie = stage.signed("receipt", "a", members=["a", "b"])

    (one,) = stage.rounds(receipt_a=lie, receipt_b=None, receipt_c=None)

    assert (one["members"], set(one["receipts"])) == (["a", "b"], {"a"})
    assert one["totals"] == {}


def test_a_release_among_strangers_is_told_by_nobodys_word(stage):
    lie = stage.signed("receipt", "a", members=["a", "z"])

    assert stage.rounds(receipt_a=lie, receipt_b=None, receipt_c=None) == []


@pytest.mark.parametrize("meta", [None, {"body": 3}, {"body": {}}], ids=str)
def test_an_answer_without_a_statement_is_left_out(stage, meta):
    (one,) = stage.rounds(receipt_a=meta, total_hub_hk=meta)

    assert set(one["receipts"]) == {"b", "c"}
    assert set(one["totals"]) == {"hub-sz"}


def test_what_another_signed_is_left_out(stage):
    (one,) = stage.rounds(
        receipt_a=stage.signed("receipt", "a", "b"),
        total_hub_hk=stage.signed("total", "hub-hk", "hub-sz"),
    )

    assert set(one["receipts"]) == {"b", "c"}
    assert set(one["totals"]) == {"hub-sz"}


SHARES = {
    "a number": 3,
    "nothing": None,
    "a list": ["a", "b", "c"],
    "a list of several kinds": ["a", 1, None],
    "no shares": {},
    "other shares": {"a": "x", "b": "y", "c": "z"},
}


@pytest.mark.parametrize("lie", SHARES)
def test_a_hub_that_lies_keeps_nothing_else_from_being_told(stage, lie):
    told = stage.signed("total", "hub-hk", shares=SHARES[lie])

    (one,) = stage.rounds(total_hub_hk=told)

    assert set(one["receipts"]) == {"a", "b", "c"}
    assert set(one["totals"]) == {"hub-sz"}


def test_a_sum_of_fewer_shares_than_its_members_is_left_out(stage):
    """Though those that it names are the very ones."""
    _, meta, _ = stage.coordinator.mail.items[TASK, "total", "hub-hk"]
    shares = {s: meta["body"]["shares"][s] for s in "ab"}
    told = stage.signed("total", "hub-hk", shares=shares)

    (one,) = stage.rounds(total_hub_hk=told, receipt_c=None)

    assert set(one["receipts"]) == {"a", "b"}
    assert set(one["totals"]) == {"hub-sz"}


def test_what_nobody_asked_for_is_no_round(stage, monkeypatch):
    items = dict(stage.coordinator.mail.items)
    items["attrition/2/0", "receipt", "a"] = (
        items[TASK, "receipt", "a"][0],
        stage.signed("receipt", "a", task="attrition/2/0", attempt=2),
        {},
    )
    monkeypatch.setattr(stage.coordinator.mail, "items", items)

    assert [one["task"] for one in stage.rounds()] == [TASK]


def test_a_sealed_count_is_told_as_one_and_not_as_a_round_of_its_estimator(stage):
    told = ending._round_of(stage.coordinator.study, "attrition/2/count")

    place = ("task", "analysis", "protocol", "attempt", "round")
    assert [told[name] for name in place] == [
        "attrition/2/count", "attrition", "sealed_count", 2, 0,
    ]  # fmt: skip


def test_a_round_without_a_release_is_not_told(stage):
    assert stage.rounds(receipt_a=None, receipt_b=None, receipt_c=None) == []


def test_the_first_word_that_ended_a_permit_dates_its_end(stage):
    """Approvals, which came before, end nothing."""
    signer = stage.federation.cast.identities["ethics-sz"]
    ended = sign_notice(stage.ended, signer, "withdraw", START.replace(hour=9))

    body = revoked_body(stage.coordinator, ended, ISSUED)

    assert body["revoked"] == ISSUED


# --- the certificate ------------------------------------------------------------------
def test_both_hubs_are_told_before_it_is_made_and_all_that_they_took_is_in_it(
    tmp_path, monkeypatch
):
    """Of what a coordinator has not listened to; the sums are destroyed by then."""
    made, knew = revoked_body, []
    with staged(tmp_path / "f") as stage:
        coordinator, mail = stage.coordinator, stage.coordinator.mail
        hubs = stage.federation.hubs.values()

        async def deaf(_):
            mail.items, mail._heard = {}, {}

        def body_of(*given):
            knew.extend(len(hub._register.after(0).notices) for hub in hubs)
            return made(*given)

        monkeypatch.setattr(mail, "hear", deaf)
        monkeypatch.setattr(ending, "revoked_body", body_of)
        stage.federation.notices += stage.ended.notices[-1:]
        data = stage.runner.run(certify_revoked(coordinator, ISSUED))

    (course,) = verify_revoked(data).courses
    assert (course.sites, course.releases, course.opened) == (("a", "b", "c"), 3, 0)
    assert len(knew) == 2
    assert all(knew)


def test_a_hub_that_always_has_one_more_holds_no_certificate_up(tmp_path, monkeypatch):
    with staged(tmp_path / "f") as stage:
        mail = stage.coordinator.mail

        async def more(*_):
            return True

        monkeypatch.setattr(mail, "_look", more)
        monkeypatch.setattr(mail, "_study", replace(mail._study, deadline_seconds=0.1))

        with pytest.raises(Unreachable, match="hub-hk does not come to an end"):
            stage.runner.run(mail.hear_out())


def test_a_run_is_certified_once_its_permit_is_revoked_and_something_left(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(ending, "GOSSIP_SECONDS", 0)
    with staged(tmp_path / "f") as stage:
        coordinator, mail = stage.coordinator, stage.coordinator.mail

        def certified():
            return stage.runner.run(certify_revoked(coordinator, ISSUED, 0))

        size = coordinator.log.size
        assert certified() is None  # nobody revoked it

        stage.federation.notices += stage.ended.notices[-1:]
        came, mail.items = mail.items, {}
        assert certified() is None  # nothing is known to have left
        assert coordinator.log.size == size

        mail.items = came
        mail.destroy()  # what was asked goes; that it was asked is known
        lie = stage.signed("receipt", "a", round=1)
        place = (TASK, "receipt", "a")
        mail.items[place] = (came[place][0], lie, {})
        found = verify_revoked(certified(), coordinator.trusted)

    (course,) = found.courses
    assert (course.sites, course.releases, course.opened) == (("b", "c"), 2, 1)
