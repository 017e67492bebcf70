"""What a site states of its data: bands of a closed list, whatever its report holds."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.dictionary import dictionary
from hetao.dictionary.checks import FAIL, NOT_APPLICABLE, PASS, check_types
from hetao.errors import UngradedRelease, WrongShape
from hetao.release.quality import (
    MOST_FAILED,
    SHARE_BANDS,
    Counted,
    check_graded,
    grade_quality,
)

OWN_NAME = "ward 7B of Mr Chan"
TABLES = dictionary().tables
TYPES = check_types()


def counted(violated=3, rows=1000, **more):
    fields = {
        "type": "plausibleValueHigh",
        "table": "measurement",
        "field": "value_as_number",
        "concept": "cholesterol_total",
        "status": FAIL,
        **more,
    }
    return Counted(violated=violated, rows=rows, **fields)


def band(violated, rows, least=10):
    (failed,) = grade_quality([counted(violated, rows)], least)["failed"]
    return failed["share"]


@st.composite
def checks(draw):
    table = draw(st.sampled_from([*TABLES, OWN_NAME]))
    fields = [*TABLES[table].fields] if table in TABLES else []
    rows = draw(st.integers(0, 10**7))
    return Counted(
        type=draw(st.sampled_from(sorted(TYPES))),
        table=table,
        field=draw(st.sampled_from(["", *fields])),
        concept=draw(
            st.sampled_from(["", *dictionary().analytes, "icd10", "prostate"])
        ),
        violated=draw(st.integers(0, rows)),
        rows=rows,
        status=draw(st.sampled_from([PASS, FAIL, NOT_APPLICABLE])),
    )


@settings(deadline=None)
@given(report=st.lists(checks(), max_size=300), least=st.integers(1, 50))
def test_whatever_a_report_holds_what_is_made_of_it_may_leave(report, least):
    made = grade_quality(report, least)

    check_graded(made)
    text = json.dumps(made)
    assert OWN_NAME not in text
    assert len(text) < 64 * 1024


@settings(deadline=None)
@given(report=st.lists(checks(), max_size=40), order=st.randoms())
def test_the_order_of_a_report_says_nothing(report, order):
    shuffled = list(report)
    order.shuffle(shuffled)

    assert grade_quality(shuffled, 10) == grade_quality(report, 10)


@pytest.mark.parametrize("violated", range(1, 10))
def test_a_count_under_the_least_cell_is_only_few(violated):
    assert band(violated, 1000) == band(violated, 9) == "few"


@pytest.mark.parametrize(
    ("violated", "rows", "expected"),
    [
        (10, 10_000, "<1%"),
        (99, 10_000, "<1%"),
        (100, 10_000, "1-5%"),
        (500, 10_000, "5-20%"),
        (2_000, 10_000, "20-50%"),
        (5_000, 10_000, ">50%"),
        (10_000, 10_000, ">50%"),
    ],
)
def test_a_larger_count_is_a_band_of_its_share(violated, rows, expected):
    assert band(violated, rows) == expected


def test_neighbouring_counts_look_the_same():
    """One patient more or less moves nothing, but at the edges of the bands."""
    seen = [band(violated, 10_000) for violated in range(10_001)]
    moves = sum(a != b for a, b in itertools.pairwise(seen))

    assert moves == len(SHARE_BANDS) - 1


def test_a_sources_own_name_stays_at_the_site():
    made = grade_quality(
        [
            counted(50, type="rows-rejected", table=OWN_NAME, field="", concept=""),
            counted(900, type="rows-rejected", table="ward 8", field="", concept=""),
        ],
        10,
    )

    (failed,) = made["failed"]
    assert failed["table"] == "sources"
    assert failed["share"] == ">50%"  # of several sources, the worst


def test_a_long_list_is_cut_at_its_worst_and_says_so():
    fields = [(t, f) for t, table in TABLES.items() for f in table.fields]
    report = [
        counted(900 if n % 2 else 60, table=t, field=f, concept="", type="isRequired")
        for n, (t, f) in enumerate(fields)
    ]

    made = grade_quality(report, 10)

    assert len(made["failed"]) == MOST_FAILED
    assert made["shortened"]
    assert {entry["share"] for entry in made["failed"]} == {">50%"}


def test_a_field_above_the_highest_level_is_not_even_named(monkeypatch):
    monkeypatch.setattr("hetao.release.quality.HIGHEST_LEVEL", 2)

    assert grade_quality([counted()], 10)["failed"] == []
    made = {
        "summary": [
            {"table": "measurement", "category": "plausibility", "passing": "<50%"}
        ],
        "failed": [
            {
                "type": "plausibleValueHigh",
                "table": "measurement",
                "field": "value_as_number",
                "concept": "",
                "share": "few",
            }
        ],
        "shortened": False,
    }
    with pytest.raises(UngradedRelease):
        check_graded(made)


@pytest.mark.parametrize("value", [None, [], "x", 7, {"summary": []}, {1: 2}])
def test_anything_else_is_refused(value):
    with pytest.raises(WrongShape):
        check_graded(value)
