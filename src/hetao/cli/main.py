"""`hetao COMMAND …`: words in, a process's work, an exit code out.

Results go to standard output, everything else to standard error. Exit codes: 0 done,
1 a fault of ours, 2 called wrongly, 3 refused by a rule, 4 an invalid input, 5 a party
unreachable, 6 a proof that does not hold, 7 one that holds and does not count, 130
interrupted, 143 told to end.

Each command's module is imported only when it is called: the verifier then loads the
verifier, and the coordinator's process never loads what opens patient rows.
"""

import argparse
import contextlib
import errno
import gc
import importlib
import io
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Final, TextIO

from hetao import __version__
from hetao.cli.words import (
    anchor,
    certificate,
    data,
    licence,
    log,
    permit,
    provenance,
    result,
    settle,
    site,
    study,
    trial,
    witness,
)
from hetao.cli.words.parser import Commands, Parser
from hetao.errors import HetaoError, Usage

# In the order of `hetao --help`.
ADDED: tuple[Callable[[Commands], None], ...] = (
    site.add_demo,
    site.add_site,
    site.add_courier,
    site.add_hub,
    study.add_study,
    data.add_cohort,
    data.add_vocab,
    data.add_dictionary,
    study.add_rules,
    permit.add_permit,
    study.add_run,
    study.add_review,
    result.add_verify,
    certificate.add_certificate,
    licence.add_licence,
    log.add_log,
    result.add_appraise,
    result.add_fit,
    trial.add_trial,
    settle.add_settle,
    data.add_synth,
    result.add_watch,
    provenance.add_provenance,
    witness.add_witness,
    anchor.add_anchor,
)
Command = Callable[[argparse.Namespace], int]
INDENT: Final = " " * 5  # of a row that continues another
# Commands of a site's own people on its own data: their standard error is theirs, into
# a file too. Of the others a file may go to somebody else.
AT_A_SITE = (
    "hetao.cli.site",
    "hetao.cli.serve",
    "hetao.cli.cohort",
    "hetao.cli.vocab",
    "hetao.cli.releases",
    "hetao.cli.log",
    "hetao.cli.provenance",
)
# What the system, and SQLite, say of a disk that is full, fails or may not be written.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
OF_SQLITE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)
IN_A_QUERY = "Query interrupted"  # what DuckDB makes of a signal that it hears first


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return its exit code."""
    _let_every_letter_through()
    chosen, unread = build_parser().parse_known_args(words)
    if unread:
        chosen.parser.error(f"unrecognized arguments: {' '.join(unread)}")
    if chosen.run is None:
        chosen.parser.print_help(sys.stderr)
        return 2
    return carry_out(chosen)


def _let_every_letter_through() -> None:
    """Write out, by its number, what the encoding of a screen or pipe lacks.

    Python does so for standard error alone: a screen of Big5 would end `hetao rules
    explain --language zh-Hans` with a fault, half of it said.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def carry_out(chosen: argparse.Namespace) -> int:
    """Carry out a command whose words were read; return its exit code."""
    with _unwound_by_signals() as heard:
        try:
            return _carried_out(chosen, heard)
        except (OSError, sqlite3.OperationalError) as problem:
            fault = _unusable(problem)
            if fault is None:
                raise
    say(f"error: {fault}")
    return fault.exit_code


@contextlib.contextmanager
def _unwound_by_signals() -> Iterator[list[int]]:
    """Make a signal to end unwind as Ctrl-C does, so that scratch files go at once.

    Gives the list of the signals heard. Only the first unwinds: a second one must not
    stop the tidying. What cannot be heard, SIGKILL, leaves it to the next run.
    """
    heard: list[int] = []

    def unwind(number: int, _: FrameType | None) -> None:
        heard.append(number)
        if len(heard) == 1:
            raise KeyboardInterrupt

    ours = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL  # nohup's choice stands
        and threading.current_thread() is threading.main_thread()
    ]
    for number in ours:
        signal.signal(number, unwind)
    try:
        yield heard
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _loaded(module: str) -> ModuleType:
    """Import a module and return it, the collector of garbage not looking meanwhile.

    Thousands of functions and classes are made at once, and all of them stay.
    """
    looks = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        if looks:
            gc.enable()


