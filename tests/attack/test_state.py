"""The state of a round comes from outside: it must be the one that follows.

A site takes the coordinator's step itself, from the sums that both hubs signed; else a
state made up to single one person out would turn the next sum into that person's row.
"""

import contextlib
import datetime
import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import weighed
from hetao.canonical import digest_bytes
from hetao.errors import HighLeverage, InvalidNetwork
from hetao.federation.register import read_notices
from hetao.federation.site import Site
from hetao.ledger.envelope import parse_envelope
from hetao.permit import sign_notice, state, write_bundle
from hetao.release import STRICT, pack
from hetao.release.minimums import check_model
from support_federation import LOGISTIC, RUN, Federation, Plan, toy_study

ANSWER = ["share", "share", "receipt"]


@pytest.fixture
def fitted(tmp_path):
    """Return a federation that fits a logistic model over three sites."""
    plan = Plan(toy_study((LOGISTIC,)))
    with Federation(tmp_path / "federation", plan) as made:
        yield made


def kinds(posts):
    return [parse_envelope(data).header.kind for _, data in posts]


def federation_kind(federation, data):
    envelope = parse_envelope(data)
    if envelope.header.recipient != "coordinator":
        return envelope.header.kind, {}
    kind, meta, _ = federation.opened(data)
    return kind, meta


def asked(federation, sums, **fields):
    """Return what site a answers to a task after `sums`."""
    task = federation.task("a", sums=sums, **{"round": 1, **fields})
    return federation.sites["a"].handle(task.data)


def rule(federation, posts):
    """Return the rule of the one refusal that a site answered with."""
    assert kinds(posts) == ["refusal"]
    return federation.refusals(posts)[0]


# --- the honest course --------------------------------------------------------------
def test_the_state_that_follows_is_answered(fitted):
    assert kinds(asked(fitted, fitted.play())) == ANSWER


def test_rounds_go_on_after_a_restart(fitted):
    """The state that a site agreed to stands in its journal."""
    second = fitted.play(fitted.play(), round=1)

    fitted.sites["a"] = fitted.open_site("a")

    assert kinds(asked(fitted, second, round=2)) == ANSWER


def test_another_processors_rounding_is_no_other_state(fitted):
    sums = fitted.play()
    rounded = {"beta": sums.state["beta"] * (1 + 1e-13)}

    assert kinds(asked(fitted, replace(sums, state=rounded))) == ANSWER


# --- another state than the one that follows ----------------------------------------
def standardised_ages(federation):
    """Return the standardised ages of the people at site a, oldest first."""
    rows = [
        line.split(",")
        for line in federation.patients.read_text().splitlines()
        if line.startswith("a,")
    ]
    return sorted({(float(row[1]) - 60) / 60 for row in rows}, reverse=True)


def single_out(federation):
    """Return a state at which the oldest alone counts: a step beside everyone else."""
    oldest, second, *_ = standardised_ages(federation)
    slope = 60.0 / (oldest - second)
    return np.array([-slope * oldest, slope, 0.0])


def a_little_beside(federation, beta):
    return {"beta": beta + 1e-6}


def far_off(federation, beta):
    return {"beta": beta + 1.0}


def the_state_before(federation, beta):
    return {"beta": np.zeros(3)}


def one_person(federation, beta):
    return {"beta": single_out(federation)}


def nobody(federation, beta):
    return {"beta": np.array([1e300, 0.0, 0.0])}


def one_more_array(federation, beta):
    return {"beta": beta, "gamma": beta}


@pytest.mark.parametrize(
    "bend",
    [a_little_beside, far_off, the_state_before, one_person, nobody, one_more_array],
)
def test_a_state_that_does_not_follow_is_refused(fitted, bend):
    sums = fitted.play()
    bent = replace(sums, state=bend(fitted, sums.state["beta"]))

    said = rule(fitted, asked(fitted, bent))

    assert "the state" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda beta: beta[:2],
        lambda beta: beta.reshape(3, 1),
        lambda beta: beta.astype(int),
    ],
    ids=["shorter", "on its side", "of integers"],
)
def test_a_state_of_another_form_is_named(fitted, change):
    sums = fitted.play()
    bent = replace(sums, state={"beta": change(sums.state["beta"])})

    said = rule(fitted, asked(fitted, bent))

    assert "the state 'beta' has another shape or type" in said


