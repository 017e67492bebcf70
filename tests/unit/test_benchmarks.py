"""What benchmarks take from Hetao is there: they are no part of a run of tests."""

import ast
import importlib
import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MUTANTS = BENCHMARKS.parent / "docs/security/mutants.md"


def taken(path):
    """Return what a script takes from Hetao: pairs of a module and a name in it."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hetao")
        for alias in node.names
    ]


@pytest.mark.parametrize(
    "path",
    sorted(p for p in BENCHMARKS.rglob("*.py") if taken(p)),
    ids=lambda path: path.relative_to(BENCHMARKS).as_posix(),
)
def test_what_a_benchmark_takes_is_there(path):
    for module, name in taken(path):
        home = importlib.import_module(module)

        if not hasattr(home, name):
            importlib.import_module(f"{module}.{name}")


def test_mutants_are_tried_on_tests_that_are_there_and_a_module_left_out_is_named(
    monkeypatch,
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    mutants = importlib.import_module("mutants")

    before = mutants.left_out()
    monkeypatch.delitem(mutants.MODULES, "permit/votes")
    assert {*mutants.left_out()} == {*before, "permit/votes"}
    tests = {f"{name}.py" for names in mutants.MODULES.values() for name in names}
    tests |= {name.partition("::")[0] for name in mutants.LONG}
    assert [n for n in tests if not (BENCHMARKS.parent / "tests" / n).exists()] == []


def test_of_what_became_of_mutants_each_module_has_a_row_and_the_sums_are_right(
    monkeypatch,
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    text = MUTANTS.read_text("utf-8")
    found = re.findall(r"^\| `?([\w/]+)`? \|((?: \d+ \|){7})$", text, re.MULTILINE)
    *rows, (last, _) = found
    numbers = [[int(n) for n in re.findall(r"\d+", row)] for _, row in found]

    assert [name for name, _ in rows] == list(dict(rows))
    assert {*dict(rows)} == {*importlib.import_module("mutants").MODULES}
    for every, tried, killed, survived, same, added, left in numbers:
        assert every == tried == killed + survived
        assert survived == same + added + left
    assert last == "together"
    assert numbers[-1] == [sum(column) for column in zip(*numbers[:-1], strict=True)]
    _, tried, killed, _, same, _, left = numbers[-1]
    said = f"Of {tried:,} mutants {same} are the same program."
    others = tried - same
    assert f"{said} Of the {others:,} others" in text
    assert f"tests found {killed:,}, {killed / others:.0%}".replace("%", " %") in text
    assert left == 0


def test_of_what_was_tried_again_the_sums_are_right_too(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    text = MUTANTS.read_text("utf-8").replace(" %", "%")
    found = re.findall(r"^\| `?([\w/]+)`? \|((?: \d+ \|){6})$", text, re.MULTILINE)
    numbers = [[int(n) for n in re.findall(r"\d+", row)] for _, row in found]
    *names, last = [name for name, _ in found]

    assert names == list(dict.fromkeys(names))
    assert {*names} <= {*importlib.import_module("mutants").MODULES}
    for every, killed, survived, same, added, left in numbers:
        assert every == killed + survived
        assert survived == same + added + left
    assert last == "together"
    assert numbers[-1] == [sum(column) for column in zip(*numbers[:-1], strict=True)]
    every, killed, _, same, _, left = numbers[-1]
    others = every - same
    assert f"Of {every:,} mutants {same} are the same program, as below." in text
    assert f"Of the {others:,} others tests found\n{killed:,}, " in text
    assert f" {killed / others:.1%}; each of the rest has one since." in text
    assert left == 0
