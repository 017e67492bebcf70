"""A site acts for the coordinator it knows, once for each task, and logs it all."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetao.canonical import digest, digest_bytes, parse_canonical
from hetao.errors import (
    BadEnvelope,
    ChangedSum,
    HetaoError,
    Stopped,
    Unreachable,
    Unverified,
)
from hetao.federation.answers import Answers
from hetao.federation.hub import Hub
from hetao.federation.site import Site
from hetao.ledger.envelope import parse_envelope, seal
from hetao.permit import Bundle, new_identity, sign_notice, state
from hetao.release import Summary, pack, tag_digest, tag_from, tag_text, unpack
from hetao.study import Analysis
from hetao.study.model import Grid
from support_federation import (
    COUNTS,
    LOGISTIC,
    START,
    Federation,
    Plan,
    column,
    toy_study,
)


def entries(federation, site):
    return [json.loads(entry) for entry in federation.log_entries(site)]


def begun(federation, name="a", bundle=None):
    """Return a site that holds the permit, and what it answered."""
    site = federation.sites[name]
    return site, site.handle(federation.begin(name, bundle).data)


def kinds(posts):
    return [parse_envelope(data).header.kind for _, data in posts]


def test_a_site_answers_begin_task_and_finish(federation):
    site, ready = begun(federation)
    sums = site.handle(federation.task("a").data)
    closing = site.handle(federation.envelope("finish", "a").data)

    assert kinds(ready) == ["ready"]
    assert kinds(sums) == ["share", "share", "receipt"]
    assert [hub for hub, _ in sums] == ["hub-hk", "hub-sz", "hub-hk"]
    assert kinds(closing) == ["closing"]


def test_what_a_site_sends_names_what_it_sent_before(federation):
    site, ready = begun(federation)

    sums = site.handle(federation.task("a").data)

    previous = {parse_envelope(data).header.previous for _, data in sums}
    assert previous == {digest_bytes(ready[-1][1])}


# --- dropped: nobody we know asked --------------------------------------------------
def forged_by_a_site(federation):
    return federation.task("a", sender="b").data


def forged_by_a_hub(federation):
    return federation.task("a", sender="hub-hk").data


def forged_by_an_impostor(federation):
    header = federation.task("a").header
    site = federation.cast.directory["a"]
    return seal(new_identity("coordinator"), site, header, pack({})).data


def for_another_site(federation):
    return federation.task("b").data


def spoilt(federation):
    return federation.task("a").data[:-1]


def garbage(federation):
    return b"HTE1 not at all"


@pytest.mark.parametrize(
    "forge",
    [
        forged_by_a_site,
        forged_by_a_hub,
        forged_by_an_impostor,
        for_another_site,
        spoilt,
        garbage,
    ],
)
def test_what_the_coordinator_did_not_ask_of_this_site_is_dropped_and_logged(
    federation, forge
):
    site, _ = begun(federation)

    posts = site.handle(forge(federation))

    assert posts == []
    assert entries(federation, site)[-1]["what"] == "dropped"
    assert entries(federation, site)[-1]["rule"].startswith("HT-")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=100))
def test_any_bytes_are_dropped(federation, data):
    assert federation.sites["a"].handle(data) == []


def test_a_flipped_byte_gets_no_answer(federation):
    site, _ = begun(federation)
    good = federation.task("a").data
    for place in range(0, len(good), 31):
        bad = bytearray(good)
        bad[place] ^= 1

        assert site.handle(bytes(bad)) == []

    assert kinds(site.handle(good)) == ["share", "share", "receipt"]


# --- refused: with the rule, to the coordinator -------------------------------------
def refusal(federation, posts):
    (rule,) = federation.refusals(posts)
    return rule


def test_a_task_without_a_permit_is_refused(federation):
    posts = federation.sites["a"].handle(federation.task("a").data)

    assert "no permit has reached this site" in refusal(federation, posts)


def test_an_expired_task_is_refused(federation):
    site, _ = begun(federation)
    task = federation.task("a")
    federation.clock.pass_seconds(5 * 60)

    posts = site.handle(task.data)

    assert "not-after" in refusal(federation, posts)
    assert entries(federation, site)[-2]["what"] == "refused"


def test_an_analysis_outside_the_study_is_refused(federation):
    site, _ = begun(federation)

    posts = site.handle(federation.task("a", analysis="gossip").data)

    assert "gossip" in refusal(federation, posts)


def test_a_round_asked_for_under_another_name_is_refused(federation):
    """Else a coordinator could ask one round again and again, at states it chooses."""
    site, _ = begun(federation)
    site.handle(federation.task("a").data)

    posts = site.handle(federation.task("a", task="attrition/1/0 again").data)

    assert "task's name" in refusal(federation, posts)


@pytest.mark.parametrize(
    "members",
    [("b", "c"), ("a",), ("a", "b"), ("a", "b", "c", "d"), ("a", "b", "c", "c")],
)
def test_another_member_list_is_refused(federation, members):
    site, _ = begun(federation)

    posts = site.handle(federation.task("a", members).data)

    assert federation.refusals(posts)


@pytest.mark.parametrize("kind", ["share", "total", "ready", "refusal", "closing"])
def test_what_is_not_for_sites_is_refused(federation, kind):
    site, _ = begun(federation)

    posts = site.handle(federation.envelope(kind, "a").data)

    assert "does not act on" in refusal(federation, posts)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04K\x01.", pack({}), pack({"study": 1, "permit": 2})],
)
def test_a_begin_of_garbage_is_refused(federation, content):
    site = federation.sites["a"]

    posts = site.handle(federation.envelope("begin", "a", content).data)

    assert len(federation.refusals(posts)) == 1


@pytest.mark.parametrize("content", [b"", pack({}), pack({"members": 5})])
def test_a_task_of_garbage_is_refused(federation, content):
    site, _ = begun(federation)
    fields = {"analysis": "attrition", "attempt": 1, "task": "attrition/1/0"}

    posts = site.handle(federation.envelope("task", "a", content, **fields).data)

    assert len(federation.refusals(posts)) == 1


def test_a_permit_that_does_not_stand_is_refused_before_any_row_is_read(federation):
    site, posts = begun(federation, bundle=Bundle(federation.bundle.permit))

    assert "approval" in refusal(federation, posts)
    assert site._runs == {}


def test_an_envelope_that_names_another_study_than_it_holds_is_refused(federation):
    site = federation.sites["a"]

    posts = site.handle(federation.begin("a", study="sha256:another").data)

    assert "different studies" in refusal(federation, posts)


@pytest.mark.parametrize("field", ["study", "permit"])
def test_a_task_for_another_study_than_its_run_is_refused(federation, field):
    site, _ = begun(federation)

    posts = site.handle(federation.task("a", **{field: "sha256:x"}).data)

    assert "another study" in refusal(federation, posts)


@pytest.mark.parametrize("verb", ["withdraw", "refuse"])
def test_a_permit_withdrawn_between_begin_and_task_is_refused(federation, verb):
    site, _ = begun(federation)
    signer = federation.cast.identities["ethics-sz"]
    federation.notices += sign_notice(federation.bundle, signer, verb, START).notices[
        -1:
    ]

    posts = site.handle(federation.task("a").data)

    assert f"ethics-sz said '{verb}'" in refusal(federation, posts)
    assert "share" not in kinds(posts)


def test_a_withdrawal_of_another_permit_changes_nothing(federation):
    site, _ = begun(federation)
    other = Bundle(replace(federation.bundle.permit, number="another"))
    signer = federation.cast.identities["ethics-sz"]
    federation.notices += sign_notice(other, signer, "withdraw", START).notices

    assert "share" in kinds(site.handle(federation.task("a").data))


def test_a_permit_that_ends_between_begin_and_task_is_refused(federation):
    site, _ = begun(federation)
    federation.clock.pass_seconds(91 * 86_400)

    posts = site.handle(federation.task("a").data)

    assert "not in force" in refusal(federation, posts)


def test_a_site_takes_part_in_so_many_runs_as_the_permit_allows(federation):
    """A run more is refused at its begin, and so is whatever it asks for."""
    permit = replace(federation.bundle.permit, most_runs=2)
    federation.bundle = federation.cast.approved(Bundle(permit), START)
    site = federation.sites["a"]
    runs = [f"run-{i}" for i in range(3)]

    ready = [site.handle(federation.begin("a", run=run).data) for run in runs]
    sums = [site.handle(federation.task("a", run=run).data) for run in runs]

    assert [kinds(posts)[0] for posts in ready] == ["ready", "ready", "refusal"]
    assert [kinds(posts)[0] for posts in sums] == ["share", "share", "refusal"]
    assert "runs are used up" in refusal(federation, ready[-1])


def test_a_run_too_many_is_refused_after_a_restart_too(federation):
    permit = replace(federation.bundle.permit, most_runs=1)
    federation.bundle = federation.cast.approved(Bundle(permit), START)
    begun(federation)
    federation.sites["a"].handle(federation.begin("a", run="run-2").data)

    back = federation.open_site("a")

    for ask in (federation.begin, federation.task):
        posts = back.handle(ask("a", run="run-3").data)
        assert kinds(posts) == ["refusal"]
    assert kinds(back.handle(federation.task("a", run="run-2").data)) == ["refusal"]
    assert "share" in kinds(back.handle(federation.task("a").data))


def a_patient_more(federation):
    """Curate site a's data again, with one patient more."""
    with federation.patients.open("a", encoding="utf-8") as file:
        file.write("a,43.125,m,yes\n")


