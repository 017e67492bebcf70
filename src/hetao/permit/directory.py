"""The parties, people and keys that somebody trusts: `parties.toml`.

Trusted: whoever can write a site's own copy can make that site accept approvals that
nobody gave. Each party keeps its own, compares fingerprints by telephone, and never
fetches one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from hetao.errors import InvalidNetwork
from hetao.permit.keys import SIDES, Key, Party
from hetao.permit.persons import People, Person
from hetao.records import read_toml, record
from hetao.whole import write_whole

MACHINES: Final = ("site", "hub", "coordinator")
NAMED: Final = "write the name as parties.toml, or the permit, does"
T = TypeVar("T", Party, Person, Key)


@dataclass(frozen=True)
class Directory:
    """The parties, people and keys that somebody trusts, by name."""

    parties: tuple[Party, ...]
    persons: tuple[Person, ...] = ()
    keys: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name or a key that stands twice, and a key of nobody."""
        names = [party.name for party in self.parties]
        names += [person.name for person in self.persons]
        _once(names, "a party's or person's name")
        _once([key.name for key in self.keys], "a key's name")
        for party in self.parties:
            if party.side not in SIDES or party.role not in MACHINES:
                raise InvalidNetwork(
                    f"{party.name}: side is one of {', '.join(SIDES)}, role one of "
                    f"{', '.join(MACHINES)}",
                    fix="people and their offices stand under [[persons]]",
                )
        for person in self.persons:
            if person.side not in SIDES or not person.name or not person.roles:
                raise InvalidNetwork(
                    f"{person.name}: a person has a name, a side and a role"
                )
        self.people.check()
        for key in self.keys:
            if key.owner not in self._persons:
                raise InvalidNetwork(f"the key {key.name} belongs to nobody listed")
            key.check_form()
        for party in filter(lambda party: party.seal, self.parties):
            party.seal_half  # noqa: B018  raises where it is no key
        publics = [party.sign_half for party in self.parties]
        publics += [key.public_half for key in self.keys]
        _once(publics, "a signing key")

    @cached_property
    def _parties(self) -> Mapping[str, Party]:
        return {party.name: party for party in self.parties}

    @cached_property
    def _persons(self) -> Mapping[str, Person]:
        return {person.name: person for person in self.persons}

    @cached_property
    def _keys(self) -> Mapping[str, Key]:
        return {key.name: key for key in self.keys}

    @cached_property
    def people(self) -> People:
        """Return who of the list is one person."""
        return People(self.persons)

    def __getitem__(self, name: str) -> Party:
        """Return the party of that name.

        Raises:
            InvalidNetwork: there is none.
        """
        if name not in self._parties:
            raise InvalidNetwork(f"no party is named {name[:60]!r}", fix=NAMED)
        return self._parties[name]

    def person(self, name: str) -> Person:
        """Return the person of that name.

        Raises:
            InvalidNetwork: there is none.
        """
        if name not in self._persons:
            raise InvalidNetwork(f"no person is named {name[:60]!r}", fix=NAMED)
        return self._persons[name]

    def key(self, name: str) -> Key:
        """Return the key of that name.

        Raises:
            InvalidNetwork: there is none.
        """
        if name not in self._keys:
            raise InvalidNetwork(f"no key is named {name[:60]!r}", fix=NAMED)
        return self._keys[name]

    def __contains__(self, entry: Party | Person | Key) -> bool:
        """Return whether exactly this entry is listed.

        Whether a key was revoked is what the list says, not the entry.
        """
        if isinstance(entry, Party):
            return self._parties.get(entry.name) == entry
        if isinstance(entry, Person):
            return self._persons.get(entry.name) == entry
        known = self._keys.get(entry.name)
        return known is not None and _unrevoked(known) == _unrevoked(entry)

    def of_role(self, role: str) -> tuple[Party, ...]:
        """Return the parties of that role, in the file's order."""
        return tuple(party for party in self.parties if party.role == role)

    def holders(self, role: str, side: str = "") -> tuple[Person, ...]:
        """Return the people of that role, of one side or all, in the file's order."""
        return tuple(
            person
            for person in self.persons
            if role in person.roles and side in ("", person.side)
        )


def _once(items: Iterable[object], what: str) -> None:
    listed = list(items)
    if len(set(listed)) != len(listed):
        raise InvalidNetwork(f"{what} stands twice")


def _unrevoked(key: Key) -> Key:
    return replace(key, revoked_at="")


def read_directory(path: Path) -> Directory:
    """Return the list of a `parties.toml`.

    Raises:
        InvalidNetwork: the file does not hold.
    """
    return directory_from(read_toml(path, InvalidNetwork), path.name)


def directory_from(table: Mapping[str, Any], where: str = "parties") -> Directory:
    """Return the list of a table `{"parties": […], "persons": […], "keys": […]}`.

    Raises:
        InvalidNetwork: the table does not hold.
    """
    if not table.get("parties") or not set(table) <= {"parties", "persons", "keys"}:
        raise InvalidNetwork(
            f"{where}: write [[parties]], [[persons]] and [[keys]], and no other table"
        )
    return Directory(
        _entries(Party, table, "parties", where),
        _entries(Person, table, "persons", where),
        _entries(Key, table, "keys", where),
    )


def _entries(
    cls: type[T], table: Mapping[str, Any], name: str, where: str
) -> tuple[T, ...]:
    rows = table.get(name, [])
    if not isinstance(rows, list | tuple):
        raise InvalidNetwork(f"{where}: write each entry under [[{name}]]")
    return tuple(
        record(cls, row, f"{where} [[{name}]] {i}", InvalidNetwork)
        for i, row in enumerate(rows, 1)
    )


def write_directory(path: Path, directory: Directory) -> None:
    """Write a `parties.toml` that `read_directory` reads."""
    blocks = []
    for name in ("parties", "persons", "keys"):
        blocks += [_block(name, entry) for entry in getattr(directory, name)]
    write_whole(path, "\n".join(blocks).encode())


def key_text(key: Key) -> str:
    """Return a key's entry as it stands in a `parties.toml`."""
    return _block("keys", key)


def party_text(party: Party) -> str:
    """Return a party's entry as it stands in a `parties.toml`."""
    return _block("parties", party)


def _block(name: str, entry: Party | Person | Key) -> str:
    lines = [f"{k} = {_toml(v)}" for k, v in vars(entry).items() if v != ()]
    return f"[[{name}]]\n" + "\n".join(lines) + "\n"


def _toml(value: str | tuple[str, ...]) -> str:
    # JSON's strings and lists of strings are TOML's, but for one character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
