"""Files that appear whole and on disk, or not at all.

A disk may be full, or fail; a process may be killed. What stood there before stands
until the new file is whole.
"""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in the place of one that may be there.

    Raises:
        OSError: it cannot be written, and names the file; nothing is left of it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:  # of a full disk it names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
