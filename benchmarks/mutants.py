"""Small faults put into the gate, the permit and the sealed sum: do tests find them?

    python benchmarks/mutants.py [--only release/tag …] [--sample 60] [--seed 1]
                                 [--tests tests/unit/test_x.py …] [--lines 12 …]

Each mutant is one change of one function: a comparison turned, `and` for `or`, a number
one off, a sum for a difference, a `raise` left out, a `not` dropped. The module's
tests are collected once and run once, to see which lines each of them comes by. A
mutant is then a fork of that process, in which the function's code is exchanged; the
tests that come by its line run there, the quick ones first, until one fails, or until
`--most` seconds of processor time have gone by in vain. A test that takes far longer
than it did kills the mutant as well. A line that no test comes by is a survivor without
a run. What stands outside of functions, such as a default, is not tried, and counted.

A sample is drawn evenly over the functions. What survives is printed with its line; of
each `docs/security/mutants.md` says that it is the same program, or what kills it.
"""

import argparse
import ast
import collections
import functools
import gc
import importlib
import os
import random
import signal
import sys
import threading
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
HANGS = (5, 20)  # a test hangs after so many seconds, and times what it took, and
WAITS = 900  # seconds by the clock of a mutant that waits for something


MODULES = {
    "release/__init__": ("unit/test_release_edges",),
    "release/seal": ("laws/test_seal",),
    "release/tag": ("laws/test_tag",),
    "release/message": ("laws/test_message",),
    "release/policy": ("unit/test_policy", "attack/test_gate_rules"),
    "release/decide": ("attack/test_gate_rules", "attack/test_random_operations",
                       "attack/test_neighbours"),
    "release/differencing": ("unit/test_gate_edges", "attack/test_differencing"),
    "release/lists": ("unit/test_lists_of_sites",),
    "release/marks": ("laws/test_marks",),
    "release/finals": ("unit/test_gate_edges", "attack/test_output_checks"),
    "release/grading": ("unit/test_gate_edges", "attack/test_release_record"),
    "release/limits": ("unit/test_gate_edges", "attack/test_release_record"),
    "release/minimums": (
        "unit/test_gate_edges", "unit/test_numbers_told", "laws/test_sealed_count",
        "attack/test_dominance", "attack/test_gate_rules", "attack/test_together",
        "attack/test_neighbours",
    ),
    "release/private": ("unit/test_gate_edges", "attack/test_private_counts"),
    "release/quality": ("unit/test_release_edges", "attack/test_quality_release"),
    "release/record": ("unit/test_release_edges", "attack/test_release_record",
                       "attack/test_gate_rules"),
    "release/binding": ("unit/test_release_edges", "attack/test_provenance"),
    "release/sealed_count": ("unit/test_sealed_count_edges",
                             "laws/test_sealed_count"),
    "release/concepts": ("unit/test_release_edges",),
    "permit/permit": ("unit/test_permit_form", "unit/test_permit",
                      "unit/test_basis_terms", "unit/test_vote_edges"),
    "permit/lifecycle": ("unit/test_permit_life", "unit/test_lifecycle",
                         "attack/test_going_on", "attack/test_random_operations"),
    "permit/decision": ("attack/test_standing_asked_twice", "unit/test_basis_terms",
                        "attack/test_random_operations"),
    "permit/notices": (
        "unit/test_notice_edges", "unit/test_permit_life", "unit/test_basis_terms",
        "attack/test_permit_keys", "attack/test_standing_asked_twice",
    ),
    "permit/duties": ("unit/test_permit_form", "attack/test_permit_keys",
                      "attack/test_standing_asked_twice", "attack/test_going_on"),
    "permit/bundle": (
        "unit/test_notice_edges", "unit/test_permit", "unit/test_permit_life",
        "unit/test_basis_terms", "attack/test_permit_keys", "attack/test_going_on",
    ),
    "permit/keys": ("unit/test_key_edges", "unit/test_signers", "unit/test_permit",
                    "attack/test_permit_keys", "attack/test_weak_keys"),
    "permit/directory": ("unit/test_permit_form", "unit/test_permit",
                         "attack/test_permit_keys"),
    "permit/terms": ("unit/test_basis_terms",),
    "permit/within": ("unit/test_basis_terms",),
    "permit/persons": ("unit/test_permit_form", "attack/test_permit_keys",
                       "attack/test_going_on"),
    "permit/dates": ("unit/test_permit_form", "unit/test_permit"),
    "permit/uses": ("unit/test_use_edges", "attack/test_uses"),
    "permit/labels": ("unit/test_use_edges", "attack/test_uses"),
    "permit/votes": ("unit/test_vote_edges", "attack/test_output_checks"),
    "permit/passkey": ("unit/test_key_edges", "unit/test_signers",
                       "unit/test_signing_page", "attack/test_weak_keys"),
    "permit/services": ("unit/test_key_edges", "unit/test_signers"),
    "permit/signing_page": ("unit/test_signing_page",),
    "permit/certificates": ("unit/test_signers",),
    "permit/points": ("attack/test_weak_keys",),
    "permit/signing_words": ("unit/test_signing_page", "spec/test_dossier_languages"),
    "permit/signing_ask": ("unit/test_vote_edges", "unit/test_signing_page"),
    "permit/answering": ("unit/test_rule_edges", "spec/test_rulebook",
                         "spec/test_rulebook_packs"),
    "permit/conditions": ("unit/test_rule_edges", "spec/test_rulebook",
                          "attack/test_rule_packs"),
    "permit/explanation": ("unit/test_rule_edges", "unit/test_cli_rules"),
    "permit/facts": ("unit/test_rule_edges", "unit/test_basis_terms",
                     "spec/test_rulebook", "attack/test_rule_packs"),
    "permit/grades": ("unit/test_rule_edges", "laws/test_grades"),
    "permit/house": ("attack/test_house_rules",),
    "permit/law": ("unit/test_law", "attack/test_permit_law"),
    "permit/packs": ("attack/test_rule_packs", "spec/test_rulebook"),
    "permit/rule": ("unit/test_rule_edges", "spec/test_rulebook"),
    "permit/rulebook": ("spec/test_rulebook", "unit/test_permit"),
    "federation/hub": ("unit/test_hub_edges", "attack/test_hub",
                       "attack/test_cosigning", "attack/test_lies_about_status"),
    "federation/totals": ("unit/test_totals",),
    "federation/closeness": ("unit/test_gate_edges", "attack/test_differencing",
                             "attack/test_lists_of_sites"),
    "federation/listed": ("attack/test_lists_of_sites",),
    "federation/asking": ("unit/test_asking", "attack/test_differencing_sites"),
    "federation/memory": ("attack/test_differencing", "attack/test_yearly_count"),
    "federation/memory_key": ("attack/test_differencing",),
    "federation/private_budget": ("attack/test_private_counts",),
    "federation/recalling": ("attack/test_restored_memory",
                             "attack/test_lists_of_sites"),
    "federation/told_uses": ("unit/test_book_edges", "attack/test_restored_memory"),
    "federation/book": ("unit/test_book_edges", "attack/test_uses"),
    "federation/usage": ("unit/test_usage",),
    "federation/guard": ("unit/test_guard",),
    "federation/beside": ("attack/test_beside_serving",),
    "federation/heeding": ("unit/test_heeding",),
    "federation/register": ("unit/test_register", "attack/test_notices"),
    "federation/yearly": ("attack/test_yearly_count",),
    "federation/begun": ("unit/test_begun",),
    "federation/counter": ("unit/test_counter",),
    "federation/counting": ("unit/test_counting",),
    "federation/ending": ("unit/test_ending",),
    "federation/course": ("unit/test_counting", "attack/test_state"),
    "federation/shelf": ("unit/test_hub_edges", "attack/test_hub"),
    "federation/cosigning": ("unit/test_hub_edges", "attack/test_cosigning",
                             "attack/test_lies_about_status"),
    "federation/hub_lines": ("attack/test_cosigning", "attack/test_lies_about_status"),
    "ledger/revoked": ("attack/test_revoked_certificate", "attack/test_sealed_counts"),
    "ledger/log_end": ("attack/test_cosigning",),
    "analysis/alike": ("unit/test_alike_edges", "unit/test_alike"),
    "analysis/carriers": ("unit/test_carriers", "attack/test_carriers"),
    "analysis/shown": ("unit/test_shown",),
    "analysis/subsets": ("unit/test_subsets",),
    "analysis/combinations": ("unit/test_combinations", "unit/test_gate_edges",
                              "attack/test_combinations"),
    "analysis/borders": ("unit/test_borders", "oracles/test_quantiles"),
    "analysis/quantiles": ("unit/test_quantile_edges", "oracles/test_quantiles"),
    "analysis/cells": ("unit/test_cells", "unit/test_cells_edges",
                       "attack/test_group_curves"),
    "analysis/suppression": (
        "unit/test_suppression_edges", "unit/test_analysis_shown",
        "unit/test_analysis_performance",
        "unit/test_analysis_effects", "unit/test_analysis_scored",
        "unit/test_analysis_strata", "unit/test_analysis_screen",
        "unit/test_weighted_curves", "unit/test_cells", "oracles/test_rates",
        "attack/test_what_follows", "attack/test_group_curves",
    ),
    "analysis/cox_grid": ("unit/test_numbers_told", "unit/test_cox_grid_edges",
                          "unit/test_shown", "attack/test_strata_in_bins"),
    "analysis/together": ("attack/test_together",),
    "analysis/neighbours": ("attack/test_neighbours",),
    "analysis/sealed_count": ("laws/test_sealed_count", "unit/test_gate_edges",
                              "attack/test_neighbours"),
    "analysis/km_merged": ("unit/test_cells", "unit/test_cells_edges",
                           "attack/test_group_curves", "oracles/test_merged_curves"),
}  # fmt: skip
# Not the exhaustive search of permits' lives, each of which would be looked through;
# nor tests of many processes, or of thousands of questions.
LONG = (
    "attack/test_differencing.py::test_of_1_000_spends_of_several_processes_at_once_no_"
    "more_than_the_budget_passes",
    "attack/test_differencing.py::test_five_sets_of_which_no_four_add_up_pass_and_give_"
    "one_person_away",
    "attack/test_differencing.py::test_random_sums_give_rare_people_away_but_no_one_"
    "within_the_budget",
    "attack/test_differencing.py::test_one_in_a_hundred_honest_questions_at_most_is_"
    "refused",
    "attack/test_yearly_count.py::test_permits_that_ask_at_once_never_reach_it_together",
    "attack/test_private_counts.py::test_many_processes_together_never_spend_more_than_"
    "there_is",
    "attack/test_carriers.py::test_honest_numbers_are_hardly_ever_refused",
    "attack/test_carriers.py::test_honest_predictions_are_hardly_ever_refused",
    "attack/test_uses.py::test_of_200_spends_of_several_processes_at_once_no_more_than_"
    "the_limit_passes",
    "attack/test_uses.py::test_of_600_random_acts_no_book_ever_says_more_than_was_"
    "granted",
    "attack/test_uses.py::test_every_changed_byte_of_a_record_is_refused",
)
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
LOADED = (  # once for all modules, whatever their tests load of it again
    "jsonschema", "hetao.federation.coordinator", "hetao.federation.hub",
    "hetao.federation.site", "hetao.notebook",
)  # fmt: skip
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
    whole = ast.parse(text)
    owners, nodes = _owners(whole), list(ast.walk(whole))
    for place, owner in enumerate(owners):
        if not next(_changed(nodes[place], whole), ""):
            continue  # most nodes; what was changed in `whole` is not used
        if owner is None:
            outside += 1
            continue
        tree = ast.parse(text)
        node = list(ast.walk(tree))[place]
        what = next(_changed(node, tree))
        code = compile(ast.fix_missing_locations(tree), str(path), "exec")
        made = {one.co_qualname: one for one in _functions(code)}[owner]
        found.append(Mutant(owner, getattr(node, "lineno", 0), what, made))
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
) -> Iterator[tuple[tuple[str, ...], ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTION):
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


def left_out() -> list[str]:
    """Return the modules of the gate and of the permit that nobody would try."""
    return [
        name
        for package in ("release", "permit")
        for path in sorted((SOURCE / package).glob("*.py"))
        if (name := f"{package}/{path.stem}") not in MODULES
        and any(_outermost(ast.parse(path.read_text("utf-8")), ()))
    ]


# --- trying them ----------------------------------------------------------------------
class Trial:
    """In place of pytest's own loop: tries each mutant on the tests that come by it."""

    def __init__(self, module: str, asked: argparse.Namespace) -> None:
        self.module, self.asked = module, asked
        self.path = str(SOURCE / f"{module}.py")
        self.by_line: dict[int, list[int]] = collections.defaultdict(list)
        self.seconds: list[float] = []
        self.caches: list[Any] = []
        self.living: dict[str, list[FunctionType]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = session.items
        before = None
        for number, item in enumerate(items):
            follower = items[number + 1] if number + 1 < len(items) else None
            if item.path != before:  # what is remembered is come by once in each file
                self._find_living()
                self._forget()
            before = item.path
            self._look(number, item, follower)
        print(f"{len(items)} tests, {sum(self.seconds):.0f} s", flush=True)
        self._find_living()
        gc.collect()
        gc.freeze()
        if not self.living:
            raise SystemExit(f"no function of {self.module} is alive")
        self._check_fork(items)
        self._try(items)
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
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            reports = runtestprotocol(item, nextitem=follower, log=False)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
        self.seconds.append(time.process_time() - start)
        if any(report.failed for report in reports):
            raise SystemExit(f"{item.nodeid} fails without any mutant")
        for line in lines:
            self.by_line[line].append(number)

    def _find_living(self) -> None:
        """Note every function of the module that lives, and everything remembered."""
        self.living, self.caches = {}, []
        gc.unfreeze()  # what is frozen is in no list
        for one in gc.get_objects():
            if isinstance(one, CACHED):
                self.caches.append(one)
            elif isinstance(one, FunctionType):
                code = one.__code__
                if code.co_filename == self.path:
                    self.living.setdefault(code.co_qualname, []).append(one)

    def _forget(self) -> None:
        for one in self.caches:
            one.cache_clear()

    def _check_fork(self, items: Sequence[pytest.Item]) -> None:
        """Refuse to go on where a fork fails by itself, without any mutant."""
        quick = sorted(range(len(items)), key=self.seconds.__getitem__)
        if os.fork() == 0:
            os._exit(self._tried(None, items, quick))
        status = os.wait()[1]
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 1:
            raise SystemExit("the tests fail in a fork without any mutant")

    def _try(self, items: Sequence[pytest.Item]) -> None:
        """Try the module's mutants, and print what became of them."""
        start = time.process_time() + _of_children()
        every, outside = mutants(Path(self.path))
        lines = self.asked.lines
        chosen = [one for one in every if not lines or one.line in lines]
        tried = sampled(chosen, self.asked.sample, self.asked.seed)
        found = collections.Counter(self._fate(mutant, items) for mutant in tried)
        seconds = time.process_time() + _of_children() - start
        print(
            f"{self.module}: {found['killed'] + found['hung']} of {len(tried)} killed, "
            f"{found['hung']} of them since a test hung; {len(every)} in all, "
            f"{outside} outside of functions not tried; {seconds:.0f} s",
            flush=True,
        )

    def _fate(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str:
        found = self.by_line[mutant.line]
        chosen = sorted(found, key=self.seconds.__getitem__)
        what = f"{self.module}:{mutant.line}: {mutant.what}"
        if not chosen:
            print(f"  survived: {what} ({mutant.function}): no test", flush=True)
            return "survived"
        child = os.fork()
        if child == 0:
            signal.alarm(WAITS)
            os._exit(self._tried(mutant, items, chosen))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "hung"
        if os.WEXITSTATUS(status) == 1:
            return "killed"
        part = ", time was out" if os.WEXITSTATUS(status) else ""
        print(
            f"  survived: {what} ({mutant.function}): {len(chosen)} tests{part}",
            flush=True,
        )
        return "survived"

    def _tried(
        self, mutant: Mutant | None, items: Sequence[pytest.Item], chosen: Sequence[int]
    ) -> int:
        """Return 1 once a test fails with the mutant, 0 if none does, 2 out of time."""
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        start = time.process_time()
        try:
            if mutant is not None:
                self._exchange(mutant)
            for at, number in enumerate(chosen):
                follower = items[chosen[at + 1]] if at + 1 < len(chosen) else None
                least, times = HANGS
                signal.setitimer(
                    signal.ITIMER_PROF, least + times * self.seconds[number]
                )
                reports = runtestprotocol(items[number], nextitem=follower, log=False)
                if any(report.failed for report in reports):
                    return 1
                if time.process_time() - start > self.asked.most:
                    return 2
        except BaseException:  # noqa: BLE001 - whatever ends it has found it
            return 1
        return 0

    def _exchange(self, mutant: Mutant) -> None:
        """Put the mutant's code into the living function, and forget what it said."""
        self._forget()
        for one in self.living.get(mutant.function, ()):
            one.__code__ = mutant.code


def _of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument(
        "--sample", type=int, default=0, help="of each module; 0 is all"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=60, help="seconds of a mutant")
    parser.add_argument("--lines", type=int, nargs="*", default=[], help="these alone")
    parser.add_argument("--tests", nargs="*", default=[], help="in place of its own")
    asked = parser.parse_args()
    if left_out():
        raise SystemExit(f"no tests are named of {', '.join(left_out())}")
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    for name in LOADED:
        importlib.import_module(name)
    for module, usual in MODULES.items():
        if asked.only and module not in asked.only:
            continue
        child = os.fork()  # each module's tests in a process without another's
        if child == 0:
            status = 1
            try:
                tests = asked.tests or [f"tests/{name}.py" for name in usual]
                words = ["-q", "-n", "0", "-p", "no:cacheprovider", "-s", *tests]
                words += [f"--deselect=tests/{name}" for name in LONG]
                status = int(pytest.main(words, plugins=[Trial(module, asked)]))
            except BaseException as error:  # noqa: BLE001 - said, and no more
                print(f"{module}: {error!r}")
            finally:
                sys.stdout.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"{module} could not be tried")


if __name__ == "__main__":
    main()