def test_a_second_run_over_other_data_is_refused(federation):
    """The difference of the two runs' sums would be the new patient's row."""
    site, _ = begun(federation)
    a_patient_more(federation)

    ready = site.handle(federation.begin("a", run="run-2").data)
    sums = site.handle(federation.task("a", run="run-2").data)

    assert "from other data" in refusal(federation, ready)
    assert kinds(sums) == ["refusal"]
    assert "share" in kinds(site.handle(federation.task("a").data))


def test_a_run_does_not_go_on_over_other_data_after_a_restart(federation):
    begun(federation)
    a_patient_more(federation)
    back = federation.open_site("a")

    posts = back.handle(federation.task("a").data)
    again = back.handle(federation.begin("a", run="run-2").data)

    assert "from other data" in refusal(federation, posts)
    assert "from other data" in refusal(federation, again)


# --- sums that are one site's own ---------------------------------------------------
DAYS = column("days", kind="number", bounds=(0.0, 1000.0))
TELLS_SITES_APART = {
    "table1": Analysis("table", "table1", by="site", variables=("sex", "ill")),
    "km": Analysis(
        "curve",
        "km",
        time="days",
        event="ill",
        by="site",
        grid=Grid(tuple(10.0 * i for i in range(101))),
    ),
}


@pytest.mark.parametrize("method", TELLS_SITES_APART)
def test_a_sum_that_tells_sites_apart_is_refused(tmp_path, method):
    """However many sites are in the sum, each cell of it is one site's own."""
    study = toy_study((TELLS_SITES_APART[method],))
    plan = Plan(replace(study, variables=(*study.variables, DAYS)))
    with Federation(tmp_path / "f", plan) as federation:
        head, *lines = federation.patients.read_text().splitlines()
        dated = [f"{line},{i * 37 % 999 + 1}" for i, line in enumerate(lines)]
        federation.patients.write_text("\n".join([f"{head},days", *dated]) + "\n")
        site, ready = begun(federation)

        posts = site.handle(federation.task("a").data)

        assert kinds(ready) == ["ready"]
        assert "HT-402" in refusal(federation, posts)
        assert f"in a cell of {method}" in refusal(federation, posts)