@pytest.mark.parametrize("array", ["state beta", "words hub-hk", "anything"])
def test_the_first_round_takes_no_array(fitted, array):
    fitted.sites["a"].handle(fitted.begin("a").data)
    content = pack({"members": list(fitted.study.sites)}, {array: np.zeros(3)})

    posts = fitted.sites["a"].handle(fitted.task("a", content=content).data)

    assert "starts from nothing" in rule(fitted, posts)


def test_the_first_round_takes_no_sums(fitted):
    fitted.sites["a"].handle(fitted.begin("a").data)
    content = pack({"members": list(fitted.study.sites), "totals": {}})

    posts = fitted.sites["a"].handle(fitted.task("a", content=content).data)

    assert "starts from nothing" in rule(fitted, posts)


def test_a_later_round_without_sums_is_refused(fitted):
    sums = fitted.play()
    content = pack({"members": list(sums.members)}, {"state beta": sums.state["beta"]})

    posts = fitted.sites["a"].handle(fitted.task("a", round=1, content=content).data)

    assert "malformed" in rule(fitted, posts)


# --- sums that no hub signed, or signed for something else --------------------------
def signed_anew(federation, sums, hub="hub-sz", **changes):
    """Return sums in which a lying hub has signed other fields."""
    body = {**sums.totals[hub]["body"], **changes}
    signed = state(federation.cast.identities[hub], body).as_json()
    return replace(sums, totals={**sums.totals, hub: signed})


ELSEWHERE = {
    "another run": {"run": "run-2"},
    "another task": {"task": "model/1/1"},
    "another attempt": {"task": "model/2/0"},
    "another study": {"study": "sha256:x"},
    "another permit": {"permit": "sha256:x"},
}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_sum_signed_for_another_place_is_refused(fitted, where):
    bent = signed_anew(fitted, fitted.play(), **ELSEWHERE[where])

    said = rule(fitted, asked(fitted, bent))

    assert "hub-sz answered for another study, run or task" in said


def test_the_sums_of_another_run_are_refused(fitted):
    """Both hubs signed them, over this site's own shares, but of the other run."""
    fitted.play()
    other = fitted.play(run="run-2")

    said = rule(fitted, asked(fitted, other))

    assert "another study, run or task" in said


def test_the_sums_of_the_round_before_the_last_are_refused(fitted):
    first = fitted.play()
    second = fitted.play(first, round=1)
    stale = replace(first, state=second.state)

    said = rule(fitted, asked(fitted, stale, round=2))

    assert "another study, run or task" in said


@pytest.mark.parametrize("members", [("a", "b"), ("a", "b", "c", "d"), ("b", "c")])
def test_a_sum_of_other_members_is_refused(fitted, members):
    sums = fitted.play()
    shares = dict.fromkeys(members, "sha256:x") | {
        site: share
        for site, share in sums.totals["hub-sz"]["body"]["shares"].items()
        if site in members
    }

    said = rule(fitted, asked(fitted, signed_anew(fitted, sums, shares=shares)))

    assert "of other members" in said


def test_other_members_than_those_of_the_sums_are_refused(fitted):
    sums = fitted.play()
    task = fitted.task("a", ("a", "b"), sums, round=1)

    posts = fitted.sites["a"].handle(task.data)

    assert "of other members" in rule(fitted, posts)


@pytest.mark.parametrize("hub", ["hub-hk", "hub-sz"])
def test_a_sum_of_another_share_than_this_site_sent_is_refused(fitted, hub):
    sums = fitted.play()
    shares = {**sums.totals[hub]["body"]["shares"], "a": "sha256:" + "0" * 64}

    said = rule(fitted, asked(fitted, signed_anew(fitted, sums, hub, shares=shares)))

    assert f"{hub} added other shares than the sites sent" in said


def test_changed_words_are_refused(fitted):
    sums = fitted.play()
    words = {**sums.words, "hub-sz": sums.words["hub-sz"] + np.uint64(1)}

    said = rule(fitted, asked(fitted, replace(sums, words=words)))

    assert "hub-sz sent another sum than it signed" in said


@pytest.mark.parametrize(
    "odd", [np.zeros(3), np.zeros((2, 3)), np.zeros((2, 3, 1), np.uint64)], ids=repr
)
def test_words_of_another_form_are_refused(fitted, odd):
    sums = fitted.play()

    posts = asked(fitted, replace(sums, words={**sums.words, "hub-sz": odd}))

    assert "hub-sz sent a sum of another shape" in rule(fitted, posts)


