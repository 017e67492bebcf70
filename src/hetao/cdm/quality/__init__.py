"""Data quality: every check of curated tables, its report, what of it may leave."""

from hetao.cdm.quality.assess import Subject, assess
from hetao.cdm.quality.check import (
    Check,
    Quality,
    Statistics,
    find_quality,
    read_quality,
)
from hetao.cdm.quality.page import write_page, write_reports
from hetao.cdm.quality.reconciled import COUNTS, COUNTS_DDL
from hetao.cdm.quality.remembered import Remembered

__all__ = [
    "COUNTS",
    "COUNTS_DDL",
    "Check",
    "Quality",
    "Remembered",
    "Statistics",
    "Subject",
    "assess",
    "find_quality",
    "read_quality",
    "write_page",
    "write_reports",
]
