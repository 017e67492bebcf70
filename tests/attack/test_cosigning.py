"""What a hub cosigns of the coordinator's log, whoever asks and whatever it ends with.

Of a cosignature that a hub gave for how earlier certificates stand nobody makes a
certificate: in `test_three_verifiers.py`.
"""

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest

from hetao.canonical import canonical
from hetao.cli import main
from hetao.errors import BadSignature, HetaoError, NotAParty, Refused
from hetao.federation.certify import certify
from hetao.federation.cosigning import (
    LARGEST,
    LARGEST_ANSWER,
    LONGEST_PATH,
    Answer,
    Shown,
    answer_from,
    shown_from,
)
from hetao.federation.hub import Hub
from hetao.federation.logs import open_log
from hetao.federation.network import Network
from hetao.ledger.log_end import append_last, check_certified
from hetao.ledger.merkle import EMPTY_ROOT, LARGEST_SIZE
from hetao.ledger.note import Checkpoint, sign_checkpoint
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import mark
from hetao.permit import bundle_from, new_identity
from support_cosigning import (
    BOSS,
    NO_MARKS,
    answered,
    boss_of,
    holds,
    on_hubs,
    policy_of,
)
from support_revoked import revoked_body, signed
from support_transport import HUBS, HttpsNet, play


def test_both_hubs_cosign_how_certificates_stand_and_log_that_they_did(tmp_path):
    """Again as it stands, and grown: a hub says what it saw last, and is asked on."""

    async def scene(boss):
        boss.log.append([b"of a run"] * 5)
        first = boss.says()
        found = [(first, await boss.seen(first)), (first, await boss.seen(first))]
        boss.log.append([b"of another run"])
        second = boss.says(mark(NO_MARKS, 2, "revoked"))
        found.append((second, await boss.seen(second)))
        hub = boss.net.hubs[HUBS[0]]
        entries = map(json.loads, hub._log.entries(0, hub._log.size))
        logged = [entry for entry in entries if entry.get("what") == "cosigned"]
        assert not any(failed for _, (_, failed) in found)
        assert [holds(boss, told, lines) for told, (lines, _) in found] == [
            sorted(HUBS)
        ] * 3
        return [(one["log"], one["size"]) for one in logged]

    assert on_hubs(tmp_path, scene) == [(BOSS, 7), (BOSS, 10)]


def test_a_hub_that_saw_nothing_is_asked_once_and_one_that_did_once_more(
    tmp_path, monkeypatch
):
    asked, cosign = [], Hub.cosign

    def counted(hub, speaker, data):
        asked.append(hub.identity.name)
        return cosign(hub, speaker, data)

    monkeypatch.setattr(Hub, "cosign", counted)

    async def scene(boss):
        for _ in range(2):
            await boss.seen(boss.says())
        return sorted(asked)

    assert on_hubs(tmp_path, scene) == sorted(HUBS * 3)


def test_lists_that_others_came_after_meanwhile_are_asked_for_anew(tmp_path):
    """The hubs saw the later ones: it is the coordinator's own log that went on."""

    async def scene(boss):
        first, second = boss.says(), boss.says()
        await boss.seen(second)
        return await boss.seen(first)

    lines, failed = on_hubs(tmp_path, scene)

    assert not lines
    assert all("went on meanwhile" in one for one in failed.values())
    assert sorted(failed) == sorted(HUBS)


def test_a_hub_that_is_away_is_named_and_the_other_cosigns(tmp_path, monkeypatch):
    monkeypatch.setattr("hetao.federation.hub_lines.PATIENCE_SECONDS", 0.2)

    async def scene(boss):
        await boss.net.stop(HUBS[1])
        told = boss.says()
        lines, failed = await boss.seen(told)
        return holds(boss, told, lines), failed

    held, failed = on_hubs(tmp_path, scene)

    assert held == [HUBS[0]]
    assert list(failed) == [HUBS[1]]
    assert "does not answer" in failed[HUBS[1]]


