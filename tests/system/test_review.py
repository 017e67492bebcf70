"""The whole way of an output check, as its people type it: real processes, over TLS."""

import json

import pytest

from hetao.cli import main
from support_federation import toy_study
from support_system import estimates, write_asked

pytestmark = pytest.mark.xdist_group("system")


def test_nothing_is_shown_until_both_checkers_have_accepted(
    network, run_again, tmp_path, capsys
):
    out, review = tmp_path / "out", tmp_path / "out" / "review"
    said = network.finish(network.run(network.asked, out, wait=0))

    assert "waiting for output checks" in said
    assert [path.name for path in out.iterdir()] == ["review"]

    def typed(*words):
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    (listed,) = json.loads(typed("review", "list", tmp_path, "--json"))
    assert listed["voted"] == []
    assert len(listed["waiting_for"]) == 2
    shown = typed("review", "show", review)
    assert listed["code"] in shown
    assert "small-counts 10: no smaller count of people is shown" in shown
    assert "residual-df 10: so many people more than numbers in the model" in shown
    assert f"then: hetao review vote {review} accept" in shown
    assert "for output checkers" in (review / "report.html").read_text("utf-8")

    first, second = network.pilot.checkers.values()
    typed("review", "vote", review, "accept", "--key", first)
    assert main(["review", "vote", str(review), "reject", "--key", str(first)]) == 3
    assert "(the vote stands" in capsys.readouterr().err
    said = network.finish(network.run(network.asked, out, wait=0))
    assert "review vote" in said
    assert [path.name for path in out.iterdir()] == ["review"]

    typed("review", "vote", review, "accept", "--key", second)
    network.finish(network.run(network.asked, out, wait=0))

    verify = "verify", "--policy", "hubs"
    assert main([*verify, str(out / "certificate.json")]) == 0
    assert "output checks by output-checker-hk" in capsys.readouterr().out
    assert main([*verify, str(out / "certificate.public.json")]) == 0
    assert estimates(out)


def test_an_objection_is_read_once_both_have_voted_and_ends_it(network, tmp_path):
    study = toy_study(deadline_seconds=40)  # its own: it waits for ever
    asked, out = write_asked(tmp_path / "asked", network.pilot, study), tmp_path / "out"
    network.finish(network.run(asked, out, wait=0))
    network.vote(out / "review", ("change", "leave the small age band out"))

    said = network.finish(network.run(asked, out, wait=0), code=3)

    assert "leave the small age band out" in said
    assert "HT-301" in said
    assert [path.name for path in out.iterdir()] == ["review"]
