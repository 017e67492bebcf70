"""Whoever hears of a revocation tells everybody; nothing is released from then on."""

import asyncio
import datetime
import json

import pytest

from hetao.canonical import canonical, digest_bytes
from hetao.errors import InvalidNetwork, NotApproved, Refused
from hetao.federation import gossip as gossiping
from hetao.federation import guard
from hetao.federation.attend import attend
from hetao.federation.coordinator import Coordinator
from hetao.federation.gossip import gossip
from hetao.federation.register import News, news_from
from hetao.federation.shelf import Inbox
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.envelope import parse_envelope
from hetao.permit import (
    Words,
    new_identity,
    sign_notice,
    state,
)
from support_federation import LOGISTIC, RUN, START, Federation, Plan, toy_study

HUB = "hub-hk"


@pytest.fixture
def federation(tmp_path):
    with Federation(tmp_path, Plan(toy_study((LOGISTIC,)))) as made:
        yield made


def said(federation, verb, name="ethics-hk", **words):
    signer = federation.cast.identities[name]
    when = federation.clock()
    bundle = sign_notice(federation.bundle, signer, verb, when, Words(**words))
    return bundle.notices[-1]


def told(*notices):
    return News("", 0, notices).encoded()


def heard(hub, after=0):
    return news_from(hub.exchange(after, told())).notices


# --- carrying -------------------------------------------------------------------------
def test_a_hub_passes_on_what_somebody_of_its_list_signed(federation):
    hub, notice = federation.hubs[HUB], said(federation, "revoke")

    hub.exchange(0, told(notice))
    hub.exchange(0, told(notice))

    assert heard(hub) == (notice,)
    place = news_from(hub.exchange(0, told())).place
    assert heard(hub, place) == ()


def test_a_hub_that_restarts_has_forgotten_nothing(federation):
    hub, notice = federation.hubs[HUB], said(federation, "revoke")
    hub.exchange(0, told(notice))
    hub.close()

    assert heard(federation.open_hub(HUB)) == (notice,)


def test_what_nobody_of_the_list_signed_is_not_kept(federation):
    hub, true = federation.hubs[HUB], said(federation, "revoke")
    stranger = new_identity("ethics-hk", sealing=False)
    body = dict(true.body)
    forged = [
        state(stranger, body),
        state(stranger, {**body, "key": "stranger"}),
        state(federation.cast.identities["ethics-sz"], body),
        state(federation.cast.identities["ethics-hk"], {**body, "type": "x"}),
        state(federation.cast.identities["ethics-hk"], {**body, "by": "ethics-sz"}),
        state(federation.cast.identities["ethics-hk"], {**body, "permit": 7}),
    ]

    hub.exchange(0, told(*forged))

    assert heard(hub) == ()


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[1]", b"[" * 9999, b"\xff", canonical({"epoch": "", "place": -1})],
)
def test_a_garbled_message_of_notices_is_refused(federation, data):
    with pytest.raises(Refused):
        federation.hubs[HUB].exchange(0, data)


def test_a_notice_of_one_without_a_say_spoils_nothing(federation):
    """A checker's own key signs a withdrawal, in an office that is not theirs."""
    body = {**said(federation, "withdraw").body, "by": "output-checker-hk"}
    body["key"] = "output-checker-hk"
    odd = state(federation.cast.identities["output-checker-hk"], body)
    site = federation.sites["b"]

    assert site.register.take([odd]) == 1

    assert federation.refusals(site.handle(federation.begin("b").data)) == []


def test_a_number_of_endless_digits_spoils_nothing(federation):
    body = dict(said(federation, "vary", change={"most_runs": "1"}).body)
    odd = state(
        federation.cast.identities["ethics-hk"],
        {**body, "change": {"most_runs": "1" * 5000}},
    )
    site = federation.sites["b"]

    assert site.register.take([odd]) == 1

    assert federation.refusals(site.handle(federation.begin("b").data)) == []


