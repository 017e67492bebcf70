"""The state of a round comes from outside: it must not make one person count alone."""

import datetime
import json

import numpy as np
import pytest

from hetao.errors import InvalidNetwork
from hetao.federation.site_file import heard
from hetao.permit import sign_notice, write_bundle
from support_federation import LOGISTIC, Federation, Plan, toy_study

FAR = 60.0  # so steep that the logistic curve is a step between two people


@pytest.fixture
def fitted(tmp_path):
    plan = Plan(toy_study((LOGISTIC,)))
    with Federation(tmp_path / "federation", plan) as made:
        made.sites["a"].handle(made.begin("a").data)
        yield made


def answer(federation, round_number, beta):
    task = federation.task("a", round=round_number, state={"beta": np.array(beta)})
    posts = federation.sites["a"].handle(task.data)
    return [federation_kind(federation, data) for hub, data in posts]


def federation_kind(federation, data):
    from hetao.ledger.envelope import parse_envelope

    envelope = parse_envelope(data)
    if envelope.header.recipient != "coordinator":
        return envelope.header.kind, {}
    kind, meta, _ = federation.opened(data)
    return kind, meta


def oldest_and_next(federation):
    """Return the standardised ages of the two oldest people at site a."""
    rows = [
        line.split(",")
        for line in federation.patients.read_text().splitlines()[1:]
        if line.startswith("a,")
    ]
    ages = sorted({(float(row[1]) - 60) / 60 for row in rows})
    return ages[-1], ages[-2]


def test_a_plain_state_is_answered(fitted):
    kinds = [kind for kind, _ in answer(fitted, 1, [0.0, 0.5, 0.1])]

    assert kinds == ["share", "share", "receipt"]


def test_a_state_that_singles_one_person_out_is_refused(fitted):
    oldest, second = oldest_and_next(fitted)
    slope = FAR / (oldest - second)
    singled_out = [-slope * oldest, slope, 0.0]  # everyone else lies far off the step

    ((kind, meta),) = answer(fitted, 1, singled_out)

    assert kind == "refusal"
    assert "HT-404" in meta["rule"]


def test_a_state_at_which_nobody_counts_is_refused(fitted):
    ((kind, meta),) = answer(fitted, 1, [1e300, 0.0, 0.0])

    assert kind == "refusal"
    assert meta["rule"].startswith("HT-")


def test_a_permit_covers_so_many_runs_and_no_more(tmp_path):
    with Federation(tmp_path / "federation") as federation:
        most = federation.bundle.permit.most_runs

        kinds = [
            federation_kind(federation, data)
            for run in range(most + 1)
            for _, data in federation.sites["a"].handle(
                federation.begin("a", run=f"run-{run}").data
            )
        ]

    assert [kind for kind, _ in kinds] == ["ready"] * most + ["refusal"]
    assert "runs are used up" in kinds[-1][1]["rule"]


def test_a_withdrawal_laid_into_the_sites_folder_is_heard(fitted, tmp_path):
    folder = tmp_path / "notices"
    folder.mkdir()
    signer = fitted.cast.identities["ethics-hk"]
    when = fitted.clock() + datetime.timedelta(seconds=1)
    withdrawn = sign_notice(fitted.bundle, signer, "withdraw", when)

    before = heard(folder)
    write_bundle(folder / "permit.json", withdrawn)

    assert before == ()
    assert [n.body["verb"] for n in heard(folder)][-1] == "withdraw"


def test_a_file_that_is_no_permit_closes_the_door(tmp_path):
    (tmp_path / "odd.json").write_text(json.dumps({"permit": 1}))

    with pytest.raises(InvalidNetwork):
        heard(tmp_path)
