"""What leaves beside sums, at the edges of each rule: told sets, records, bands."""

import hashlib
import hmac
from dataclasses import replace

import numpy as np
import pytest

import hetao.release
from hetao.analysis import Evidence
from hetao.analysis.magnitudes import Magnitude
from hetao.dictionary import dictionary
from hetao.dictionary.checks import CATEGORIES, FAIL, NOT_APPLICABLE, PASS
from hetao.errors import UngradedRelease, WrongShape
from hetao.permit import rulebook
from hetao.release import Binding, Policy, commit, nonce_for
from hetao.release.concepts import check_concepts
from hetao.release.quality import (
    MOST_FAILED,
    Counted,
    check_graded,
    grade_quality,
)
from hetao.release.record import (
    EDGES,
    NOT_ASKED,
    NOT_PASSED,
    PASSED,
    band,
    checks_of_counts,
    checks_of_sum,
    law,
    passed,
)

DIGEST = "sha256:" + "a" * 64


def test_a_name_that_the_gate_has_not_is_none():
    assert hetao.release.commit is commit
    with pytest.raises(AttributeError, match="has no attribute 'open_door'"):
        hetao.release.open_door  # noqa: B018 - that it fails is what is asked


# --- concept sets ---------------------------------------------------------------------
def told(name="a", digest=DIGEST, **more):
    return {"name": name, "digest": digest, **more}


@pytest.mark.parametrize("kind", [list, tuple])
def test_of_each_concept_set_a_digest_is_told_or_none(kind):
    check_concepts(kind([told(), told("b", "")]), ["a", "b"])
    check_concepts(kind(), [])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "other concept sets than"),
        ("x", "other concept sets than"),
        ({"name": "a"}, "other concept sets than"),
        ([], "other concept sets than"),
        ([told(), told()], "other concept sets than"),
        (["name"], "more of a concept set than"),
        ([{"name", "digest"}], "more of a concept set than"),
        ([{"name": "a"}], "more of a concept set than"),
        ([told(count=7)], "more of a concept set than"),
        ([told("b")], "in other words"),
        ([told(digest=7)], "in other words"),
        ([told(digest=DIGEST.upper())], "in other words"),
        ([told(digest=DIGEST + " 7")], "in other words"),
    ],
)
def test_nothing_else_is_told_of_one(value, words):
    with pytest.raises(WrongShape, match=words):
        check_concepts(value, ["a"])


# --- commitments ----------------------------------------------------------------------
def test_a_nonce_follows_from_the_secret_and_every_word_by_hkdf():
    """RFC 5869 by hand, over words each of which bears its length in four bytes."""
    words = (b"hetao.binding/1", b"run", b"a task")
    info = b"".join(len(word).to_bytes(4, "big") + word for word in words)
    drawn = hmac.digest(bytes(32), b"secret", "sha256")

    assert nonce_for(b"secret", "run", "a task") == hmac.digest(
        drawn, info + b"\x01", "sha256"
    )


def test_a_commitment_is_to_the_words_little_end_first_and_hidden():
    inner = hashlib.sha256((258).to_bytes(8, "little")).digest()
    outer = hashlib.sha256(b"\x03" + b"n" * 32 + inner).hexdigest()

    made = Binding("cited", "rows", b"n" * 32).as_json(np.array([258], dtype=">u8"))

    assert made == {"cites": "cited", "input": "rows", "output": f"sha256:{outer}"}


# --- records --------------------------------------------------------------------------
FACTS = Evidence(
    500,
    events=40,
    parameters=3,
    smallest_side={"a": 20},
    max_leverage=0.1,
    magnitudes={"cost": Magnitude()},
)
COUNTED = {"min_events", "min_cell", "dof", "leverage", "dominance"}


def outcomes(facts, counts=(10, (3, False)), sealed=True, alone=10, dominance=True):
    looked = {"sealed": sealed, "alone": alone, "dominance": dominance}
    counted = checks_of_counts(*counts)
    made = checks_of_sum(facts, Policy(), **looked, counted=counted)
    return {check.id: check.outcome for check in made}


