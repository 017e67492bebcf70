"""Words: what a hospital, its courier and a park run."""

from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group
from hetao.cli.words.provenance import add_commit


def add_demo(commands: Commands) -> None:
    """Add the words of `hetao demo`."""
    demo = command(
        commands,
        "demo",
        "hetao.cli.demo:demo",
        "hospitals answer one question, on this machine",
    )
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder of results")
    demo.add_argument("--scenario", choices=("heart", "lung", "gba"), default="heart")
    add_json(demo)


def add_site(commands: Commands) -> None:
    """Add the words of `hetao site …`."""
    site = group(commands, "site", "what a hospital runs")
    init = command(
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
    curate = command(
        site,
        "curate",
        "hetao.cli.site:curate",
        "turn a site's extract into OMOP tables, with a quality report; or several's",
    )
    curate.add_argument("sites", type=Path, nargs="+", metavar="SITE.toml")
    curate.add_argument(
        "--whole",
        action="store_true",
        help="make every table anew, also those of which nothing changed",
    )
    add_json(curate)
    add_commit(site)
    report = command(
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
    add_json(report)
    _add_snapshots(site)
    _add_switch(site)
    _add_count(site)
    serve = command(
        site,
        "serve",
        "hetao.cli.serve:serve",
        "answer approved studies; dials out, opens no port",
    )
    serve.add_argument("sites", type=Path, nargs="+", metavar="SITE.toml")
    answer = command(
        site,
        "answer",
        "hetao.cli.site:answer",
        "answer the letters of a file that a courier brought; needs no network",
    )
    answer.add_argument("site", type=Path, metavar="SITE.toml")
    answer.add_argument("request", type=Path, metavar="REQUEST")
    answer.add_argument("--out", type=Path, required=True, metavar="ANSWER")
    _add_releases(site)
    _add_released(site)


def _add_snapshots(site: Commands) -> None:
    listing = command(
        site, "snapshots", "hetao.cli.snapshots:listing", "list the site's snapshots"
    )
    listing.add_argument("site", type=Path, metavar="SITE.toml")
    add_json(listing)
    diff = command(
        site,
        "diff",
        "hetao.cli.snapshots:diff",
        "what changed between two snapshots, the last two if none is named",
    )
    diff.add_argument("site", type=Path, metavar="SITE.toml")
    diff.add_argument("before", nargs="?", metavar="BEFORE")
    diff.add_argument("after", nargs="?", metavar="AFTER")
    add_json(diff)


def _add_count(site: Commands) -> None:
    count = command(
        site,
        "count",
        "hetao.cli.private:count",
        "say how many people a study finds here, with noise, within a privacy budget",
    )
    count.add_argument("site", type=Path, metavar="SITE.toml")
    count.add_argument("study", type=Path, metavar="STUDY.toml")
    count.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="CATEGORY",
        help="count each level; several are crossed",
    )
    count.add_argument(
        "--epsilon", type=float, help="privacy loss of the answer; the most if left out"
    )
    count.add_argument("--out", type=Path, metavar="FILE", help="the signed answer")
    count.add_argument("--language", choices=("en", "zh-Hant", "zh-Hans"), default="en")
    add_json(count)


def _add_switch(site: Commands) -> None:
    stop = command(
        site, "stop", "hetao.cli.switch:stop", "answer nothing more, by any permit"
    )
    stop.add_argument("site", type=Path, metavar="SITE.toml")
    stop.add_argument("--reason", default="", help="for the site's own eyes")
    go = command(site, "go", "hetao.cli.switch:go", "answer again")
    go.add_argument("site", type=Path, metavar="SITE.toml")


def _add_released(site: Commands) -> None:
    released = command(
        site,
        "released",
        "hetao.cli.released:write",
        "sign what left in one run, also in one that was revoked halfway",
    )
    released.add_argument("site", type=Path, metavar="SITE.toml")
    released.add_argument("--run", dest="run_name", required=True, metavar="RUN")
    released.add_argument("--out", type=Path, required=True, metavar="FILE")


def _add_releases(site: Commands) -> None:
    releases = command(
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
    releases.add_argument(
        "--language", choices=("en", "zh-Hant", "zh-Hans"), default="en"
    )
    add_json(releases)


def add_courier(commands: Commands) -> None:
    """Add the words of `hetao courier …`."""
    courier = group(commands, "courier", "carries files for a site without a network")
    fetch = command(
        courier,
        "fetch",
        "hetao.cli.courier:collect",
        "write what waits for the site into one file; opens no key but TLS's",
    )
    fetch.add_argument("site", type=Path, metavar="SITE.toml")
    fetch.add_argument("--out", type=Path, required=True, metavar="REQUEST")
    post = command(
        courier, "post", "hetao.cli.courier:post", "hand the site's answers in"
    )
    post.add_argument("site", type=Path, metavar="SITE.toml")
    post.add_argument("answer", type=Path, metavar="ANSWER")


def add_hub(commands: Commands) -> None:
    """Add the words of `hetao hub …`."""
    hub = group(commands, "hub", "what a park runs")
    serve = command(hub, "serve", "hetao.cli.hub:serve", "carry sealed envelopes")
    serve.add_argument("hub", type=Path, metavar="HUB.toml")
