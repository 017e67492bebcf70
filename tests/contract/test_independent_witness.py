"""A study's certificate counts when somebody independent has seen the log as well."""

import json

import pytest
from markupsafe import escape

from hetao.canonical import parse_canonical
from hetao.cli import main
from hetao.dossier import render_page
from hetao.dossier.page import told_of
from hetao.dossier.words import LANGUAGES, WORDS
from hetao.errors import InvalidNetwork, Unreachable
from hetao.federation.logs import LogTable
from hetao.federation.network import log_of
from hetao.ledger import verify_hetao
from hetao.ledger.certificate import published
from hetao.ledger.note import COSIGNATURE, vkey
from hetao.permit import write_directory
from hetao.transparency.witness import WitnessFolder
from support_federation import Federation, Plan
from support_witness import UNNAMED, serving


def by_command(words):
    """Return the exit code of `hetao verify`."""
    return main(["verify", *words])


VERIFIERS = [by_command, verify_hetao.main]


def test_the_default_policy_asks_for_each_side_and_somebody_independent(
    tmp_path, capsys
):
    eye = WitnessFolder.create(tmp_path / "eye", "eye.example.org")
    ours, out = tmp_path / "witnesses", tmp_path / "policy"
    with serving(eye) as url:
        ours.write_text(f"witness eye {eye.verifiers[0].vkey} {url}\nquorum eye\n")
        plan = Plan(log=LogTable(witnesses=str(ours)))
        with Federation(tmp_path / "f", plan) as federation:
            coordinator = next(
                p for p in federation.cast.directory.parties if p.role == "coordinator"
            )
            write_directory(tmp_path / "parties.toml", federation.cast.directory)
            log = vkey("coordinator", coordinator.sign_key)
            assert main(["witness", "trust", str(tmp_path / "eye"), log]) == 0
            ran = federation.run()
        words = ["--independent", eye.verifiers[0].vkey, url, "--out", str(out)]
        trust = ["--trust", str(tmp_path / "parties.toml")]
        assert main(["witness", "policy", *trust, *words]) == 0
    path = tmp_path / "certificate.json"
    path.write_bytes(ran.certificate)
    capsys.readouterr()

    assert main(["verify", str(path), *trust, "--policy", str(out)]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("hub-hk", "hub-sz", "independent-1"))
    assert "VERIFIED  A toy" in said
    words = ["verify", str(path), *trust, "--policy", str(out), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["independent"] == ["independent-1"]
    assert verify_hetao.main([str(path), "--policy", str(out)]) == 0
    assert "VERIFIED  A toy" in capsys.readouterr().out
    page = render_page(ran.certificate)
    assert "That eye.example.org, who signed beside both hubs" in page
    assert "NOT WITNESSED" not in page


@pytest.fixture
def path(small_run, tmp_path):
    """Return a certificate's file; its log was seen by both hubs alone."""
    path = tmp_path / "certificate.json"
    path.write_bytes(small_run.certificate)
    return path


@pytest.fixture
def own(small_run, tmp_path):
    """Return a reader's policy that is content with the study's own hubs."""
    people = small_run.cast.directory
    boss, hubs = people["coordinator"], (people["hub-hk"], people["hub-sz"])
    eyes = [vkey(one.name, one.sign_key, COSIGNATURE) for one in hubs]
    lines = [f"witness {n} {key}" for n, key in zip("hs", eyes, strict=True)]
    lines += [f"log {vkey(boss.name, boss.sign_key)}", "group both all h s"]
    own = tmp_path / "own"
    own.write_text("\n".join([*lines, "quorum both", ""]))
    return own


@pytest.mark.parametrize("verify", VERIFIERS)
def test_who_is_content_with_the_parties_is_told_that_nobody_independent_saw_it(
    path, own, verify, capsys
):
    """It is the reader who says so: by a policy of parties, or by the word."""
    for policy in (str(own), "hubs"):
        assert verify([str(path), "--policy", policy]) == 0
        said = capsys.readouterr().out
        assert "VERIFIED, SEEN BY NOBODY INDEPENDENT  A toy" in said
        assert "VERIFIED  " not in said


@pytest.mark.parametrize("verify", VERIFIERS)
def test_what_names_no_witnesses_holds_and_does_not_count(path, verify, capsys):
    """Every step is shown as ever, and how to have it count."""
    assert verify([str(path)]) == 7
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"{UNNAMED}  A toy"
    assert "VERIFIED" not in said.out
    assert "  1  the text is canonical" in said.out
    for how in ("--policy FILE", "hetao witness policy", "--policy hubs"):
        assert how in said.out + said.err


def test_a_program_that_reads_no_more_than_verified_takes_nothing_that_does_not_count(
    path, own, capsys
):
    for more, code in (((), 7), (("--policy", "hubs"), 0), (("--policy", str(own)), 0)):
        assert main(["verify", str(path), *more, "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        assert told["verified"] is told["counts"] is (code == 0)
        assert told["independent"] == []


@pytest.mark.parametrize("verify", VERIFIERS)
def test_a_misspelt_word_is_a_file_that_is_not_there(
    path, own, verify, tmp_path, monkeypatch, capsys
):
    """It counts for nothing, also spelt as nothing; and `./hubs` is a file."""
    monkeypatch.chdir(tmp_path)
    for policy in ("hub", "Hubs", "./hubs"):
        assert verify([str(path), "--policy", policy]) == 4
        said = capsys.readouterr()
        assert "or say --policy hubs" in said.err
        assert "A toy" not in said.out
    assert verify([str(path), "--policy", ""]) == 4
    own.rename(tmp_path / "hubs")
    assert verify([str(path), "--policy", "./hubs"]) == 0
    capsys.readouterr()
    (tmp_path / "hubs").write_text("quorum none\n")
    assert verify([str(path), "--policy", "./hubs"]) == 6
    assert verify([str(path), "--policy", "hubs"]) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_in_each_language_that_nobody_independent_saw_it(
    small_run, language
):
    told = told_of(parse_canonical(published(small_run.certificate)))

    hubs = WORDS[language]["comma"].join(("hub-hk", "hub-sz"))
    said = WORDS[language]["unseen"].format(hubs=hubs)
    assert told["limits"][language] == (said, *WORDS[language]["limits"])
    assert str(escape(said)) in render_page(small_run.certificate)


def test_a_coordinator_has_to_say_who_is_to_see_what_it_certifies(tmp_path):
    """The lower rule, both hubs alone, is a choice: it holds nowhere unsaid."""
    with pytest.raises(InvalidNetwork, match="does not say who"):
        LogTable().check_said("network.toml")
    for said in ("hubs", "a.policy"):
        LogTable(witnesses=said).check_said("network.toml")
    assert LogTable(witnesses="hubs").policy is None
    found = log_of({"log": {"witnesses": "hubs"}}, tmp_path, "network.toml")
    assert found.witnesses == "hubs"
    found = log_of({"log": {"witnesses": "./hubs"}}, tmp_path, "network.toml")
    assert found.witnesses == str(tmp_path / "hubs")


@pytest.mark.parametrize("verify", VERIFIERS)
def test_a_certificate_below_the_readers_quorum_is_refused(
    tmp_path, small_run, path, verify, capsys
):
    eye = WitnessFolder.create(tmp_path / "eye", "eye.example.org")
    write_directory(tmp_path / "parties.toml", small_run.cast.directory)
    trust = ["--trust", str(tmp_path / "parties.toml")]
    policy = tmp_path / "policy"
    words = ["--independent", eye.verifiers[0].vkey, "http://127.0.0.1:9/"]
    assert main(["witness", "policy", *trust, *words, "--out", str(policy)]) == 0

    assert verify([str(path), "--policy", str(policy)]) == 6
    said = capsys.readouterr()
    assert "quorum everyone" in said.out + said.err
    assert "A toy" not in said.out


def test_no_certificate_is_issued_while_the_witness_does_not_answer(tmp_path):
    eye = WitnessFolder.create(tmp_path / "eye", "eye.example.org")
    ours = tmp_path / "witnesses"
    with serving(eye) as url:  # it does not watch this log, and says so
        ours.write_text(f"witness eye {eye.verifiers[0].vkey} {url}\nquorum eye\n")
        plan = Plan(log=LogTable(witnesses=str(ours)))
        with (
            Federation(tmp_path / "f", plan) as federation,
            pytest.raises(Unreachable, match="quorum"),
        ):
            federation.run()
