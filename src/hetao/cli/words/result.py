"""Words: what was found, and what it withstands."""

from pathlib import Path

from hetao import MODELS
from hetao.cli.fit_fields import add_fields
from hetao.cli.words.parser import Commands, add_json, add_quorum, command


def add_verify(commands: Commands) -> None:
    """Add the words of `hetao verify`."""
    verify = command(
        commands, "verify", "hetao.cli.verify:verify", "check a certificate, offline"
    )
    verify.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    verify.add_argument(
        "--trust", type=Path, metavar="PARTIES.toml", help="your own list of parties"
    )
    verify.add_argument(
        "--notices",
        type=Path,
        metavar="PERMIT",
        help="the permit file of today: says what a revocation since then taints",
    )
    verify.add_argument(
        "--list",
        type=Path,
        action="append",
        default=[],
        metavar="LIST.json",
        help="what a site says left it, for the certificate of a revoked study",
    )
    verify.add_argument(
        "--qr", metavar="TEXT", help="the text of a QR code: is it of this certificate?"
    )
    verify.add_argument(
        "--status",
        type=Path,
        metavar="STATUS.json",
        help="the issuer's status lists: was the certificate revoked by then?",
    )
    add_quorum(verify)
    add_json(verify)


def add_appraise(commands: Commands) -> None:
    """Add the words of `hetao appraise`."""
    appraise = command(
        commands,
        "appraise",
        "hetao.cli.appraise:appraise",
        "what a certified finding withstands: confounders, controls, many findings",
    )
    appraise.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    appraise.add_argument(
        "--term",
        action="append",
        metavar="ANALYSIS[:TERM]",
        help="what to appraise; every ratio if none is named",
    )
    appraise.add_argument(
        "--control",
        action="append",
        metavar="ANALYSIS[:TERM]",
        help="a negative control, at least five",
    )
    appraise.add_argument(
        "--common",
        action="store_true",
        help="15 of 100 or more have the outcome: odds and hazard ratios are no risk "
        "ratios",
    )
    add_quorum(appraise)
    add_json(appraise)


def add_fit(commands: Commands) -> None:
    """Add the words of `hetao fit`."""
    fit = command(
        commands,
        "fit",
        "hetao.cli.fit:fit",
        "fit a model over the parts of a file, each part a process of its own",
    )
    fit.add_argument("model", choices=MODELS, metavar="MODEL", help=", ".join(MODELS))
    fit.add_argument("formula", metavar="FORMULA", help="y ~ x, Surv(time, event) ~ x")
    fit.add_argument("--data", type=Path, metavar="FILE", help="CSV or Parquet")
    fit.add_argument("--split-by", metavar="COLUMN", help="the column of sites")
    fit.add_argument(
        "--site", action="append", metavar="NAME=FILE", help="one file a site"
    )
    add_fields(fit)
    fit.add_argument("--policy", type=Path, metavar="POLICY.toml")
    fit.add_argument("--out", type=Path, metavar="DIR", help="keep the certificate")
    add_json(fit)


def add_watch(commands: Commands) -> None:
    """Add the words of `hetao watch`."""
    watch = command(
        commands,
        "watch",
        "hetao.cli.watch:run",
        "is a product's safety signalling, look after look of certificates?",
    )
    watch.add_argument("plan", type=Path, metavar="WATCH.toml")
    watch.add_argument(
        "certificates",
        nargs="*",
        type=Path,
        metavar="CERTIFICATE",
        help="the looks so far, the first one first; none: what the plan promises",
    )
    watch.add_argument("--out", type=Path, metavar="FILE", help="draw: .svg or .png")
    add_quorum(watch)
    add_json(watch)
