"""A wall is a fact about a fresh process, not a promise about a file."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import hetao

SOURCE = Path(hetao.__file__).parent
PROBE = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
SCIENCE = {"numpy", "scipy", "pandas", "duckdb", "aiohttp", "jinja2", "formulaic"}
ROWS = {
    "duckdb",
    "pandas",
    "ibis",
    "hetao.cdm",
    "hetao.cohort",
    "hetao.federation.site",
    "hetao.federation.site_file",
}


def loaded_by(module):
    """Return what a fresh process loads when it imports a module."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(run.stdout))


def inside(loaded, walled):
    return {
        name
        for name in loaded
        if any(name == wall or name.startswith(wall + ".") for wall in walled)
    }


def test_the_package_itself_loads_nothing():
    assert {name for name in loaded_by("hetao") if not name.startswith("_")} == {
        "hetao"
    }


def test_the_verifier_loads_the_standard_library_and_one_crypto_package():
    loaded = loaded_by("hetao.ledger.certificate")

    outside = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert outside <= {"hetao", "cryptography", "_cffi_backend", "cffi"}
    assert inside(loaded, SCIENCE) == set()
    assert inside(loaded, {"hetao.analysis", "hetao.federation", "hetao.release"}) == (
        set()
    )


@pytest.mark.parametrize(
    "module",
    [
        "hetao.federation.coordinator",
        "hetao.federation.hub",
        "hetao.federation.hub_https",
        "hetao.federation.certify",
    ],
)
def test_who_combines_answers_cannot_reach_patient_rows(module):
    assert inside(loaded_by(module), ROWS) == set()


def test_the_probe_sees_what_is_behind_a_wall():
    """A control: a site does load all of it."""
    assert {"duckdb", "hetao.cdm"} <= inside(loaded_by("hetao.federation.site"), ROWS)


# --- no code out of data ---------------------------------------------------------------
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"}
MODULES |= {"joblib", "yaml", "code", "codeop", "xmlrpc", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"read_pickle", "to_pickle", "literal_eval", "system", "popen", "run_string"}
PAIRS = {("np", "load"), ("numpy", "load"), ("pd", "eval"), ("df", "eval")}
FLAGS = {"allow_pickle", "shell"}


def faults(tree):
    """Yield (line, what) of every way to run data as code."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                for name in names:
                    if name.name.partition(".")[0] in MODULES:
                        yield node.lineno, name.name
            case ast.ImportFrom(module=str(module)):
                if module.partition(".")[0] in MODULES:
                    yield node.lineno, module
            case ast.Call(ast.Name(name)) if name in BUILTINS:
                yield node.lineno, name
            case ast.Call(ast.Attribute(ast.Name(owner), name)) if (
                owner,
                name,
            ) in PAIRS or (owner == "builtins" and name in BUILTINS):
                yield node.lineno, f"{owner}.{name}"
            case ast.Call(ast.Attribute(_, name)) if name in METHODS:
                yield node.lineno, name
            case ast.keyword(arg=str(name), value=ast.Constant(True)) if name in FLAGS:
                yield node.value.lineno, name


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "from yaml import safe_load",
        "import marshal, os",
        "eval('1')",
        "exec(text)",
        "compile(a, b, 'exec')",
        "__import__('os')",
        "builtins.eval('1')",
        "np.load(path)",
        "np.savez(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "pd.eval('x')",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
    ],
)
def test_the_scan_sees_each_fault(line):
    assert list(faults(ast.parse(line)))


def test_no_module_runs_data_as_code():
    found = {
        f"{path.relative_to(SOURCE)}:{line}": what
        for path in sorted(SOURCE.rglob("*.py"))
        for line, what in faults(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert found == {}