def test_words_that_lack_a_member_are_refused_though_a_hub_signed_them(fitted):
    sums = fitted.play()
    words = sums.words["hub-sz"].copy()
    words[0, -1] -= np.uint64(1 << 8)  # one from the count's high word
    digest = digest_bytes(words.astype("<u8").tobytes())

    totals = signed_anew(fitted, sums, words=digest).totals
    bent = replace(sums, totals=totals, words={**sums.words, "hub-sz": words})

    said = rule(fitted, asked(fitted, bent))

    assert "one part from each member" in said


@pytest.mark.parametrize("forger", ["coordinator", "hub-hk", "a"])
def test_sums_signed_by_another_key_are_refused(fitted, forger):
    sums = fitted.play()
    body = sums.totals["hub-sz"]["body"]
    forged = state(fitted.cast.identities[forger], body).as_json()

    posts = asked(fitted, replace(sums, totals={**sums.totals, "hub-sz": forged}))

    assert "sig" in rule(fitted, posts)


@pytest.mark.parametrize("hub", ["hub-hk", "hub-sz"])
def test_the_sums_of_one_hub_do_not_do(fitted, hub):
    sums = fitted.play()
    totals = {name: total for name, total in sums.totals.items() if name != hub}

    posts = asked(fitted, replace(sums, totals=totals))

    assert "malformed" in rule(fitted, posts)


def test_a_round_after_one_that_was_not_answered_is_refused(fitted):
    """Whatever both hubs and the coordinator say: this site knows no state before."""
    first = fitted.play()
    second = fitted.play(first, round=1)
    back = fitted.open_site("a")
    back._store.write([("DELETE FROM state WHERE round = 1", ())])

    posts = back.handle(fitted.task("a", sums=second, round=2).data)

    assert "did not take part in the round before" in rule(fitted, posts)


def test_a_round_that_leaps_over_another_is_refused(fitted):
    sums = fitted.play()

    for number in (2, 3):
        posts = asked(fitted, sums, round=number)
        assert kinds(posts) == ["refusal"]


def test_a_round_is_refused_whose_sums_hold_no_share_of_this_site(fitted):
    """Both hubs lie and sign that this site's share was nothing."""
    fitted.sites["a"].handle(fitted.begin("a", run="run-2").data)
    sums = fitted.play()
    for hub in fitted.hubs:
        shares = {**sums.totals[hub]["body"]["shares"], "a": ""}
        sums = signed_anew(fitted, sums, hub, shares=shares, run="run-2")

    posts = asked(fitted, sums, run="run-2")

    assert "did not take part in the round before" in rule(fitted, posts)


def test_a_course_that_has_ended_is_not_gone_on_with(fitted):
    sums, number = fitted.play(), 1
    while sums.state:
        sums, number = fitted.play(sums, round=number), number + 1

    posts = asked(fitted, sums, round=number)

    assert "has come to its end" in rule(fitted, posts)


# --- the rule by itself -------------------------------------------------------------
def test_weights_that_single_one_person_out_are_high_leverage(fitted):
    """Should a state ever slip through, the gate weighs people as the state does."""
    site = fitted.sites["a"]
    site.handle(fitted.begin("a").data)
    estimator, rows, plain = site._prepared(site._runs[RUN], "model")
    alone = np.full(rows.n, 1e-12)
    alone[7] = 1.0

    singled = weighed(plain, estimator.plan, rows, alone)

    assert plain.max_leverage < 0.1
    assert singled.max_leverage > 0.99
    check_model(plain, STRICT, "a")
    with pytest.raises(HighLeverage):
        check_model(singled, STRICT, "a")


def test_the_weights_at_a_state_that_singles_one_person_out_are_high_leverage(fitted):
    site = fitted.sites["a"]
    site.handle(fitted.begin("a").data)
    estimator, rows, plain = site._prepared(site._runs[RUN], "model")

    weights = estimator.weights(rows, {"beta": single_out(fitted)})

    assert weighed(plain, estimator.plan, rows, weights).max_leverage > 0.99


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_weights_at_which_nobody_or_everybody_counts_are_high_leverage(fitted, value):
    site = fitted.sites["a"]
    site.handle(fitted.begin("a").data)
    estimator, rows, plain = site._prepared(site._runs[RUN], "model")

    found = weighed(plain, estimator.plan, rows, np.full(rows.n, value))

    assert found.max_leverage == 1.0


