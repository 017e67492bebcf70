"""`hetao study check` and `hetao study propose`."""

import argparse
import dataclasses
import json
import sys
from dataclasses import replace
from pathlib import Path

from hetao.analysis import estimator_for
from hetao.cli.main import say
from hetao.dictionary import dictionary
from hetao.errors import InvalidData, InvalidNetwork, Usage
from hetao.federation.clock import utc_now
from hetao.federation.network import read_parties
from hetao.federation.propose import Request, draft_permit
from hetao.ledger.extracts import policy_of
from hetao.permit import (
    Bundle,
    Permit,
    check_form,
    read_facts,
    rulebook_with,
    write_bundle,
)
from hetao.study import fields_read, read_study

MOST_DAYS = 3660  # ten years


def check(chosen: argparse.Namespace) -> int:
    """Check a study file and every plan in it; print its digest and the levels."""
    study = read_study(chosen.study)
    analyses = []
    for analysis in study.analyses:
        estimator = estimator_for(study, analysis)
        fields = fields_read(study, analysis)
        sums = {name: list(s.shape) for name, s in estimator.declare(1).items()}
        analyses.append(
            {
                "name": analysis.name,
                "method": analysis.method,
                "most_rounds": estimator.most_rounds,
                "level": dictionary().level(fields),
                "fields": list(fields),
                "sums": sums,
            }
        )
    if chosen.json:
        definitions = [dataclasses.asdict(one) for one in study.definitions]
        body = {"study": study.name, "digest": study.digest, "analyses": analyses}
        body |= {"definitions": definitions}
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    say(f"{chosen.study.name} holds: {study.title}")
    for one in study.definitions:
        say(f"  {one.part}: from {one.file}, {one.digest}")
    for item in analyses:
        rounds, level = item["most_rounds"], item["level"]
        say(f"  {item['name']}: {item['method']}, at most {rounds} rounds,")
        say(f"      from data of level {level}")
    sys.stdout.write(study.digest + "\n")
    return 0


def propose(chosen: argparse.Namespace) -> int:
    """Draft the permit of a study and write it for the approvers."""
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a permit holds for 1 to {MOST_DAYS} days")
    study = read_study(chosen.study)
    network = chosen.network or chosen.study.with_name("network.toml")
    out: Path = chosen.out or chosen.study.with_name("permit.json")
    if out.exists():
        raise InvalidNetwork(
            f"{out} is already there", fix="a new draft needs a new name: --out"
        )
    trusted, grade = read_parties(network), chosen.highest_grade
    request = _request(chosen)
    bundle = draft_permit(study, trusted, utc_now(), chosen.days, grade, request)
    bundle = _as_chosen(bundle.permit, chosen)
    write_bundle(out, bundle)
    if chosen.json:
        body = {"permit": str(out), "digest": bundle.permit.digest}
        if bundle.permit.law is not None:
            body["route"] = bundle.permit.law.route
        sys.stdout.write(json.dumps(body) + "\n")
        return 0
    _say_law(bundle.permit)
    read = [fields_read(study, analysis) for analysis in study.analyses]
    level = max(map(dictionary().level, read))
    say(f"the study reads data of level {level}, of 1 to 5")
    say(f"{out} asks for these approvals:")
    for need in bundle.permit.required:
        say(f"  {need.role} on side {need.side} (rule {need.rule})")
    say("and for these checks of every finding before it is shown:")
    for need in bundle.permit.reviews:
        say(f"  {need.role} on side {need.side} (rule {need.rule})")
    say(f"next: each office reads it, hetao permit show {out}, and signs it,")
    say(f"hetao permit approve {out} --key NAME.sign.pem, or with a passkey")
    sys.stdout.write(bundle.permit.digest + "\n")
    return 0


def _as_chosen(permit: Permit, chosen: argparse.Namespace) -> Bundle:
    """Return a draft with the authors, the lease and the demand that were chosen."""
    authors = tuple(chosen.author) or permit.authors
    made = replace(
        permit,
        authors=authors,
        lease_hours=chosen.lease_hours,
        committed=_committed(permit, chosen.committed),
    )
    check_form(made, "the draft")
    return Bundle(made)


def _committed(permit: Permit, path: Path | None) -> str:
    """Return the witnesses that a file names, if every site could be held to them."""
    if path is None:
        return ""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidData(f"{path} cannot be read", fix="check the path") from error
    for site in permit.sites:
        policy_of(text, permit.directory[site])
    return text


def _request(chosen: argparse.Namespace) -> Request | None:
    book = rulebook_with(chosen.packs)
    if chosen.facts is None:
        return None
    return Request(read_facts(chosen.facts, book.facts, set(book.instruments)), book)


def _say_law(permit: Permit) -> None:
    if permit.law is None:
        say("no facts were given: rules that hang on facts were not asked (--facts)")
        return
    say(f"rules of {permit.law.on}, rulebook {permit.law.rulebook[:23]}…:")
    say(f"  route out of the Mainland: {permit.law.route}")
    for basis in permit.bases:
        say(f"  rests on {basis.instrument}, {basis.reference}")
    for ceiling in permit.law.holds_below:
        say(f"  while {ceiling.fact} stays under {ceiling.below:,}")
    say("this is not legal advice")
