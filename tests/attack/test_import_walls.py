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
CRYPTO = {"cryptography", "_cffi_backend", "cffi", "_openssl"}
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
    assert outside <= {"hetao", *CRYPTO}
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
        "hetao.cli.courier",
    ],
)
def test_who_combines_or_carries_answers_cannot_reach_patient_rows(module):
    assert inside(loaded_by(module), ROWS) == set()


def test_the_probe_sees_what_is_behind_a_wall():
    """A control: a site does load all of it."""
    assert {"duckdb", "hetao.cdm"} <= inside(loaded_by("hetao.federation.site"), ROWS)


# --- no code out of data -------------------------------------------------------------
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"}
MODULES |= {"joblib", "yaml", "code", "codeop", "xmlrpc", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"read_pickle", "to_pickle", "literal_eval", "system", "popen", "run_string"}
PAIRS = {("np", "load"), ("numpy", "load"), ("pd", "eval"), ("df", "eval")}
FLAGS = {"allow_pickle", "shell"}


def faults(tree):
    """Yield (line, what) of every way to run data as code."""
    for node in ast.walk(tree):
        for name in (*imported(node), *called(node)):
            yield node.lineno, name


def imported(node):
    names = []
    if isinstance(node, ast.Import):
        names = [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return [name for name in names if name.partition(".")[0] in MODULES]


def called(node):
    if not isinstance(node, ast.Call):
        return []
    found = [
        keyword.arg
        for keyword in node.keywords
        if keyword.arg in FLAGS and getattr(keyword.value, "value", True) is not False
    ]
    match node.func:
        case ast.Name(name) if name in BUILTINS:
            found.append(name)
        case ast.Attribute(ast.Name(owner), name) if (owner, name) in PAIRS or (
            owner == "builtins" and name in BUILTINS
        ):
            found.append(f"{owner}.{name}")
        case ast.Attribute(_, name) if name in METHODS:
            found.append(name)
    return found


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
