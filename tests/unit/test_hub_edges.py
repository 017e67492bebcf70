"""A hub at the edges of what it adds, sends and cosigns; shares are made by hand."""

import contextlib
import datetime
import json
import shutil
import sqlite3
from dataclasses import asdict, replace

import numpy as np
import pytest

from hetao.canonical import digest_bytes, parse_canonical
from hetao.errors import (
    InvalidNetwork,
    NotAParty,
    NotApproved,
    OutOfTime,
    Replayed,
)
from hetao.federation.hub import MOST_VALUES, Hub
from hetao.federation.logs import open_log
from hetao.federation.register import News
from hetao.federation.reports import Report, report_from
from hetao.ledger.credential import REVOKED, certificate_entry
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.note import COSIGNATURE, Verifier, open_note
from hetao.ledger.opened import TYPE
from hetao.ledger.sealed_counts import NAME as SEALED_COUNT
from hetao.permit import Bundle, Directory, format_time, new_identity, sign_notice
from hetao.release import add, mask, pack, stream, tag_digest, tag_text
from support_federation import RUN, START, Federation, Plan

HUB = "hub-hk"
MEMBERS = ("a", "b", "c")
TASK = "attrition/1/0"
MALFORMED = "sent malformed content"


def seed_of(site):
    return site.encode() * 16


@pytest.fixture
def federation(tmp_path):
    """Return parties that hold nobody's data: no site is asked."""
    with Federation(tmp_path / "f", Plan(people=1)) as made:
        yield made


@pytest.fixture
def hub(federation):
    return federation.open_hub(HUB)


def share(federation, site, content=None, arrays=None, **course):
    """Return a site's share of three values for the first round, but for `course`."""
    asked = federation.task(HUB, **course).header
    kept = ("run", "task", "analysis", "protocol", "version", "attempt", "round")
    fields = {name: getattr(asked, name) for name in kept}
    fields |= {n: course[n] for n in ("study", "permit") if n in course}
    members = course.get("members") or MEMBERS
    plain = {"members": list(members), "values": 3, "seed": seed_of(site).hex()}
    sent = pack(plain if content is None else content, arrays)
    return federation.envelope("share", HUB, sent, sender=site, **fields)


def tell(federation, hub, *envelopes):
    for envelope in envelopes:
        hub.accept(envelope.header.sender, envelope.data)


def begin(federation, hub, members=None, **fields):
    """Give a hub the permit and the task of a round."""
    run = {"run": fields["run"]} if "run" in fields else {}
    tell(federation, hub, federation.begin(HUB, **run))
    tell(federation, hub, federation.task(HUB, members, **fields))


def answer(federation, hub, members=MEMBERS, **course):
    """Give a hub every member's share of a round."""
    for site in members:
        tell(federation, hub, share(federation, site, members=members, **course))


def said(federation, hub):
    """Return (kind, object) of all that waits for the coordinator."""
    items = hub.waiting("coordinator", 0).items
    return [federation.opened(data)[:2] for _, data in items]


def kinds(federation, hub):
    return [kind for kind, _ in said(federation, hub)]


def opened(hub):
    """Return the lists of members over which a hub noted that it opened sums."""
    return [json.loads(row[0]) for row in hub._store.rows("SELECT members FROM opened")]


def check_refused(federation, hub, code, words):
    """Nothing was opened, noted as opened or sent, but one refusal that says why."""
    ((kind, meta),) = said(federation, hub)
    assert (kind, meta["code"]) == ("refusal", code)
    assert words in meta["rule"]
    assert opened(hub) == []


