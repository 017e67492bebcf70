"""After a run, each site holds everybody's records of it, and no payload."""

import asyncio

import pytest

from hetao.canonical import parse_canonical
from hetao.errors import BadSignature, NotAParty
from hetao.federation.heartbeat import Heartbeat
from hetao.federation.reports import Report, report_from
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.note import parse_checkpoint, parse_note
from support_federation import Federation, head_of


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """A finished run whose parties have had their last heartbeats."""
    with Federation(tmp_path_factory.mktemp("records")) as federation:
        federation.run()
        exchange = Exchange(federation.hubs)
        said = []

        async def beats():
            for _ in range(2):
                for name, site in federation.sites.items():
                    way = exchange.transport(name)
                    heart = Heartbeat(site.log, site.replica, way, said.append)
                    await heart.beat(site.hubs)

        asyncio.run(beats())
        assert said == []
        yield federation


def records_of(replica, origin):
    return [parse_canonical(entry) for _, entry in replica.records(origin)]


def test_every_message_bears_its_senders_log(after):
    sent = [parse_envelope(data).header for data in after.carried]

    for header in sent:
        tree = parse_checkpoint(parse_note(header.head)[0])
        assert tree.origin == header.sender
    by_site = {}
    for header in sent:
        size = parse_checkpoint(parse_note(header.head)[0]).size
        by_site.setdefault(header.sender, []).append(size)
    assert all(max(sizes) > 0 for sizes in by_site.values())


def test_whoever_receives_a_message_logs_its_senders_head(after):
    logs = {name: site.log for name, site in after.sites.items()}

    for name, log in logs.items():
        entries = [parse_canonical(one) for one in log.entries(0, log.size)]
        heard = [one for one in entries if one.get("what") == "received"]
        assert {one["from"] for one in heard} == {"coordinator"}, name
        assert all(one["head"] for one in heard)


def test_each_site_holds_everybodys_records_of_the_study(after):
    for name, site in after.sites.items():
        for origin in {"coordinator", *after.hubs, *after.sites} - {name}:
            records = records_of(site.replica, origin)
            assert records, (name, origin)
            assert all(one["study"] == after.study.digest for one in records)
            assert all(one["type"] == "hetao.entry/1" for one in records)
        hub = after.hubs["hub-hk"]
        carried = records_of(site.replica, "hub-hk")
        heads = {one["head"] for one in carried if one["what"] == "carried"}
        assert len(heads) > 3
        assert site.replica.faults() == ()
        assert hub.replica.faults() == ()


def test_what_a_site_released_is_told_by_its_hash_alone(after):
    """A release record holds keys of tags, which no hub may see."""
    kept = after.sites["a"].replica
    log = after.sites["b"].log

    words = {entry for _, entry in kept.records("b")}
    releases = [e for e in log.entries(0, log.size) if b'"hetao.release/2"' in e]

    assert len(releases) > 1
    assert not words & set(releases)
    assert kept.size("b") == log.size


def test_a_message_without_its_senders_log_is_refused(federation):
    """Nor with another's, or one that its sender did not sign."""
    site = federation.sites["a"]
    size = site.log.size
    other = federation.cast.identities["hub-hk"]
    bent = head_of(federation.cast.identities["coordinator"]).replace("\n0\n", "\n1\n")

    for head in ("", head_of(other), bent, "text"):
        begin = federation.begin("a", head=head)
        assert site.handle(begin.data) == []
    entries = [parse_canonical(one) for one in site.log.entries(size, site.log.size)]
    assert [one["what"] for one in entries] == ["dropped"] * 4


def test_a_stranger_is_told_nothing(federation):
    hub = federation.hubs["hub-hk"]

    with pytest.raises(NotAParty):
        hub.report("stranger", b'{"accounts":[],"have":{},"notes":[]}')
    with pytest.raises(BadSignature):
        hub.report("a", b"garbage")


def test_naming_a_study_gives_nobody_its_records(federation):
    """What a party names makes it none of a study's; the coordinator's begin does."""
    hub, other = federation.hubs["hub-hk"], "sha256:" + "7" * 64
    empty = Report((), {}).encoded()

    own = federation.envelope("share", "hub-hk", sender="a", study=other)
    hub.accept("a", own.data)
    told = report_from(hub.report("a", empty)).accounts

    assert told[0].checkpoint.origin == "hub-hk"
    assert told[0].leaves
    assert not any(account.entries for account in told)
    hub.accept("coordinator", federation.begin("hub-hk").data)
    assert report_from(hub.report("a", empty)).accounts[0].entries
