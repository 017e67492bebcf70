"""Secrets that are replaced for good: the old ones are written over on the disk."""

import os
from pathlib import Path

from hetao.cdm.store import sync_folder


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone reads, and wait for the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_secret(path: Path, data: bytes) -> None:
    """Put new keys in the place of the old, and write over the old ones.

    The caller is alone in the folder.
    """
    wipe_old(path)
    new, old = _beside(path, "new"), _beside(path, "old")
    if new.exists():  # of a run that was killed
        _overwrite(new)
        new.unlink()
    write_secret(new, data)
    os.link(path, old)
    new.replace(path)
    sync_folder(path.parent)
    wipe_old(path)


def wipe_old(path: Path) -> None:
    """Write over keys that were replaced, also where a run was killed before it did."""
    old = _beside(path, "old")
    if not old.exists():
        return
    if not old.samefile(path):  # else they were not replaced
        _overwrite(old)
    old.unlink()
    sync_folder(path.parent)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f".{path.name}.{end}")