@pytest.mark.parametrize("analysis", [COUNTS, LOGISTIC], ids=lambda a: a.method)
def test_a_site_is_never_summed_with_too_few_of_the_others(tmp_path, analysis):
    """Not even where its own part could be published."""
    study = toy_study((analysis,), ("a", "b", "c", "d"), on_lost_site="continue")
    with Federation(tmp_path / "f", Plan(study)) as federation:
        site, _ = begun(federation)

        few = site.handle(federation.task("a", ("a", "b")).data)
        alone = site.handle(federation.task("a", ("a",), attempt=2).data)
        enough = site.handle(federation.task("a", ("a", "b", "c"), attempt=3).data)

        assert "HT-405" in refusal(federation, few)
        assert "HT-405" in refusal(federation, alone)
        assert kinds(enough) == ["share", "share", "receipt"]


# --- once, and the same again -------------------------------------------------------
def test_the_same_task_twice_gets_the_very_same_bytes(federation):
    site, ready = begun(federation)
    begin, task = federation.begin("a"), federation.task("a")
    first = site.handle(task.data)

    size = len(entries(federation, site))

    assert site.handle(task.data) == first
    assert len(entries(federation, site)) == size
    assert ready
    assert federation.refusals(site.handle(begin.data))  # other bytes, same place


