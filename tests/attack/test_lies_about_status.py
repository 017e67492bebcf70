"""Who lies about how certificates stand, and who is killed while it is being said.

A coordinator that makes what was revoked stand again; hubs that answer with what would
stop a revocation; a party that is killed, or two commands of one, between two steps.
"""

import asyncio
import json
import sqlite3
import ssl
import threading
from dataclasses import replace

import pytest
from aiohttp import web

from hetao.cli import main
from hetao.errors import InvalidNetwork, Stopped
from hetao.federation import coordinator as coordinating
from hetao.federation.certify import certify
from hetao.federation.cosigning import Shown
from hetao.federation.logs import LogTable
from hetao.federation.network import Network
from hetao.federation.tls import server_tls
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.log_end import append_last
from hetao.ledger.note import COSIGNATURE, LOG_SIGNATURE, Verifier, cosign, sign_note
from hetao.ledger.policy import Policy
from hetao.ledger.status import (
    append_lists,
    check_status,
    mark,
    read_snapshot,
    snapshot,
)
from hetao.permit import new_identity
from support_cosigning import BOSS, NO_MARKS, answered, holds, on_hubs
from support_federation import Federation
from support_transport import HUBS, HttpsNet, now, play, too_much

HK, SZ = HUBS
REVOKED = mark(NO_MARKS, 0, "revoked")


# --- a coordinator that lies ----------------------------------------------------------
def test_what_a_hub_saw_revoked_stands_again_under_no_cosignature(tmp_path):
    """Also when the hub was begun anew; what was suspended may stand again."""

    async def scene(boss):
        boss.log.append([b"a certificate", b"another"])
        gone = mark(mark(REVOKED, 1, "suspended"), 1, "revoked")
        told = []
        for marks in (mark(REVOKED, 1, "suspended"), gone, REVOKED, NO_MARKS, gone):
            lines, failed = await boss.seen(boss.says(marks))
            told.append((len(lines), {*failed.values()}))
            await boss.net.stop(HK)
            await boss.net.start(HK)
        return told

    counts, said = zip(*on_hubs(tmp_path, scene), strict=True)

    assert counts == (2, 2, 0, 0, 2)
    assert all("for good" in one for one in said[2] | said[3])


def test_a_suspension_ends_under_both_cosignatures(tmp_path):
    async def scene(boss):
        for marks in (mark(NO_MARKS, 0, "suspended"), NO_MARKS):
            lines, _ = await boss.seen(boss.says(marks))
        return len(lines)

    assert on_hubs(tmp_path, scene) == 2


@pytest.fixture
def eyed(tmp_path):
    """Return a log, and what reads its status by one witness, `eye`."""
    boss, eye = (new_identity(name, sealing=False) for name in ("boss", "eye"))
    keys = (boss.signing_key.public_key(), eye.signing_key.public_key())
    own = Verifier.of("boss", keys[0], LOG_SIGNATURE)
    policy = Policy(
        (own,), {"eye": Verifier.of("eye", keys[1], COSIGNATURE)}, {}, "eye"
    )
    with coordinating.open_log(tmp_path, boss) as log:
        log.append([b"a certificate"])
        note = append_lists(log, "boss", boss.signing_key, NO_MARKS, now())

        def status(seconds):
            line = cosign(note, "eye", eye.signing_key, seconds)
            data = snapshot(log, note + line)
            return check_status(data, ("boss", keys[0]), 0, policy)

        yield read_snapshot(snapshot(log, note), ("boss", keys[0])).as_of, status


def test_old_lists_that_a_witness_signs_again_bear_their_own_date(eyed):
    """It may not have seen the later ones, in which the certificate was revoked."""
    as_of, status = eyed

    later = int(now().timestamp()) + 365 * 86_400
    assert (status(later).state, status(later).as_of) == ("valid", as_of)
    assert status(60).as_of == "1970-01-01T00:01:00Z"


def test_a_witness_that_signs_a_time_past_all_calendars_dates_nothing(eyed):
    as_of, status = eyed

    assert status(2**63 - 1).as_of == as_of


# --- hubs that lie --------------------------------------------------------------------
async def false_hub(net, handler):
    """Put a server in the place of a hub, with its certificate."""
    await net.runners.pop(HK).cleanup()
    app = web.Application()
    app.router.add_route("*", "/v1/lists", handler)
    net.runners[HK] = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    tls = server_tls(*net.certificate(HK, ("127.0.0.1",)), net.listed)
    await web.TCPSite(runner, "127.0.0.1", net.ports[HK], ssl_context=tls).start()


