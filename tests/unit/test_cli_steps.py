"""The steps of a study by themselves: check, propose, approve, withdraw, run."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hetao.demo.data_carrier import write_site
from hetao.demo.data_lung import write_lung_extracts
from hetao.federation.clock import utc_now
from hetao.federation.propose import draft_permit
from hetao.federation.site import Site
from hetao.federation.site_file import read_site_file
from hetao.permit import (
    Bundle,
    format_time,
    new_identity,
    read_bundle,
    read_directory,
    read_identity,
    sign_notice,
    write_bundle,
    write_identity,
)
from hetao.permit.signing_words import WORDS
from hetao.study import read_study
from hetao.study.writing import write_study
from support_federation import COUNTS, LOGISTIC, toy_study
from support_rules import HONG_KONG, SHENZHEN, as_toml
from support_system import called, write_network

STUDY = toy_study((COUNTS, LOGISTIC), deadline_seconds=1)
ETHICS = "ethics-sz"


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("steps"), STUDY)


@pytest.fixture
def desk(pilot, tmp_path, capsys):
    """Return a folder with a study and its draft permit, and calls for each step."""
    return Desk(pilot, tmp_path, capsys)


class Desk:
    def __init__(self, pilot, folder, capsys):
        self.pilot, self.folder, self.capsys = pilot, folder, capsys
        self.study, self.permit = folder / "study.toml", folder / "permit.json"
        write_study(self.study, STUDY)

    def call(self, *words):
        return called(self.capsys, *words)

    def propose(self, *words):
        network = self.pilot.network
        return self.call("study", "propose", self.study, "--network", network, *words)

    def say(self, name, verb, *words):
        key = self.pilot.people[name]
        return self.call("permit", verb, self.permit, "--key", key, *words)

    def approve(self, name):
        return self.say(name, "approve")

    def shown(self):
        return self.call("permit", "show", self.permit, "--json").json

    def approve_all(self):
        assert self.propose().code == 0
        for name in self.pilot.approvers:
            assert self.approve(name).code == 0

    def run(self):
        words = ["run", self.study, "--network", self.pilot.network]
        return self.call(*words, "--out", self.folder / "out")

    def assert_refused(self, code):
        said = self.run()
        assert (said.code, said.error) == (3, code)
        assert not (self.folder / "out").exists()
        return said.err


def test_a_study_is_checked_and_named_by_its_digest(desk):
    said = desk.call("study", "check", desk.study)
    body = desk.call("study", "check", desk.study, "--json").json

    assert said.code == 0
    assert said.out == read_study(desk.study).digest + "\n"
    assert body["digest"] == said.out.strip()
    assert [item["name"] for item in body["analyses"]] == ["attrition", "model"]
    assert body["analyses"][1]["most_rounds"] > 1
    assert body["analyses"][1]["level"] == 5  # a flat table: not in the dictionary


def test_a_draft_permit_says_whose_approval_it_asks_for(desk):
    said = desk.propose()

    assert said.code == 0
    assert "reads data of level 5" in said.err  # a flat table
    for side in ("HK", "SZ"):
        for office in ("ethics", "data-protection"):
            assert f"{office} on side {side}" in said.err
    assert f"hetao permit show {desk.permit}" in said.err
    assert said.out.strip() == read_bundle(desk.permit).permit.digest


def test_a_draft_is_never_written_over_a_permit(desk):
    desk.propose()
    before = desk.permit.read_bytes()

    said = desk.propose()

    assert (said.code, said.error) == (4, "HT-103")
    assert desk.permit.read_bytes() == before


@pytest.mark.parametrize("days", ["0", "-3", "99999999"])
def test_a_permit_holds_for_a_number_of_days_that_can_be(desk, days):
    said = desk.propose("--days", days)

    assert (said.code, said.error) == (2, "HT-001")
    assert not desk.permit.exists()


def test_an_approval_is_said_back(desk):
    desk.propose()

    said = desk.approve(ETHICS)

    assert said.code == 0
    assert "ethics-sz (ethics, SZ) said 'approve'" in said.err


def test_a_permit_is_read_before_it_is_signed_in_the_signer_s_language(desk):
    desk.propose()
    permit = read_bundle(desk.permit).permit

    said = desk.call("permit", "show", desk.permit)
    chinese = desk.call("permit", "show", desk.permit, "--language", "zh-Hant")

    assert said.out == permit.digest + "\n"
    assert f"  Purpose: {permit.purpose}\n" in said.err
    assert all(site in said.err for site in permit.sites)
    assert f"  {WORDS['zh-Hant']['purpose']}：{permit.purpose}\n" in chinese.err


def test_whoever_signs_is_told_what_comes_next(desk):
    desk.propose()
    names = list(desk.pilot.approvers)

    first = desk.approve(names[0])
    *_, last = [desk.approve(name) for name in names[1:]]
    again = desk.approve(names[0])
    ended = desk.say(ETHICS, "suspend", "--reason", "a complaint")

    assert "ethics (SZ)" in first.err.partition("still to approve: ")[2]
    assert "still to approve" not in last.err
    assert (again.code, again.error) == (3, "HT-301")
    assert "(it stands, and is not said twice" in again.err
    assert "once this file lies in its folder `notices`" in ended.err
    shown = desk.call("permit", "show", desk.permit).err
    assert re.search(rf"{ETHICS} said 'suspend' at \S+Z: a complaint\n", shown)


def test_a_run_with_too_few_approvals_names_who_is_missing(desk):
    desk.propose()
    for name in desk.pilot.approvers:
        if name != ETHICS:
            desk.approve(name)

    assert "ethics" in desk.assert_refused("HT-301")


@pytest.mark.parametrize("verb", ["withdraw", "refuse", "revoke"])
def test_a_withdrawn_or_refused_approval_stops_the_study_and_names_who(desk, verb):
    desk.approve_all()

    assert desk.say(ETHICS, verb).code == 0

    assert ETHICS in desk.assert_refused("HT-301")


def test_a_suspended_permit_runs_again_once_it_is_resumed(desk):
    desk.approve_all()

    assert desk.say(ETHICS, "suspend", "--reason", "a complaint").code == 0
    assert ETHICS in desk.assert_refused("HT-306")
    assert desk.shown()["state"] == "suspended"
    assert desk.say(ETHICS, "resume").code == 0

    assert desk.shown()["state"] == "active"


def test_who_asks_cannot_approve_and_may_close(desk):
    desk.approve_all()

    said = desk.say("investigator", "approve")
    assert (said.code, said.error) == (3, "HT-305")
    assert desk.say("investigator", "close").code == 0

    assert desk.shown()["state"] == "closed"
    assert desk.shown()["report_due"] > desk.shown()["leases"]["HK"]
    desk.assert_refused("HT-306")


def test_a_warning_and_a_condition_stop_nothing_and_are_shown(desk):
    desk.approve_all()

    assert desk.say(ETHICS, "warn", "--reason", "late report").code == 0
    assert desk.say(ETHICS, "vary", "--set", "most_runs=2").code == 0
    said = desk.say(ETHICS, "vary", "--set", "most_runs=200")

    assert said.code == 3
    assert desk.shown()["state"] == "active"
    assert desk.shown()["warnings"] == [f"{ETHICS} (ethics, SZ): late report"]


def test_an_amendment_ends_the_old_version_and_nobody_has_approved_the_new(desk):
    desk.approve_all()
    new = desk.folder / "second.json"

    words = ("--set", "most_runs=40", "--out", new)
    assert desk.say("investigator", "amend", *words).code == 0

    assert desk.shown()["state"] == "closed"
    made = read_bundle(new)
    assert (made.permit.version, made.permit.most_runs) == (2, 40)
    assert made.permit.amends == read_bundle(desk.permit).permit.digest
    assert desk.shown()["replaced_by"] == made.permit.digest
    assert made.notices == ()


def test_a_deputy_approves_under_a_delegation_and_counts_as_one_with_who_lent(desk):
    assert desk.propose().code == 0
    lent = desk.folder / "lent.json"
    to = ("--to", "data-protection-sz", "--out", lent)
    assert desk.say(ETHICS, "delegate", *to).code == 0
    deputy = ("--delegation", lent)

    assert desk.say("data-protection-sz", "approve", *deputy).code == 0
    said = desk.approve("data-protection-sz")

    assert (said.code, said.error) == (3, "HT-307")


def test_a_renewal_is_written_where_it_is_wanted(desk):
    desk.approve_all()
    folder = desk.folder / "notices"
    folder.mkdir()

    assert desk.say(ETHICS, "renew", "--into", folder).code == 0

    copy = read_bundle(folder / desk.permit.name)
    assert copy.notices[-1].body["verb"] == "renew"
    assert copy.as_json() == read_bundle(desk.permit).as_json()


def test_a_study_with_one_character_changed_is_another_study(desk):
    desk.approve_all()
    text = desk.study.read_text()
    desk.study.write_text(text.replace("Does it work?", "Does it work!"))

    desk.assert_refused("HT-303")


def test_a_comment_or_a_blank_line_changes_no_study(desk):
    before = read_study(desk.study).digest
    desk.study.write_text("# a note\n\n" + desk.study.read_text())

    assert read_study(desk.study).digest == before


def test_an_expired_permit_is_refused(desk):
    then = utc_now() - datetime.timedelta(minutes=3)
    draft = draft_permit(STUDY, read_directory(desk.pilot.parties), then).permit
    end = format_time(then + datetime.timedelta(minutes=2))
    bundle = Bundle(replace(draft, not_after=end))
    for key in desk.pilot.approvers.values():
        bundle = sign_notice(bundle, read_identity(key), "approve", then)
    write_bundle(desk.permit, bundle)

    desk.assert_refused("HT-302")


def test_a_stranger_cannot_approve(desk):
    desk.propose()
    before = desk.permit.read_bytes()
    key = write_identity(desk.folder, new_identity("stranger", sealing=False))

    said = desk.call("permit", "approve", desk.permit, "--key", key)

    assert said.code in (3, 4)
    assert said.error
    assert desk.permit.read_bytes() == before


def test_a_forged_key_under_an_approvers_name_does_not_count(desk):
    desk.propose()
    for name in desk.pilot.approvers:
        if name != ETHICS:
            desk.approve(name)
    key = write_identity(desk.folder, new_identity(ETHICS, sealing=False))

    desk.call("permit", "approve", desk.permit, "--key", key)

    desk.assert_refused("HT-301")


def test_a_missing_key_is_named(desk):
    desk.propose()

    said = desk.call(
        "permit", "approve", desk.permit, "--key", desk.folder / "no.sign.pem"
    )

    assert (said.code, said.error) == (4, "HT-103")
    assert "no.sign.pem" in said.err


def test_a_hospital_curates_its_extract(tmp_path, capsys):
    folder = write_lung_extracts(tmp_path)["lung-north"].parent
    path = write_site(folder, "lung-north")

    said = called(capsys, "site", "curate", path)
    body = called(capsys, "site", "curate", path, "--json").json

    assert said.code == 0
    assert "lung-north: 76 people" in said.err
    assert body["people"] == 76
    home = folder / "store" / "snapshots" / body["snapshot"][7:19]
    assert json.loads((home / "quality.json").read_text())["site"] == "lung-north"


def test_several_sites_of_one_machine_are_curated_by_one_command(tmp_path, capsys):
    extracts = write_lung_extracts(tmp_path)
    names = ("lung-north", "lung-east", "lung-south")
    paths = [write_site(extracts[name].parent, name) for name in names]

    said = called(capsys, "site", "curate", *paths)

    assert said.code == 0
    found = re.findall(r"^hetao: (\S+): \d+ people, snapshot", said.err, re.M)
    assert found == list(names)
    assert all((path.parent / "store" / "current").is_file() for path in paths)


def test_a_hospital_reads_its_quality_report_in_a_language(tmp_path, capsys):
    folder = write_lung_extracts(tmp_path)["lung-north"].parent
    path = write_site(folder, "lung-north")
    called(capsys, "site", "curate", path)

    said = called(capsys, "site", "report", path, "--language", "zh-HK")
    body = called(capsys, "site", "report", path, "--json").json

    assert said.code == 0
    assert "checks pass" in said.err
    page = Path(body["report"])
    assert page.is_file()
    assert body["statuses"]["pass"] > body["statuses"]["fail"]
    assert 0 < body["passing"]["plausibility"] <= 1
    assert len(body["failed"]) == body["statuses"]["fail"]


def test_a_report_of_a_snapshot_that_is_not_there_is_refused(tmp_path, capsys):
    folder = write_lung_extracts(tmp_path)["lung-north"].parent
    path = write_site(folder, "lung-north")

    said = called(capsys, "site", "report", path)

    assert (said.code, said.error) == (4, "HT-110")


# --- with facts ----------------------------------------------------------------------
HELD = ("cn-standard-contract", "cn-impact-assessment", "cn-separate-consent")
BOTH = {**SHENZHEN, **HONG_KONG, "route.leaves_mainland": True}


def facts_file(folder, values, held=HELD):
    path = folder / "facts.toml"
    bases = "".join(f'[bases.{name}]\nreference = "no. 1"\n' for name in held)
    path.write_text(as_toml(values) + bases, encoding="utf-8")
    return path


def test_a_draft_with_facts_says_what_it_rests_on(desk):
    said = desk.propose("--facts", facts_file(desk.folder, BOTH))

    assert said.code == 0
    assert "route out of the Mainland: contract" in said.err
    assert "rests on cn-standard-contract, no. 1" in said.err
    assert "stays under 10,000" in said.err
    assert "not legal advice" in said.err
    assert read_bundle(desk.permit).permit.law.route == "contract"


def test_a_draft_without_facts_says_that_none_were_asked(desk):
    assert "--facts" in desk.propose().err


@pytest.mark.parametrize(
    ("changed", "held", "code"),
    [
        ({"consent.mainland": "nothing"}, HELD, "HT-330"),
        ({"hk.ehealth": None}, HELD, "HT-331"),
        ({}, HELD[:2], "HT-332"),
        ({"counts.sensitive_since_1_january": 10_000}, HELD, "HT-332"),
    ],
)
def test_no_draft_is_written_where_the_rules_say_no_or_ask(desk, changed, held, code):
    values = {k: v for k, v in {**BOTH, **changed}.items() if v is not None}

    said = desk.propose("--facts", facts_file(desk.folder, values, held))

    assert (said.code, said.error) == (3, code)
    assert not desk.permit.exists()


def test_a_data_manager_asks_what_has_left(desk, monkeypatch):
    path = desk.pilot.sites["a"]
    ask = ("site", "releases", path)
    assert desk.call(*ask).error == "HT-110"  # never served: no log yet

    Site(read_site_file(path).setup, utc_now).close()

    page = desk.folder / "left.html"
    assert "Nothing left" in desk.call(*ask).out
    monkeypatch.chdir(path.parent)
    assert "Nothing left" in desk.call("site", "releases", path.name).out
    assert "沒有放行任何內容" in desk.call(*ask, "--language", "zh-Hant").out
    assert desk.call(*ask, "--json").json["departures"] == []
    assert desk.call(*ask, "--html", page).code == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
