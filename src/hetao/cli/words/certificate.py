"""Words: what becomes of a certificate."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, command, group

STATES = {
    "revoke": ("revoked", "take a certificate back for good; logged and witnessed"),
    "suspend": ("suspended", "take a certificate back for now"),
    "restore": ("valid", "end a suspension"),
    "status": ("", "log the status lists anew, and write the snapshot of today"),
}
FORMS = {
    "html": "the page that checks itself, in three languages",
    "pdf": "for a dossier",
    "crate": "the study package, a Five Safes RO-Crate in a zip",
    "sd-jwt": "an SD-JWT, of which sites and findings can be hidden",
    "scitt": "a COSE receipt that it stands in the issuer's log",
    "verifier": "verify_hetao.py, which checks a certificate with Python alone",
}


def add_certificate(commands: Commands) -> None:
    """Add the words of `hetao certificate …`."""
    certificate = group(commands, "certificate", "what becomes of a certificate")
    module = "hetao.cli.certificate"
    for name, (state, text) in STATES.items():
        one = command(certificate, name, f"{module}:publish", text)
        one.add_argument("certificate", type=Path, metavar="CERTIFICATE")
        add_state(one, state)
    export = command(
        certificate,
        "export",
        f"{module}:export",
        "what other people and systems take of a certificate; no integers in any of it",
    )
    export.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    for name, text in FORMS.items():
        export.add_argument(f"--{name}", type=Path, metavar="FILE", help=text)
    export.add_argument(
        "--key",
        type=Path,
        metavar="NAME.sign.pem",
        help="the issuer's, for --sd-jwt and --scitt",
    )
    languages = ("en", "zh-Hant", "zh-Hans")
    export.add_argument(
        "--language", choices=languages, default="en", help="of the PDF"
    )


def add_state(parser: argparse.ArgumentParser, state: str) -> None:
    """Let a command log that something stands in this state from now on."""
    parser.set_defaults(state=state)
    parser.add_argument("--network", type=Path, required=True, metavar="NETWORK.toml")
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="POLICY",
        help="witnesses that are to see it, with addresses; else those of [log]",
    )
    parser.add_argument("--out", type=Path, default=Path("status.json"), metavar="FILE")
