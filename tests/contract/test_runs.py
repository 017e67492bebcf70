"""A whole study over every transport: a kill, a loss or a delay changes nothing."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace

import pytest

from hetao.canonical import parse_canonical
from hetao.errors import HetaoError, Stopped, Unreachable
from hetao.federation.certify import certify, package_of, recompute
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.envelope import parse_envelope
from hetao.permit import format_time
from support_transport import (
    HUBS,
    InprocNet,
    Killed,
    Mortal,
    Stage,
    findings_of,
    now,
    play,
    study_of,
    sums_of,
)

ABC = study_of("abc")


def assert_same_answer(outcome, undisturbed):
    """The exact integers are the same, and so is every bit of every finding."""
    assert sums_of(outcome) == sums_of(undisturbed)
    assert findings_of(outcome) == findings_of(undisturbed)


def assert_computed_once(stage, outcome, sites):
    tasks = {one.task: 1 for one in (*outcome.rounds, *outcome.counts)}
    for site in sites:
        records = [json.loads(entry).get("body", {}) for entry in stage.log_of(site)]
        sums = Counter(body["task"] for body in records if body.get("kind") == "sum")
        assert sums == tasks


async def certified(coordinator, outcome, stage):
    """Certify a run and let a stranger verify it."""
    votes = stage.net.cast.reviewed(outcome.bundle, package_of(outcome), now())
    certificate = await certify(coordinator, outcome, format_time(now()), votes)
    verify_certificate(certificate, stage.net.cast.directory)
    return recompute(parse_canonical(certificate))


async def until_dead(task):
    with pytest.raises(Killed):
        await task


# --- nothing goes wrong ------------------------------------------------------------
def test_the_transport_does_not_change_the_answer(on_stage, undisturbed):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("abc")
            coordinator = stage.coordinator()

            outcome = await coordinator.answer()

            assert_same_answer(outcome, undisturbed)
            assert_computed_once(stage, outcome, "abc")
            assert outcome.lost == {}
            said = await certified(coordinator, outcome, stage)
            assert said == "2 findings follow from the certified integers"

    on_stage(scene)


# --- hubs ----------------------------------------------------------------------------
def test_a_hub_restarted_in_mid_run_is_not_noticed(on_stage, undisturbed):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("abc")
            reached = stage.when("model: round 3")
            coordinator = stage.coordinator()
            answering = asyncio.create_task(coordinator.answer())
            await reached.wait()

            await net.stop("hub-hk")
            await asyncio.sleep(0.2)
            await net.start("hub-hk")

            outcome = await answering
            assert_same_answer(outcome, undisturbed)
            assert_computed_once(stage, outcome, "abc")
            await certified(coordinator, outcome, stage)

    on_stage(scene)


def test_both_hubs_restarted_round_after_round_are_not_noticed(on_stage, undisturbed):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("abc")
            rounds = [stage.when(f"model: round {i}") for i in (1, 2, 3)]
            coordinator = stage.coordinator()
            answering = asyncio.create_task(coordinator.answer())

            for reached in rounds:
                await reached.wait()
                for hub in HUBS:
                    await net.stop(hub)
                for hub in HUBS:
                    await net.start(hub)

            outcome = await answering
            assert_same_answer(outcome, undisturbed)
            await certified(coordinator, outcome, stage)

    on_stage(scene)


# --- sites ---------------------------------------------------------------------------
# A site posts 1 answer to begin, then 2 shares and 1 receipt for each round.
@pytest.mark.parametrize(
    ("posts", "before"),
    [(1, True), (9, True), (10, False)],
    ids=["ready kept", "half sent", "sent, place not kept"],
)
def test_a_site_killed_in_mid_run_goes_on_where_it_was(
    on_stage, undisturbed, posts, before
):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("ac")
            first = stage.work("b", Mortal(net.transport("b"), posts, before=before))
            coordinator = stage.coordinator()
            answering = asyncio.create_task(coordinator.answer())
            await until_dead(first)

            stage.work("b")

            outcome = await answering
            assert_same_answer(outcome, undisturbed)
            assert_computed_once(stage, outcome, "abc")
            await certified(coordinator, outcome, stage)

    on_stage(scene)


def test_sites_killed_again_and_again_get_to_the_same_answer(on_stage, undisturbed):
    async def attend_with_deaths(stage, site, posts):
        while True:
            way = Mortal(stage.net.transport(site), posts, before=posts % 2 == 0)
            await asyncio.wait([stage.work(site, way)])

    async def scene(net):
        async with Stage(net, ABC) as stage:
            # each life must see one whole answer, of up to three posts, through
            lives = [
                asyncio.create_task(attend_with_deaths(stage, site, posts))
                for site, posts in zip("abc", (4, 5, 6), strict=True)
            ]
            try:
                outcome = await stage.coordinator().answer()
            finally:
                for life in lives:
                    life.cancel()
                await asyncio.gather(*lives, return_exceptions=True)

            assert_same_answer(outcome, undisturbed)
            assert_computed_once(stage, outcome, "abc")

    on_stage(scene)


# --- the coordinator -----------------------------------------------------------------
# It posts begin to 5 parties, then each round's task to 5, then finish to 3.
@pytest.mark.parametrize(
    ("posts", "before"),
    [(3, True), (10, False), (18, True)],
    ids=["while beginning", "waiting for a sum", "half asked"],
)
def test_a_coordinator_killed_in_mid_run_resumes_the_same_run(
    on_stage, undisturbed, posts, before
):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("abc")
            way = Mortal(net.transport("coordinator"), posts, before=before)
            first = stage.coordinator(way)
            await until_dead(asyncio.create_task(first.answer()))

            second = stage.coordinator()
            outcome = await second.answer()

            assert second.run == first.run
            assert_same_answer(outcome, undisturbed)
            assert_computed_once(stage, outcome, "abc")
            await certified(second, outcome, stage)

    on_stage(scene)


def test_a_coordinator_killed_before_it_certifies_finds_the_answer_again(
    on_stage, undisturbed
):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("abc")
            first = stage.coordinator()
            await first.answer()

            second = stage.coordinator()
            outcome = await second.answer()

            assert second.run == first.run
            assert_same_answer(outcome, undisturbed)
            assert_computed_once(stage, outcome, "abc")
            await certified(second, outcome, stage)

    on_stage(scene)


@pytest.mark.parametrize("posts", [1, 2])
def test_a_coordinator_killed_while_it_certifies_can_certify_again(tmp_path, posts):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.work_all("abc")
            first = stage.coordinator()
            outcome = await first.answer()
            first._mail._transport = Mortal(first._mail._transport, posts, before=False)
            await until_dead(asyncio.create_task(certified(first, outcome, stage)))

            second = stage.coordinator()
            outcome = await second.answer()

            await certified(second, outcome, stage)

    play(InprocNet, tmp_path, scene)


# --- silence -------------------------------------------------------------------------
def test_a_silent_site_is_named_within_the_deadline_and_may_come_later(
    on_stage, undisturbed
):
    study = study_of("abc", on_lost_site="stop", deadline_seconds=2)

    async def scene(net):
        async with Stage(net, study) as stage:
            stage.work_all("ac")
            first = stage.coordinator()
            start = time.monotonic()

            with pytest.raises(Unreachable, match=r"^HT-500: b did not answer begin"):
                await first.answer()

            assert 1.5 < time.monotonic() - start < 6
            assert not any(worker.done() for worker in stage.workers)
            stage.work("b")
            second = stage.coordinator()
            outcome = await second.answer()
            assert second.run == first.run
            assert_same_answer(outcome, undisturbed)

    on_stage(scene)


def test_a_site_that_falls_silent_in_mid_run_is_named(on_stage):
    study = study_of("abc", deadline_seconds=2)

    async def scene(net):
        async with Stage(net, study) as stage:
            stage.work_all("ac")
            stage.work("b", Mortal(net.transport("b"), 8, before=True))

            with pytest.raises(Unreachable, match=r"^HT-500: b did not answer"):
                await stage.coordinator().answer()

    on_stage(scene)


def test_a_study_that_says_continue_goes_on_without_a_silent_site(on_stage):
    study = study_of("abcd", on_lost_site="continue", deadline_seconds=3)

    async def scene(net):
        async with Stage(net, study) as stage:
            stage.work_all("abc")
            coordinator = stage.coordinator()

            outcome = await coordinator.answer()

            assert list(outcome.lost) == ["d"]
            assert "d did not answer begin" in outcome.lost["d"]
            assert all(answer.members == tuple("abc") for answer in outcome.answers)
            await certified(coordinator, outcome, stage)

    on_stage(scene, sites="abcd")


def test_a_site_that_answers_late_gives_no_second_sum_to_subtract(tmp_path):
    study = study_of("abcd", on_lost_site="continue", deadline_seconds=3)
    study = replace(study, analyses=(study.analysis("model"),))

    async def scene(net):
        async with Stage(net, study) as stage:
            stage.work_all("abc")
            late = Late(net.transport("d"), 1)  # ready, and then the sum of `model`
            stage.work("d", late)
            coordinator = stage.coordinator()
            outcome = await coordinator.answer()
            assert list(outcome.lost) == ["d"]
            await certified(coordinator, outcome, stage)

            late.released.set()
            await late.caught_up.wait()

            for hub in HUBS:
                sent = await headers_at(net, hub, "coordinator")
                opened = [h.task for h in sent if h.kind == "total"]
                assert "model/2/0" in opened
                assert "model/1/0" not in opened

    play(InprocNet, tmp_path, scene, sites="abcd")


def test_a_site_that_a_complete_finding_counts_is_waited_for(tmp_path):
    """Without its log the finding has no proof, and the run no certificate."""
    study = study_of("abcd", on_lost_site="continue", deadline_seconds=3)

    async def scene(net):
        async with Stage(net, study) as stage:
            stage.work_all("abc")
            late = Late(net.transport("d"), 4)  # ready, three posts for `people`
            stage.work("d", late)
            with pytest.raises(Unreachable, match="d did not answer model/1/0"):
                await stage.coordinator().answer()

            late.released.set()
            await late.caught_up.wait()
            coordinator = stage.coordinator()
            outcome = await coordinator.answer()

            assert not outcome.lost
            assert all(one.members == tuple("abcd") for one in outcome.answers)
            await certified(coordinator, outcome, stage)

    play(InprocNet, tmp_path, scene, sites="abcd")


class Late:
    """A way to the hubs that holds back the three posts after the n-th."""

    def __init__(self, inner, posts):
        self.inner, self.left, self.held = inner, posts, 3
        self.released, self.caught_up = asyncio.Event(), asyncio.Event()

    async def post(self, hub, data):
        self.left -= 1
        if self.left >= 0:
            await self.inner.post(hub, data)
            return
        await self.released.wait()
        await self.inner.post(hub, data)
        self.held -= 1
        if self.held == 0:
            self.caught_up.set()

    async def inbox(self, hub, after, run="", wait_seconds=25.0):
        return await self.inner.inbox(hub, after, run, wait_seconds)

    async def exchange(self, hub, after, data):
        return await self.inner.exchange(hub, after, data)

    async def report(self, hub, data):
        return await self.inner.report(hub, data)


async def headers_at(net, hub, party):
    way, found, after = net.transport(party), [], 0
    while (inbox := await way.inbox(hub, after, "", 0)).items:
        found += [parse_envelope(data).header for _, data in inbox.items]
        after = inbox.items[-1][0]
    return found


# --- refusal -------------------------------------------------------------------------
def test_a_protocol_outside_the_permit_is_refused_by_the_sites(on_stage):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.permit_only("counts")
            stage.work_all("abc")

            with pytest.raises(Stopped, match=r"refused model/1/0: HT-304") as stopped:
                await stage.coordinator().answer()

            assert isinstance(stopped.value, HetaoError)
            logged = [json.loads(e) for site in "abc" for e in stage.log_of(site)]
            assert not any(
                e.get("body", {}).get("analysis") == "model"
                and e["body"]["kind"] == "sum"
                for e in logged
            )

    on_stage(scene)


def test_a_site_goes_on_after_it_refused(on_stage, undisturbed):
    async def scene(net):
        async with Stage(net, ABC) as stage:
            stage.permit_only("counts")
            stage.work_all("abc")
            with pytest.raises(Stopped):
                await stage.coordinator().answer()
            stage.permit_all()

            outcome = await stage.coordinator().answer()

            assert_same_answer(outcome, undisturbed)

    on_stage(scene)
