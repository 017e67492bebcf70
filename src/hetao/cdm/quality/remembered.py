"""Answers of an engine, kept by what was asked and of which tables."""

import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from hetao.cdm.engine import ClosesItself, Column, Columns, Engine, Row

_WORD: Final = re.compile(r"[a-z_][a-z0-9_]*")
_READ: Final = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_][a-z0-9_]*)")
_WITH: Final = re.compile(r"\b([a-z_][a-z0-9_]*) AS \(")


class Remembered(ClosesItself):
    """An engine that is not asked again what was asked of the same tables before.

    A plan is known by its text and by the digests of the tables that it names. What
    names a table without a digest is always asked. A temporary table is made when a
    plan that is asked reads it, so that an unchanged table costs nothing.

    Attributes:
        name: of the engine.
        answers: what was asked, to be kept for the next time.
    """

    def __init__(
        self, engine: Engine, digests: Mapping[str, str], before: Mapping[str, str]
    ) -> None:
        """Work on an engine.

        Args:
            engine: holds the tables.
            digests: of each table's content.
            before: `answers` of an earlier one.
        """
        self.name = engine.name
        self.answers: dict[str, str] = {}
        self._engine = engine
        self._digests = dict(digests)
        self._before = before
        self._waiting: dict[str, str] = {}

    def make(self, name: str, sql: str) -> None:
        """Keep a plan's rows as the temporary table `name`, when they are asked for."""
        key = self._key(sql)
        if not key or name in _WORD.findall(sql):
            self._settle(sql)
            self._engine.make(name, sql)
            self._waiting.pop(name, None)
            self._digests.pop(name, None)
            return
        self._waiting[name] = sql
        self._digests[name] = key

    def drop(self, name: str) -> None:
        """Let go of the temporary table `name`, if there is one."""
        self._waiting.pop(name, None)
        self._digests.pop(name, None)
        self._engine.drop(name)

    def load(self, name: str, columns: Mapping[str, Column]) -> None:
        """Keep arrays as the temporary table `name`."""
        self._waiting.pop(name, None)
        self._digests.pop(name, None)
        self._engine.load(name, columns)

    def fetch(self, sql: str) -> Columns:
        """Return a plan's columns as arrays; they are asked for each time."""
        self._settle(sql)
        return self._engine.fetch(sql)

    def rows(self, sql: str) -> list[Row]:
        """Return a plan's few rows as Python values."""
        key = self._key(sql)
        if not key:
            self._settle(sql)
            return self._engine.rows(sql)
        if key in self._before:
            told = self._before[key]
            rows = [tuple(map(_value, row)) for row in json.loads(told)]
        else:
            self._settle(sql)
            rows = self._engine.rows(sql)
            told = json.dumps([list(map(_written, row)) for row in rows])
        self.answers[key] = told
        return rows

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()

    def _key(self, sql: str) -> str:
        """Return what a plan is known by; "" where that is not known of its tables."""
        own = set(_WITH.findall(sql))
        if not set(_READ.findall(sql)) - own <= self._digests.keys():
            return ""
        named = sorted(self._digests.keys() & set(_WORD.findall(sql)))
        body = json.dumps([sql, [(name, self._digests[name]) for name in named]])
        return hashlib.sha256(body.encode()).hexdigest()

    def _settle(self, sql: str) -> None:
        """Make the temporary tables that a plan reads."""
        for name in sorted(self._waiting.keys() & set(_WORD.findall(sql))):
            plan = self._waiting.pop(name)
            self._settle(plan)
            self._engine.make(name, plan)


def _written(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return {"time": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


def _value(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    ((kind, text),) = told.items()
    if kind == "decimal":
        return Decimal(text)
    date = datetime.date if kind == "date" else datetime.datetime
    return date.fromisoformat(text)
