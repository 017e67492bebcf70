"""The demonstration, step by step, as its parties would do it.

Every step is the command that a hospital, an approver or an investigator would type,
in a process of its own. Only the last comparison is something that no real network
could do: this machine happens to hold all sites' files.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hetao.demo.data import write_heart_extracts
from hetao.demo.data_carrier import mapping_of, study_file
from hetao.demo.data_gba import SITES as GBA
from hetao.demo.data_gba import gba_mapping, with_truth, write_gba_extracts
from hetao.demo.data_lung import write_lung_extracts
from hetao.demo.pooled import compare_with_pooled
from hetao.dossier import write_page
from hetao.errors import InvalidNetwork
from hetao.federation.clock import utc_now
from hetao.federation.pilot import (
    HOST,
    Pilot,
    PilotSite,
    PilotWitness,
    write_pilot,
)
from hetao.federation.processes import command, environment, run_study, running, told
from hetao.ledger.note import vkey
from hetao.permit import read_directory
from hetao.report import Comparison, Extras, write_report

Say = Callable[[str], None]

OPEN_POLICY: Final = """\
# One count lies under the strict default, openly; all others are the default's.
reason = "Public research data; {why}"

[minimum]
{count} = 5
"""


@dataclass(frozen=True)
class Scenario:
    """A demonstration: its sites, and how their extracts come about.

    Attributes:
        write_extracts: writes every site's extract below a folder.
        mapping: site → the files of its mapping, by name, `site.toml` among them.
        sides, organisations: of each site.
        lowered: site → the count under the strict default, and why.
    """

    name: str
    write_extracts: Callable[[Path], Mapping[str, Path]]
    mapping: Callable[[str], Mapping[str, str]]
    sides: Mapping[str, str]
    organisations: Mapping[str, str]
    lowered: Mapping[str, tuple[str, str]]


SCENARIOS: Final = {
    "heart": Scenario(
        "heart",
        write_heart_extracts,
        mapping_of,
        {
            "cleveland": "HK",
            "budapest": "SZ",
            "zurich-basel": "SZ",
            "long-beach": "HK",
        },
        {
            "cleveland": "Cleveland Clinic Foundation",
            "budapest": "Hungarian Institute of Cardiology, Budapest",
            "zurich-basel": "University Hospitals Zurich and Basel",
            "long-beach": "V.A. Medical Center, Long Beach",
        },
        {
            "zurich-basel": ("events", "few patients here have no coronary disease"),
            "long-beach": ("cell", "few patients here are women"),
        },
    ),
    "lung": Scenario(
        "lung",
        write_lung_extracts,
        mapping_of,
        {"lung-north": "HK", "lung-east": "SZ", "lung-south": "SZ"},
        {
            "lung-north": "NCCTG institutions, group one",
            "lung-east": "NCCTG institutions, group two",
            "lung-south": "NCCTG institutions, group three",
        },
        {},
    ),
    "gba": Scenario(
        "gba",
        write_gba_extracts,
        gba_mapping,
        {name: site.side for name, site in GBA.items()},
        {name: site.title for name, site in GBA.items()},
        {},
    ),
}


@dataclass(frozen=True)
class Shown:
    """What a demonstration leaves.

    Attributes:
        out: its folder.
        findings: of the run.
        comparisons: with the pooled fit.
        seconds: that it took.
        parties, policy: the list and the policy by which its reader verifies.
    """

    out: Path
    findings: Mapping[str, Any]
    comparisons: tuple[Comparison, ...]
    seconds: float
    parties: Path
    policy: Path


def run_demo(out: Path, scenario: str, say: Say) -> Shown:
    """Carry out a demonstration and leave its results in `out`.

    Args:
        out: a folder of its own; results of an earlier demonstration in it are
            replaced, its network and logs are kept aside.
        scenario: "heart", "lung" or "gba".
        say: takes progress.

    Raises:
        HetaoError: a step failed; the sentence is that step's own.
    """
    start = time.monotonic()
    chosen = SCENARIOS[scenario]
    pilot, out = _network(out, chosen, say)
    _curate(pilot, say)
    study, permit = _permit(pilot, out, chosen, say)
    say("5/8  run: two hubs and every site as processes, mutual TLS, sites dial out")
    with running(pilot) as others:
        run_study(study, permit, pilot, out, others)
    comparisons = _compare(pilot, study, out, chosen, say)
    findings = json.loads((out / "findings.json").read_text("utf-8"))
    _report(out, findings, comparisons, say)
    policy = _verify(pilot, out, say)
    seconds = time.monotonic() - start
    return Shown(out, findings, comparisons, seconds, pilot.parties, policy)


def _network(out: Path, scenario: Scenario, say: Say) -> tuple[Pilot, Path]:
    root = out / "network"
    if root.exists():
        # Kept, not deleted: logs of an earlier run are evidence.
        root.rename(_aside(root))
    elif out.exists() and any(out.iterdir()):
        raise InvalidNetwork(
            f"{out} holds something else", fix="choose an empty folder with --out"
        )
    root.mkdir(mode=0o700, parents=True)  # by which a next one knows the folder
    say(f"1/8  {len(scenario.sides)} hospitals: keys, and each one's own extract")
    mappings = {name: scenario.mapping(name) for name in scenario.sides}
    sites = {
        name: PilotSite(
            side=side,
            organisation=scenario.organisations[name],
            data=mappings[name]["site.toml"],
            policy=_policy(scenario, name),
        )
        for name, side in scenario.sides.items()
    }
    pilot = write_pilot(root, sites, utc_now(), _witness(root / "witness", say))
    _watch(pilot)
    for name, path in pilot.sites.items():
        for file, text in mappings[name].items():
            if file != path.name:  # which has the network's half, too
                (path.parent / file).write_text(text, "utf-8")
    scenario.write_extracts(root / "sites")
    return pilot, out


def _witness(folder: Path, say: Say) -> PilotWitness:
    """Make a third witness, with the commands that an independent one types."""
    say("     and a third witness, whom this demonstration plays too: on one machine")
    say("     nobody is independent, and a real one stands elsewhere")
    keys = _command("witness", "init", folder, "--name", "third.example")
    _command("witness", "tls", folder, "--host", HOST)
    return PilotWitness(folder, keys.split()[0])


def _watch(pilot: Pilot) -> None:
    """Have the third witness watch the coordinator's log."""
    boss = read_directory(pilot.parties)["coordinator"]
    if pilot.witness:
        key = vkey(boss.name, boss.sign_key)
        _command("witness", "trust", pilot.witness.folder, key)


