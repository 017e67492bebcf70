"""Sites that have files and nothing else: one in, one out, and counted as any other."""

import asyncio
import contextlib
import hashlib
import json
from dataclasses import replace

import pytest

from hetao.errors import (
    BadEnvelope,
    InvalidStudy,
    NotAParty,
    OutOfTime,
    Stopped,
    Unreachable,
)
from hetao.federation.certify import findings_of, recompute
from hetao.federation.courier import (
    MAGIC,
    Courier,
    answered,
    fetch,
    hand_in,
    read_letters,
    write_letters,
)
from hetao.federation.network import Keys, Way
from hetao.federation.site import Site
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.envelope import parse_envelope, seal
from hetao.permit import new_identity, sign_notice
from hetao.release import Policy, pack
from hetao.study import Analysis, Minimum
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

SITES = ("a", "b", "c", "d")
BY_FILE = ("b", "c")
PROFILE = Analysis(
    "effect",
    "profile",
    model="logistic",
    effect="sex[m]",
    outcome="ill",
    terms=("age", "sex"),
)
STUDY = toy_study((COUNTS, PROFILE), SITES, deadline_seconds=60)
PLAN = Plan(STUDY, by_file=BY_FILE)


class Waits(Exception):
    """Ends a coordinator where it begins to wait for files, as a kill would."""


def end(said):
    if "a file waits" in said:
        raise Waits


class Post:
    """A courier's bag: the files of a federation, and the ways that they take."""

    def __init__(self, federation, folder):
        self.federation, self.folder = federation, folder

    def run_until_it_waits(self):
        self.federation.plan = replace(self.federation.plan, say=end)
        with pytest.raises(Waits):
            self.federation.run()
        self.federation.plan = replace(self.federation.plan, say=lambda _: None)

    def request(self, site):
        return self.folder / f"{site}.request"

    def answer(self, site):
        return self.folder / f"{site}.answer"

    def courier(self, site):
        hubs = dict.fromkeys(self.federation.hubs, "https://nowhere:1")
        home = self.federation.home(site)
        return Courier(site, Way(home, hubs, Keys("", "", "", ""), self.folder))

    def way(self, site):
        return Exchange(self.federation.hubs).transport(site)

    def fetch(self, site):
        home, now = self.federation.home(site), self.federation.clock()
        letters = asyncio.run(fetch(self.way(site), home, site, now))
        write_letters(self.request(site), letters)
        return letters

    def at_site(self, site, of=None):
        """Answer at a site; of another site's file, if one is named."""
        letters = read_letters(self.request(of or site))
        party = self.federation.sites[site]
        answers = answered(letters, site, party.handle, party.may_send)
        write_letters(self.answer(site), answers)

    def hand_in(self, site, of=None):
        letters = read_letters(self.answer(of or site))
        return asyncio.run(hand_in(self.way(site), self.courier(site), letters))

    def carry(self, site):
        self.fetch(site)
        self.at_site(site)
        assert self.hand_in(site) == []


@contextlib.contextmanager
def waiting(folder):
    """Give the bag of a run that waits for the files of two sites."""
    with Federation(folder / "f", PLAN) as federation:
        bag = Post(federation, folder)
        bag.run_until_it_waits()
        yield bag


@pytest.fixture
def post(tmp_path):
    """Return such a bag, to use up."""
    with waiting(tmp_path) as bag:
        yield bag


@pytest.fixture(scope="module")
def filed(tmp_path_factory):
    """Return such a bag with both sites' answers in it, for tests that post none."""
    with waiting(tmp_path_factory.mktemp("filed")) as bag:
        for site in BY_FILE:
            bag.fetch(site)
            bag.at_site(site)
        yield bag


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """Return what the same study finds with everybody online."""
    with Federation(tmp_path_factory.mktemp("online"), Plan(STUDY)) as federation:
        return findings_of(federation.run().outcome)


