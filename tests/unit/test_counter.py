"""A hub's counter: what is handed in together is taken together, each by itself."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hetao.errors import BadSignature, Replayed
from hetao.federation.counter import Counter
from hetao.ledger.envelope import parse_envelope

HUB = "hub-hk"


def soon(waiting):
    """Run what must not wait for ever."""
    return asyncio.run(asyncio.wait_for(waiting, 20))


def test_what_a_hub_refused_is_told_to_who_handed_it_in(federation):
    hub = federation.open_hub(HUB)
    forged = replace(federation.begin(HUB), signature=bytes(64)).data

    with pytest.raises(BadSignature):
        soon(Counter(hub).hand_in("coordinator", forged))


class EndedError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("fault", [OSError, EndedError])
def test_a_fault_while_taking_is_told_to_everybody_and_an_end_goes_on(
    federation, fault
):
    """An error is theirs who wait; what ends the process ends the loop too."""
    counter = Counter(federation.open_hub(HUB))
    letters = [federation.begin(name).data for name in "ab"]

    def fails(posts):
        raise fault

    counter.hub.accept_all = fails

    async def hand_in():
        posts = [counter.hand_in("coordinator", data) for data in letters]
        tasks = [asyncio.create_task(post) for post in posts]
        await asyncio.sleep(0)
        ended = None
        try:
            counter.close()
        except EndedError as error:
            ended = error
        counter.hub.accept_all = lambda posts: []
        return ended, await asyncio.gather(*tasks, return_exceptions=True)

    ended, told = soon(hand_in())

    assert [type(one) for one in told] == [fault, fault]
    assert (ended is None) == (fault is OSError)


def test_a_letter_to_somebody_who_never_asked_rings_nobody(federation):
    hub = federation.open_hub(HUB)

    assert soon(Counter(hub).hand_in("coordinator", federation.begin("a").data)) is None

    assert len(hub.waiting("a", 0).items) == 1


def test_a_refused_post_does_not_touch_those_handed_in_beside_it(federation):
    hub = federation.hubs[HUB]
    good = federation.begin(HUB).data
    other = federation.begin(HUB, run="run-2")
    forged = replace(other, signature=bytes(64)).data
    counter = Counter(hub)

    async def hand_in():
        posts = [counter.hand_in("coordinator", d) for d in (forged, good, good)]
        return await asyncio.gather(*posts, return_exceptions=True)

    first, second, third = soon(hand_in())

    assert isinstance(first, BadSignature)
    assert (second, third) == (None, None)
    waiting = hub.waiting(HUB, 0).items
    assert [parse_envelope(data).digest for _, data in waiting] == [
        parse_envelope(good).digest
    ]


def test_posts_of_one_moment_are_one_entry_of_the_log_each_and_one_commit(federation):
    hub = federation.hubs[HUB]
    posts = [federation.begin(name).data for name in federation.sites]
    taken = []
    accept_all = hub.accept_all
    hub.accept_all = lambda batch: taken.append(len(batch)) or accept_all(batch)
    before, counter = hub._log.size, Counter(hub)

    async def hand_in():
        await asyncio.gather(*(counter.hand_in("coordinator", d) for d in posts))

    soon(hand_in())

    assert taken == [len(posts)]
    assert hub._log.size == before + len(posts)


def test_a_letter_wakes_its_recipient_and_a_closed_counter_everybody(federation):
    counter = Counter(federation.hubs[HUB])
    to_a = federation.begin("a").data

    async def wait():
        polls = [
            asyncio.create_task(counter.collect(name, 0, "", 60.0)) for name in "ab"
        ]
        await asyncio.sleep(0)
        await counter.hand_in("coordinator", to_a)
        found = await polls[0]
        still_waiting = not polls[1].done()
        counter.close()
        return found, still_waiting, await polls[1]

    found, still_waiting, nothing = soon(wait())

    assert [data for _, data in found.items] == [to_a]
    assert still_waiting
    assert nothing.items == ()


def test_who_collects_waits_for_what_is_left_of_the_time_and_no_longer(
    federation, monkeypatch
):
    times, waited = iter([100.0, 100.5, 101.0]), []  # begun, and each look
    shim = SimpleNamespace(
        Event=asyncio.Event,
        get_running_loop=lambda: SimpleNamespace(time=lambda: next(times)),
        timeout=lambda left: waited.append(left) or asyncio.timeout(0),
    )
    monkeypatch.setattr("hetao.federation.counter.asyncio", shim)

    inbox = soon(Counter(federation.hubs[HUB]).collect("a", 0, "", 1.0))

    assert waited == [0.5]
    assert inbox.items == ()


def test_two_envelopes_for_one_place_in_one_batch_are_a_replay(federation):
    hub = federation.hubs[HUB]
    first, second = (federation.begin(HUB).data for _ in range(2))

    refusals = hub.accept_all([("coordinator", first), ("coordinator", second)])

    assert refusals[0] is None
    assert isinstance(refusals[1], Replayed)
