"""The gate: every rule refuses, in its order, and says nothing about any patient."""

import datetime
import itertools
import math
import re
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.analysis import Evidence, Protocol, Sum
from hetao.analysis.combinations import Combinations
from hetao.analysis.magnitudes import Magnitude
from hetao.canonical import digest
from hetao.errors import (
    Dominated,
    HetaoError,
    HighLeverage,
    InvalidStudy,
    NotAParty,
    NotApproved,
    NotFinite,
    OutOfBounds,
    OutOfTime,
    SmallCell,
    SmallCohort,
    TooFewSites,
    TooManyParameters,
    UngradedRelease,
    UnlistedProtocol,
    WrongShape,
    WrongStudy,
)
from hetao.ledger.log_signer import signer_of
from hetao.ledger.note import Checkpoint, cosign, shortened
from hetao.ledger.sealed_counts import NAME as SEALED_COUNT
from hetao.permit import Bundle, Directory, PermittedProtocol, new_identity, sign_notice
from hetao.release import (
    STRICT,
    ClosedDoor,
    Door,
    Notice,
    Place,
    Policy,
    Summary,
    add,
    decode,
    stream,
    unpack,
)
from hetao.release.decide import ROUNDING, check_concepts, decide
from hetao.release.differencing import Budget
from hetao.release.policy import USUAL_DOMINANCE, policy_from
from hetao.study import Minimum
from support_federation import START, Federation, Plan, toy_study

PEOPLE = 137  # no other number in any rule has these digits
PROTOCOL = Protocol("toy", "1", "sha256:code", 3, "x: 2")
EVIDENCE = Evidence(
    people=PEOPLE,
    events=61,
    non_events=76,
    parameters=3,
    smallest_side={"age": 88, "sex[m]": 66},
    max_leverage=0.25,
    cells={"ill | m": 33},
)


@dataclass
class Scene:
    """A release that passes, and each part of it to be spoilt."""

    federation: Federation
    protocol: Protocol = PROTOCOL
    publishable: bool = False
    own_parts: bool = False
    own_cells: bool = False
    in_a_cell: int = 0
    own_totals: bool = False
    numbers: int | None = None
    needs_count: bool = False
    counted: int | None = None
    needs_sites: bool = False
    sites_counted: tuple | None = None
    counts: str = "count"
    declared: dict = field(
        default_factory=lambda: {"x": Sum((2,), 1.0, 0.0), "y": Sum((1,), 2.0)}
    )
    arrays: dict = field(
        default_factory=lambda: {"x": np.array([3.0, 4.0]), "y": np.array([-5.0])}
    )
    evidence: Evidence = EVIDENCE
    members: tuple = ("a", "b", "c")
    place: dict = field(default_factory=dict)
    permit: dict = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    budget: Budget | None = field(default_factory=lambda: Budget(3, 10, 0))
    now: datetime.datetime = START
    identity: object = None
    trusted: object = None
    bundle: object = None

    def permitted(self):
        """Return the permit that lists the toy protocol, approved by all."""
        if self.bundle is not None:
            return self.bundle
        listed = PermittedProtocol(
            *(getattr(PROTOCOL, f.name) for f in fields(PROTOCOL))
        )
        drafted = replace(
            self.federation.bundle.permit, **{"protocols": (listed,), **self.permit}
        )
        self.bundle = self.federation.cast.approved(Bundle(drafted), START)
        return self.bundle

    def decide(self):
        bundle = self.permitted()
        place = {
            "study": self.federation.study.digest,
            "permit": bundle.permit.digest,
            "run": "r",
            "task": "attrition/1/0",
            "not_after": "2026-11-22T09:00:00Z",
            "analysis": "attrition",
            "attempt": 1,
            "round": 0,
            **self.place,
        }
        if self.place and "task" not in self.place:
            place["task"] = "{analysis}/{attempt}/{round}".format(**place)
        door = Door(
            self.identity or self.federation.cast.identities["a"],
            self.trusted or self.federation.cast.directory,
            bundle,
            self.federation.study,
            self.policy,
        )
        summary = Summary(
            self.protocol,
            self.publishable,
            self.declared,
            self.arrays,
            self.evidence,
            self.members,
            bytes(16),
            own_parts=self.own_parts,
            own_cells=self.own_cells,
            in_a_cell=self.in_a_cell,
            own_totals=self.own_totals,
            numbers=self.numbers,
            budget=self.budget,
            needs_count=self.needs_count,
            counted=self.counted,
            needs_sites=self.needs_sites,
            sites_counted=self.sites_counted,
            counts=self.counts,
        )
        return decide(summary, door, Place(**place), self.now)


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    with Federation(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture
def scene(federation):
    return Scene(federation)


def changed(evidence=EVIDENCE, **fields):
    return replace(evidence, **fields)


def test_a_release_that_keeps_every_rule_leaves_sealed(scene):
    release = scene.decide()

    keys = scene.federation.cast.identities
    hubs = scene.permitted().permit.hubs
    assert [e.header.recipient for e in release.envelopes] == [*hubs, "coordinator"]
    seed, _ = unpack(release.envelopes[0].open(keys[hubs[0]]))
    meta, rest = unpack(release.envelopes[1].open(keys[hubs[1]]))
    assert seed["members"] == meta["members"] == ["a", "b", "c"]
    words = add([stream(bytes.fromhex(seed["seed"]), 8).reshape(2, 4), rest["words"]])
    np.testing.assert_array_equal(decode(words), [3.0, 4.0, -5.0, 1.0])


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        (PROTOCOL.name, "count", {"values": 4}),
        (SEALED_COUNT, "count", {"counted": 4, "cell": 10}),
        (SEALED_COUNT, "sites", {"counted": 4, "cell": 3}),
    ],
)
def test_hubs_are_told_whether_a_sum_or_a_count_is_sealed(scene, name, what, said):
    scene.protocol = replace(PROTOCOL, name=name)
    listed = (getattr(scene.protocol, f.name) for f in fields(scene.protocol))
    scene.permit = {"protocols": (PermittedProtocol(*listed),)}
    if name == SEALED_COUNT:
        scene.counts, scene.place = what, {"task": f"attrition/1/{what}"}
    release = scene.decide()

    keys = scene.federation.cast.identities
    for envelope, hub in zip(
        release.envelopes, scene.permitted().permit.hubs, strict=False
    ):
        meta, _ = unpack(envelope.open(keys[hub]))
        told = {n: meta[n] for n in ("values", "counted", "cell") if n in meta}
        assert told == said


