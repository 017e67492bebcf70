"""Curated tables → every check over them: the one entry to the quality of data."""

import datetime
from dataclasses import dataclass

from hetao.cdm.engine import Engine
from hetao.cdm.quality.check import Check, Quality, Statistics, worst_first
from hetao.cdm.quality.concepts import count_concepts
from hetao.cdm.quality.drift import check_drift
from hetao.cdm.quality.events import check_tables, months_of, silent_months
from hetao.cdm.quality.present import Present, look
from hetao.cdm.quality.reconciled import check_curation
from hetao.cdm.quality.results import check_results
from hetao.cdm.quality.scan import prepare, scan_rows
from hetao.cdm.quality.sexes import check_sexes
from hetao.dictionary import dictionary


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes:
        site, title, language: as in `site.toml`.
        snapshot: digest over the content of the tables.
        dictionary: digest of the data dictionary.
        day: the day of curation.
        previous: the report of the snapshot before this one; None for none.
    """

    site: str
    title: str
    language: str
    snapshot: str
    dictionary: str
    day: datetime.date
    previous: Quality | None = None


def assess(engine: Engine, subject: Subject) -> Quality:
    """Return the quality of the tables that the engine holds.

    Besides the dictionary's tables it reads, where they are there, `rejected` and
    `curation_counts` (see `COUNTS_DDL`), which curation leaves behind. Its temporary
    tables begin with `quality_`.

    Raises:
        InvalidData: the tables cannot be read.
    """
    present, checks = look(engine, dictionary(), subject.day)
    prepare(present)
    checks += scan_rows(present)
    checks += count_concepts(present)
    checks += check_tables(present)
    checks += check_sexes(present)
    results, distributions = check_results(present)
    checks += [*results, *check_curation(engine)]
    months = months_of(present)
    checks += silent_months(months)
    statistics = Statistics(
        _rows(present), months, _unmapped(checks), tuple(distributions)
    )
    before = subject.previous
    if before is not None:
        checks += check_drift(statistics, before.statistics, subject.day)
    return Quality(
        site=subject.site,
        title=subject.title,
        language=subject.language,
        snapshot=subject.snapshot,
        dictionary=subject.dictionary,
        day=subject.day.isoformat(),
        previous=before.snapshot if before else "",
        checks=worst_first(checks),
        statistics=statistics,
    )


def _rows(present: Present) -> dict[str, int]:
    return {table.name: present.extents[table.name].rows for table in present.tables()}


def _unmapped(checks: list[Check]) -> dict[str, float]:
    return {
        f"{check.table}.{check.field}": round(check.share, 6)
        for check in checks
        if check.type == "standardConceptRecordCompleteness" and check.rows
    }
