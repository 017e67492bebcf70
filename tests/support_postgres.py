"""A private PostgreSQL server: its own folder, a socket, no network, no password."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

BY_BYTES = ("--locale=C",)
# A database that orders text as people do: a, B, c and not B, a, c.
BY_LANGUAGE = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=zh-Hant-HK")


def _programs():
    """Return the folder of the newest server's programs."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert folders, "no PostgreSQL here: install Debian's package postgresql"
    return folders[-1]


def _as_owner():
    """Return what makes a command run as somebody who is not root: initdb insists."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@contextmanager
def postgres_server(locale=BY_BYTES):
    """Run a server for a while; give the URI of its database."""
    folder = Path(tempfile.mkdtemp(prefix="hetao-pg-"))  # a socket's path is short
    owner = _as_owner()
    data = folder / "data"
    if owner:
        shutil.chown(folder, "postgres", "postgres")
    folder.chmod(0o755)

    def run(program, *words):
        command = [*owner, str(_programs() / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    run(
        *("initdb", "-D", str(data), "-U", "hetao", "-A", "trust", "-E", "UTF8"),
        *("--no-sync", *locale),
    )
    settings = (
        f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off "
        "-c shared_buffers=128MB -c max_connections=20 -c timezone=UTC"
    )
    run(
        "pg_ctl",
        "-D",
        str(data),
        "-w",
        "-l",
        str(folder / "log"),
        "-o",
        settings,
        "start",
    )
    try:
        yield f"postgresql:///postgres?host={folder}&user=hetao"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)
