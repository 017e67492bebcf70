"""Files that appear whole and on disk, or not at all; and files of others, read whole.

A disk may be full, or fail; a process may be killed. What stood there before stands
until the new file is whole.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hetao.errors import HetaoError, InvalidData

KEPT: Final = "keep what it gives in a file, and name that"
WITHOUT_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # such as a stick


def read_whole(
    path: Path,
    most: int,
    error: type[HetaoError] = InvalidData,
    beyond: type[HetaoError] | None = None,
    fix: str = "check the path",
) -> bytes:
    """Return the bytes of a file that somebody else may have written.

    Args:
        path: of the file.
        most: how many bytes such a file may have; no more than that are read.
        error: raised where it cannot be read.
        beyond: raised where it is larger; `error` if None.
        fix: what to do where it cannot be read, though a plain file.

    Raises:
        HetaoError: it cannot be read, is larger, or is no plain file, such as a pipe
            that nobody may ever write to; it is named.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise error(f"{path} cannot be read: it is no plain file", fix=KEPT)
            data = file.read(most + 1)
    except OSError as problem:
        said = f"{path} cannot be read: {problem.strerror}"
        raise error(said, fix=fix) from problem
    if len(data) > most:
        size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
        raise (beyond or error)(f"{path.name} is larger than {size}")
    return data


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever writes to a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in the place of one that may be there.

    Raises:
        OSError: it cannot be written, and names the file; nothing is left of it.
    """
    draft = _beside(path)
    try:
        with _naming(path):
            _write(draft, data, "xb")
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_new(path: Path, make: Callable[[], bytes], mode: int = 0o600) -> None:
    """Write a file that is not there yet: never in the place of another.

    Args:
        path: of the file.
        make: returns what it holds; asked once the file can be written.
        mode: of the file.

    Raises:
        FileExistsError: something is there.
        OSError: it cannot be written, and names the file; nothing is left of it.
    """
    draft = _beside(path)
    with _naming(path):
        if os.path.lexists(path):
            raise _is_there()
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        data = make()
        with _naming(path):
            _write(draft, data, "wb")
            _name(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        if os.path.lexists(path):
            raise _is_there() from None
        draft.replace(path)


def _write(path: Path, data: bytes, how: str) -> None:
    with path.open(how) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _is_there() -> OSError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # of a full disk it names no file, else the draft
        raise OSError(error.errno, error.strerror, str(path)) from error
