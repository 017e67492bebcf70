"""The release record: machine-readable, true, and without a count of anybody."""

import datetime
import functools
import json
import re
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hetao.analysis import Evidence, Protocol, Sum
from hetao.dictionary import dictionary
from hetao.errors import Unverified, UseNotAllowed
from hetao.ledger.certificate import verify_certificate
from hetao.permit import (
    Basis,
    Bundle,
    PermittedProtocol,
    Words,
    bundle_from,
    parse_time,
    sign_notice,
)
from hetao.release import ClosedDoor, Door, Notice, Place, Policy, Summary
from hetao.release.decide import decide
from hetao.release.differencing import Budget
from hetao.release.limits import check_limits, flags_of
from hetao.release.record import EDGES, band
from hetao.study import CodeList, ConceptSet, Criterion, fields_touched
from support_federation import START, Federation, Plan, restated, toy_study

PROTOCOL = Protocol("toy", "1", "sha256:code", 3, "x: 2")
DECLARED = {"x": Sum((2,), 1.0, 0.0), "y": Sum((1,), 2.0)}
EVIDENCE = Evidence(
    people=137,
    events=61,
    non_events=76,
    parameters=3,
    smallest_side={"age": 88, "sex[m]": 66},
    max_leverage=0.25,
    cells={"ill | m": 33},
)
SCHEMA = Path(__file__).parents[2] / "docs" / "specs" / "release.schema.json"
VALID = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
DIGESTS = {"snapshot", "shares", "content"}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    with Federation(tmp_path_factory.mktemp("record")) as made:
        yield made


@pytest.fixture(scope="module")
def bundle(federation):
    listed = PermittedProtocol(*(getattr(PROTOCOL, f.name) for f in fields(PROTOCOL)))
    drafted = replace(federation.bundle.permit, protocols=(listed,))
    return federation.cast.approved(Bundle(drafted), START)


def decided(federation, bundle, evidence=EVIDENCE, values=(3.0, 4.0, -5.0), **asked):
    """Return the signed record of a sum that passes."""
    door = Door(
        federation.cast.identities[asked.get("site", "a")],
        federation.cast.directory,
        bundle,
        federation.study,
        asked.get("policy", Policy()),
        read=asked.get("read", ()),
    )
    place = Place(
        study=federation.study.digest,
        permit=bundle.permit.digest,
        run="r",
        task="attrition/1/0",
        not_after="2026-11-22T09:00:00Z",
        analysis="attrition",
        attempt=1,
    )
    arrays = {"x": np.array(values[:2]), "y": np.array(values[2:])}
    members, room = ("a", "b", "c"), Budget(3, 10, 0)
    summary = Summary(
        PROTOCOL, False, DECLARED, arrays, evidence, members, bytes(16), budget=room
    )
    return decide(summary, door, place, START).record


def records_of(run):
    """Return every signed record that a certificate holds."""
    body = run.body
    sites = [entry[kind] for entry in body["sites"] for kind in ("ready", "closing")]
    return sites + [r for one in body["rounds"] for r in one["receipts"].values()]


# --- its form -------------------------------------------------------------------------
def test_the_schema_itself_is_one():
    Draft202012Validator.check_schema(VALID.schema)


def test_every_record_of_a_run_keeps_the_published_schema(model_run):
    records = records_of(model_run)

    assert {one["body"]["kind"] for one in records} == {"sum", "ready", "closing"}
    for one in records:
        VALID.validate(one)


def test_a_refusals_record_keeps_it_too(federation):
    closed = ClosedDoor(federation.cast.identities["a"], federation.cast.directory)
    place = Place("s", "p", "r", "t", "2026-11-22T09:00:00Z")
    refusal = Notice("refusal", {"code": "HT-401", "rule": "too few"})

    VALID.validate(decide(refusal, closed, place, START).record.as_json())