# --- heeding --------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["revoke", "withdraw", "refuse", "suspend", "close"])
def test_a_hub_that_heard_of_an_end_adds_nothing(federation, verb):
    hub = federation.hubs[HUB]
    for site in federation.sites.values():
        site.handle(federation.begin(site.name).data)
    hub.accept("coordinator", federation.begin(HUB).data)

    hub.exchange(0, told(said(federation, verb)))
    hub.accept("coordinator", federation.task(HUB).data)
    posts = [
        (name, data)
        for name, site in federation.sites.items()
        for to, data in site.handle(federation.task(name).data)
        if to == HUB
    ]
    refused = hub.accept_all(posts)

    inbox = hub.waiting("coordinator", 0).items
    sent = [federation.opened(data)[0] for _, data in inbox]
    assert "total" not in sent
    assert "refusal" in sent
    is_revoked = verb in ("revoke", "withdraw")
    assert ("receipt" in sent) is not is_revoked  # what is told then is all there is
    assert {type(one) for one in refused} == {NotApproved if is_revoked else type(None)}


def test_a_hub_carries_again_what_it_took_before_it_heard_and_what_is_no_answer(
    federation,
):
    hub, site = federation.hubs[HUB], federation.sites["a"]
    site.handle(federation.begin("a").data)
    posts = [("a", d) for to, d in site.handle(federation.task("a").data) if to == HUB]
    assert hub.accept_all(posts) == [None] * len(posts)  # of a run that began nowhere
    hub.accept("coordinator", federation.begin(HUB).data)
    hub.exchange(0, told(said(federation, "revoke")))
    site.register.take([said(federation, "revoke")])
    refusal = site.handle(federation.begin("a", run="run-2").data)

    posts += [("a", data) for _, data in refusal]

    assert hub.accept_all(posts) == [None] * len(posts)


def test_a_hub_looks_again_at_a_run_that_began_after_its_first_answer(federation):
    """What it could not know of a run before, it does not take for known."""
    hub = federation.hubs[HUB]
    hub.exchange(0, told(said(federation, "revoke")))
    answers = {}
    for name in "ab":
        site = federation.sites[name]
        site.handle(federation.begin(name).data)
        posts = site.handle(federation.task(name).data)
        answers[name] = next(data for to, data in posts if to == HUB)

    hub.accept("a", answers["a"])
    hub.accept("coordinator", federation.begin(HUB).data)

    with pytest.raises(NotApproved, match="no answer is carried any more"):
        hub.accept("b", answers["b"])


def test_a_hub_that_cannot_read_what_it_heard_carries_no_answer(
    federation, monkeypatch
):
    """Whether the permit still stands it can't know then, and so it stops."""

    def unreadable():
        raise InvalidNetwork("a file in the folder is no permit")

    hub, site = federation.hubs[HUB], federation.sites["a"]
    site.handle(federation.begin("a").data)
    posts = [d for to, d in site.handle(federation.task("a").data) if to == HUB]
    hub.accept("coordinator", federation.begin(HUB).data)

    with monkeypatch.context() as patched:
        patched.setattr(hub._register, "_read", unreadable)
        with pytest.raises(InvalidNetwork):
            hub.accept("a", posts[0])
    hub.accept("a", posts[0])

    assert [type(one) for one in hub.accept_all([("a", posts[0])])] == [type(None)]


def test_a_site_that_heard_of_a_revocation_destroys_what_it_could_send_again(
    federation,
):
    site = federation.sites["b"]
    site.handle(federation.begin("b").data)
    task = federation.task("b").data
    assert site.handle(task)

    site.register.take([said(federation, "revoke")])
    site.heed()

    assert site.handle(task) == []
    assert site._store.rows("SELECT 1 FROM outgoing") == []
    assert site._store.rows("SELECT 1 FROM state") == []
    assert site._store.rows("SELECT data FROM begun") == [(b"",)]
    entry = json.loads(federation.log_entries(site)[-1])
    assert entry["what"] == "destroyed"
    records = site._store.rows("SELECT record FROM answered WHERE run = ?", (RUN,))
    sums = [digest_bytes(data) for (data,) in records if b'"kind":"sum"' in data]
    assert entry["unsent"] == sums  # what it released stays proved, and was not sent
    assert len(sums) == 1


