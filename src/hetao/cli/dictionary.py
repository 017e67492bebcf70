"""`hetao dictionary page` and `hetao dictionary show`."""

import argparse
import json
import sys
from dataclasses import asdict

from hetao.cli.main import folder_for, say
from hetao.dictionary import dictionary
from hetao.dictionary.page import PAGES, analyte_text, field_text, page, table_text


def show(chosen: argparse.Namespace) -> int:
    """Print the digest, a table, a field or an analyte of the dictionary."""
    here = dictionary()
    if not chosen.path:
        body = {"name": here.name, "digest": here.digest, "tables": list(here.tables)}
        text = "".join(f"{name}\n" for name in (here.digest, *here.tables))
        return _print(chosen, body, text)
    if chosen.path in here.analytes:
        analyte = here.analytes[chosen.path]
        return _print(chosen, asdict(analyte), analyte_text(analyte, chosen.language))
    name, _, field_name = chosen.path.partition(".")
    table = here.table(name)
    if not field_name:
        text = table_text(table, chosen.language)
        return _print(chosen, asdict(table), text)
    field = here.field(chosen.path)
    return _print(chosen, asdict(field), field_text(table, field, chosen.language))


def write(chosen: argparse.Namespace) -> int:
    """Write the published page, a file a language."""
    folder_for(chosen.out)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for language, name in PAGES.items():
        path = chosen.out / name
        path.write_text(page(dictionary(), language), encoding="utf-8")
        say(f"{path} is written")
    return 0


def _print(chosen: argparse.Namespace, body: object, text: str) -> int:
    whole = (
        json.dumps(body, ensure_ascii=False, default=str) + "\n"
        if chosen.json
        else text
    )
    sys.stdout.write(whole)
    return 0
