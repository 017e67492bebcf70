"""Permits, people and notices without sites: for tests of who may say what."""

import datetime
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hetao.permit import (
    Bundle,
    Delegation,
    Directory,
    Heard,
    Identity,
    Key,
    Notice,
    Permit,
    PermittedProtocol,
    Person,
    Requirement,
    Statement,
    draft_delegation,
    format_time,
    new_identity,
    sign_notice,
    state,
)

NOW = datetime.datetime(2026, 11, 22, 8, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
VALID = ("2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z")
STUDY = "sha256:" + "5" * 64


def at(hours: float) -> str:
    return format_time(NOW + hours * HOUR)


PEOPLE = (
    Person("ethics-hk", "HK", "REC", ("ethics",)),
    Person("ethics-sz", "SZ", "REC", ("ethics",)),
    Person("privacy-hk", "HK", "DPO", ("data-protection",)),
    Person("privacy-sz", "SZ", "DPO", ("data-protection",)),
    Person("deputy-sz", "SZ", "REC", ("staff",)),
    Person("author", "HK", "University", ("author",), identifier="0000-0001"),
    Person("author-b", "HK", "Hospital", ("ethics",), identifier="0000-0001"),
    Person("twin-sz", "SZ", "Office", ("data-protection",), same_as=("ethics-hk",)),
    Person("operator", "HK", "Park", ("hub-operator", "ethics")),
    Person("checker-hk", "HK", "Office", ("output-checker",)),
    Person("checker-sz", "SZ", "Office", ("output-checker", "ethics")),
)


@dataclass(frozen=True)
class Scene:
    """A permit with everybody's keys, made once; a test changes what it wants bad."""

    persons: tuple[Person, ...] = PEOPLE
    fields: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def machines(self) -> dict[str, Identity]:
        names = ("hospital-hk", "hospital-sz", "hub-hk", "hub-sz", "coordinator")
        return {name: new_identity(name) for name in names}

    @cached_property
    def identities(self) -> dict[str, Identity]:
        return {p.name: new_identity(p.name, sealing=False) for p in self.persons}

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        return tuple(self.identities[p.name].key(p.name, VALID) for p in self.persons)

    @cached_property
    def directory(self) -> Directory:
        return Directory(self.permit.parties, self.permit.persons, self.permit.keys)

    @cached_property
    def permit(self) -> Permit:
        roles = {"hospital": "site", "hub": "hub", "coordinator": "coordinator"}
        parties = tuple(
            one.party(name[-2:].upper(), roles[name.rpartition("-")[0]], "An owner")
            if "-" in name
            else one.party("HK", "coordinator", "An owner")
            for name, one in self.machines.items()
        )
        chosen: dict[str, Any] = {
            "number": "P-1",
            "crossing": "data",
            "study": STUDY,
            "purpose": "To see",
            "sites": ("hospital-hk", "hospital-sz"),
            "parties": parties,
            "persons": self.persons,
            "keys": self.keys,
            "authors": ("author",),
            "operators": ("operator",),
            "required": tuple(
                Requirement(side, role, "r")
                for role in ("data-protection", "ethics")
                for side in ("HK", "SZ")
            ),
            "reviews": tuple(
                Requirement(side, "output-checker", "r") for side in ("HK", "SZ")
            ),
            "checks": ("min_cohort",),
            "not_before": at(0),
            "not_after": at(24 * 90),
            "protocols": (PermittedProtocol("mean", "1", "sha256:0", 1, "p"),),
            **self.fields,
        }
        return Permit(**chosen)

    def varied(self, **fields: Any) -> "Scene":
        """Return the same scene, and keys, with other fields of the permit."""
        made = Scene(self.persons, fields)
        made.__dict__.update(machines=self.machines, identities=self.identities)
        return made

    def delegation(
        self, by: str, to: str, office: tuple[str, str], valid: tuple[str, str] = VALID
    ) -> Statement:
        key = next(key for key in self.keys if key.owner == by)
        return state(self.identities[by], draft_delegation(key, to, office, valid))

    def approve_all(self, bundle: Bundle | None = None, hours: float = 0) -> Bundle:
        made = bundle or Bundle(self.permit)
        for name in ("ethics-hk", "ethics-sz", "privacy-hk", "privacy-sz"):
            when = NOW + hours * HOUR
            made = sign_notice(made, self.identities[name], "approve", when)
        return made


def lent_to(one: Notice, holder: str) -> Delegation:
    """Return the delegation under which somebody speaks for another."""
    return Delegation(holder, holder, one.by, one.side, one.role, *VALID, VALID[0])


def unsigned(permit: Permit, notices: list[tuple[Notice, str]]) -> Bundle:
    """Return a bundle whose notices, each with its holder, count as verified.

    For searches over so many lives that signing each would take hours; that nothing
    unsigned comes so far is tested by itself.
    """
    heard = tuple(
        Heard(
            Statement({"type": "hetao.notice/2", **vars(one)}, ""),
            one,
            holder,
            None if holder == one.by else lent_to(one, holder),
            "" if holder == one.by else f"{holder} to {one.by}",
        )
        for one, holder in notices
    )
    bundle = Bundle(permit, tuple(one.statement for one in heard))
    bundle.__dict__["heard"] = heard
    return bundle