# --- once ---------------------------------------------------------------------------
def test_a_refused_task_is_not_weighed_again_with_other_content(fitted):
    """Each refusal tells something; so there is one for each task."""
    sums = fitted.play()
    site = fitted.sites["a"]
    bent = replace(sums, state={"beta": sums.state["beta"] + 1})
    task = fitted.task("a", sums=bent, round=1)

    first = site.handle(task.data)
    honest = asked(fitted, sums)
    again = site.handle(task.data)
    back = fitted.open_site("a")

    assert "does not follow" in rule(fitted, first)
    assert "another content" in rule(fitted, honest)
    assert again == first
    assert back.handle(task.data) == first
    later = back.handle(fitted.task("a", sums=sums, round=1).data)
    assert "another content" in rule(fitted, later)


def test_a_replay_does_not_displace_a_good_answer(fitted):
    sums = fitted.play()
    site = fitted.sites["a"]
    task = fitted.task("a", sums=sums, round=1)
    first = site.handle(task.data)
    bent = replace(sums, state={"beta": sums.state["beta"] + 1})

    replays = [asked(fitted, other) for other in (bent, bent, sums)]

    assert kinds(first) == ANSWER
    for posts in replays:
        assert "another content" in rule(fitted, posts)
    assert site.handle(task.data) == first
    assert fitted.open_site("a").handle(task.data) == first


# --- a journal from a backup --------------------------------------------------------
class Backup:
    """A site's journal as it is now, put back later, or as if there had been none."""

    def __init__(self, federation, *, is_kept=True):
        self.federation = federation
        self.path = federation.setup("a").folder / "site.sqlite"
        self.kept = []
        if is_kept:
            federation.sites["a"].close()
            files = self.path.parent.glob("site.sqlite*")
            self.kept = [(path, path.read_bytes()) for path in files]
            federation.sites["a"] = federation.open_site("a")

    def forget_logging(self):
        """Make the copy one of the moment after an answer was logged, before a note."""
        self.federation.sites["a"].close()
        ((path, _),) = self.kept = [one for one in self.kept if one[0] == self.path]
        copy = path.with_name("copy.sqlite")
        copy.write_bytes(self.kept[0][1])
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as journal:
            journal.execute("PRAGMA journal_mode=DELETE")
            journal.execute(
                "UPDATE answered SET logged = NULL "
                "WHERE logged = (SELECT MAX(logged) FROM answered)"
            )
        self.kept = [(path, copy.read_bytes())]
        copy.unlink()

    def restored(self):
        """Return the site as it opens on the older journal, and what it tells."""
        self.federation.sites["a"].close()
        for path in self.path.parent.glob("site.sqlite*"):
            path.unlink()
        for path, data in self.kept:
            path.write_bytes(data)
        told = []
        setup = replace(self.federation.setup("a"), tell=told.append)
        site = self.federation.sites["a"] = Site(setup, self.federation.clock)
        self.federation._stack.callback(site.close)
        return site, told


@pytest.mark.parametrize("is_kept", [True, False], ids=["older", "none"])
def test_a_restored_journal_answers_nothing_in_a_place_that_is_taken(fitted, is_kept):
    backup = Backup(fitted, is_kept=is_kept)
    sums = fitted.play()
    site = fitted.sites["a"]
    task = fitted.task("a", sums=sums, round=1)
    assert kinds(site.handle(task.data)) == ANSWER
    bent = replace(sums, state={"beta": sums.state["beta"] + 1})
    refused = fitted.task("a", sums=bent, round=2)
    assert kinds(site.handle(refused.data)) == ["refusal"]

    site, told = backup.restored()

    assert told == ["the journal was older than the log by 4 answers"]
    for asked_again in (fitted.begin("a"), fitted.task("a"), task, refused):
        again = site.handle(asked_again.data)
        assert "another content" in rule(fitted, again)
    _, told = Backup(fitted).restored()
    assert told == []  # once


def test_a_restored_journal_that_a_kill_left_unlogged_has_forgotten_nothing(fitted):
    """Its last answer stands in the log, but was copied before the journal knew."""
    site = fitted.sites["a"]
    begin = fitted.begin("a").data
    begun = site.handle(begin)
    backup = Backup(fitted)
    sums, site = fitted.play(), fitted.sites["a"]
    task = fitted.task("a", sums=sums, round=1)
    assert kinds(site.handle(task.data)) == ANSWER
    for run in ("more", "most"):  # so that the old answer is far from the log's end
        site.handle(fitted.begin("a", run=run).data)
    size = site.log.size
    backup.forget_logging()

    site, told = backup.restored()

    assert told == ["the journal was older than the log by 5 answers"]
    assert site.log.size == size
    assert site.handle(begin) == begun
    for asked_again in (fitted.task("a"), task):
        again = site.handle(asked_again.data)
        assert "another content" in rule(fitted, again)