def test_the_record_says_what_left_and_under_which_rules(scene):
    release = scene.decide()

    record = release.record.body
    release.record.verify(scene.federation.cast.directory["a"])
    assert record["checks"] == {
        "passed": {
            "permit": None,
            "place": None,
            "protocol": None,
            "min_cohort": STRICT.people,
            "members": None,
            "secure_sum": STRICT.sites,
            "shape": None,
            "bounds": None,
            "min_events": STRICT.events,
            "min_cell": STRICT.cell,
            "dof": STRICT.share,
            "leverage": STRICT.leverage,
            "differencing": 10,
        },
        "not_asked": {
            "own_cells": STRICT.cell,
            "dominance": USUAL_DOMINANCE.two,
            "sealed_count": None,
            "sealed_sites": None,
        },
    }
    assert record["class"] == {
        "kind": "model_update_secagg",
        "source": 5,
        "released": 2,
        "why": "model_update_secagg from class 5, every check passed",
    }
    assert record["members"] == ["a", "b", "c"]
    assert record["policy"] == Policy().as_json()
    assert record["values"] == 3
    assert record["shares"] == {
        e.header.recipient: e.digest for e in release.envelopes[:2]
    }


def test_the_record_holds_no_count_of_patients(scene):
    text = str(scene.decide().record.as_json()["body"])

    assert not re.search(rf"\b{PEOPLE}\b|\b61\b|\b76\b|\b88\b|\b66\b|\b33\b", text)


# --- each rule by itself -------------------------------------------------------------
def later(scene):
    scene.now = START + datetime.timedelta(days=1000)


def earlier(scene):
    scene.now = START - datetime.timedelta(seconds=1)


def unapproved(scene):
    scene.bundle = Bundle(scene.permitted().permit)


def withdrawn(scene):
    signer = scene.federation.cast.identities["ethics-sz"]
    scene.bundle = sign_notice(scene.permitted(), signer, "withdraw", START)


def untrusted(scene):
    parties = scene.federation.cast.directory.parties
    scene.trusted = Directory(tuple(p for p in parties if p.name != "hub-hk"))


def not_a_site(scene):
    scene.identity = scene.federation.cast.identities["hub-hk"]


def other_key(scene):
    scene.identity = new_identity("a")


def test_a_site_that_the_study_names_and_the_permit_does_not_sends_nothing(scene):
    scene.permit = {"sites": ("b", "c")}

    with pytest.raises(NotAParty, match="a is not a site of this permit and study"):
        scene.decide()


def setting(**values):
    def spoil(scene):
        for name, value in values.items():
            setattr(scene, name, value)

    return spoil


def array(name, value):
    def spoil(scene):
        scene.arrays = {**scene.arrays, name: value}

    return spoil


def with_evidence(**values):
    return setting(evidence=changed(**values))


def of_a_fold(**values):
    """Return facts that would do, of whom one fold's would not."""
    return with_evidence(parts=(Evidence(60), Evidence(**{"people": 60} | values)))


