"""Extract, input, messages, result: each cites the one before, and none is changed."""

import base64
import stat
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import replace

import pytest

from hetao.canonical import canonical, digest, parse_canonical
from hetao.cdm.engine_duckdb import connect
from hetao.cli.main import main
from hetao.cli.provenance import drawn_from
from hetao.errors import InvalidData, NotApproved, Refused, Unverified, Usage
from hetao.federation.binding import log_extract
from hetao.federation.replay import replay
from hetao.federation.showing import Showing, answer_ask, opened_of, show_acts
from hetao.ledger import verify_hetao, verify_log
from hetao.ledger.acts import decode_act
from hetao.ledger.audit import draws, extract_of, seed_of
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.coin import Ask, answered, bound, draw_of, joint_seed
from hetao.ledger.opened import open_certificate
from hetao.ledger.showing import check_shown
from hetao.permit import state, statement_from, write_directory
from support_extracts import CANARY, Committed
from support_witness import by_script


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Two sites that committed to their extracts, and one that did not."""
    with Committed(tmp_path_factory.mktemp("acts"), without=("c",)) as made:
        yield made


@pytest.fixture(scope="module")
def ran(federation):
    """Return the finished run of a count and a model over them."""
    return federation.run()


def test_a_certificate_says_who_had_committed_before_anything_left(ran):
    verified = verify_certificate(ran.certificate, ran.cast.directory)

    assert "2 had committed to their extracts" in verified.steps[7]
    extracts = {entry["name"]: entry["extract"] for entry in ran.body["sites"]}
    assert extracts["c"] is None
    for name in ("a", "b"):
        said = extracts[name]["record"]["body"]
        assert (said["acts"], said["people"]) == ("200-499", "100-199")


def test_no_patients_text_is_in_any_log_or_certificate(federation, ran):
    logs = [federation.log_entries(site) for site in federation.sites.values()]
    logs += [federation.log_entries(hub) for hub in federation.hubs.values()]
    public = [ran.certificate, *(entry for log in logs for entry in log)]

    assert len(public) > 20
    for data in public:
        assert CANARY.encode() not in data
        assert CANARY.encode("unicode_escape") not in data
        assert b"CANARY" not in data


def test_an_opened_act_tells_of_nobody_else(federation):
    extract = federation.extract("a", federation.tables("a"))
    opened = extract.open(extract.index_of(7, 7))

    assert decode_act(opened.act).person == 7
    assert opened.act.count(CANARY.encode()) <= 1
    assert CANARY.encode() not in b"".join(opened.path) + opened.nonce


def _signed_again(ran, site, body):
    return state(ran.cast.identities[site], body).as_json()


# --- what a lying issuer or site changes, each signed again ---------------------------
def other_tables(ran, body):
    entry = body["sites"][0]
    said = entry["extract"]["record"]["body"] | {"snapshot": "sha256:" + "1" * 64}
    entry["extract"]["record"] = _signed_again(ran, "a", said)


def another_record(ran, body):
    extract = body["sites"][0]["extract"]
    other = extract["record"]["body"] | {"root": "sha256:" + "2" * 64}
    extract["record"] = _signed_again(ran, "a", other)


def another_index(_, body):
    body["sites"][0]["extract"]["index"] += 1


def a_shorter_path(_, body):
    del body["sites"][0]["extract"]["path"][0]


def no_extract(_, body):
    body["sites"][0]["extract"] = None


def a_field_more(_, body):
    body["sites"][0]["extract"]["acts"] = 361


def extract_after_a_release(ran, body):
    """Its own notices are signed again as well, so that nothing else is wrong."""
    entry = body["sites"][0]
    proof = min(entry["proofs"], key=lambda one: one["index"])
    extract = entry["extract"]
    assert extract["index"] < proof["index"]
    extract["index"] = proof["index"] + 1
    content = {key: entry[key] for key in ("checkpoint", "proofs", "quality")}
    content |= {"extract": extract, "site": "a"}
    said = entry["closing"]["body"] | {"content": digest(content)}
    entry["closing"] = _signed_again(ran, "a", said)


def _other(field, task):
    def spoil(ran, body):
        (round_,) = [one for one in body["rounds"] if one["task"] == task]
        said = round_["receipts"]["a"]["body"] | {field: "sha256:" + "3" * 64}
        round_["receipts"]["a"] = _signed_again(ran, "a", said)

    return spoil


def another_band(_, body):
    body["sites"][0]["quality"] = {}


SPOILT = {
    "other tables": other_tables,
    "another record": another_record,
    "another index": another_index,
    "a shorter path": a_shorter_path,
    "no extract": no_extract,
    "a field more": a_field_more,
    "extract after a release": extract_after_a_release,
    "the first cites another": _other("cites", "attrition/1/0"),
    "a later one cites another": _other("cites", "model/1/1"),
    "other quality": another_band,
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_chain_that_is_broken_is_refused_by_library_and_one_file(ran, name):
    body = ran.body
    SPOILT[name](ran, body)
    data = ran.resigned(body)

    with pytest.raises(Unverified, match="step 8, "):
        verify_certificate(data)
    with pytest.raises(verify_hetao.Refused):
        verify_hetao.verify(data)


def test_other_rows_in_a_later_round_are_refused_by_the_one_file(ran):
    """Everything after is signed again, so that each still cites the one before."""
    body, site = ran.body, "a"
    own = [one for one in body["rounds"] if one["analysis"] == "model"]
    entry = body["sites"][0]
    proofs, before = {one["task"]: one for one in entry["proofs"]}, None
    leaves = []
    for one in own[-2:]:
        said = one["receipts"][site]["body"] | {"input": "sha256:" + "4" * 64}
        said |= {"cites": digest(before)} if before else {}
        before = one["receipts"][site] = _signed_again(ran, site, said)
        leaves.append((proofs[one["task"]], before))
    note = verify_log.Note(entry["checkpoint"])
    certificate = verify_hetao.Certificate(ran.certificate)

    with pytest.raises(verify_hetao.Refused, match="other rows"):
        certificate._chain(entry, {one["task"]: one["receipts"][site] for one in own})
    text = verify_log.canonical(leaves[0][1])
    with pytest.raises(verify_hetao.Refused, match="stand in its log"):
        verify_log.stands(text, leaves[0][0], note, "it")


def test_the_pages_script_refuses_them_too(ran, tmp_path):
    made = {"nothing": ran.body}
    for name, spoil in SPOILT.items():
        made[name] = ran.body
        spoil(ran, made[name])
    given = {name: ran.resigned(body) for name, body in made.items()}

    accepted = by_script(given, tmp_path)

    assert list(accepted) == ["nothing"]
    assert accepted["nothing"]["bound"] == 2
    assert "2 had committed" in verify_hetao.verify(ran.certificate)[4]


def test_each_round_cites_the_one_before_and_all_are_of_one_input(ran):
    body = ran.body
    receipts = {one["task"]: one["receipts"]["b"] for one in body["rounds"]}
    ready = body["sites"][1]["ready"]

    assert receipts["attrition/1/0"]["body"]["cites"] == digest(ready)
    assert receipts["model/1/0"]["body"]["cites"] == digest(ready)
    for number in range(1, len(receipts) - 1):
        said = receipts[f"model/1/{number}"]["body"]
        assert said["cites"] == digest(receipts[f"model/1/{number - 1}"])
    model = [r["body"] for task, r in receipts.items() if task.startswith("model")]
    assert len({one["input"] for one in model}) == 1
    assert len({one["output"] for one in model}) == len(model) > 2


# --- replay ---------------------------------------------------------------------------
def _replayed(federation, ran, name="a"):
    extract = federation.extract(name, federation.tables(name))
    certificate = open_certificate(ran.certificate)
    return replay(federation.setup(name), certificate, extract)


def released(body):
    """Return what sites released: the rounds, and the counts before them."""
    return [*body["rounds"], *body["sealed_counts"]]


def test_a_sites_steps_carried_out_again_give_every_bit(federation, ran):
    done = _replayed(federation, ran)

    assert list(done.tasks) == [one["task"] for one in released(ran.body)]
    assert len(done.tasks) > 3
    assert done.acts == federation.extract("a", federation.tables("a")).commitment.acts


def test_a_site_without_a_commitment_is_held_to_its_records_all_the_same(
    federation, ran
):
    done = replay(federation.setup("c"), open_certificate(ran.certificate), None)

    assert (len(done.tasks), done.acts) == (len(released(ran.body)), 0)


@pytest.mark.parametrize("field", ["input", "output"])
def test_a_release_of_something_else_is_found_by_replay(federation, ran, field):
    body = ran.body
    said = body["rounds"][1]["receipts"]["a"]["body"]
    said[field] = "sha256:" + "4" * 64
    certificate = replace(open_certificate(ran.certificate), body=body)
    extract = federation.extract("a", federation.tables("a"))

    with pytest.raises(Unverified, match=r"other rows|something else"):
        replay(federation.setup("a"), certificate, extract)


def test_tables_that_changed_after_the_study_are_found_by_replay(federation, ran):
    """One patient fell ill a day later: no count changes, and a leaf does."""
    database = federation.databases["b"]
    before = database.read_bytes()
    with connect(database) as connection:
        connection.execute(
            "UPDATE visit_occurrence SET visit_end_date = '2020-03-02' "
            "WHERE visit_occurrence_id = 5"
        )
    try:
        with pytest.raises(Unverified, match="no longer what was committed"):
            _replayed(federation, ran, "b")
    finally:
        database.write_bytes(before)


# --- drawn acts -----------------------------------------------------------------------
def test_drawn_acts_are_shown_and_held_to_the_draw(federation, ran):
    extract = federation.extract("a", federation.tables("a"))
    certificate = open_certificate(ran.certificate)
    seed = seed_of(certificate, "a")
    acts, gone = opened_of(extract, draws(seed, 40, extract.commitment.acts))
    data = _shown(federation, extract, acts, 40)
    party, count = federation.cast.directory, extract.commitment.acts
    drawn = set(draws(seed, 40, count))
    # A draw may fall on an act that was drawn before: the first that does not.
    more = next(n for n in range(41, 9999) if set(draws(seed, n, count)) != drawn)

    assert not gone
    assert check_shown(data, party, certificate).drawn == 40
    for fewer, number in ((acts[1:], 40), (acts, more)):
        data = _shown(federation, extract, fewer, number)
        with pytest.raises(Unverified, match="other acts are shown than were drawn"):
            check_shown(data, party, certificate)


def test_a_site_shows_no_acts_but_those_that_the_certificate_draws(
    federation, ran, tmp_path
):
    certificate, path = open_certificate(ran.certificate), tmp_path / "certificate"
    path.write_bytes(ran.certificate)
    honest = {
        "type": "hetao.sample/1",
        "snapshot": "sha256:0",
        "extract": "sha256:0",
        "seed": seed_of(certificate, "a").hex(),
        "draws": 300,
    }

    def drawn(certificate=path, **changes):
        sample = tmp_path / "sample"
        sample.write_bytes(canonical(honest | changes))
        chosen = Namespace(certificate=certificate, sample=sample)
        return drawn_from(chosen, federation.setup("a"))

    assert drawn()["draws"] == 300
    with pytest.raises(Refused, match="do not follow"):
        drawn(seed="0" * 64)  # sought until it draws a certain act
    with pytest.raises(Refused, match="shows 3000"):
        drawn(draws=3001)
    with pytest.raises(Usage, match="--certificate"):
        drawn(certificate=None)


def _shown(federation, extract, acts, drawn, to="may", draw=None):
    setup, log = federation.setup("a"), federation.sites["a"]._log
    store, now = federation.store("a"), federation.clock()
    logged = log_extract(setup.identity, log, store, extract.commitment, now)
    about = Showing(to, now, drawn, draw=draw)
    return show_acts(setup, log, logged, acts, about)


def test_acts_of_another_site_or_study_are_refused(federation, ran):
    extract = federation.extract("a", federation.tables("a"))
    data = _shown(federation, extract, [extract.open(1)], 0)
    party = federation.cast.directory
    body = ran.body
    body["sites"][0]["extract"] = body["sites"][1]["extract"]
    other = replace(open_certificate(ran.certificate), body=body)

    with pytest.raises(Unverified, match="did not run on this extract"):
        check_shown(data, party, other)
    with pytest.raises(Unverified):
        check_shown(data, party["b"], None)


def test_each_hubs_signature_and_each_extract_changes_the_draw(ran):
    certificate = open_certificate(ran.certificate)
    seeds = {seed_of(certificate, "a"), seed_of(certificate, "b")}
    for hub in certificate.permit.hubs:
        body = ran.body
        total = body["rounds"][0]["totals"][hub]
        spoilt = bytearray(base64.b64decode(total["signature"]))
        spoilt[-1] ^= 1
        total["signature"] = base64.b64encode(spoilt).decode()
        seeds.add(seed_of(replace(certificate, body=body), "a"))

    assert len(seeds) == 4


def test_whoever_has_the_log_cosigned_again_gets_the_same_draw(ran):
    """Neither another checkpoint nor another time of the hubs gives another one."""
    certificate = open_certificate(ran.certificate)
    again = parse_canonical(ran.resigned(ran.body, after=3600))

    assert again["log"] != certificate.log
    other = replace(certificate, log=again["log"])
    assert seed_of(other, "a") == seed_of(certificate, "a")


def test_a_hub_signs_one_sum_of_a_task_whatever_it_is_asked(federation, ran):
    """Asked once more, it says nothing new: the draw of a run is one."""
    for hub in federation.hubs.values():
        run, task = ran.body["run"], ran.body["rounds"][0]["task"]
        before = hub._shelf.of_task(run, task)
        hub._open_if_complete(run, task)
        assert hub._shelf.of_task(run, task) == before
        assert ("total", hub.identity.name) in before


# --- drawn together -------------------------------------------------------------------
# Each has one draw from an extract: people whose office the site shows acts to.
TO, COLLEAGUE, THIRD = "output-checker-hk", "output-checker-sz", "ethics-hk"


@pytest.fixture
def audit(federation, ran, tmp_path, monkeypatch):
    """Return what carries an audit command out, and the folder of its files."""
    (tmp_path / "certificate").write_bytes(ran.certificate)
    write_directory(tmp_path / "parties.toml", federation.cast.directory)
    (tmp_path / "site.toml").write_text(
        '[provenance]\nopen_to = ["output-checker", "ethics"]\n'
    )
    opened = Namespace(setup=federation.setup("a"))
    extract = federation.extract("a", federation.tables("a"))
    for module in ("audit", "provenance"):
        monkeypatch.setattr(f"hetao.cli.{module}.read_site_file", lambda _: opened)
    monkeypatch.setattr(
        "hetao.cli.provenance._extract", lambda *_: nullcontext(extract)
    )

    def carried(word, *files, **options):
        words = ["provenance", word, *(str(tmp_path / name) for name in files)]
        for name, value in options.items():
            is_plain = name in ("site", "to", "acts")
            words += [f"--{name}", str(value if is_plain else tmp_path / value)]
        return main(words)

    return carried, tmp_path


def asked(audit, name, to=TO):
    """Have an auditor ask and the site answer; return the exit code of the answer."""
    carried, folder = audit
    trust = {"trust": "parties.toml"}
    told = {"site": "a", "to": to, "acts": 40, "secret": f"{name}.secret", **trust}
    if not (folder / f"{name}.ask").exists():
        assert carried("audit-ask", "certificate", out=f"{name}.ask", **told) == 0
    rest = {"certificate": "certificate", "out": f"{name}.answer"}
    return carried("audit-answer", "site.toml", f"{name}.ask", **rest)


def sampled(audit, name, secret=None):
    rest = {"answer": f"{name}.answer", "secret": f"{secret or name}.secret"}
    rest |= {"trust": "parties.toml", "site": "a", "out": f"{name}.sample"}
    return audit[0]("audit-sample", "certificate", **rest)


def test_acts_that_auditor_and_site_drew_are_shown_and_held_to_the_draw(
    federation, ran, audit, capsys
):
    carried, folder = audit
    assert asked(audit, "one") == 0
    assert stat.S_IMODE((folder / "one.secret").stat().st_mode) == 0o600
    assert sampled(audit, "one") == 0
    study = {"certificate": "certificate"}
    rest = {"to": TO, "sample": "one.sample", "out": "shown", **study}
    assert carried("open", "site.toml", **rest) == 0
    own = {"answer": "one.answer", "secret": "one.secret"}
    for known, words in (
        ({}, f"40 draws, with {TO}, as a says: it could have chosen them"),
        (own, f"40 draws, by a and {TO} together: 1 % falsified is found by 33.1%"),
        (own | study, f"40 draws, by a and {TO} together"),
    ):
        capsys.readouterr()
        assert carried("verify", "shown", trust="parties.toml", **known) == 0
        assert words in capsys.readouterr().err
    rest = {"trust": "parties.toml", **study}
    assert carried("verify", "shown", **rest) == Unverified.exit_code
    chosen = Namespace(certificate=folder / "certificate", sample=folder / "one.sample")
    sample = drawn_from(Namespace(**vars(chosen), to=TO), federation.setup("a"))
    certificate, party = open_certificate(ran.certificate), federation.cast.directory
    extract = federation.extract("a", federation.tables("a"))
    wanted = draws(bytes.fromhex(sample["seed"]), 40, extract.commitment.acts)
    acts, _ = opened_of(extract, wanted)
    shown = _shown(federation, extract, acts, 40, TO, sample["draw"])

    assert sample["seed"] != seed_of(certificate, "a").hex()
    draw = sample["draw"]
    assert not check_shown(shown, party).is_drawn
    for study in (None, certificate):
        assert check_shown(shown, party, study, draw).is_drawn
    for some, to in ((acts[1:], TO), (acts, COLLEAGUE)):
        with pytest.raises(Unverified):
            check_shown(
                _shown(federation, extract, some, 40, to, sample["draw"]), party
            )
    with pytest.raises(Unverified, match="another ask"):  # nor are they another's
        drawn_from(Namespace(**vars(chosen), to=COLLEAGUE), federation.setup("a"))
    sought = {**sample, "seed": "0" * 64}
    (folder / "one.sample").write_bytes(canonical(sought))
    with pytest.raises(Refused, match="do not follow"):
        drawn_from(Namespace(**vars(chosen), to=TO), federation.setup("a"))


def test_a_draw_that_a_site_made_up_alone_is_none(federation, ran):
    """It plays the auditor's part too, or answers anew once it knows the secret."""
    certificate, party = open_certificate(ran.certificate), federation.cast.directory
    extract, site = (
        federation.extract("a", federation.tables("a")),
        federation.cast.identities["a"],
    )
    wanted = Ask("a", TO, digest(extract_of(certificate, "a")), 40, "")
    ask = bound(wanted, bytes(32))
    true = answered(site, ask)
    anew = state(site, {**true.body, "nonce": "0" * 64})
    theirs = draw_of(bytes(32), true)
    for secret, answer in ((bytes(32), anew), (b"s" * 32, None)):
        made_up = draw_of(secret, answer or answered(site, bound(wanted, secret)))
        seed = joint_seed(made_up, party["a"], wanted)
        acts, _ = opened_of(extract, draws(seed, 40, extract.commitment.acts))
        data = _shown(federation, extract, acts, 40, TO, made_up)
        said = check_shown(data, party)

        assert (said.joint, said.own, said.is_drawn) == (True, False, False)
        with pytest.raises(Unverified, match="it alone says"):
            check_shown(data, party, certificate)
        for study in (None, certificate):
            with pytest.raises(Unverified, match="not drawn with your secret"):
                check_shown(data, party, study, theirs)


