"""Words: what a party's own log shows, publishes and withstands."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group


def add_log(commands: Commands) -> None:
    """Add the words of `hetao log …`."""
    log = group(commands, "log", "a party's own log: check it, publish it, prove by it")
    fsck = command(
        log,
        "fsck",
        "hetao.cli.log:fsck",
        "hash every entry again and say what is wrong",
    )
    _party(fsck)
    add_json(fsck)
    prove = command(
        log,
        "prove",
        "hetao.cli.log:prove",
        "print the proof that an entry stands in the log, as C2SP tlog-proof",
    )
    _party(prove)
    prove.add_argument("index", type=int, metavar="INDEX", help="of the entry, from 0")
    vkeys = command(
        log,
        "keys",
        "hetao.cli.log:keys",
        "print the vkeys of the log, by which others verify it: Ed25519, ML-DSA-44",
    )
    _party(vkeys)
    vkeys.add_argument(
        "--add-second",
        action="store_true",
        help="make the ML-DSA-44 key of a log that has none, beside its first key",
    )
    export = command(
        log,
        "export",
        "hetao.cli.log:export",
        "write the log as static files that anybody may serve, as C2SP tlog-tiles",
    )
    _party(export)
    export.add_argument("folder", type=Path, metavar="DIR")
    _hashes(export)
    export.add_argument(
        "--witnessed",
        action="store_true",
        help="have the witnesses of [log] cosign the checkpoint that is written; "
        "hubs, who cosign certificates and status lists alone, are not asked",
    )
    serve = command(
        log,
        "serve",
        "hetao.cli.log:serve",
        "serve the log over HTTP as static files, or a folder that was exported",
    )
    serve.add_argument(
        "party", type=Path, metavar="PARTY.toml|DIR", help="its file, or the folder"
    )
    serve.add_argument("--host", default="127.0.0.1", help="127.0.0.1 if left out")
    serve.add_argument("--port", type=int, default=8443, help="8443 if left out")
    _hashes(serve)
    redact = command(
        log,
        "redact",
        "hetao.cli.log:redact",
        "take the payload of an entry out for good; its hash stays, and every proof",
    )
    _party(redact)
    redact.add_argument("index", type=int, metavar="INDEX", help="of the entry, from 0")
    fraud = command(
        log,
        "fraud",
        "hetao.cli.witness:fraud",
        "check the proof that a log has two histories; exit code 6 if it is none",
    )
    fraud.add_argument("fraud", type=Path, metavar="FILE")
    keys = fraud.add_mutually_exclusive_group(required=True)
    keys.add_argument("--policy", type=Path, metavar="FILE", help="your own list")
    keys.add_argument("--key", metavar="VKEY", help="of the log")

    _readers(log)


def _readers(log: Commands) -> None:
    follow = command(
        log,
        "follow",
        "hetao.cli.follow:follow",
        "accept what a log shows now, if your policy's quorum saw it and it only grew",
    )
    follow.add_argument(
        "place", metavar="URL|DIR", help="where its static files are, https or a folder"
    )
    follow.add_argument("folder", type=Path, metavar="SEEN", help="what you were shown")
    follow.add_argument("--policy", type=Path, required=True, metavar="FILE")
    _authority(follow)
    compare = command(
        log,
        "compare",
        "hetao.cli.follow:compared",
        "compare what readers were shown of a log; of two histories a proof is written",
    )
    compare.add_argument(
        "views", type=Path, nargs="+", metavar="SEEN", help="of follow, or a checkpoint"
    )
    compare.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for the proof"
    )
    compare.add_argument(
        "--tiles", metavar="URL|DIR", help="who showed the largest of them"
    )
    keys = compare.add_mutually_exclusive_group(required=True)
    keys.add_argument("--policy", type=Path, metavar="FILE", help="your own list")
    keys.add_argument("--key", metavar="VKEY", help="of the log")
    _authority(compare)


def _authority(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--authority",
        type=Path,
        metavar="PEM",
        help="who vouches for the server, beside the system's authorities",
    )


def _party(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "party",
        type=Path,
        metavar="PARTY.toml",
        help="the party's site.toml, hub.toml or network.toml",
    )


def _hashes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--without-entries",
        action="store_true",
        help="checkpoint and hashes alone: enough to prove by, and nothing to read",
    )
