"""The secret of a site's memory, from which each person's place in it follows."""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from hetao.errors import InvalidNetwork
from hetao.release.differencing import SECRET_BYTES
from hetao.whole import write_new

NAME: Final = "releases.key"  # in the site's folder


def read_or_make(key: Path) -> bytes:
    """Return the site's secret, made at the first time with mode 0600."""
    if not key.exists():
        made = f"{secrets.token_hex(SECRET_BYTES)}\n".encode()
        with contextlib.suppress(FileExistsError):  # another process was first
            write_new(key, lambda: made)
    return read(key)


def read(key: Path) -> bytes:
    """Return the site's secret.

    Raises:
        InvalidNetwork: it is not there, or none.
    """
    try:
        found = bytes.fromhex(key.read_text("ascii").strip())
    except (OSError, ValueError):
        raise lost(key) from None
    if len(found) != SECRET_BYTES:
        raise lost(key)
    return found


def lost(key: Path) -> InvalidNetwork:
    """Return what is raised where the secret is not there, or another's."""
    return InvalidNetwork(
        f"{key.name} is not the key that the site's memory of its releases was made "
        "with",
        fix="restore it from its backup; without it nobody knows what was shown",
    )
