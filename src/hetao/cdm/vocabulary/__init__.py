"""Codes and what they mean: sets resolved, codes mapped, vocabularies loaded."""

from hetao.cdm.vocabulary.resolving import Resolved, resolve, resolve_each

__all__ = ["Resolved", "resolve", "resolve_each"]
