"""Everybody keeps everybody's records, and nobody can rewrite theirs alone."""

import asyncio
import base64
import dataclasses
import json
import random
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.errors import BadSignature, NotAParty, Unverified
from hetao.federation.heartbeat import MOST_EXCHANGES
from hetao.federation.reports import Report, answered, report_from
from hetao.ledger.account import MOST, Account, account_from, account_of
from hetao.ledger.fraud import read_fraud
from hetao.ledger.note import checkpoint_of, cosign
from hetao.ledger.policy import Policy
from support_records import (
    HUB,
    ROLES,
    Records,
    Way,
    cast,
    changed,
    fill,
    keys_of_cast,
    record,
    tampering,
)

IDENTITIES, TRUSTED = cast()
SECOND = MLDSA44PrivateKey.from_seed_bytes(b"\1" * 32)


@pytest.fixture
def records(tmp_path):
    made = Records(tmp_path, IDENTITIES, TRUSTED)
    yield made
    made.close()


def beat(records):
    asyncio.run(records.beat())


def keys_of(name):
    return keys_of_cast(TRUSTED, name)


def words_of(replica, origin):
    return [entry for _, entry in replica.records(origin)]


# --- Two threads --------------------------------------------------------------------
def test_whoever_writes_and_whoever_learns_do_not_wait_for_each_other(records):
    """One holds the pen and asks the copy; the other learns, and waits for the pen."""
    fill(records)
    hub = records.replicas[HUB]
    store, learns = hub._store, threading.Event()

    class Telling:
        def __getattr__(self, name):
            return getattr(store, name)

        def transaction(self):
            learns.set()
            return store.transaction()

    hub._store = Telling()

    def writes():
        with store.transaction():
            other.start()
            learns.wait(0.3)
            hub.notes()

    other = threading.Thread(target=hub.learn, args=((), (), HUB), daemon=True)
    one = threading.Thread(target=writes, daemon=True)
    one.start()
    for thread in (one, other):
        thread.join(5)
        assert not thread.is_alive()


# --- What is kept -------------------------------------------------------------------
def test_two_beats_give_every_party_everybody_elses_records(records):
    fill(records)
    beat(records)
    beat(records)

    for name, replica in records.replicas.items():
        for origin, log in records.logs.items():
            if origin != name:
                assert words_of(replica, origin) == log.entries(0, log.size)
    assert records.said == []


def test_a_beat_with_nothing_new_asks_the_disk_nothing(records):
    fill(records)
    beat(records)
    beat(records)
    asked = []
    for store in records.stores:
        store._db.set_trace_callback(asked.append)

    beat(records)

    assert set(asked) == {"BEGIN IMMEDIATE", "COMMIT"}  # of what is heard


@pytest.mark.parametrize("heard", [True, False])
def test_what_a_step_that_was_taken_back_kept_is_not_known(records, heard):
    """A disk may be full when other letters of the same step are kept."""
    fill(records)
    (hub, store), log = (records.replicas[HUB], records.stores[1]), records.logs["a"]
    told = account_of(log, 0, lambda _: True)

    def step():
        with store.transaction():
            hub.hear(told.note) if heard else hub.learn([told], (), "a")
            kept = (0, [told.note]) if heard else (5, [])
            assert (hub.size("a"), hub.notes()) == kept
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        step()

    assert (hub.size("a"), hub.notes()) == (0, [])
    hub.learn([told], (), "a")
    assert words_of(hub, "a") == log.entries(0, log.size)


def test_a_record_of_another_study_is_told_by_its_hash_alone(records):
    other = record(1, study="sha256:" + "6" * 64)
    payload = b'{"body":{"type":"hetao.release/2"}}'
    nameless = b'{"type":"hetao.entry/1","what":"dropped"}'
    records.logs["a"].append([record(0), other, payload, nameless, b"", b"\xff"])
    beat(records)
    beat(records)

    assert words_of(records.replicas[HUB], "a") == [record(0), other]
    assert words_of(records.replicas["b"], "a") == [record(0)]
    assert records.replicas["b"].size("a") == 6


def test_an_entry_too_deep_to_read_stops_no_later_report(records):
    deep = b'{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}"
    log = records.logs["a"]
    log.append([deep, record(0)])
    told = account_of(log, 0, lambda _: True)
    with_deep = dataclasses.replace(told, entries={0: deep, 1: record(0)})
    records.replicas[HUB].take(with_deep, "a")
    beat(records)
    beat(records)

    assert records.replicas[HUB].records("a") == [(1, record(0))]
    assert records.replicas["b"].size("a") == 2
    assert records.said == []


