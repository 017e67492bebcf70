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
    "recall": "end delegations of one's own before their time",
    "renew": "say that it still holds, as every side must within its lease",
}


def add_permit(commands: Commands) -> None:
    """Add the words of `hetao permit …`."""
    verbs = group(commands, "permit", "what people say about a permit")
    module = "hetao.cli.permit"
    show = command(verbs, "show", f"{module}:show", "how a permit stands, and why")
    show.add_argument("permit", type=Path, metavar="PERMIT")
    show.add_argument("--language", choices=("en", "zh-Hant", "zh-Hans"), default="en")
    _add_document(show)
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
        if verb == "approve":
            _add_read(one)
        if verb == "suspend":
            one.add_argument("--until", default="", metavar="2026-11-22T00:00:00Z")
        if verb == "recall":
            _add_recalled(one, required=True)
        if verb == "amend":
            one.add_argument("--out", type=Path, required=True, metavar="PERMIT")
        if verb == "renew":
            _add_renewing(one)
    _add_delegate(verbs, module)
    _add_key(verbs)
    _add_passkey(verbs)
    _add_service(verbs)
    _add_uses(verbs)
    listed = command(
        verbs, "released", "hetao.cli.released:check", "check what a site says left it"
    )
    listed.add_argument("list", type=Path, metavar="LIST")
    listed.add_argument("--parties", type=Path, required=True, metavar="PARTIES.toml")


def _add_document(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--document",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="an instrument that you hold: refuse unless a basis names this very file",
    )


def _add_read(one: argparse.ArgumentParser) -> None:
    _add_document(one)
    one.add_argument(
        "--conditions-read",
        action="store_true",
        help="say that you read the conditions that the permit's bases set",
    )


def _add_recalled(one: argparse.ArgumentParser, *, required: bool) -> None:
    one.add_argument(
        "--of",
        type=Path,
        action="append",
        default=[],
        required=required,
        metavar="FILE",
        help="of a recall: what `permit delegate` wrote",
    )


def _add_renewing(renew: argparse.ArgumentParser) -> None:
    renew.add_argument(
        "--keep",
        action="store_true",
        help="go on by itself, each third of a lease, until the permit has ended; an "
        "unattended key should be one that can only renew",
    )
    renew.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="go on so often"
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
    _add_lending(lend)


def _add_lending(lend: argparse.ArgumentParser) -> None:
    lend.add_argument("--to", required=True, metavar="NAME")
    lend.add_argument("--days", type=int, default=30)
    lend.add_argument("--out", type=Path, required=True, metavar="FILE")


def _add_service(verbs: Commands) -> None:
    sign = command(
        verbs,
        "service",
        "hetao.cli.signing_service:sign",
        "say one thing about a permit, signed by a service that signs hashes (CSC v2)",
    )
    _add_said(sign)
    sign.add_argument("--service", required=True, metavar="https://…/csc/v2")
    sign.add_argument(
        "--credential", required=True, metavar="ID", help="yours at the service"
    )
    sign.add_argument(
        "--token", type=Path, required=True, metavar="FILE", help="your access token"
    )
    sign.add_argument(
        "--sad", type=Path, metavar="FILE", help="activation data, if you were given it"
    )
    sign.add_argument(
        "--authority",
        type=Path,
        metavar="PEM",
        help="trust the service's server by these; the system's without it",
    )


def _add_said(sign: argparse.ArgumentParser) -> None:
    sign.add_argument("permit", type=Path, metavar="PERMIT")
    verbs_here = [verb for verb in SAYING if verb != "amend"]
    sign.add_argument("verb", choices=verbs_here)
    sign.add_argument("--key-name", required=True, metavar="KEY")
    sign.add_argument("--reason", default="", help="for those who read it")
    sign.add_argument("--until", default="", metavar="2026-11-22T00:00:00Z")
    sign.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    sign.add_argument("--delegation", type=Path, metavar="FILE")
    _add_recalled(sign, required=False)
    _add_read(sign)


def _add_key(verbs: Commands) -> None:
    key = command(
        verbs,
        "key",
        "hetao.cli.keys:make",
        "make a key file, and its entry for parties.toml",
    )
    key.add_argument("name", metavar="NAME", help="of the keys; of a party its own")
    key.add_argument("--owner", default="", metavar="PERSON", help="of a person's key")
    key.add_argument(
        "--role",
        choices=("site", "hub", "coordinator"),
        default="",
        help="of a party's keys",
    )
    key.add_argument("--side", choices=("HK", "SZ"), default="", help="of a party")
    key.add_argument("--organisation", default="", metavar="TEXT", help="of a party")
    key.add_argument(
        "--folder", type=Path, default=Path("keys"), metavar="DIR", help="keys"
    )
    key.add_argument("--days", type=int, default=730, help="of a person's key")