def test_hubs_in_league_with_coordinator_and_site_do_not_move_a_draw_of_both(
    federation, ran, audit
):
    """They sign sums anew until they like the draw: it moves theirs and no other."""
    asked(audit, "one", THIRD)
    body, folder = ran.body, audit[1]
    for hub in open_certificate(ran.certificate).permit.hubs:
        said = body["rounds"][0]["totals"][hub]
        anew = {**said["body"], "words": digest("other words")}
        who = federation.cast.identities[hub]
        body["rounds"][0]["totals"][hub] = state(who, anew).as_json()
    other = replace(open_certificate(ran.certificate), body=body)
    answer = statement_from(parse_canonical((folder / "one.answer").read_bytes()))
    secret = bytes.fromhex((folder / "one.secret").read_text().strip())
    seeds = set()
    for certificate in (open_certificate(ran.certificate), other):
        wanted = Ask("a", THIRD, digest(extract_of(certificate, "a")), 40, "")
        site = certificate.party("a", "site")
        seeds.add(joint_seed(draw_of(secret, answer), site, wanted))

    assert seed_of(other, "a") != seed_of(open_certificate(ran.certificate), "a")
    assert len(seeds) == 1


def test_each_person_has_one_draw_from_an_extract(federation, audit, capsys):
    """Who could ask again would go on until a draw falls on whom they look for."""
    folder, log = audit[1], federation.sites["a"]._log
    asked(audit, "one", COLLEAGUE)
    first, size = (folder / "one.answer").read_bytes(), log.size
    assert asked(audit, "one", COLLEAGUE) == 0  # the same ask, the same answer
    assert ((folder / "one.answer").read_bytes(), log.size) == (first, size)
    capsys.readouterr()

    assert asked(audit, "two", COLLEAGUE) == Refused.exit_code
    assert "has had a draw" in capsys.readouterr().err
    assert not (folder / "two.answer").exists()
    assert asked(audit, "three", "investigator") == NotApproved.exit_code