def _verify(pilot: Pilot, out: Path, say: Say) -> Path:
    """Verify the certificate by a reader's own policy, and return that."""
    say("8/8  verify the certificate, offline, in a process that knows nothing but a")
    say("     reader's own parties and policy: both hubs, and the third witness")
    reader = pilot.root / "reader"
    reader.mkdir()
    policy, trust = reader / "policy", ("--trust", pilot.parties)
    if pilot.witness:
        third = ("--independent", pilot.witness.vkey, pilot.witness.url)
        _command("witness", "policy", *trust, *third, "--out", policy)
    words = ("verify", out / "certificate.json", *trust, "--policy", policy)
    say(f"     {_command(*words).splitlines()[-1]}")
    return policy


def _policy(scenario: Scenario, site: str) -> str:
    if site not in scenario.lowered:
        return ""
    count, why = scenario.lowered[site]
    return OPEN_POLICY.format(count=count, why=why)


def _aside(root: Path) -> Path:
    number = 1
    while (kept := root.with_name(f"{root.name}.{number}")).exists():
        number += 1
    return kept


def _curate(pilot: Pilot, say: Say) -> None:
    say("2/8  curate: each hospital's extract to OMOP CDM 5.4, with a quality report")
    _command("site", "curate", *pilot.sites.values())  # the libraries load once


def _permit(pilot: Pilot, out: Path, scenario: Scenario, say: Say) -> tuple[Path, Path]:
    say("3/8  study: one file, one digest")
    study, permit = out / "study.toml", out / "permit.json"
    study.write_text(study_file(scenario.name).read_text("utf-8"), "utf-8")
    _command("study", "check", study)
    say("4/8  permit: drafted from the study, signed by four offices on two sides")
    permit.unlink(missing_ok=True)
    _command("study", "propose", study, "--network", pilot.network, "--out", permit)
    for key in pilot.approvers.values():
        _command("permit", "approve", permit, "--key", key)
    return study, permit


def _compare(
    pilot: Pilot, study: Path, out: Path, scenario: Scenario, say: Say
) -> tuple[Comparison, ...]:
    say("6/8  beside it, a pooled fit by statsmodels: only a demonstration can do that")
    found = compare_with_pooled(study, pilot.sites, out / "findings.json")
    if scenario.name == "gba":
        found = tuple(with_truth(item) for item in found)
    for item in found:
        say(f"     {item.analysis}: largest difference {item.largest:.1e} SE")
    return found


def _report(
    out: Path,
    findings: Mapping[str, Any],
    comparisons: tuple[Comparison, ...],
    say: Say,
) -> None:
    say(f"7/8  report: {out / 'report.html'} opens from disk, with no network")
    extras = Extras(
        comparison=comparisons,
        timings=findings["seconds"],
        bytes_per_site=findings["bytes_per_site"],
        messages=findings["messages"],
    )
    certificate = (out / "certificate.json").read_bytes()
    write_report(out / "report.html", certificate, extras)
    write_page(out / "certificate.html", certificate)


def _command(*words: str | Path) -> str:
    """Run a command of ours in a process of its own, and return what it printed."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command(*words),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise told(done.returncode, done.stderr.splitlines())
    return done.stdout
