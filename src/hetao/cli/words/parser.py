"""One command, or a group of them, in the parser of the command line."""

import argparse
import difflib
import re
from typing import NoReturn, Protocol


class Parser(argparse.ArgumentParser):
    """A parser that asks whether a word was meant that is like the one it refuses."""

    def error(self, message: str) -> NoReturn:
        """Say how the command is called, what is wrong and what may be meant."""
        word, known = "", []
        if refused := re.search(
            r"invalid choice: '(.*)' \(choose from (.*)\)", message
        ):
            word, known = refused[1], re.findall(r"[\w.-]+", refused[2])
        elif unread := re.match(r"unrecognized arguments: .*?(--[\w-]+)", message):
            word, known = unread[1], re.findall(r"--[\w-]+", self.format_usage())
        meant = difflib.get_close_matches(word, known, n=1)
        super().error(message + (f"; did you mean {meant[0]}?" if meant else ""))


class Commands(Protocol):
    """Where commands are added: what `add_subparsers` returns."""

    def add_parser(
        self,
        name: str,
        *,
        help: str,  # noqa: A002 - argparse's own name
        description: str,
    ) -> argparse.ArgumentParser:
        """Return the parser of a new command."""


def command(
    commands: Commands, name: str, run: str, text: str
) -> argparse.ArgumentParser:
    """Return the parser of a new command.

    Args:
        commands: where it is added.
        name: the word that calls it.
        run: the function that carries it out, as `module:function`.
        text: what it does, for `--help`.
    """
    added = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=run, parser=added)
    return added


def group(commands: Commands, name: str, text: str) -> Commands:
    """Return where the commands of a new group are added; alone it prints its help."""
    added = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=None, parser=added)
    return added.add_subparsers(title="commands", metavar="COMMAND")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let a command print one JSON object instead of text."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of text"
    )


def add_quorum(parser: argparse.ArgumentParser) -> None:
    """Let a reader of certificates say whose witnesses they have to be seen by."""
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        help="your own logs and witnesses, who must have seen the certificate's log, "
        "or the word hubs: both hubs alone; without, no certificate counts",
    )
