"""Data quality: every check of curated tables, its report, what of it may leave."""

from hetao.cdm.quality.assess import Subject, assess
from hetao.cdm.quality.check import Quality, Statistics, read_quality
from hetao.cdm.quality.page import write_reports
from hetao.cdm.quality.reconciled import COUNTS, COUNTS_DDL
from hetao.cdm.quality.staged import Check, Curation, check_quality, share_band

__all__ = [
    "COUNTS",
    "COUNTS_DDL",
    "Check",
    "Curation",
    "Quality",
    "Statistics",
    "Subject",
    "assess",
    "check_quality",
    "read_quality",
    "share_band",
    "write_reports",
]