async def silent(_):
    await asyncio.sleep(60)


async def dripping(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" ")
        await asyncio.sleep(0.05)


async def leads_elsewhere(_):
    raise web.HTTPTemporaryRedirect("/v1/lists")


def refused_with(text):
    async def refuse(_):
        return web.Response(status=403, text=text)

    return refuse


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (silent, "in time"),
        (dripping, "in time"),
        (too_much, "more than 65536 bytes"),
        (leads_elsewhere, "status 307"),
        (refused_with(DEEP), "status 403"),
        (refused_with(""), "status 403"),
        (refused_with('{"code": "HT-600", "rule": "no"}' + " " * 2**17), "status 403"),
    ],
    ids=["silent", "dripping", "too much", "elsewhere", "deep", "empty", "long"],
)
def test_a_hub_that_answers_with_nothing_of_use_is_named_and_the_other_cosigns(
    tmp_path, monkeypatch, handler, words
):
    """The command goes on, so that what is taken back is said."""
    monkeypatch.setattr("hetao.federation.hub_lines.LONGEST_SECONDS", 1.5)

    async def scene(boss):
        await false_hub(boss.net, handler)
        told = boss.says()
        lines, failed = await boss.seen(told)
        return holds(boss, told, lines), failed

    held, failed = on_hubs(tmp_path, scene)

    assert held == [SZ]
    assert words in failed[HK]


def test_of_a_hub_no_more_is_taken_than_its_line(tmp_path):
    """More would stand in the snapshot, which then nobody could read."""
    said = []

    async def scene(boss):
        told = boss.says()
        true, _ = await boss.seen(told)
        key, note = boss.net.cast.identities[HK].signing_key, told_note(boss, told)
        other = f"{note}words of its own\n"
        lies = (
            true[HK] + f"\u2014 {SZ} AAAAAAAA\n" * 50,
            true[HK] * 2,
            "words of its own\n\n" + sign_note(other, HK, key),
            true[HK].rstrip("\n"),
        )
        for lie in lies:

            async def lying(_, lie=lie):
                return web.json_response({"known": 0, "cosignature": lie})

            await false_hub(boss.net, lying)
            lines, failed = await boss.seen(told)
            said.append((list(lines), failed[HK]))

    on_hubs(tmp_path, scene)

    assert said == [([SZ], "it answered with something else than a line")] * 4


def told_note(boss, told):
    return read_snapshot(told, (BOSS, boss.identity.signing_key.public_key())).note


def test_a_hub_of_the_network_that_the_coordinator_does_not_list_is_named(tmp_path):
    async def scene(boss):
        boss.network = replace(
            boss.network, hubs={**boss.net.addresses, "third": boss.net.addresses[HK]}
        )
        with pytest.raises(InvalidNetwork):
            boss.net.cast.directory["third"]
        told = boss.says()
        lines, failed = await boss.seen(told)
        return holds(boss, told, lines), list(failed)

    assert on_hubs(tmp_path, scene) == (sorted(HUBS), ["third"])


# --- killed, or at once ---------------------------------------------------------------
def test_no_line_of_a_hub_goes_out_that_its_log_does_not_name(tmp_path, monkeypatch):
    """Its disk is full, or it is killed, after it noted what it saw: it is asked on."""

    async def scene(boss):
        hub, faults = boss.net.hubs[HK], []
        append = hub._log.append

        def full(entries):
            if not faults:
                faults.append(sqlite3.OperationalError("database or disk is full"))
                raise faults[0]
            return append(entries)

        monkeypatch.setattr(hub._log, "append", full)
        lines, _ = await boss.seen(boss.says())
        logged = [json.loads(one) for one in hub._log.entries(0, hub._log.size)]
        return len(faults), len(lines), [one["size"] for one in logged]

    assert on_hubs(tmp_path, scene) == (1, 2, [2])


