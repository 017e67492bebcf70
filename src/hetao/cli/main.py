"""`hetao COMMAND …`: words in, a process's work, an exit code out.

Results go to standard output, everything else to standard error. Exit codes: 0 done,
1 a fault of ours, 2 called wrongly, 3 refused by a rule, 4 an invalid input, 5 a party
unreachable, 6 a proof that does not hold, 130 interrupted, 143 told to end.

Each command's module is imported only when it is called: the verifier then loads the
verifier, and the coordinator's process never loads what opens patient rows.
"""

import argparse
import contextlib
import importlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hetao import MODELS, __version__
from hetao.cli.fit_fields import add_fields
from hetao.errors import HetaoError, Usage

Command = Callable[[argparse.Namespace], int]
# Commands of a site's own people on its own data: their standard error is theirs, into
# a file too. Of the others a file may go to somebody else.
AT_A_SITE = (
    "hetao.cli.site",
    "hetao.cli.serve",
    "hetao.cli.cohort",
    "hetao.cli.vocab",
    "hetao.cli.releases",
)
IN_A_QUERY = "Query interrupted"  # what DuckDB makes of a signal that it hears first


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return its exit code."""
    parser = build_parser()
    chosen = parser.parse_args(words)
    if chosen.run is None:
        chosen.parser.print_help(sys.stderr)
        return 2
    return carry_out(chosen)


def carry_out(chosen: argparse.Namespace) -> int:
    """Carry out a command whose words were read; return its exit code."""
    with _unwound_by_signals() as heard:
        return _carried_out(chosen, heard)


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


def _carried_out(chosen: argparse.Namespace, heard: Sequence[int]) -> int:
    module, _, function = chosen.run.partition(":")
    try:
        command: Command = getattr(importlib.import_module(module), function)
        status = command(chosen)
        sys.stdout.flush()
    except HetaoError as error:
        say(f"error: {error}")
        if error.local and (module in AT_A_SITE or sys.stderr.isatty()):
            say(f"for this site only: {error.local}")
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
    except OSError as problem:
        if problem.filename is None:  # no file of the user's: a fault of ours
            raise
        fault = Usage(
            f"{problem.filename} cannot be used: {problem.strerror}",
            fix="check the path and its permissions",
        )
        say(f"error: {fault}")
        return fault.exit_code
    return status


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


def say(text: str) -> None:
    """Write a line of progress or complaint to standard error."""
    sys.stderr.write(f"hetao: {text}\n")
    sys.stderr.flush()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="hetao",
        description="Hospitals answer one question together; no patient row leaves "
        "any of them.",
    )
    parser.add_argument("--version", action="version", version=f"hetao {__version__}")
    parser.set_defaults(run=None, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_site(commands)
    _add_courier(commands)
    _add_hub(commands)
    _add_study(commands)
    _add_cohort(commands)
    _add_vocab(commands)
    _add_dictionary(commands)
    _add_rules(commands)
    _add_permit(commands)
    _add_run(commands)
    _add_review(commands)
    _add_verify(commands)
    _add_appraise(commands)
    _add_fit(commands)
    _add_trial(commands)
    _add_synth(commands)
    _add_watch(commands)
    return parser


def _command(commands: Any, name: str, run: str, text: str) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text
    )
    added.set_defaults(run=run, parser=added)
    return added


def _group(commands: Any, name: str, text: str) -> Any:
    added = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=None, parser=added)
    return added.add_subparsers(title="commands", metavar="COMMAND")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of text"
    )


def _add_demo(commands: Any) -> None:
    demo = _command(
        commands,
        "demo",
        "hetao.cli.demo:demo",
        "hospitals answer one question, on this machine",
    )
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder of results")
    demo.add_argument("--scenario", choices=("heart", "lung", "gba"), default="heart")
    _json(demo)


def _add_site(commands: Any) -> None:
    site = _group(commands, "site", "what a hospital runs")
    init = _command(
        site,
        "init",
        "hetao.cli.site:init",
        "lay down the mapping of a record system, to start from",
    )
    init.add_argument("folder", type=Path, metavar="FOLDER")
    init.add_argument(
        "--profile",
        required=True,
        metavar="PROFILE",
        help="ha-cdars, wst500, fhir, omop, ehealth, gba-special or flat",
    )
    init.add_argument("--name", help="of the site in studies; the folder's if left out")
    init.add_argument(
        "--example",
        action="store_true",
        help="write a made-up extract beside it, so that it can be curated at once",
    )
    curate = _command(
        site,
        "curate",
        "hetao.cli.site:curate",
        "turn the site's extract into OMOP tables, with a quality report",
    )
    curate.add_argument("site", type=Path, metavar="SITE.toml")
    curate.add_argument(
        "--whole",
        action="store_true",
        help="make every table anew, also those of which nothing changed",
    )
    _json(curate)
    report = _command(
        site,
        "report",
        "hetao.cli.quality:report",
        "sum up the quality of a snapshot and write its page again",
    )
    report.add_argument("site", type=Path, metavar="SITE.toml")
    report.add_argument("--snapshot", metavar="DIGEST", help="the current one if none")
    report.add_argument(
        "--language", default="", metavar="TAG", help="en, zh-Hant, zh-Hans; the site's"
    )
    report.add_argument("--open", action="store_true", help="open it in the browser")
    _json(report)
    _add_snapshots(site)
    _add_switch(site)
    serve = _command(
        site,
        "serve",
        "hetao.cli.serve:serve",
        "answer approved studies; dials out, opens no port",
    )
    serve.add_argument("sites", type=Path, nargs="+", metavar="SITE.toml")
    answer = _command(
        site,
        "answer",
        "hetao.cli.site:answer",
        "answer the letters of a file that a courier brought; needs no network",
    )
    answer.add_argument("site", type=Path, metavar="SITE.toml")
    answer.add_argument("request", type=Path, metavar="REQUEST")
    answer.add_argument("--out", type=Path, required=True, metavar="ANSWER")
    _add_releases(site)


def _add_courier(commands: Any) -> None:
    courier = _group(commands, "courier", "carries files for a site without a network")
    fetch = _command(
        courier,
        "fetch",
        "hetao.cli.courier:collect",
        "write what waits for the site into one file; opens no key but TLS's",
    )
    fetch.add_argument("site", type=Path, metavar="SITE.toml")
    fetch.add_argument("--out", type=Path, required=True, metavar="REQUEST")
    post = _command(
        courier, "post", "hetao.cli.courier:post", "hand the site's answers in"
    )
    post.add_argument("site", type=Path, metavar="SITE.toml")
    post.add_argument("answer", type=Path, metavar="ANSWER")


def _add_releases(site: Any) -> None:
    releases = _command(
        site,
        "releases",
        "hetao.cli.releases:releases",
        "say what left this site, when, why, allowed by whom; checks its log",
    )
    releases.add_argument("site", type=Path, metavar="SITE.toml")
    releases.add_argument(
        "--since", default="", metavar="DAY", help="only from this UTC day or time on"
    )
    releases.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with a picture instead"
    )
    releases.add_argument("--lang", choices=("en", "zh-Hant", "zh-Hans"), default="en")
    _json(releases)


def _add_switch(site: Any) -> None:
    stop = _command(
        site, "stop", "hetao.cli.switch:stop", "answer nothing more, by any permit"
    )
    stop.add_argument("site", type=Path, metavar="SITE.toml")
    stop.add_argument("--reason", default="", help="for the site's own eyes")
    go = _command(site, "go", "hetao.cli.switch:go", "answer again")
    go.add_argument("site", type=Path, metavar="SITE.toml")


def _add_snapshots(site: Any) -> None:
    listing = _command(
        site, "snapshots", "hetao.cli.snapshots:listing", "list the site's snapshots"
    )
    listing.add_argument("site", type=Path, metavar="SITE.toml")
    _json(listing)
    diff = _command(
        site,
        "diff",
        "hetao.cli.snapshots:diff",
        "what changed between two snapshots, the last two if none is named",
    )
    diff.add_argument("site", type=Path, metavar="SITE.toml")
    diff.add_argument("before", nargs="?", metavar="BEFORE")
    diff.add_argument("after", nargs="?", metavar="AFTER")
    _json(diff)


def _add_hub(commands: Any) -> None:
    hub = _group(commands, "hub", "what a park runs")
    serve = _command(hub, "serve", "hetao.cli.hub:serve", "carry sealed envelopes")
    serve.add_argument("hub", type=Path, metavar="HUB.toml")


def _add_study(commands: Any) -> None:
    study = _group(commands, "study", "what is asked")
    check = _command(study, "check", "hetao.cli.study:check", "check a study file")
    check.add_argument("study", type=Path, metavar="STUDY.toml")
    _json(check)
    propose = _command(
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
    _json(propose)


def _add_dictionary(commands: Any) -> None:
    words = _group(commands, "dictionary", "what tables, fields and units mean")
    show = _command(
        words,
        "show",
        "hetao.cli.dictionary:show",
        "print a table, a field or an analyte; without one, digest and tables",
    )
    show.add_argument(
        "path",
        nargs="?",
        default="",
        metavar="NAME",
        help="TABLE, TABLE.FIELD or ANALYTE",
    )
    show.add_argument("--language", choices=("en", "zh-Hant", "zh-Hans"), default="en")
    _json(show)
    page = _command(
        words,
        "page",
        "hetao.cli.dictionary:write",
        "write the published dictionary, a page a language",
    )
    page.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR")


def _add_rules(commands: Any) -> None:
    rules = _group(commands, "rules", "what the law asks of a request; no legal advice")
    module = "hetao.cli.rules"

    def add(name: str, function: str, text: str) -> argparse.ArgumentParser:
        added = _command(rules, name, f"{module}:{function}", text)
        languages = ("en", "zh-Hant", "zh-Hans")
        added.add_argument("--lang", choices=languages, default="en")
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
        _json(parser)
    form = add("facts", "write_form", "an empty facts file, with every question")
    form.add_argument("--out", type=Path, metavar="FILE")


def _add_cohort(commands: Any) -> None:
    cohort = _group(commands, "cohort", "who a study is about, at a site")
    module = "hetao.cli.cohort"
    explain = _command(
        cohort, "explain", f"{module}:say_study", "say a study in sentences"
    )
    explain.add_argument("study", type=Path, metavar="STUDY.toml")
    languages = ("en", "zh-Hant", "zh-Hans")
    explain.add_argument("--language", choices=languages, default="en")
    _json(explain)
    build = _command(
        cohort, "build", f"{module}:build_rows", "build the cohort at this site"
    )
    attrition = _command(
        cohort, "attrition", f"{module}:attrition", "how many people each step leaves"
    )
    attrition.add_argument("study", type=Path, metavar="STUDY.toml")
    what = build.add_mutually_exclusive_group(required=True)
    what.add_argument("study", type=Path, nargs="?", metavar="STUDY.toml")
    what.add_argument(
        "--circe", type=Path, metavar="FILE.json", help="one of OHDSI's definitions"
    )
    for parser in (build, attrition):
        parser.add_argument("--site", type=Path, required=True, metavar="SITE.toml")
        _json(parser)
    build.add_argument(
        "--rows", type=Path, metavar="FILE", help="keep the rows: .csv or .parquet"
    )
    attrition.add_argument(
        "--local", action="store_true", help="show small counts too, to this site"
    )


def _add_vocab(commands: Any) -> None:
    vocab = _group(commands, "vocab", "what a site's codes mean")
    module = "hetao.cli.vocab"
    load = _command(
        vocab, "load", f"{module}:load", "load a vocabulary downloaded from Athena"
    )
    load.add_argument("download", type=Path, metavar="DIR")
    where = load.add_mutually_exclusive_group(required=True)
    where.add_argument("--site", type=Path, metavar="SITE.toml")
    where.add_argument("--store", type=Path, metavar="DIR", help="a site's store")
    _json(load)
    suggest = _command(
        vocab,
        "suggest",
        f"{module}:make_suggestions",
        "suggest what unmapped codes mean, in codes.csv; none maps until confirmed",
    )
    suggest.add_argument("site", type=Path, metavar="SITE.toml")
    suggest.add_argument(
        "--from",
        dest="others",
        type=Path,
        nargs="+",
        default=[],
        metavar="CODES.csv",
        help="what other sites confirmed",
    )
    _json(suggest)
    confirm = _command(
        vocab, "confirm", f"{module}:settle", "confirm one suggestion of a code"
    )
    confirm.add_argument("site", type=Path, metavar="SITE.toml")
    confirm.add_argument("system", metavar="SYSTEM", help="such as ha_lis")
    confirm.add_argument("code", metavar="CODE")
    which = confirm.add_mutually_exclusive_group()
    which.add_argument("--concept", type=int, metavar="ID")
    which.add_argument("--analyte", metavar="NAME")
    confirm.add_argument("--by", required=True, metavar="NAME", help="who says so")


SAYING = {
    "approve": "approve it, in the office of the key's owner",
    "refuse": "refuse it, for good",
    "withdraw": "take an approval back, for good",
    "suspend": "stop every use until it is resumed",
    "resume": "lift the suspensions of one's own office",
    "vary": "tighten a term, or set a condition",
    "warn": "warn, which stops nothing",
    "revoke": "end it, for good",
    "close": "end it when the work is done; a report is due",
    "amend": "end it in favour of a new version, which nobody has approved",
    "renew": "say that it still holds, as every side must within its lease",
}


def _add_permit(commands: Any) -> None:
    group = _group(commands, "permit", "what people say about a permit")
    module = "hetao.cli.permit"
    show = _command(group, "show", f"{module}:show", "how a permit stands, and why")
    show.add_argument("permit", type=Path, metavar="PERMIT")
    _json(show)
    for verb, text in SAYING.items():
        function = verb if verb in ("amend", "renew") else "sign"
        one = _command(group, verb, f"{module}:{function}", text)
        one.set_defaults(verb=verb)
        one.add_argument("permit", type=Path, metavar="PERMIT")
        one.add_argument(
            "--key",
            type=Path,
            required=True,
            metavar="KEY",
            action="append" if verb == "renew" else "store",
        )
        one.add_argument("--reason", default="", help="for those who read it")
        one.add_argument(
            "--delegation", type=Path, metavar="FILE", help="of `permit delegate`"
        )
        _json(one)
        if verb in ("vary", "amend"):
            one.add_argument(
                "--set", action="append", default=[], metavar="FIELD=VALUE"
            )
        if verb == "suspend":
            one.add_argument("--until", default="", metavar="2026-11-22T00:00:00Z")
        if verb == "amend":
            one.add_argument("--out", type=Path, required=True, metavar="PERMIT")
        if verb == "renew":
            _add_renewing(one)
    _add_delegate(group, module)


def _add_renewing(renew: argparse.ArgumentParser) -> None:
    renew.add_argument(
        "--every",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="go on renewing; an unattended key should be one that can only renew",
    )
    renew.add_argument(
        "--into",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="also write the permit file here, such as a site's folder of notices",
    )


def _add_delegate(group: Any, module: str) -> None:
    lend = _command(
        group, "delegate", f"{module}:delegate", "let somebody act in one's office"
    )
    lend.add_argument("permit", type=Path, metavar="PERMIT")
    lend.add_argument("--key", type=Path, required=True, metavar="KEY")
    lend.add_argument("--to", required=True, metavar="NAME")
    lend.add_argument("--days", type=int, default=30)
    lend.add_argument("--out", type=Path, required=True, metavar="FILE")


def _add_run(commands: Any) -> None:
    run = _command(commands, "run", "hetao.cli.run:run", "carry out an approved study")
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
    _json(run)


def _add_review(commands: Any) -> None:
    review = _group(commands, "review", "check what was found before it is shown")
    listed = _command(
        review,
        "list",
        "hetao.cli.review:review_list",
        "what waits to be checked, and who has voted",
    )
    listed.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    _json(listed)
    show = _command(
        review, "show", "hetao.cli.review:show", "what was found, and every check"
    )
    show.add_argument("folder", type=Path, metavar="FOLDER")
    _json(show)
    vote = _command(
        review, "vote", "hetao.cli.review:vote", "vote, sealed to the coordinator"
    )
    vote.add_argument("folder", type=Path, metavar="FOLDER")
    vote.add_argument("vote", choices=("accept", "change", "reject"))
    vote.add_argument("--key", type=Path, required=True, metavar="KEY")
    vote.add_argument(
        "--comment", default="", metavar="TEXT", help="to the author, read after both"
    )
    _json(vote)


def _add_verify(commands: Any) -> None:
    verify = _command(
        commands, "verify", "hetao.cli.verify:verify", "check a certificate, offline"
    )
    verify.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    verify.add_argument(
        "--trust", type=Path, metavar="PARTIES.toml", help="your own list of parties"
    )
    verify.add_argument(
        "--notices",
        type=Path,
        metavar="PERMIT",
        help="the permit file of today: says what a revocation since then taints",
    )
    _json(verify)


def _add_fit(commands: Any) -> None:
    fit = _command(
        commands,
        "fit",
        "hetao.cli.fit:fit",
        "fit a model over the parts of a file, each part a process of its own",
    )
    fit.add_argument("model", choices=MODELS, metavar="MODEL", help=", ".join(MODELS))
    fit.add_argument("formula", metavar="FORMULA", help="y ~ x, Surv(time, event) ~ x")
    fit.add_argument("--data", type=Path, metavar="FILE", help="CSV or Parquet")
    fit.add_argument("--split-by", metavar="COLUMN", help="the column of sites")
    fit.add_argument(
        "--site", action="append", metavar="NAME=FILE", help="one file a site"
    )
    add_fields(fit)
    fit.add_argument("--policy", type=Path, metavar="POLICY.toml")
    fit.add_argument("--out", type=Path, metavar="DIR", help="keep the certificate")
    _json(fit)


def _add_appraise(commands: Any) -> None:
    appraise = _command(
        commands,
        "appraise",
        "hetao.cli.appraise:appraise",
        "what a certified finding withstands: confounders, controls, many findings",
    )
    appraise.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    appraise.add_argument(
        "--term",
        action="append",
        metavar="ANALYSIS[:TERM]",
        help="what to appraise; every ratio if none is named",
    )
    appraise.add_argument(
        "--control",
        action="append",
        metavar="ANALYSIS[:TERM]",
        help="a negative control, at least five",
    )
    appraise.add_argument(
        "--common",
        action="store_true",
        help="15 of 100 or more have the outcome: odds and hazard ratios are no risk "
        "ratios",
    )
    _json(appraise)


def _add_trial(commands: Any) -> None:
    trial = _group(commands, "trial", "plan a trial, and fix who gets what")
    module = "hetao.cli.trial"

    def add(name: str, function: str, text: str) -> argparse.ArgumentParser:
        added = _command(trial, name, f"{module}:{function}", text)
        added.add_argument("trial", type=Path, metavar="TRIAL.toml")
        return added

    _json(add("plan", "plan", "how many people it needs, and its bounds at each look"))
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


def _add_watch(commands: Any) -> None:
    watch = _command(
        commands,
        "watch",
        "hetao.cli.watch:run",
        "is a product's safety signalling, look after look of certificates?",
    )
    watch.add_argument("plan", type=Path, metavar="WATCH.toml")
    watch.add_argument(
        "certificates",
        nargs="*",
        type=Path,
        metavar="CERTIFICATE",
        help="the looks so far, the first one first; none: what the plan promises",
    )
    watch.add_argument("--out", type=Path, metavar="FILE", help="draw: .svg or .png")
    _json(watch)


def _add_synth(commands: Any) -> None:
    synth = _command(
        commands,
        "synth",
        "hetao.cli.synth:synth",
        "make up a population with known effects: no real person",
    )
    synth.add_argument(
        "--sites", required=True, metavar="FILE", help="sites.toml, or gba, or ha"
    )
    synth.add_argument("--persons", type=int, required=True, metavar="N")
    synth.add_argument("--seed", type=int, default=1, metavar="S")
    synth.add_argument(
        "--as",
        dest="form",
        choices=("extracts", "cdm"),
        default="extracts",
        help="each site's own extract, or tables of the common data model",
    )
    synth.add_argument(
        "--effects", type=Path, metavar="FILE", help="true effects of your own"
    )
    synth.add_argument("--out", type=Path, required=True, metavar="DIR")
    _json(synth)