def test_a_redacted_record_stays_by_its_hash(records):
    fill(records)
    records.logs["a"].redact(2)
    beat(records)
    beat(records)

    kept = records.replicas["b"]
    assert [i for i, _ in kept.records("a")] == [0, 1, 3, 4]
    assert kept.size("a") == records.logs["a"].size
    assert records.said == []


def test_a_log_larger_than_a_message_is_told_in_several(records, monkeypatch):
    monkeypatch.setattr("hetao.ledger.account.MOST", 7)
    monkeypatch.setattr("hetao.federation.replica.MOST", 7)
    fill(records, 30)
    beat(records)
    beat(records)

    for name, replica in records.replicas.items():
        sizes = {other: 30 for other in ROLES if other != name}
        assert {other: replica.size(other) for other in sizes} == sizes
    assert MOST == 65_536


def _lies_about_our_log(records, lies):
    """Let the hub answer that it has so much of a's log, each time anew."""
    way = records.beats["a"]._transport
    asked = []

    async def report(hub, data):
        asked.append(hub)
        await asyncio.sleep(0)
        told = json.loads(await Way.report(way, hub, data))
        told["have"]["a"] = lies(len(asked))
        return json.dumps(told).encode()

    way.report = report
    return asked


def test_a_hub_that_takes_back_what_it_has_holds_no_beat_up(records):
    fill(records, 3)
    asked = _lies_about_our_log(records, lambda count: count % 2)

    asyncio.run(asyncio.wait_for(records.beats["a"].beat([HUB]), 20))

    assert len(asked) <= 3


def test_a_hub_that_always_has_a_little_more_gets_so_many_exchanges(records):
    fill(records, 3)
    asked = _lies_about_our_log(records, lambda count: 10 * count)

    asyncio.run(asyncio.wait_for(records.beats["a"].beat([HUB]), 20))

    assert len(asked) == MOST_EXCHANGES


def test_a_hub_that_never_answers_keeps_no_other_from_its_beats(records, monkeypatch):
    monkeypatch.setattr("hetao.federation.heartbeat.HEARTBEAT_SECONDS", 0.0)
    way, asked = records.beats["a"]._transport, []
    done = asyncio.Event()

    async def report(hub, data):
        asked.append(hub)
        if hub == "silent":
            await asyncio.Event().wait()
        if len(asked) > 20:
            done.set()
        return await Way.report(way, HUB, data)

    way.report = report

    async def kept():
        task = asyncio.create_task(records.beats["a"].keep(["silent", HUB]))
        await asyncio.wait_for(done.wait(), 20)
        task.cancel()

    asyncio.run(kept())
    assert asked.count("silent") == 1


def test_a_log_that_claims_more_than_it_tells_fills_nobodys_memory(
    records, monkeypatch
):
    monkeypatch.setattr("hetao.federation.replica.MOST_AHEAD", 20)
    monkeypatch.setattr("hetao.federation.replica.MOST_PENDING", 600)
    fill(records, 20)
    told = account_of(records.logs[HUB], 0, lambda _: True)
    kept = records.replicas["a"]

    for count, many in ((2, 2), (18, 0)):  # words of over 600 bytes in eighteen
        words = {i: told.entries[i] for i in range(count)}
        part = dataclasses.replace(told, leaves=told.leaves[:count], entries=words)
        kept.take(part, HUB)
        assert kept.sizes(HUB)[HUB] == many
        kept._pending.clear()
    records.logs[HUB].append([record("more")])
    kept.take(account_of(records.logs[HUB], 0, lambda _: True), HUB)
    assert kept.sizes(HUB)[HUB] == 0
    assert kept.faults() == ()


def test_nobody_else_is_blamed_for_a_log_with_two_histories(records):
    log, hub = records.logs["a"], records.replicas[HUB]
    log.append([record(i) for i in range(3)])
    hub.take(account_of(log, 0, lambda _: True), "a")
    first = log.root(3)
    for count in range(99):
        records.rewrite("a", [record(0), record(1), record(100 + count)])
        if records.logs["a"].root(3) < first:
            break  # stands before the one whose entries the hub has
    hub.hear(records.logs["a"].checkpoint(), "a")

    for _ in range(2):
        asyncio.run(records.beats["b"].beat([HUB]))

    assert {fault.origin for fault in records.replicas["b"].faults()} == {"a"}
    assert {fault.origin for fault in hub.faults()} == {"a"}