def test_a_run_that_ends_while_lists_are_logged_ends_at_the_second_try(
    tmp_path, monkeypatch
):
    """Hubs have then seen a longer log than the run's checkpoint, and say so."""

    def busy(log, entries_at):
        made = append_last(log, entries_at)
        monkeypatch.setattr(coordinating, "append_last", append_last)
        boss = found["cast"].identities[BOSS]
        note = append_lists(log, BOSS, boss.signing_key, NO_MARKS, now())
        told = snapshot(log, note).decode()
        for hub in found["hubs"].values():
            hub._witness.trust(BOSS, boss.signing_key.public_key())
            old = hub._witness.size(BOSS)
            path = tuple(node.hex() for node in log.consistency(old, log.size))
            hub.cosign(BOSS, Shown(old, path, told).encoded())
        return made

    found = {}

    async def scene(net):
        found.update(cast=net.cast, hubs=net.hubs)
        async with answered(net) as (_, coordinator, given):
            monkeypatch.setattr(coordinating, "append_last", busy)
            with pytest.raises(Stopped, match="went on meanwhile"):
                await certify(coordinator, *given)
            return await certify(coordinator, *given)

    assert verify_certificate(play(HttpsNet, tmp_path, scene))


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """Return a finished run, and its coordinator's folder."""
    folder = tmp_path_factory.mktemp("issued")
    with Federation(folder) as made:
        return made.run(), folder / BOSS


@pytest.fixture
def typed(issued, tmp_path, monkeypatch):
    """Return what types `hetao certificate` over a copy of the coordinator's log."""
    folder = tmp_path / "coordinator"
    folder.mkdir()
    for one in issued[1].glob("log.sqlite*"):
        (folder / one.name).write_bytes(one.read_bytes())
    network = Network(
        identity=issued[0].cast.identities[BOSS],
        trusted=issued[0].cast.directory,
        hubs={},
        tls=ssl.create_default_context(),
        folder=folder,
        notices=folder,
    )
    certificate = tmp_path / "certificate.json"
    certificate.write_bytes(issued[0].certificate)
    words = [str(certificate), "--network", "n", "--out", str(tmp_path / "status.json")]

    def type_(command, **more):
        given = replace(network, **more)
        monkeypatch.setattr("hetao.federation.network.read_network", lambda _: given)
        return main(["certificate", command, *words])

    return type_


def verdict(tmp_path, capsys):
    names = [str(tmp_path / f"{name}.json") for name in ("certificate", "status")]
    words = ["verify", names[0], "--status", names[1]]
    assert main([*words, "--policy", "hubs"]) in (0, 6)
    return capsys.readouterr().out


def test_what_is_taken_back_is_written_before_anybody_is_asked(
    typed, tmp_path, monkeypatch, capsys
):
    """So whoever is killed while a hub is silent has it; and again by `status`."""

    async def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hetao.federation.hub_lines.hub_lines", killed)
        assert typed("revoke") == 130
    assert "BUT REVOKED" in verdict(tmp_path, capsys)
    (tmp_path / "status.json").unlink()

    assert typed("revoke") == 4
    assert "the command status writes" in capsys.readouterr().err
    assert typed("status") == 0
    assert "BUT REVOKED" in verdict(tmp_path, capsys)


def test_of_two_commands_at_once_the_later_lists_stay_in_the_file(
    typed, tmp_path, monkeypatch, capsys
):
    """Else one that asked how things stand writes `valid` over a revocation."""
    others = []

    async def slow(*_):
        if not others:
            others.append(threading.Thread(target=typed, args=("revoke",)))
            others[0].start()
            await asyncio.to_thread(others[0].join, 1.0)
        return {}, {}

    monkeypatch.setattr("hetao.federation.hub_lines.hub_lines", slow)
    assert typed("status") == 0
    others[0].join()

    assert "BUT REVOKED" in verdict(tmp_path, capsys)


def test_nothing_is_signed_while_witnesses_do_not_say_what_they_saw(
    typed, tmp_path, capsys
):
    """Of a log that was set back it would be a fork; by `hubs` it is signed."""
    eye = new_identity("eye", sealing=False).signing_key.public_key()
    away = Verifier.of("eye", eye, COSIGNATURE).vkey
    policy = tmp_path / "policy"
    policy.write_text(f"witness w {away} https://127.0.0.1:9\nquorum w\n")

    assert typed("revoke", log=LogTable(witnesses=str(policy))) == 5
    assert "an older copy would sign a fork" in capsys.readouterr().err
    assert not (tmp_path / "status.json").exists()

    assert typed("revoke", log=LogTable(witnesses="hubs")) == 0
    assert "BUT REVOKED" in verdict(tmp_path, capsys)