# --- the sum --------------------------------------------------------------------------
def test_a_total_is_the_sum_of_the_shares_and_of_their_tags(federation, hub):
    rest = stream(b"r" * 16, 6).reshape(2, 3)
    content = {"members": list(MEMBERS), "values": 3, "tag": tag_text(5)}
    shares = [share(federation, "a"), share(federation, "b")]
    shares.append(share(federation, "c", content, {"words": rest}))
    begin(federation, hub)
    tell(federation, hub, *shares)

    (data,) = [data for _, data in hub.waiting("coordinator", 0).items]
    kind, meta, arrays = federation.opened(data)
    header = parse_envelope(data).header

    streams = [stream(seed_of(site), 6).reshape(2, 3) for site in "ab"]
    words, tag = add([*streams, rest]), mask(seed_of("a"), 6) + mask(seed_of("b"), 6)
    np.testing.assert_array_equal(arrays["words"], words)
    assert (kind, meta["tag"]) == ("total", tag_text(tag + 5))
    assert meta["body"] == {
        "type": "hetao.total/1",
        "hub": HUB,
        "study": federation.study.digest,
        "permit": federation.bundle.permit.digest,
        "run": header.run,
        "task": TASK,
        "analysis": "attrition",
        "attempt": 1,
        "round": 0,
        "shares": {one.header.sender: one.digest for one in shares},
        "values": 2,
        "words": digest_bytes(words.astype("<u8").tobytes()),
        "tag": tag_digest(tag + 5),
    }
    assert (header.sender, header.recipient, header.task) == (HUB, "coordinator", TASK)
    assert opened(hub) == [["a", "b", "c"]]


def test_a_sum_of_the_count_of_sites_alone_is_opened(federation, hub):
    begin(federation, hub)
    for site in MEMBERS:
        content = {"members": list(MEMBERS), "values": 1, "seed": seed_of(site).hex()}
        tell(federation, hub, share(federation, site, content))

    ((kind, meta),) = said(federation, hub)
    assert (kind, meta["body"]["values"]) == ("total", 0)


def test_shares_that_come_before_their_task_wait_for_it_in_silence(federation, hub):
    tell(federation, hub, federation.begin(HUB))
    answer(federation, hub)
    assert said(federation, hub) == []
    assert opened(hub) == []

    tell(federation, hub, federation.task(HUB))
    assert kinds(federation, hub) == ["total"]


def test_a_sum_that_was_opened_is_not_opened_again(federation, hub):
    begin(federation, hub)
    answer(federation, hub)
    before = hub._log.size

    hub._open_if_complete("run-1", TASK)

    assert kinds(federation, hub) == ["total"]
    assert hub._log.size == before


WORDS = np.zeros((2, 3), np.uint64)
TAGGED = {"members": list(MEMBERS), "values": 3, "tag": tag_text(1)}
SEEDED = {"members": list(MEMBERS), "values": 3, "seed": "00" * 16}
GARBLED = ("HT-311", "a sent a garbled share")
LENGTH = ("HT-412", "a sent a share of no length")
SHAPE = ("HT-412", "a sent a share of another shape")
OTHER_LIST = ("HT-305", "a gave its share for another member list")
BAD_SHARES = {
    "no list": ({**SEEDED, "members": None}, {}, OTHER_LIST),
    "another order": ({**SEEDED, "members": ["b", "a", "c"]}, {}, OTHER_LIST),
    "fewer members": ({**SEEDED, "members": ["a", "b"]}, {}, OTHER_LIST),
    "no length": ({**SEEDED, "values": None}, {}, LENGTH),
    "a length of text": ({**SEEDED, "values": "3"}, {}, LENGTH),
    "a length of truth": ({**SEEDED, "values": True}, {}, LENGTH),
    "a length of nothing": ({**SEEDED, "values": 0}, {}, LENGTH),
    "a length too far": ({**SEEDED, "values": MOST_VALUES + 1}, {}, LENGTH),
    "a short seed": ({**SEEDED, "seed": "00" * 15}, {}, GARBLED),
    "a seed of no digits": ({**SEEDED, "seed": "no"}, {}, GARBLED),
    "a seed of none": ({**SEEDED, "seed": None}, {}, GARBLED),
    "no tag": ({**TAGGED, "tag": None}, {"words": WORDS}, GARBLED),
    "a short tag": ({**TAGGED, "tag": "00"}, {"words": WORDS}, GARBLED),
    "neither seed nor words": (TAGGED, {}, SHAPE),
    "words under another name": (TAGGED, {"word": WORDS}, SHAPE),
    "words of one row": (TAGGED, {"words": WORDS[:1]}, SHAPE),
    "words of three rows": (TAGGED, {"words": np.zeros((3, 3), np.uint64)}, SHAPE),
    "words of another length": (TAGGED, {"words": WORDS[:, :2]}, SHAPE),
    "words on their side": (TAGGED, {"words": WORDS.T}, SHAPE),
    "words with a sign": (TAGGED, {"words": WORDS.astype(np.int64)}, SHAPE),
    "words that are reals": (TAGGED, {"words": WORDS.astype(float)}, SHAPE),
}


