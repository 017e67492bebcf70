"""People: who they are, what they may do, and which names are one person."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hetao.errors import InvalidNetwork

AUTHOR: Final = "author"  # asks the question, or leads the study
OPERATOR: Final = "hub-operator"
ORCID: Final = re.compile(r"(?<![0-9a-z])(?:\d{4}-?){3}\d{3}[\dx](?![0-9a-z])")
DASHES: Final = re.compile("[\u2010-\u2015\u2212]")


@dataclass(frozen=True)
class Person:
    """Somebody who signs, or whose part in a study matters to who may sign.

    Attributes:
        name: unique in a list.
        side: "HK" or "SZ".
        organisation: who they work for.
        roles: offices such as "ethics" and "output-checker"; "author"; "hub-operator".
        same_as: other names in the list that are this same person.
        identifier: what no two people share, such as an ORCID; "" if not known.
            Two entries with one identifier are one person.
        training: reference of a certificate of training; "" for none.
        training_until: last moment for which it holds; "" for no end.
    """

    name: str
    side: str
    organisation: str
    roles: tuple[str, ...]
    same_as: tuple[str, ...] = ()
    identifier: str = ""
    training: str = ""
    training_until: str = ""


class People:
    """Which entries of a list are one person, whatever names they go by."""

    def __init__(self, persons: Iterable[Person]) -> None:
        """Join entries that say so, or that share an identifier."""
        self._persons = tuple(persons)

    @cached_property
    def _first(self) -> Mapping[str, str]:
        """Return name → the first name of the same person, in the list's order."""
        found = {person.name: person.name for person in self._persons}
        known: dict[str, str] = {}
        for person in self._persons:
            for other in person.same_as:
                if other not in found:
                    raise InvalidNetwork(
                        f"{person.name}: same_as names {other[:60]!r}, who is not "
                        "in the list"
                    )
                _join(found, person.name, other)
            mark = _mark(person.identifier)
            if mark:
                _join(found, person.name, known.setdefault(mark, person.name))
        return {name: _root(found, name) for name in found}

    def check(self) -> None:
        """Return quietly if every `same_as` names somebody of the list.

        Raises:
            InvalidNetwork: one does not.
        """
        self._first  # noqa: B018

    def one(self, name: str) -> str:
        """Return the one name by which all names of a person are counted."""
        return self._first.get(name, name)


def _mark(identifier: str) -> str:
    """Return what is the same of one identifier, in whichever form it is written.

    An ORCID is one as a number, as an address and without its dashes.
    """
    text = unicodedata.normalize("NFKC", identifier).casefold()
    text = DASHES.sub("-", text)
    if found := ORCID.search(text):
        return found[0].replace("-", "")
    return " ".join(text.split())


def _root(found: Mapping[str, str], name: str) -> str:
    while found[name] != name:
        name = found[name]
    return name


def _join(found: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_root(found, one), _root(found, other)))
    found[second] = first