def test_nobody_but_the_coordinator_is_answered(tmp_path):
    """The connection says who asks, though the coordinator's own log is shown."""

    async def scene(boss):
        shown = Shown(0, (), boss.says().decode())
        for party in ("a", HUBS[1]):
            with pytest.raises(NotAParty, match="watches the coordinator's log alone"):
                await boss.net.transport(party).cosign(HUBS[0], shown.encoded())
        return boss.net.hubs[HUBS[0]].cosign(BOSS, shown.encoded())

    assert answer_from(on_hubs(tmp_path, scene)).known == 0


def test_a_rolled_back_log_is_not_cosigned(tmp_path):
    """Nor another history of the same length, or a longer one."""

    async def scene(boss):
        boss.log.append([b"of a run"] * 9)
        told = boss.says()
        assert len((await boss.seen(told))[0]) == 2
        said = []
        for number, entries in enumerate((3, 9, 12)):
            with boss_of(boss.net, f"fork{number}") as fork:
                fork.log.append([b"of a fork"] * entries)
                lines, failed = await fork.seen(fork.says())
                assert not lines
                said.append(failed[HUBS[0]])
        return said

    said = on_hubs(tmp_path, scene)

    assert "seen a longer log" in said[0]
    assert all("HT-600" in one for one in said[1:])


def test_the_log_of_whom_a_hub_does_not_list_is_not_cosigned(tmp_path):
    async def scene(boss):
        stranger = new_identity(BOSS)
        with boss_of(boss.net, "strange", stranger) as other:
            return await other.seen(other.says())

    lines, failed = on_hubs(tmp_path, scene)

    assert not lines
    assert all("what the log ends with" in one for one in failed.values())


def test_a_log_that_goes_on_after_its_lists_is_not_cosigned(tmp_path):
    """With the lists' true proofs in the longer log."""

    async def scene(boss):
        told = boss.says()
        boss.log.append([b"more"])
        size, note = boss.log.size, boss.log.checkpoint()
        value = json.loads(told)
        for index, part in enumerate(value["lists"].values()):
            proof = parse_proof(part["proof"])
            path = tuple(boss.log.inclusion(index, size))
            part["proof"] = replace(proof, path=path, note=note).text
        shown = Shown(0, (), canonical(value).decode())
        await boss.net.transport(BOSS).cosign(HUBS[0], shown.encoded())

    with pytest.raises(Refused, match="stands in the log after the status lists"):
        on_hubs(tmp_path, scene)


# --- what travels ---------------------------------------------------------------------
HASH = "0" * 64
GOOD = {"old": 3, "path": [HASH], "snapshot": "{}"}
BAD = (
    b"",
    b"[]",
    b"[" * 100_000,
    b"\xff",
    *(
        json.dumps({**GOOD, **change}).encode()
        for change in (
            {"old": -1},
            {"old": True},
            {"old": "3"},
            {"old": 2**63},
            {"path": ""},
            {"path": [HASH[1:]]},
            {"path": [HASH.upper().replace("0", "A")]},
            {"path": [3]},
            {"path": [HASH] * (LONGEST_PATH + 1)},
            {"snapshot": 3},
            {"more": 1},
        )
    ),
    canonical({"old": 3, "path": []}),
)


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:60]))
def test_what_is_malformed_is_refused(data):
    with pytest.raises(BadSignature, match="malformed"):
        shown_from(data)
    with pytest.raises(BadSignature, match="malformed"):
        answer_from(data)


@pytest.mark.parametrize(
    "change", [{"known": -1}, {"known": True}, {"cosignature": 1}, {"more": 1}]
)
def test_a_malformed_answer_is_refused(change):
    with pytest.raises(BadSignature, match="malformed"):
        answer_from(canonical({"known": 1, "cosignature": "", **change}))


def test_what_travels_is_read_as_it_was_written():
    shown, answer = Shown(3, (HASH,), "{}"), Answer(3, "a line\n")

    assert shown_from(shown.encoded()) == shown
    assert answer_from(answer.encoded()) == answer


