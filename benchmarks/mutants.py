"""Small faults put into the gate, the permit and the sealed sum: do tests find them?

    python benchmarks/mutants.py [--only release/tag …] [--sample 60] [--seed 1]

Each mutant is one change of one function: a comparison turned, `and` for `or`, a number
one off, a sum for a difference, a `raise` left out, a `not` dropped. The module's tests
are collected once and run once, to see which lines each of them comes by. A mutant is
then a fork of that process, in which the function's code is exchanged; the tests that
come by its line run there, the quick ones first, until one fails. Three minutes kill it
as well. A line that no test comes by is a survivor without a run. What stands outside
of functions, such as a default, is not tried, and counted.

A sample is drawn evenly over the functions. What survives is printed with its line; of
each `docs/security/mutants.md` says that it is the same program, or what kills it.
"""

import argparse
import ast
import collections
import functools
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "hetao"
CACHED = type(functools.cache(len))
LONGEST = 180  # seconds of a mutant
GATE = ("tests/attack/test_gate_rules.py", "tests/attack/test_random_operations.py")
PERMIT = (
    "tests/unit/test_permit.py",
    "tests/unit/test_permit_life.py",
    "tests/attack/test_standing_asked_twice.py",
    "tests/attack/test_permit_forgery.py",
    "tests/attack/test_permit_keys.py",
    "tests/attack/test_random_operations.py",
)  # not the exhaustive search, whose every life would be looked through line by line
MODULES = {
    "release/seal": ("tests/laws/test_seal.py",),
    "release/tag": ("tests/laws/test_tag.py",),
    "release/message": ("tests/laws/test_message.py",),
    "release/policy": ("tests/unit/test_policy.py", *GATE),
    "release/decide": GATE,
    "permit/permit": PERMIT,
    "permit/lifecycle": PERMIT,
    "permit/decision": PERMIT,
    "permit/notices": PERMIT,
    "permit/duties": PERMIT,
    "permit/bundle": PERMIT,
}
TURNED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.FloorDiv: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One changed function: its name within the module, the line, what was changed."""

    function: str
    line: int
    what: str
    code: CodeType


# --- making them ----------------------------------------------------------------------
def mutants(path: Path) -> tuple[list[Mutant], int]:
    """Return every mutant of a file's functions, and how many there are outside."""
    text, found, outside = path.read_text("utf-8"), [], 0
    owners = _owners(ast.parse(text))
    for place in range(len(owners)):
        tree = ast.parse(text)
        node = list(ast.walk(tree))[place]
        for what in _changed(node, tree):
            if owners[place] is None:
                outside += 1
                continue
            code = compile(ast.fix_missing_locations(tree), str(path), "exec")
            function = owners[place]
            made = {one.co_qualname: one for one in _functions(code)}[function]
            found.append(Mutant(function, getattr(node, "lineno", 0), what, made))
    return found, outside


def _owners(tree: ast.Module) -> list[str | None]:
    """Return for each node in `ast.walk`'s order the outermost function it is in."""
    owner: dict[int, str] = {}
    for classes, function in _outermost(tree, ()):
        name = ".".join((*classes, function.name))
        for statement in function.body:  # defaults and decorators are made once
            owner |= {id(node): name for node in ast.walk(statement)}
    return [owner.get(id(node)) for node in ast.walk(tree)]


