"""A model whose rounds would tell of few people over all sites: none of them leaves.

The hubs find out, of counts that nobody opens, whether any combination of its columns
is of few; whoever would go on without, or with something else than they said, is
refused by each site.
"""

import asyncio
import datetime
import json
from dataclasses import replace

import pytest

from hetao.canonical import canonical, digest_bytes, parse_canonical
from hetao.errors import HetaoError, SmallCell, Unreachable, Unverified
from hetao.federation import coordinator, ending, propose, site
from hetao.federation.certify import recompute
from hetao.federation.hub import Hub
from hetao.federation.releases import COUNT, read_releases
from hetao.federation.site import Site
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.revoked import verify_revoked
from hetao.ledger.sealed_counts import FIELD, NAME, TOKEN
from hetao.ledger.verify_hetao import Refused, verify
from hetao.permit import format_time, sign_notice, state
from hetao.release import Policy, pack, stream
from hetao.release.sealed_count import COUNT as COUNTED
from hetao.release.sealed_count import ONE, _token, secret_of
from hetao.report.leaving import sentence
from hetao.study import Analysis, Minimum
from support_counts import (
    ALSO,
    VERSION,
    count_task,
    counted,
    refused_but,
    said_at,
    shares_of,
)
from support_federation import KEY, RUN, SITES, START, Federation, Plan, toy_study
from support_federation import category as flat_category
from support_fuzz_run import resigned

CROSSED = Analysis("model", "logistic", outcome="ill", terms=("1", "sex", "old"))
NO_LIMIT = Policy(Minimum(cell=1), reason="made-up people")


def made(folder, women, sites=SITES, old_men=40, **plan):
    """Return a federation where so many women at each site are old."""
    study = toy_study((CROSSED,), sites=sites, **plan.pop("fields", {}))
    study = replace(study, variables=(*study.variables, flat_category("old", "n", "y")))
    federation = Federation(folder, Plan(study=study, **plan))
    header, *lines = federation.patients.read_text().splitlines()
    left = {(s, sex): n for s in sites for sex, n in (("m", old_men), ("f", women))}
    out = [f"{header},old"]
    for line in lines:
        where, _, sex, _ = line.split(",")
        left[where, sex] -= 1
        out.append(f"{line},{'ny'[left[where, sex] >= 0]}")
    federation.patients.write_text("\n".join(out) + "\n")
    return federation


# --- a whole run ----------------------------------------------------------------------
def test_few_people_over_all_sites_are_found_and_no_round_leaves(tmp_path):
    """Six women of 1,200 people; each column has 40 people or more at each site."""
    with made(tmp_path, women=2) as federation:
        with pytest.raises(SmallCell, match="over all sites"):
            federation.run()

        assert shares_of(federation) == {"model/1/count"}


@pytest.mark.parametrize("women", [0, 4])
def test_a_model_of_which_each_combination_has_many_or_none_runs_as_before(
    tmp_path, women
):
    """Four old women at each site, a small cell there, are twelve over all."""
    loose = dict.fromkeys(SITES, NO_LIMIT)
    with made(tmp_path / "held", women) as federation:
        ran = federation.run()
    with made(tmp_path / "free", women, policies=loose) as federation:
        free = federation.run()

    assert [one.task for one in ran.outcome.counts] == ["model/1/count"]
    assert free.outcome.counts == ()
    held, before = (one.outcome.answers[0] for one in (ran, free))
    assert held.finding.as_json() == before.finding.as_json()
    assert held.rounds == before.rounds
    assert recompute(ran.value).startswith("1 findings follow")
    assert verify_certificate(ran.certificate).steps
    assert verify(ran.certificate)
    for check in (verify_certificate, verify):
        assert check(published(ran.certificate))


def test_sites_say_in_their_records_that_it_was_counted(tmp_path):
    with made(tmp_path, women=12) as federation:
        ran = federation.run()

    for round_ in ran.body["rounds"]:
        for receipt in round_["receipts"].values():
            assert receipt["body"]["checks"]["passed"][NAME] == Minimum().cell
    for receipt in ran.body[FIELD][0]["receipts"].values():
        assert NAME in receipt["body"]["checks"]["not_asked"]
        assert receipt["body"]["class"]["released"] == 2
        assert receipt["body"]["values"] == 4 + 6  # combinations, and three pairs


def test_a_data_manager_reads_that_a_count_left_that_nobody_opens(tmp_path):
    with made(tmp_path, women=12) as federation:
        federation.run()
        found = read_releases(federation.setup("a"))

    (one,) = [each for each in found.departures if each.kind == COUNT]
    words = sentence(one, "en")
    assert words.startswith("before model: 10 counts of 200-499 people: who have a")
    assert "nobody opens their sum" in words


