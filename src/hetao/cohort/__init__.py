"""Study + tables → one row a person, arrays only."""

from hetao.cohort.attrition import HIDDEN, flow_text, shown_attrition
from hetao.cohort.building import Cohort, build
from hetao.cohort.row_file import write_rows

__all__ = [
    "HIDDEN",
    "Cohort",
    "build",
    "flow_text",
    "shown_attrition",
    "write_rows",
]
