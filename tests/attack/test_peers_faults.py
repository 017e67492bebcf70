"""Faults that other federated systems had, each tried here.

Numbers are those of the advisories: NVFLARE CVE-2022-34668, CVE-2026-24186 (pickle), PR
4422 (a missing return after a failed authentication) and 4858 (replay), its note on
`site_name`; vantage6 GHSA-rjmv (unencrypted input) and GHSA-vc3v (an allow-list walked
around by a parent task); FLIP 1270 (all nodes run).
"""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

import hetao
from hetao.canonical import digest_bytes
from hetao.errors import BadEnvelope, BadSignature, NotAParty
from hetao.ledger.envelope import DOMAIN, Envelope, parse_envelope, seal
from hetao.permit import Bundle
from hetao.release import pack
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

SOURCE = Path(hetao.__file__).parent
LOADERS = {"pickle", "cPickle", "_pickle", "joblib", "marshal", "shelve", "dill"}
LOADERS |= {"cloudpickle", "jsonpickle", "numpy.lib.format"}
CALLS = {"eval", "exec", "compile", "__import__"}
NAMES = {"read_pickle", "unsafe_load", "full_load", "import_module"}


# --- no loading of code: T15 ----------------------------------------------------------
def code_loading(source):
    """Return what in a module's source could run code that it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = {module, module.split(".")[0]}
            for alias in node.names:
                names |= {alias.name, alias.name.split(".")[0]}
                names.add(f"{module}.{alias.name}")
            found += [f"import {name}" for name in sorted(names & LOADERS)]
        if isinstance(node, ast.Call):
            found += _of_call(node)
    return found


def _of_call(node):
    name = _dotted(node.func)
    first, last = name.split(".")[0], name.rsplit(".", 1)[-1]
    keywords = {
        k.arg: k.value.value if isinstance(k.value, ast.Constant) else "?"
        for k in node.keywords
    }
    if last == "import_module" and _is_own(node):
        return []
    is_unsafe = (
        name in CALLS
        or (first == "builtins" and last in CALLS)
        or last in NAMES
        or name == "yaml.load"
        or (
            (name in ("np.load", "numpy.load"))
            and keywords.get("allow_pickle", False) is not False
        )
        or (name == "torch.load" and keywords.get("weights_only") is not True)
    )
    return [name] if is_unsafe else []


def _is_own(node):
    """Return whether what is imported is a module below the one that imports it."""
    match node.args:
        case [ast.JoinedStr(values=[ast.FormattedValue(value=first), dot, *_])]:
            is_dot = isinstance(dot, ast.Constant) and dot.value == "."
            return is_dot and _dotted(first) == "__name__"
    return False


def _dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


PLANTED = [
    "import pickle",
    "import pickle as p",
    "from pickle import loads",
    "def f():\n    import joblib",
    "import marshal, json",
    "import shelve",
    "import dill",
    "from cloudpickle import load",
    "import yaml\nyaml.load(text)",
    "import yaml\nyaml.unsafe_load(text)",
    "eval(text)",
    "exec(text)",
    "import builtins\nbuiltins.eval(text)",
    "compile(text, 'a', 'exec')",
    "__import__(name)",
    "import importlib\nimportlib.import_module(name)",
    "importlib.import_module(f'{name}.x')",
    "importlib.import_module(f'{__name__}{x}')",
    "np.load(path, allow_pickle=True)",
    "numpy.load(path, allow_pickle=flag)",
    "torch.load(path)",
    "torch.load(path, weights_only=False)",
    "pd.read_pickle(path)",
]


@pytest.mark.parametrize("line", PLANTED)
def test_a_planted_line_that_loads_code_is_found(line):
    assert code_loading(line)


def test_lines_that_load_data_only_are_no_fault():
    fine = "import json\njson.loads(t)\nnp.load(p)\ntorch.load(p, weights_only=True)"
    fine += "\nimport_module(f'{__name__}.{part}')"

    assert code_loading(fine) == []


# The command's own modules, named by its own table.
ALLOWED = {"cli/main.py": ["importlib.import_module"]}


def test_nothing_here_loads_code(record_property):
    files = sorted(SOURCE.rglob("*.py"))
    found = {
        str(path.relative_to(SOURCE)): faults
        for path in files
        if (faults := code_loading(path.read_text("utf-8")))
    }

    record_property("figure", f"0 faults in {len(files)} modules")
    assert len(files) > 100
    assert found == ALLOWED


# --- processing goes on after a failed authentication ---------------------------------
def forged(federation, of):
    """Return an envelope that fails to authenticate, by each way to fail."""
    good = federation.begin("a")
    hub = federation.cast.identities["hub-sz"]
    ways = {
        "another key": lambda: replace(
            good, signature=hub.sign(DOMAIN, good.header.text)
        ),
        "no signature": lambda: replace(good, signature=bytes(64)),
        "a party without the office": lambda: federation.envelope(
            "begin", "a", sender="hub-hk"
        ),
        "another header": lambda: replace(
            good, header=replace(good.header, run="another")
        ),
    }
    return ways[of]()


FORGED = ("another key", "no signature", "a party without the office", "another header")


@pytest.mark.parametrize("of", FORGED)
def test_nothing_happens_after_an_authentication_that_failed(federation, of):
    site, hub = federation.sites["a"], federation.hubs["hub-hk"]
    envelope = forged(federation, of)

    assert site.handle(envelope.data) == []
    if of != "a party without the office":  # which a hub does carry: to be dropped
        with pytest.raises((BadSignature, BadEnvelope, NotAParty)):
            hub.accept(envelope.header.sender, envelope.data)
        assert hub.waiting("a", 0).items == ()

    assert site._runs == {}
    assert site._store.rows("SELECT * FROM begun") == []
    (entry,) = [json.loads(e) for e in federation.log_entries(site)]
    assert entry["what"] == "dropped"


# --- names that a sender gives itself: T12 --------------------------------------------
@pytest.mark.parametrize("claimed", ["b", "hub-hk", "hub-sz", "nobody"])
def test_a_connection_that_proved_one_name_cannot_speak_under_another(
    federation, claimed
):
    """The name is that of the certificate; what a header says must be the same."""
    hub, task = federation.hubs["hub-hk"], federation.begin("a")

    with pytest.raises(NotAParty):
        hub.accept(claimed, task.data)

    assert hub.waiting("a", 0).items == ()


def test_a_site_that_names_another_in_its_header_is_refused(federation):
    """Its connection is its own, its signature too; only the name is not."""
    hub = federation.hubs["hub-hk"]
    me = federation.cast.identities["a"]
    header = replace(federation.envelope("share", "hub-hk", sender="b").header)
    own = seal(me, federation.cast.directory["hub-hk"], header, pack({}))
    lying = replace(own.header, sender="b")
    envelope = Envelope(lying, me.sign(DOMAIN, lying.text), own.payload)

    for name in ("a", "b"):
        with pytest.raises((NotAParty, BadSignature)):
            hub.accept(name, envelope.data)


# --- encryption taken away: T13 -------------------------------------------------------
@pytest.mark.parametrize("prefix", [b"", bytes(32), bytes(48)])
def test_content_in_the_clear_is_refused_though_the_signature_is_right(
    federation, prefix
):
    site, sender = federation.sites["a"], federation.cast.identities["coordinator"]
    good = federation.begin("a")
    content = prefix + pack({"study": {}, "permit": {}})
    header = replace(good.header, payload=digest_bytes(content))
    envelope = Envelope(header, sender.sign(DOMAIN, header.text), content)

    posts = site.handle(envelope.data)

    assert "HT-311" in federation.refusals(posts)[0]
    assert site._runs == {}


# --- replay, also after a restart: T14 ------------------------------------------------
def test_no_recorded_message_is_acted_on_twice_nor_after_a_restart(
    tmp_path, record_property
):
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(tmp_path / "f", plan) as federation:
        federation.run()
        parties = (*federation.sites, *federation.hubs)
        folder = {name: federation.open_site(name) for name in federation.sites}
        sizes = {name: site._log.size for name, site in folder.items()}
        asked = [
            data
            for data in federation.carried
            if parse_envelope(data).header.recipient in folder
        ]

        again = [folder[parse_envelope(d).header.recipient].handle(d) for d in asked]

        new = [
            data
            for posts in again
            for _, data in posts
            if data not in federation.carried
        ]
        assert len(asked) > 12
        assert len(parties) == 5
        record_property("figure", f"{len(asked)} replayed, {len(new)} new answers")
        assert new == []  # the very bytes of before, or nothing
        assert {name: site._log.size for name, site in folder.items()} == sizes


# --- an allow-list walked around: T2 --------------------------------------------------
def test_a_task_that_names_a_listed_analysis_and_asks_another_gets_nothing(tmp_path):
    """The permit lists one protocol; the study's other analysis stays shut."""
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(tmp_path / "f", plan) as federation:
        permit = federation.bundle.permit
        listed = tuple(p for p in permit.protocols if p.name == "counts")
        bundle = federation.cast.approved(
            Bundle(replace(permit, protocols=listed)),
            federation.clock(),
        )
        federation.bundle = bundle
        site = federation.sites["a"]
        site.handle(federation.begin("a", bundle).data)
        under = [
            {"analysis": "model"},
            {"analysis": "model", "protocol": "counts", "version": "1"},
            {"analysis": "attrition", "task": "model/1/0"},
            {"analysis": "model", "task": "attrition/1/0"},
        ]

        answers = [site.handle(federation.task("a", **f).data) for f in under]

    kinds = {parse_envelope(d).header.kind for posts in answers for _, d in posts}
    assert kinds == {"refusal"}


def test_only_the_sites_that_a_permit_names_answer(tmp_path):
    """FLIP 1270: a number of sites was asked, and every node ran."""
    with Federation(tmp_path / "f") as federation:
        permit = replace(federation.bundle.permit, sites=("a", "b"))
        bundle = federation.cast.approved(Bundle(permit), federation.clock())
        federation.bundle = bundle
        answers = {
            name: site.handle(federation.begin(name, bundle).data)
            for name, site in federation.sites.items()
        }

        refused = {
            name for name, posts in answers.items() if federation.refusals(posts)
        }

    assert "c" in refused
