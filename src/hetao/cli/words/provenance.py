"""Words: what was committed to, act by act, and who is shown it."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group

MODULE = "hetao.cli.provenance"
AUDIT = "hetao.cli.audit"
PATIENT = "the hospital's own number, as its export has it; - to be asked for it"


def add_provenance(commands: Commands) -> None:
    """Add the words of `hetao provenance …`."""
    acts = group(
        commands, "provenance", "show, draw, check and shred single medical acts"
    )
    _add_open(acts)
    verify = command(
        acts, "verify", f"{MODULE}:verify", "check a file of acts; needs no network"
    )
    verify.add_argument("file", type=Path, metavar="FILE")
    _add_parties(verify)
    verify.add_argument(
        "--certificate",
        type=Path,
        metavar="CERTIFICATE",
        help="of the study that ran on them; also holds drawn acts to the draw",
    )
    _add_own_draw(verify, "of the site to your own ask, as you had it first")
    verify.add_argument("--show", action="store_true", help="print the acts themselves")
    add_json(verify)
    sample = command(
        acts,
        "audit-sample",
        f"{MODULE}:sample",
        "draw acts by what the hubs signed after the site had committed",
    )
    sample.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    sample.add_argument("--site", required=True, metavar="NAME")
    sample.add_argument("--acts", type=int, default=300, metavar="N")
    sample.add_argument("--trust", type=Path, metavar="PARTIES.toml")
    _add_own_draw(sample, "of the site: draw with it")
    sample.add_argument("--out", type=Path, required=True, metavar="SAMPLE")
    _add_joint(acts)
    replay = command(
        acts,
        "replay",
        f"{MODULE}:replay",
        "carry a site's steps out again, and hold each bit to what it released",
    )
    replay.add_argument("site", type=Path, metavar="SITE.toml")
    replay.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    add_json(replay)
    shred = command(
        acts,
        "shred",
        f"{MODULE}:shred",
        "destroy the key of one person's acts in every extract, for good",
    )
    shred.add_argument("site", type=Path, metavar="SITE.toml")
    whose = shred.add_mutually_exclusive_group(required=True)
    whose.add_argument("--person", type=int, metavar="ID", help="as the tables have it")
    whose.add_argument("--patient", metavar="ID", help=PATIENT)


def add_commit(site: Commands) -> None:
    """Add the words of `hetao site commit`."""
    commit = command(
        site,
        "commit",
        f"{MODULE}:commit",
        "commit to every medical act of a snapshot, and log the root",
    )
    commit.add_argument("site", type=Path, metavar="SITE.toml")
    commit.add_argument("--snapshot", metavar="DIGEST", help="the current one if none")
    add_json(commit)


def _add_open(acts: Commands) -> None:
    opened = command(
        acts, "open", f"{MODULE}:show", "show acts to somebody whom the site allows"
    )
    opened.add_argument("site", type=Path, metavar="SITE.toml")
    opened.add_argument("--to", required=True, metavar="NAME", help="who is shown them")
    which = opened.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--act",
        metavar="PERSON[/VISIT]",
        help="a visit, or PERSON/2020-02-29 for a day outside of visits",
    )
    which.add_argument("--patient", metavar="ID", help=PATIENT)
    which.add_argument("--index", type=int, metavar="N", help="where it stands")
    which.add_argument("--event", metavar="ID", help="an EPCIS event, by its eventID")
    which.add_argument("--sample", type=Path, metavar="SAMPLE", help="acts drawn")
    opened.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="of the study, from which the acts must follow that were drawn",
    )
    opened.add_argument(
        "--day", default="", metavar="2020-02-29", help="on which a patient's act began"
    )
    opened.add_argument("--snapshot", metavar="DIGEST", help="the current one if none")
    opened.add_argument("--out", type=Path, required=True, metavar="FILE")


def _add_joint(acts: Commands) -> None:
    ask = command(
        acts,
        "audit-ask",
        f"{AUDIT}:ask",
        "bind yourself to a secret, before the site answers with its own",
    )
    ask.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    ask.add_argument("--site", required=True, metavar="NAME")
    ask.add_argument("--to", required=True, metavar="NAME", help="you")
    ask.add_argument("--acts", type=int, default=300, metavar="N")
    _add_parties(ask)
    ask.add_argument("--secret", type=Path, required=True, metavar="SECRET")
    ask.add_argument("--out", type=Path, required=True, metavar="ASK")
    answer = command(
        acts,
        "audit-answer",
        f"{AUDIT}:answer",
        "answer an auditor's ask, once for each extract and person",
    )
    answer.add_argument("site", type=Path, metavar="SITE.toml")
    answer.add_argument("ask", type=Path, metavar="ASK")
    answer.add_argument(
        "--certificate", type=Path, required=True, metavar="FILE", help="of the study"
    )
    answer.add_argument("--out", type=Path, required=True, metavar="ANSWER")


def _add_own_draw(parser: argparse.ArgumentParser, answer: str) -> None:
    parser.add_argument("--answer", type=Path, metavar="ANSWER", help=answer)
    parser.add_argument("--secret", type=Path, metavar="SECRET", help="of audit-ask")


def _add_parties(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        type=Path,
        required=True,
        metavar="PARTIES.toml",
        help="your own list of parties",
    )