@pytest.mark.parametrize(
    "change",
    [
        {"people": "137"},
        {"budget": {"linear_stats": "137 of 140", "intermediate_used": 0}},
        {"people": 137},
        {"people": "100-137"},
        {"grade": 2},
        {"lineage": ["person.person_id"]},
        {"class": {"kind": "row", "source": 5, "released": 5, "why": ""}},
        {"class": {"kind": "notice", "source": 5, "released": 0, "why": ""}},
        {"checks": {"passed": {"min_cohort": "137 people"}}},
        {"snapshot": "a name of the site's own"},
    ],
)
def test_the_schema_refuses_what_a_record_may_not_say(federation, bundle, change):
    record = decided(federation, bundle).as_json()
    assert VALID.is_valid(record)

    assert not VALID.is_valid({**record, "body": {**record["body"], **change}})


def test_every_band_keeps_the_schema_and_the_bands_leave_no_gap():
    texts = dict.fromkeys(band(n) for e in EDGES for n in (e, e + 1, max(e - 1, 0)))
    form = re.compile(VALID.schema["$defs"]["sum"]["properties"]["people"]["pattern"])

    assert all(form.match(text) for text in texts)
    assert [band(n) for n in (0, 49, 50, 99, 100, 199, 200, 5_000_000)] == [
        *("<50", "<50", "50-99", "50-99", "100-199", "100-199", "200-499"),
        ">=5000000",
    ]


# --- what it does not say -------------------------------------------------------------
within_a_band = st.sampled_from(
    [(low, high - 1) for low, high in pairwise(EDGES[1:])]
).flatmap(lambda span: st.integers(span[0], span[1] - 1))
counts = st.integers(10, 10**6)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    people=within_a_band,
    others=st.tuples(counts, counts, counts, counts, st.floats(0, 0.5)),
    values=st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(-50, 50)),
)
def test_one_person_more_or_less_is_not_seen_in_the_record(
    federation, bundle, people, others, values
):
    """Two data sets of one band: only the digests of what is sealed may differ."""
    events, non_events, side, cell, leverage = others
    here = decided(federation, bundle, replace(EVIDENCE, people=people, parameters=3))
    there = decided(
        federation,
        bundle,
        replace(
            EVIDENCE,
            people=people + 1,
            events=events,
            non_events=non_events,
            smallest_side={"age": side, "sex[m]": side + 1},
            cells={"ill | m": cell},
            max_leverage=leverage,
        ),
        values,
    )

    assert without(here.body) == without(there.body)


def without(body):
    return {name: value for name, value in body.items() if name not in DIGESTS}


# --- what it is made of ---------------------------------------------------------------
def test_the_record_names_all_that_its_analysis_reads(model_run):
    study = model_run.outcome.study
    for round_ in model_run.body["rounds"]:
        told = fields_touched(study, study.analysis(round_["analysis"]))
        for receipt in round_["receipts"].values():
            lineage = receipt["body"]["lineage"]
            assert {f"{t}.{f}" for t, fields in lineage.items() for f in fields} == set(
                told
            )


def test_whatever_a_site_read_beside_the_study_stands_in_the_lineage(
    federation, bundle
):
    """Each field of the dictionary, though the study is said to read no such."""
    for table in dictionary().tables.values():
        read = tuple(f"{table.name}.{field}" for field in table.fields)
        record = decided(federation, bundle, read=read).body

        assert record["lineage"][table.name] == sorted(table.fields)


# --- what the law and consents limit --------------------------------------------------
def test_a_field_of_limited_use_leaves_only_under_a_permit_judged_by_its_code(
    federation, bundle
):
    limited = Policy(limits={"measurement.value_as_number": ("HMB",)})
    read = ("measurement.value_as_number",)
    judged = permitting(federation, bundle, data_use=("HMB",))

    assert decided(federation, judged, read=read, policy=limited)
    for other in (bundle, permitting(federation, bundle, data_use=("GRU", "DS"))):
        with pytest.raises(UseNotAllowed, match=r"value_as_number carries .* HMB"):
            decided(federation, other, read=read, policy=limited)