def _carried_out(chosen: argparse.Namespace, heard: Sequence[int]) -> int:
    module, _, function = chosen.run.partition(":")
    try:
        command: Command = getattr(_loaded(module), function)
        status = command(chosen)
        sys.stdout.flush()
    except HetaoError as error:
        say(f"error: {error}")
        if error.local and (module in AT_A_SITE or sys.stderr.isatty()):
            for line in str(error.local).splitlines():
                say(f"for this site only: {line}")
        return int(getattr(error, "status", error.exit_code))
    except KeyboardInterrupt:
        return _interrupted(chosen, heard)
    except RuntimeError as problem:
        if str(problem) != IN_A_QUERY:
            raise
        return _interrupted(chosen, heard)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _unusable(problem: Exception) -> Usage | None:
    """Return what to say of a file that cannot be used; None of a fault of ours."""
    path, why = None, str(problem)
    if isinstance(problem, OSError):
        is_full = problem.errno in OF_THE_DISK
        path = problem.filename or ("a file" if is_full else None)
        why = str(problem.strerror)
    elif getattr(problem, "sqlite_errorcode", 0) & 0xFF in OF_SQLITE:
        path = getattr(problem, "__notes__", ["a file"])[0]
    if path is None:
        return None
    return Usage(
        f"{path} cannot be used: {why}",
        fix="check the path, its permissions and the room on its disk",
    )


def _interrupted(chosen: argparse.Namespace, heard: Sequence[int]) -> int:
    resumes = chosen.run == "hetao.cli.run:run"
    goes_on = "; the same command goes on where it was" if resumes else ""
    say(f"interrupted{goes_on}")
    return 128 + (heard[0] if heard else signal.SIGINT)


def folder_for(path: Path) -> None:
    """Return quietly if a folder of results can be made here; makes nothing yet.

    Asked before any work whose results would be lost.

    Raises:
        Usage: nothing can be written there.
    """
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as problem:
        raise Usage(
            f"no results can be written in {path}: {problem.strerror}",
            fix="name another folder with --out",
        ) from problem


def called() -> str:
    """Return the word that calls this program, to be copied from a screen.

    After `make demo` it lies in `.venv/bin`, where a shell does not look.
    """
    here = Path(sys.executable).with_name("hetao")
    return "hetao" if shutil.which("hetao") or not here.exists() else str(here)


def say(text: str) -> None:
    """Write a line of progress or complaint to standard error."""
    sys.stderr.write(f"{shown(f'hetao: {text}', sys.stderr)}\n")
    sys.stderr.flush()


def shown(text: str, stream: TextIO | None = None) -> str:
    """Return a line that holds words of others as it is written to a screen.

    A terminal breaks what is wider than it is, and a title could be such that one of
    its rows begins like a verdict: so it is broken here, and every further row begins
    with spaces. What goes to a file or another program stays one line.

    Args:
        text: of the line.
        stream: that it is written to; standard output if None.
    """
    line = plain(text)
    if not (stream or sys.stdout).isatty():
        return line
    columns = shutil.get_terminal_size().columns
    rows, used = [""], 0
    for letter in line:
        width = _width(letter)
        if used + width > columns:
            rows[-1], left = _broken(rows[-1], columns)
            rows.append(INDENT + left)
            used = sum(map(_width, rows[-1]))
        rows[-1] += letter
        used += width
    return "\n".join(rows)


def _broken(row: str, columns: int) -> tuple[str, str]:
    """Part a full row before its last word; one as long as half a row is parted."""
    head, _, word = row.rpartition(" ")
    if not head.strip() or sum(map(_width, word)) > columns // 2 - len(INDENT):
        return row, ""
    return head, word


def _width(letter: str) -> int:
    """Return how many columns a letter takes; 2, or less."""
    return 1 if letter.isascii() else 2


def plain(text: str) -> str:
    """Return words of others on one line; what turns or hides others is written out.

    Whoever signs a notice writes its reason, and could else wipe out what stands above;
    a study's title could else say on a line of its own what `hetao verify` did not.
    """
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = Parser(
        prog="hetao",
        description="Hospitals answer one question together; no patient row leaves "
        "any of them.",
    )
    parser.add_argument("--version", action="version", version=f"hetao {__version__}")
    parser.set_defaults(run=None, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in ADDED:
        add(commands)
    return parser
