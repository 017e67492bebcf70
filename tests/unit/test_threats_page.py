"""The page of threats names tests that are there, and each of them ran."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import threats

ROOT, PAGE = threats.ROOT, threats.PAGE


def rows():
    """Return the table's cells, one list a threat."""
    text = PAGE.read_text("utf-8").split(threats.START)[1].split(threats.END)[0]
    lines = [line for line in text.splitlines() if line.startswith("| T")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_all_twenty_four_threats_stand_on_the_page():
    assert [row[0] for row in rows()] == [f"T{n}" for n in range(1, 25)]
    assert len(threats.THREATS) == 24


def attacks():
    """Return the cells of the table of published attacks, one list an attack."""
    text = PAGE.read_text("utf-8").split(threats.TRIED)[1].split(threats.OVER)[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.strip().splitlines()[2:]
    ]


def test_the_published_attacks_stand_on_the_page_each_with_what_it_found():
    assert [row[0] for row in attacks()] == [one.name for one in threats.ATTACKS]
    assert len(threats.ATTACKS) >= 12
    for row in attacks():
        cases, *found = row[4].split("; ")
        assert re.fullmatch(r"[1-9]\d* cases passed", cases), row[0]
        assert found, row[0]


def test_every_test_that_the_page_names_is_there():
    for row in (*rows(), *attacks()):
        named = row[3].split("<br>")
        assert named
        for one in named:
            path, *test = re.findall(r"`([^`]+)`", one)
            text = (ROOT / path).read_text("utf-8")
            assert all(f"def {name}(" in text for name in test), one


def test_every_threat_was_tried_when_the_page_was_written():
    for row in rows():
        cases = re.match(r"(\d+) cases passed", row[4])
        assert cases, row[0]
        assert int(cases[1]) > 0


def test_every_test_of_a_threat_that_is_there_stands_on_the_page():
    """So a page that was not written again after a test was named is found."""
    listed = [*zip(rows(), threats.THREATS, strict=True)]
    listed += zip(attacks(), threats.ATTACKS, strict=True)
    for row, one in listed:
        for name in (test for test in one.tests if threats.there(test)):
            path, _, test = threats.place_of(name).partition("::")
            assert f"`{path}`" in row[3], (row[0], path)
            assert not test or f"`{test}`" in row[3], (row[0], test)


def test_a_test_that_is_not_there_is_known_as_such():
    assert threats.there("attack/site::the_same_task_with_another_state_is_a_replay")
    assert not threats.there("attack/site::nothing_of_the_kind")
    assert not threats.there("attack/nothing_of_the_kind")
