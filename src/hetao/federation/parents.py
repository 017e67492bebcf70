"""A process that ends with the one that started it; loads nothing else."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)


def end_with_parent() -> None:
    """Have Linux end this process when its parent dies; elsewhere, do nothing.

    A launcher that is killed outright cannot stop what it started; so nothing of a
    demonstration goes on running behind anybody's back.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