def test_a_record_says_of_each_check_whether_there_was_anything_to_look_at():
    assert set(outcomes(FACTS).values()) == {PASSED}
    nothing = outcomes(Evidence(500), counts=(None, None))
    unasked = {name for name, said in nothing.items() if said == NOT_ASKED}
    assert unasked == COUNTED | {"sealed_count", "sealed_sites"}
    of_few = outcomes(FACTS, counts=(10, (3, True)))
    assert {k: v for k, v in of_few.items() if v != PASSED} == {
        "sealed_sites": NOT_PASSED
    }
    open_, alone, unlooked = (
        outcomes(FACTS, **{name: none})
        for name, none in (("sealed", False), ("alone", None), ("dominance", False))
    )
    assert {k: v for k, v in open_.items() if v != PASSED} == {"secure_sum": NOT_PASSED}
    assert {k: v for k, v in alone.items() if v != PASSED} == {"own_cells": NOT_ASKED}
    assert {k: v for k, v in unlooked.items() if v != PASSED} == {
        "dominance": NOT_ASKED
    }
    no_events = outcomes(replace(FACTS, events=0))  # nobody is a count too
    assert no_events["min_events"] == PASSED


def test_those_that_passed_are_named_and_no_others():
    made = checks_of_sum(
        Evidence(500),
        Policy(),
        sealed=False,
        alone=10,
        dominance=True,
        counted=checks_of_counts(None, None),
    )

    others = COUNTED | {"secure_sum", "sealed_count", "sealed_sites"}
    assert passed(made) == {check.id for check in made} - others


def test_a_band_begins_at_its_first_number():
    edges = [(n, band(n - 1), band(n)) for n in EDGES[1:4]]

    assert edges == [
        (50, "<50", "50-99"),
        (100, "50-99", "100-199"),
        (200, "100-199", "200-499"),
    ]
    assert [band(EDGES[-1] - 1), band(EDGES[-1])] == [
        f"{EDGES[-2]}-{EDGES[-1] - 1}",
        f">={EDGES[-1]}",
    ]


def test_a_record_names_the_rulebook_that_decided_or_the_shipped_one():
    assert law("sha256:1")["rulebook"] == "sha256:1"
    assert law()["rulebook"] == rulebook().digest
    assert law()["gate"].startswith("hetao ")


# --- bands of quality -----------------------------------------------------------------
PLACES = sorted([*dictionary().tables, "sources"])
TABLE, FIELD = "measurement", "value_as_number"
LEVEL = dictionary().level([f"{TABLE}.{FIELD}"])
TYPE = "plausibleValueHigh"


def counted(violated=100, rows=1000, **more):
    fields = {"type": TYPE, "table": TABLE, "field": FIELD, "concept": ""}
    return Counted(**fields | {"status": FAIL, **more}, violated=violated, rows=rows)


def part(table=TABLE, category="plausibility", passing="<50%"):
    return {"table": table, "category": category, "passing": passing}


def failing(**fields):
    made = {"type": TYPE, "table": TABLE, "field": FIELD, "concept": "", "share": "few"}
    return made | fields


def graded(summary=None, failed=(), shortened=False, **more):
    found = [part()] if summary is None else summary
    return {"summary": found, "failed": list(failed), "shortened": shortened, **more}


def test_failures_that_differ_in_the_concept_alone_are_two():
    report = [counted(concept=c) for c in ("cholesterol_total", "hba1c")]

    made = grade_quality(report, 10)

    assert [one["concept"] for one in made["failed"]] == ["cholesterol_total", "hba1c"]
    assert [one["share"] for one in made["failed"]] == ["5-20%", "5-20%"]
    check_graded(made)


def test_only_what_failed_is_named_and_only_what_applies_is_summed_up():
    report = [
        counted(status=PASS),
        counted(status=NOT_APPLICABLE),
        counted(status=NOT_APPLICABLE, table="death", field="person_id"),
    ]

    made = grade_quality(report, 10)

    assert made == graded([part(passing="all")])
    check_graded(made)


