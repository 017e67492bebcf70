"""A study's certificate counts when somebody independent has seen the log as well."""

import pytest

from hetao.cli import main
from hetao.errors import Unreachable
from hetao.federation.logs import LogTable
from hetao.ledger.note import vkey
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
