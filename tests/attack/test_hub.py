"""A hub carries and adds; nobody gets it to open what the sites did not agree to."""

import datetime
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetao.errors import (
    BadEnvelope,
    BadSignature,
    HetaoError,
    NotAParty,
    OutOfTime,
    Replayed,
)
from hetao.federation.hub import Hub
from hetao.ledger.envelope import Envelope, parse_envelope, seal
from hetao.permit import Bundle, new_identity
from hetao.release import add, decode, pack
from hetao.study import Analysis
from support_federation import COUNTS, RUN, SITES, Federation, Plan, toy_study

HUB = "hub-hk"
TASK = "attrition/1/0"


def answers(federation, sites=SITES, **changes):
    """Return hub → the shares that honest sites send it for the first round."""
    sent = {name: [] for name in federation.hubs}
    for name in sites:
        site = federation.sites[name]
        site.handle(federation.begin(name).data)
        for _, data in site.handle(federation.task(name, **changes).data):
            envelope = parse_envelope(data)
            if envelope.header.kind == "share":
                sent[envelope.header.recipient].append(envelope)
    return sent


def began(federation, hub=None, members=None):
    """Return a hub that holds the permit and the task of the first round."""
    hub = hub or federation.hubs[HUB]
    name = hub.identity.name
    hub.accept("coordinator", federation.begin(name).data)
    hub.accept("coordinator", federation.task(name, members).data)
    return hub


def to_coordinator(federation, hub):
    """Return (kind, object, arrays) of all that waits for the coordinator."""
    items = hub.waiting("coordinator", 0).items
    return [federation.opened(data) for _, data in items]


def kinds(federation, hub):
    return [kind for kind, _, _ in to_coordinator(federation, hub)]


def carried(federation, hub):
    return sum(b'"what":"carried"' in e for e in federation.log_entries(hub))


# --- carrying -----------------------------------------------------------------------
def test_an_envelope_waits_for_its_recipient_and_nobody_else(federation):
    hub, envelope = federation.hubs[HUB], federation.begin("a")

    hub.accept("coordinator", envelope.data)

    assert [data for _, data in hub.waiting("a", 0).items] == [envelope.data]
    for other in ("b", "coordinator", HUB, "stranger", ""):
        assert hub.waiting(other, 0).items == ()


def test_the_name_of_the_connection_is_the_sender(federation):
    hub, envelope = federation.hubs[HUB], federation.begin("a")

    for speaker in ("a", "hub-sz", "stranger", ""):
        with pytest.raises(NotAParty):
            hub.accept(speaker, envelope.data)

    assert hub.waiting("a", 0).items == ()


def test_an_unknown_party_neither_sends_nor_receives(federation):
    hub = federation.hubs[HUB]
    stranger = new_identity("stranger")
    template = federation.begin("a").header
    from_stranger = seal(stranger, federation.cast.directory["a"], template, b"x")
    to_stranger = seal(
        federation.cast.identities["coordinator"],
        stranger.party("HK", "site", "o"),
        template,
        b"x",
    )

    with pytest.raises(NotAParty):
        hub.accept("stranger", from_stranger.data)
    with pytest.raises(NotAParty):
        hub.accept("coordinator", to_stranger.data)


def test_an_envelope_signed_by_another_key_is_refused(federation):
    impostor = new_identity("coordinator")
    template = federation.begin("a").header
    forged = seal(impostor, federation.cast.directory["a"], template, b"x")

    with pytest.raises(BadSignature):
        federation.hubs[HUB].accept("coordinator", forged.data)


def test_an_expired_envelope_is_refused_to_the_second(federation):
    hub, envelope = federation.hubs[HUB], federation.begin("a")
    federation.clock.pass_seconds(5 * 60 - 1)
    hub.accept("coordinator", envelope.data)

    federation.clock.pass_seconds(1)
    with pytest.raises(OutOfTime):
        hub.accept("coordinator", envelope.data)