def test_what_a_kill_left_unlogged_is_found_wherever_it_stands(fitted):
    fitted.play()
    site = fitted.sites["a"]
    proofs = site.answers.proofs(RUN)
    backup = Backup(fitted)
    fitted.sites["a"].log.append([b"{}" for _ in range(9)])
    size = fitted.sites["a"].log.size
    backup.forget_logging()

    site, told = backup.restored()

    assert (told, site.log.size) == ([], size)
    assert [one["index"] for one in site.answers.proofs(RUN)] == [
        one["index"] for one in proofs
    ]


def test_what_could_not_be_logged_is_logged_before_it_is_sent(fitted, monkeypatch):
    site, begin = fitted.sites["a"], fitted.begin("a").data

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(site.log, "append", full)
        with pytest.raises(OSError, match="No space left"):
            site.handle(begin)
    size = site.log.size

    for _ in range(2):
        assert kinds(site.handle(begin))[0] == "ready"
    records = [e for e in site.log.entries(size, site.log.size) if b"ready" in e]
    assert len(records) == 1


def test_a_refusal_that_a_later_one_replaced_is_not_forgotten_work(fitted):
    """A task past its time is refused anew each time it is delivered."""
    late = fitted.task("a", not_after="2026-01-01T00:00:00Z")
    for _ in range(2):
        rule(fitted, fitted.sites["a"].handle(late.data))

    _, told = Backup(fitted).restored()

    assert told == []


def test_a_restored_journal_has_not_forgotten_how_many_runs_there_were(fitted):
    most, backup = fitted.bundle.permit.most_runs, Backup(fitted)
    for run in range(most):
        fitted.sites["a"].handle(fitted.begin("a", run=f"run-{run}").data)

    site, _ = backup.restored()

    posts = site.handle(fitted.begin("a", run="more").data)
    assert "runs are used up" in rule(fitted, posts)


def test_a_restored_journal_has_not_forgotten_from_which_data_it_answered(fitted):
    backup = Backup(fitted)
    fitted.play()
    with fitted.patients.open("a", encoding="utf-8") as file:
        file.write("a,40,f,no\n")

    site, _ = backup.restored()

    posts = site.handle(fitted.begin("a", run="other").data)
    assert "from other data" in rule(fitted, posts)


def test_a_restored_journal_does_not_set_the_clock_back(fitted):
    backup = Backup(fitted)
    fitted.play()
    site, _ = backup.restored()

    fitted.clock.now -= datetime.timedelta(hours=1)

    assert "clock was set back" in rule(fitted, site.handle(fitted.task("a").data))


# --- permits and notices ------------------------------------------------------------
def test_a_permit_covers_so_many_runs_and_no_more(tmp_path):
    with Federation(tmp_path / "federation") as federation:
        most = federation.bundle.permit.most_runs

        kinds = [
            federation_kind(federation, data)
            for run in range(most + 1)
            for _, data in federation.sites["a"].handle(
                federation.begin("a", run=f"run-{run}").data
            )
        ]

    assert [kind for kind, _ in kinds] == ["ready"] * most + ["refusal"]
    assert "runs are used up" in kinds[-1][1]["rule"]


def test_a_withdrawal_laid_into_the_sites_folder_is_heard(fitted, tmp_path):
    folder = tmp_path / "notices"
    folder.mkdir()
    signer = fitted.cast.identities["ethics-hk"]
    when = fitted.clock() + datetime.timedelta(seconds=1)
    withdrawn = sign_notice(fitted.bundle, signer, "withdraw", when)

    before = read_notices(folder)
    write_bundle(folder / "permit.json", withdrawn)

    assert before == ()
    assert [n.body["verb"] for n in read_notices(folder)][-1] == "withdraw"


def test_a_file_that_is_no_permit_closes_the_door(tmp_path):
    (tmp_path / "odd.json").write_text(json.dumps({"permit": 1}))

    with pytest.raises(InvalidNetwork):
        read_notices(tmp_path)