@pytest.mark.parametrize("case", BAD_SHARES)
def test_a_share_that_is_none_is_refused_for_what_it_is(federation, hub, case):
    content, arrays, (code, words) = BAD_SHARES[case]
    odd = share(federation, "a", content, arrays)
    begin(federation, hub)

    tell(federation, hub, *(share(federation, site) for site in "bc"), odd)

    check_refused(federation, hub, code, words)


def test_a_share_of_garbage_is_refused_in_its_senders_name(federation, hub):
    fields = asdict(share(federation, "a").header)
    fields = {name: fields[name] for name in ("task", "analysis", "protocol")}
    more = {"version": federation.estimator("attrition").version, "attempt": 1}
    odd = federation.envelope("share", HUB, b"", sender="a", **fields, **more)
    begin(federation, hub)

    tell(federation, hub, *(share(federation, site) for site in "bc"), odd)

    check_refused(federation, hub, "HT-311", "a sent a garbled share")


def test_shares_of_several_lengths_are_refused_in_both_names(federation, hub):
    longer = {"members": list(MEMBERS), "values": 4, "seed": "00" * 16}
    begin(federation, hub)

    tell(federation, hub, share(federation, "b", longer))
    tell(federation, hub, *(share(federation, site) for site in "ac"))

    words = "the shares of a and b differ in length"
    check_refused(federation, hub, "HT-412", words)


@pytest.mark.parametrize("field", ["study", "permit"])
@pytest.mark.parametrize("site", MEMBERS)
def test_one_share_of_another_study_or_permit_stops_the_sum(
    federation, hub, site, field
):
    begin(federation, hub)

    for one in MEMBERS:
        other = {field: "sha256:" + "0" * 64} if one == site else {}
        tell(federation, hub, share(federation, one, **other))

    words = f"{site} sent a share of another study"
    check_refused(federation, hub, "HT-305", words)


# --- which sums -----------------------------------------------------------------------
def test_without_a_begin_nothing_is_added(federation, hub):
    tell(federation, hub, federation.task(HUB))
    answer(federation, hub)

    check_refused(
        federation, hub, "HT-301", f"no 'begin' of this run has reached {HUB}"
    )


def third_hub(federation):
    """Return a hub that everybody knows and that the permit does not name."""
    third, known = new_identity("hub-third"), federation.cast.directory
    parties = (*known.parties, third.party("HK", "hub", "An owner"))
    trusted = Directory(parties, known.persons, known.keys)
    identities = {**federation.cast.identities, "hub-third": third}
    federation.cast = replace(federation.cast, identities=identities, directory=trusted)
    return federation.open_hub("hub-third")


def test_a_hub_that_is_not_of_the_permit_adds_nothing(federation):
    hub = third_hub(federation)

    tell(federation, hub, federation.begin("hub-third"))

    check_refused(federation, hub, "HT-305", "hub-third is not a hub of this permit")
    assert hub._shelf.studies_of("c") == set()


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ((), "HT-311", "the member list is empty or names a site twice"),
        (("a", "a"), "HT-311", "the member list is empty or names a site twice"),
        (("a", "z"), "HT-305", "the member list names a site outside the permit"),
    ],
)
def test_a_list_that_is_none_is_refused(federation, hub, members, code, words):
    begin(federation, hub, members)

    check_refused(federation, hub, code, words)


def test_a_task_without_a_list_is_refused(federation, hub):
    begin(federation, hub, content=pack({}))

    check_refused(federation, hub, "HT-311", f"coordinator {MALFORMED}")


def test_a_share_for_another_task_is_refused_and_not_noted(federation, hub):
    begin(federation, hub)

    tell(federation, hub, *(share(federation, site) for site in "ab"))
    tell(federation, hub, share(federation, "c", task=TASK, round=1))

    check_refused(federation, hub, "HT-305", "c answered another task than this")


def test_a_later_round_and_another_analysis_leave_a_sum_open(federation, hub):
    begin(federation, hub)
    tell(federation, hub, federation.task(HUB, round=1))
    tell(federation, hub, federation.task(HUB, analysis="again", attempt=2))

    answer(federation, hub)

    assert kinds(federation, hub) == ["total"]


def test_an_attempt_that_was_given_up_is_refused_and_not_noted(federation, hub):
    begin(federation, hub)
    tell(federation, hub, federation.task(HUB, attempt=2))

    answer(federation, hub)

    check_refused(federation, hub, "HT-312", f"{TASK} was given up for a later attempt")


