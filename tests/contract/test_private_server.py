"""A test run that is killed leaves no server behind."""

import os
import select
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
RUN = """
import sys
from support_postgres import postgres_server
with postgres_server() as uri:
    print(uri, flush=True)
    sys.stdin.read()
"""
PATIENCE_SECONDS = 60  # only a failure waits so long


def test_a_server_ends_with_the_run_that_was_killed():
    run = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=TESTS,
    )
    with run:
        uri = run.stdout.readline()
        folder = Path(uri.partition("host=")[2].partition("&")[0])
        pid = int((folder / "data/postmaster.pid").read_text().splitlines()[0])
        server = os.pidfd_open(pid)
        run.kill()

    ended, _, _ = select.select([server], [], [], PATIENCE_SECONDS)

    os.close(server)
    assert ended
