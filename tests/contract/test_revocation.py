"""A revocation in mid-study, told to one site alone, over every way to the hubs."""

import json
import subprocess
import sys

import pytest

from hetao.cli.main import main
from hetao.errors import NotApproved, Stopped
from hetao.federation import gossip, runs
from hetao.federation.store import Store
from hetao.ledger.revoked import Revoked, verify_any
from hetao.permit import sign_notice
from support_revocation import SITES, SUMS, killed_midway, revoked_midway
from support_transport import HUBS, NETS, Stage, now, play, study_of


@pytest.mark.parametrize(("way", "teller"), [("inproc", "b"), ("https", "c")])
def test_a_revocation_in_mid_study_reaches_everybody_and_nothing_leaves_after_it(
    way, teller, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(gossip, "GOSSIP_SECONDS", 0.05)

    def scene(net):
        return revoked_midway(net, teller, certified=True)

    heard = play(NETS[way], tmp_path, scene)

    parties = {f"site {name}" for name in SITES} | {f"hub {name}" for name in HUBS}
    assert set(heard.seconds) == parties | {"coordinator"}
    for before, after in heard.sums.values():
        assert before == after == SUMS
    # heard by itself, or from a hub that opened no sum any more
    assert isinstance(heard.error, NotApproved | Stopped)
    assert "said 'revoke' to this permit" in str(heard.error)
    _check_certificate(heard)
    _check_commands(tmp_path / "out", heard, capsys)
    assert heard.kept == 0
    assert "what the log ends with" in str(heard.other)


def test_a_coordinator_killed_before_the_revocation_certifies_what_had_left(
    tmp_path, monkeypatch
):
    """The permit file bears the revocation by then; nothing is asked any more."""
    monkeypatch.setattr(gossip, "GOSSIP_SECONDS", 0.05)

    ended, wrote, entry = play(NETS["inproc"], tmp_path, killed_midway)

    assert isinstance(ended, NotApproved)
    assert "said 'revoke' to this permit" in str(ended)
    found = verify_any(wrote[0])
    assert isinstance(found, Revoked)
    assert found.tainted == ("people", "model")
    assert sum(one.releases for one in found.courses) >= (len(SITES) - 1) * SUMS
    assert b'"what":"destroyed"' in entry
    assert wrote[1] == wrote[0]  # it is issued once


def test_a_revoked_permit_under_which_nothing_ran_opens_nothing(tmp_path):
    async def scene(net):
        stage = Stage(net, study_of(SITES))
        signer = net.cast.identities["ethics-hk"]
        stage.bundle = sign_notice(stage.bundle, signer, "revoke", now())
        for _ in range(2):  # also where an empty journal lies
            with pytest.raises(NotApproved):
                stage.coordinator()
            Store(stage.folder / "coordinator" / runs.JOURNAL, runs.SCHEMA).close()

    play(NETS["inproc"], tmp_path, scene)


def _check_certificate(heard):
    """Hold the revoked run's certificate to what was seen of the run itself."""
    alone = verify_any(heard.certificate)
    found = verify_any(heard.certificate, None, (), heard.lists)

    assert isinstance(alone, Revoked)
    assert alone.unlisted == tuple(SITES)
    assert (found.unlisted, set(found.destroyed)) == ((), set(SITES))
    assert all(at >= found.revoked for at in found.destroyed.values())
    (end,) = found.endings
    assert (end.by, end.verb, end.at) == ("ethics-hk", "revoke", found.revoked)
    releases = {one.analysis: one.releases for one in found.courses}
    assert sum(releases.values()) == len(SITES) * SUMS
    assert found.tainted == ("people", "model")
    assert all(one.last <= found.revoked for one in found.courses)


def _check_commands(out, heard, capsys):
    """Read what `hetao run` wrote as those read it who were given it."""
    words = ["verify", str(out / "revoked.json"), "--trust", str(out / "parties.toml")]
    for place, table in enumerate(heard.lists):
        path = out / f"list-{place}.json"
        path.write_text(json.dumps(table))
        words += ["--list", str(path)]
    capsys.readouterr()

    assert main(words) == 0
    said = capsys.readouterr().out
    verdict = "VERIFIED: THE STUDY WAS REVOKED, SEEN BY NOBODY INDEPENDENT  Contract"
    assert verdict in said
    assert "TAINTED, whatever was worked out of the sums of: people, model" in said
    assert "no finding was shown to anybody" in said
    assert all(f"{site} destroyed what it kept at" in said for site in SITES)
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["tainted"]) == ("revoked", ["people", "model"])
    assert (told["independent"], told["witnesses"]) == ([], None)
    assert "findings" not in told
    page = (out / "revoked.html").read_text("utf-8")
    assert all(word in page for word in ("REVOKED at", "已於", "已于", "people"))
    assert 'data-state="waiting" data-kind="revoked"' in page  # it checks itself
    assert main([*words[:2], "--notices", str(out / "revoked.json")]) == 2
    assert main(["certificate", "export", words[1], "--html", str(out / "b.html")]) == 0
    export = ["certificate", "export", words[1], "--verifier", str(out / "v.py")]
    assert main([*export, "--pdf", str(out / "b.pdf")]) == 2
    assert not (out / "b.pdf").exists()
    assert not (out / "v.py").exists()  # what is refused writes nothing
    assert main(export) == 0
    alone = [sys.executable, "-I", out / "v.py", words[1]]
    assert "THE STUDY WAS REVOKED" in subprocess.check_output(alone, text=True)
    (out / "list-0.json").write_text(json.dumps(heard.lists[1]))
    assert main(words) == 6  # one site's list twice, and none of the other