def test_a_count_is_nothing_that_a_site_has_shown_nor_takes_room(tmp_path):
    told = []
    with made(tmp_path, women=2) as federation:
        with pytest.raises(SmallCell):
            federation.run()
        federation.sites["a"].close()
        setup = replace(federation.setup("a"), tell=told.append)
        Site(setup, federation.clock).close()  # looks in its log for what it forgot

    assert told == []


def test_the_strictest_site_decides_what_is_few(tmp_path):
    strict = {"b": Policy(Minimum(cell=15))}
    with (
        made(tmp_path, 4, policies=strict) as federation,
        pytest.raises(SmallCell, match="fewer than 15"),
    ):
        federation.run()


def test_a_run_that_was_broken_off_goes_on_with_the_same_count(tmp_path):
    stops = iter([True])

    def say(words):
        if words.startswith("model: round 1") and next(stops, False):
            raise Unreachable("the cable was cut")

    with made(tmp_path, women=12, say=say) as federation:
        with pytest.raises(Unreachable):
            federation.run()
        assert shares_of(federation) == {"model/1/count"}
        ran = federation.run()
        counts = {
            parse_envelope(data).digest
            for data in federation.carried
            if parse_envelope(data).header.task == "model/1/count"
            and parse_envelope(data).header.kind == "share"
        }

    assert [one.task for one in ran.outcome.counts] == ["model/1/count"]
    assert len(counts) == 2 * len(SITES)
    assert verify_certificate(ran.certificate)


def test_who_was_killed_in_the_midst_of_a_count_says_the_same_again(tmp_path):
    with made(tmp_path, women=12) as federation:
        for name in (*federation.hubs, *SITES):
            federation._begin_once(name, RUN)
        asked = {
            name: count_task(federation, name) for name in (*federation.hubs, *SITES)
        }
        for name, hub in federation.hubs.items():
            hub.accept("coordinator", asked[name])
        for name in SITES:
            before = federation.sites[name].handle(asked[name])
            federation.sites[name].close()
            federation.sites[name] = federation.open_site(name)
            assert federation.sites[name].handle(asked[name]) == before
            for where, data in before:
                federation.hubs[where].accept(name, data)
            for where in federation.hubs:
                federation.hubs[where].close()
                federation.hubs[where] = federation.open_hub(where)
                federation.hubs[where].resume()
        said, tokens = said_at(federation, RUN, "model/1/count")

        assert len(said) == 2
        assert asked_with(federation, said, tokens) == []


class Leaving(Site):
    """A site that counts, and does not take part in the first round."""

    def _compute(self, envelope, run):
        if envelope.header.task == "model/1/0":
            raise SmallCell("this site leaves")
        return super()._compute(envelope, run)


def test_an_attempt_without_a_lost_site_has_a_count_of_its_own(tmp_path):
    plan = {"site_types": {"d": Leaving}, "fields": {"on_lost_site": "continue"}}
    with made(tmp_path, 12, (*SITES, "d"), **plan) as federation:
        ran = federation.run()

    told = [(one.task, one.members) for one in ran.outcome.counts]
    assert told == [("model/1/count", (*SITES, "d")), ("model/2/count", SITES)]
    assert verify_certificate(ran.certificate)
    assert recompute(ran.value)


def test_where_a_site_may_be_lost_nobody_with_few_lets_a_round_out(tmp_path):
    """Of thirteen old women ten are at the site that leaves, one at each other."""
    plan = {"site_types": {"d": Leaving}, "fields": {"on_lost_site": "continue"}}
    with made(tmp_path, 1, (*SITES, "d"), **plan) as federation:
        lines = federation.patients.read_text().splitlines()
        young = [n for n, one in enumerate(lines) if one[:2] == "d," and one[-1] == "n"]
        for n in [n for n in young if ",f," in lines[n]][:9]:
            lines[n] = lines[n][:-1] + "y"
        federation.patients.write_text("\n".join(lines) + "\n")
        with pytest.raises(HetaoError, match="HT-402"):
            federation.run()

        headers = [parse_envelope(data).header for data in federation.carried]
    told = [one for one in headers if one.kind == "share" and one.sender in SITES]
    assert {one.task.split("/")[2] for one in told} == {"count"}


# --- a coordinator that would go on all the same --------------------------------------
def asked_with(federation, said, tokens, members=SITES, **fields):
    """Return what a site says to the first round, brought such a count."""
    meta = {"members": list(members), "key": KEY}
    meta |= {ALSO: said} if said else {}
    task = federation.task("a", content=pack(meta, tokens), **fields)
    return federation.refusals(federation.sites["a"].handle(task.data))


