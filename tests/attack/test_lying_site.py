"""What a lying site states is named before anybody is shown it."""

import copy

import pytest

from hetao.errors import BadEnvelope
from hetao.federation.stating import check_closing, check_ready, check_signed
from hetao.release.policy import Policy
from hetao.study import Minimum
from support_federation import Federation, Plan, toy_study

FREE = "approved by the regulator"


def stated(run, kind):
    said = {"ready": run.outcome.ready, "closing": run.outcome.closings}[kind]
    return copy.deepcopy(dict(said["a"]))


def check(run, kind, said):
    """Do as the coordinator does."""
    if kind == "ready":
        check_ready("a", said, run.outcome.study)
    else:
        check_closing("a", said)


def put(said, *path, value):
    *parents, last = path
    for name in parents:
        said = said[name]
    said[last] = value


READY = {
    "a snapshot in words": (("snapshot",), FREE),
    "a snapshot that is none": (("snapshot",), None),
    "a field more": (("note",), FREE),
    "another extract": (("extract",), FREE),
    "no count but true": (("policy", "minimum", "cell"), True),
    "a count of nothing": (("policy", "minimum", "cell"), 0),
    "a count below nothing": (("policy", "minimum", "rounding"), -5),
    "a count in words": (("policy", "minimum", "rounding"), "five"),
    "a share beyond any": (("policy", "minimum", "leverage"), 7.0),
    "a count more": (("policy", "minimum", "note"), 1),
    "what it does not lower": (("policy", "lowered"), ["cell"]),
    "what it lowers hidden": (("policy", "minimum", "cell"), 3),
    "lowered in words": (("policy", "lowered"), FREE),
    "a reason without end": (("policy", "reason"), "x" * 501),
    "a reason that is none": (("policy", "reason"), [FREE]),
    "a policy of more": (("policy", "approved"), True),
    "no policy": (("policy",), []),
    "concept sets of nobody's": (("concepts",), [{"name": FREE, "digest": ""}]),
}
CLOSING = {
    "no checkpoint": (("checkpoint",), None),
    "a field more": (("note",), FREE),
    "a proof more": (("proofs", 0, "note"), FREE),
    "a path without end": (("proofs", 0, "path"), ["00" * 32] * 65),
    "a path in words": (("proofs", 0, "path"), [FREE]),
    "a place that is true": (("proofs", 0, "index"), True),
    "no proofs": (("proofs",), {}),
    "quality in words": (("quality", "summary"), [FREE]),
    "a part of its own": (
        ("quality", "summary"),
        [{"table": FREE, "category": "conformance", "passing": "all"}],
    ),
    "a failure in words": (
        ("quality", "failed"),
        [dict.fromkeys(("type", "table", "field", "concept", "share"), FREE)],
    ),
    "quality of more": (("quality", "note"), FREE),
    "no quality": (("quality",), None),
}


@pytest.mark.parametrize("kind", ["ready", "closing"])
def test_what_an_honest_site_states_is_heard_and_is_signed_by_it(small_run, kind):
    said, permit = stated(small_run, kind), small_run.outcome.bundle.permit

    check(small_run, kind, said)
    check_signed("a", kind, said, permit, small_run.outcome.run)
    for other in (
        {**said, "record": stated(small_run, {"ready": "closing"}.get(kind, "ready"))},
        {**said, "note": FREE},
        {**said, "record": FREE},
    ):
        with pytest.raises(BadEnvelope, match=f"a sent a malformed {kind!r}"):
            check_signed("a", kind, other, permit, small_run.outcome.run)
    with pytest.raises(BadEnvelope):
        check_signed("b", kind, said, permit, small_run.outcome.run)
    with pytest.raises(BadEnvelope):
        check_signed("a", kind, said, permit, "another run")


@pytest.mark.parametrize(
    ("kind", "lie"),
    [*(("ready", lie) for lie in READY), *(("closing", lie) for lie in CLOSING)],
)
def test_a_statement_of_another_form_is_refused_and_its_site_named(
    small_run, kind, lie
):
    said = stated(small_run, kind)
    path, value = {"ready": READY, "closing": CLOSING}[kind][lie]
    put(said, *path, value=value)

    with pytest.raises(BadEnvelope, match=f"a sent a malformed {kind!r}"):
        check(small_run, kind, said)


@pytest.mark.parametrize("missing", ["snapshot", "dictionary", "policy", "record"])
def test_a_beginning_that_leaves_something_out_is_refused(small_run, missing):
    said = stated(small_run, "ready")
    del said[missing]

    with pytest.raises(BadEnvelope):
        check(small_run, "ready", said)


def test_a_site_that_hides_what_it_lowered_stops_the_run_before_any_release(
    tmp_path, monkeypatch
):
    """Else no reader would be told: they are told by that list."""
    open_ = Policy(minimum=Minimum(cell=5), reason="few patients")
    plan = Plan(toy_study(), policies={"a": open_})
    told = Policy.as_json
    monkeypatch.setattr(Policy, "as_json", lambda p: {**told(p), "lowered": []})

    with (
        Federation(tmp_path / "f", plan) as made,
        pytest.raises(BadEnvelope, match="a sent a malformed 'ready'"),
    ):
        made.run()
