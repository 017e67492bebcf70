"""Parsers of bytes, made of parsers of files, texts, objects and signed bodies."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hetao.canonical import parse_canonical
from hetao.errors import BadEnvelope
from hetao.permit import Identity, Statement, state

Parsers = Mapping[str, tuple[Callable[[bytes], object], bytes]]
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


def of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """Return a parser of bytes from one of a file; in memory where there is such."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=where))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    path = folder / name
    path.parent.mkdir(exist_ok=True)
    # To open it anew for each text costs more than many a parser.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def parse(data: bytes) -> object:
        os.ftruncate(handle, os.pwrite(handle, data, 0))
        return read(path)

    return parse


def of_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Return a parser of bytes from one of text, which others decode for it."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def of_object(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    """Return a parser of bytes from one of a JSON object, as a message bears it."""

    def parse(data: bytes) -> object:
        value = parse_canonical(data)
        if not isinstance(value, dict):
            raise BadEnvelope("not an object")
        return read(value)

    return parse


def signed_by(
    identity: Identity, read: Callable[[Statement], object]
) -> Callable[[bytes], object]:
    """Return a parser of a body that its owner signs as it stands, as a liar would."""
    return of_object(lambda body: read(state(identity, body)))