RULE_1 = {
    "the permit has ended": (later, OutOfTime),
    "the permit has not begun": (earlier, OutOfTime),
    "nobody has approved": (unapproved, NotApproved),
    "an approval is withdrawn": (withdrawn, NotApproved),
    "a party is not trusted": (untrusted, NotAParty),
}
RULE_2 = {
    "another study is asked for": (setting(place={"study": "sha256:x"}), WrongStudy),
    "another permit is named": (setting(place={"permit": "sha256:x"}), WrongStudy),
    "the sender is not a site": (not_a_site, NotAParty),
    "the key is not the pinned one": (other_key, NotAParty),
    "started over too often": (setting(place={"attempt": 4}), UnlistedProtocol),
}
RULE_3 = {
    "an unlisted protocol": (
        setting(protocol=replace(PROTOCOL, name="other")),
        UnlistedProtocol,
    ),
    "another version": (
        setting(protocol=replace(PROTOCOL, version="2")),
        UnlistedProtocol,
    ),
    "another code": (setting(protocol=replace(PROTOCOL, hash="x")), UnlistedProtocol),
    "a round too many": (setting(place={"round": 3}), UnlistedProtocol),
    "a round before the first": (setting(place={"round": -1}), UnlistedProtocol),
    "an attempt before the first": (setting(place={"attempt": 0}), UnlistedProtocol),
    "a round under another name": (
        setting(place={"task": "attrition/1/0b"}),
        UnlistedProtocol,
    ),
}
RULE_4 = {
    "too few people": (with_evidence(people=49), SmallCohort),
    "too few people for a bit": (
        lambda scene: (
            setting(arrays={"x": np.array([0.0, np.nan])})(scene),
            with_evidence(people=1, cells={"ill | m": 1})(scene),
        ),
        SmallCohort,
    ),
}
RULE_4["too few people in a fold"] = (of_a_fold(people=49), SmallCohort)
RULE_5 = {
    "a list without this site": (setting(members=("b", "c")), NotAParty),
    "a list with this site twice": (setting(members=("a", "a", "b", "c")), NotAParty),
    "a list with a stranger": (setting(members=("a", "b", "c", "d")), NotAParty),
    "a list with a hub": (setting(members=("a", "b", "c", "hub-hk")), NotAParty),
    "an empty list": (setting(members=()), NotAParty),
    "a list that leaves a site out": (setting(members=("a", "b")), TooFewSites),
    "this site alone": (setting(members=("a",)), TooFewSites),
}
RULE_6 = {
    "an array is missing": (setting(arrays={"x": np.zeros(2)}), WrongShape),
    "an array too many": (array("z", np.zeros(1)), WrongShape),
    "another order": (
        setting(arrays={"y": np.zeros(1), "x": np.zeros(2)}),
        WrongShape,
    ),
    "another shape": (array("x", np.zeros(3)), WrongShape),
    "a further side": (array("x", np.zeros((2, 1))), WrongShape),
    "whole numbers": (array("x", np.zeros(2, np.int64)), WrongShape),
    "half the bits": (array("x", np.zeros(2, np.float32)), WrongShape),
    "objects": (array("x", np.array([None, None])), WrongShape),
    "texts": (array("x", np.array(["a", "b"])), WrongShape),
}
RULE_7 = {
    "nan": (array("x", np.array([1.0, np.nan])), NotFinite),
    "infinity": (array("x", np.array([1.0, np.inf])), NotFinite),
    "minus infinity": (array("y", np.array([-np.inf])), NotFinite),
    "too large": (array("x", np.array([0.0, 138.0])), OutOfBounds),
    "a negative count": (array("x", np.array([0.0, -1.0])), OutOfBounds),
    "too far below": (array("y", np.array([-2.001 * PEOPLE])), OutOfBounds),
}
RULE_8 = {
    "too few events": (with_evidence(events=9), SmallCell),
    "too few without": (with_evidence(non_events=9), SmallCell),
    "a small side": (with_evidence(smallest_side={"age": 9, "sex[m]": 9}), SmallCell),
    "an empty side": (with_evidence(smallest_side={"age": 0}), SmallCell),
    "too many parameters": (with_evidence(parameters=14), TooManyParameters),
    "one person decides": (with_evidence(max_leverage=0.51), HighLeverage),
    "too few events in a fold": (of_a_fold(events=9), SmallCell),
    "a small side in a fold": (of_a_fold(smallest_side={"age": 9}), SmallCell),
    "too many parameters for a fold": (of_a_fold(parameters=7), TooManyParameters),
    "one person decides in a fold": (of_a_fold(max_leverage=0.51), HighLeverage),
}
RULE_9 = {
    "a class above the permit's": (
        setting(permit={"highest_grade": 1}),
        UngradedRelease,
    ),
    "a check of the permit's that nothing here passes": (
        setting(permit={"checks": ("min_cohort", "bounds", "dp_budget")}),
        UngradedRelease,
    ),
    "a class above the policy's": (
        setting(policy=Policy(highest_grade=1)),
        UngradedRelease,
    ),
}
RULES = [RULE_1, RULE_2, RULE_3, RULE_4, RULE_5, RULE_6, RULE_7, RULE_8, RULE_9]
CASES = {name: case for rule in RULES for name, case in rule.items()}


def model(scene, people, parameters, **fields):
    """Let the scene be a model of so many parameters, whose part may be published."""
    scene.publishable = True
    scene.permit = {"protocols": (listed(25),)}
    scene.evidence = changed(people=people, parameters=parameters, **fields)
    return scene


def listed(rounds):
    kept = {f.name: getattr(PROTOCOL, f.name) for f in fields(PROTOCOL)}
    return PermittedProtocol(**{**kept, "most_rounds": rounds})


@pytest.mark.parametrize(
    ("people", "parameters", "passes"),
    [(100, 10, True), (297, 29, True), (795, 50, True), (794, 50, False)],
)
def test_a_models_rounds_may_tell_ten_numbers_a_person(
    scene, people, parameters, passes
):
    model(scene, people, parameters)

    if passes:
        assert scene.decide()
    else:
        with pytest.raises(TooManyParameters, match="rounds"):
            scene.decide()


def test_a_round_beyond_the_usual_counts_as_well(scene):
    """Ten numbers a person allow 50 parameters to 1000 people in 7 rounds, not in 8."""
    for number, passes in ((6, True), (7, False)):
        model(scene, 1000, 50).place = {
            "round": number,
            "analysis": "attrition",
            "attempt": 1,
        }
        if passes:
            assert scene.decide()
        else:
            with pytest.raises(TooManyParameters, match="rounds"):
                scene.decide()


