"""Words: roots that somebody outside remembers."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, command, group


def add_anchor(commands: Commands) -> None:
    """Add the words of `hetao anchor …`."""
    anchor = group(commands, "anchor", "have a log's root remembered outside")
    module = "hetao.cli.anchor"

    def add(name: str, text: str) -> argparse.ArgumentParser:
        added = command(anchor, name, f"{module}:{name}", text)
        added.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
        return added

    tsa = add("tsa", "by a time-stamping authority (RFC 3161)")
    chain = add("chain", "by a chain of the EVM kind; Hong Kong side alone")
    scitt = add("scitt", "by a transparency service (SCITT)")
    verify = add("verify", "say when the root of a checkpoint was there")
    verify.add_argument("stamp", type=Path, metavar="STAMP.json")
    for one in (tsa, verify):
        one.add_argument("--roots", type=Path, metavar="ROOTS.pem")
    for one in (scitt, verify):
        one.add_argument(
            "--keys",
            type=Path,
            required=one is scitt,
            metavar="KEYS",
            help="of services that you trust: a COSE key set, or PEM",
        )
    for one in (tsa, chain, scitt):
        one.add_argument("--out", type=Path, required=True, metavar="STAMP.json")
    for one in (tsa, chain, scitt, verify):
        one.add_argument("--url", default="", metavar="URL")
    for one in (chain, verify):
        one.add_argument("--contract", default="", metavar="0x…")
    chain.add_argument("--key", type=Path, required=True, metavar="FILE")
    chain.add_argument("--side", required=True, choices=("HK", "SZ"))
    scitt.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="ANCHOR.pem",
        help="what signs the statement: of hetao anchor key, and never a party's",
    )
    scitt.add_argument(
        "--authority",
        type=Path,
        metavar="PEM",
        help="whose certificate the service's server has; the system's where not named",
    )
    key = command(anchor, "key", f"{module}:key", "make a key that signs for scitt")
    key.add_argument("--out", type=Path, required=True, metavar="ANCHOR.pem")
