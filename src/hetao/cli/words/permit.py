"""Words: what people say about a permit."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group

SAYING = {
    "approve": "approve it, in the office of the key's owner",
    "refuse": "refuse it, for good",
    "withdraw": "take an approval back, for good",
    "suspend": "stop every use until it is resumed",
    "resume": "lift the suspensions of one's own office",
    "vary": "tighten a term, or set a condition",
    "warn": "warn, which stops nothing",
    "revoke": "end it, for good",
    "close": "end it when the work is done; a report is due",
    "amend": "end it in favour of a new version, which nobody has approved",
    "renew": "say that it still holds, as every side must within its lease",
}


def add_permit(commands: Commands) -> None:
    """Add the words of `hetao permit …`."""
    verbs = group(commands, "permit", "what people say about a permit")
    module = "hetao.cli.permit"
    show = command(verbs, "show", f"{module}:show", "how a permit stands, and why")
    show.add_argument("permit", type=Path, metavar="PERMIT")
    add_json(show)
    for verb, text in SAYING.items():
        function = verb if verb in ("amend", "renew") else "sign"
        one = command(verbs, verb, f"{module}:{function}", text)
        one.set_defaults(verb=verb)
        one.add_argument("permit", type=Path, metavar="PERMIT")
        one.add_argument(
            "--key",
            type=Path,
            required=True,
            metavar="KEY",
            action="append" if verb == "renew" else "store",
        )
        one.add_argument("--reason", default="", help="for those who read it")
        one.add_argument(
            "--delegation", type=Path, metavar="FILE", help="of `permit delegate`"
        )
        add_json(one)
        if verb in ("vary", "amend"):
            one.add_argument(
                "--set", action="append", default=[], metavar="FIELD=VALUE"
            )
        if verb == "suspend":
            one.add_argument("--until", default="", metavar="2026-11-22T00:00:00Z")
        if verb == "amend":
            one.add_argument("--out", type=Path, required=True, metavar="PERMIT")
        if verb == "renew":
            _add_renewing(one)
    _add_delegate(verbs, module)


def _add_renewing(renew: argparse.ArgumentParser) -> None:
    renew.add_argument(
        "--every",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="go on renewing; an unattended key should be one that can only renew",
    )
    renew.add_argument(
        "--into",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="also write the permit file here, such as a site's folder of notices",
    )


def _add_delegate(verbs: Commands, module: str) -> None:
    lend = command(
        verbs, "delegate", f"{module}:delegate", "let somebody act in one's office"
    )
    lend.add_argument("permit", type=Path, metavar="PERMIT")
    lend.add_argument("--key", type=Path, required=True, metavar="KEY")
    lend.add_argument("--to", required=True, metavar="NAME")
    lend.add_argument("--days", type=int, default=30)
    lend.add_argument("--out", type=Path, required=True, metavar="FILE")