def test_a_site_that_lets_more_parameters_out_lets_more_numbers_out(scene):
    model(scene, 500, 50).policy = Policy(Minimum(share=0.2), reason="measured")

    assert scene.decide()


@pytest.mark.parametrize("case", CASES)
def test_what_breaks_a_rule_is_refused_by_that_rule(scene, case):
    spoil, error = CASES[case]
    spoil(scene)

    with pytest.raises(error) as caught:
        scene.decide()

    assert type(caught.value) is error
    assert caught.value.what
    assert caught.value.code.startswith("HT-")


@pytest.mark.parametrize("case", [*RULE_4, *RULE_8, *RULE_9])
def test_a_refusal_for_small_numbers_names_a_remedy(scene, case):
    spoil, error = CASES[case]
    spoil(scene)

    with pytest.raises(error) as caught:
        scene.decide()

    assert caught.value.fix


PAIRS = list(itertools.pairwise(RULES))


@pytest.mark.parametrize("place", range(len(PAIRS)))
def test_the_rules_are_asked_in_their_order(federation, place):
    """Of two broken rules the earlier one is the refusal."""
    first, second = PAIRS[place]
    for (spoil, error), (spoil_too, _) in itertools.product(
        list(first.values())[-2:], list(second.values())[-2:]
    ):
        scene = Scene(federation)
        spoil_too(scene)
        kept = scene.place
        spoil(scene)
        scene.place = {**kept, **scene.place}

        with pytest.raises(error):
            scene.decide()


@pytest.mark.parametrize("case", [*RULE_4, *RULE_5, *RULE_7, *RULE_8, *RULE_9])
def test_no_count_of_patients_stands_in_a_refusal(federation, case):
    """Each number is chosen so that its digits stand in no rule."""
    scene = Scene(federation)
    CASES[case][0](scene)
    counts = {137, 61, 76, 88, 66, 33, 138}
    numbers = {
        "too few people": {43},
        "too few events": {7},
        "too few without": {7},
        "a small side": {7},
    }.get(case, set())
    special = {
        "too few people": changed(people=43),
        "too few events": changed(events=7),
        "too few without": changed(non_events=7),
        "a small side": changed(smallest_side={"age": 7, "sex[m]": 7}),
    }
    scene.evidence = special.get(case, scene.evidence)

    with pytest.raises(HetaoError) as caught:
        scene.decide()

    sentence = str(caught.value).removeprefix(caught.value.code)
    found = {int(digits) for digits in re.findall(r"\d+", sentence)}
    assert not found & (counts | numbers)
    if numbers:
        assert re.search(rf"\b{numbers.pop()}\b", caught.value.local)


# --- dominance ------------------------------------------------------------------------
HEAVY = {"cost": Magnitude(0.7, 0.8, 0.4)}


def scene_of(federation, **fields):
    scene = Scene(federation)
    scene.evidence = replace(scene.evidence, magnitudes=HEAVY)
    return replace(scene, **fields)


def test_the_gate_asks_where_fewer_than_three_sites_are_summed(federation):
    few = scene_of(federation, policy=policy_from({"minimum": {"sites": 4}}))

    with pytest.raises(Dominated):
        few.decide()
    few.evidence = replace(few.evidence, magnitudes={"cost": Magnitude(0.5, 0.9, 0.1)})
    record = few.decide().record.body
    assert record["checks"]["passed"]["dominance"] == USUAL_DOMINANCE.two


def test_the_gate_asks_where_a_sum_tells_sites_apart(federation):
    with pytest.raises(Dominated):
        scene_of(federation, own_parts=True).decide()


def test_the_gate_asks_as_soon_as_a_cell_is_more_than_one_person(federation):
    def few(cell):
        table = {"minimum": {"sites": 4, "cell": cell}, "reason": "a test"}
        return scene_of(federation, policy=policy_from(table))

    with pytest.raises(Dominated):
        few(2).decide()
    assert few(1).decide().envelopes


def test_the_gate_asks_of_totals_where_a_sum_tells_what_a_site_adds_up_to(federation):
    def told(totals, cell=2, *, own_totals=True):
        policy = policy_from({"minimum": {"cell": cell}, "reason": "a test"})
        made = scene_of(federation, policy=policy, own_totals=own_totals)
        made.evidence = replace(made.evidence, totals=totals)
        return made.decide().record.body["checks"]

    with pytest.raises(Dominated):
        told(HEAVY)
    light = {"cost": Magnitude(0.5, 0.9, 0.1)}
    assert told(light)["passed"]["dominance"] == USUAL_DOMINANCE.two
    for checks in (told({}), told(HEAVY, 1), told(HEAVY, own_totals=False)):
        assert "dominance" in checks["not_asked"]


def test_within_a_sum_over_enough_sites_the_gate_does_not_ask(federation):
    record = scene_of(federation).decide().record.body

    assert "dominance" in record["checks"]["not_asked"]


def test_a_dominated_sum_in_a_part_is_refused(federation):
    few = scene_of(federation, policy=policy_from({"minimum": {"sites": 4}}))
    part = replace(few.evidence, parts=())
    few.evidence = replace(few.evidence, magnitudes={}, parts=(part,))

    with pytest.raises(Dominated):
        few.decide()


def test_a_site_that_counts_single_people_asks_for_nothing(federation):
    table = {"minimum": {"sites": 4, "cell": 1}, "reason": "made up"}
    few = scene_of(federation, policy=policy_from(table))

    assert few.decide()


