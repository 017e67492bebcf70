"""The values of a quality report: one check's result, and the report as a whole."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hetao.dictionary.checks import (
    CATEGORIES,
    FAIL,
    NOT_APPLICABLE,
    PASS,
    CheckType,
    check_types,
)
from hetao.errors import InvalidData
from hetao.records import record

FORMAT = "hetao.quality/1"
FEW = 10  # rows; a share of fewer says little
_written = json.JSONEncoder(ensure_ascii=False).encode
WORST_FIRST = {FAIL: 0, PASS: 1, NOT_APPLICABLE: 2}


@dataclass(frozen=True)
class Check:
    """What one check found. Its counts are for the site's own eyes.

    Attributes:
        type: name of its type in `hetao.dictionary.checks`.
        table, field: of the dictionary; field is "" where it is about whole rows. For
            findings of curation, `table` is the source's name in the site's mapping.
        concept: name of an analyte, of a code system or of a group of concepts of one
            sex; "" for a check that is about no concept.
        violated: how many rows (people, months or codes, as the type says) violate it.
        rows: how many could have.
        threshold: the share beyond which it fails.
        detail: the range, system or unit that it holds against; for the site.
    """

    type: str
    table: str
    field: str = ""
    concept: str = ""
    violated: int = 0
    rows: int = 0
    threshold: float = 0.0
    detail: str = ""

    @property
    def id(self) -> str:
        """Return what names this check among all others of a report."""
        place = f"{self.table}.{self.field}" if self.field else self.table
        return f"{self.type}:{place}" + (f":{self.concept}" if self.concept else "")

    @property
    def kind(self) -> CheckType:
        """Return its type."""
        return check_types()[self.type]

    @property
    def share(self) -> float:
        """Return the share of rows that violate it; 0 where there are none."""
        return self.violated / self.rows if self.rows else 0.0

    @property
    def status(self) -> str:
        """Return "pass", "fail", or "not-applicable" where nothing is to check."""
        if not self.rows:
            return NOT_APPLICABLE
        return FAIL if self.share > self.threshold else PASS


def checked(
    type_: str, place: str, found: tuple[int, int], concept: str = "", detail: str = ""
) -> Check:
    """Return a check with its type's threshold, or the one set for its place.

    Args:
        type_: name of the type.
        place: `table` or `table.field`.
        found: (violated, rows).
        concept: the concept it is about.
        detail: what it holds against, for the site's own eyes.
    """
    table, _, name = place.partition(".")
    threshold = THRESHOLDS.get((type_, place), check_types()[type_].threshold)
    return Check(type_, table, name, concept, *found, threshold, detail)


# Where a place asks for more or less than its type does.
_MAY_BE_EMPTY = (
    "care_site",
    "condition_era",
    "death",
    "device_exposure",
    "drug_era",
    "observation",
    "procedure_occurrence",
    "specimen",
    "visit_detail",
)
_MAY_BE_UNMAPPED = (
    "person.race_concept_id",
    "person.ethnicity_concept_id",
    "person.race_source_value",
    "person.ethnicity_source_value",
    "visit_occurrence.visit_source_concept_id",
    "visit_detail.visit_detail_source_concept_id",
)
THRESHOLDS: Mapping[tuple[str, str], float] = {
    **{("measurePersonCompleteness", table): 1.0 for table in _MAY_BE_EMPTY},
    **{
        (f"{what}Completeness", place): 1.0
        for place in _MAY_BE_UNMAPPED
        for what in ("standardConceptRecord", "sourceConceptRecord", "sourceValue")
    },
    ("measurePersonCompleteness", "observation_period"): 0.0,
    ("measureValueCompleteness", "measurement.value_as_number"): 0.5,
    ("measureValueCompleteness", "measurement.unit_concept_id"): 0.5,
    ("measureValueCompleteness", "drug_exposure.days_supply"): 0.5,
    ("measureValueCompleteness", "person.month_of_birth"): 0.5,
    ("standardConceptRecordCompleteness", "death.cause_concept_id"): 0.5,
}


@dataclass(frozen=True)
class Distribution:
    """How one analyte's results lie, in its canonical unit; for the site's own eyes.

    `bars` count results between `low` and `high`, in steps of equal width.
    """

    analyte: str
    number: int
    median: float
    low: float
    high: float
    bars: tuple[int, ...]


@dataclass(frozen=True)
class Statistics:
    """What the next refresh is held against; counts, for the site's own eyes.

    Attributes:
        rows: by table.
        months: rows by table and month ("2026-03").
        unmapped: share of rows without a standard concept, by `table.field`.
        analytes: one distribution for each analyte that was measured.
    """

    rows: dict[str, int] = field(default_factory=dict)
    months: dict[str, dict[str, int]] = field(default_factory=dict)
    unmapped: dict[str, float] = field(default_factory=dict)
    analytes: tuple[Distribution, ...] = ()


@dataclass(frozen=True)
class Quality:
    """The quality of one snapshot: every check, and what the next is held against.

    Attributes:
        site, title, language: as in `site.toml`.
        snapshot: digest over the content of the tables.
        dictionary: digest of the data dictionary.
        day: the day of curation, ISO; "in the future" means after it.
        previous: the snapshot it was compared with; "" for none.
        checks: worst first.
        statistics: for the next comparison and the site's own eyes.
    """

    site: str
    title: str
    language: str
    snapshot: str
    dictionary: str
    day: str
    previous: str
    checks: tuple[Check, ...]
    statistics: Statistics

    def failed(self) -> tuple[Check, ...]:
        """Return the checks that failed, worst first."""
        return tuple(check for check in self.checks if check.status == FAIL)


def passing(checks: Iterable[Check]) -> float | None:
    """Return the share of checks that pass, of those with something to check.

    None where there are none.
    """
    statuses = [c.status for c in checks if c.status != NOT_APPLICABLE]
    return statuses.count(PASS) / len(statuses) if statuses else None


def worst_first(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks with failures first, these by share.

    A share of very few rows counts for less: one of one is no catastrophe.
    """

    def place(check: Check) -> tuple[int, float, int, str]:
        order = CATEGORIES.index(check.kind.category)
        weight = check.share * check.violated / (check.violated + FEW)
        return WORST_FIRST[check.status], -weight, order, check.id

    return tuple(sorted(checks, key=place))