def test_growth_while_beating_is_no_finding(records):
    for count in range(1, 9):
        fill(records, count)
        beat(records)
        for name, log in records.logs.items():
            for other, replica in records.replicas.items():
                if other != name:
                    replica.hear(log.checkpoint(), name)
    beat(records)

    assert records.said == []


def test_a_late_or_repeated_report_is_no_finding(records):
    fill(records)
    late = Report((account_of(records.logs["a"], 0, lambda _: True),), {}).encoded()
    beat(records)
    fill(records)
    beat(records)

    hub = records.logs[HUB], records.replicas[HUB]
    answered(*hub, "a", late, lambda _: True)
    beat(records)  # the party speaks in between
    answered(*hub, "a", late, lambda _: True)

    assert records.said == []


# --- What is found ------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(12))
def test_a_record_that_was_told_cannot_be_rewritten(records, seed):
    """A slice of the 300 of `benchmarks/bench_tampering.py`."""
    rng = random.Random(seed)  # noqa: S311
    fill(records, rng.randint(2, 12))
    beat(records)
    beat(records)

    name, how = tampering(records, rng)
    beat(records)

    accused = records.accused()
    found = {other for other, whom in accused.items() if name in whom}
    assert found, how
    assert all(whom <= {name} for whom in accused.values()), how


def test_the_finding_is_proved_to_anybody(records):
    fill(records)
    beat(records)
    beat(records)
    entries = records.logs["a"].entries(0, 5)
    records.rewrite("a", [*changed(entries, 1), record("later")])
    beat(records)

    (proof,) = (records.folder / HUB).glob("fraud-*.json")

    assert "size 5" in read_fraud(proof).verify(keys_of("a"))
    (said,) = {one for one in records.said if one.startswith("a changed")}
    assert proof.name in said


def test_a_checkpoint_that_came_with_a_message_binds_too(records):
    """It is held against the entries as soon as they are told."""
    fill(records)
    forked = records.open_log("a", "other")
    forked.append([record("other")] * 3)
    records.replicas["b"].hear(forked.checkpoint(), "a")
    forked.close()

    beat(records)
    beat(records)

    assert records.accused()["b"] == {"a"}
    assert list((records.folder / "b").glob("fraud-*.json"))


def test_a_hub_that_tells_a_changed_record_accuses_itself(records):
    fill(records)
    account = account_of(records.logs["a"], 0, lambda _: True)
    bent = account.as_json()
    bent["leaves"] = "A" * 4 + bent["leaves"][4:]
    bent["entries"] = {}

    records.replicas["b"].take(account_from(bent), HUB)

    assert records.accused()["b"] == {HUB}


def test_two_views_of_one_log_meet_at_whoever_hears_both(records):
    """A log shows one history to the hub and another to a site."""
    fill(records)
    forked = records.open_log("a", "other")
    forked.append([record(f"other{i}") for i in range(7)])
    view = account_of(forked, 0, lambda _: True)
    forked.close()
    records.replicas["b"].take(view, "a")

    beat(records)

    assert records.accused()["b"] == {"a"}
    (proof,) = (records.folder / "b").glob("fraud-*.json")
    read_fraud(proof).verify(keys_of("a"))


# --- What is passed on --------------------------------------------------------------
def test_a_checkpoint_goes_on_under_the_line_that_a_replica_checks(records):
    """Whoever lists both keys is not content with it, and asks the log itself."""
    keys = IDENTITIES["a"].signing_key, SECOND
    records.rewrite("a", [record(0)], keys)
    log, hub = records.logs["a"], records.replicas[HUB]
    eye = Ed25519PrivateKey.from_private_bytes(bytes(32))
    text, lines = log.checkpoint().split("\n\n")
    strangers = cosign(log.checkpoint(), "w.example", eye, 0) + lines
    note = f"{text}\n\n{strangers}"  # a stranger's line first
    both = Policy(logs=log.verifiers)
    told = account_of(log, 0, lambda _: True)
    hub.learn([dataclasses.replace(told, note=note)], (), "a")

    passed = hub.account("a", 0, lambda _: True)
    assert passed.note == hub._note_at("a", 1) == log.short_checkpoint()
    assert 10 * len(passed.note) < len(told.note)
    with pytest.raises(Unverified, match="ML-DSA-44 line is missing"):
        both.check(passed.note)
    records.replicas["b"].learn([passed], (), HUB)
    assert records.replicas["b"].size("a") == 1


