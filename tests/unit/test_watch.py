"""A product is watched over certificates: the rule stands before the first look."""

import json
from itertools import pairwise

import pandas as pd
import pytest

import hetao
from hetao.analysis.surveillance import cusum, poisson_critical, poisson_ratio
from hetao.cli import main
from hetao.release import Policy
from hetao.study import Minimum
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
ROWS = pd.DataFrame(people())
PARTS = (0.4, 0.7, 1.0)  # of each hospital's rows, look after look
PLAN = """\
name = "A vaccine 疫苗"
analysis = "fit"
group = "f"
rate = {rate}
most_expected = 400
least_events = 4
"""

HUBS = ("--policy", "hubs")


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """Return (certificate, events, time) of three looks at more and more people."""
    folder = tmp_path_factory.mktemp("looks")
    found = []
    for number, part in enumerate(PARTS, 1):
        rows = ROWS.groupby("hospital").head(int(400 * part))
        fit = hetao.rates(
            "Surv(days, ill) ~ sex", data=rows, split_by="hospital", policy=OPEN
        )
        path = folder / f"look-{number}.json"
        fit.certify(path)
        women = rows[rows["sex"] == "f"]
        found.append((path, int(women["ill"].sum()), float(women["days"].sum())))
    return found


def plan(tmp_path, rate, more=""):
    path = tmp_path / "watch.toml"
    path.write_text(PLAN.format(rate=rate) + more, "utf-8")
    return str(path)


def watched(capsys, *words):
    assert main(["watch", *map(str, words), *HUBS, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_looks_are_the_certified_numbers_and_the_ratio_is_of_them(
    looks, tmp_path, capsys
):
    rate = looks[-1][1] / looks[-1][2] / 1.5  # half as many again as expected
    said = watched(capsys, plan(tmp_path, rate), *(path for path, *_ in looks))

    critical = poisson_critical(400, 0.05, 4)
    assert said["critical"] == critical
    for look, (_, events, time) in zip(said["looks"], looks, strict=True):
        assert look["events"] == events
        assert look["expected"] == pytest.approx(rate * time, rel=1e-12)
        ratio = poisson_ratio(events, rate * time)
        assert look["statistic"] == pytest.approx(ratio, rel=1e-9)
        assert look["is_signal"] == (ratio >= critical)
    assert said["looks"][-1]["is_signal"]
    assert not said["is_over"]


def test_a_cusum_goes_beside_it_and_the_looks_are_drawn(looks, tmp_path, capsys):
    rate = looks[-1][1] / looks[-1][2] / 1.5
    words = plan(tmp_path, rate, "ratio = 2\nthreshold = 3\n")
    drawn = tmp_path / "looks.svg"

    said = watched(capsys, words, *(path for path, *_ in looks), "--out", drawn)
    totals = [(0, 0.0), *((events, rate * time) for _, events, time in looks)]
    new = [b[0] - a[0] for a, b in pairwise(totals)]
    awaited = [b[1] - a[1] for a, b in pairwise(totals)]
    levels = cusum(new, awaited, 2)
    assert [look["cusum"] for look in said["looks"]] == pytest.approx(levels, rel=1e-9)
    assert "疫苗" in drawn.read_text("utf-8")


def test_without_an_excess_there_is_no_signal_and_an_end(looks, tmp_path, capsys):
    rate = looks[-1][1] / looks[-1][2] * 1.02
    words = plan(tmp_path, rate)
    assert main(["watch", words, *(str(path) for path, *_ in looks), *HUBS]) == 0
    assert capsys.readouterr().out.endswith("No signal so far.\n")

    ended = tmp_path / "ended.toml"
    few = PLAN.format(rate=rate).replace("400", "50")
    ended.write_text(few, "utf-8")
    assert main(["watch", str(ended), *(str(path) for path, *_ in looks), *HUBS]) == 0
    assert capsys.readouterr().out.endswith("over without a signal.\n")


def test_looks_count_by_their_readers_quorum_alone(looks, tmp_path, capsys):
    words = ["watch", plan(tmp_path, 0.001), *(str(path) for path, *_ in looks)]
    policy = tmp_path / "policy"
    policy.write_text("quorum none\n")

    assert main(words) == 7
    told = capsys.readouterr()
    assert "No signal" in told.out or "SIGNAL" in told.out.upper()
    assert "for it to count" in told.err
    assert main([*words, "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["counts"] is False
    assert main([*words, "--policy", str(policy)]) == 6  # lists no such log
    assert main([*words, *HUBS]) == 0


def test_a_plan_alone_says_what_it_promises(tmp_path, capsys):
    words = plan(tmp_path, 0.001, "ratio = 2\nthreshold = 3\nper_look = 5.0\n")

    said = watched(capsys, words)
    assert said["critical"] == poisson_critical(400, 0.05, 4)
    assert 0.05 < said["power"]["1.5"] <= said["power"]["2.0"] <= said["power"]["3.0"]
    assert said["looks_to_false_alarm"] > 10
    assert main(["watch", words]) == 0
    assert "false alarm 0.05" in capsys.readouterr().out


def test_what_makes_no_plan_or_no_series_of_looks_is_refused(looks, tmp_path, capsys):
    paths = [str(path) for path, *_ in looks]
    words = plan(tmp_path, 0.001)
    assert main(["watch", words, *paths[::-1]]) == 2
    assert "order" in capsys.readouterr().err
    for change, says in (
        (('group = "f"', 'group = "x"'), "no group 'x'"),
        (('analysis = "fit"', 'analysis = "other"'), "no finding of rates"),
        (("rate = 0.001", "rate = -1.0"), "above 0"),
        (("least_events = 4", "ratio = 2"), "a CUSUM has"),
        (("least_events = 4", "latest = 4"), "unknown field 'latest'"),
    ):
        path = tmp_path / "changed.toml"
        path.write_text(PLAN.format(rate=0.001).replace(*change), "utf-8")
        assert main(["watch", str(path), *paths]) != 0
        assert says in capsys.readouterr().err


def test_a_certificate_that_was_changed_is_no_look(looks, tmp_path, capsys):
    first = looks[0][0].read_bytes()
    changed = tmp_path / "changed.json"
    changed.write_bytes(first.replace(b'"events":', b'"events": ', 1))

    assert main(["watch", plan(tmp_path, 0.001), str(changed)]) == 6
    assert "HT-" in capsys.readouterr().err
