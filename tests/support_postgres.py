"""A private PostgreSQL server: its own folder, a socket, no network, no password."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

# What stands ready to stop the server: pg_ctl, its data and its folder are handed over.
WATCH = 'read _; "$1" -D "$2" -m immediate -w stop; rm -rf "$3"'
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
    start = ("-w", "-l", str(folder / "log"), "-o", settings, "start")
    with _ended_with_us(folder, [*owner, "sh", "-c", WATCH, "watch"], data):
        run("pg_ctl", "-D", str(data), *start)
        yield f"postgresql:///postgres?host={folder}&user=hetao"


@contextmanager
def _ended_with_us(folder, watch, data):
    """Stop the server in `data` at the end, a killed test run's end too.

    A process of its own waits on a pipe that nobody writes to; the system closes it
    when this process ends, in whatever way.
    """
    command = [*watch, str(_programs() / "pg_ctl"), str(data), str(folder)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,  # Ctrl-C ends the tests, not who tidies up after them
    ):
        yield  # on leaving, Popen closes the pipe and waits
