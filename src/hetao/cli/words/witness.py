"""Words: who watches the logs."""

from pathlib import Path

from hetao.cli.words.parser import Commands, command, group


def add_witness(commands: Commands) -> None:
    """Add the words of `hetao witness …`."""
    witness = group(commands, "witness", "watch others' logs, and cosign only growth")
    module = "hetao.cli.witness"
    init = command(witness, "init", f"{module}:init", "make a witness, print its vkeys")
    init.add_argument("folder", type=Path, metavar="DIR")
    init.add_argument("--name", required=True, metavar="NAME", help="such as a host's")
    trust = command(witness, "trust", f"{module}:trust", "watch a log from now on")
    trust.add_argument("folder", type=Path, metavar="DIR")
    trust.add_argument("vkey", metavar="VKEY", help="of the log's Ed25519 key")
    tls = command(
        witness,
        "tls",
        f"{module}:tls",
        "make or renew the server's certificate, by an authority of the witness's own",
    )
    tls.add_argument("folder", type=Path, metavar="DIR")
    tls.add_argument(
        "--host",
        action="append",
        required=True,
        metavar="HOST",
        help="a name or address at which it is served; again for each",
    )
    policy = command(
        witness,
        "policy",
        f"{module}:policy",
        "write a verifier's policy: Hong Kong, Shenzhen, and one independent",
    )
    policy.add_argument("--trust", type=Path, required=True, metavar="PARTIES.toml")
    policy.add_argument(
        "--independent",
        nargs=2,
        action="append",
        required=True,
        metavar=("VKEY", "URL"),
        help="a witness that is neither side's; again for each",
    )
    policy.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="VKEY",
        help="the ML-DSA-44 key of a party's log, from hetao log keys; again for each",
    )
    policy.add_argument("--out", type=Path, required=True, metavar="FILE")
    serve = command(witness, "serve", f"{module}:serve", "cosign until told to end")
    serve.add_argument("folder", type=Path, metavar="DIR")
    serve.add_argument("--host", default="127.0.0.1", metavar="HOST")
    serve.add_argument("--port", type=int, default=8760, metavar="PORT")
    serve.add_argument("--certificate", type=Path, metavar="PEM", help="for HTTPS")
    serve.add_argument("--key", type=Path, metavar="PEM")
