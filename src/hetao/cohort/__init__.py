"""Study + tables → one row a person, arrays only."""

from hetao.cohort.building import Cohort, build

__all__ = ["Cohort", "build"]
