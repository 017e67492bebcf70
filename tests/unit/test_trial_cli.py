"""`hetao trial` plans, commits, opens and checks."""

import json
import math
import stat

import pytest

from hetao.cli import main
from hetao.errors import InvalidStudy, Usage
from hetao.trial import course, read_trial

TRIAL = """
name = "empa-gba"
[size]
endpoint = "survival"
hazard_ratio = 0.7
accrual = 24
after = 12
hazard = 0.03
[looks]
information = [0.5, 0.75, 1]
power = 0.8
futility = "pocock"
"""
LIST = """
[allocation]
arms = [["空白", 1], ["恩格列淨", 1]]
blocks = [2, 3]
places = 20
strata = [["site", ["hk", "sz"]]]
"""
MINIMISATION = """
[minimisation]
arms = [["a", 1], ["b", 1]]
factors = [["site", ["hk", "sz"], 2], ["sex", ["f", "m"], 1]]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "list.toml").write_text(TRIAL + LIST, "utf-8")
    (tmp_path / "minimised.toml").write_text(TRIAL + MINIMISATION, "utf-8")
    return tmp_path


def hetao(*words):
    return main([str(word) for word in words])


def test_a_plan_says_people_events_and_bounds(folder, capsys):
    assert hetao("trial", "plan", folder / "list.toml") == 0
    said = capsys.readouterr().out
    assert "people 554: 277 control, 277 treated" in said
    assert "events 247" in said
    assert "2.9626" in said  # O'Brien and Fleming's first bound at one half
    assert "largest sample" in said

    assert hetao("trial", "plan", folder / "list.toml", "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert body["looks"]["spent"][-1] == 0.025
    looks = body["looks"]
    assert looks["futility"][-1] == looks["efficacy"][-1]
    # the power that is told is that of the bounds that are told
    assert sum(looks["stops_for_efficacy"]) == pytest.approx(0.8, abs=1e-9)
    assert looks["inflation"] > 1.1
    assert looks["people"] == math.ceil(body["size"]["exact"] * looks["inflation"])
    assert looks["events"] > body["size"]["events"]


def test_the_largest_sample_has_the_power_that_is_told_at_the_error_of_the_looks(
    folder, capsys
):
    """Also where [size] was asked for another error than [looks] spends."""
    trial = folder / "strict.toml"
    text = TRIAL.replace("hazard = 0.03", "hazard = 0.03\nalpha = 0.05\nsides = 1")
    trial.write_text(text.replace("[looks]", "[looks]\nalpha = 0.005"), "utf-8")
    assert hetao("trial", "plan", trial, "--json") == 0
    body = json.loads(capsys.readouterr().out)

    looks = body["looks"]
    drift = math.sqrt(looks["events"] / 4) * -math.log(0.7)  # Schoenfeld
    told = course(read_trial(trial).looks.bounds(), drift)
    assert told.power == pytest.approx(0.8, abs=2e-3)
    assert looks["people"] / looks["events"] == pytest.approx(
        body["size"]["exact"] / body["size"]["events"], abs=0.01
    )

    assert hetao("trial", "plan", trial) == 0
    assert "one look at a one-sided alpha of 0.005: people" in capsys.readouterr().out


def test_a_list_is_committed_opened_and_checked(folder, capsys):
    trial, out = folder / "list.toml", folder / "out"
    assert hetao("trial", "commit", trial, "--out", out) == 0
    secret, public = out / "allocation.secret", out / "commitment.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().strip() not in public.read_text()
    capsys.readouterr()

    words = ("--secret", secret, "--stratum", "site=sz", "--place", 3)
    assert hetao("trial", "open", trial, *words) == 0
    shown = capsys.readouterr().out
    opening = folder / "opening.json"
    opening.write_text(shown, "utf-8")
    check = ("trial", "check", trial, "--commitment", public)
    assert hetao(*check, "--opening", opening) == 0
    assert hetao(*check, "--secret", secret) == 0

    arm = json.loads(shown)["arm"]
    other = "空白" if arm != "空白" else "恩格列淨"
    opening.write_text(shown.replace(arm, other), "utf-8")
    assert hetao(*check, "--opening", opening) == 6
    secret.write_text("00" * 32)
    assert hetao(*check, "--secret", secret) == 6


def test_a_trial_draws_its_secret_once(folder, capsys):
    trial, out = folder / "list.toml", folder / "out"
    assert hetao("trial", "commit", trial, "--out", out) == 0
    before = (out / "allocation.secret").read_text()

    assert hetao("trial", "commit", trial, "--out", out) == 2
    assert "has its secret" in capsys.readouterr().err
    assert (out / "allocation.secret").read_text() == before


def test_people_are_minimised_one_by_one_and_checked(folder, capsys):
    trial, out = folder / "minimised.toml", folder / "out"
    enrolled = folder / "enrolled.json"
    assert hetao("trial", "commit", trial, "--out", out) == 0
    secret = out / "allocation.secret"
    words = ("trial", "assign", trial, "--secret", secret, "--enrolled", enrolled)
    for levels in ("hk,f", "sz, m", "hk,m"):
        assert hetao(*words, "--levels", levels) == 0
    assert hetao(*words, "--levels", "hk,x") == 4
    assert len(json.loads(enrolled.read_text())) == 3

    check = ("trial", "check", trial, "--commitment", out / "commitment.json")
    check = (*check, "--secret", secret, "--enrolled", enrolled)
    assert hetao(*check) == 0
    text = enrolled.read_text()
    enrolled.write_text(text.replace('"arm":"a"', '"arm":"c"').replace('"b"', '"a"'))
    assert hetao(*check) == 6
    assert "got another arm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("survival", "magic"), "endpoint is one of"),
        (("hazard_ratio = 0.7\n", ""), "needs 'hazard_ratio'"),
        (("hazard = 0.03", "hazard = 0.03\nsd = 1"), "no use for 'sd'"),
        (("[looks]", "[looks]\nwhen = 1"), "unknown field 'when'"),
        (("name =", "named ="), "named"),
    ],
)
def test_a_file_that_says_too_much_or_too_little_is_refused(folder, change, said):
    (folder / "t.toml").write_text(TRIAL.replace(*change), "utf-8")

    with pytest.raises(InvalidStudy, match=said):
        read_trial(folder / "t.toml")


def test_what_makes_no_trial_is_refused(folder):
    path = folder / "t.toml"
    path.write_text(TRIAL + LIST + MINIMISATION, "utf-8")
    with pytest.raises(InvalidStudy, match="either"):
        read_trial(path)
    path.write_text(TRIAL.replace("hazard_ratio = 0.7", "hazard_ratio = -1"), "utf-8")
    with pytest.raises(Usage):
        read_trial(path)
    path.write_text(TRIAL, "utf-8")
    with pytest.raises(Usage, match="nothing of who gets what"):
        read_trial(path).plan  # noqa: B018


def test_the_wrong_way_to_allot_is_named(folder, capsys):
    words = ("--secret", "x", "--place", 1)
    assert hetao("trial", "open", folder / "minimised.toml", *words) == 2
    assert "hetao trial assign" in capsys.readouterr().err
    words = ("--secret", "x", "--enrolled", "y", "--levels", "hk,f")
    assert hetao("trial", "assign", folder / "list.toml", *words) == 2
    assert "hetao trial open" in capsys.readouterr().err
    (folder / "s").write_text("abc")
    words = ("--secret", folder / "s", "--place", 1)
    assert hetao("trial", "open", folder / "list.toml", *words) == 4
    assert "no secret of 32 bytes" in capsys.readouterr().err
