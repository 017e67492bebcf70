"""Words: planning a trial."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group


def add_trial(commands: Commands) -> None:
    """Add the words of `hetao trial …`."""
    trial = group(commands, "trial", "plan a trial, and fix who gets what")
    module = "hetao.cli.trial"

    def add(name: str, function: str, text: str) -> argparse.ArgumentParser:
        added = command(trial, name, f"{module}:{function}", text)
        added.add_argument("trial", type=Path, metavar="TRIAL.toml")
        return added

    add_json(
        add("plan", "plan", "how many people it needs, and its bounds at each look")
    )
    commit = add("commit", "commit", "draw the secret, write what is to be published")
    commit.add_argument("--out", type=Path, required=True, metavar="DIR")
    reveal = add("open", "reveal", "show one place of the list, with its proof")
    reveal.add_argument("--secret", type=Path, required=True, metavar="FILE")
    reveal.add_argument("--stratum", default="", metavar="LABEL")
    reveal.add_argument("--place", type=int, required=True, metavar="N")
    enrol = add("assign", "enrol", "allot the next person by minimisation")
    enrol.add_argument("--secret", type=Path, required=True, metavar="FILE")
    enrol.add_argument("--enrolled", type=Path, required=True, metavar="FILE")
    enrol.add_argument("--levels", required=True, metavar="A,B,…")
    check = add("check", "check", "check a place, or the whole once the secret is out")
    check.add_argument("--commitment", type=Path, required=True, metavar="FILE")
    check.add_argument("--opening", type=Path, metavar="FILE")
    check.add_argument("--secret", type=Path, metavar="FILE")
    check.add_argument("--enrolled", type=Path, metavar="FILE")
