"""What is asked: one study file, one canonical form, one digest."""

from hetao.study.concepts import CodeList, ConceptSet
from hetao.study.definitions import Definition
from hetao.study.meaning import fields_read
from hetao.study.model import (
    SITE,
    Analysis,
    Grid,
    Level,
    Minimum,
    QualityRule,
    Study,
    Variable,
    Weight,
)
from hetao.study.population import (
    Arm,
    Criterion,
    Event,
    Exposure,
    FollowUp,
    Matching,
    Nearest,
    Outcome,
    Population,
    Score,
    ScoreItem,
    Value,
)
from hetao.study.reading import read_study, study_from
from hetao.study.sentences import LANGUAGES, Section, explain
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
    "LANGUAGES",
    "SITE",
    "Analysis",
    "Arm",
    "Call",
    "CodeList",
    "ConceptSet",
    "Criterion",
    "Definition",
    "Event",
    "Exposure",
    "Expression",
    "FollowUp",
    "Grid",
    "Level",
    "Matching",
    "Minimum",
    "Name",
    "Nearest",
    "Number",
    "Operation",
    "Outcome",
    "Population",
    "QualityRule",
    "Score",
    "ScoreItem",
    "Section",
    "Study",
    "Term",
    "Value",
    "Variable",
    "Weight",
    "explain",
    "fields_read",
    "parse_expression",
    "parse_term",
    "read_study",
    "study_from",
]