def test_a_site_goes_on_with_what_both_hubs_said(tmp_path):
    with made(tmp_path, women=12) as federation:
        assert asked_with(federation, *counted(federation)) == []


def test_a_site_refuses_by_itself_what_the_hubs_found_few_of(tmp_path):
    """Whatever the coordinator makes of it: the model's first round does not leave."""
    with made(tmp_path, women=2) as federation:
        (rule,) = asked_with(federation, *counted(federation))

    assert rule.startswith("HT-402")


def hubless(federation):
    """Return a count that the coordinator made up, and signed itself."""
    said, tokens = counted(federation)
    own = federation.cast.identities["coordinator"]
    return {hub: state(own, one["body"]).as_json() for hub, one in said.items()}, tokens


def dropped(federation):
    counted(federation)
    return {}, {}


def uncounted(federation):
    """Return nothing, of sites that were never asked to count."""
    federation.sites["a"].handle(federation.begin("a").data)
    return {}, {}


def of_one_hub(federation):
    said, tokens = counted(federation)
    return {"hub-hk": said["hub-hk"]}, tokens


def exchanged(federation):
    said, tokens = counted(federation)
    one, two = said
    return {one: said[two], two: said[one]}, tokens


def twice_the_first(federation):
    said, tokens = counted(federation)
    return said, dict.fromkeys(tokens, tokens[f"{ALSO} hub-hk"])


def of_another_run(federation):
    found = counted(federation, run="run-2")
    counted(federation)
    return found


def of_another_attempt(federation):
    found = counted(federation, attempt=2)
    counted(federation)
    return found


def without_tokens(federation):
    said, _ = counted(federation)
    return said, {}


def with_fewer_tokens(federation):
    said, tokens = counted(federation)
    return said, {name: array[:-1] for name, array in tokens.items()}


def malformed(federation):
    said, tokens = counted(federation)
    return {hub: [] for hub in said}, tokens


@pytest.mark.parametrize(
    "lie",
    [
        hubless,
        dropped,
        uncounted,
        of_one_hub,
        exchanged,
        twice_the_first,
        of_another_run,
        of_another_attempt,
        without_tokens,
        with_fewer_tokens,
        malformed,
    ],
)
def test_a_coordinator_that_brings_something_else_is_refused(tmp_path, lie):
    with made(tmp_path, women=2) as federation:
        assert len(asked_with(federation, *lie(federation))) == 1


def test_a_count_of_other_members_is_refused(tmp_path):
    sites = (*SITES, "d")
    plan = {"fields": {"on_lost_site": "continue"}}
    with made(tmp_path, 12, sites, **plan) as federation:
        said, tokens = counted(federation, members=SITES)
        (rule,) = asked_with(federation, said, tokens, members=sites)

    assert "other members" in rule


def test_a_count_for_fewer_people_than_a_site_asks_for_is_refused(tmp_path):
    class Lax(Hub):
        """A hub that takes each site's least count for two."""

        def _content(self, envelope):
            meta, arrays = super()._content(envelope)
            return (meta | {"cell": 2} if "cell" in meta else meta), arrays

    lax = dict.fromkeys(("hub-hk", "hub-sz"), Lax)
    with made(tmp_path, 2, hub_types=lax) as federation:
        (rule,) = asked_with(federation, *counted(federation))

    assert rule.startswith("HT-402")


def test_a_site_does_not_count_before_a_model_that_needs_it_not(tmp_path):
    plain = Analysis("model", "logistic", outcome="ill", terms=("1",))
    with Federation(tmp_path, Plan(study=toy_study((plain,)))) as federation:
        federation.sites["a"].handle(federation.begin("a").data)
        fields = {"protocol": NAME, "version": VERSION, "task": "model/1/count"}
        task = federation.task("a", **fields)
        assert len(federation.refusals(federation.sites["a"].handle(task.data))) == 1


def test_no_hub_opens_a_count_that_is_asked_for_as_a_sum(tmp_path):
    """Shares of a count have another form, so that none is ever added to be opened."""
    with made(tmp_path, women=2) as federation:
        for name in (*federation.hubs, *SITES):
            federation._begin_once(name, RUN)
        count = {"protocol": NAME, "version": VERSION, "task": "model/1/count"}
        for name, hub in federation.hubs.items():
            as_sum = federation.task(name, task="model/1/count")
            hub.accept("coordinator", as_sum.data)
        for name in SITES:
            asked = federation.task(name, **count)
            for where, data in federation.sites[name].handle(asked.data):
                federation.hubs[where].accept(name, data)
        for name in federation.hubs:
            kinds = {
                parse_envelope(data).header.kind
                for data in federation.waiting(name, RUN)
            }
            assert "total" not in kinds