def test_an_earlier_attempt_leaves_a_later_one_open(federation, hub):
    begin(federation, hub, attempt=2)
    tell(federation, hub, federation.task(HUB, attempt=1))

    answer(federation, hub, attempt=2)

    assert kinds(federation, hub) == ["total"]


def approved(federation, **fields):
    """Have everybody approve the permit with other fields of its protocols."""
    permit = federation.bundle.permit
    listed = tuple(replace(one, **fields) for one in permit.protocols)
    draft = Bundle(replace(permit, protocols=listed))
    federation.bundle = federation.cast.approved(draft, federation.clock())


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({}, ["total", "refusal"]),
        ({"publishable": True}, ["total", "total"]),
        ({"name": "another", "publishable": True}, ["total", "refusal"]),
    ],
    ids=["counts", "publishable", "unlisted"],
)
def test_only_what_could_be_published_is_summed_over_two_lists(
    federation, hub, listed, expected
):
    approved(federation, **listed)
    begin(federation, hub)
    answer(federation, hub)
    tell(federation, hub, federation.task(HUB, ("a", "b"), attempt=2))
    answer(federation, hub, ("a", "b"), attempt=2)

    found = said(federation, hub)

    assert [kind for kind, _ in found] == expected
    refusals = [meta["code"] for kind, meta in found if kind == "refusal"]
    assert refusals == ["HT-405"] * expected.count("refusal")
    assert opened(hub) == ([] if listed == {"publishable": True} else [["a", "b", "c"]])


def test_a_share_that_is_none_leaves_a_later_smaller_list_open(federation, hub):
    begin(federation, hub)
    tell(federation, hub, *(share(federation, site) for site in "ab"))
    tell(federation, hub, share(federation, "c", {**SEEDED, "seed": "no"}))
    tell(federation, hub, federation.task(HUB, ("a", "b"), attempt=2))

    answer(federation, hub, ("a", "b"), attempt=2)

    assert kinds(federation, hub) == ["refusal", "total"]
    assert opened(hub) == [["a", "b"]]


@pytest.mark.parametrize(
    ("owner", "name"), [("_log", "append"), ("_shelf", "put"), ("", "on_letter")]
)
def test_a_list_is_noted_with_its_sum_whenever_a_kill_comes(
    federation, hub, monkeypatch, owner, name
):
    """What is on the disk at any moment is what a hub finds that was killed then."""
    found = []

    def look():
        copy = federation.folder / f"killed-{len(found)}"
        shutil.copytree(federation.folder / HUB, copy)
        with contextlib.closing(sqlite3.connect(copy / "hub.sqlite")) as db:
            lists = db.execute("SELECT members FROM opened").fetchall()
            sums = db.execute("SELECT 1 FROM envelope WHERE kind = 'total'").fetchall()
        found.append((len(lists), len(sums)))

    begin(federation, hub)
    *first, last = [share(federation, site) for site in MEMBERS]
    tell(federation, hub, *first)
    keeper = getattr(hub, owner) if owner else hub
    usual = getattr(keeper, name)

    def looked_at(*given):
        look()
        result = usual(*given)
        look()
        return result

    monkeypatch.setattr(keeper, name, looked_at)
    tell(federation, hub, last)
    look()

    assert len(found) >= 3
    assert found[-1] == (1, 1)
    assert {*found} == {(0, 0), (1, 1)}


def test_a_hub_that_was_killed_as_it_sent_opens_one_list_afterwards(
    federation, hub, monkeypatch
):
    def killed(_):
        raise KeyboardInterrupt

    begin(federation, hub)
    *first, last = [share(federation, site) for site in MEMBERS]
    tell(federation, hub, *first)
    monkeypatch.setattr(hub, "on_letter", lambda to: to == HUB or killed(to))
    with pytest.raises(KeyboardInterrupt):
        tell(federation, hub, last)
    assert (kinds(federation, hub), opened(hub)) == ([], [])

    hub = federation.open_hub(HUB)
    hub.resume()
    tell(federation, hub, federation.task(HUB, ("a", "b"), attempt=2))
    answer(federation, hub, ("a", "b"), attempt=2)

    assert kinds(federation, hub) == ["total", "refusal"]
    assert opened(hub) == [["a", "b", "c"]]


