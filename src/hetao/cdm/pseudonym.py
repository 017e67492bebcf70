"""A source identifier → a 63-bit pseudonym that only the site's secret can make."""

import contextlib
import os
import secrets
from pathlib import Path

from hetao.errors import InvalidData

KEY_BYTES = 32
BLOCK_BYTES = 64  # of SHA-256, RFC 2104


def read_or_make_key(path: Path, what: str = "pseudonym key") -> bytes:
    """Return a secret of the site, made at the first run with mode 0600.

    Trusted: whoever reads the pseudonym secret can test which identifiers are in the
    tables.

    Args:
        path: its file.
        what: what it is, in words.

    Raises:
        InvalidData: the file is there but is not a secret of 32 bytes in hex.
    """
    if not path.exists():
        try:
            _make_key(path)
        except OSError as problem:
            raise InvalidData(
                f"the {what} {path.name} cannot be written: {problem.strerror}"
            ) from problem
    return read_key(path, what)


def pseudonym_sql(identifier: str) -> str:
    """Return SQL for the pseudonym of a text expression.

    HMAC-SHA-256 in two hashes, so that the engine makes it a column at a time. The
    padded keys of `pads` stand in the session variables `hetao_inner` and
    `hetao_outer`, never in the text of a statement or of a stored macro.

    Source:
        RFC 2104. Test: `tests/unit/test_cdm_pseudonym.py` compares with `hmac`.
    """
    inner = f"unhex(sha256(getvariable('hetao_inner') || encode({identifier})))"
    digest = f"sha256(getvariable('hetao_outer') || {inner})"
    return f"((('0x' || substr({digest}, 1, 16))::UBIGINT >> 1)::BIGINT)"


def pads(key: bytes) -> dict[str, bytes]:
    """Return the two padded keys that `pseudonym_sql` reads as variables."""
    block = key.ljust(BLOCK_BYTES, b"\0")
    return {
        "inner": bytes(byte ^ 0x36 for byte in block),
        "outer": bytes(byte ^ 0x5C for byte in block),
    }


def _make_key(path: Path) -> None:
    """Write the key whole, then give it its name: never half a key, never a second."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another run was first
            os.link(part, path)
    finally:
        part.unlink()


def read_key(path: Path, what: str = "pseudonym key") -> bytes:
    """Return a secret that was made before.

    Raises:
        InvalidData: it is not there, or is not a secret of 32 bytes in hex.
    """
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as problem:
        raise InvalidData(
            f"the {what} {path.name} cannot be read",
            fix="restore it from its backup; a new one makes other secrets",
        ) from problem
    if len(key) != KEY_BYTES:
        raise InvalidData(f"the {what} {path.name} is not {KEY_BYTES} bytes")
    return key
