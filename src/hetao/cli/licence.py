"""`hetao licence …`: who may use a finding for what until when, and how to show it."""

import argparse
import datetime
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hetao.canonical import canonical, parse_canonical
from hetao.cli.anchor import read_address, read_chain_key
from hetao.cli.certificate import (
    issuers_log,
    place_of,
    publish_state,
    read_file,
    replace_file,
)
from hetao.cli.main import plain, say
from hetao.cli.verdict import say_what_counts, verdict_of
from hetao.dossier import erc3643, licence, sd_jwt
from hetao.errors import InvalidData, Unverified, Usage
from hetao.federation.clock import utc_now
from hetao.ledger.certificate import read_certificate, verify_certificate
from hetao.permit import parse_time, read_identity

Issuer = tuple[str, Ed25519PublicKey]


def issue(chosen: argparse.Namespace) -> int:
    """Log a licence for findings of a certificate, and write it."""
    data, issuer = _certificate(chosen.certificate)
    grant = licence.read_grant(chosen.terms)
    with issuers_log(chosen.network, issuer) as (log, network):
        text = licence.issue(data, grant, network.identity, log, utc_now())
    replace_file(chosen.out, text.encode("ascii"))
    say(f"{chosen.out} is the licence, for {grant.licensee} to keep")
    return 0


def present(chosen: argparse.Namespace) -> int:
    """Write a licence with only what a reader is to see."""
    shown = {*chosen.show}
    text = sd_jwt.present(
        _text(chosen.licence), lambda one: isinstance(one, str) and one in shown
    )
    if chosen.key:
        if not (chosen.audience and chosen.nonce):
            raise Usage("sign for somebody: name --audience and --nonce")
        key = read_identity(chosen.key).signing_key
        text = sd_jwt.bind(text, key, chosen.audience, chosen.nonce, utc_now())
    replace_file(chosen.out, text.encode("ascii"))
    say(
        f"{chosen.out} shows {', '.join(sorted(shown)) or 'nothing that can be hidden'}"
    )
    return 0


def check(chosen: argparse.Namespace) -> int:
    """Check a licence as it was presented, and say what it shows."""
    data, _ = _certificate(chosen.certificate)
    certificate = parse_canonical(data)
    verdict = verdict_of(chosen.policy, certificate)
    asked = (chosen.audience, chosen.nonce) if chosen.nonce else None
    found = licence.check(
        _text(chosen.licence),
        certificate,
        read_file(chosen.status),
        utc_now(),
        verdict.asks,
        asked,
    )
    for name, value in vars(found).items():
        said = ", ".join(value) if isinstance(value, tuple) else value
        sys.stdout.write(f"{name:<12} {plain(str(said))}\n")
    age = utc_now() - parse_time(found.as_of)
    if age > datetime.timedelta(days=chosen.newest):
        raise Unverified(
            f"the snapshot is {age.days} days old: it does not say how the licence "
            "stands now",
            fix="ask the issuer for a newer one, or take an older one by --newest DAYS",
        )
    say_what_counts(verdict)
    return verdict.exit_code if found.state == "valid" else Unverified.exit_code


def publish(chosen: argparse.Namespace) -> int:
    """Log how a licence stands from now on, and write the snapshot that says so."""
    _, issuer = _certificate(chosen.certificate)
    index = licence.place_in_log(_text(chosen.licence), issuer[1])
    return publish_state(chosen, index, issuer)


def claim(chosen: argparse.Namespace) -> int:
    """Write the signed claim that a tokenisation platform may take; none needs it."""
    data, _ = _certificate(chosen.certificate)
    place = erc3643.Place(
        chosen.chain, read_address(chosen.identity), read_address(chosen.issuer)
    )
    made = erc3643.make_claim(data, place, read_chain_key(chosen.key), chosen.side)
    replace_file(chosen.out, canonical(made))
    say(f"{chosen.out} is written; nothing was put on a chain")
    return 0


def _certificate(path: Path) -> tuple[bytes, Issuer]:
    data = read_certificate(path)
    verify_certificate(data)
    return data, place_of(parse_canonical(data))[1]


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidData(f"{path.name} is no licence") from error
