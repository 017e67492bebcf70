"""Codes and what they mean: sets resolved, codes mapped, vocabularies loaded."""

from hetao.cdm.vocabulary.athena import Loaded, current_vocabulary, load_athena
from hetao.cdm.vocabulary.codes import load_codes
from hetao.cdm.vocabulary.concepts import make_concepts
from hetao.cdm.vocabulary.resolving import Resolved, resolve, resolve_each

__all__ = [
    "Loaded",
    "Resolved",
    "current_vocabulary",
    "load_athena",
    "load_codes",
    "make_concepts",
    "resolve",
    "resolve_each",
]
