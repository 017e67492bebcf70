"""`hetao vocab load`, `hetao vocab suggest` and `hetao vocab confirm`."""

import argparse
import datetime
import json
import os
import sys

from hetao.cdm import CuratedTables, open_site
from hetao.cdm.engine_duckdb import connect
from hetao.cdm.mapping import read_folder
from hetao.cdm.vocabulary import current_vocabulary, load_athena
from hetao.cdm.vocabulary.codes_file import read_codes, write_codes
from hetao.cdm.vocabulary.suggesting import (
    Candidate,
    analyte_candidates,
    code_candidates,
    confirm,
    suggest,
    unmapped_terms,
    vocabulary_candidates,
    with_suggestions,
)
from hetao.cli.main import say
from hetao.errors import InvalidData
from hetao.synth.catalogue import catalogue


def load(chosen: argparse.Namespace) -> int:
    """Load an Athena download into a site's store, and make it the current one."""
    os.umask(0o077)
    store = chosen.store or read_folder(chosen.site).store_path
    loaded = load_athena(chosen.download, store)
    if chosen.json:
        body = {
            "digest": loaded.digest,
            "version": loaded.version,
            "rows": loaded.rows,
            "path": str(loaded.path),
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    say(f"loaded {loaded.version or 'a vocabulary without a version'}")
    for table, rows in loaded.rows.items():
        say(f"  {table}: {rows:,} rows")
    say(f"{loaded.digest}: the current vocabulary; curate again to use it")
    return 0


def make_suggestions(chosen: argparse.Namespace) -> int:
    """Write suggestions for codes that nobody mapped into the site's codes.csv."""
    os.umask(0o077)
    folder = read_folder(chosen.site)
    with connect() as reader:
        rows = read_codes(reader, folder.codes_path)
        others = [row for path in chosen.others for row in read_codes(reader, path)]
    with open_site(chosen.site) as source:
        if not isinstance(source, CuratedTables):
            raise InvalidData(
                "a flat file has no codes to map", fix="name a site that is curated"
            )
        terms = unmapped_terms(source.engine, rows)
    candidates = code_candidates([*rows, *others])
    candidates += [*analyte_candidates(), *catalogue_candidates()]
    loaded = current_vocabulary(folder.store_path)
    if loaded is not None:
        candidates += vocabulary_candidates(loaded, {term.system for term in terms})
    found = suggest(terms, candidates)
    kept = with_suggestions(rows, found)
    write_codes(folder.codes_path, kept)
    suggested = {row.key for row in kept if row.status == "suggested"}
    if chosen.json:
        body = {"terms": len(terms), "suggested": len(suggested)}
        sys.stdout.write(json.dumps(body) + "\n")
        return 0
    say(f"{len(suggested)} of {len(terms)} unmapped codes have a suggestion")
    say(f"look at them in {folder.codes_path}; none maps before it is confirmed")
    return 0


def settle(chosen: argparse.Namespace) -> int:
    """Confirm one suggestion of a code, by name and today's date; reject its others."""
    os.umask(0o077)
    path = read_folder(chosen.site).codes_path
    with connect() as reader:
        known = read_codes(reader, path)
    rows = confirm(
        known,
        (chosen.system, chosen.code),
        chosen.concept if chosen.concept is not None else chosen.analyte,
        chosen.by,
        datetime.datetime.now(datetime.UTC).date(),
    )
    write_codes(path, rows)
    say(f"{chosen.system} {chosen.code} is confirmed; curate again to use it")
    return 0


def catalogue_candidates() -> list[Candidate]:
    """Return well-known diseases and medicines by name, as classes of public codes."""
    known = catalogue()
    entries = [
        (
            "Condition",
            disease.names,
            _classes(icd10=disease.icd10, icd9cm=disease.icd9cm),
        )
        for disease in known.diseases.values()
    ]
    entries += [
        ("Drug", drug.names, _classes(atc=drug.atc, bnf=drug.bnf))
        for drug in known.drugs.values()
    ]
    return [
        Candidate(name, classes=classes, domain=domain)
        for domain, names, classes in entries
        if classes
        for name in dict.fromkeys(names.values())
    ]


def _classes(**codes: str) -> str:
    return "|".join(f"{system}:{code}" for system, code in codes.items() if code)