@pytest.mark.parametrize("when", ["", "tomorrow", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_no_time_is_refused(federation, when):
    envelope = federation.begin("a", not_after=when)

    with pytest.raises(HetaoError):
        federation.hubs[HUB].accept("coordinator", envelope.data)


def test_the_same_envelope_twice_is_once(federation):
    hub, envelope = federation.hubs[HUB], federation.begin("a")

    for _ in range(3):
        hub.accept("coordinator", envelope.data)

    assert len(hub.waiting("a", 0).items) == 1
    assert carried(federation, hub) == 1


def test_other_bytes_in_the_same_place_are_a_replay(federation):
    hub, first = federation.hubs[HUB], federation.begin("a")
    hub.accept("coordinator", first.data)

    with pytest.raises(Replayed):
        hub.accept("coordinator", federation.begin("a").data)

    assert [data for _, data in hub.waiting("a", 0).items] == [first.data]


def test_the_line_is_handed_over_in_batches_and_in_order(federation):
    hub = federation.hubs[HUB]
    sent = [federation.envelope("task", "a", task=f"t{i}") for i in range(40)]
    for envelope in sent:
        hub.accept("coordinator", envelope.data)

    got, after = [], 0
    while items := hub.waiting("a", after).items:
        got += [data for _, data in items]
        after = items[-1][0]

    assert got == [envelope.data for envelope in sent]
    assert hub.waiting("a", 0, run="another").items == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_garbage_is_refused(federation, data):
    for candidate in (data, b"HTE1" + data):
        with pytest.raises(BadEnvelope):
            federation.hubs[HUB].accept("coordinator", candidate)


def test_a_flipped_byte_is_refused(federation):
    hub, good = federation.hubs[HUB], federation.begin("a").data
    for place in range(0, len(good), 7):
        spoilt = bytearray(good)
        spoilt[place] ^= 1

        with pytest.raises(HetaoError):
            hub.accept("coordinator", bytes(spoilt))

    assert carried(federation, hub) == 0


# --- adding -------------------------------------------------------------------------
def test_both_hubs_together_hold_the_sum_and_neither_does_alone(federation):
    shares = answers(federation)
    words = []
    for name in federation.hubs:
        hub = began(federation, federation.hubs[name])
        for envelope in shares[name]:
            hub.accept(envelope.header.sender, envelope.data)
        (_, _, arrays) = to_coordinator(federation, hub)[-1]
        words.append(arrays["words"])

    assert decode(add(words)).tolist() == [1200.0, 1200.0, 3.0]
    for alone in words:
        assert not np.any(decode(alone) == 1200.0)


def test_a_sum_is_opened_once_and_only_when_all_shares_are_here(federation):
    shares, hub = answers(federation)[HUB], began(federation)

    for envelope in shares[:-1]:
        hub.accept(envelope.header.sender, envelope.data)
    assert kinds(federation, hub) == []

    for envelope in [*shares, *shares]:
        hub.accept(envelope.header.sender, envelope.data)
    hub.resume()
    assert kinds(federation, hub) == ["total"]


def test_another_member_list_for_the_same_round_is_a_replay(federation):
    shares, hub = answers(federation)[HUB], began(federation)
    for envelope in shares:
        hub.accept(envelope.header.sender, envelope.data)

    with pytest.raises(Replayed):
        hub.accept("coordinator", federation.task(HUB, ("a", "b")).data)

    assert kinds(federation, hub) == ["total"]


@pytest.mark.parametrize("members", [("a",), ("a", "b"), ("a", "c", "b"), ("a", "a")])
def test_a_coordinator_that_names_other_members_to_the_hub_gets_no_sum(
    federation, members
):
    """The sites froze a list of three; a hub that added fewer would show one site."""
    shares, hub = answers(federation)[HUB], began(federation, members=members)

    for envelope in shares:
        hub.accept(envelope.header.sender, envelope.data)

    assert kinds(federation, hub) == ["refusal"]
    assert "member list" in to_coordinator(federation, hub)[0][1]["rule"]


@pytest.mark.parametrize("members", [("a", "b", "c", "d"), ("a", "hub-sz")])
def test_a_member_outside_the_permit_is_refused(federation, members):
    hub = began(federation, members=members)

    assert kinds(federation, hub) == ["refusal"]


def test_a_share_of_another_study_is_refused(federation):
    shares, hub = answers(federation)[HUB], began(federation)
    _, meta, arrays = federation.opened(shares[0].data, HUB)
    keys = federation.cast
    odd = seal(
        keys.identities["a"],
        keys.directory[HUB],
        replace(shares[0].header, study="sha256:another"),
        pack(meta, arrays),
    )

    for envelope in (odd, *shares[1:]):
        hub.accept(envelope.header.sender, envelope.data)

    ((kind, meta, _),) = to_coordinator(federation, hub)
    assert kind == "refusal"
    assert "a sent a share of another study" in meta["rule"]


@pytest.fixture
def four(tmp_path):
    """Return a federation of four sites whose study goes on without a lost one."""
    study = toy_study(sites=("a", "b", "c", "d"), on_lost_site="continue")
    with Federation(tmp_path / "four", Plan(study)) as made:
        yield made


def asked(federation, hub, members, sites, **place):
    """Ask a hub and sites for a sum, and hand the hub the shares of the sites."""
    run = {"run": place.get("run", RUN)}
    hub.accept("coordinator", federation.task(HUB, members, **place).data)
    for name in sites:
        site = federation.sites[name]
        if place.get("attempt", 1) == 1:
            site.handle(federation.begin(name, **run).data)
        for where, data in site.handle(federation.task(name, members, **place).data):
            if where == HUB and parse_envelope(data).header.kind == "share":
                hub.accept(name, data)


def test_two_sums_that_differ_by_a_site_are_never_both_opened(four):
    """Their difference would be that site's own part."""
    hub, everybody, fewer = four.hubs[HUB], ("a", "b", "c", "d"), ("a", "b", "c")
    hub.accept("coordinator", four.begin(HUB).data)
    hub.accept("coordinator", four.begin(HUB, run="run-2").data)

    asked(four, hub, everybody, everybody)
    asked(four, hub, fewer, fewer, attempt=2)
    asked(four, hub, fewer, fewer, run="run-2")

    said = to_coordinator(four, hub)
    assert [kind for kind, _, _ in said] == ["total", "refusal", "refusal"]
    assert all("HT-405" in meta["rule"] for _, meta, _ in said[1:])


def test_an_attempt_that_was_given_up_stays_shut(four):
    """Though the share that it waited for comes after all."""
    hub, everybody, fewer = four.hubs[HUB], ("a", "b", "c", "d"), ("a", "b", "c")
    hub.accept("coordinator", four.begin(HUB).data)

    asked(four, hub, everybody, fewer)
    asked(four, hub, fewer, fewer, attempt=2)
    site = four.sites["d"]
    site.handle(four.begin("d").data)
    for where, data in site.handle(four.task("d", everybody).data):
        if where == HUB and parse_envelope(data).header.kind == "share":
            hub.accept("d", data)

    assert [kind for kind, _, _ in to_coordinator(four, hub)] == ["total", "refusal"]


@pytest.mark.parametrize(
    "told",
    [{"protocol": "logistic"}, {"version": "2"}, {"round": 1}, {"analysis": "model"}],
    ids=str,
)
def test_a_hub_that_is_told_of_another_task_than_the_sites_adds_nothing(
    federation, told
):
    """What the sites signed decides what a sum is."""
    hub = federation.hubs[HUB]
    hub.accept("coordinator", federation.begin(HUB).data)
    hub.accept("coordinator", federation.task(HUB, task=TASK, **told).data)

    for envelope in answers(federation)[HUB]:
        hub.accept(envelope.header.sender, envelope.data)

    assert kinds(federation, hub) == ["refusal"]


@pytest.mark.parametrize(
    "course",
    [
        {"protocol": "logistic"},
        {"version": "2"},
        {"analysis": "model"},
        {"round": 1},
        {"attempt": 2},
    ],
    ids=str,
)
def test_a_share_for_another_task_than_the_others_is_refused(federation, course):
    """A site's own signature says which sum its share is for."""
    shares, hub = answers(federation)[HUB], began(federation)
    _, meta, arrays = federation.opened(shares[0].data, HUB)
    odd = seal(
        federation.cast.identities["a"],
        federation.cast.directory[HUB],
        replace(shares[0].header, **course),
        pack(meta, arrays),
    )

    for envelope in (odd, *shares[1:]):
        hub.accept(envelope.header.sender, envelope.data)

    ((kind, meta, _),) = to_coordinator(federation, hub)
    assert kind == "refusal"
    assert "a answered another task than this" in meta["rule"]


@pytest.mark.parametrize("members", [(), ("a", "a"), ("a", "b", "c", "c")])
def test_a_list_of_nobody_or_of_one_twice_is_refused_and_the_hub_lives(
    federation, members
):
    hub = began(federation, members=members)
    for envelope in answers(federation)[HUB]:
        hub.accept(envelope.header.sender, envelope.data)
    hub.resume()

    back = federation.open_hub(HUB)
    back.resume()
    back.accept("coordinator", federation.task(HUB, attempt=2).data)
    for name in SITES:
        task = federation.task(name, attempt=2)
        for where, data in federation.sites[name].handle(task.data):
            if where == HUB and parse_envelope(data).header.kind == "share":
                back.accept(name, data)

    said = to_coordinator(federation, back)
    assert [kind for kind, _, _ in said] == ["refusal", "total"]
    assert "member list is empty or names a site twice" in said[0][1]["rule"]


@pytest.mark.parametrize("run", [RUN, "run-2"])
@pytest.mark.parametrize("is_wider_first", [True, False])
def test_two_analyses_are_never_summed_over_lists_that_differ(
    tmp_path, run, is_wider_first
):
    """Of one permit, whatever the run, and though the hub was restarted between."""
    again = Analysis("again", "counts")
    study = toy_study((COUNTS, again), ("a", "b", "c", "d"), on_lost_site="continue")
    lists = [("a", "b", "c", "d"), ("a", "b", "c")]
    first, second = lists if is_wider_first else reversed(lists)
    with Federation(tmp_path / "f", Plan(study)) as federation:
        hub = federation.hubs[HUB]
        for name in {RUN, run}:
            hub.accept("coordinator", federation.begin(HUB, run=name).data)
        for name, site in federation.sites.items():
            site.handle(federation.begin(name, run=run).data)
        asked(federation, hub, first, first)

        hub = federation.open_hub(HUB)
        asked(federation, hub, second, second, analysis="again", run=run)
        asked(federation, hub, first, first, analysis="again", run=run, attempt=2)

        said = to_coordinator(federation, hub)
        assert [kind for kind, _, _ in said] == ["total", "refusal", "total"]
        assert "HT-405" in said[1][1]["rule"]


OPENER = """
import sys
from pathlib import Path
from hetao.errors import InvalidNetwork
from hetao.federation.store import Store
try:
    Store(Path(sys.argv[1]), "").close()
except InvalidNetwork as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("party", ["hub", "site"])
def test_a_second_process_on_the_same_folder_is_refused(federation, party):
    """Two would answer one task twice, with shares that can be subtracted."""
    made = federation.hubs[HUB] if party == "hub" else federation.sites["a"]
    folder = federation.folder / (HUB if party == "hub" else "site-a")
    ask = [sys.executable, "-c", OPENER, str(folder / f"{party}.sqlite")]

    held = subprocess.run(ask, capture_output=True, text=True, check=False)
    made.close()
    free = subprocess.run(ask, capture_output=True, text=True, check=False)

    assert held.returncode == 1
    assert f"another process works in the folder {folder.name}" in held.stderr
    assert "one party is one process" in held.stderr
    assert (free.returncode, free.stderr) == (0, "")


BAD_SHARES = {
    "nothing": {},
    "no length": {"values": None},
    "a negative length": {"values": -1},
    "a huge length": {"values": 10**12},
    "a length of text": {"values": "3"},
    "another length": {"values": 7},
    "a short seed": {"seed": "00"},
    "a seed of no digits": {"seed": "no hex at all"},
    "no members": {"members": None},
}


@pytest.mark.parametrize("case", BAD_SHARES)
def test_a_malformed_share_stops_the_round(federation, case):
    hub, shares = began(federation), answers(federation)[HUB]
    _, meta, arrays = federation.opened(shares[0].data, HUB)
    content = {**meta, **BAD_SHARES[case]} if BAD_SHARES[case] else {}
    odd = seal(
        federation.cast.identities["a"],
        federation.cast.directory[HUB],
        shares[0].header,
        pack(content, arrays),
    )

    for envelope in (odd, *shares[1:]):
        hub.accept(envelope.header.sender, envelope.data)

    ((kind, meta, _),) = to_coordinator(federation, hub)
    assert kind == "refusal"


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\0" * 100])
def test_a_share_of_garbage_stops_the_round(federation, content):
    hub, shares = began(federation), answers(federation)[HUB]
    odd = seal(
        federation.cast.identities["a"],
        federation.cast.directory[HUB],
        shares[0].header,
        content,
    )

    for envelope in (odd, *shares[1:]):
        hub.accept(envelope.header.sender, envelope.data)

    assert kinds(federation, hub) == ["refusal"]


def test_a_payload_that_does_not_open_stops_the_round(federation):
    hub, shares = began(federation), answers(federation)[HUB]
    elsewhere = seal(
        federation.cast.identities["a"],
        replace(federation.cast.directory["hub-sz"], name=HUB),
        shares[0].header,
        b"sealed to the other hub's key",
    )

    for envelope in (elsewhere, *shares[1:]):
        hub.accept(envelope.header.sender, envelope.data)

    assert kinds(federation, hub) == ["refusal"]


# --- only under a permit ------------------------------------------------------------
def test_nothing_is_added_before_a_permit_is_here(federation):
    hub = federation.hubs[HUB]
    hub.accept("coordinator", federation.task(HUB).data)

    for envelope in answers(federation)[HUB]:
        hub.accept(envelope.header.sender, envelope.data)

    assert kinds(federation, hub) == ["refusal"]


def test_nothing_is_added_under_a_permit_without_approvals(federation):
    hub, bare = federation.hubs[HUB], Bundle(federation.bundle.permit)
    hub.accept("coordinator", federation.begin(HUB, bare).data)
    hub.accept("coordinator", federation.task(HUB).data)
    for envelope in answers(federation)[HUB]:
        hub.accept(envelope.header.sender, envelope.data)

    assert set(kinds(federation, hub)) == {"refusal"}


def test_nothing_is_added_once_the_permit_has_ended(federation):
    hub, shares = began(federation), answers(federation)[HUB]
    federation.clock.now += datetime.timedelta(days=200)
    far = "2099-01-01T00:00:00Z"

    for envelope in shares:
        _, meta, arrays = federation.opened(envelope.data, HUB)
        sender = federation.cast.identities[envelope.header.sender]
        late = seal(
            sender,
            federation.cast.directory[HUB],
            replace(envelope.header, not_after=far),
            pack(meta, arrays),
        )
        hub.accept(envelope.header.sender, late.data)

    assert set(kinds(federation, hub)) == {"refusal"}


@pytest.mark.parametrize("kind", ["begin", "task", "finish"])
def test_only_the_coordinator_gives_a_hub_orders(federation, kind):
    hub = federation.hubs[HUB]
    envelope = federation.envelope(kind, HUB, sender="a")

    hub.accept("a", envelope.data)

    ((answer, meta, _),) = to_coordinator(federation, hub)
    assert answer == "refusal"
    assert "a may not ask" in meta["rule"]


def test_a_sites_begin_never_stands_in_for_the_coordinators(federation):
    """Not even after a restart, when the hub looks its permit up again."""
    hub = federation.hubs[HUB]
    bare = Bundle(federation.bundle.permit)
    hub.accept("a", federation.begin(HUB, bare, sender="a").data)
    began(federation)

    again = federation.open_hub(HUB)
    for envelope in answers(federation)[HUB]:
        again.accept(envelope.header.sender, envelope.data)

    assert kinds(federation, again) == ["refusal", "total"]


@pytest.mark.parametrize("kind", ["ready", "receipt", "closing", "total", "refusal"])
def test_a_hub_does_not_act_on_what_is_not_for_hubs(federation, kind):
    hub = federation.hubs[HUB]

    hub.accept("coordinator", federation.envelope(kind, HUB).data)

    assert kinds(federation, hub) == ["refusal"]


# --- killed and opened again --------------------------------------------------------
def total_words(federation, hub):
    totals = [a["words"] for k, _, a in to_coordinator(federation, hub) if k == "total"]
    (words,) = totals
    return words


def test_a_hub_opened_again_gives_the_same_sums(federation):
    shares = answers(federation)[HUB]
    undisturbed = began(federation)
    for envelope in shares:
        undisturbed.accept(envelope.header.sender, envelope.data)
    envelopes = [federation.begin(HUB), federation.task(HUB), *shares]

    folder = federation.folder / "killed"
    for count, envelope in enumerate(envelopes):
        # every envelope finds a new hub on the same folder; none was ever closed
        hub = Hub(
            federation.cast.identities[HUB],
            federation.cast.directory,
            folder,
            federation.clock,
        )
        hub.resume()
        hub.accept(envelope.header.sender, envelope.data)
        assert carried(federation, hub) == count + 1
        federation._stack.callback(hub.close)

    np.testing.assert_array_equal(
        total_words(federation, hub), total_words(federation, undisturbed)
    )


class KilledError(BaseException):
    """Stands for the end of the process."""


class DiesBeforeActing(Hub):
    def _act(self, envelope: Envelope) -> None:
        if (envelope.header.kind, envelope.header.sender) == ("share", "c"):
            raise KilledError
        super()._act(envelope)


def test_a_hub_killed_between_keeping_and_adding_adds_when_it_is_back(tmp_path):
    plan = Plan(hub_types={HUB: DiesBeforeActing})
    with Federation(tmp_path / "f", plan) as federation:
        dying = began(federation)
        *shares, last = answers(federation)[HUB]
        for envelope in shares:
            dying.accept(envelope.header.sender, envelope.data)
        with pytest.raises(KilledError):
            dying.accept("c", last.data)

        plan.hub_types.clear()
        back = federation.open_hub(HUB)
        back.resume()

        assert kinds(federation, back) == ["total"]
        assert back.epoch == dying.epoch


def test_a_hub_that_lost_its_folder_says_so_by_its_epoch(federation, tmp_path):
    old = federation.hubs[HUB]
    new = Hub(
        federation.cast.identities[HUB],
        federation.cast.directory,
        tmp_path / "empty",
        federation.clock,
    )
    federation._stack.callback(new.close)

    assert new.epoch != old.epoch
    assert new.waiting("a", 0).epoch == new.epoch


def test_what_a_hub_keeps_only_its_owner_reads(federation):
    modes = {
        path.stat().st_mode & 0o077
        for path in federation.hubs[HUB] and (federation.folder / HUB).iterdir()
        if path.is_file()
    }

    assert modes == {0}


def test_a_round_of_two_runs_is_two_rounds(tmp_path):
    """The same task of another run takes no share of the first."""
    with Federation(tmp_path / "f", Plan(toy_study())) as federation:
        shares, hub = answers(federation)[HUB], began(federation)
        for run in ("run-2",):
            hub.accept("coordinator", federation.begin(HUB, run=run).data)
            hub.accept("coordinator", federation.task(HUB, run=run).data)
        for envelope in shares:
            hub.accept(envelope.header.sender, envelope.data)

        headers = [
            parse_envelope(data).header
            for _, data in hub.waiting("coordinator", 0).items
        ]

        assert [(h.kind, h.run) for h in headers] == [("total", RUN)]