@pytest.mark.parametrize(
    ("written", "read", "most"),
    [
        (lambda text: Shown(3, (HASH,), text), shown_from, LARGEST),
        (lambda text: Answer(3, text), answer_from, LARGEST_ANSWER),
    ],
    ids=["shown", "answered"],
)
def test_as_much_is_read_as_may_travel(written, read, most):
    room = most - len(written("").encoded())

    assert read(written("x" * room).encoded()) == written("x" * room)
    with pytest.raises(BadSignature, match="malformed"):
        read(written("x" * (room + 1)).encoded())


def test_of_no_log_is_read_and_a_path_as_long_as_may_be():
    shown = Shown(0, (HASH,) * LONGEST_PATH, "{}")

    assert shown_from(shown.encoded()) == shown
    assert answer_from(Answer(0, "").encoded()) == Answer(0, "")


def test_the_longest_log_is_read_and_a_longer_one_is_not():
    shown = {"old": 2**63 - 1, "path": [], "snapshot": ""}
    answer = {"known": 2**63 - 1, "cosignature": ""}

    assert shown_from(json.dumps(shown).encode()) == Shown(2**63 - 1, (), "")
    assert answer_from(json.dumps(answer).encode()) == Answer(2**63 - 1, "")
    with pytest.raises(BadSignature, match="malformed"):
        answer_from(json.dumps({**answer, "known": 2**63}).encode())


def test_a_lying_hub_is_found_out(tmp_path, monkeypatch):
    """It answers with another's line, in circles, or with what is none."""
    told = []

    async def scene(boss):
        snapshot = boss.says()
        lines, _ = await boss.seen(snapshot)
        other = lines[HUBS[1]]
        lies = (Answer(0, other), Answer(0, "no line\n"), Answer(0, ""))
        for lie in lies:
            monkeypatch.setattr(
                "hetao.federation.hub.Hub.cosign", lambda *_, lie=lie: lie.encoded()
            )
            given, failed = await boss.seen(snapshot)
            told.append((list(given), failed[HUBS[0]]))

    on_hubs(tmp_path, scene)

    assert told[0] == ([HUBS[1]], "it signed with another key than your list gives")
    assert [given for given, _ in told[1:]] == [[], []]
    assert "lead nowhere" in told[2][1]


# --- what ends a log ------------------------------------------------------------------
def ended(data):
    """Return what a hub is shown of the log under a certificate."""
    log = json.loads(data)["log"]
    proof = parse_proof(log["proof"])
    shown = {"leaf": log["credential"], "inclusion": [n.hex() for n in proof.path]}
    return {**shown, "note": proof.note}


def test_a_hub_sees_that_the_log_ends_with_what_it_cosigns_for(small_run):
    """Of a run that stands its certificate, of one that was revoked that it was."""
    body = revoked_body(small_run)
    permit, run = bundle_from(body["permit"]).permit, body["run"]
    gone, stands = ended(signed(small_run, body)), ended(small_run.certificate)
    check_certified(gone, permit, run, revoked=True)
    check_certified(stands, permit, run, revoked=False)
    other = replace(permit, purpose="another")
    boss = small_run.cast.identities[BOSS].signing_key
    empty = sign_checkpoint(Checkpoint(BOSS, 0, EMPTY_ROOT), boss)
    full = sign_checkpoint(Checkpoint(BOSS, LARGEST_SIZE, EMPTY_ROOT), boss)

    for meta, who, name, is_gone in (
        (stands, permit, run, True),
        (gone, permit, run, False),
        (gone, permit, "0" * 32, True),
        (stands, permit, "0" * 32, False),
        (stands, other, run, False),
        ({**gone, "note": stands["note"]}, permit, run, True),
        ({**gone, "inclusion": []}, permit, run, True),
        ({**gone, "inclusion": [3]}, permit, run, True),
        ({**gone, "leaf": "é"}, permit, run, True),
        ({"leaf": gone["leaf"]}, permit, run, True),
        ({}, permit, run, False),
        ({**gone, "note": ""}, permit, run, True),
        ({**stands, "note": empty, "inclusion": []}, permit, run, False),
        ({**stands, "note": full}, permit, run, False),
        ({**stands, "note": stands["note"] + "\n" + empty}, permit, run, False),
    ):
        with pytest.raises(HetaoError, match="what the log ends with"):
            check_certified(meta, who, name, revoked=is_gone)