def test_the_same_task_with_another_state_is_a_replay(tmp_path):
    with Federation(tmp_path / "f", Plan(toy_study((LOGISTIC,)))) as federation:
        sums, site = federation.play(), federation.sites["a"]
        first = site.handle(federation.task("a", sums=sums, round=1).data)
        moved = replace(sums, state={"beta": sums.state["beta"] + 1})

        posts = site.handle(federation.task("a", sums=moved, round=1).data)

        assert kinds(first) == ["share", "share", "receipt"]
        assert "another content" in refusal(federation, posts)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"beta": np.zeros(2)},
        {"beta": np.zeros((3, 1))},
        {"beta": np.zeros(3, np.int64)},
        {"beta": np.array([0.0, np.nan, 0.0])},
        {"beta": np.array([0.0, np.inf, 0.0])},
        {"gamma": np.zeros(3)},
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused(tmp_path, state):
    with Federation(tmp_path / "f", Plan(toy_study((LOGISTIC,)))) as federation:
        bent = replace(federation.play(), state=state)

        posts = federation.sites["a"].handle(
            federation.task("a", sums=bent, round=1).data
        )

        assert "state" in refusal(federation, posts)


# --- killed -------------------------------------------------------------------------
def test_a_site_opened_again_sends_the_same_bytes_and_logs_each_release_once(
    federation,
):
    site, ready = begun(federation)
    task = federation.task("a")
    sums = site.handle(task.data)

    again = federation.open_site("a")  # the first was never closed

    assert again.handle(task.data) == sums
    records = [e for e in entries(federation, again) if "body" in e]
    assert [r["body"]["kind"] for r in records] == ["ready", "sum"]
    closing = again.handle(federation.envelope("finish", "a").data)
    (_, meta, _) = federation.opened(closing[0][1])
    assert [proof["task"] for proof in meta["proofs"]] == ["attrition/1/0"]
    assert ready


class KilledError(BaseException):
    """Stands for the end of the process."""


class DiesBeforeLogging(Answers):
    def _log_answer(self, key, before=()):
        if "task" in key:
            raise KilledError
        super()._log_answer(key, before)


class DiesAfterLogging(Answers):
    def _log_answer(self, key, before=()):
        super()._log_answer(key, before)
        if "task" in key:
            raise KilledError


class DiesBetweenLogAndJournal(Answers):
    def _log_answer(self, key, before=()):
        if "task" in key:
            (record,) = self._store.rows(
                "SELECT record FROM answered WHERE task = ?", (key,)
            )[0]
            self._log.append([bytes(record)])
            raise KilledError
        super()._log_answer(key, before)


