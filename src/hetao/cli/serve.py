"""`hetao site serve`, of one site or of several, each in a process of its own.

Several are forked from one process that has loaded a site's libraries once; this module
loads none of them, as whoever only waits for the others needs none.
"""

import argparse
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from pathlib import Path

from hetao.cli.main import carry_out

STOP_SECONDS = 5.0  # after that, one that hangs is killed
PRELOAD = ["hetao.cli.site"]


def serve(chosen: argparse.Namespace) -> int:
    """Serve one site, or several, each in a process of its own."""
    os.umask(0o077)
    if len(chosen.sites) == 1:
        from hetao.cli.site import serve_one

        return serve_one(chosen.sites[0])
    return _serve_each(chosen.sites)


def _serve_each(paths: list[Path]) -> int:
    """Fork a process for each site from one that has loaded the libraries already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    processes = [
        context.Process(target=_serve_child, args=(str(path),), name=path.parent.name)
        for path in paths
    ]
    asked_to_end: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_end.append(number))
    ended: list[object] = []
    try:
        for process in processes:  # an exception in mid-start would lose a child
            if not asked_to_end:
                process.start()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if asked_to_end:
            return 0
        # The first to end, in whatever way, ends all: a half of them helps nobody.
        ended += multiprocessing.connection.wait([p.sentinel for p in processes])
    finally:
        started = [process for process in processes if process.pid]
        for process in started:
            process.terminate()
        for process in started:
            process.join(STOP_SECONDS)
            process.kill()
            process.join()
    return max(abs(p.exitcode or 0) for p in processes if p.sentinel in ended)


def _serve_child(path: str) -> None:
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    run = f"{__name__}:{serve.__name__}"
    sys.exit(carry_out(argparse.Namespace(run=run, sites=[Path(path)])))


def _end_with_launcher() -> None:
    """End this process when the one that asked for it is gone, however it went.

    The parent is the process that forks, and it lives for as long as any child does.
    """
    launcher = multiprocessing.parent_process()
    if launcher is not None:
        multiprocessing.connection.wait([launcher.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