# --- exactly at the floor -------------------------------------------------------------
@pytest.mark.parametrize(
    "evidence",
    [
        changed(people=STRICT.people, parameters=5),
        changed(events=STRICT.events),
        changed(non_events=STRICT.events),
        changed(smallest_side={"age": STRICT.cell}),
        changed(people=130, parameters=13),
        changed(max_leverage=STRICT.leverage),
        changed(events=None, non_events=None, max_leverage=None, smallest_side={}),
        changed(cells={"ill | m": 0}),
    ],
    ids=range(8),
)
def test_a_count_exactly_at_the_floor_passes(scene, evidence):
    scene.evidence = evidence

    assert scene.decide()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", [float(PEOPLE), 0.0]),
        ("x", [PEOPLE * (1 + 5e-7), -5e-7]),
        ("y", [2.0 * PEOPLE]),
        ("y", [-2.0 * PEOPLE]),
    ],
)
def test_a_value_at_its_bound_passes(scene, name, value):
    array(name, np.array(value))(scene)

    assert scene.decide()


@pytest.mark.parametrize(
    "place", [{"round": 2}, {"attempt": 3}, {"attempt": 2, "round": 1}]
)
def test_the_last_round_and_attempt_pass(scene, place):
    scene.place = place

    assert scene.decide()


def test_an_analysis_that_the_study_lacks_has_no_lineage_and_does_not_leave(scene):
    scene.place = {"analysis": "x"}

    with pytest.raises(InvalidStudy, match="no analysis 'x'"):
        scene.decide()


# --- the stricter of policy and study -----------------------------------------------
def with_minimum(tmp_path, minimum, **fields):
    plan = Plan(toy_study(minimum=minimum, **fields))
    return Federation(tmp_path / "federation", plan)


def test_a_study_may_ask_for_more_people(tmp_path):
    minimum = Minimum(people=PEOPLE + 1)

    with with_minimum(tmp_path, minimum) as made, pytest.raises(SmallCohort):
        Scene(made).decide()


def test_a_study_may_not_ask_for_fewer(tmp_path):
    loosest = Minimum(1, 1, 1, 1.0, 1.0, 1)
    with with_minimum(tmp_path, loosest) as federation:
        for case in (*RULE_4, *RULE_8):
            spoil, error = CASES[case]
            scene = Scene(federation)
            spoil(scene)

            with pytest.raises(error):
                scene.decide()


def test_a_site_that_lowers_a_count_says_so_in_the_record(scene):
    scene.policy = Policy(replace(STRICT, people=20), reason="a trial run")
    scene.evidence = changed(people=20, parameters=2)
    scene.arrays = {"x": np.zeros(2), "y": np.zeros(1)}

    record = scene.decide().record.body

    assert record["policy"]["lowered"] == ["people"]
    assert record["policy"]["reason"] == "a trial run"


# --- few sites ----------------------------------------------------------------------
@pytest.fixture
def two_sites(tmp_path):
    with Federation(tmp_path / "two", Plan(toy_study(sites=("a", "b")))) as made:
        scene = Scene(made)
        scene.members = ("a", "b")
        yield scene


def test_two_sites_may_sum_what_could_be_published(two_sites):
    two_sites.publishable = True

    assert two_sites.decide().record.body["class"]["released"] == 3


def test_two_sites_may_sum_large_cells(two_sites):
    two_sites.evidence = changed(cells={"ill | m": STRICT.cell})

    assert two_sites.decide().record.body["class"]["released"] == 3


def test_two_sites_may_not_sum_small_cells(two_sites):
    two_sites.evidence = changed(cells={"ill | m": STRICT.cell - 1, "ill | f": 50})

    with pytest.raises(TooFewSites) as caught:
        two_sites.decide()

    assert caught.value.fix
    assert "9" not in str(caught.value)


def test_two_sites_may_not_sum_thin_bins_of_a_score(two_sites):
    two_sites.evidence = changed(bins={"the thinnest bin": STRICT.cell - 1})

    with pytest.raises(TooFewSites):
        two_sites.decide()


THIN = {
    "cells": {"cells": {"ill | m": STRICT.cell - 1}},
    "bins": {"bins": {"the thinnest bin": STRICT.cell - 1}},
}


@pytest.mark.parametrize("thin", THIN)
@pytest.mark.parametrize("found", [None, (2, False), (3, True)])
def test_a_model_whose_numbers_few_sites_have_shows_no_thin_cells(scene, thin, found):
    """Of a score that is one number at all other sites each bin is one's own."""
    scene.needs_sites, scene.sites_counted = True, found
    scene.evidence = changed(**THIN[thin])

    with pytest.raises(TooFewSites, match="its own part"):
        scene.decide()

    scene.sites_counted = (3, False)
    assert scene.decide().record.body["class"]["released"] == 2


@pytest.mark.parametrize("thin", THIN)
def test_nor_does_one_whose_numbers_all_here_have_alike(scene, thin):
    scene.needs_sites, scene.sites_counted = True, (3, False)
    scene.own_parts, scene.evidence = True, changed(**THIN[thin])

    with pytest.raises(TooFewSites, match="its own part"):
        scene.decide()

    for change in ({"needs_sites": False}, {"publishable": True}):
        assert replace(scene, **change).decide().record.body["class"]["released"] == 3


