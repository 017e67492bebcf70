"""The permit: what may cross, by whom, until when, and who must have agreed.

A permit is a plain value; what is said about it is signed over its digest. Whether it
stands is worked out from the signatures each time (`lifecycle.standing`), by the same
function at every site, hub, coordinator and verifier, and never read from a field.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

from hetao.canonical import canonical, digest, digest_bytes
from hetao.errors import InvalidNetwork
from hetao.permit.dates import parse_time
from hetao.permit.directory import Directory
from hetao.permit.grades import KINDS
from hetao.permit.keys import Key, Party
from hetao.permit.law import Law
from hetao.permit.persons import Person
from hetao.permit.rule import CROSSINGS
from hetao.permit.rulebook import Requirement
from hetao.permit.terms import NONE, Terms, check_terms
from hetao.records import fields_of, record

TYPE: Final = "hetao.permit/2"
LONGEST_LEASE: Final = 24 * 31  # hours
LONGEST_COMMITTED: Final = 16_384  # characters
LONGEST_REPORT: Final = 3660  # days, ten years
CROSSING_KINDS: Final[Mapping[str, tuple[str, ...]]] = {  # kinds of what may leave
    "data": tuple(name for name, kind in KINDS.items() if kind.leaves),
    "materials": ("consignment",),
    "people": ("entry",),
    "capital": ("payment",),
}


@dataclass(frozen=True)
class PermittedProtocol:
    """A protocol that may run: exactly this code, at most so many rounds.

    `publishable` says whether one site's own part of its sums could be published; if
    not, the hubs open its sums for one list of members only.
    """

    name: str
    version: str
    hash: str
    most_rounds: int
    sums: str
    publishable: bool = False


@dataclass(frozen=True)
class Basis:
    """A legal ground that a permit rests on.

    Attributes:
        instrument: which kind, such as "hgr-information-report".
        reference: number that the authority, panel or committee gave.
        document: digest of the document, `sha256:…`.
        valid_from, valid_until: UTC times; the last second is outside.
        conditions: what it demands that nobody can check by a machine, in its own
            words; whoever approves says that they read them.
        terms: what it allows at most, checked wherever the permit is.
    """

    instrument: str
    reference: str
    document: str
    valid_from: str
    valid_until: str
    conditions: tuple[str, ...] = ()
    terms: Terms = NONE


@dataclass(frozen=True)
class Limit:
    """How much may be used: tubes, entries, an amount in a currency's smallest unit.

    `site` is whose limit it is; "" where the permit has but one site.
    """

    unit: str
    most: int
    site: str = ""


@dataclass(frozen=True)
class Checker:
    """Who may vote on what is to be shown: in which office, and by which key."""

    name: str
    side: str
    role: str
    key: Key


@dataclass(frozen=True)
class Permit:
    """What may cross.

    Attributes:
        number: the permit's own name, chosen by who drafts it.
        crossing: "data", "materials", "people" or "capital"; one lifecycle for all.
        study: digest of the study's canonical form.
        purpose: one sentence, from the study.
        sites: names of the sites that may contribute.
        parties: every machine with a part in it, keys pinned; never fetched from a hub.
        persons: everybody with a part in it.
        keys: their keys, pinned.
        authors: who asks, or leads the study; none of them approves.
        operators: who runs the hubs.
        required: approvals that must be there, each with the rule that asks for it.
        reviews: output checks of a finding before anybody is shown it, each likewise.
        checks: what each part of a sum must have passed, or each use of what is not
            data, besides what its kind demands anyway.
        not_before, not_after: UTC times, `2026-11-22T00:00:00Z`.
        protocols: of data: what may run.
        limits: how much may be used; of what is not data there is at least one.
        bases: the legal grounds; each must hold for as long as the permit is used.
        law: what the rules said to the facts that were stated; None if none were.
        highest_grade: highest class (1-5) of what may leave a site, sealed.
        most_attempts: how often one analysis may be started over within a run.
        most_runs: how many runs of the study a site takes part in.
        lease_hours: for how long a renewal holds; every side renews within it.
        report_days: within how many days of its end a report is due.
        version: 1, and one more for each amendment.
        amends: digest of the permit that this one replaces; "" for a first version.
        data_use: codes of the Data Use Ontology by which the use was judged.
        committed: who must have seen the log of each site, with its extract in it,
            before the study runs on that; a C2SP tlog-policy without logs, of Ed25519
            witnesses, or `quorum none` where the log is enough. "" demands nothing.
    """

    number: str
    crossing: str
    study: str
    purpose: str
    sites: tuple[str, ...]
    parties: tuple[Party, ...]
    persons: tuple[Person, ...]
    keys: tuple[Key, ...]
    authors: tuple[str, ...]
    operators: tuple[str, ...]
    required: tuple[Requirement, ...]
    reviews: tuple[Requirement, ...]
    checks: tuple[str, ...]
    not_before: str
    not_after: str
    protocols: tuple[PermittedProtocol, ...] = ()
    limits: tuple[Limit, ...] = ()
    bases: tuple[Basis, ...] = ()
    law: Law | None = None
    highest_grade: int = 3
    most_attempts: int = 3
    most_runs: int = 20
    lease_hours: int = 24
    report_days: int = 183
    version: int = 1
    amends: str = ""
    data_use: tuple[str, ...] = ()
    committed: str = ""

    @cached_property
    def canonical(self) -> bytes:
        """Return the bytes that approvers sign the digest of."""
        return canonical(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the form in a file; `committed` and `terms` only if they ask."""
        form = {"type": TYPE, **fields_of(self)}
        if not self.committed:
            del form["committed"]
        for basis, row in zip(self.bases, form["bases"], strict=True):
            if basis.terms == NONE:
                del row["terms"]
        return form

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…` over the canonical bytes."""
        return digest_bytes(self.canonical)

    @cached_property
    def directory(self) -> Directory:
        """Return the parties, people and keys, by name."""
        return Directory(self.parties, self.persons, self.keys)

    @cached_property
    def conditions(self) -> tuple[tuple[str, str, str], ...]:
        """Return (instrument, reference, words) of what only people can see to."""
        return tuple(
            (basis.instrument, basis.reference, said)
            for basis in self.bases
            for said in basis.conditions
        )

    @cached_property
    def read_conditions(self) -> str:
        """Return the digest of those, as an approval bears it; "" for none."""
        told = [list(one) for one in self.conditions]
        return digest({"conditions": told}) if told else ""

    @property
    def hubs(self) -> tuple[str, ...]:
        """Return the names of the hubs, in the permit's order."""
        return tuple(party.name for party in self.directory.of_role("hub"))

    @property
    def coordinator(self) -> Party:
        """Return the one coordinator."""
        return self.directory.of_role("coordinator")[0]

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """Return the sides that take part, those of its sites and hubs."""
        named = (*self.sites, *self.hubs)
        return tuple(sorted({self.directory[name].side for name in named}))

    @cached_property
    def offices(self) -> frozenset[tuple[str, str]]:
        """Return (side, role) of every office whose approval must be there."""
        return frozenset((need.side, need.role) for need in self.required)

    @cached_property
    def review_offices(self) -> frozenset[tuple[str, str]]:
        """Return (side, role) of every office that checks what is to be shown."""
        return frozenset((need.side, need.role) for need in self.reviews)

    @cached_property
    def checkers(self) -> tuple[Checker, ...]:
        """Return who may vote on what is to be shown, once for each key to vote by."""
        found = []
        for key in self.keys:
            person = self.directory.person(key.owner)
            offices = {(person.side, role) for role in person.roles}
            for side, role in sorted(offices & self.review_offices):
                if key.scope == "any":
                    found.append(Checker(person.name, side, role, key))
        return tuple(found)

    @property
    def lease(self) -> datetime.timedelta:
        """Return for how long a renewal holds."""
        return datetime.timedelta(hours=self.lease_hours)

    def protocol(self, name: str) -> PermittedProtocol | None:
        """Return the permitted protocol of that name, if there is one."""
        return next((p for p in self.protocols if p.name == name), None)


def permit_from(table: Mapping[str, Any], where: str) -> Permit:
    """Return the permit of a file's object, well formed before any rule looks at it.

    Raises:
        InvalidNetwork: it is not.
    """
    if table.get("type") != TYPE:
        raise InvalidNetwork(
            f"{where}: not a {TYPE}", fix="draft one with `hetao study propose`"
        )
    plain = {key: value for key, value in table.items() if key != "type"}
    permit = record(Permit, plain, where, InvalidNetwork)
    if plain.get("committed") == "":  # else one permit had two texts
        raise InvalidNetwork(f"{where}: committed is left out where it demands nothing")
    if any("terms" in row for row in _empty(permit, plain.get("bases", ()))):
        raise InvalidNetwork(f"{where}: terms are left out where they ask nothing")
    if {"type": TYPE, **plain} != permit.as_json():
        raise InvalidNetwork(  # its digest would be of another text than the file's
            f"{where}: the permit is not written in its one form",
            fix="write every field, as `hetao study propose` does",
        )
    check_form(permit, where)
    return permit


def _empty(permit: Permit, rows: Sequence[Any]) -> list[Any]:
    """Return the rows of the bases without terms."""
    bases = zip(permit.bases, rows, strict=True)
    return [row for basis, row in bases if basis.terms == NONE]


def check_form(permit: Permit, where: str) -> None:
    """Return quietly if a permit is well formed.

    Whoever leaves a list empty has asked for nothing, and nothing is always fulfilled:
    so an empty list is refused here, before any rule is asked.

    Raises:
        InvalidNetwork: it is not.
    """
    if not permit.number.isprintable() or not permit.purpose.isprintable():
        raise InvalidNetwork(f"{where}: number or purpose holds unprintable characters")
    if len(permit.committed) > LONGEST_COMMITTED or (
        permit.committed and permit.crossing != "data"
    ):
        raise InvalidNetwork(f"{where}: committed is of data, and up to 16,384 long")
    if permit.crossing not in CROSSINGS:
        raise InvalidNetwork(f"{where}: crossing is one of {', '.join(CROSSINGS)}")
    _check_lists(permit, where)
    _check_numbers(permit, where)
    if not parse_time(permit.not_before) < parse_time(permit.not_after):
        raise InvalidNetwork(f"{where}: not_before must lie before not_after")
    for basis in permit.bases:
        if not parse_time(basis.valid_from) < parse_time(basis.valid_until):
            raise InvalidNetwork(f"{where}: the basis {basis.reference} is never valid")
        kinds = CROSSING_KINDS[permit.crossing]
        check_terms(basis.terms, basis.reference, permit.crossing, kinds)


def _check_lists(permit: Permit, where: str) -> None:
    never_empty = ["parties", "sites", "persons", "keys", "authors", "operators"]
    never_empty += ["required", "checks"]
    never_empty += ["protocols", "reviews"] if permit.crossing == "data" else ["limits"]
    for name in never_empty:
        if not getattr(permit, name):
            raise InvalidNetwork(f"{where}: {name} is empty")
    # The list itself refuses a name or key that stands twice, or is no key.
    roles = {party.name: party.role for party in permit.directory.parties}
    if any(roles.get(site) != "site" for site in permit.sites):
        raise InvalidNetwork(f"{where}: a site of the permit is not among its parties")
    if len(permit.directory.of_role("coordinator")) != 1:
        raise InvalidNetwork(f"{where}: a permit names one coordinator")
    if len(permit.hubs) != 2:
        raise InvalidNetwork(f"{where}: a permit names two hubs, one for each park")
    for name in (*permit.authors, *permit.operators):
        permit.directory.person(name)
    for field in fields(Permit):
        value = getattr(permit, field.name)
        if isinstance(value, tuple) and len(set(value)) != len(value):
            raise InvalidNetwork(f"{where}: an entry of {field.name} stands twice")


def _check_numbers(permit: Permit, where: str) -> None:
    if not 1 <= permit.highest_grade <= 5 or permit.most_attempts < 1:
        raise InvalidNetwork(f"{where}: highest_grade is 1 to 5, most_attempts from 1")
    if permit.most_runs < 1 or not 1 <= permit.report_days <= LONGEST_REPORT:
        raise InvalidNetwork(
            f"{where}: most_runs is from 1, report_days 1 to {LONGEST_REPORT}"
        )
    if not 1 <= permit.lease_hours <= LONGEST_LEASE:
        raise InvalidNetwork(f"{where}: lease_hours is 1 to {LONGEST_LEASE}")
    if (permit.version == 1) != (permit.amends == "") or permit.version < 1:
        raise InvalidNetwork(
            f"{where}: version 1 amends nothing, and each later one the one before"
        )
    for limit in permit.limits:
        if limit.most < 1 or not limit.unit:
            raise InvalidNetwork(f"{where}: a limit has a unit and is from 1")
        if limit.site not in ("", *permit.sites):
            raise InvalidNetwork(f"{where}: a limit is of a site of the permit")