# --- sealed counts --------------------------------------------------------------------
COUNTED = {"protocol": SEALED_COUNT, "version": "1", "task": "attrition/1/count"}


def count_share(federation, site, members=MEMBERS, course=(), **fields):
    """Return a site's share of the counts of two combinations, but for `fields`."""
    content = {"members": list(members), "counted": 3, "cell": 5}
    content = {**content, "seed": seed_of(site).hex(), **fields}
    content = {name: value for name, value in content.items() if value is not None}
    return share(federation, site, content, **{**COUNTED, **dict(course)})


def test_of_a_sealed_count_neither_words_nor_tag_are_sent_nor_a_list_noted(
    federation, hub
):
    begin(federation, hub, **COUNTED)
    cells = {"a": 5, "b": 7, "c": 6}
    shares = [count_share(federation, site, cell=cells[site]) for site in MEMBERS]
    tell(federation, hub, *shares)

    (data,) = [data for _, data in hub.waiting("coordinator", 0).items]
    kind, meta, arrays = federation.opened(data)

    assert (kind, set(meta), set(arrays)) == (
        "total",
        {"body", "signature"},
        {"tokens"},
    )
    assert arrays["tokens"].shape == (1 + 2, 2)
    control = meta["body"].pop("control")
    assert len(bytes.fromhex(control)) == 16
    assert meta["body"] == {
        "type": "hetao.sealed-count/1",
        "hub": HUB,
        "study": federation.study.digest,
        "permit": federation.bundle.permit.digest,
        "run": RUN,
        "task": "attrition/1/count",
        "analysis": "attrition",
        "attempt": 1,
        "round": 0,
        "shares": {one.header.sender: one.digest for one in shares},
        "cell": 7,
        "combinations": 2,
        "tokens": digest_bytes(arrays["tokens"].astype("<u8").tobytes()),
    }
    assert opened(hub) == []


NO_CELL = ("HT-311", "a site does not say which counts are small")
BAD_COUNTS = {
    "a sum's length": ({"counted": None, "values": 3}, LENGTH),
    "a length of nothing": ({"counted": 0}, LENGTH),
    "no cell": ({"cell": None}, NO_CELL),
    "a cell of nothing": ({"cell": 0}, NO_CELL),
    "another list": ({"members": ["a", "b"]}, OTHER_LIST),
    "another length": ({"counted": 4}, ("HT-412", "differ in length")),
    "a short seed": ({"seed": "00" * 15}, GARBLED),
}


@pytest.mark.parametrize("case", BAD_COUNTS)
@pytest.mark.parametrize("is_last", [True, False])
def test_a_share_of_a_count_that_is_none_is_refused(federation, hub, case, is_last):
    fields, (code, words) = BAD_COUNTS[case]
    odd = count_share(federation, "a", **fields)
    others = [count_share(federation, site) for site in "bc"]
    begin(federation, hub, **COUNTED)

    tell(federation, hub, *([*others, odd] if is_last else [odd, *others]))

    check_refused(federation, hub, code, words)


def test_a_share_of_a_count_is_not_added_to_a_sum(federation, hub):
    counted = {"members": list(MEMBERS), "counted": 3, "cell": 5}
    odd = share(federation, "a", {**counted, "seed": seed_of("a").hex()})
    begin(federation, hub)

    tell(federation, hub, *(share(federation, site) for site in "bc"), odd)

    check_refused(federation, hub, *LENGTH)


def test_counts_are_made_over_two_lists_and_shut_no_sum(federation, hub):
    begin(federation, hub, **COUNTED)
    tell(federation, hub, *(count_share(federation, site) for site in MEMBERS))
    second = {"attempt": 2, "task": "attrition/2/count"}
    tell(federation, hub, federation.task(HUB, ("a", "b"), **{**COUNTED, **second}))
    for site in "ab":
        tell(federation, hub, count_share(federation, site, ("a", "b"), second))
    tell(federation, hub, federation.task(HUB, ("a", "b"), attempt=2))
    answer(federation, hub, ("a", "b"), attempt=2)

    assert kinds(federation, hub) == ["total"] * 3
    assert opened(hub) == [["a", "b"]]


