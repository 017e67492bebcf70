"""An identifier in a column where nobody expected it is refused; chance is not."""

import pytest

from hetao.errors import IdentifierLeak
from support_cdm import HEADER, PERSON, curated, rows_of, write_folder

PEOPLE = 4_000
# Every 37th number is somebody's: by chance one of 37 remarks is somebody's number.
KEYS = [str(10_000_000 + 37 * n) for n in range(PEOPLE)]


# What a person reads in a remark: a result, or a number that should not be there.
REMARK = """
SELECT pseudonym("编号") AS person_id, as_date("日期") AS observation_date,
  '备注' AS observation_source_value, 'local' AS observation_system,
  "备注" AS value_as_string
FROM visits WHERE "备注" IS NOT NULL
"""


def folder_with(folder, remarks, keys=KEYS):
    """Write a site whose people have remarks, by their place among the keys."""
    rows = [
        f"{key},2020-01-02,50,男,,,{remarks.get(place, '')}"
        for place, key in enumerate(keys)
    ]
    selects = {"person": PERSON, "observation": REMARK}
    return write_folder(folder, rows, f"{HEADER},备注", selects=selects)


def refusal(folder, remarks, keys=KEYS):
    with pytest.raises(IdentifierLeak) as caught:
        curated(folder_with(folder, remarks, keys))
    assert "observation.value_as_string" in str(caught.value)
    return caught.value


def test_a_remark_that_is_somebody_elses_number_by_chance_is_curated(tmp_path):
    found = curated(folder_with(tmp_path, {7: KEYS[2_000]}))

    kept = "SELECT count(*) FROM observation WHERE value_as_string = '10074000'"
    assert KEYS[2_000] == "10074000"
    assert rows_of(found, kept) == [(1,)]


def test_as_many_equal_numbers_as_chance_gives_are_curated(tmp_path):
    remarks = {n: 10_000_000 + 101 * n for n in range(1, 1_000)}
    equal = [n for n, number in remarks.items() if str(number) in set(KEYS)]
    assert len(equal) == 27  # of 999

    curated(folder_with(tmp_path, remarks))


def test_more_equal_numbers_than_chance_gives_are_refused(tmp_path):
    remarks = {n: 10_000_000 + 101 * n for n in range(1, 1_000)}
    wrong = {1_000 + n: KEYS[2_000 + n] for n in range(40)}

    told = refusal(tmp_path, remarks | wrong)

    assert not any(key in str(told) for key in KEYS)


def test_a_column_of_other_peoples_numbers_is_refused(tmp_path):
    refusal(tmp_path, {n: KEYS[n + 1] for n in range(5)})


def test_a_single_row_that_holds_its_own_persons_number_is_refused(tmp_path):
    refusal(tmp_path, {7: KEYS[7]})


def test_a_number_is_refused_where_few_have_one(tmp_path):
    keys = [str(10_000_000 + 3_700_003 * n) for n in range(20)]

    refusal(tmp_path, {7: keys[3]}, keys)


def test_a_number_is_refused_where_so_many_have_one_that_chance_cannot_tell(tmp_path):
    keys = [str(10_000_000 + 7 * n) for n in range(PEOPLE)]

    refusal(tmp_path, {7: keys[2_000]}, keys)


def test_an_identifier_with_a_letter_is_refused_however_many_there_are(tmp_path):
    keys = [f"A{key}" for key in KEYS]

    refusal(tmp_path, {7: keys[2_000]}, keys)