@pytest.mark.parametrize(
    "dying", [DiesBeforeLogging, DiesAfterLogging, DiesBetweenLogAndJournal]
)
def test_a_site_killed_while_it_logs_ends_with_one_entry_for_one_release(
    tmp_path, dying
):
    with Federation(tmp_path / "f", Plan()) as federation:
        site, _ = begun(federation)
        site.answers = dying(site._store, site._log)
        task = federation.task("a")
        with pytest.raises(KilledError):
            site.handle(task.data)

        back = federation.open_site("a")
        posts = back.handle(task.data)

        assert kinds(posts) == ["share", "share", "receipt"]
        (_, receipt, _) = federation.opened(posts[-1][1])
        sums = [e for e in entries(federation, back) if "body" in e]
        assert [e["body"]["kind"] for e in sums] == ["ready", "sum"]
        assert receipt["body"] == sums[-1]["body"]
        assert back.handle(task.data) == posts


def test_a_site_killed_before_it_kept_an_answer_answers_anew(federation):
    """Nothing had left, so another seed does no harm."""
    site, _ = begun(federation)
    again = federation.open_site("a")

    posts = again.handle(federation.task("a").data)

    assert kinds(posts) == ["share", "share", "receipt"]
    assert site is not again


# --- a whole study with one liar ----------------------------------------------------
def stopped_by(tmp_path, plan):
    """Return the error that a study with these parties ends in."""
    with Federation(tmp_path / "f", plan) as federation:
        with pytest.raises(HetaoError) as caught:
            federation.run()
        return caught.value


class Tampering(Site):
    """A site whose answers are rewritten and signed again with its own key."""

    def handle(self, data):
        return [(hub, self.rewritten(answer)) for hub, answer in super().handle(data)]

    def rewritten(self, answer):
        header = parse_envelope(answer).header
        content = self.content(header)
        if content is None:
            return answer
        recipient = self._setup.trusted[header.recipient]
        return seal(self._setup.identity, recipient, header, content).data

    def content(self, header):
        raise NotImplementedError

    def may_send(self, posts):
        """Nothing holds a liar's answers back."""
        return True


def says(kind, content, recipient=""):
    """Return a site that says `content` whenever it should say `kind`."""

    class Liar(Tampering):
        def content(self, header):
            chosen = header.kind == kind and recipient in ("", header.recipient)
            return content if chosen else None

    return Liar


LIARS = {
    "a share of garbage": says("share", b"garbage"),
    "a share of nothing": says("share", pack({})),
    "a share of another length": says(
        "share", pack({"values": 9, "members": ["a", "b", "c"], "seed": "00" * 16})
    ),
    "a seed too short": says(
        "share", pack({"values": 3, "members": ["a", "b", "c"], "seed": "00"})
    ),
    "a share of reals": says(
        "share",
        pack(
            {"values": 3, "members": ["a", "b", "c"]},
            {"words": np.full((2, 3), np.nan)},
        ),
    ),
    "a receipt of garbage": says("receipt", b"garbage"),
    "a receipt of nothing": says("receipt", pack({})),
    "a receipt of other fields": says("receipt", pack({"body": {}, "signature": ""})),
    "a receipt of odd shares": says(
        "receipt", pack({"body": {"shares": 5}, "signature": ""})
    ),
    "a receipt of nobody": says(
        "receipt", pack({"body": {"shares": {}, "bytes": 1}, "signature": "AAAA"})
    ),
    "a ready of nothing": says("ready", pack({})),
    "a ready of another dictionary": says(
        "ready",
        pack(
            {
                "site": "b",
                "snapshot": "",
                "dictionary": "x",
                "policy": {"minimum": {"cell": 10}},
                "record": {},
            }
        ),
    ),
    "a ready of an odd policy": says(
        "ready",
        pack({"snapshot": "", "dictionary": "flat", "policy": {"minimum": "none"}}),
    ),
    "a ready of odd concept sets": says(
        "ready",
        pack(
            {
                "snapshot": "",
                "dictionary": "flat",
                "policy": {"minimum": {"cell": 10}},
                "record": {},
                "concepts": [{"name": "x", "digest": "", "codes": 1200}],
            }
        ),
    ),
    "a closing of nothing": says("closing", pack({})),
}