def test_a_site_killed_before_it_logs_that_it_destroyed_logs_it_when_it_comes_back(
    federation, monkeypatch
):
    site = federation.sites["b"]
    site.handle(federation.begin("b").data)
    site.handle(federation.task("b").data)
    site.register.take([said(federation, "revoke")])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(site._log, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            site.heed()
    assert site._store.rows("SELECT 1 FROM outgoing") == []
    site.close()
    again = federation.open_site("b")
    again.heed()

    entry = json.loads(federation.log_entries(again)[-1])
    assert (entry["what"], len(entry["unsent"])) == ("destroyed", 1)
    assert again._store.rows("SELECT data FROM begun") == [(b"",)]


@pytest.mark.parametrize("way", ["taken", "refused", "share alone", "killed"])
def test_a_site_knows_of_an_answer_whether_its_hub_took_it(federation, way):
    site, home = federation.sites["b"], federation.home("b")
    site.handle(federation.begin("b").data)

    class Way(Away):
        async def post(self, _hub, data):
            kind = parse_envelope(data).header.kind
            if way == "refused" or (way == "share alone" and kind == "receipt"):
                raise NotApproved("not here")

    async def answered():
        words = []
        work = asyncio.create_task(
            attend(site, home, Way(federation.task("b").data), words.append)
        )
        while site.answers.cursor(home)[1] < 1:
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return words

    words = asyncio.run(answered())

    assert bool(words) is (way in ("refused", "share alone"))
    if way == "killed":
        site.close()
        site = federation.open_site("b")
    site.register.take([said(federation, "revoke")])
    site.heed()
    entry = json.loads(federation.log_entries(site)[-1])
    assert len(entry.get("unsent", ())) == (way in ("refused", "share alone"))


def holding_shares(federation):
    """Return a hub that holds the shares of a round, and the envelope of its task."""
    hub = federation.hubs[HUB]
    hub.accept("coordinator", federation.begin(HUB).data)
    for name, site in federation.sites.items():
        site.handle(federation.begin(name).data)
        for to, data in site.handle(federation.task(name).data):
            if to == HUB:
                hub.accept(name, data)
    assert all(shares_of(hub))
    return hub, federation.task(HUB).data


def shares_of(hub):
    rows = hub._store.rows("SELECT data FROM envelope WHERE kind = 'share'")
    return [bytes(data) for (data,) in rows]


def poison(federation):
    """Return a renewal that heard of somebody who is nobody."""
    true = said(federation, "renew")
    body = {**true.body, "heard": {"nobody at all": 1}}
    return state(federation.cast.identities["ethics-hk"], body)


def cut(federation):
    """Return a revocation whose signer's decision before it is held back."""
    signer, when = federation.cast.identities["ethics-hk"], federation.clock()
    warned = sign_notice(federation.bundle, signer, "warn", when, Words(reason="x"))
    return sign_notice(warned, signer, "revoke", when).notices[-1]


@pytest.mark.parametrize("way", ["an envelope", "a restart", "another party"])
def test_shares_are_destroyed_whichever_way_a_revocation_came(federation, way):
    hub, task = holding_shares(federation)
    hub._register.take([said(federation, "revoke")])

    if way == "an envelope":
        hub.accept("coordinator", task)
    elif way == "a restart":
        hub.close()
        hub = federation.open_hub(HUB)
        hub.resume()
    else:
        hub.exchange(0, told())

    assert shares_of(hub)
    assert not any(shares_of(hub))


@pytest.mark.parametrize("beside", ["poison", "cut"])
def test_what_is_said_beside_a_revocation_saves_nothing_from_it(federation, beside):
    hub, _ = holding_shares(federation)
    site = federation.sites["b"]
    revoked = said(federation, "revoke") if beside == "poison" else cut(federation)
    notices = [poison(federation), revoked] if beside == "poison" else [revoked]

    hub.exchange(0, told(*notices))
    site.register.take(notices)
    site.heed()

    assert not any(shares_of(hub))
    assert site._store.rows("SELECT data FROM begun") == [(b"",)]


def test_a_site_destroys_what_a_revocation_in_an_envelopes_wake_is_about(federation):
    site = federation.sites["b"]
    site.handle(federation.begin("b").data)
    federation.notices.append(said(federation, "revoke"))

    assert federation.refusals(site.handle(federation.task("b").data))

    assert site._store.rows("SELECT data FROM begun") == [(b"",)]


def test_a_run_that_cannot_be_looked_at_keeps_no_other_and_is_told_once(federation):
    site, words = federation.sites["b"], []
    site._heeding.tell = words.append
    site.handle(federation.begin("b").data)
    site._store.write([("INSERT INTO begun VALUES ('a', '', '', x'00')", ())])
    site.register.take([said(federation, "revoke")])

    site.heed()
    site.heed()

    rows = site._store.rows("SELECT data FROM begun ORDER BY run")
    assert rows == [(b"\0",), (b"",)]
    assert len(words) == 1


def test_a_variation_binds_the_gate_of_a_site_that_heard_of_it(federation):
    site = federation.sites["b"]
    site.register.take([said(federation, "vary", change={"highest_grade": "1"})])

    (refused,) = federation.refusals(site.handle(federation.begin("b").data))

    assert refused.startswith("HT-413")


def test_a_suspension_destroys_nothing_and_is_lifted(federation):
    site = federation.sites["b"]
    site.handle(federation.begin("b").data)
    suspended = sign_notice(
        federation.bundle, federation.cast.identities["ethics-hk"], "suspend", START
    )
    site.register.take([suspended.notices[-1]])
    site.heed()
    assert federation.refusals(site.handle(federation.task("b").data))

    resumed = sign_notice(
        suspended, federation.cast.identities["ethics-hk"], "resume", START
    )
    site.register.take([resumed.notices[-1]])

    assert federation.refusals(site.handle(federation.begin("b", run="r-2").data)) == []


def test_a_revocation_is_heeded_after_the_file_that_brought_it_is_gone(federation):
    federation.notices.append(said(federation, "revoke"))
    site = federation.sites["b"]
    assert federation.refusals(site.handle(federation.begin("b").data))
    site.close()
    federation.notices.clear()

    again = federation.open_site("b")

    refused = federation.refusals(again.handle(federation.begin("b", run="2").data))
    assert refused


def test_a_site_out_of_touch_stops_after_a_lease(federation):
    site = federation.sites["b"]
    assert federation.refusals(site.handle(federation.begin("b").data)) == []
    federation.clock.now = START + datetime.timedelta(hours=24)

    (refused,) = federation.refusals(site.handle(federation.task("b").data))

    assert refused.startswith("HT-306")


def test_a_renewal_that_was_heard_lets_a_site_go_on(federation):
    site = federation.sites["b"]
    site.handle(federation.begin("b").data)
    federation.clock.now = START + datetime.timedelta(hours=23)
    renewed = federation.cast.renewed(federation.bundle, federation.clock())
    site.register.take(renewed.notices)
    federation.clock.now = START + datetime.timedelta(hours=25)

    assert federation.refusals(site.handle(federation.task("b").data)) == []


# --- gossip ---------------------------------------------------------------------------
@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(gossiping, "GOSSIP_SECONDS", 0.01)


def test_a_notice_in_one_sites_folder_reaches_every_site(federation, quick):
    notice = said(federation, "revoke")

    sites = list(federation.sites.values())

    async def talk():
        exchange = Exchange(federation.hubs)
        talks = [
            gossip(
                site.register,
                site.hubs,
                exchange.transport(site.name),
                lambda _: None,
                lambda: None,
            )
            for site in sites
        ]
        tasks = [asyncio.create_task(one) for one in talks]
        sites[0].register.take([notice])
        while not all(site.register.after(0).notices for site in sites):
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(asyncio.wait_for(talk(), 20))

    for site in federation.sites.values():
        assert site.register.after(0).notices == (notice,)


def test_a_coordinator_that_waits_ends_as_soon_as_the_permit_does(federation, quick):
    """Nobody answers it; the revocation comes through a hub."""

    async def run():
        exchange = Exchange(federation.hubs)
        way, desk = exchange.transport("coordinator"), federation.desk()
        coordinator = Coordinator(desk, federation.study, federation.bundle, way)
        waiting = asyncio.create_task(coordinator.answer())
        await asyncio.sleep(0.05)
        federation.hubs[HUB].exchange(0, told(said(federation, "revoke")))
        try:
            await asyncio.wait_for(waiting, 20)
        finally:
            coordinator.close()

    with pytest.raises(NotApproved, match="revoke"):
        asyncio.run(run())


# --- the switch and the clock ---------------------------------------------------------
def test_a_site_that_was_stopped_answers_nothing_and_logs_that_it_was_asked(federation):
    site = federation.sites["b"]
    folder = federation.setup("b").folder
    assert guard.stop(folder, START, "a complaint of ward 7")

    (refused,) = federation.refusals(site.handle(federation.begin("b").data))
    assert refused.startswith("HT-308")
    assert "ward" not in refused
    assert json.loads(federation.log_entries(site)[-2])["what"] == "refused"

    assert guard.go(folder)
    posts = site.handle(federation.begin("b", run="run-2").data)
    assert federation.refusals(posts) == []


def test_what_was_computed_when_the_switch_was_thrown_is_not_sent(federation):
    site, folder = federation.sites["b"], federation.setup("b").folder
    site.handle(federation.begin("b").data)
    prepared = site._prepared

    def slow(run, name):
        guard.stop(folder, START, "")
        return prepared(run, name)

    site._prepared = slow

    assert federation.refusals(site.handle(federation.task("b").data))


class Away:
    """A way to hubs that are away until told to come back; one envelope waits."""

    def __init__(self, *waiting):
        self.waiting, self.posted = list(enumerate(waiting, 1)), []
        self.tried, self.back = asyncio.Event(), asyncio.Event()

    async def inbox(self, _hub, after, *_):
        if items := tuple(one for one in self.waiting if one[0] > after):
            return Inbox("epoch", items)
        return await asyncio.Event().wait()

    async def post(self, _hub, data):
        self.tried.set()
        await self.back.wait()
        self.posted.append(parse_envelope(data).header.kind)

    async def exchange(self, *_):
        return await asyncio.Event().wait()

    report = exchange


@pytest.mark.parametrize(
    "way", ["nothing", "stop", "revoke", "suspend", "resume", "lapse"]
)
def test_an_answer_that_a_hub_was_away_for_is_held_back(federation, monkeypatch, way):
    """The cable is cut, the switch is thrown, the cable is put back."""
    monkeypatch.setattr("hetao.federation.attend.LOOK_SECONDS", 0.02)
    site, folder = federation.sites["b"], federation.setup("b").folder
    site.handle(federation.begin("b").data)
    away, words = Away(federation.task("b").data), []
    key = federation.cast.identities["ethics-hk"]
    suspended = sign_notice(federation.bundle, key, "suspend", START)
    resumed = sign_notice(suspended, key, "resume", START)

    async def cut():
        work = asyncio.create_task(
            attend(site, federation.home("b"), away, words.append)
        )
        await away.tried.wait()
        if way == "stop":
            guard.stop(folder, START, "")
        elif way == "revoke":
            site.register.take([said(federation, "revoke")])
            site.heed()
        elif way in ("suspend", "resume"):
            site.register.take(suspended.notices)
            site.heed()
        elif way == "lapse":
            federation.clock.pass_seconds(25 * 3600)
        while way != "nothing" and not words:
            await asyncio.sleep(0.01)
        away.back.set()
        if way == "resume":
            site.register.take(resumed.notices)
        elif way == "suspend":  # what is asked expires at last, and is refused
            federation.clock.pass_seconds(3600)
        while site.answers.cursor(federation.home("b"))[1] < 1:
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(cut())

    assert ("share" in away.posted) is (way in ("nothing", "resume"))
    assert bool(words) is (way != "nothing")


@pytest.mark.parametrize(("minutes", "answers"), [(4, True), (6, False), (110, False)])
def test_a_clock_that_is_set_back_lets_nothing_out(federation, minutes, answers):
    site, later = federation.sites["b"], START + datetime.timedelta(hours=2)
    federation.clock.now = later
    site.handle(federation.begin("b").data)
    site.close()

    federation.clock.now = later - datetime.timedelta(minutes=minutes)
    again = federation.open_site("b")

    refused = federation.refusals(again.handle(federation.task("b").data))
    assert bool(refused) is not answers
    assert all("clock was set back" in text for text in refused)