def test_where_one_site_may_be_seen_its_own_part_may_have_thin_cells(scene):
    table = {"minimum": {"sites": 1}, "reason": "a test"}
    scene.policy, scene.needs_sites = policy_from(table), True
    scene.own_parts, scene.evidence = True, changed(**THIN["cells"])
    two = policy_from({"minimum": {"sites": 2}, "reason": "a test"})

    with pytest.raises(TooFewSites, match="its own part"):
        replace(scene, policy=two, sites_counted=(2, False)).decide()
    assert scene.decide().record.body["class"]["released"] == 3


def test_thin_bins_that_no_term_crosses_with_the_site_leave_within_three(scene):
    scene.own_cells = True
    scene.evidence = changed(bins={"the thinnest bin": 1})

    assert scene.decide().record.body["class"]["released"] == 2


def test_two_sites_need_a_permit_and_a_policy_of_that_class(two_sites):
    two_sites.policy = Policy(highest_grade=2)

    with pytest.raises(UngradedRelease):
        two_sites.decide()


def test_three_sites_sum_small_cells_that_nobody_sees_apart(scene):
    scene.evidence = changed(cells={"ill | m": 1})

    assert scene.decide().record.body["class"]["released"] == 2


def test_a_study_that_does_not_say_so_does_not_go_on_without_a_site(scene):
    scene.members = ("a", "b")

    with pytest.raises(TooFewSites, match="does not allow a sum without all"):
        scene.decide()


def test_combinations_are_asked_of_models_where_a_sum_tells_sites_apart_alone(scene):
    scene.evidence = changed(combinations=Combinations(pair=1))
    assert scene.decide().record.body["class"]["released"] == 2

    scene.own_parts = True
    with pytest.raises(SmallCell, match="in a combination of"):
        scene.decide()
    scene.numbers = 0  # of what tells none in rounds
    assert scene.decide().record.body["class"]["released"] == 3


def test_of_a_cell_of_two_people_combinations_are_asked_and_of_one_they_are_not(scene):
    scene.evidence = changed(combinations=Combinations(pair=1))
    scene.own_parts = True
    scene.policy = Policy(Minimum(cell=1), reason="a survey of households")
    assert scene.decide().record.body["class"]["released"] == 3

    scene.policy = Policy(Minimum(cell=2), reason="a survey of households")
    with pytest.raises(SmallCell, match="fewer than 2 people in a combination of"):
        scene.decide()


@pytest.mark.parametrize("counted", [None, 9])
def test_what_had_to_be_counted_for_so_few_people_and_was_not_does_not_leave(
    scene, counted
):
    scene.needs_count, scene.counted = True, counted
    with pytest.raises(SmallCell, match="was not shown that no combination"):
        scene.decide()

    scene.counted = 10
    passed = scene.decide().record.body["checks"]["passed"]
    assert passed["sealed_count"] == 10


def test_where_no_count_is_small_nothing_had_to_be_counted(scene):
    scene.needs_count = True
    scene.policy = Policy(Minimum(cell=2), reason="a survey of households")
    with pytest.raises(SmallCell, match="was not shown that no combination"):
        scene.decide()
    scene.policy = Policy(Minimum(cell=1), reason="a survey of households")

    assert scene.decide().record.body["class"]["released"] == 2


@pytest.mark.parametrize(
    ("counted", "passed", "released"),
    [
        (None, "not_asked", 3),
        ((2, False), "passed", 3),  # it looked for fewer than this site asks
        ((3, True), "not_passed", 3),
        ((4, True), "not_passed", 3),
        ((3, False), "passed", 2),
        ((4, False), "passed", 2),
    ],
)
def test_a_number_that_few_sites_may_have_is_their_own_part(
    scene, counted, passed, released
):
    scene.needs_sites, scene.sites_counted = True, counted
    record = scene.decide().record.body

    least = counted[0] if counted else None
    assert record["checks"][passed]["sealed_sites"] == least
    assert record["class"]["released"] == released
    if released == 3:
        scene.policy = Policy(highest_grade=2)
        with pytest.raises(UngradedRelease):
            scene.decide()


@pytest.mark.parametrize("least", [1, 2])
def test_it_is_asked_of_as_many_sites_as_a_sum_must_have(scene, least):
    scene.needs_sites = True
    scene.policy = Policy(Minimum(sites=least), reason="a survey of households")
    assert scene.decide().record.body["class"]["released"] == (2 if least == 1 else 3)

    scene.sites_counted = (2, False)
    assert scene.decide().record.body["class"]["released"] == 2


def test_few_sites_own_part_is_held_to_dominance(scene):
    scene.evidence = changed(magnitudes=HEAVY)
    scene.needs_sites, scene.sites_counted = True, (3, False)
    scene.decide()

    scene.sites_counted = (3, True)
    with pytest.raises(Dominated):
        scene.decide()


@pytest.mark.parametrize(
    ("name", "edge", "beyond"),
    [
        ("x", PEOPLE * (1 + ROUNDING), math.inf),
        ("x", -ROUNDING, -math.inf),
        ("y", -2 * PEOPLE * (1 + ROUNDING), -math.inf),
    ],
    ids=["above", "below nothing", "below"],
)
def test_a_value_may_lie_at_its_bound_and_no_further(scene, name, edge, beyond):
    scene.arrays[name][0] = edge
    scene.decide()

    scene.arrays[name][0] = np.nextafter(edge, beyond)
    with pytest.raises(OutOfBounds):
        scene.decide()