# --- what a hub, and whoever reads along, can learn -----------------------------------
def test_what_reaches_the_coordinator_is_as_long_whoever_is_counted(tmp_path):
    sizes = []
    for women in (0, 2, 12):
        with made(tmp_path / str(women), women) as federation:
            _, tokens = counted(federation)
            sizes.append({name: array.shape for name, array in tokens.items()})

    assert sizes[0] == sizes[1] == sizes[2]
    assert sizes[0] == {f"{ALSO} hub-hk": (11, 2), f"{ALSO} hub-sz": (91, 2)}


def test_a_hub_and_the_coordinator_together_can_read_the_counts(tmp_path):
    """What it does not give; so what is published holds no token."""
    with made(tmp_path, women=2) as federation:
        said, tokens = counted(federation)
        body, own = said["hub-hk"]["body"], federation.cast.identities["hub-hk"]
        seeds = [bytes.fromhex(one) for one in seeds_at("hub-hk", federation)]
        words = sum(int(stream(seed, 10)[0]) for seed in seeds)  # of the first count
        hubs = [federation.cast.directory[name] for name in ("hub-hk", "hub-sz")]
        left_out = ("type", "hub", "shares", "control", "tokens")
        what = {name: one for name, one in body.items() if name not in left_out}
        what |= {"members": list(SITES), "hubs": [[p.name, p.seal] for p in hubs]}
        secret = secret_of(own.sealing_key, hubs[1].seal_key, what)
        theirs = {row.tobytes() for row in tokens[f"{ALSO} hub-sz"]}

        def would_be(count):
            away = words - ONE * count
            return {_token(secret, COUNTED, 0, away + ONE * s) for s in range(1, 10)}

        found = [count for count in range(1200) if would_be(count) <= theirs]

        assert found == [1200 - 120 - 6 - men_of(federation)]


def test_counts_cannot_be_tried_out_on_what_hubs_sign_which_is_published(tmp_path):
    """A hub has the secret, and could make what the other would sign of any guess."""
    signed = set()
    with made(tmp_path, women=2) as federation:
        for run in ("run-1", "run-2"):
            said, tokens = counted(federation, run=run)
            for hub, statement in said.items():
                raw = tokens[f"{ALSO} {hub}"].tobytes()
                assert statement["body"]["tokens"] == digest_bytes(raw)
                assert statement["body"]["tokens"] != digest_bytes(raw[TOKEN:])
                signed.add(raw[:TOKEN])

    assert len(signed) == 4


def men_of(federation):
    """Return how many men are not old: so many women are left beside the others."""
    lines = federation.patients.read_text().splitlines()
    return sum(",m," in line and line.endswith(",n") for line in lines)


def seeds_at(hub, federation):
    """Return the seeds that a hub was sent for a count."""
    held = federation.hubs[hub]._shelf.of_task(RUN, "model/1/count")
    return [federation.opened(held["share", s], by=hub)[1]["seed"] for s in SITES]


# --- what a verifier sees -------------------------------------------------------------
@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    with made(tmp_path_factory.mktemp("ran"), women=12) as federation:
        return federation.run()


def test_what_is_published_holds_no_token(ran):
    text = published(ran.certificate)
    tokens = ran.sums["model/1/count"]["hub-hk"]["tokens"]

    assert tokens.encode() in ran.certificate
    assert tokens.encode() not in text
    assert json.loads(text)["sums"] == {}


def test_a_certificate_without_the_count_of_a_model_that_needs_one_is_refused(ran):
    value = ran.value
    value["body"][FIELD] = []

    with pytest.raises(Unverified, match="nobody was counted"):
        recompute(value)
    with pytest.raises(Unverified, match="left out"):
        verify_certificate(ran.resigned(value["body"]))
    with pytest.raises(Refused):
        verify(ran.resigned(value["body"]))


def spoilt(ran, change):
    body = ran.body
    change(body[FIELD][0], ran)
    return ran.resigned(body)


def another_cell(one, ran):
    said = one["totals"]["hub-sz"]
    own = ran.cast.identities["hub-sz"]
    one["totals"]["hub-sz"] = state(own, {**said["body"], "cell": 2}).as_json()


def of_fewer(one, ran):
    """Both hubs in league with the coordinator: sites ask for ten."""
    for hub, said in one["totals"].items():
        own = ran.cast.identities[hub]
        one["totals"][hub] = state(own, {**said["body"], "cell": 9}).as_json()


