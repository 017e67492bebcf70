"""What a CIRCE definition comes to: whether the algebra says it too, and a file."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hetao.cohort.circe import Row
from hetao.cohort.circe_native import translate
from hetao.errors import InvalidData, NotExpressible

COLUMNS = ("person_id", "cohort_start_date", "cohort_end_date")


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