def test_a_limit_on_a_table_is_one_on_each_of_its_fields_and_nres_is_none(
    federation, bundle
):
    for table, code, forbids in (
        ("drug_exposure", "NCU", True),
        ("drug_exposure", "NRES", False),
        ("visit_occurrence", "NCU", False),
    ):
        asked = {
            "read": ("drug_exposure.days_supply",),
            "policy": Policy(limits={table: (code,)}),
        }
        if forbids:
            with pytest.raises(UseNotAllowed, match="NCU"):
                decided(federation, bundle, **asked)
        else:
            assert decided(federation, bundle, **asked)


REPORT = Basis(
    "hgr-information-report",
    "no. 1",
    "sha256:" + "0" * 64,
    "2026-01-01T00:00:00Z",
    "2028-01-01T00:00:00Z",
)


def test_what_is_made_of_genes_leaves_the_mainland_only_after_the_report(
    federation, bundle
):
    read = ("specimen.specimen_concept_id",)
    reported = permitting(federation, bundle, bases=(REPORT,))
    in_sz = next(n for n, side in federation.sides.items() if side == "SZ")

    assert decided(federation, bundle, read=read).body["flags"] == ["hgr"]  # at HK
    assert decided(federation, reported, read=read, site=in_sz)
    with pytest.raises(UseNotAllowed, match="prior report"):
        decided(federation, bundle, read=read, site=in_sz)


def test_a_study_that_names_genes_is_made_of_them():
    genes = ConceptSet("brca", lists=(CodeList("hgnc", ("1100",)),))
    others = ConceptSet("af", lists=(CodeList("icd10", ("I48",)),))

    assert flags_of(toy_study(concepts=(genes,)), (), 50) == ("hgr",)
    assert flags_of(toy_study(concepts=(others,)), (), 50) == ()


def test_a_column_that_nobody_says_is_without_genes_stays_on_the_mainland(federation):
    in_sz = next(n for n, side in federation.sides.items() if side == "SZ")
    unstated = (("flat", "BRCA1_pathogenic"), ("flat", "outcome"))

    def asked(fields_, without):
        flags = flags_of(federation.study, fields_, 5000, without)
        check_limits(in_sz, federation.bundle.permit, fields_, flags, {})

    for without in ((), ("flat.outcome",)):
        with pytest.raises(UseNotAllowed, match="nobody says is not"):
            asked(unstated, without)
    asked(unstated[1:], ("flat.outcome",))
    with pytest.raises(UseNotAllowed):  # a site's word moves nothing that is known
        asked((("specimen", "specimen_concept_id"),), ("specimen.specimen_concept_id",))


def test_codes_of_a_system_that_nobody_knows_may_be_of_genes():
    def named(system):
        one = ConceptSet("some", lists=(CodeList(system, ("1100",)),))
        return flags_of(toy_study(concepts=(one,)), (), 50)

    assert named("omop") == ()
    assert named("panel-of-our-own") == ("hgr",)


def test_a_flat_file_leaves_the_mainland_by_its_sites_word_on_genes(tmp_path):
    counted = Criterion("Adults", "age >= 18")
    plan = Plan(study=toy_study(criteria=(counted,)))
    with Federation(tmp_path, plan) as made:
        in_sz = next(n for n, side in made.sides.items() if side == "SZ")
        site = made.sites[in_sz]
        for run, said in enumerate((None, ("age",), ())):
            opened = functools.partial(site._setup.open_source, genes=said)
            site._setup = replace(site._setup, open_source=opened)
            site.handle(made.begin(in_sz, run=f"run-{run}").data)
            rules = made.refusals(site.handle(made.task(in_sz, run=f"run-{run}").data))
            assert len(rules) == (said != ())
            assert all("report of human genetic resources" in rule for rule in rules)


