"""What had left when a study was revoked halfway: a list that anybody can check."""

import copy
import json
import random

import pytest

from hetao.cli.main import main
from hetao.errors import HetaoError, InvalidData, Unverified
from hetao.federation.released import check_released, digests, sign_released
from hetao.permit import sign_notice, state, write_directory
from support_federation import COUNTS, LOGISTIC, RUN, Federation, Plan, toy_study

AT = "2026-11-22T12:00:00Z"


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Return a run of two analyses, revoked after the first; site b was never asked."""
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(tmp_path_factory.mktemp("revoked"), plan) as made:
        site = made.sites["a"]
        site.handle(made.begin("a").data)
        site.handle(made.task("a").data)
        made.clock.pass_seconds(60)
        signer = made.cast.identities["ethics-hk"]
        said = sign_notice(made.bundle, signer, "revoke", made.clock()).notices[-1]
        site.register.take([said])
        site.heed()
        yield made


@pytest.fixture(scope="module")
def signed(federation):
    return sign_released(federation.setup("a"), RUN, AT)


def check(federation, statement):
    return check_released(statement.as_json(), federation.cast.directory)


def test_a_revoked_runs_list_says_what_had_left_and_when_the_rest_was_destroyed(
    federation, signed
):
    found = check(federation, signed)

    assert [body["kind"] for body in found.records] == ["ready", "sum"]
    assert (found.site, found.run, found.permit) == (
        "a",
        RUN,
        federation.bundle.permit.digest,
    )
    assert not found.is_closed
    assert found.destroyed > found.records[-1]["at"]
    assert len(set(digests(found))) == 2


def test_a_list_names_what_is_not_known_to_have_reached_its_hub(federation, signed):
    found = check(federation, signed)

    names = digests(found)
    assert list(found.sums) == names[1:]
    assert found.unsent == {names[1]}  # nobody has taken it from its maker here


def test_an_answer_is_known_to_have_arrived_once_its_hub_has_said_so(tmp_path):
    with Federation(tmp_path, Plan(toy_study((COUNTS,)))) as federation:
        site = federation.sites["a"]
        site.handle(federation.begin("a").data)
        posts = site.handle(federation.task("a").data)
        assert len(site.answers.unsent(RUN)) == 1
        assert site.answers.unsent("another run") == []

        site.answers.taken(posts[-1])

        assert site.answers.unsent(RUN) == []


def test_a_run_that_ended_says_so_and_nothing_was_destroyed(tmp_path):
    with Federation(tmp_path, Plan(toy_study((COUNTS,)))) as federation:
        federation.play()
        federation.sites["b"].handle(federation.envelope("finish", "b").data)

        found = check(federation, sign_released(federation.setup("b"), RUN, AT))

        assert found.is_closed
        assert not found.destroyed


def test_a_site_that_released_nothing_has_no_list(federation):
    with pytest.raises(InvalidData, match="nothing left b"):
        sign_released(federation.setup("b"), RUN, AT)
    with pytest.raises(InvalidData, match="nothing left a"):
        sign_released(federation.setup("a"), "0" * 32, AT)


def resigned(federation, signed, name="a", **changes):
    """Return a list that the site, lying, signs anew."""
    body = {**copy.deepcopy(dict(signed.body)), **changes}
    return state(federation.cast.identities[name], body)


def test_a_list_that_the_log_does_not_bear_out_is_refused_though_it_is_signed(
    federation, signed
):
    entries = signed.body["entries"]
    other = json.loads(entries[1]["entry"])
    other["body"]["values"] = 1
    bent = [
        {"entries": []},
        {"entries": [entries[0], entries[0]]},
        {"entries": entries[::-1]},
        {"entries": [{**entries[0], "index": entries[0]["index"] + 1}]},
        {"entries": [{**entries[0], "path": []}]},
        {"entries": [{**entries[1], "entry": json.dumps(other)}]},
        {"run": "0" * 32},
        {"permit": "sha256:" + "0" * 64},
        {"checkpoint": signed.body["checkpoint"].replace("\n", "\n\n", 1)},
        {"site": "b"},
        {"type": "hetao.released/2"},
    ]
    check(federation, resigned(federation, signed))
    for changes in bent:
        with pytest.raises(Unverified):
            check(federation, resigned(federation, signed, **changes))
    with pytest.raises(Unverified):
        check(federation, resigned(federation, signed, "b"))


def test_every_changed_byte_of_a_list_is_refused(federation, signed):
    text = json.dumps(signed.as_json())
    draw = random.Random(3)  # noqa: S311 - no secret
    for _ in range(300):
        place = draw.randrange(len(text))
        bent = text[:place] + chr(draw.randrange(32, 127)) + text[place + 1 :]
        try:
            table = json.loads(bent)
            if table == signed.as_json():
                continue
            check_released(table, federation.cast.directory)
        except (HetaoError, ValueError):
            continue
        raise AssertionError(place)


def test_the_command_checks_a_list(federation, signed, tmp_path, capsys):
    write_directory(tmp_path / "parties.toml", federation.cast.directory)
    (tmp_path / "list.json").write_text(json.dumps(signed.as_json()), "utf-8")
    words = ["permit", "released", str(tmp_path / "list.json")]
    words += ["--parties", str(tmp_path / "parties.toml")]

    assert main(words) == 0
    said = capsys.readouterr().out
    assert "which was never closed" in said
    assert "destroyed at" in said
    assert "numbers, not known to have reached its hub\n" in said
    (tmp_path / "list.json").write_text("{}", "utf-8")
    assert main(words) == 6