@pytest.mark.parametrize(
    ("passing", "rows", "band"),
    [(1, 2, "50-80%"), (4, 5, "80-95%"), (19, 20, ">95%"), (1, 1, "all")],
)
def test_a_part_that_passes_as_much_as_an_edge_is_in_the_upper_band(
    passing, rows, band
):
    report = [counted(status=PASS)] * passing + [counted()] * (rows - passing)

    assert grade_quality(report, 10)["summary"] == [part(passing=band)]


def test_rows_of_which_there_are_none_fail_as_few():
    (failed,) = grade_quality([counted(0, 0)], 10)["failed"]
    assert failed["share"] == "few"
    (failed,) = grade_quality([counted(0, 0)], 0)["failed"]
    assert failed["share"] == "<1%"


def test_a_field_of_the_highest_level_is_named_and_a_table_has_no_level(monkeypatch):
    monkeypatch.setattr("hetao.release.quality.HIGHEST_LEVEL", LEVEL)

    made = grade_quality([counted(), counted(field="")], 10)

    assert [one["field"] for one in made["failed"]] == ["", FIELD]
    check_graded(made)
    monkeypatch.setattr("hetao.release.quality.HIGHEST_LEVEL", LEVEL - 1)
    assert [one["field"] for one in grade_quality([counted()], 10)["failed"]] == []
    with pytest.raises(UngradedRelease, match=f"may not name {TABLE}.{FIELD}"):
        check_graded(made)


def many(count):
    fields = [
        (table.name, field)
        for table in dictionary().tables.values()
        for field in table.fields
    ]
    return [counted(table=t, field=f) for t, f in fields[:count]]


def test_a_list_of_just_the_longest_length_is_not_shortened():
    whole, cut = (grade_quality(many(MOST_FAILED + n), 10) for n in (0, 1))

    assert [whole["shortened"], cut["shortened"]] == [False, True]
    assert len(whole["failed"]) == len(cut["failed"]) == MOST_FAILED
    check_graded(whole)
    check_graded(cut)
    with pytest.raises(WrongShape, match="without need"):
        check_graded({**cut, "failed": cut["failed"][1:]})


def test_every_part_of_the_dictionary_may_stand_in_the_summary_and_no_more():
    every = [part(t, c, "all") for t in PLACES for c in sorted(CATEGORIES)]

    check_graded(graded(every))
    with pytest.raises(WrongShape, match="is too long"):
        check_graded(graded([*every, part("zzz", "conformance", "all")]))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([*graded()], "other fields"),
        (graded(more=1), "other fields"),
        (graded(shortened=1), "whether it was shortened"),
        (graded(summary=()), "is none, or is too long"),
        (graded([["table"]]), "an entry of a quality release has other fields"),
        (graded([{**part(), "n": "7"}]), "an entry of a quality release has other"),
        (graded([part(passing=7)]), "other than text"),
        (graded([part("person"), part("death")]), "not in its one order"),
        (graded([part(), part(passing="all")]), "not in its one order"),
        (graded([part("mine")]), "a part that is not the dictionary's"),
        (graded([part(category="beauty")]), "a part that is not the dictionary's"),
        (graded([part(passing="51%")]), "more than its band"),
        (graded(failed=[failing(type="mine")]), "more than its band"),
        (graded(failed=[failing(share="7")]), "more than its band"),
        (graded(failed=[failing(table="mine", field="")]), "names a table"),
        (graded(failed=[failing(table="sources")]), "a field that is not known"),
        (graded(failed=[failing(field="mine")]), "a field that is not known"),
        (graded(failed=[failing(concept="Mr Chan")]), "a concept that is not known"),
        (graded([part(passing="all")], [failing()]), "in no part of the summary"),
        (graded([], [failing()]), "in no part of the summary"),
    ],
)
def test_whatever_says_more_than_the_closed_list_is_refused_in_words(value, words):
    with pytest.raises(WrongShape, match=words):
        check_graded(value)


def test_what_the_closed_list_can_say_is_let_by():
    check_graded(graded([]))
    check_graded(graded(failed=[failing(concept="cholesterol_total")]))
    one = failing(table="sources", field="", share=">50%")
    check_graded(graded([part("sources")], [one]))