def test_very_many_people_may_be_important_data():
    fields_ = (("condition_occurrence", "condition_concept_id"),)

    assert flags_of(toy_study(), fields_, 99_999) == ()
    assert flags_of(toy_study(), fields_, 100_000) == ("important",)
    assert flags_of(toy_study(), (("concept", "concept_id"),), 10**7) == ()


def permitting(federation, bundle, **fields_):
    return federation.cast.approved(Bundle(replace(bundle.permit, **fields_)), START)


# --- who verifies grades again --------------------------------------------------------
def spoilt(run, **change):
    """Return the certificate with one release's record signed anew, the site lying."""
    body = run.body
    receipts = body["rounds"][-1]["receipts"]
    receipts["a"] = restated(run, receipts["a"], "a", **change)
    return run.resigned(body)


def with_class(run, **change):
    said = run.body["rounds"][-1]["receipts"]["a"]["body"]["class"]
    return {"class": {**said, **change}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": 2}, "a lower source than its lineage gives"),
        ({"released": 1}, "a lower class than its lineage gives"),
        ({"kind": "certificate", "released": 1}, "a lower class"),
        ({"kind": "row"}, "a kind that does not leave"),
        ({"kind": "nonsense"}, "a kind that does not leave"),
        ({"kind": "model_update_dp"}, "a lower class"),
    ],
)
def test_a_record_that_claims_a_lower_class_is_not_verified(model_run, change, words):
    with pytest.raises(Unverified, match=f"step 5.*{words}"):
        verify_certificate(spoilt(model_run, **with_class(model_run, **change)))


def test_a_record_that_leaves_out_a_field_is_not_verified(model_run):
    lineage = dict(model_run.body["rounds"][-1]["receipts"]["a"]["body"]["lineage"])
    lineage["flat"] = lineage["flat"][1:]

    with pytest.raises(Unverified, match=r"step 5.*leaves out what its analysis reads"):
        verify_certificate(spoilt(model_run, lineage=lineage))


@pytest.mark.parametrize("check", ["min_cohort", "bounds", "secure_sum"])
def test_a_record_that_lacks_a_check_of_its_kind_is_not_verified(model_run, check):
    checks = model_run.body["rounds"][-1]["receipts"]["a"]["body"]["checks"]
    passed = {k: v for k, v in checks["passed"].items() if k != check}

    with pytest.raises(Unverified, match=r"step 5.*a lower class"):
        verify_certificate(spoilt(model_run, checks={**checks, "passed": passed}))


def test_a_record_that_lacks_a_check_of_its_permit_is_not_verified(tmp_path):
    with Federation(tmp_path) as made:
        asked = (*made.bundle.permit.checks, "differencing")
        made.bundle = permitting(made, made.bundle, checks=asked)
        run = made.run()
    verify_certificate(run.certificate)
    checks = run.body["rounds"][-1]["receipts"]["a"]["body"]["checks"]
    passed = {k: v for k, v in checks["passed"].items() if k != "differencing"}

    with pytest.raises(Unverified, match=r"step 5.*has not passed: differencing"):
        verify_certificate(spoilt(run, checks={**checks, "passed": passed}))


def test_a_release_above_the_class_as_varied_by_then_is_not_verified(model_run):
    def varied(when):
        body, signer = model_run.body, model_run.cast.identities["ethics-hk"]
        words = Words(change={"highest_grade": "1"})
        bundle = bundle_from(body["permit"])
        body["permit"] = sign_notice(bundle, signer, "vary", when, words).as_json()
        return model_run.resigned(body)

    issued = parse_time(model_run.body["issued"])
    verify_certificate(varied(issued + datetime.timedelta(hours=1)))
    with pytest.raises(Unverified, match=r"step 5.*class 2, which the permit does not"):
        verify_certificate(varied(START))