def ahead(records, name, sizes):
    """Return checkpoints that a log signs and tells no entries of."""
    log, found = records.open_log(name, f"ahead-{sizes}"), {}
    for size in range(1, max(sizes) + 1):
        log.append([record(size)])
        found[size] = log.checkpoint()
    log.close()
    return [found[size] for size in sizes]


def answer(records, speaker):
    """Return the hub's answer to a party that knows nothing yet."""
    hub = records.logs[HUB], records.replicas[HUB]
    return answered(*hub, speaker, Report((), {}).encoded(), lambda _: True)


def test_lines_of_strangers_under_a_checkpoint_go_no_further(records):
    """A note may have a hundred lines and nearly a megabyte."""
    hub = records.replicas[HUB]
    junk = "\u2014 junk " + base64.b64encode(bytes(7_000)).decode() + "\n"
    notes = ahead(records, "a", (1, 2, 3))
    for note in notes:
        hub.learn([Account(note + 99 * junk, 0, ())], (), "a")

    assert hub.notes() == notes
    assert len(answer(records, "b")) < 5_000
    assert sum(len(note) for _, _, note in hub._kept("a").told) < 1_000


def test_of_checkpoints_ahead_those_are_kept_that_are_reached_first(
    records, monkeypatch
):
    monkeypatch.setattr("hetao.federation.replica.MOST_HELD", 4)
    notes = ahead(records, "a", (9, 8, 7, 6, 5, 1, 2, 3, 4))
    for note in notes:
        records.replicas["b"].hear(note)

    assert records.replicas["b"].notes() == notes[5:]
    assert records.said == []


def test_no_log_crowds_out_the_checkpoints_of_another(records, monkeypatch):
    monkeypatch.setattr("hetao.federation.reports.MOST_NOTES", 3)
    for name, sizes in (("a", (1, 2, 3, 4, 5)), ("c", (1,))):
        for note in ahead(records, name, sizes):
            records.replicas[HUB].hear(note)

    notes = report_from(answer(records, "b")).notes
    assert [checkpoint_of(one).origin for one in notes] == ["a", "c", "a"]


def test_a_message_has_room_for_so_many_bytes_of_checkpoints(records, monkeypatch):
    notes = ahead(records, "a", (1, 2, 3))
    monkeypatch.setattr(
        "hetao.federation.reports.NOTES_ROOM", 2 * sum(map(len, notes)) - 1
    )
    for note in notes:
        records.replicas[HUB].hear(note)

    assert report_from(answer(records, "b")).notes == tuple(notes[:2])


def test_the_two_checkpoints_that_prove_a_fork_are_told_first(records, monkeypatch):
    monkeypatch.setattr("hetao.federation.replica.MOST_HELD", 4)
    hub = records.replicas[HUB]
    for note in ahead(records, "a", (1, 2, 3, 4)):
        hub.hear(note)
    other = records.open_log("a", "other")
    other.append([record("other")] * 4)
    hub.hear(other.checkpoint())
    for count in range(9):  # after a finding the disk is not filled either
        other.append([record(count)])
        hub.hear(other.checkpoint())
    other.close()

    assert [checkpoint_of(one).size for one in hub.notes()] == [4, 4, 1, 2, 3]
    assert hub.faults()


def test_long_records_are_told_in_messages_that_can_be_read(records, monkeypatch):
    monkeypatch.setattr("hetao.federation.reports.ROOM", 20_000)
    long = [record("\\" * 500 + str(i)) for i in range(12)]
    records.logs["a"].append(long)
    asyncio.run(records.beats["a"].beat([HUB]))
    sizes = []
    way = records.beats["b"]._transport

    async def report(hub, data):
        told = await Way.report(way, hub, data)
        sizes.append(len(told))
        return told

    way.report = report
    asyncio.run(records.beats["b"].beat([HUB]))

    assert words_of(records.replicas["b"], "a") == long
    assert len(sizes) > 3
    assert max(sizes) < 10_000  # a quarter of the room for each of four logs, and notes


