"""Words: what is asked, what the rules say to it, and carrying it out."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group


def add_study(commands: Commands) -> None:
    """Add the words of `hetao study …`."""
    study = group(commands, "study", "what is asked")
    check = command(study, "check", "hetao.cli.study:check", "check a study file")
    check.add_argument("study", type=Path, metavar="STUDY.toml")
    add_json(check)
    propose = command(
        study, "propose", "hetao.cli.study:propose", "draft the permit of a study"
    )
    propose.add_argument("study", type=Path, metavar="STUDY.toml")
    propose.add_argument("--network", type=Path, metavar="NETWORK.toml")
    propose.add_argument("--out", type=Path, metavar="PERMIT")
    propose.add_argument(
        "--facts",
        type=Path,
        metavar="FACTS.toml",
        help="what is known about the request; refused where the rules forbid or ask",
    )
    propose.add_argument(
        "--packs", type=Path, metavar="DIR", help="rule packs of your own too"
    )
    propose.add_argument("--days", type=int, default=90, help="how long it is to hold")
    propose.add_argument(
        "--highest-grade",
        type=int,
        default=3,
        choices=range(1, 6),
        help="highest class of what may leave a site (3; 2 needs three sites a sum)",
    )
    propose.add_argument(
        "--author",
        action="append",
        default=[],
        metavar="NAME",
        help="who asks; all of the list with the role author if none is named",
    )
    propose.add_argument(
        "--lease-hours",
        type=int,
        default=24,
        help="within how many hours every side renews the permit (24)",
    )
    propose.add_argument(
        "--committed",
        type=Path,
        metavar="POLICY",
        help="each site must have committed to its extract, and these witnesses must "
        "have seen it, before anything runs; a tlog-policy without log lines",
    )
    add_json(propose)


def add_rules(commands: Commands) -> None:
    """Add the words of `hetao rules …`."""
    rules = group(commands, "rules", "what the law asks of a request; no legal advice")
    module = "hetao.cli.rules"

    def add(name: str, function: str, text: str) -> argparse.ArgumentParser:
        added = command(rules, name, f"{module}:{function}", text)
        languages = ("en", "zh-Hant", "zh-Hans")
        added.add_argument("--language", choices=languages, default="en")
        added.add_argument(
            "--packs", type=Path, metavar="DIR", help="rule packs of your own too"
        )
        return added

    explain = add("explain", "explain_facts", "what the rules say to a facts file")
    explain.add_argument("facts", type=Path, metavar="FACTS.toml")
    listing = add("list", "listing", "the rules in force, with their sources")
    listing.add_argument("--pack", metavar="NAME", help="of one pack")
    listing.add_argument(
        "--due",
        type=int,
        nargs="?",
        const=365,
        metavar="DAYS",
        help="whose source was last read so many days ago (365)",
    )
    for parser in (explain, listing):
        parser.add_argument("--on", metavar="DATE", help="a day; today if left out")
        add_json(parser)
    form = add("facts", "write_form", "an empty facts file, with every question")
    form.add_argument("--out", type=Path, metavar="FILE")


def add_run(commands: Commands) -> None:
    """Add the words of `hetao run`."""
    run = command(commands, "run", "hetao.cli.run:run", "carry out an approved study")
    run.add_argument("study", type=Path, metavar="STUDY.toml")
    run.add_argument("--network", type=Path, required=True, metavar="NETWORK.toml")
    run.add_argument("--out", type=Path, required=True, metavar="DIR")
    run.add_argument(
        "--permit", type=Path, metavar="PERMIT", help="permit.json beside the study"
    )
    run.add_argument(
        "--by-file",
        action="append",
        default=[],
        metavar="SITE",
        help="a site that is not online: one file is carried to it, and one back",
    )
    run.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for the output checkers' votes (0)",
    )
    add_json(run)


def add_review(commands: Commands) -> None:
    """Add the words of `hetao review …`."""
    review = group(commands, "review", "check what was found before it is shown")
    listed = command(
        review,
        "list",
        "hetao.cli.review:review_list",
        "what waits to be checked, and who has voted",
    )
    listed.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    add_json(listed)
    show = command(
        review, "show", "hetao.cli.review:show", "what was found, and every check"
    )
    show.add_argument("folder", type=Path, metavar="FOLDER")
    add_json(show)
    vote = command(
        review, "vote", "hetao.cli.review:vote", "vote, sealed to the coordinator"
    )
    vote.add_argument("folder", type=Path, metavar="FOLDER")
    vote.add_argument("vote", choices=("accept", "change", "reject"))
    vote.add_argument("--key", type=Path, required=True, metavar="KEY")
    vote.add_argument(
        "--comment", default="", metavar="TEXT", help="to the author, read after both"
    )
    add_json(vote)
