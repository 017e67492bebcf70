"""`hetao anchor …`: a checkpoint's root goes out, a stamp comes back."""

import argparse
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hetao.anchor import Stamp, is_signed_by, read_stamp, root_of
from hetao.cli.main import say
from hetao.errors import InvalidData, Usage
from hetao.ledger.credential import did_key
from hetao.whole import write_new

CURVE_ORDER: Final = (1 << 256) - 0x14551231950B75FC4402DA1732FC9BEBF  # secp256k1


def tsa(chosen: argparse.Namespace) -> int:
    """Have a time-stamping authority sign a checkpoint's root."""
    from hetao.anchor.rfc3161 import Authority

    authority = Authority(chosen.url, _roots(chosen))
    root = root_of(chosen.checkpoint)
    return _keep(chosen.out, lambda: authority.stamp(root))


def chain(chosen: argparse.Namespace) -> int:
    """Have a contract on a chain remember a checkpoint's root."""
    from hetao.anchor.evm import Chain

    node = Chain(
        chosen.url,
        read_address(chosen.contract),
        read_chain_key(chosen.key),
        chosen.side,
    )
    root = root_of(chosen.checkpoint)
    return _keep(chosen.out, lambda: node.stamp(root))


def key(chosen: argparse.Namespace) -> int:
    """Make a key for anchoring, and print the name that it gives itself."""
    made = Ed25519PrivateKey.generate()
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(chosen.out, lambda: pem, 0o600)
    sys.stdout.write(did_key(made.public_key()) + "\n")
    return 0


def scitt(chosen: argparse.Namespace) -> int:
    """Have a transparency service enter a statement about a checkpoint's root."""
    from hetao.anchor.scitt import TransparencyService

    root, own = root_of(chosen.checkpoint), _anchor_key(chosen.key)
    if is_signed_by(chosen.checkpoint, own.public_key()):
        raise Usage(
            "the log's own key would tell whose log it is",
            fix="make a key for anchoring: hetao anchor key",
        )
    try:
        tls = ssl.create_default_context(cafile=chosen.authority)
    except (OSError, ssl.SSLError) as error:
        raise InvalidData(f"{chosen.authority} holds no certificate") from error
    service = TransparencyService(chosen.url, chosen.keys, own, tls)
    return _keep(chosen.out, lambda: service.stamp(root))


def verify(chosen: argparse.Namespace) -> int:
    """Say when the root of a checkpoint was there, and who says so."""
    stamp, root = read_stamp(chosen.stamp), root_of(chosen.checkpoint)
    if stamp.kind == "rfc3161":
        from hetao.anchor.rfc3161 import Authority

        found = Authority("", _roots(chosen)).verify(stamp, root)
    elif stamp.kind == "scitt":
        from hetao.anchor.scitt import TransparencyService

        if chosen.keys is None:
            raise Usage("name the keys of services that you trust with --keys")
        found = TransparencyService("", chosen.keys).verify(stamp, root)
    else:
        from hetao.anchor.evm import Chain

        found = Chain(chosen.url, read_address(chosen.contract)).verify(stamp, root)
    when = f"at {found.at:%Y-%m-%d %H:%M:%S} UTC" if found.at else "at no stated time"
    sys.stdout.write(f"the root was there {when}, says {found.by}\n")
    return 0


def _keep(path: Path, stamp: Callable[[], Stamp]) -> int:
    """Have the stamp made, and written to a file that is not there yet."""
    _write(path, lambda: stamp().data, 0o644)
    say(f"the stamp is in {path}; keep it beside the checkpoint")
    return 0


def _write(path: Path, made: Callable[[], bytes], mode: int) -> None:
    """Write what is made to a file that is not there yet, or leave none."""
    try:
        write_new(path, made, mode)
    except OSError as error:
        if error.filename != str(path):  # what was asked failed, not the file
            raise
        raise Usage(f"{path} cannot be written: {error.strerror}") from error


def _anchor_key(path: Path) -> Ed25519PrivateKey:
    """Return the key that `hetao anchor key` wrote."""
    try:
        found = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise InvalidData(f"{path} holds no key for anchoring", fix="hetao anchor key")
    return found


def _roots(chosen: argparse.Namespace) -> Path:
    if chosen.roots is None:
        raise Usage("name the authority's root certificates with --roots")
    roots: Path = chosen.roots
    return roots


def read_address(text: str) -> str:
    """Return a contract's address in small letters.

    Raises:
        Usage: it is none.
    """
    digits = text.lower().removeprefix("0x")
    if len(digits) != 40 or not set(digits) <= set("0123456789abcdef"):
        raise Usage("a contract's address is 0x and 40 hex digits")
    return "0x" + digits


def read_chain_key(path: Path) -> bytes:
    """Return the key of a chain in a file of 64 hex digits.

    Raises:
        InvalidData: it holds none, or a number that is no key.
    """
    try:
        key = bytes.fromhex(path.read_text("ascii").strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise InvalidData(f"{path} holds no key of a chain") from error
    if len(key) != 32:
        raise InvalidData(f"{path} holds no key of a chain", fix="64 hex digits")
    if not 0 < int.from_bytes(key, "big") < CURVE_ORDER:
        raise InvalidData(
            f"{path} holds a number that is nobody's key on a chain",
            fix="it lies between 0 and the order of secp256k1; export the key anew",
        )
    return key