def test_a_record_larger_than_the_room_is_told_alone(records):
    records.logs["a"].append([record(0), record(1)])
    told = account_of(records.logs["a"], 0, lambda _: True)

    assert told.within(0).leaves == told.leaves[:1]
    assert told.within(0).entries == {0: record(0)}
    assert told.within(10_000) == told


def test_a_report_waits_for_the_disk_once(records):
    fill(records)
    beat(records)
    hub, kept = records.replicas[HUB], records.replicas["b"]
    told = [hub.account(name, 0, lambda _: True) for name in ("a", "c")]
    ahead = records.open_log("a", "ahead")
    notes = [ahead.checkpoint() for i in range(9) if ahead.append([record(i)]) >= 0]
    ahead.close()
    steps = []
    kept._store._db.set_trace_callback(steps.append)

    kept.learn(told, notes, HUB)
    assert [kept.size(name) for name in ("a", "c")] == [5, 5]
    assert steps.count("COMMIT") == 1


def test_of_a_report_that_is_refused_what_stands_before_is_kept(records):
    fill(records)
    told = [account_of(records.logs[name], 0, lambda _: True) for name in ("a", "c")]
    other = Records(records.folder / "other", cast()[0], TRUSTED)
    bad = other.logs["c"].checkpoint()
    other.close()
    kept = records.replicas["b"]

    for _ in range(2):  # nor is it taken when it is told again
        with pytest.raises(Unverified):
            kept.learn(told[:1], [bad, told[1].note], HUB)
        assert (kept.size("a"), kept._kept("c").told) == (5, ())
    for _ in range(2):
        with pytest.raises(Unverified):
            kept.learn([dataclasses.replace(told[1], note=bad)], (), HUB)


# --- What is refused ----------------------------------------------------------------
def test_nobody_tells_of_a_log_that_is_not_in_the_list(records, tmp_path):
    strangers, _ = cast()
    fill(records)
    other = Records(tmp_path / "other", strangers, TRUSTED)
    fill(other)
    account = account_of(other.logs["a"], 0, lambda _: True)
    other.close()

    with pytest.raises(Unverified):
        records.replicas["b"].take(account, HUB)
    with pytest.raises(Unverified):
        records.replicas["b"].hear(account.note)
    with pytest.raises(Unverified):
        records.replicas["b"].hear(records.logs["a"].checkpoint(), "c")
    nobody = account.note.replace("a\n", "nobody\n", 1)
    with pytest.raises(NotAParty):
        records.replicas["b"].hear(nobody)
    assert records.replicas["b"].size("a") == 0


def test_an_account_is_refused_unless_it_is_one(records):
    fill(records)
    good = account_of(records.logs["a"], 2, lambda _: True).as_json()

    assert account_from(good).as_json() == good
    for key, value in (
        ("type", "other"),
        ("note", "no note"),
        ("start", -1),
        ("start", True),
        ("start", 3),
        ("path", ["zz"]),
        ("leaves", "AA=="),
        ("leaves", good["leaves"] * 2),
        ("entries", {"1": "x"}),
        ("entries", {"2": "x"}),
        ("entries", {"x": "x"}),
        ("more", 1),
    ):
        with pytest.raises(Unverified):
            account_from({**good, key: value})
    for value in (None, [], "x", {}):
        with pytest.raises(Unverified):
            account_from(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"accounts":[],"have":[],"notes":[]}',
        b'{"accounts":{},"have":{},"notes":[]}',
        b'{"accounts":[{}],"have":{},"notes":[]}',
        b'{"accounts":[],"have":{"a":-1},"notes":[]}',
        b'{"accounts":[],"have":{"a":true},"notes":[]}',
        b'{"accounts":[],"have":{},"notes":[1]}',
        b"[" * 100_000,
    ],
)
def test_a_report_is_refused_unless_it_is_one(data):
    with pytest.raises(BadSignature):
        report_from(data)


def test_a_party_reports_of_its_own_log_alone(records):
    fill(records)
    account = account_of(records.logs["a"], 0, lambda _: True)
    data = Report((account,), {}).encoded()

    answered(records.logs[HUB], records.replicas[HUB], "b", data, lambda _: True)

    assert records.replicas[HUB].size("a") == 0
