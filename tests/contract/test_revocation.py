"""A revocation in mid-study, told to one site alone, over every way to the hubs."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from hetao.cli.main import main
from hetao.errors import NotApproved, Stopped
from hetao.federation import gossip, runs
from hetao.federation.store import Store
from hetao.ledger.released import check_released
from hetao.ledger.revoked import Revoked, Unsent, verify_any
from hetao.permit import sign_notice
from support_revocation import SITES, SUMS, killed_midway, revoked_midway
from support_transport import HUBS, NETS, Stage, now, play, study_of
from support_witness import UNNAMED

LAST = Unsent("a", "model", "model/1/1", is_late=False)  # waits while its hub is away


@pytest.mark.parametrize(
    ("way", "teller", "lost"),
    [("inproc", "b", False), ("https", "c", False), ("inproc", "c", True)],
)
def test_a_revocation_in_mid_study_reaches_everybody_and_nothing_leaves_after_it(
    way, teller, lost, tmp_path, monkeypatch, capsys
):
    """Of a's last answer no word came that its hub has it: one share stays behind.

    Where that word was `lost`, the coordinator has its record all the same.
    """
    monkeypatch.setattr(gossip, "GOSSIP_SECONDS", 0.05)

    def scene(net):
        return revoked_midway(net, teller, certified=True, lost=lost)

    heard = play(NETS[way], tmp_path, scene)

    parties = {f"site {name}" for name in SITES} | {f"hub {name}" for name in HUBS}
    assert set(heard.seconds) == parties | {"coordinator"}
    for before, after in heard.sums.values():
        assert before == after == SUMS
    # heard by itself, or from a hub that opened no sum any more
    assert isinstance(heard.error, NotApproved | Stopped)
    assert "said 'revoke' to this permit" in str(heard.error)
    missing = () if lost else (LAST,)
    _check_certificate(heard, missing)
    _check_commands(tmp_path / "out", heard, capsys, missing)
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


def _check_certificate(heard, missing):
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
    assert sum(releases.values()) == len(SITES) * SUMS - len(missing)
    on_time = tuple(replace(one, is_late=False) for one in found.unsent)  # to a second
    assert (alone.unsent, on_time) == ((), missing)
    named = [check_released(one, heard.directory).unsent for one in heard.lists]
    assert [len(names) for names in named] == [1, 0, 0]
    assert found.tainted == ("people", "model")
    assert all(one.last <= found.revoked for one in found.courses)


def _check_commands(out, heard, capsys, missing):
    """Read what `hetao run` wrote as those read it who were given it."""
    words = ["verify", str(out / "revoked.json"), "--trust", str(out / "parties.toml")]
    for place, table in enumerate(heard.lists):
        path = out / f"list-{place}.json"
        path.write_text(json.dumps(table))
        words += ["--list", str(path)]
    capsys.readouterr()

    assert main(words) == 7
    said = capsys.readouterr().out
    assert f"{UNNAMED}; THE STUDY WAS REVOKED  Contract" in said
    assert "TAINTED, whatever was worked out of the sums of: people, model" in said
    assert "no finding was shown to anybody" in said
    assert all(f"{site} destroyed what it kept at" in said for site in SITES)
    assert ("a released model/1/1 too, which is not here" in said) is bool(missing)
    assert main([*words, "--policy", "hubs"]) == 0
    seen = "VERIFIED: THE STUDY WAS REVOKED, SEEN BY NOBODY INDEPENDENT  Contract"
    assert seen in capsys.readouterr().out
    assert main([*words, "--json"]) == 7
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["tainted"]) == ("revoked", ["people", "model"])
    assert (told["verified"], told["counts"]) == (False, False)
    assert (told["independent"], told["witnesses"]) == ([], None)
    assert [one["task"] for one in told["unsent"]] == [one.task for one in missing]
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
    alone = [sys.executable, "-I", out / "v.py", words[1], "--policy", "hubs"]
    assert "THE STUDY WAS REVOKED" in subprocess.check_output(alone, text=True)
    (out / "list-0.json").write_text(json.dumps(heard.lists[1]))
    assert main(words) == 6  # one site's list twice, and none of the other