def of_no_number(one, ran):
    for hub, said in one["totals"].items():
        own = ran.cast.identities[hub]
        one["totals"][hub] = state(own, {**said["body"], "cell": "99"}).as_json()


def of_nothing(one, ran):
    for hub, said in one["totals"].items():
        own = ran.cast.identities[hub]
        one["totals"][hub] = state(own, {**said["body"], "combinations": 0}).as_json()


def unsigned(one, ran):
    one["totals"]["hub-sz"] = one["totals"]["hub-hk"]


def as_a_sum(one, ran):
    one["protocol"] = "logistic"


def elsewhere(one, ran):
    one["task"] = "model/2/count"


BENT = (another_cell, of_fewer, of_no_number, of_nothing, unsigned, as_a_sum, elsewhere)


@pytest.mark.parametrize("change", BENT)
def test_a_count_that_is_not_what_hubs_signed_is_no_certificate(ran, change):
    with pytest.raises(Unverified):
        verify_certificate(spoilt(ran, change))


def test_the_pages_script_refuses_them_too(ran, tmp_path):
    without = ran.body
    without[FIELD] = []
    unknown = {name: one for name, one in ran.body.items() if name != FIELD}
    bad = {"left out": ran.resigned(without), "no field": ran.resigned(unknown)}
    for change in BENT:
        bad[change.__name__] = spoilt(ran, change)

    refused_but(ran.certificate, bad, tmp_path)


def test_tokens_that_meet_or_are_not_the_signed_ones_are_no_certificate(ran):
    body, sums = ran.body, ran.sums
    sums["model/1/count"]["hub-sz"] = sums["model/1/count"]["hub-hk"]

    for check, error in ((verify_certificate, Unverified), (verify, Refused)):
        with pytest.raises(error):
            check(ran.resigned({**body, "sums": sums}))


def test_a_revoked_study_tells_of_a_count_as_of_what_nobody_opened(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(ending, "GOSSIP_SECONDS", 0)
    end = START + datetime.timedelta(seconds=60)
    with made(tmp_path, women=12) as federation, asyncio.Runner() as runner:
        exchange = Exchange(federation.hubs)
        desk = federation.desk(lambda: tuple(federation.notices))
        asked = federation.study, federation.bundle, exchange.transport("coordinator")
        boss = coordinator.Coordinator(desk, *asked)

        async def answered():
            async with federation.attended(exchange):
                return await boss.answer()

        outcome = runner.run(answered())
        signer = federation.cast.identities["ethics-hk"]
        ended = sign_notice(federation.bundle, signer, "revoke", end)
        federation.notices += ended.notices[-1:]
        data = runner.run(ending.certify_revoked(boss, format_time(end), 0))
        boss.close()

    (course,) = verify_revoked(data).courses
    assert course.opened == len(outcome.rounds)
    assert course.releases == len(SITES) * (len(outcome.rounds) + 1)
    assert verify(data)

    whole = parse_canonical(data)
    (one,) = (r for r in whole["body"]["rounds"] if r["task"] == "model/1/count")
    of_fewer(one, federation)
    bent = resigned(federation.cast, canonical(whole))
    for check, error in ((verify_revoked, Unverified), (verify, Refused)):
        with pytest.raises(error, match="looked for"):
            check(bent)


def test_a_certificate_of_before_there_were_sealed_counts_still_verifies(
    tmp_path, monkeypatch
):
    """Its permit lists none: it was checked as its sites checked it then."""
    with monkeypatch.context() as before:
        for module in (propose, coordinator, site):
            before.setattr(module, "countable", lambda *_: ())
        for module in (coordinator, site):
            before.setattr(module, "counted_before", lambda *_: ())
        with made(tmp_path, women=12) as federation:
            old = federation.run()

    assert FIELD not in old.body
    assert verify_certificate(old.certificate)
    assert recompute(old.value)
    assert verify(old.certificate)


def test_a_site_asks_for_a_count_whatever_the_permit_lists(tmp_path, monkeypatch):
    """A permit that was drafted so as to leave it out lets no round out either."""
    with monkeypatch.context() as before:
        before.setattr(propose, "countable", lambda *_: ())
        federation = made(tmp_path, women=2)
    with federation:
        assert federation.bundle.permit.protocol(NAME) is None
        with pytest.raises(HetaoError):
            federation.run()
        assert shares_of(federation) == set()
        (rule,) = asked_with(federation, *uncounted(federation))

    assert rule.startswith("HT-402")
