"""`hetao fit`: each part of a file a process of its own, over TLS, through the gate."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from hetao.cli.fit_fields import fields_of
from hetao.cli.main import folder_for, say
from hetao.errors import Usage
from hetao.federation.clock import utc_now
from hetao.federation.pilot import Pilot, PilotSite, toml_text, write_pilot
from hetao.federation.processes import run_study, running
from hetao.federation.propose import draft_permit
from hetao.notebook.drafting import Draft, draft_study
from hetao.notebook.parts import Part, split_parts
from hetao.notebook.result import FitResult, result_of
from hetao.permit import (
    SIDES,
    read_directory,
    read_identity,
    sign_notice,
    write_bundle,
)
from hetao.release import read_policy
from hetao.study.writing import write_study

MOST_PARTS: Final = 64  # a column of people's ids would else start a process a person


def fit(chosen: argparse.Namespace) -> int:
    """Fit a model and print it."""
    policy = ""
    if chosen.policy:
        read_policy(chosen.policy)  # refuse a bad policy before anything starts
        policy = chosen.policy.read_text("utf-8")
    said = fields_of(chosen)
    strata = tuple(said.pop("strata", ()))
    parts = _parts(chosen)
    if len(parts) > MOST_PARTS:
        raise Usage(
            f"there are {len(parts)} parts, each to be a process of its own; "
            f"{MOST_PARTS} are the most that one computer is asked for",
            fix="split by a column that says at which hospital a row lies; in Python, "
            "hetao.Cohort takes more parts, in one process",
        )
    draft = draft_study(chosen.model, chosen.formula, parts, strata, said)
    if chosen.out:
        folder_for(chosen.out)
    with tempfile.TemporaryDirectory(prefix="hetao-fit-") as folder:
        result = _run(draft, policy, Path(folder), chosen.out)
    if chosen.json:
        sys.stdout.write(json.dumps(dict(result.body), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(result.summary())
    return 0


def _parts(chosen: argparse.Namespace) -> tuple[Part, ...]:
    if bool(chosen.data) == bool(chosen.site):
        raise Usage("give --data FILE --split-by COLUMN, or --site NAME=FILE, repeated")
    if chosen.site:
        return tuple(_named(text) for text in chosen.site)
    if not chosen.split_by:
        raise Usage(
            "--data needs --split-by COLUMN", fix="which column names the site?"
        )
    return split_parts(chosen.data.absolute(), chosen.split_by)


def _named(text: str) -> Part:
    name, equals, file = text.partition("=")
    if not equals or not name or not file:
        raise Usage(f"--site {text[:60]!r} is not NAME=FILE")
    return Part(name, Path(file).absolute())


def _run(draft: Draft, policy: str, folder: Path, keep: Path | None) -> FitResult:
    """Set a network up, have its parties approve, run it, and read the result."""
    say(f"{len(draft.parts)} parts, each a site of its own; all is on this computer")
    say("each part's site.toml says that no column is made of genes (genes = [])")
    pilot = write_pilot(folder / "network", _sites(draft, policy), utc_now())
    study, permit, out = folder / "study.toml", folder / "permit.json", folder / "out"
    write_study(study, draft.study)
    _approve(draft, pilot, permit)
    with running(pilot) as others:
        run_study(study, permit, pilot, out, others)
    results = json.loads((out / "findings.json").read_text("utf-8"))
    certificate = (out / "certificate.json").read_bytes()
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        files = (path for path in out.iterdir() if path.is_file())
        for path in (*files, study, permit):
            (keep / path.name).write_bytes(path.read_bytes())
    return result_of(results, draft, certificate)


def _sites(draft: Draft, policy: str) -> dict[str, PilotSite]:
    found = {}
    person = f"person = {toml_text(draft.person)}\n" if draft.person else ""
    for number, part in enumerate(draft.parts):
        split = ""
        if part.split_column:
            split = (
                f"split_column = {toml_text(part.split_column)}\n"
                f"split_value = {toml_text(part.split_value)}\n"
            )
        data = (
            f"[site]\nname = {toml_text(part.site)}\n\n"
            f"[flat]\nfile = {toml_text(str(part.path))}\n{split}{person}"
            "genes = []\n"
        )
        side = SIDES[number % 2]
        found[part.site] = PilotSite(side, "a part of a file", data, policy)
    return found


def _approve(draft: Draft, pilot: Pilot, permit: Path) -> None:
    trusted = read_directory(pilot.parties)
    bundle = draft_permit(draft.study, trusted, utc_now(), days=1)
    for path in pilot.approvers.values():
        bundle = sign_notice(bundle, read_identity(path), "approve", utc_now())
    write_bundle(permit, bundle)
