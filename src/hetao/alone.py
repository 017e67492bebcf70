"""One process at a time in a folder, for files that are read, changed and written back.

Of two that do so at once the second would write what it read before the first had
written: a revocation, or a shredding, that was said to be done would be undone. What
stands in SQLite has locks of its own and needs none of this.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process, and no other thread, is alone in a folder.

    The lock ends with the process, leaves no file, and binds whoever asks for it on the
    same machine. It is not to be taken twice by one thread.

    Raises:
        OSError: the folder is not there.
    """
    import fcntl  # here, so that verifying needs no POSIX

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
