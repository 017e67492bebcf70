"""What every transport does with envelopes, whatever carries them."""

import asyncio
import secrets
import time
from dataclasses import replace

import numpy as np
import pytest

from hetao.errors import (
    BadEnvelope,
    BadSignature,
    NotAParty,
    OutOfTime,
    Refused,
    Replayed,
    Unreachable,
)
from hetao.federation.heartbeat import Heartbeat
from hetao.federation.replica import SCHEMA, Replica
from hetao.federation.store import Store
from hetao.ledger.envelope import LARGEST_ENVELOPE, parse_envelope, seal
from hetao.ledger.log import Log
from hetao.permit import new_identity
from support_transport import HUBS, NOTHING, letter

HK, SZ = HUBS


async def posted(net, *envelopes, hub=HK):
    """Post envelopes, each by its own sender, one after the other."""
    ways = {e.header.sender: net.transport(e.header.sender) for e in envelopes}
    for envelope in envelopes:
        await ways[envelope.header.sender].post(hub, envelope.data)


async def waiting(net, party, after=0, hub=HK, run=""):
    """Return the envelopes that wait for a party now, over as many polls as needed."""
    way, found = net.transport(party), []
    while True:
        inbox = await way.inbox(hub, after, run, 0)
        if not inbox.items:
            return found
        found += inbox.items
        after = inbox.items[-1][0]


def tasks(items):
    return [parse_envelope(data).header.task for _, data in items]


# --- delivery ------------------------------------------------------------------------
def test_an_envelope_reaches_its_recipient_with_its_very_bytes(on_stage):
    async def scene(net):
        sent = letter(net.cast, "a", "coordinator", b"for you alone")

        await posted(net, sent)

        ((_, data),) = await waiting(net, "coordinator")
        assert data == sent.data
        received = parse_envelope(data)
        received.verify(net.cast.directory["a"])
        opened = received.open(net.cast.identities["coordinator"])
        assert opened == b"for you alone"

    on_stage(scene)


def test_nobody_but_its_recipient_gets_an_envelope(on_stage):
    async def scene(net):
        await posted(net, letter(net.cast, "a", "coordinator"))

        for other in ("a", "b", "c", *HUBS):
            assert await waiting(net, other) == []
        assert await waiting(net, "coordinator", hub=SZ) == []

    on_stage(scene)


def test_envelopes_come_in_the_order_of_posting(on_stage):
    async def scene(net):
        names = [f"t{i}" for i in range(40)]  # more than one answer holds

        await posted(
            net, *(letter(net.cast, "a", "coordinator", task=name) for name in names)
        )

        found = await waiting(net, "coordinator")
        places = [place for place, _ in found]
        assert tasks(found) == names
        assert places == sorted(set(places))

    on_stage(scene)


def test_a_cursor_gives_what_lies_past_it_and_may_go_back(on_stage):
    async def scene(net):
        names = [f"t{i}" for i in range(5)]
        await posted(
            net, *(letter(net.cast, "a", "coordinator", task=name) for name in names)
        )
        everything = await waiting(net, "coordinator")
        middle = everything[2][0]

        rest = await waiting(net, "coordinator", after=middle)

        assert rest == everything[3:]
        assert await waiting(net, "coordinator", after=everything[-1][0]) == []
        assert await waiting(net, "coordinator", after=0) == everything

    on_stage(scene)


def test_a_poll_for_one_run_gives_that_run_only(on_stage):
    async def scene(net):
        await posted(
            net,
            letter(net.cast, "a", "coordinator", task="one", run="1" * 32),
            letter(net.cast, "a", "coordinator", task="two", run="2" * 32),
        )

        found = await waiting(net, "coordinator", run="2" * 32)

        assert tasks(found) == ["two"]

    on_stage(scene)