def quality_text(quality: Quality) -> str:
    """Return the report as JSON, with each check's status beside its counts."""
    body = {
        "type": FORMAT,
        **vars(quality),
        "checks": [{**vars(check), "status": check.status} for check in quality.checks],
        "statistics": asdict(quality.statistics),
    }
    parts = [f"{_written(name)}: {_lines(value)}" for name, value in body.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:
    """Write a list or table with each of its items on a line."""
    if isinstance(value, dict):
        items = [f"{_written(key)}: {_written(item)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n}"
    if isinstance(value, list | tuple):
        return "[\n" + ",\n".join(map(_written, value)) + "\n]"
    return _written(value)


def find_quality(folder: Path) -> Quality | None:
    """Return the report in a snapshot's folder; None where there is none.

    Raises:
        InvalidData: as `read_quality`.
    """
    path = folder / "quality.json"
    return read_quality(path) if path.exists() else None


def read_quality(path: Path) -> Quality:
    """Return the report of a `quality.json`.

    Raises:
        InvalidData: the file is missing or does not hold a report.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        body = None
    if not isinstance(body, dict) or body.pop("type", "") != FORMAT:
        raise InvalidData(
            f"{path.name} holds no quality report", fix="curate the site's data again"
        )
    for check in body.get("checks", ()):
        if isinstance(check, dict):
            check.pop("status", None)
    quality = record(Quality, body, path.name, InvalidData)
    unknown = {check.type for check in quality.checks} - set(check_types())
    if unknown:
        raise InvalidData(
            f"{path.name} holds a check of an unknown type",
            fix="curate the site's data again with the installed version",
        )
    return quality
