"""The permit: what may cross, by whom, until when, and who must have agreed.

A permit is a plain value; an approval is a signature over its digest. Whether the
permit stands is worked out from the signatures each time, by the same function at
every site, hub and verifier, and never read from a field.

    draft ─► approved (every required signature is there) ─► closed by its last day
                 └─ any required signer withdraws ─► refused from then on
"""

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from hetao.canonical import canonical, digest_bytes
from hetao.errors import (
    BadSignature,
    InvalidNetwork,
    NotAParty,
    NotApproved,
    OutOfTime,
    WrongStudy,
)
from hetao.permit.keys import (
    Directory,
    Identity,
    Party,
    Statement,
    directory_from,
    state,
    statement_from,
)
from hetao.permit.law import Law
from hetao.permit.rulebook import Requirement, requirements, reviews
from hetao.records import record

VERBS = ("approve", "refuse", "withdraw")
LARGEST_PERMIT = 4 * 2**20  # bytes


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
        conditions: what it demands, in its own words; for readers.
    """

    instrument: str
    reference: str
    document: str
    valid_from: str
    valid_until: str
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Permit:
    """What may cross.

    Attributes:
        number: the permit's own name, chosen by who drafts it.
        study: digest of the study's canonical form.
        purpose: one sentence, from the study.
        sites: names of the sites that may contribute.
        parties: everyone with a part in it, keys pinned; never fetched from a hub.
        required: approvals that must be there, each with the rule that asks for it.
        reviews: output checks of a finding before anybody is shown it, each likewise.
        highest_grade: highest class (1-5) of what may leave a site, sealed.
        not_before, not_after: UTC times, `2026-11-22T00:00:00Z`.
        most_attempts: how often one analysis may be started over within a run.
        most_runs: how many runs of the study a site takes part in.
        bases: the legal grounds; each must hold for as long as the permit is used.
        law: what the rules said to the facts that were stated; None if none were.
    """

    number: str
    crossing: str
    study: str
    purpose: str
    sites: tuple[str, ...]
    parties: tuple[Party, ...]
    protocols: tuple[PermittedProtocol, ...]
    required: tuple[Requirement, ...]
    not_before: str
    not_after: str
    highest_grade: int = 3
    most_attempts: int = 3
    most_runs: int = 20
    reviews: tuple[Requirement, ...] = ()
    bases: tuple[Basis, ...] = ()
    law: Law | None = None

    @cached_property
    def canonical(self) -> bytes:
        """Return the bytes that approvers sign the digest of."""
        return canonical({"type": "hetao.permit/1", **asdict(self)})

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…` over the canonical bytes."""
        return digest_bytes(self.canonical)

    @cached_property
    def directory(self) -> Directory:
        """Return the parties, by name."""
        return Directory(self.parties)

    @property
    def hubs(self) -> tuple[str, ...]:
        """Return the names of the hubs, in the permit's order."""
        return tuple(party.name for party in self.directory.of_role("hub"))

    @property
    def checkers(self) -> tuple[Party, ...]:
        """Return the parties who may vote on what is to be shown."""
        offices = {(need.side, need.role) for need in self.reviews}
        return tuple(p for p in self.parties if (p.side, p.role) in offices)

    @property
    def coordinator(self) -> Party:
        """Return the one coordinator."""
        return self.directory.of_role("coordinator")[0]

    def protocol(self, name: str) -> PermittedProtocol | None:
        """Return the permitted protocol of that name, if there is one."""
        return next((p for p in self.protocols if p.name == name), None)