class Busy:
    """A log to which somebody appends before each of our entries, some times."""

    def __init__(self, log, times):
        self._log, self.times = log, times

    def append(self, entries):
        if self.times:
            self.times -= 1
            self._log.append([b"of another run"])
        return self._log.append(entries)

    def __getattr__(self, name):
        return getattr(self._log, name)


def test_an_entry_ends_the_log_at_the_index_that_it_names(tmp_path):
    with contextlib.closing(open_log(tmp_path, new_identity("log"))) as log:
        entries, note = append_last(Busy(log, 2), lambda index: [f"I am {index}"])

        assert entries == ["I am 4"]
        assert log.entry(4) == b"I am 4"
        assert f"\n{log.size}\n" in note
        with pytest.raises(Refused, match="grows too quickly"):
            append_last(Busy(log, 99), lambda index: [f"I am {index}"])


# --- from the command to its reader ---------------------------------------------------
def test_how_a_certificate_stands_counts_by_the_policy_that_it_was_issued_by(
    tmp_path, monkeypatch, capsys
):
    """A study over real hubs; then `certificate …` and `verify --status`, as typed."""

    async def scene(net):
        async with answered(net) as (stage, coordinator, given):
            made = await certify(coordinator, *given)
            coordinator.mark_finished()
            stage.opened.remove(coordinator)
            coordinator.close()
        network = Network(
            identity=net.cast.identities[BOSS],
            trusted=net.cast.directory,
            hubs=net.addresses,
            tls=net.client(BOSS),
            folder=stage.folder / BOSS,
            notices=stage.folder,
        )
        monkeypatch.setattr("hetao.federation.network.read_network", lambda _: network)
        certificate, status = tmp_path / "certificate.json", tmp_path / "status.json"
        certificate.write_bytes(made)
        policy = policy_of(net.cast, tmp_path, "all")
        reads = ["verify", certificate, "--status", status, "--policy", policy]
        typed = []
        for command in ("status", "suspend", "restore"):
            words = [command, certificate, "--network", "n", "--out", status]
            typed.append(await said(["certificate", *words]))
            typed.append(await said(reads))
        await net.stop(HUBS[1])
        words = ["status", certificate, "--network", "n", "--out", status]
        typed.append(await said(["certificate", *words]))
        typed.append(await said(reads))
        words = ["revoke", certificate, "--network", "n", "--out", status]
        typed.append(await said(["certificate", *words, "--policy", policy]))
        typed.append(await said(reads))
        return typed

    async def said(words):
        code = await asyncio.to_thread(main, list(map(str, words)))
        return code, capsys.readouterr()

    monkeypatch.setattr("hetao.federation.hub_lines.PATIENCE_SECONDS", 0.2)
    typed = play(HttpsNet, tmp_path, scene)

    assert [code for code, _ in typed] == [0, 0, 0, 6, 0, 0, 0, 6, 0, 6]
    told = [read.out + read.err for _, read in typed]
    assert all("valid as of" in told[n] and "VERIFIED" in told[n] for n in (1, 5))
    assert all(f"seen by {', '.join(HUBS)}" in told[n] for n in (1, 3, 5))
    assert "VERIFIED, BUT SUSPENDED" in told[3]
    assert f"{HUBS[1]} did not cosign" in told[6]
    assert "below its quorum" in told[7]
    assert "VERIFIED" not in told[7]
    assert f"{HUBS[1]} did not cosign" in told[8]
    assert "VERIFIED, BUT REVOKED" in told[9]
