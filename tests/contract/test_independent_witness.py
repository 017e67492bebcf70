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
from support_witness import serving


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


def test_a_reader_without_a_policy_is_told_that_nobody_independent_was_asked(
    tmp_path, small_run, capsys
):
    """Nor is one whose policy is content with the study's own hubs told otherwise."""
    people, path = small_run.cast.directory, tmp_path / "certificate.json"
    path.write_bytes(small_run.certificate)
    boss, hubs = people["coordinator"], (people["hub-hk"], people["hub-sz"])
    eyes = [vkey(one.name, one.sign_key, COSIGNATURE) for one in hubs]
    lines = [f"witness {n} {key}" for n, key in zip("hs", eyes, strict=True)]
    lines += [f"log {vkey(boss.name, boss.sign_key)}", "group both all h s"]
    own = tmp_path / "own"
    own.write_text("\n".join([*lines, "quorum both", ""]))

    for words in ([str(path)], [str(path), "--policy", str(own)]):
        for verify in (lambda w: main(["verify", *w]), verify_hetao.main):
            assert verify(words) == 0
            said = capsys.readouterr().out
            assert "VERIFIED, SEEN BY NOBODY INDEPENDENT  A toy" in said
            assert "VERIFIED  " not in said
        assert main(["verify", *words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["independent"] == []


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


def test_a_certificate_that_nobody_independent_saw_does_not_count(
    tmp_path, small_run, capsys
):
    eye = WitnessFolder.create(tmp_path / "eye", "eye.example.org")
    write_directory(tmp_path / "parties.toml", small_run.cast.directory)
    trust = ["--trust", str(tmp_path / "parties.toml")]
    policy, path = tmp_path / "policy", tmp_path / "certificate.json"
    words = ["--independent", eye.verifiers[0].vkey, "http://127.0.0.1:9/"]
    assert main(["witness", "policy", *trust, *words, "--out", str(policy)]) == 0
    path.write_bytes(small_run.certificate)

    assert main(["verify", str(path), *trust, "--policy", str(policy)]) == 6
    assert "quorum" in capsys.readouterr().err


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
