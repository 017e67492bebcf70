"""Processes forked from one that loaded Hetao once: to load it anew takes seconds."""

import functools
import multiprocessing

PRELOAD = ["hetao.cli.site", "hetao.cli.hub"]


@functools.cache
def forks():
    """Return the context whose processes start with everything loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def exit_code(target, *words):
    """Call a function of a support module in a process of its own; return its end."""
    process = forks().Process(target=target, args=words)
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    return code