def _add_passkey(verbs: Commands) -> None:
    keys = group(verbs, "passkey", "sign on a page, with a passkey")
    module = "hetao.cli.passkey"

    def add(name: str, function: str, text: str) -> argparse.ArgumentParser:
        added = command(keys, name, f"{module}:{function}", text)
        added.add_argument(
            "--language",
            choices=("en", "zh-Hant", "zh-Hans"),
            default="en",
            help="language that the page opens in",
        )
        added.add_argument(
            "--page",
            type=Path,
            metavar="FILE",
            help="write the page instead of showing it on this machine",
        )
        added.add_argument(
            "--no-browser", action="store_true", help="open no browser by itself"
        )
        return added

    new = add("new", "register", "make a passkey, and its entry for parties.toml")
    new.add_argument("--name", required=True, metavar="KEY", help="name of the key")
    new.add_argument("--owner", required=True, metavar="NAME", help="whose it is")
    new.add_argument(
        "--origin", default="http://localhost:8790", help="page that it signs on"
    )
    new.add_argument("--days", type=int, default=730)
    new.add_argument("--out", type=Path, required=True, metavar="FILE")
    _add_said(add("sign", "sign", "say one thing about a permit"))
    new_version = add("amend", "amend", SAYING["amend"])
    new_version.add_argument("permit", type=Path, metavar="PERMIT")
    new_version.add_argument("--key-name", required=True, metavar="KEY")
    new_version.add_argument("--reason", default="", help="for those who read it")
    new_version.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE"
    )
    new_version.add_argument("--delegation", type=Path, metavar="FILE")
    new_version.add_argument("--out", type=Path, required=True, metavar="PERMIT")
    lend = add("delegate", "delegate", "let somebody act in one's office")
    lend.add_argument("permit", type=Path, metavar="PERMIT")
    lend.add_argument("--key-name", required=True, metavar="KEY")
    _add_lending(lend)
    cast = add("vote", "vote", "vote on findings, as an output checker")
    cast.add_argument("folder", type=Path, metavar="FOLDER")
    cast.add_argument("vote", choices=("accept", "change", "reject"))
    cast.add_argument("--key-name", required=True, metavar="KEY")
    cast.add_argument("--comment", default="", help="to the author")
    back = command(keys, "take", f"{module}:take", "take in what a page saved")
    back.add_argument("answer", type=Path, metavar="ANSWER")
    back.add_argument("into", type=Path, metavar="PERMIT|FOLDER|FILE")
    back.add_argument(
        "--asked",
        type=Path,
        required=True,
        metavar="FILE",
        help="what was asked, as --page wrote it beside the page; goes when answered",
    )
    back.add_argument(
        "--out", type=Path, metavar="FILE", help="of an amendment or a delegation"
    )


def _add_uses(verbs: Commands) -> None:
    module = "hetao.cli.uses"

    def add(name: str, text: str) -> argparse.ArgumentParser:
        added = command(verbs, name, f"{module}:{name}", text)
        added.add_argument("permit", type=Path, metavar="PERMIT")
        added.add_argument("--site", type=Path, required=True, metavar="SITE.toml")
        return added

    draft = command(
        verbs,
        "draft",
        "hetao.cli.crossing:draft",
        "draft a permit for samples, people, money",
    )
    draft.add_argument("crossing", type=Path, metavar="CROSSING.toml")
    draft.add_argument("--parties", type=Path, required=True, metavar="PARTIES.toml")
    draft.add_argument("--facts", type=Path, required=True, metavar="FACTS.toml")
    draft.add_argument("--packs", type=Path, metavar="DIR")
    draft.add_argument("--days", type=int, default=90, help="how long it is to hold")
    draft.add_argument("--out", type=Path, required=True, metavar="PERMIT")
    use = add("use", "dispatch a consignment, let a person enter, or pay")
    use.add_argument("--number", required=True, metavar="NUMBER", help="a waybill's")
    use.add_argument("--to", required=True, metavar="SITE")
    use.add_argument(
        "--amount", action="append", default=[], metavar="UNIT=COUNT", required=True
    )
    use.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="CHECK=FILE",
        help="a check that it passed, and the file that shows it",
    )
    use.add_argument(
        "--item", action="append", default=[], metavar="LABEL", help="a barcode"
    )
    use.add_argument("--grade", type=int, default=2, metavar="1-5")
    use.add_argument(
        "--days", type=int, default=7, help="within which a receipt is due (7)"
    )
    use.add_argument("--out", type=Path, required=True, metavar="FILE")
    expect = add("expect", "note what another site dispatched, while it is on its way")
    expect.add_argument("use", type=Path, metavar="USE")
    receive = add("receive", "sign for what another site dispatched")
    receive.add_argument("use", type=Path, metavar="USE")
    receive.add_argument("--missing", action="append", default=[], metavar="UNIT=COUNT")
    receive.add_argument("--reason", default="", help="why anything is missing")
    receive.add_argument("--item", action="append", default=[], metavar="LABEL")
    receive.add_argument("--out", type=Path, required=True, metavar="FILE")
    back = add("reconcile", "take in the receipts of what this site dispatched")
    back.add_argument("receipts", type=Path, nargs="+", metavar="RECEIPT")
    add_json(add("balance", "what became of the permit's limits at this site"))