@pytest.mark.parametrize("lie", LIARS)
def test_a_site_that_lies_stops_the_study_and_no_number_comes_out(tmp_path, lie):
    study = toy_study(deadline_seconds=3)

    error = stopped_by(tmp_path, Plan(study, site_types={"b": LIARS[lie]}))

    assert re.search(r"(?<![-\w])b(?!\w)", str(error))
    assert "1200" not in str(error)
    assert "400" not in str(error)


@pytest.mark.parametrize("made_up", [{"checkpoint": "x", "proofs": []}, {"proofs": []}])
def test_a_site_that_closes_with_a_made_up_log_gets_no_certificate(tmp_path, made_up):
    """Its closing has the form, and it signs it: what a log holds, only steps tell."""

    class MadeUp(Site):
        def _decide(self, outgoing, run, envelope):
            honest = super()._decide(outgoing, run, envelope)
            if honest.record.body["kind"] != "closing":
                return honest
            said = {**outgoing.body, **made_up, "site": self.name}
            record = state(
                self._setup.identity, {**honest.record.body, "content": digest(said)}
            )
            return replace(
                honest,
                record=record,
                envelopes=(
                    seal(
                        self._setup.identity,
                        run.bundle.permit.coordinator,
                        honest.envelopes[0].header,
                        pack({**said, "record": record.as_json()}),
                    ),
                ),
            )

    error = stopped_by(tmp_path, Plan(toy_study(), site_types={"b": MadeUp}))

    assert isinstance(error, Unverified)
    assert "sites' logs" in str(error)


def test_a_receipt_for_another_round_is_refused(tmp_path):
    class Replays(Tampering):
        kept = None

        def rewritten(self, answer):
            header = parse_envelope(answer).header
            if header.kind != "receipt":
                return answer
            if Replays.kept is None:
                Replays.kept = state(
                    self._setup.identity,
                    {
                        "study": header.study,
                        "permit": header.permit,
                        "run": header.run,
                        "task": "another/1/0",
                        "shares": {},
                        "bytes": 1,
                    },
                )
            recipient = self._setup.trusted[header.recipient]
            content = pack(Replays.kept.as_json())
            return seal(self._setup.identity, recipient, header, content).data

    error = stopped_by(tmp_path, Plan(toy_study(), site_types={"b": Replays}))

    assert "b answered for another study, run or task" in str(error)


def computing(change):
    """Return a site whose estimator adds something wrong to its own sum."""

    class Wrong(Site):
        def _prepared(self, run, name):
            estimator, rows, facts = super()._prepared(run, name)

            class Bad(type(estimator)):
                def start(self, rows):
                    return change(super().start(rows))

            bad = Bad(estimator.plan)
            return bad, rows, facts

    return Wrong


