"""Small faults put into the gate, the permit and the sealed sum: do tests find them?

    python benchmarks/mutants.py [--only release/tag] [--sample 60] [--seed 1]

Each mutant is one change of one module: a comparison turned, `and` for `or`, a number
one off, a sum for a difference, a `raise` left out, a `not` dropped. It runs in a
process of its own, in memory, against that module's tests, and is killed by the first
that fails, or by three minutes. What survives is printed with its line.
"""

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "hetao"
LONGEST = 180  # seconds of a mutant
MODULES = {
    "release/seal": ("tests/laws/test_seal.py",),
    "release/tag": ("tests/laws/test_tag.py",),
    "release/message": ("tests/laws/test_message.py",),
    "release/policy": ("tests/unit/test_policy.py",),
    "release/decide": ("tests/attack/test_gate_rules.py",),
    "permit/permit": (
        "tests/unit/test_permit.py",
        "tests/attack/test_permit_forgery.py",
    ),
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


def mutants(text: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Yield (line, what was changed, the changed module) of each mutant of a source."""
    for place in range(len(list(ast.walk(ast.parse(text))))):
        tree = ast.parse(text)
        node = list(ast.walk(tree))[place]
        for what in _changed(node, tree):
            yield getattr(node, "lineno", 0), what, ast.fix_missing_locations(tree)


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
        node.op = ast.UAdd()
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


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module of the package from a changed tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def exec_module(self, module) -> None:
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)  # noqa: S102


def is_killed(module: str, tree: ast.Module, tests: tuple[str, ...]) -> bool:
    """Return whether a test fails, or takes too long, with the changed module."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        name = "hetao." + module.replace("/", ".")
        sys.meta_path.insert(0, Mutated(name, SOURCE / f"{module}.py", tree))
        code = 1
        with contextlib.suppress(BaseException):
            import pytest

            code = pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider",
                                "-p", "no:warnings", *tests])  # fmt: skip
        os._exit(int(code))
    _, status = os.waitpid(child, 0)
    return not (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument(
        "--sample", type=int, default=0, help="of each module; 0 is all"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    os.chdir(ROOT)
    # Loaded once, before the forks; nothing of the package is.
    for heavy in ("numpy", "scipy.stats", "pandas", "duckdb", "hypothesis", "pytest"):
        importlib.import_module(heavy)
    sys.path.insert(0, str(ROOT / "src"))
    for module, tests in MODULES.items():
        if asked.only not in ("", module):
            continue
        text = (SOURCE / f"{module}.py").read_text("utf-8")
        every = list(mutants(text))
        if asked.sample and len(every) > asked.sample:
            every = random.Random(asked.seed).sample(every, asked.sample)
        killed, start = 0, time.perf_counter()
        for line, what, tree in every:
            if is_killed(module, tree, tests):
                killed += 1
            else:
                print(f"  survived: {module}.py:{line}: {what}", flush=True)
        seconds = time.perf_counter() - start
        print(f"{module}: {killed} of {len(every)} killed, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
