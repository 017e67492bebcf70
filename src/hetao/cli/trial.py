"""`hetao trial …`: size and bounds of a trial, and who gets what."""

import argparse
import json
import math
import os
import secrets
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from hetao.alone import alone
from hetao.canonical import canonical, parse_canonical
from hetao.cli.main import folder_for, say
from hetao.errors import InvalidData, Usage
from hetao.records import record
from hetao.trial import (
    Allocation,
    Commitment,
    Enrolled,
    Minimisation,
    Opening,
    Plan,
    TrialFile,
    assign,
    commit_minimisation,
    course,
    drift_for,
    inflation,
    read_trial,
    verify_minimisation,
    verify_opening,
    verify_secret,
)
from hetao.trial.allocation import SECRET_BYTES
from hetao.whole import read_whole, write_new, write_whole

T = TypeVar("T")
LARGEST = 64 * 2**20  # bytes of a file of enrolled people


def plan(chosen: argparse.Namespace) -> int:
    """Print how many people a trial needs, and its bounds."""
    trial = read_trial(chosen.trial)
    body = {"name": trial.name, **_size(trial), **_looks(trial), **_arms(trial)}
    if chosen.json:
        return _print(body)
    lines = [f"{trial.name}"]
    if "size" in body:
        lines += _size_lines(body["size"])
    if "looks" in body:
        lines += _looks_lines(body["looks"])
    if "allocation" in body:
        lines.append(f"  allocation {body['allocation']}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def commit(chosen: argparse.Namespace) -> int:
    """Draw the secret of an allocation, and write what to publish beforehand."""
    trial = read_trial(chosen.trial)
    rule = trial.plan
    folder_for(chosen.out)
    chosen.out.mkdir(parents=True, exist_ok=True)
    secret_path = chosen.out / "allocation.secret"
    public = chosen.out / "commitment.json"
    is_begun = secret_path.exists() and not public.exists()  # by a run that was killed
    secret = _secret(secret_path) if is_begun else secrets.token_bytes(SECRET_BYTES)
    made = (
        Allocation(rule, secret).commitment
        if isinstance(rule, Plan)
        else commit_minimisation(rule, secret)
    )
    try:
        if not is_begun:
            write_new(secret_path, f"{secret.hex()}\n".encode)
    except FileExistsError as problem:
        raise Usage(
            f"{secret_path} is already there: the trial has its secret",
            fix="name another folder with --out; never draw twice for one trial",
        ) from problem
    write_whole(public, canonical(asdict(made)) + b"\n")
    say(f"{secret_path} is for who allots alone, until the trial is over")
    say(f"{public} is to be published before the first person is enrolled")
    sys.stdout.write(made.digest + "\n")
    return 0


def reveal(chosen: argparse.Namespace) -> int:
    """Print one place of the list, with its proof."""
    rule = read_trial(chosen.trial).plan
    if not isinstance(rule, Plan):
        raise Usage("minimisation has no list; use `hetao trial assign`")
    allocation = Allocation(rule, _secret(chosen.secret))
    opening = asdict(allocation.open(chosen.stratum, chosen.place))
    sys.stdout.write(canonical({**opening, "proof": [*opening["proof"]]}).decode())
    sys.stdout.write("\n")
    return 0


def enrol(chosen: argparse.Namespace) -> int:
    """Allot the next person by minimisation, and keep it in the file of enrolled."""
    rule = read_trial(chosen.trial).plan
    if not isinstance(rule, Minimisation):
        raise Usage("the trial has a list; use `hetao trial open`")
    levels = tuple(part.strip() for part in chosen.levels.split(","))
    secret = _secret(chosen.secret)
    with alone(chosen.enrolled.parent):  # else two people would be of one number
        before = _enrolled(chosen.enrolled) if chosen.enrolled.exists() else []
        found = assign(rule, secret, before, levels)
        rows = [{"levels": [*p.levels], "arm": p.arm} for p in (*before, found)]
        part = chosen.enrolled.with_name(f".{chosen.enrolled.name}.part")
        with part.open("wb") as file:
            file.write(canonical(rows) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(chosen.enrolled)
    return _print({"number": len(rows), **asdict(found)})


def check(chosen: argparse.Namespace) -> int:
    """Check an opening, or a whole trial once its secret is published."""
    published = _read(Commitment, chosen.commitment)
    if chosen.opening:
        verify_opening(published, _read(Opening, chosen.opening))
        say("the place is the one that was committed to")
        return 0
    if not chosen.secret:
        raise Usage("name --opening, or the published --secret")
    rule, secret = read_trial(chosen.trial).plan, _secret(chosen.secret)
    if isinstance(rule, Plan):
        verify_secret(published, rule, secret)
        say("the secret makes the list that was committed to")
        return 0
    if not chosen.enrolled:
        raise Usage("a minimisation is checked with --enrolled, everybody in order")
    everybody = _enrolled(chosen.enrolled)
    verify_minimisation(published, rule, secret, everybody)
    say(f"all {len(everybody)} people got the arm that rule and coin say")
    return 0


# --- what is printed ------------------------------------------------------------------
def _size(trial: TrialFile) -> dict[str, Any]:
    if not trial.size:
        return {}
    size = trial.size.needed()
    return {"size": {**asdict(size), "people": size.people}}


def _looks(trial: TrialFile) -> dict[str, Any]:
    if not trial.looks:
        return {}
    bounds, power = trial.looks.bounds(), trial.looks.power
    body: dict[str, Any] = {
        "alpha": bounds.alpha,
        "information": bounds.information,
        "efficacy": bounds.upper,
        "futility": [z if math.isfinite(z) else None for z in bounds.lower],
        "spent": bounds.spent,
    }
    if bounds.information[-1] == 1:
        drift = drift_for(bounds, power)
        told = course(bounds, drift)
        body |= {
            "power": power,
            "drift": drift,
            **_largest(trial, inflation(bounds, power)),
            "stops_for_efficacy": told.efficacy,
            "expected_information": told.information,
            "expected_information_without_effect": course(bounds, 0.0).information,
        }
    return {"looks": body}


def _largest(trial: TrialFile, factor: float) -> dict[str, Any]:
    """Return how much larger a trial of many looks is than one of a single look.

    The single look is that of the looks' own error, whatever the size was asked for.
    """
    body: dict[str, Any] = {"inflation": factor}
    if trial.size and trial.looks and trial.size.power == trial.looks.power:
        size = replace(trial.size, alpha=trial.looks.alpha, sides=1).needed()
        body["people"] = math.ceil(size.exact * factor)
        body["events"] = (
            None if size.events is None else math.ceil(size.events * factor)
        )
    return body


def _arms(trial: TrialFile) -> dict[str, Any]:
    if not (trial.allocation or trial.minimisation):
        return {}
    return {"allocation": trial.plan.digest}


def _size_lines(size: dict[str, Any]) -> list[str]:
    lines = [f"  people {size['people']}: {size['control']} control"]
    lines[0] += f", {size['treated']} treated"
    if size["events"] is not None:
        lines.append(f"  events {math.ceil(size['events'])}")
    return lines


def _looks_lines(looks: dict[str, Any]) -> list[str]:
    lines = ["  information  efficacy z  futility z  alpha spent"]
    for share, upper, lower, spent in zip(
        looks["information"],
        looks["efficacy"],
        looks["futility"],
        looks["spent"],
        strict=True,
    ):
        low = f"{lower:10.4f}" if lower is not None else "         -"
        lines.append(f"  {share:11.4f}  {upper:10.4f}  {low}  {spent:11.6f}")
    if "power" in looks:
        largest = f"  largest sample {looks['inflation']:.4f} times that of one look"
        largest += f" at a one-sided alpha of {looks['alpha']:g}"
        if "people" in looks:
            largest += f": people {looks['people']}"
            largest += f", events {looks['events']}" if looks["events"] else ""
        lines.append(largest)
        lines.append(
            f"  power {looks['power']:g}: expected information "
            f"{looks['expected_information']:.4f} of the whole, "
            f"{looks['expected_information_without_effect']:.4f} without an effect"
        )
    return lines


def _print(body: Any) -> int:
    sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
    return 0


# --- what is read ---------------------------------------------------------------------
def _secret(path: Path) -> bytes:
    text = path.read_text("ascii", errors="replace").strip()
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise InvalidData(
            f"{path.name} is no secret of {SECRET_BYTES} bytes in hexadecimal"
        )
    return secret


def _value(path: Path) -> Any:
    return parse_canonical(read_whole(path, LARGEST).rstrip(b"\n"))


def _read(kind: type[T], path: Path) -> T:
    return record(kind, _value(path), path.name, InvalidData)


def _enrolled(path: Path) -> list[Enrolled]:
    rows = _value(path)
    if not isinstance(rows, list):
        raise InvalidData(f"{path.name} is no list of people")
    return [record(Enrolled, row, path.name, InvalidData) for row in rows]