WRONG = {
    "nan": (lambda m: {**m, "n": np.array([np.nan])}, "HT-410"),
    "infinity": (lambda m: {**m, "n": np.array([np.inf])}, "HT-410"),
    "another shape": (lambda m: {**m, "n": np.zeros(2)}, "HT-412"),
    "an array too many": (lambda m: {**m, "rows": np.zeros(2)}, "HT-412"),
    "an array too few": (lambda m: {"n": m["n"]}, "HT-412"),
    "too much": (lambda m: {**m, "n": m["n"] * 1e6}, "HT-411"),
    "a negative count": (lambda m: {**m, "n": -m["n"]}, "HT-411"),
    "text": (lambda m: {**m, "n": np.array(["x"])}, "HT-311"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_site_that_computes_wrongly_refuses_by_its_own_gate(tmp_path, case):
    change, code = WRONG[case]
    plan = Plan(toy_study(deadline_seconds=5), site_types={"b": computing(change)})

    error = stopped_by(tmp_path, plan)

    assert isinstance(error, Stopped)
    assert f"b refused attrition/1/0: {code}" in str(error)


def test_a_site_with_too_few_people_stops_the_study_without_a_count(tmp_path):
    plan = Plan(toy_study(), people=43)

    error = stopped_by(tmp_path, plan)

    assert isinstance(error, Stopped)
    assert "HT-401" in str(error)
    assert "43" not in str(error)


def test_a_site_that_says_nothing_is_named(tmp_path):
    class Silent(Site):
        def handle(self, data):
            posts = super().handle(data)
            return [] if kinds(posts)[0] == "share" else posts

    plan = Plan(toy_study(deadline_seconds=3), site_types={"b": Silent})

    error = stopped_by(tmp_path, plan)

    assert isinstance(error, Unreachable)
    assert "b did not answer attrition/1/0" in str(error)


# --- a whole study with a lying hub -------------------------------------------------
def adding(change):
    """Return a hub that changes shares (a list of words) before it adds them."""

    class Liar(Hub):
        def _share(self, share, members):
            words, tag = super()._share(share, members)
            return change(words, share.header.sender), tag

    return Liar


def drop(words, sender):
    return words * np.uint64(sender != "b")


def twice(words, sender):
    return words * np.uint64(2 if sender == "b" else 1)


def miscount(words, sender):
    changed = words.copy()
    changed[0, -1] += np.uint64(1 << 8)
    return changed


@pytest.mark.parametrize("change", [drop, twice, miscount])
@pytest.mark.parametrize("hub", ["hub-hk", "hub-sz"])
def test_a_hub_that_drops_or_repeats_a_share_is_noticed(tmp_path, hub, change):
    """The count word comes out random, or one off."""
    error = stopped_by(tmp_path, Plan(toy_study(), hub_types={hub: adding(change)}))

    assert "one part from each member" in str(error)


def total_with(change):
    """Return a hub that sends another total than it should."""

    class Liar(Hub):
        def _reply(self, header, kind, to, content):
            if kind == "total":
                content = pack(*change(self, *unpack(content)))
            super()._reply(header, kind, to, content)

    return Liar


def other_integers(hub, meta, arrays):
    return meta, {"words": arrays["words"] + np.uint64(1)}


def of_other_shares(hub, meta, arrays):
    body = {**meta["body"], "shares": {**meta["body"]["shares"], "b": "sha256:x"}}
    return state(hub.identity, body).as_json(), arrays


def of_fewer_shares(hub, meta, arrays):
    shares = {k: v for k, v in meta["body"]["shares"].items() if k != "b"}
    return state(hub.identity, {**meta["body"], "shares": shares}).as_json(), arrays


def without_words(hub, meta, arrays):
    return meta, {}


def with_reals(hub, meta, arrays):
    return meta, {"words": np.full((2, 3), np.nan)}


def with_fewer_words(hub, meta, arrays):
    words = np.ascontiguousarray(arrays["words"][:, :-1])
    body = {**meta["body"], "words": digest_bytes(words.tobytes())}
    return state(hub.identity, body).as_json(), {"words": words}


def unsigned(hub, meta, arrays):
    return {**meta, "signature": "AAAA"}, arrays


def not_a_statement(hub, meta, arrays):
    return {}, arrays


@pytest.mark.parametrize(
    "change",
    [
        other_integers,
        of_other_shares,
        of_fewer_shares,
        without_words,
        with_reals,
        with_fewer_words,
        unsigned,
        not_a_statement,
    ],
)
def test_a_hub_whose_total_is_not_of_the_sites_shares_is_refused(tmp_path, change):
    plan = Plan(toy_study(), hub_types={"hub-sz": total_with(change)})

    error = stopped_by(tmp_path, plan)

    assert "hub-sz" in str(error) or "length" in str(error)


def shifted(words, sender):
    changed = words.copy()
    changed[0, 0] += np.uint64(10 << 8)  # ten more people
    return changed


@pytest.mark.parametrize("hub", ["hub-hk", "hub-sz"])
def test_a_hub_that_changes_a_value_and_signs_it_is_noticed(tmp_path, hub):
    error = stopped_by(tmp_path, Plan(toy_study(), hub_types={hub: adding(shifted)}))

    assert isinstance(error, ChangedSum)


def with_a_tag_to_match(hub, meta, arrays):
    """Shift a value and guess what that does to the tag: nothing, or as much."""
    words = arrays["words"].copy()
    words[0, 0] += np.uint64(1 << 8)
    tag = tag_from(meta["tag"]) + (1 << 8)
    changes = {"tag": tag_digest(tag), "words": digest_bytes(words.tobytes())}
    signed = state(hub.identity, {**meta["body"], **changes}).as_json()
    return {**signed, "tag": tag_text(tag)}, {"words": words}


def without_a_tag(hub, meta, arrays):
    body = {k: v for k, v in meta["body"].items() if k != "tag"}
    return {**state(hub.identity, body).as_json(), "tag": meta["tag"]}, arrays


def with_another_tag_than_signed(hub, meta, arrays):
    return {**meta, "tag": tag_text(tag_from(meta["tag"]) + 1)}, arrays


def that_keeps_its_tag(hub, meta, arrays):
    return {key: value for key, value in meta.items() if key != "tag"}, arrays


@pytest.mark.parametrize(
    "change",
    [
        with_a_tag_to_match,
        without_a_tag,
        with_another_tag_than_signed,
        that_keeps_its_tag,
    ],
)
def test_a_hub_cannot_make_up_the_tag_of_a_changed_sum(tmp_path, change):
    error = stopped_by(
        tmp_path, Plan(toy_study(), hub_types={"hub-hk": total_with(change)})
    )

    assert isinstance(error, ChangedSum | BadEnvelope)


def test_no_hub_is_told_the_key_of_the_tags(tmp_path):
    """Whatever a hub can open, in any run, holds no key and no factor."""
    with Federation(tmp_path / "f", Plan(toy_study((LOGISTIC,)))) as federation:
        ran = federation.run()
        keys = {
            receipt.body["key"]
            for record in ran.outcome.rounds
            for receipt in record.receipts.values()
        }
        opened = [
            repr(federation.opened(data, by=hub))
            for data in federation.carried
            for hub in federation.hubs
            if parse_envelope(data).header.recipient == hub
        ]

    assert len(keys) == len(ran.outcome.rounds)  # a new one for each sum
    assert opened
    assert not [text for text in opened for key in keys if key in text]
    assert not [data for data in federation.carried for k in keys if k.encode() in data]


def test_a_site_given_no_key_refuses(federation):
    site, _ = begun(federation)
    content = pack({"members": list(federation.study.sites)})

    posts = site.handle(federation.task("a", content=content).data)

    assert "HT-412" in refusal(federation, posts)


def test_a_site_that_tags_with_another_key_is_named(tmp_path):
    class Other(Site):
        def _decide(self, outgoing, run, envelope):
            if isinstance(outgoing, Summary):
                outgoing = replace(outgoing, key=bytes(16))
            return super()._decide(outgoing, run, envelope)

    error = stopped_by(tmp_path, Plan(toy_study(), site_types={"b": Other}))

    assert isinstance(error, ChangedSum)
    assert "b tagged" in str(error)


def test_a_hub_that_never_adds_is_named(tmp_path):
    class Silent(Hub):
        def _send_total(self, *_):
            return

    plan = Plan(toy_study(deadline_seconds=3), hub_types={"hub-sz": Silent})

    error = stopped_by(tmp_path, plan)

    assert isinstance(error, Unreachable)
    assert "hub-sz did not answer" in str(error)


def test_after_a_lie_no_certificate_and_no_finding_is_left(tmp_path):
    plan = Plan(toy_study(), hub_types={"hub-sz": adding(drop)})
    with Federation(tmp_path / "f", plan) as federation:
        with pytest.raises(HetaoError):
            federation.run()

        issued = [
            e
            for data in federation.carried
            if (e := parse_envelope(data)).header.task.startswith("cosign")
        ]
        assert issued == []


def test_an_honest_study_of_the_same_parties_answers(tmp_path):
    with Federation(tmp_path / "f", Plan(toy_study((COUNTS,)))) as federation:
        ran = federation.run()

        body = parse_canonical(ran.certificate)["body"]
        assert body["findings"][0]["finding"]["steps"][0]["n"] == 1200