def test_a_count_of_an_attempt_that_was_given_up_is_refused(federation, hub):
    begin(federation, hub, **COUNTED)
    second = {"attempt": 2, "task": "attrition/2/count"}
    tell(federation, hub, federation.task(HUB, ("a", "b"), **{**COUNTED, **second}))

    tell(federation, hub, *(count_share(federation, site) for site in MEMBERS))

    words = "attrition/1/count was given up for a later attempt"
    check_refused(federation, hub, "HT-312", words)


# --- carrying -------------------------------------------------------------------------
def test_nobody_sends_in_anothers_name(federation, hub):
    with pytest.raises(NotAParty, match="a may not send in the name of another party"):
        hub.accept("a", federation.begin(HUB).data)

    assert hub._log.size == 0
    assert hub.waiting(HUB, 0).items == ()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_place_is_taken_once(federation, hub, at_once):
    first, second = federation.begin(HUB), federation.begin(HUB)
    posts = [("coordinator", one.data) for one in (first, second, first)]

    batches = [posts] if at_once else [[post] for post in posts]
    none, refusal, again = [e for batch in batches for e in hub.accept_all(batch)]

    assert (none, again) == (None, None)
    assert isinstance(refusal, Replayed)
    assert "another envelope already stands in this place" in str(refusal)
    assert [data for _, data in hub.waiting(HUB, 0).items] == [first.data]
    assert hub._log.size == 1


def test_an_order_that_a_site_gives_is_refused(federation, hub):
    tell(federation, hub, federation.begin(HUB, sender="a"))

    check_refused(federation, hub, "HT-305", "a may not ask for a 'begin'")


def test_what_a_hub_does_not_act_on_is_refused(federation, hub):
    tell(federation, hub, federation.envelope("ready", HUB))

    check_refused(federation, hub, "HT-311", "a hub does not act on 'ready'")


def test_a_name_that_is_not_known_is_told_by_its_first_sixty_letters(federation, hub):
    letter = federation.begin(HUB)
    odd = replace(letter, header=replace(letter.header, sender="n" * 61))

    with pytest.raises(NotAParty, match=f"{HUB} knows no '{'n' * 60}'"):
        hub.accept("n" * 61, odd.data)


def test_an_envelope_is_refused_at_its_very_end(federation, hub):
    letter = federation.begin(HUB)
    federation.clock.now += datetime.timedelta(minutes=5)

    with pytest.raises(OutOfTime):
        hub.accept("coordinator", letter.data)

    assert hub._log.size == 0
    assert hub.waiting(HUB, 0).items == ()


def test_a_log_notes_the_head_of_who_sent_and_none_of_its_own(federation, hub):
    begin(federation, hub)
    answer(federation, hub)

    entries = [json.loads(data) for data in federation.log_entries(hub)]

    assert [one["what"] for one in entries] == ["carried"] * 5 + ["sent"]
    heads = [one.get("head") for one in entries]
    assert heads[0] == federation.begin(HUB).header.head
    assert all(heads[:5])
    assert "head" not in entries[5]


@pytest.mark.parametrize(("seconds", "expected"), [(299, ["total"]), (300, [])])
def test_what_is_taken_up_again_is_not_past_its_end(federation, seconds, expected):
    class Dies(Hub):
        def _act(self, envelope):
            if envelope.header.kind != "begin":
                raise KeyboardInterrupt

    federation.plan.hub_types[HUB] = Dies
    dying = federation.open_hub(HUB)
    tell(federation, dying, federation.begin(HUB))
    letters = [federation.task(HUB), *(share(federation, s) for s in MEMBERS)]
    for letter in letters:
        with pytest.raises(KeyboardInterrupt):
            tell(federation, dying, letter)
    federation.plan.hub_types.clear()
    federation.clock.pass_seconds(seconds)

    hub = federation.open_hub(HUB)
    hub.resume()

    assert kinds(federation, hub) == expected


def test_an_epoch_is_made_once_and_stays(federation, hub):
    again = federation.open_hub(HUB)

    assert again.epoch == hub.epoch
    assert len(bytes.fromhex(hub.epoch)) == 8


def test_a_party_is_told_records_of_its_own_studies_alone(federation, hub):
    tell(federation, hub, federation.begin("a"))
    other = federation.begin("b", study="sha256:" + "6" * 64)
    tell(federation, hub, other)

    told = report_from(hub.report("a", Report((), {}).encoded())).accounts

    (own,) = [one for one in told if one.checkpoint.origin == HUB]
    studies = [json.loads(entry)["study"] for entry in own.entries.values()]
    assert studies == [federation.study.digest]
    assert len(own.leaves) == 2


