"""`hetao permit service`: say one thing about a permit, signed by a signing service."""

import argparse
import getpass
import sys
from pathlib import Path

from hetao.cli.main import say
from hetao.cli.permit import drafted
from hetao.errors import BadSignature, InvalidData
from hetao.federation.signing_csc import service_at
from hetao.permit import Statement, add_notice, code, signed_bytes, write_bundle
from hetao.permit.passkey import challenge

LARGEST = 2**14  # characters of a token


def sign(chosen: argparse.Namespace) -> int:
    """Draft a notice, have the service sign its hash, and keep it once it holds."""
    bundle, _, body = drafted(chosen, "certificate")
    data = signed_bytes(body)
    say(f"code {code(data)}: of all that is signed")
    say(f"code {code(bundle.permit.canonical)}: of the permit")
    secrets = _secret(chosen.token), _secret(chosen.sad) if chosen.sad else ""
    service = service_at(
        chosen.service, chosen.credential, secrets, chosen.authority, _ask
    )
    signature = service.sign_hash(challenge(data)).as_signature()
    signed = add_notice(bundle, Statement(body, signature))
    write_bundle(chosen.permit, signed)
    say(f"{body['by']} ({body['role']}, {body['side']}) said {body['verb']!r} to")
    sys.stdout.write(signed.permit.digest + "\n")
    return 0


def _ask(name: str) -> str:
    if not name.isprintable() or len(name) > 60:
        raise BadSignature("the signing service asks for something without a name")
    return getpass.getpass(f"{name} of the signing service: ")


def _secret(path: Path) -> str:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise InvalidData(f"{path} cannot be read", fix="check the path") from error
    if not text or len(text) > LARGEST or not text.isprintable():
        raise InvalidData(f"{path} holds no token")
    return text
