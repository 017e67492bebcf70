"""What is asked: one study file, one canonical form, one digest."""

from hetao.study.concepts import CodeList, ConceptSet
from hetao.study.model import (
    METHODS,
    SITE,
    Analysis,
    Criterion,
    Grid,
    Level,
    Minimum,
    Study,
    Variable,
)
from hetao.study.reading import read_study, study_from
from hetao.study.terms import (
    Call,
    Expression,
    Name,
    Number,
    Operation,
    Term,
    parse_expression,
    parse_term,
)

__all__ = [
    "METHODS",
    "SITE",
    "Analysis",
    "Call",
    "CodeList",
    "ConceptSet",
    "Criterion",
    "Expression",
    "Grid",
    "Level",
    "Minimum",
    "Name",
    "Number",
    "Operation",
    "Study",
    "Term",
    "Variable",
    "parse_expression",
    "parse_term",
    "read_study",
    "study_from",
]
