"""The benchmark beside other programs: how far, how long, and what the page says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
POOLED = {"estimate": [1.0, -2.0], "se": [0.5, 0.1]}
LOG = """2026-11-28 18:44:17,424 - INFO - Round 0 started.
2026-11-28 18:44:30,331 - INFO - Finished one task run for client: site-1
2026-11-28 18:44:30,902 - INFO - Round 1 started.
2026-11-28 18:44:41,183 - INFO - Finished FedAvg.
"""
KEPT = {
    "name": "tno-logistic",
    "who": "tno",
    "program": "TNO",
    "task": "logistic",
    "setting": "processes",
    "kind": "best",
    "sites": 4,
    "when": "2026-11-28 20:16 UTC",
    "load": 1.0,
    "wall": 3.25,
    "cpu": 4.5,
    "bytes": 62_688,
    "rounds": 8,
    "seconds": 0.36,
    "distance": 2.5e-8,
}
MISSING = KEPT | {"name": "gone", "program": "Gone", "not_run": "not installed: why"}
CPU = {
    "ours": {"least": 0.050, "median": 0.060},
    "plans": {"least": 0.066, "median": 0.078},
    "coxph": {"least": 0.028, "median": 0.036},
    "times": 20,
    "ratio": 0.060 / 0.036,
    "ratios": [1.5, 1.9],
}


@pytest.fixture(autouse=True)
def benchmarks_are_at_hand(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def measured(folder, seconds, text):
    """Return what the meter finds of a program of Python."""
    figures, meter = folder / "figures.json", BENCHMARKS / "peers" / "meter.py"
    command = [sys.executable, meter, figures, seconds, sys.executable, "-c", text]
    subprocess.run(command, check=True)
    return json.loads(figures.read_text("utf-8"))


def test_a_distance_is_the_largest_in_the_pooled_standard_errors():
    from peers.distance import in_errors

    assert in_errors([1.0, -2.0], POOLED) == 0
    assert in_errors([1.5, -2.3], POOLED) == pytest.approx(3)


@pytest.mark.parametrize("answer", [[1.0], [1.0, float("nan")]])
def test_an_answer_without_the_terms_has_no_distance(answer):
    from peers.distance import in_errors

    with pytest.raises(ValueError, match="terms"):
        in_errors(answer, POOLED)


def test_curves_are_compared_as_steps_at_every_time_of_either():
    from peers.distance import of_curves

    one = {"time": [1, 3], "survival": [0.9, 0.5]}

    assert of_curves(one, one) == 0
    assert of_curves(one, {"time": [2], "survival": [0.9]}) == pytest.approx(0.4)
    assert of_curves({"time": [0], "survival": [0.7]}, one) == pytest.approx(0.3)


def test_rounds_last_from_the_first_ones_start_to_the_controllers_end():
    from peers.distance import nvflare_seconds

    assert nvflare_seconds(LOG) == pytest.approx(23.759, abs=1e-3)
    assert nvflare_seconds("nothing of the kind") is None


def test_the_page_names_what_was_not_run_and_invents_no_figure(tmp_path):
    from peers import page

    page.write([KEPT, MISSING], CPU, tmp_path)

    text = (tmp_path / "peers.md").read_text("utf-8")
    (ran,) = [line for line in text.splitlines() if line.startswith("| TNO |")]
    assert "| 8 | 3.2 | 0.36 | 4.5 | 63 kB | 2.5e-08 |" in ran
    (gone,) = [line for line in text.splitlines() if line.startswith("| Gone |")]
    assert "not run: not installed: why" in gone
    assert not any(digit in gone.partition("not run")[2] for digit in "0123456789")
    assert "| 50 | 60 | 1.67 |" in text
    drawn = (tmp_path / "peers.svg").read_text("utf-8")
    assert drawn.count("<circle") == 2
    assert "Gone" not in drawn
    figures = json.loads((tmp_path / "peers.json").read_text("utf-8"))
    assert [one["name"] for one in figures["runs"]] == ["tno-logistic", "gone"]


def test_a_command_is_measured_with_what_it_leaves_running(tmp_path):
    left = (
        "sum(range(60_000_000))"  # a second or so, of which the command knows nothing
    )
    started = f"[sys.executable, '-c', '{left}'], start_new_session=True"
    text = f"import subprocess, sys; subprocess.Popen({started})"
    found = measured(tmp_path, "60", text)

    assert found["status"] == 0
    assert not found["late"]
    assert found["cpu"] > 0.3
    assert found["bytes"] in (None, 0)


def test_a_command_that_does_not_end_is_ended_and_said_to_be_late(tmp_path):
    found = measured(tmp_path, "0.2", "import time; time.sleep(600)")

    assert found["late"]
