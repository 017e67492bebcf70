"""Words: who is studied, and what the data mean."""

from pathlib import Path

from hetao.cli.words.parser import Commands, add_json, command, group


def add_cohort(commands: Commands) -> None:
    """Add the words of `hetao cohort …`."""
    cohort = group(commands, "cohort", "who a study is about, at a site")
    module = "hetao.cli.cohort"
    explain = command(
        cohort, "explain", f"{module}:say_study", "say a study in sentences"
    )
    explain.add_argument("study", type=Path, metavar="STUDY.toml")
    languages = ("en", "zh-Hant", "zh-Hans")
    explain.add_argument("--language", choices=languages, default="en")
    add_json(explain)
    build = command(
        cohort, "build", f"{module}:build_rows", "build the cohort at this site"
    )
    attrition = command(
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
        add_json(parser)
    build.add_argument(
        "--rows", type=Path, metavar="FILE", help="keep the rows: .csv or .parquet"
    )
    attrition.add_argument(
        "--local", action="store_true", help="show small counts too, to this site"
    )


def add_vocab(commands: Commands) -> None:
    """Add the words of `hetao vocab …`."""
    vocab = group(commands, "vocab", "what a site's codes mean")
    module = "hetao.cli.vocab"
    load = command(
        vocab, "load", f"{module}:load", "load a vocabulary downloaded from Athena"
    )
    load.add_argument("download", type=Path, metavar="DIR")
    where = load.add_mutually_exclusive_group(required=True)
    where.add_argument("--site", type=Path, metavar="SITE.toml")
    where.add_argument("--store", type=Path, metavar="DIR", help="a site's store")
    add_json(load)
    suggest = command(
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
    add_json(suggest)
    confirm = command(
        vocab, "confirm", f"{module}:settle", "confirm one suggestion of a code"
    )
    confirm.add_argument("site", type=Path, metavar="SITE.toml")
    confirm.add_argument("system", metavar="SYSTEM", help="such as ha_lis")
    confirm.add_argument("code", metavar="CODE")
    which = confirm.add_mutually_exclusive_group()
    which.add_argument("--concept", type=int, metavar="ID")
    which.add_argument("--analyte", metavar="NAME")
    confirm.add_argument("--by", required=True, metavar="NAME", help="who says so")


def add_dictionary(commands: Commands) -> None:
    """Add the words of `hetao dictionary …`."""
    words = group(commands, "dictionary", "what tables, fields and units mean")
    show = command(
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
    add_json(show)
    page = command(
        words,
        "page",
        "hetao.cli.dictionary:write",
        "write the published dictionary, a page a language",
    )
    page.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR")


def add_synth(commands: Commands) -> None:
    """Add the words of `hetao synth`."""
    synth = command(
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
    add_json(synth)