def _outermost(
    node: ast.AST, classes: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield classes, child
        elif isinstance(child, ast.ClassDef):
            yield from _outermost(child, (*classes, child.name))


def _functions(code: CodeType) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _functions(one)


def _changed(node: ast.AST, tree: ast.Module) -> Iterator[str]:
    """Change a node in place, once, and say how; nothing for most nodes."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        old = type(node.ops[0])
        node.ops[0] = TURNED[old]()
        yield f"{old.__name__} became {TURNED[old].__name__}"
    elif isinstance(node, ast.BoolOp):
        old = type(node.op)
        node.op = ast.Or() if old is ast.And else ast.And()
        yield f"{old.__name__} became the other"
    elif isinstance(node, ast.BinOp) and type(node.op) in SWAPPED:
        old = type(node.op)
        node.op = SWAPPED[old]()
        yield f"{old.__name__} became {SWAPPED[old].__name__}"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
        yield f"{node.value - 1} became {node.value}"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _replace(tree, node, node.operand)
        yield "a not was dropped"
    elif isinstance(node, ast.Raise):
        _replace(tree, node, ast.copy_location(ast.Pass(), node))
        yield "a raise was left out"


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if item is old else item for item in value]


def sampled(every: list[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return so many of them, from each function in turn."""
    if not size or len(every) <= size:
        return every
    draw, groups = random.Random(seed), collections.defaultdict(list)
    for one in every:
        groups[one.function].append(one)
    for group in groups.values():
        draw.shuffle(group)
    turns = list(groups.values())
    draw.shuffle(turns)
    chosen: list[Mutant] = []
    while len(chosen) < size:
        for group in turns:
            if group and len(chosen) < size:
                chosen.append(group.pop())
    return chosen


# --- trying them ----------------------------------------------------------------------
class Trial:
    """In place of pytest's own loop: tries each mutant on the tests that come by it."""

    def __init__(self, path: Path, tried: Sequence[Mutant]) -> None:
        self.path, self.tried = str(path), tried
        self.by_line: dict[int, list[int]] = collections.defaultdict(list)
        self.seconds: list[float] = []
        self.killed = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = session.items
        for number, item in enumerate(items):
            follower = items[number + 1] if number + 1 < len(items) else None
            self._look(number, item, follower)
        self._check_fork(items)
        for mutant in self.tried:
            self.killed += self._is_killed(mutant, items)
        return True

    def _look(
        self, number: int, item: pytest.Item, follower: pytest.Item | None
    ) -> None:
        """Run a test as it is, and note the lines that it comes by."""
        lines: set[int] = set()

        def inside(frame: FrameType, event: str, _: object) -> Any:
            lines.add(frame.f_lineno)
            return inside

        def trace(frame: FrameType, event: str, _: object) -> Any:
            return inside if frame.f_code.co_filename == self.path else None

        start = time.process_time()
        sys.settrace(trace)
        try:
            reports = runtestprotocol(item, nextitem=follower, log=False)
        finally:
            sys.settrace(None)
        self.seconds.append(time.process_time() - start)
        if any(report.failed for report in reports):
            raise SystemExit(f"{item.nodeid} fails without any mutant")
        for line in lines:
            self.by_line[line].append(number)

    def _check_fork(self, items: Sequence[pytest.Item]) -> None:
        """Refuse to go on where a fork fails by itself, without any mutant."""
        if os.fork() == 0:
            none = Mutant("", 0, "", Trial.__init__.__code__)
            os._exit(self._tried(none, items))
        if os.wait()[1]:
            raise SystemExit("the tests fail in a fork without any mutant")

    def _is_killed(self, mutant: Mutant, items: Sequence[pytest.Item]) -> bool:
        chosen = sorted(self.by_line[mutant.line], key=self.seconds.__getitem__)
        if not chosen:
            print(f"  survived: {mutant.line}: {mutant.what}: no test", flush=True)
            return False
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST)
            os._exit(self._tried(mutant, [items[number] for number in chosen]))
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            print(
                f"  survived: {mutant.line}: {mutant.what} ({mutant.function})",
                flush=True,
            )
            return False
        return True

    def _tried(self, mutant: Mutant, items: Sequence[pytest.Item]) -> int:
        """Return 1 once a test fails with the mutant, 0 if none does."""
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        try:
            self._exchange(mutant)
            for number, item in enumerate(items):
                follower = items[number + 1] if number + 1 < len(items) else None
                reports = runtestprotocol(item, nextitem=follower, log=False)
                if any(report.failed for report in reports):
                    return 1
        except BaseException:  # noqa: BLE001 - whatever ends it has found it
            return 1
        return 0

    def _exchange(self, mutant: Mutant) -> None:
        """Put the mutant's code into the living function, and forget what it said."""
        for one in gc.get_objects():
            if isinstance(one, CACHED):
                one.cache_clear()
            elif isinstance(one, FunctionType):
                code = one.__code__
                if code.co_filename == self.path and code.co_qualname == (
                    mutant.function
                ):
                    one.__code__ = mutant.code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument(
        "--sample", type=int, default=0, help="of each module; 0 is all"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    for module, tests in MODULES.items():
        if asked.only and module not in asked.only:
            continue
        child = os.fork()  # each module's tests in a process without another's
        if child == 0:
            status = 1
            try:
                tried(module, tests, asked)
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"{module} could not be tried")


def tried(module: str, tests: Sequence[str], asked: argparse.Namespace) -> None:
    path = SOURCE / f"{module}.py"
    every, outside = mutants(path)
    trial = Trial(path, sampled(every, asked.sample, asked.seed))
    print(f"{module}:", flush=True)
    start = time.monotonic()
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "-s", *tests]
    if pytest.main(words, plugins=[trial]) != 0:
        raise SystemExit(f"{module}: the tests did not run")
    print(
        f"{module}: {trial.killed} of {len(trial.tried)} killed; {len(every)} in all, "
        f"{outside} outside of functions not tried; {time.monotonic() - start:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