def test_what_is_posted_twice_arrives_once(on_stage):
    async def scene(net):
        sent = letter(net.cast, "a", "coordinator")

        await posted(net, sent, sent)
        await posted(net, sent)

        assert len(await waiting(net, "coordinator")) == 1

    on_stage(scene)


def test_what_is_posted_twice_at_once_arrives_once(on_stage):
    async def scene(net):
        sent = letter(net.cast, "a", "coordinator")
        ways = [net.transport("a") for _ in range(4)]

        await asyncio.gather(*(way.post(HK, sent.data) for way in ways))

        assert len(await waiting(net, "coordinator")) == 1

    on_stage(scene)


def test_several_senders_in_any_order_lose_and_mix_nothing(on_stage):
    async def scene(net):
        letters = [
            letter(
                net.cast, sender, "coordinator", f"{sender}{i}".encode(), task=f"{i}"
            )
            for sender in "abc"
            for i in range(8)
        ]
        np.random.default_rng(3).shuffle(letters)
        ways = {sender: net.transport(sender) for sender in "abc"}

        await asyncio.gather(*(ways[e.header.sender].post(HK, e.data) for e in letters))

        found = [parse_envelope(d) for _, d in await waiting(net, "coordinator")]
        assert {e.digest for e in found} == {e.digest for e in letters}
        assert len(found) == len(letters)
        me = net.cast.identities["coordinator"]
        for envelope in found:
            header = envelope.header
            assert envelope.open(me) == f"{header.sender}{header.task}".encode()

    on_stage(scene)


def test_eight_megabytes_go_through_intact(on_stage):
    async def scene(net):
        content = secrets.token_bytes(8 * 2**20)

        await posted(net, letter(net.cast, "a", "coordinator", content))

        ((_, data),) = await waiting(net, "coordinator")
        opened = parse_envelope(data).open(net.cast.identities["coordinator"])
        assert opened == content

    on_stage(scene)


def test_what_a_hub_took_on_outlives_it(on_stage):
    async def scene(net):
        sent = letter(net.cast, "a", "coordinator")
        await posted(net, sent)
        before = await net.transport("coordinator").inbox(HK, 0, "", 0)

        await net.stop(HK)
        await net.start(HK)

        after = await net.transport("coordinator").inbox(HK, 0, "", 0)
        assert after == before
        await posted(net, sent)
        assert await waiting(net, "coordinator") == list(before.items)

    on_stage(scene)


# --- refusal -------------------------------------------------------------------------
def test_a_bad_signature_is_refused(on_stage):
    async def scene(net):
        good = letter(net.cast, "a", "coordinator")
        flipped = bytes([good.signature[0] ^ 1]) + good.signature[1:]

        with pytest.raises(BadSignature):
            await posted(net, replace(good, signature=flipped))

        assert await waiting(net, "coordinator") == []

    on_stage(scene)


def test_a_signature_by_another_key_is_refused(on_stage):
    async def scene(net):
        coordinator = net.cast.directory["coordinator"]
        header = letter(net.cast, "a", "coordinator").header
        forged = seal(new_identity("a"), coordinator, header, b"content")

        with pytest.raises(BadSignature):
            await posted(net, forged)

        assert await waiting(net, "coordinator") == []

    on_stage(scene)


@pytest.mark.parametrize("field", ["task", "run", "not_after", "recipient", "study"])
def test_a_header_changed_after_signing_is_refused(on_stage, field):
    async def scene(net):
        good = letter(net.cast, "a", "coordinator")
        changed = {
            "task": "u",
            "run": "0" * 32,
            "not_after": "2099-01-01T00:00:00Z",
            "recipient": "b",
            "study": NOTHING.replace("0", "1"),
        }
        header = replace(good.header, **{field: changed[field]})

        with pytest.raises(BadSignature):
            await posted(net, replace(good, header=header))

    on_stage(scene)