def test_small_cells_of_a_method_that_shows_sites_one_by_one_stay(scene):
    scene.own_cells = True
    assert scene.decide().record.body["class"]["released"] == 2

    scene.evidence = changed(cells={"ill | m": STRICT.cell - 1})
    with pytest.raises(SmallCell, match="in a cell of toy"):
        scene.decide()


@pytest.mark.parametrize(
    ("asked", "said"), [(0, STRICT.cell), (STRICT.cell - 1, STRICT.cell), (33, 33)]
)
def test_how_many_people_a_cell_had_to_hold_is_said_in_the_record(scene, asked, said):
    """A grid may ask more of its bins than the minimum; here, all of the 33."""
    scene.own_cells, scene.in_a_cell = True, asked
    assert scene.decide().record.body["checks"]["passed"]["own_cells"] == said

    scene.in_a_cell = 34
    with pytest.raises(SmallCell, match="fewer than 34 people"):
        scene.decide()


def test_a_sum_that_tells_sites_apart_is_graded_as_one_sites_own(scene):
    scene.own_parts = True
    assert scene.decide().record.body["class"]["released"] == 3

    scene.policy = Policy(highest_grade=2)
    with pytest.raises(UngradedRelease):
        scene.decide()


def test_a_study_that_goes_on_without_a_site_still_needs_three(tmp_path):
    study = toy_study(sites=("a", "b", "c", "d"), on_lost_site="continue")
    with Federation(tmp_path / "four", Plan(study)) as made:
        scene = Scene(made, members=("a", "b", "d"))
        assert scene.decide().record.body["class"]["released"] == 2

        with pytest.raises(TooFewSites, match="needs 3 of them"):
            Scene(made, members=("a", "b")).decide()
        alone = Scene(made, members=("a", "b"))
        alone.evidence = changed(cells={"ill | m": 1})
        with pytest.raises(TooFewSites):
            alone.decide()


# --- notices ------------------------------------------------------------------------
FAILED = {
    "type": "plausibleValueHigh",
    "table": "measurement",
    "field": "value_as_number",
    "concept": "cholesterol_total",
    "share": "1-5%",
}
PART = {"table": "measurement", "category": "plausibility", "passing": ">95%"}
QUALITY = {"summary": [PART], "failed": [FAILED], "shortened": False}


def stating(failed=None, part=None, **more):
    """Return a closing whose statement of quality is bent."""
    bent = {
        "summary": [{**PART, **(part or {})}],
        "failed": [{**FAILED, **(failed or {})}],
    }
    return Notice("closing", {"quality": {**QUALITY, **bent, **more}})


def notify(scene, notice, door=None, **place):
    bundle = scene.permitted()
    made = Door(
        scene.federation.cast.identities["a"],
        scene.federation.cast.directory,
        bundle,
        scene.federation.study,
        scene.policy,
    )
    at = {
        "study": scene.federation.study.digest,
        "permit": bundle.permit.digest,
        "run": "r",
        "task": "begin",
        "not_after": "2026-11-22T09:00:00Z",
        **place,
    }
    return decide(notice, door or made, Place(**at), START)


def test_a_notice_goes_to_the_coordinator_alone(scene):
    release = notify(scene, Notice("closing", {"quality": QUALITY}))

    (envelope,) = release.envelopes
    meta, arrays = unpack(
        envelope.open(scene.federation.cast.identities["coordinator"])
    )
    said = {"quality": QUALITY, "site": "a"}
    assert meta == {**said, "record": release.record.as_json()}
    assert release.record.body["content"] == digest(said)
    assert arrays == {}


@pytest.mark.parametrize(
    "notice",
    [
        Notice("gossip", {}),
        Notice("share", {}),
        Notice("ready", {"people": 137}),
        Notice("closing", {"rows": []}),
        Notice("refusal", {"code": "x", "rule": "y", "local": "people: 7"}),
        Notice("closing", {"quality": [FAILED]}),
        Notice("closing", {"quality": {}}),
        Notice("closing", {"quality": {**QUALITY, "people": 137}}),
        stating({"count": 7}),
        stating({"share": "0.4%"}),
        stating({"share": "0"}),
        stating({"share": 7}),
        stating({"share": ["1-5%"]}),
        stating({"type": "rowsOfMrChan"}),
        stating({"table": "diagnosis_kowloon"}),
        stating({"table": "sources"}),
        stating({"field": "hkid"}),
        stating({"concept": "hiv_of_mr_chan"}),
        stating({"note": "x"}),
        stating(part={"passing": "97%"}),
        stating(part={"passing": "all"}),
        stating(part={"category": "rumour"}),
        stating(part={"table": "rows_of_mr_chan"}),
        stating(part={"checks": "12"}),
        stating(summary=[]),
        stating(summary=[PART, PART]),
        stating(summary="x" * 400),
        stating(shortened="yes"),
        stating(shortened=True),
        stating(shortened=1),
        Notice("closing", {"quality": {**QUALITY, "failed": [FAILED, FAILED]}}),
        Notice(
            "closing",
            {"quality": {**QUALITY, "failed": [FAILED, {**FAILED, "concept": ""}]}},
        ),
        Notice("closing", {"quality": {**QUALITY, "failed": [FAILED] * 101}}),
        Notice("closing", {"quality": {**QUALITY, "failed": [list(FAILED)]}}),
        Notice("ready", {"snapshot": "x" * 501}),
        Notice("refusal", {"code": "HT-300", "rule": "x" * 501}),
    ],
    ids=lambda notice: f"{notice.kind}-{digest(notice.body)[7:15]}",
)
def test_a_notice_that_says_more_than_its_fields_is_refused(scene, notice):
    with pytest.raises(WrongShape):
        notify(scene, notice)


