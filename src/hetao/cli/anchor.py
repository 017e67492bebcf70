"""`hetao anchor …`: a checkpoint's root goes out, a stamp comes back."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hetao.anchor import Stamp, read_stamp, root_of
from hetao.cli.main import say
from hetao.errors import InvalidData, Usage

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


def verify(chosen: argparse.Namespace) -> int:
    """Say when the root of a checkpoint was there, and who says so."""
    stamp, root = read_stamp(chosen.stamp), root_of(chosen.checkpoint)
    if stamp.kind == "rfc3161":
        from hetao.anchor.rfc3161 import Authority

        found = Authority("", _roots(chosen)).verify(stamp, root)
    else:
        from hetao.anchor.evm import Chain

        found = Chain(chosen.url, read_address(chosen.contract)).verify(stamp, root)
    when = found.at.strftime("%Y-%m-%d %H:%M:%S UTC")
    sys.stdout.write(f"the root was there at {when}, says {found.by}\n")
    return 0


def _keep(path: Path, stamp: Callable[[], Stamp]) -> int:
    """Have the stamp made, and written to a file that is not there yet."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise Usage(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        try:
            file.write(stamp().data)
        except BaseException:
            path.unlink()
            raise
    say(f"the stamp is in {path}; keep it beside the checkpoint")
    return 0


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