def test_a_payload_changed_after_signing_is_refused(on_stage):
    async def scene(net):
        good = letter(net.cast, "a", "coordinator")

        with pytest.raises(BadEnvelope):
            await posted(net, replace(good, payload=good.payload + b"\0"))

    on_stage(scene)


def test_an_envelope_to_an_unknown_party_is_refused(on_stage):
    async def scene(net):
        stranger = new_identity("stranger").party("HK", "site", "nobody")
        header = letter(net.cast, "a", "coordinator").header
        sent = seal(net.cast.identities["a"], stranger, header, b"content")

        with pytest.raises(Refused, match="stranger"):
            await posted(net, sent)

    on_stage(scene)


def test_no_party_posts_in_the_name_of_another(on_stage):
    async def scene(net):
        of_b = letter(net.cast, "b", "coordinator")

        with pytest.raises(NotAParty):
            await net.transport("a").post(HK, of_b.data)

        assert await waiting(net, "coordinator") == []

    on_stage(scene)


def test_an_envelope_past_its_time_is_refused(on_stage):
    async def scene(net):
        with pytest.raises(OutOfTime):
            await posted(net, letter(net.cast, "a", "coordinator", minutes=-0.1))

        assert await waiting(net, "coordinator") == []

    on_stage(scene)


def test_other_bytes_in_a_place_already_taken_are_refused(on_stage):
    async def scene(net):
        first = letter(net.cast, "a", "coordinator", b"first")
        second = letter(net.cast, "a", "coordinator", b"second")
        await posted(net, first)

        with pytest.raises(Replayed):
            await posted(net, second)

        assert [d for _, d in await waiting(net, "coordinator")] == [first.data]

    on_stage(scene)


def test_an_unlisted_kind_is_refused(on_stage):
    async def scene(net):
        with pytest.raises(BadEnvelope):
            await posted(net, letter(net.cast, "a", "coordinator", kind="gossip"))

    on_stage(scene)


@pytest.mark.parametrize(
    "data",
    [b"", b"HTE1", b"nonsense" * 40, b"HTE1\xff\xff\xff\xff" + bytes(200)],
    ids=["empty", "magic", "text", "length"],
)
def test_bytes_that_are_no_envelope_are_refused_and_the_hub_lives_on(on_stage, data):
    async def scene(net):
        with pytest.raises(BadEnvelope):
            await net.transport("a").post(HK, data)

        await posted(net, letter(net.cast, "a", "coordinator"))
        assert len(await waiting(net, "coordinator")) == 1

    on_stage(scene)


def test_an_envelope_over_the_limit_is_refused_and_the_hub_lives_on(on_stage):
    async def scene(net):
        with pytest.raises(Refused):
            await net.transport("a").post(HK, bytes(LARGEST_ENVELOPE + 2**21))

        await posted(net, letter(net.cast, "a", "coordinator"))
        assert len(await waiting(net, "coordinator")) == 1

    on_stage(scene)


# --- waiting -------------------------------------------------------------------------
def test_a_poll_returns_promptly_once_something_comes(on_stage):
    async def scene(net):
        way = net.transport("coordinator")
        await way.inbox(HK, 0, "", 0)  # connected
        poll = asyncio.create_task(way.inbox(HK, 0, "", 20))
        await asyncio.sleep(0.3)
        assert not poll.done()
        start = time.monotonic()

        await posted(net, letter(net.cast, "a", "coordinator"))
        inbox = await poll

        assert len(inbox.items) == 1
        assert time.monotonic() - start < 2

    on_stage(scene)


def test_a_poll_comes_back_empty_after_its_wait(on_stage):
    async def scene(net):
        way = net.transport("coordinator")
        await way.inbox(HK, 0, "", 0)
        start = time.monotonic()

        inbox = await way.inbox(HK, 0, "", 0.5)

        assert inbox.items == ()
        assert 0.45 < time.monotonic() - start < 3

    on_stage(scene)


