"""Estimators: rows in a hospital → declared sums → a finding, exact as if pooled."""

from hetao.analysis.estimator import Estimator, Protocol, Sum, estimator
from hetao.analysis.evidence import Evidence, evidence, weighed
from hetao.analysis.finding import Finding
from hetao.analysis.oracle import check_message, oracle
from hetao.analysis.plan import Plan, make_plan
from hetao.analysis.registry import estimator_for, protocol, protocols
from hetao.analysis.rows import Columns, Rows, key_codes, make_rows
from hetao.analysis.shown import statistics, sums_of_groups
from hetao.analysis.subsets import subsets

__all__ = [
    "Columns",
    "Estimator",
    "Evidence",
    "Finding",
    "Plan",
    "Protocol",
    "Rows",
    "Sum",
    "check_message",
    "estimator",
    "estimator_for",
    "evidence",
    "key_codes",
    "make_plan",
    "make_rows",
    "oracle",
    "protocol",
    "protocols",
    "statistics",
    "subsets",
    "sums_of_groups",
    "weighed",
]