def kinds(letters):
    return [parse_envelope(data).header.kind for data in letters]


def seen_by(federation, party):
    """Return what lies at its hub for a site."""
    inbox = federation.hubs[federation.home(party)].waiting(party, 0)
    return [data for _, data in inbox.items]


# --- that it works --------------------------------------------------------------------
def test_two_sites_by_file_and_two_online_find_what_four_online_find(post, online):
    post.carry("b")
    post.run_until_it_waits()
    # nobody online is asked for a part before every file is back
    assert kinds(seen_by(post.federation, "a")) == ["begin"]
    post.carry("c")

    ran = post.federation.run()

    assert findings_of(ran.outcome) == online
    assert list(ran.outcome.closings) == list(SITES)
    verify_certificate(ran.certificate)
    body = ran.body
    assert recompute(ran.value).startswith("1 findings follow")  # the other is withheld
    for site in body["sites"]:
        assert set(site) == set(body["sites"][0])
        proved = {proof["task"] for proof in site["proofs"]}
        assert proved == {"attrition/1/0", "effect/1/0"}


def test_one_file_holds_all_that_is_asked_and_one_all_that_is_answered(filed):
    asked, answers = read_letters(filed.request("c")), read_letters(filed.answer("c"))

    assert kinds(asked) == ["begin", "task", "task", "finish"]
    assert sorted(kinds(answers)) == [
        *("closing", "ready", "receipt", "receipt"),
        *("share", "share", "share", "share"),
    ]
    logged = filed.federation.log_entries(filed.federation.sites["c"])
    entries = [json.loads(entry) for entry in logged]
    records = [entry["body"]["kind"] for entry in entries if "body" in entry]
    assert records == ["ready", "sum", "sum", "closing"]
    heard = [entry["kind"] for entry in entries if "body" not in entry]
    assert heard == ["begin", "task", "task", "finish"]


