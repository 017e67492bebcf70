"""Facts about one request: what is to cross, whose, from whom to whom.

Every fact is typed, has a question in three languages, and may be left out. What is
left out is unknown; nothing is ever guessed for it.
"""

import datetime
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from hetao.canonical import LARGEST_INTEGER, digest
from hetao.errors import InvalidFacts, InvalidRulebook
from hetao.permit.terms import NONE, Terms
from hetao.records import fields_of, read_toml, record

KINDS = ("yes-no", "choice", "choices", "number")
LANGUAGES = ("en", "zh-Hant", "zh-Hans")
FactValue = bool | int | str | tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """What can be asked about a request.

    Attributes:
        name: `group.name`; the group is a table of a facts file.
        kind: yes-no, choice (one word), choices (a list of words), number (of people,
            months or the like; whole, from 0).
        ask: the question, in each of LANGUAGES.
        choices: the words, for choice and choices.
        counted: a number that a site counts itself over all its permits; what a
            person states is held against it.
    """

    name: str
    kind: str
    ask: dict[str, str]
    choices: tuple[str, ...] = ()
    counted: bool = False


@dataclass(frozen=True)
class Held:
    """A legal instrument that somebody holds: what, under which reference, how long.

    Attributes:
        instrument: its name in the rulebook, such as `cn-standard-contract`.
        reference: the number or title under which an authority or a file has it.
        valid_from, valid_until: first and last day; None for no limit.
        document: `sha256:…` of the document, or "".
        conditions: conditions that it was given under, which nobody can check by a
            machine.
        terms: those that a machine checks.
    """

    instrument: str
    reference: str
    valid_from: datetime.date | None = None
    valid_until: datetime.date | None = None
    document: str = ""
    conditions: tuple[str, ...] = ()
    terms: Terms = NONE

    def holds_on(self, day: datetime.date) -> bool:
        """Return whether it is there and valid on that day."""
        begun = self.valid_from is None or self.valid_from <= day
        over = self.valid_until is not None and self.valid_until < day
        return bool(self.reference.strip()) and begun and not over


@dataclass(frozen=True)
class Facts:
    """What is known about a request.

    Attributes:
        values: each known fact's value; what is not in it is unknown.
        bases: legal instruments that are held, sorted by instrument.
    """

    values: Mapping[str, FactValue] = field(default_factory=dict)
    bases: tuple[Held, ...] = ()

    @functools.cached_property
    def digest(self) -> str:
        """Return `sha256:…` over every value and basis."""
        values = {k: _plain(v) for k, v in self.values.items()}
        return digest({"values": values, "bases": [_row(b) for b in self.bases]})

    def without(self, *names: str) -> "Facts":
        """Return the facts without those of these names."""
        kept = {k: v for k, v in self.values.items() if k not in names}
        return Facts(kept, self.bases)


def _plain(value: FactValue) -> object:
    return list(value) if isinstance(value, tuple) else value


def _row(basis: Held) -> dict[str, object]:
    def day(when: datetime.date | None) -> str | None:
        return when.isoformat() if when else None

    row: dict[str, object] = {
        "instrument": basis.instrument,
        "reference": basis.reference,
        "valid_from": day(basis.valid_from),
        "valid_until": day(basis.valid_until),
        "document": basis.document,
        "conditions": list(basis.conditions),
    }
    return row if basis.terms == NONE else {**row, "terms": fields_of(basis.terms)}


# --- the schema ---------------------------------------------------------------------
@functools.cache
def shipped_facts() -> Mapping[str, Fact]:
    """Return every fact that the shipped rulebook knows, in the order of the form."""
    text = (
        resources.files("hetao.permit").joinpath("rules/facts.toml").read_text("utf-8")
    )
    return facts_schema(tomllib.loads(text).get("facts", []), "facts.toml", {})


def facts_schema(
    rows: Iterable[object], where: str, known: Mapping[str, Fact]
) -> dict[str, Fact]:
    """Return facts by name, each well formed and none of them known already.

    Raises:
        InvalidRulebook: a fact is malformed or named twice.
    """
    found: dict[str, Fact] = {}
    for number, row in enumerate(rows, 1):
        at = f"{where}, fact {number}"
        fact = record(Fact, row, at, InvalidRulebook)
        at = f"{where}, {fact.name}"
        if fact.name in known or fact.name in found:
            raise InvalidRulebook(f"{at}: a fact of this name is there already")
        if len(fact.name.split(".")) != 2 or not all(fact.name.split(".")):
            raise InvalidRulebook(f"{at}: a fact is named group.name")
        if fact.kind not in KINDS:
            raise InvalidRulebook(f"{at}: kind is one of {', '.join(KINDS)}")
        if (fact.kind in ("choice", "choices")) != bool(fact.choices):
            raise InvalidRulebook(f"{at}: a choice has choices, and nothing else has")
        check_languages(fact.ask, at)
        found[fact.name] = fact
    return found