# --- cosigning ------------------------------------------------------------------------
class Coordinator:
    """A coordinator's log, and what it asks a hub to cosign of it."""

    def __init__(self, federation):
        self.federation = federation
        self.identity = federation.cast.identities["coordinator"]
        folder = federation.folder / "coordinator"
        folder.mkdir()
        self.log = open_log(folder, self.identity)

    def ask(self, hub, old, leaf=None, **fields):
        """Add a leaf to the log, and ask a hub to cosign it, grown from `old`.

        It is a certificate of the run unless it is given.
        """
        if leaf is None:
            now = certified()
            leaf = entry_of(self.federation, self.federation.bundle, **now)
        index = self.log.append([leaf])
        size, note = self.log.size, self.log.checkpoint()
        path = self.log.consistency(old, size) if old else []
        proof = self.log.inclusion(index, size)
        content = {
            "note": note,
            "old_size": old,
            "path": [node.hex() for node in path],
            "leaf": leaf.decode(),
            "inclusion": [node.hex() for node in proof],
            **fields,
        }
        name, task = hub.identity.name, f"cosign/{size}/{old}"
        letter = self.federation.envelope("finish", name, pack(content), task=task)
        tell(self.federation, hub, letter)
        return said(self.federation, hub)[-1]


@pytest.fixture
def coordinator(federation):
    made = Coordinator(federation)
    yield made
    made.log.close()


def holds(hub, note, line):
    """Return whether a line is the hub's cosignature of a note."""
    keys = [Verifier.of(HUB, hub.identity.signing_key.public_key(), COSIGNATURE)]
    return len(open_note(note + line, keys)[1]) == 1


def test_a_hub_cosigns_what_grew_from_what_it_cosigned(federation, hub, coordinator):
    tell(federation, hub, federation.begin(HUB))

    for size in (0, 1):
        kind, meta = coordinator.ask(hub, size)

        assert (kind, meta["known"]) == ("closing", size)
        assert holds(hub, coordinator.log.checkpoint(), meta["cosignature"])
        assert hub._witness.size("coordinator") == size + 1


def test_a_coordinator_that_forgot_is_told_what_is_known_and_no_more(
    federation, hub, coordinator
):
    tell(federation, hub, federation.begin(HUB))
    coordinator.ask(hub, 0)

    kind, meta = coordinator.ask(hub, 0)

    assert kind == "closing"
    assert set(meta) == {"known", "checkpoint"}
    assert meta["known"] == hub._witness.size("coordinator") == 1


def revoke(federation, hub):
    """Have an approver end the permit, and let a hub hear of it."""
    signer = federation.cast.identities["ethics-hk"]
    ended = sign_notice(federation.bundle, signer, "revoke", federation.clock())
    hub.exchange(0, News("", 0, ended.notices).encoded())
    return ended


def entry_of(federation, ended, index=0, **fields):
    """Return what a coordinator's log says of a run that was revoked."""
    body = {
        "type": REVOKED,
        "software": "hetao",
        "issued": format_time(START),
        "study": parse_canonical(federation.study.canonical),
        "permit": ended.as_json(),
        "run": RUN,
        "revoked": format_time(START),
        "rounds": [],
        **fields,
    }
    key = federation.cast.identities["coordinator"].signing_key
    return certificate_entry("coordinator", key, body, index).encode()


def another_permit(federation):
    """Return the permit of another purpose."""
    permit = replace(federation.bundle.permit, purpose="another")
    return Bundle(permit)


def certified():
    """Return what the body of a certificate has beside that of a revoked study."""
    return {"type": TYPE, "findings": [], "checks": [], "sites": []}


@pytest.mark.parametrize(
    "leaf",
    [
        lambda f: b"a leaf",
        lambda f: entry_of(f, f.bundle),  # says that it was revoked
        lambda f: entry_of(f, f.bundle, run="another", **certified()),
        lambda f: entry_of(f, another_permit(f), **certified()),
    ],
    ids=["none", "revoked", "another run", "another permit"],
)
def test_a_hub_cosigns_for_the_certificate_of_the_run_alone(
    federation, hub, coordinator, leaf
):
    """So a run that stands gets no cosignature for one that does not."""
    tell(federation, hub, federation.begin(HUB))

    kind, meta = coordinator.ask(hub, 0, leaf(federation))

    assert (kind, meta["code"]) == ("refusal", "HT-600")
    assert "what the log ends with" in meta["rule"]