def test_an_ask_is_answered_about_this_extract_and_so_many_acts_alone(
    federation, ran, audit
):
    setup, log = federation.setup("a"), federation.sites["a"]._log
    extract = digest(extract_of(open_certificate(ran.certificate), "a"))
    good, size = Ask("a", "somebody", extract, 3000, ""), log.size
    for bad in (
        replace(good, draws=3001),
        replace(good, extract="sha256:0"),
        replace(good, site="b"),
    ):
        with pytest.raises(Refused):
            answer_ask(setup, log, bound(bad, bytes(32)), extract, federation.clock())
    assert log.size == size
    rest = {"site": "a", "to": TO, "trust": "parties.toml", "secret": "s", "out": "o"}
    assert audit[0]("audit-ask", "certificate", acts=3001, **rest) == Usage.exit_code
    assert sampled(audit, "none") == InvalidData.exit_code


def test_two_sites_with_the_same_rows_say_unlike_things_of_them(tmp_path):
    with Committed(tmp_path) as made:
        roots = set()
        for name in ("a", "b"):
            made.databases["b"], made.manifests["b"] = (
                made.databases["a"],
                made.manifests["a"],
            )
            roots.add(made.extract(name, made.tables(name)).commitment.root)
    assert len(roots) == 2


def test_the_certificate_still_is_one_canonical_text(ran):
    assert parse_canonical(ran.certificate)["body"]["type"].startswith("hetao.")