def check_languages(text: Mapping[str, str], where: str) -> None:
    """Return quietly if a text is there in each language, and in no other."""
    if set(text) != set(LANGUAGES) or not all(v.strip() for v in text.values()):
        raise InvalidRulebook(f"{where}: a text is needed in {', '.join(LANGUAGES)}")


# --- a facts file -------------------------------------------------------------------
def read_facts(path: Path, schema: Mapping[str, Fact], instruments: set[str]) -> Facts:
    """Return the facts of a FACTS.toml.

    Args:
        path: a TOML file with one table for each group of facts, and `[bases]`.
        schema: every fact that the rulebook in use knows.
        instruments: every legal instrument that it knows.

    Raises:
        InvalidData: it cannot be read.
        InvalidFacts: it is not TOML, or names an unknown fact, value or instrument.
    """
    return facts_from(read_toml(path, InvalidFacts), schema, instruments, path.name)


def facts_from(
    table: Mapping[str, Any],
    schema: Mapping[str, Fact],
    instruments: set[str],
    where: str = "facts",
) -> Facts:
    """Return the facts of a facts file's tables; see `read_facts`."""
    values: dict[str, FactValue] = {}
    bases: list[Held] = []
    for group, rows in table.items():
        if not isinstance(rows, Mapping):
            raise InvalidFacts(f"{where}: {str(group)[:60]!r} is not a table of facts")
        for key, value in rows.items():
            at = f"{where} [{group}] {key}"
            if group == "bases":
                bases.append(_basis(str(key), value, instruments, at))
            else:
                fact = schema.get(f"{group}.{key}")
                if fact is None:
                    raise InvalidFacts(
                        f"{where}: no fact is called {f'{group}.{key}'[:80]!r}",
                        fix="hetao rules facts writes a form with every one of them",
                    )
                values[fact.name] = checked_value(fact, value, at)
    return Facts(values, tuple(sorted(bases, key=lambda basis: basis.instrument)))


def checked_value(fact: Fact, value: object, where: str) -> FactValue:
    """Return the value as the fact takes it.

    Raises:
        InvalidFacts: it is of another kind, or none of the fact's choices.
    """
    match fact.kind:
        case "yes-no" if type(value) is bool:
            return value
        case "number" if type(value) is int and 0 <= value <= LARGEST_INTEGER:
            return value
        case "choice" if isinstance(value, str) and value in fact.choices:
            return value
        case "choices" if isinstance(value, list | tuple):
            words = [str(word) for word in value]
            if len(set(words)) == len(words) and set(words) <= set(fact.choices):
                return tuple(sorted(words))
    wanted = {
        "yes-no": "true or false",
        "number": "a whole number from 0",
        "choice": "one of " + ", ".join(fact.choices),
        "choices": "a list, without repeats, of " + ", ".join(fact.choices),
    }
    raise InvalidFacts(
        f"{where}: expected {wanted[fact.kind]}",
        fix="or leave the fact out: then it is unknown",
    )


def _basis(instrument: str, value: object, known: set[str], where: str) -> Held:
    if instrument not in known:
        raise InvalidFacts(
            f"{where}: the rulebook knows no such instrument",
            fix="hetao rules facts writes a form with every one of them",
        )
    if not isinstance(value, Mapping) or "instrument" in value:
        raise InvalidFacts(f"{where}: expected a table with a reference")
    basis = record(Held, {"instrument": instrument, **value}, where, InvalidFacts)
    for name, limit in value.get("terms", {}).items():
        if limit in ([], ""):
            raise InvalidFacts(
                f"{where}: the term {name} is empty, which limits nothing",
                fix="name what is allowed, or leave the term out",
            )
    if basis.valid_from and basis.valid_until and basis.valid_until < basis.valid_from:
        raise InvalidFacts(f"{where}: valid_until lies before valid_from")
    return basis