def test_a_site_that_has_only_files_opens_no_connection(filed, monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.socket.bind", refuse)
    site = filed.federation.sites["d"]
    letters = [filed.federation.begin("d"), filed.federation.task("d")]

    with_files = answered(
        [one.data for one in letters], "d", site.handle, site.may_send
    )

    assert sorted(kinds(with_files)) == ["ready", "receipt", "share", "share"]


def test_a_carrier_reads_no_more_than_a_hub_does(filed):
    keys = filed.federation.cast.identities
    for data in (*read_letters(filed.request("c")), *read_letters(filed.answer("c"))):
        envelope = parse_envelope(data)
        for reader in {"a", "hub-hk", "hub-sz"} - {envelope.header.recipient}:
            header = replace(envelope.header, recipient=reader)
            with pytest.raises(BadEnvelope):
                replace(envelope, header=header).open(keys[reader])


class Straight:
    """A way to the hubs of a run that goes on meanwhile."""

    def __init__(self, federation):
        self.hubs = federation.hubs

    async def inbox(self, hub, after, run="", wait_seconds=0):
        return self.hubs[hub].waiting("c", after, run)

    async def post(self, hub, data):
        self.hubs[hub].accept("c", data)


def test_a_study_of_many_rounds_is_carried_a_file_a_round(tmp_path):
    with Federation(tmp_path / "f", Plan(toy_study((LOGISTIC,)))) as federation:
        bag = Post(federation, tmp_path)
        site, way, files = federation.sites.pop("c"), Straight(federation), []

        async def carried():
            run = asyncio.create_task(federation._run())
            while not run.done():
                await asyncio.sleep(0.02)
                with contextlib.suppress(Unreachable):
                    home, now = federation.home("c"), federation.clock()
                    letters = await fetch(way, home, "c", now)
                    if len(letters) > len(files):
                        files.append(letters)
                        answers = answered(letters, "c", site.handle, site.may_send)
                        await hand_in(way, bag.courier("c"), answers)
            return run.result()

        outcome = asyncio.run(carried()).outcome
        assert outcome.answers[0].members == ("a", "b", "c")
        counts = len(outcome.counts)  # of sites: a file of its own
    assert len(files) == counts + outcome.answers[0].rounds + 2
    assert counts == 1


# --- what goes wrong on the way -------------------------------------------------------
def test_a_file_that_is_given_twice_is_answered_and_counted_once(post, online):
    for site in BY_FILE:
        post.carry(site)
    before = post.answer("c").read_bytes()
    logged = post.federation.log_entries(post.federation.sites["c"])

    post.at_site("c")
    assert post.answer("c").read_bytes() == before
    assert post.federation.log_entries(post.federation.sites["c"]) == logged
    assert post.hand_in("c") == []

    assert findings_of(post.federation.run().outcome) == online
    post.federation.clock.pass_seconds(5)
    assert post.hand_in("c") == []


@pytest.mark.parametrize("name", ["request", "answer"])
def test_a_file_that_was_harmed_is_refused_whole(filed, tmp_path, name):
    data = (filed.folder / f"c.{name}").read_bytes()
    harmed = [
        data[: len(data) // 2],
        data[:-1],
        data[:200] + bytes([data[200] ^ 1]) + data[201:],
        b"PK" + data[2:],
        data[:3],
        b"",
    ]
    for harm in harmed:
        (tmp_path / name).write_bytes(harm)
        with pytest.raises(BadEnvelope, match=r"cut or changed|no file of letters"):
            read_letters(tmp_path / name)


def test_lengths_that_do_not_add_up_are_no_file_of_letters(tmp_path):
    for body in (MAGIC + b"\0\0", MAGIC + b"\0\0\0\x09abc", MAGIC + b"\xff" * 9):
        path = tmp_path / "made"
        path.write_bytes(body + hashlib.sha256(body).digest())
        with pytest.raises(BadEnvelope, match="no file of letters"):
            read_letters(path)


def test_a_run_ends_without_its_files_and_goes_on_once_they_are_whole(tmp_path):
    sites = ("a", "b", "c")
    plan = Plan(toy_study((COUNTS,), sites, deadline_seconds=2), by_file=sites)
    with Federation(tmp_path / "f", plan) as federation:
        with pytest.raises(Unreachable, match="no file has come back from a, b, c"):
            federation.run()
        bag = Post(federation, tmp_path)
        bag.carry("a")
        bag.carry("b")
        bag.fetch("c")
        bag.at_site("c")
        letters = read_letters(bag.answer("c"))
        out = next(d for d in letters if parse_envelope(d).header.kind == "share")
        write_letters(bag.answer("c"), [data for data in letters if data != out])
        bag.hand_in("c")

        with pytest.raises(Unreachable, match=r"hub-.. did not answer attrition/1/0"):
            federation.run()
        write_letters(bag.answer("c"), letters)
        assert bag.hand_in("c") == []
        assert federation.run().certificate


def test_the_file_of_another_site_is_refused_before_a_letter_is_looked_at(filed):
    logged = filed.federation.log_entries(filed.federation.sites["c"])

    with pytest.raises(BadEnvelope, match="letters for 'b', not for c"):
        filed.at_site("c", of="b")
    assert filed.federation.log_entries(filed.federation.sites["c"]) == logged
    with pytest.raises(BadEnvelope, match="letters from 'b', not from c"):
        filed.hand_in("c", of="b")
    for data in read_letters(filed.answer("b")):  # nor does the hub take them
        with pytest.raises(NotAParty):
            asyncio.run(filed.way("c").post(filed.federation.home("c"), data))


def test_an_answer_that_comes_after_the_permit_has_ended_is_refused(filed):
    before = filed.federation.clock.now
    filed.federation.clock.pass_seconds(100 * 86_400)

    refused = filed.hand_in("c")
    with pytest.raises(Unreachable, match="nothing waits for c"):
        filed.fetch("c")

    filed.federation.clock.now = before
    assert len(refused) == 8
    assert all(isinstance(error, OutOfTime) for error in refused)


def test_letters_that_somebody_else_signed_are_answered_by_nothing(filed):
    forger, c = new_identity("coordinator"), filed.federation.cast.directory["c"]
    asked = map(parse_envelope, read_letters(filed.request("c")))
    site = filed.federation.sites["c"]
    forged = [seal(forger, c, one.header, pack({})).data for one in asked]

    with pytest.raises(BadEnvelope, match="signed by the coordinator that c trusts"):
        answered(forged, "c", site.handle, site.may_send)


def test_a_letter_that_was_left_out_gives_refusals_and_no_number(post):
    """First the permit does not come with it; then it comes after its end."""
    letters = post.fetch("c")
    site = post.federation.sites["c"]

    found = answered(letters[1:], "c", site.handle, site.may_send)
    assert set(kinds(found)) == {"refusal"}
    post.fetch("b")
    post.federation.clock.pass_seconds(100 * 86_400)
    post.at_site("b")
    assert set(kinds(read_letters(post.answer("b")))) == {"refusal"}


# --- no weaker way --------------------------------------------------------------------
def test_the_gate_is_the_same(tmp_path):
    strict = Policy(Minimum(people=500))
    plan = replace(PLAN, policies={"c": strict})
    with Federation(tmp_path / "f", plan) as federation:
        bag = Post(federation, tmp_path)
        bag.run_until_it_waits()
        for site in BY_FILE:
            bag.carry(site)

        with pytest.raises(Stopped, match="c refused begin"):
            federation.run()
        assert kinds(seen_by(federation, "a")) == ["begin"]


def test_a_permit_that_was_withdrawn_meanwhile_is_answered_with_nothing(post):
    federation = post.federation
    post.fetch("c")
    office = federation.bundle.permit.directory.holders("ethics")[0]
    key = federation.cast.identities[office.name]
    withdrawn = sign_notice(federation.bundle, key, "withdraw", federation.clock())
    federation.notices += withdrawn.notices

    post.at_site("c")

    assert set(kinds(read_letters(post.answer("c")))) == {"refusal"}


def test_a_lease_that_runs_out_on_the_way_is_renewed_by_a_file_or_refused(post):
    federation = post.federation
    for site in BY_FILE:
        post.fetch(site)
    federation.clock.pass_seconds(30 * 3600)

    post.at_site("b")
    renewed = federation.bundle
    for office in ("ethics-hk", "ethics-sz"):
        key = federation.cast.identities[office]
        renewed = sign_notice(renewed, key, "renew", federation.clock())
    federation.notices += renewed.notices
    post.at_site("c")

    assert set(kinds(read_letters(post.answer("b")))) == {"refusal"}
    assert "refusal" not in kinds(read_letters(post.answer("c")))


def test_what_takes_more_than_one_round_is_refused_before_anything_is_sent(tmp_path):
    study = toy_study((COUNTS, LOGISTIC), SITES)
    with Federation(tmp_path / "f", Plan(study, by_file=("c",))) as federation:
        with pytest.raises(InvalidStudy, match=r"model takes up to .* rounds") as error:
            federation.run()

        assert "profile" in error.value.fix
        assert federation.carried == []
        federation.plan.by_file = ("z",)
        with pytest.raises(InvalidStudy, match="z is no site"):
            federation.run()


def test_nobody_is_left_out_where_files_name_the_members(tmp_path):
    """The study would go on without a silent site; a file on its way cannot."""
    study = replace(STUDY, on_lost_site="continue", deadline_seconds=1)
    plan = Plan(study, by_file=("c",))
    plan.site_types["a"] = _Silent
    with (
        Federation(tmp_path / "f", plan) as federation,
        pytest.raises(Unreachable, match=r"[abd] did not answer begin"),
    ):
        federation.run()


class _Silent(Site):
    def handle(self, data):
        return []
