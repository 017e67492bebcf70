"""Words: licences to use what was found."""

import argparse
from pathlib import Path

from hetao.cli.words.certificate import add_state
from hetao.cli.words.parser import Commands, add_quorum, command, group

STATES = {
    "revoke": ("revoked", "take a licence back for good; logged and witnessed"),
    "suspend": ("suspended", "take a licence back for now"),
    "restore": ("valid", "end a suspension"),
}


NEWEST_DAYS = 7  # a licence that was revoked is known as such within that time


def add_licence(commands: Commands) -> None:
    """Add the words of `hetao licence …`."""
    licence = group(
        commands, "licence", "who may use a finding for what until when; no token"
    )
    module = "hetao.cli.licence"

    def add(name: str, text: str, run: str = "") -> argparse.ArgumentParser:
        return command(licence, name, f"{module}:{run or name}", text)

    issue = add("issue", "log a licence for findings of a certificate, and write it")
    issue.add_argument("--terms", type=Path, required=True, metavar="LICENCE.toml")
    issue.add_argument("--network", type=Path, required=True, metavar="NETWORK.toml")
    present = add("present", "write a licence with only what a reader is to see")
    check = add("check", "check a licence as it was presented")
    for one in (present, check):
        one.add_argument("licence", type=Path, metavar="LICENCE")
        one.add_argument("--audience", default="", metavar="NAME", help="the reader")
        one.add_argument("--nonce", default="", metavar="TEXT", help="the reader's")
    present.add_argument(
        "--show", action="append", default=[], metavar="NAME",
        help="licensee, conditions, or a finding; again for each",
    )  # fmt: skip
    present.add_argument("--key", type=Path, metavar="NAME.sign.pem", help="holder's")
    check.add_argument("--status", type=Path, required=True, metavar="STATUS.json")
    add_quorum(check)
    check.add_argument(
        "--newest", type=int, default=NEWEST_DAYS, metavar="DAYS",
        help="how old the status snapshot may be (7)",
    )  # fmt: skip
    claim = add("erc3643", "write a signed claim for a tokenisation platform", "claim")
    claim.add_argument("--side", required=True, choices=("HK", "SZ"))
    claim.add_argument("--chain", type=int, required=True, metavar="NUMBER")
    claim.add_argument("--identity", required=True, metavar="0x…", help="of the asset")
    claim.add_argument("--issuer", required=True, metavar="0x…", help="claim issuer")
    claim.add_argument("--key", type=Path, required=True, metavar="FILE")
    for one in (issue, claim):
        one.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    check.add_argument("--certificate", type=Path, required=True, metavar="CERTIFICATE")
    for one in (issue, present, claim):
        one.add_argument("--out", type=Path, required=True, metavar="FILE")
    for name, (state, text) in STATES.items():
        one = add(name, text, "publish")
        one.add_argument("licence", type=Path, metavar="LICENCE")
        one.add_argument(
            "--certificate", type=Path, required=True, metavar="CERTIFICATE"
        )
        add_state(one, state)
