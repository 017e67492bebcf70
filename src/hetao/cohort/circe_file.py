"""CIRCE definitions in files, and the periods that they come to."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hetao.cohort.circe import Row
from hetao.cohort.circe_native import translate
from hetao.errors import InvalidData, InvalidStudy, NotExpressible

LARGEST_FILE = 64 * 2**20  # bytes; the largest published definition has 4 MB
COLUMNS = ("person_id", "cohort_start_date", "cohort_end_date")


def read_definition(path: Path) -> Mapping[str, Any]:
    """Return the CIRCE definition of a JSON file.

    Raises:
        InvalidData: the file cannot be read.
        InvalidStudy: it is not a JSON object.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidData(f"{path.name} is larger than {LARGEST_FILE >> 20} MiB")
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as problem:
        raise InvalidData(
            f"{path} cannot be read: {problem.strerror}", fix="check the path"
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise InvalidStudy(
            f"{path.name} is not JSON", fix="export the definition again from ATLAS"
        ) from problem
    if not isinstance(value, Mapping):
        raise InvalidStudy(f"{path.name} holds no CIRCE definition")
    return value


def native_answer(definition: Mapping[str, Any]) -> str:
    """Return "yes" if the cohort algebra says the same, else why it cannot."""
    try:
        translate(definition)
    except NotExpressible as problem:
        return f"no: {problem.what}"
    return "yes"


def write_periods(rows: Sequence[Row], path: Path) -> None:
    """Write periods as CSV. Patient rows: the file stays at the site.

    Raises:
        InvalidData: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    except OSError as problem:
        raise InvalidData(
            f"{path.name} cannot be written: {problem.strerror}", fix="check the path"
        ) from problem
