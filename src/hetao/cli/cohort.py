"""`hetao cohort build`, `hetao cohort explain` and `hetao cohort attrition`."""

import argparse
import json
import os
import sys

from hetao.cdm import CuratedTables, open_site
from hetao.cli.main import say
from hetao.cohort import Cohort, build, flow_text, shown_attrition, write_rows
from hetao.cohort.circe import cohort_rows
from hetao.cohort.circe_file import native_answer, write_periods
from hetao.errors import InvalidData
from hetao.study import Study, explain, read_study
from hetao.study.circe_file import read_circe

LEAST_SHOWN = 10


def build_rows(chosen: argparse.Namespace) -> int:
    """Build a study's cohort at this site; counts are for the site's own eyes."""
    os.umask(0o077)  # patients' rows are for this user alone
    if chosen.circe is not None:
        return _build_circe(chosen)
    study = read_study(chosen.study)
    cohort = _built(study, chosen)
    if chosen.rows is not None:
        write_rows(study, cohort, chosen.rows)
        say(f"{chosen.rows} holds patients' rows: it stays at this site")
    if chosen.json:
        body = {
            "study": study.digest,
            "snapshot": cohort.snapshot,
            "resolved": cohort.resolved,
            "fields": list(cohort.fields),
            "attrition": [list(step) for step in cohort.attrition],
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    say("for this site only: every count is shown")
    sys.stdout.write(flow_text(cohort.attrition, 1))
    return 0


def attrition(chosen: argparse.Namespace) -> int:
    """Print how many people each step leaves, small counts hidden unless --local."""
    os.umask(0o077)
    study = read_study(chosen.study)
    least = max(LEAST_SHOWN, study.minimum.cell if study.minimum else 0)
    if chosen.local:
        least = 1
    steps = shown_attrition(_built(study, chosen).attrition, least)
    if chosen.json:
        shown = [[label, n if n >= 0 else None] for label, n in steps]
        sys.stdout.write(json.dumps({"least": least, "steps": shown}) + "\n")
        return 0
    sys.stdout.write(flow_text(steps, least))
    return 0


def say_study(chosen: argparse.Namespace) -> int:
    """Print what a study asks of people, in sentences."""
    sections = explain(read_study(chosen.study), chosen.language)
    if chosen.json:
        body = [{"title": s.title, "sentences": list(s.sentences)} for s in sections]
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    text = "\n".join(
        f"{section.title}\n" + "".join(f"  {one}\n" for one in section.sentences)
        for section in sections
    )
    sys.stdout.write(text)
    return 0


def _build_circe(chosen: argparse.Namespace) -> int:
    """Carry out one of OHDSI's definitions at this site, as OHDSI's SQL means it."""
    definition = read_circe(chosen.circe).definition
    with open_site(chosen.site) as source:
        if not isinstance(source, CuratedTables):
            raise InvalidData(
                "a flat file has no OMOP tables", fix="name a site that is curated"
            )
        rows = cohort_rows(definition, source.connection)
    if chosen.rows is not None:
        write_periods(rows, chosen.rows)
        say(f"{chosen.rows} holds patients' rows: it stays at this site")
    people = len({person for person, _, _ in rows})
    body = {"people": people, "periods": len(rows), "native": native_answer(definition)}
    if chosen.json:
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    say("for this site only: every count is shown")
    sys.stdout.write(f"{people} people, {len(rows)} periods\n")
    say(f"in a study's own words: {body['native']}")
    return 0


def _built(study: Study, chosen: argparse.Namespace) -> Cohort:
    with open_site(chosen.site) as source:
        return build(study, source)