def test_news_for_another_does_not_end_a_poll(on_stage):
    async def scene(net):
        poll = asyncio.create_task(net.transport("b").inbox(HK, 0, "", 1.0))
        await asyncio.sleep(0.3)

        await posted(net, letter(net.cast, "a", "coordinator"))
        await asyncio.sleep(0.2)

        assert not poll.done()
        assert (await poll).items == ()

    on_stage(scene)


def test_a_poll_that_is_cancelled_ends_even_as_news_comes(on_stage):
    async def scene(net):
        async def attend(way):
            after = 0
            while True:
                for place, _ in (await way.inbox(HK, after, "", 20)).items:
                    after = place

        ways = [net.transport(party) for party in ("a", "b", "c", "coordinator")]
        for ticks in range(10):
            polls = [asyncio.create_task(attend(way)) for way in ways]
            await asyncio.sleep(0.05)
            await posted(net, letter(net.cast, "a", "coordinator", task=f"{ticks}"))

            for _ in range(ticks):
                await asyncio.sleep(0)
            for poll in polls:
                poll.cancel()

            _, hanging = await asyncio.wait(polls, timeout=2)
            for poll in hanging:
                poll.cancel()
            assert not hanging

    on_stage(scene)


def test_a_hub_that_comes_back_in_time_is_not_missed(on_stage):
    async def scene(net):
        coordinator, site = net.transport("coordinator"), net.transport("a")
        poll = asyncio.create_task(coordinator.inbox(HK, 0, "", 20))
        await asyncio.sleep(0.2)
        await net.stop(HK)
        sent = letter(net.cast, "a", "coordinator")
        post = asyncio.create_task(site.post(HK, sent.data))
        await asyncio.sleep(0.3)
        assert not post.done()
        assert not poll.done()

        await net.start(HK)

        await post
        inbox = await poll or await coordinator.inbox(HK, 0, "", 5)
        assert [data for _, data in inbox.items] == [sent.data]

    on_stage(scene)


def test_a_hub_that_stays_away_is_named(on_stage):
    async def scene(net):
        way = net.transport("a")
        sent = letter(net.cast, "a", "coordinator")
        await net.stop(HK)

        with pytest.raises(Unreachable, match=HK):
            await way.post(HK, sent.data)
        with pytest.raises(Unreachable, match=HK):
            await way.inbox(HK, 0, "", 1)

    on_stage(scene, patience_seconds=0.4)


def test_one_hub_away_leaves_the_other_at_work(on_stage):
    async def scene(net):
        await net.stop(SZ)

        await posted(net, letter(net.cast, "a", "coordinator"))

        assert len(await waiting(net, "coordinator")) == 1

    on_stage(scene)


def test_a_way_that_is_closed_twice_is_closed(on_stage):
    async def scene(net):
        way = net.transport("a")
        await way.inbox(HK, 0, "", 0)

        await way.close()
        await way.close()

    on_stage(scene)


# --- records -------------------------------------------------------------------------
def test_what_a_log_holds_is_told_to_a_hub_and_the_hubs_own_comes_back(
    on_stage, tmp_path
):
    async def scene(net):
        await posted(net, letter(net.cast, "a", "coordinator"))
        identity = net.cast.identities["a"]
        with Log.open(tmp_path / "log", "a", identity.signing_key) as log:
            log.append([b"one", b"two"])
            replica = Replica(Store(None, SCHEMA), net.cast.directory, "a", tmp_path)
            said = []
            heart = Heartbeat(log, replica, net.transport("a"), said.append)

            await heart.beat(HUBS)

            assert said == []
            assert replica.size(HK) == 1
            assert net.hubs[HK].replica.size("a") == net.hubs[SZ].replica.size("a") == 2

    on_stage(scene)


def test_a_report_that_is_none_is_refused(on_stage):
    async def scene(net):
        with pytest.raises(Refused):
            await net.transport("a").report(HK, b"garbage")

    on_stage(scene)