def test_of_a_checkpoint_nothing_leaves_but_the_own_logs_lines(scene):
    """It is the one long text of a notice, and room for no other."""
    keys = scene.federation.cast.identities
    tree = Checkpoint("a", 8, bytes(32))
    own = signer_of("a", keys["a"].log_keys)
    whole, (_, second) = own.sign(tree), keys["a"].log_keys
    short = shortened(whole, own.verifiers[0])
    line = whole.removeprefix(short)
    eye = cosign(whole, "w.example", second, 0)
    other = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    hers = signer_of("b", keys["b"].log_keys)

    for note in (whole, short):
        notify(scene, Notice("closing", {"checkpoint": note, "quality": QUALITY}))
    for note in (
        "x",
        "",
        None,
        [whole],
        whole + "\n",
        whole + line,
        whole + eye,
        short + cosign(whole, "a", second, 1),  # a time that could say something
        short + line.replace("A", "B", 1),
        tree.text + "\n" + line,
        signer_of("a", (keys["a"].signing_key, other)).sign(tree),
        hers.sign(Checkpoint("b", 8, bytes(32))),
        own.sign(Checkpoint("a", 8, bytes(32))).replace("8", "9", 1),
    ):
        with pytest.raises(WrongShape):
            notify(scene, Notice("closing", {"checkpoint": note}))


def test_who_is_a_party_of_the_permit_and_no_site_sends_no_notice(scene):
    door = Door(
        scene.federation.cast.identities["hub-hk"],
        scene.federation.cast.directory,
        scene.permitted(),
        scene.federation.study,
        scene.policy,
    )

    with pytest.raises(NotAParty, match="not a site"):
        notify(scene, Notice("closing", {"quality": QUALITY}), door)


def test_a_notice_may_hold_every_field_of_its_kind(scene):
    whole = {"site": "a", "code": "HT-300", "rule": "no"}

    assert notify(scene, Notice("refusal", whole)).envelopes


def test_a_text_of_a_notice_may_be_as_long_as_the_limit(scene):
    assert notify(scene, Notice("ready", {"snapshot": "x" * 500})).envelopes


@pytest.mark.parametrize("publishable", [True, False])
def test_numbers_a_person_are_counted_whether_or_not_a_part_could_be_published(
    scene, publishable
):
    """A model is the same model by a spelling whose own part is never shown."""
    scene.publishable = publishable
    scene.evidence = changed(people=1000, events=500, non_events=500, parameters=100)
    with pytest.raises(TooManyParameters, match="the rounds of a model"):
        scene.decide()

    scene.numbers = 0  # of what is no model
    assert scene.decide().envelopes


def test_what_is_declared_counts_where_it_is_more_than_the_parameters(scene):
    scene.evidence = changed(people=1000, events=500, non_events=500, parameters=2)
    scene.permit = {"protocols": (listed(25),)}
    for scene.numbers, passes in ((1666, True), (1667, False)):
        if passes:
            assert scene.decide().envelopes
        else:
            with pytest.raises(TooManyParameters, match="the rounds of a model"):
                scene.decide()


AFIB = {"name": "afib", "digest": "sha256:" + "0" * 64}


def test_of_a_concept_set_only_a_digest_may_leave():
    check_concepts([AFIB, {**AFIB, "name": "stroke", "digest": ""}], ["afib", "stroke"])
    check_concepts([], [])


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        "afib",
        [AFIB, AFIB],
        [{**AFIB, "name": "stroke"}],
        [{**AFIB, "size": "<10"}],
        [{**AFIB, "digest": "sha256:I48.9"}],
        [{**AFIB, "digest": "7"}],
        [{**AFIB, "digest": ["sha256:" + "0" * 64]}],
        [{**AFIB, "ids": [313217]}],
        [["afib", ""]],
    ],
)
def test_more_about_a_concept_set_may_not_leave(told):
    with pytest.raises(WrongShape):
        check_concepts(told, ["afib"])


def test_a_study_without_concept_sets_has_none_told(scene):
    with pytest.raises(WrongShape, match="other concept sets"):
        notify(scene, Notice("ready", {"concepts": [AFIB]}))


def test_a_notice_keeps_the_permits_rules_too(scene):
    with pytest.raises(WrongStudy):
        notify(scene, Notice("ready", {}), study="sha256:x")

    unapproved(scene)
    with pytest.raises(NotApproved):
        notify(scene, Notice("ready", {}))


def test_a_site_without_a_permit_can_only_refuse(scene):
    keys, directory = scene.federation.cast.identities, scene.federation.cast.directory
    closed = ClosedDoor(keys["a"], directory)

    refusal = Notice("refusal", {"code": "HT-301", "rule": "no permit"})
    assert len(notify(scene, refusal, closed).envelopes) == 1

    for notice in (Notice("ready", {}), Notice("closing", {})):
        with pytest.raises(NotApproved):
            notify(scene, notice, closed)