@dataclass(frozen=True)
class Bundle:
    """A permit together with what was signed about it."""

    permit: Permit
    notices: tuple[Statement, ...] = ()

    @cached_property
    def words(self) -> Mapping[str, str]:
        """Return each signer's last word, every signature checked; later ones prevail.

        Raises:
            NotApproved: a notice is forged, of an unknown kind or about another permit.
        """
        return _latest(self.permit, self.notices)

    @cached_property
    def listed_in(self) -> list[Directory]:
        """Return the lists in which every party of the permit was found, so far."""
        return []

    @cached_property
    def asked_on(self) -> set[datetime.date]:
        """Return the days on which the rulebook asks no more than the permit does."""
        return set()

    def as_json(self) -> dict[str, Any]:
        """Return the form of a permit file."""
        return {
            "permit": {"type": "hetao.permit/1", **_plain(asdict(self.permit))},
            "approvals": [notice.as_json() for notice in self.notices],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def bundle_from(table: object, where: str = "permit") -> Bundle:
    """Return the permit and notices of a permit file's object.

    Raises:
        InvalidNetwork: the object has another shape.
    """
    match table:
        case {"permit": dict(fields), "approvals": list(rows), **rest} if not rest:
            plain = {key: value for key, value in fields.items() if key != "type"}
        case _:
            raise InvalidNetwork(f"{where}: not a permit file")
    if fields.get("type") != "hetao.permit/1":
        raise InvalidNetwork(f"{where}: not a hetao.permit/1")
    permit = record(Permit, plain, where, InvalidNetwork)
    _check_form(permit, where)
    return Bundle(permit, tuple(statement_from(row) for row in rows))


def _check_form(permit: Permit, where: str) -> None:
    """A permit must be well formed before any rule looks at it."""
    if not permit.number.isprintable() or not permit.purpose.isprintable():
        raise InvalidNetwork(f"{where}: number or purpose holds unprintable characters")
    _check_times(permit, where)
    directory_from({"parties": [asdict(p) for p in permit.parties]}, where)
    roles = {party.name: party.role for party in permit.parties}
    if not permit.sites or any(roles.get(site) != "site" for site in permit.sites):
        raise InvalidNetwork(f"{where}: a site of the permit is not among its parties")
    if len(permit.directory.of_role("coordinator")) != 1:
        raise InvalidNetwork(f"{where}: a permit names one coordinator")
    if len(permit.hubs) != 2:
        raise InvalidNetwork(f"{where}: a permit names two hubs, one for each park")
    if not permit.protocols or not permit.required:
        raise InvalidNetwork(f"{where}: a permit names protocols and approvals")
    if not 1 <= permit.highest_grade <= 5 or permit.most_attempts < 1:
        raise InvalidNetwork(f"{where}: highest_grade is 1 to 5, most_attempts from 1")
    if permit.most_runs < 1:
        raise InvalidNetwork(f"{where}: most_runs is from 1")


def _check_times(permit: Permit, where: str) -> None:
    if not parse_time(permit.not_before) < parse_time(permit.not_after):
        raise InvalidNetwork(f"{where}: not_before must lie before not_after")
    if any(parse_time(b.valid_from) >= parse_time(b.valid_until) for b in permit.bases):
        raise InvalidNetwork(f"{where}: one of its bases is never valid")


def read_bundle(path: Path) -> Bundle:
    """Return the permit file at `path`.

    Raises:
        InvalidNetwork: it is missing, too large or not a permit.
    """
    try:
        if path.stat().st_size > LARGEST_PERMIT:
            raise InvalidNetwork(f"{path.name} is larger than a permit can be")
        table = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except OSError as error:
        raise InvalidNetwork(
            f"the permit {path} cannot be read: {error.strerror}",
            fix="draft one with `hetao study propose`",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidNetwork(f"{path.name} is not JSON") from error
    return bundle_from(table, path.name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: a person would read the one, we the other."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a permit file, whole or not at all."""
    text = json.dumps(bundle.as_json(), ensure_ascii=False, indent=1)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


@lru_cache(maxsize=1024)
def parse_time(text: str) -> datetime.datetime:
    """Return a UTC time written as `2026-11-22T00:00:00Z`.

    Raises:
        InvalidNetwork: it is written otherwise.
    """
    try:
        when = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
        same = format_time(when) == text
    except (ValueError, OverflowError) as error:
        raise InvalidNetwork(f"the time {text[:40]!r} is not written in UTC") from error
    if not same:
        raise InvalidNetwork(
            f"the time {text[:40]!r} is not written as 2026-11-22T00:00:00Z"
        )
    return when


def format_time(when: datetime.datetime) -> str:
    """Return a UTC time to the second, as every Hetao document writes it."""
    return when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- approvals ---------------------------------------------------------------------
def sign_notice(
    bundle: Bundle, identity: Identity, verb: str, when: datetime.datetime
) -> Bundle:
    """Return the bundle with one more approval, refusal or withdrawal.

    Raises:
        NotAParty: the key belongs to no approver whom the permit asks.
        NotApproved: this key has already said so.
    """
    if verb not in VERBS:
        raise NotAParty(f"a notice says one of {', '.join(VERBS)}")
    signer = _approver(bundle.permit, identity.sign_public)
    notice = state(
        identity,
        {
            "type": "hetao.notice/1",
            "verb": verb,
            "permit": bundle.permit.digest,
            "role": signer.role,
            "side": signer.side,
            "by": signer.name,
            "at": format_time(when),
        },
    )
    said = _latest(bundle.permit, bundle.notices).get(signer.name)
    if said == verb:
        raise NotApproved(f"{signer.name} has already said {verb!r} to this permit")
    return Bundle(bundle.permit, (*bundle.notices, notice))


def _approver(permit: Permit, sign: str) -> Party:
    offices = {(r.side, r.role) for r in permit.required}
    for party in permit.parties:
        if party.sign == sign and (party.side, party.role) in offices:
            return party
    raise NotAParty(
        "this key belongs to no approver whom the permit asks",
        fix="approve with a key that the permit lists",
    )


def _latest(permit: Permit, notices: Sequence[Statement]) -> dict[str, str]:
    """Return each signer's last word, every signature checked; later ones prevail."""
    words: dict[str, str] = {}
    for notice in notices:
        body = notice.body
        try:
            signer = permit.directory[str(body.get("by"))]
            notice.verify(signer)
        except (BadSignature, InvalidNetwork) as error:
            raise NotApproved(f"a notice is forged: {error.what}") from error
        if body.get("type") != "hetao.notice/1" or body.get("verb") not in VERBS:
            raise NotApproved("a notice is of an unknown kind")
        if body.get("permit") != permit.digest:
            raise NotApproved(f"{signer.name} signed another permit than this one")
        if (body.get("side"), body.get("role")) != (signer.side, signer.role):
            raise NotApproved(f"{signer.name} signed in an office that is not theirs")
        # A withdrawal or refusal is final: a later "approve" cannot undo it, so
        # nobody who reorders the list can either.
        if words.get(signer.name) not in ("withdraw", "refuse"):
            words[signer.name] = str(body["verb"])
    return words


def check_standing(
    bundle: Bundle, study: str, now: datetime.datetime, trusted: Directory | None
) -> None:
    """Return quietly if the permit lets this study run now.

    Args:
        bundle: permit and notices, as received.
        study: digest of the study that asks.
        now: UTC time of the use.
        trusted: the asker's own list of parties; None only where a verifier has
            been given no list, and then says so.

    Raises:
        NotAParty: the permit names a party, or a key, that is not in `trusted`.
        WrongStudy: the permit is for another study.
        OutOfTime: it is not yet, or no longer, in force.
        NotApproved: a required approval is missing, refused, withdrawn or forged.
    """
    permit = bundle.permit
    # 1 parties pinned  2 study  3 window  4 rulebook asks no more  5 every signature
    if trusted is not None and not any(trusted is d for d in bundle.listed_in):  # 1
        for party in permit.parties:
            if party not in trusted:
                raise NotAParty(
                    f"{party.name} of the permit is not in the list of trusted parties",
                    fix="compare fingerprints, then add the party by hand",
                )
        bundle.listed_in.append(trusted)
    if permit.study != study:  # 2
        raise WrongStudy("the permit is for another study")
    _check_in_time(permit, now)  # 3
    if now.date() not in bundle.asked_on:  # 4
        _check_required(permit, now)
        bundle.asked_on.add(now.date())
    words = bundle.words  # 5
    for signer, verb in words.items():
        if verb != "approve":
            raise NotApproved(f"{signer} said {verb!r} to this permit")
    _check_offices(permit, words)


def _check_in_time(permit: Permit, now: datetime.datetime) -> None:
    begin, end = parse_time(permit.not_before), parse_time(permit.not_after)
    if not begin <= now < end:
        raise OutOfTime("the permit is not in force at this time")
    for basis in permit.bases:
        first, last = parse_time(basis.valid_from), parse_time(basis.valid_until)
        if not first <= now < last:
            raise OutOfTime(f"the basis {basis.instrument} does not hold at this time")


def _check_required(permit: Permit, now: datetime.datetime) -> None:
    sides = {permit.directory[site].side for site in permit.sites}
    sides |= {permit.directory[hub].side for hub in permit.hubs}
    asked = {(r.side, r.role) for r in permit.required}
    for need in requirements(permit.crossing, sides, now.date()):
        if (need.side, need.role) not in asked:
            raise NotApproved(
                f"the permit does not ask {need.role} on side {need.side}, "
                f"as rule {need.rule} demands"
            )
    checks = {(r.side, r.role) for r in permit.reviews}
    for need in reviews(permit.crossing, sides, now.date()):
        if (need.side, need.role) not in checks:
            raise NotApproved(
                f"the permit asks no output check of {need.role} on side {need.side}, "
                f"as rule {need.rule} demands"
            )


def _check_offices(permit: Permit, words: Mapping[str, str]) -> None:
    """Every office filled, and by different keys: nobody approves in two offices."""
    signers = [permit.directory[name] for name in words]
    for need in permit.required:
        if not any((s.side, s.role) == (need.side, need.role) for s in signers):
            raise NotApproved(
                f"the approval of {need.role} on side {need.side} is missing",
                fix="run `hetao approve` with that office's key",
            )