def test_of_a_revoked_study_nothing_is_cosigned_but_that_it_was_revoked(
    federation, hub, coordinator
):
    tell(federation, hub, federation.begin(HUB))
    ended = revoke(federation, hub)

    for leaf in (b"a leaf", entry_of(federation, ended, run="another")):
        kind, meta = coordinator.ask(hub, 0, leaf)
        assert (kind, meta["code"]) == ("refusal", "HT-600")
    kind, meta = coordinator.ask(hub, 0, entry_of(federation, ended, 2))

    assert kind == "closing"
    assert holds(hub, coordinator.log.checkpoint(), meta["cosignature"])


def strange(federation, name):
    """Return the list of a hub that knows another key of a party."""
    known = federation.cast.directory
    other = new_identity(name)
    parties = tuple(
        other.party(one.side, one.role, one.organisation) if one.name == name else one
        for one in known.parties
    )
    return Directory(parties, known.persons, known.keys)


def test_a_revoked_study_of_a_stranger_is_not_cosigned(federation, coordinator):
    """Though the hub knew everybody when the study began."""
    hub = federation.open_hub(HUB)
    tell(federation, hub, federation.begin(HUB))
    ended = revoke(federation, hub)
    hub._trusted = strange(federation, "b")

    kind, meta = coordinator.ask(hub, 0, entry_of(federation, ended))

    assert (kind, meta["code"]) == ("refusal", "HT-305")
    assert f"b of the permit is not in {HUB}'s list" in meta["rule"]
    assert hub._store.rows("SELECT 1 FROM envelope WHERE kind = 'closing'") == []


def test_a_hub_that_is_not_of_a_revoked_permit_cosigns_nothing(federation, coordinator):
    hub = third_hub(federation)
    tell(federation, hub, federation.begin("hub-third"))
    ended = revoke(federation, hub)

    kind, meta = coordinator.ask(hub, 0, entry_of(federation, ended))

    assert (kind, meta["code"]) == ("refusal", "HT-305")
    assert "hub-third is not a hub of this permit" in meta["rule"]


def test_shares_and_sums_of_a_revoked_permit_are_destroyed(federation, hub):
    begin(federation, hub)
    answer(federation, hub)

    revoke(federation, hub)

    assert kinds(federation, hub) == []
    kept = hub._store.rows("SELECT data FROM envelope WHERE kind IN ('share', 'total')")
    assert [bytes(data) for (data,) in kept] == [b""] * 4


def test_no_answer_is_carried_from_when_a_hub_heard_of_a_revocation(federation, hub):
    begin(federation, hub)
    tell(federation, hub, share(federation, "a"))  # the permit stood, and is asked once
    revoke(federation, hub)

    with pytest.raises(NotApproved, match="no answer is carried any more"):
        tell(federation, hub, share(federation, "b"))

    kept = [parse_envelope(data) for _, data in hub.waiting(HUB, 0).items]
    assert [one.header.kind for one in kept] == ["begin", "task"]  # the share is gone


def test_what_a_hub_knows_to_be_revoked_it_need_not_read_again(
    federation, hub, monkeypatch
):
    """Whatever else is said of the permit, and though its folder cannot be read."""
    begin(federation, hub)
    ended = revoke(federation, hub)
    with pytest.raises(NotApproved, match="the permit was revoked"):
        tell(federation, hub, share(federation, "a"))
    more = sign_notice(ended, federation.cast.identities["ethics-sz"], "revoke", START)
    hub.exchange(0, News("", 0, more.notices).encoded())

    def unreadable():
        raise InvalidNetwork("a file in the folder is no permit")

    monkeypatch.setattr(hub._register, "_read", unreadable)

    with pytest.raises(NotApproved, match="the permit was revoked"):
        tell(federation, hub, share(federation, "a"))


def test_of_a_run_whose_begin_says_nothing_no_answer_is_carried(federation, hub):
    tell(federation, hub, federation.envelope("begin", HUB))

    for kind in ("share", "receipt"):
        with pytest.raises(NotApproved, match="the begin of this run is malformed"):
            tell(federation, hub, federation.envelope(kind, HUB, sender="a"))
