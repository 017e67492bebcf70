"""The command line."""

from hetao.cli.main import main

__all__ = ["main"]
