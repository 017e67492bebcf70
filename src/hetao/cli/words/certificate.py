"""Words: what becomes of a certificate."""

from pathlib import Path

from hetao.cli.words.parser import Commands, command, group

STATES = {
    "revoke": ("revoked", "take a certificate back for good; logged and witnessed"),
    "suspend": ("suspended", "take a certificate back for now"),
    "restore": ("valid", "end a suspension"),
    "status": ("", "log the status lists anew, and write the snapshot of today"),
}


def add_certificate(commands: Commands) -> None:
    """Add the words of `hetao certificate …`."""
    certificate = group(commands, "certificate", "what becomes of a certificate")
    module = "hetao.cli.certificate"
    for name, (state, text) in STATES.items():
        one = command(certificate, name, f"{module}:publish", text)
        one.set_defaults(state=state)
        one.add_argument("certificate", type=Path, metavar="CERTIFICATE")
        one.add_argument("--network", type=Path, required=True, metavar="NETWORK.toml")
        one.add_argument(
            "--policy",
            type=Path,
            metavar="POLICY",
            help="witnesses, with their addresses, that are to see it",
        )
        one.add_argument(
            "--out", type=Path, default=Path("status.json"), metavar="FILE"
        )
