"""A permit together with what was signed about it, and its file."""

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hetao.alone import alone
from hetao.canonical import canonical
from hetao.errors import ConflictOfDuties, InvalidNetwork, NotAParty, NotApproved
from hetao.permit.dates import format_time, parse_time
from hetao.permit.directory import Directory
from hetao.permit.duties import approvals_in, conflicts, going_on
from hetao.permit.keys import (
    DOMAIN,
    Key,
    Party,
    Signer,
    Statement,
    state,
    statement_from,
)
from hetao.permit.notices import (
    DELEGATION,
    GOING_ON,
    RENEWING,
    TYPE,
    VERBS,
    Heard,
    counting,
    office_of,
    read_notice,
    tightened,
)
from hetao.permit.permit import Permit, permit_from
from hetao.records import once, record
from hetao.whole import read_whole, write_whole

LARGEST_PERMIT: Final = 4 * 2**20  # bytes
ONCE: Final = ("approve", "refuse", "withdraw", "revoke", "close", "amend")


@dataclass(frozen=True)
class Bundle:
    """A permit together with what was signed about it."""

    permit: Permit
    notices: tuple[Statement, ...] = ()

    @cached_property
    def heard(self) -> tuple[Heard, ...]:
        """Return every notice, each signature, office and form checked; none twice.

        Raises:
            NotApproved: one does not hold.
        """
        found: dict[bytes, Heard] = {}
        for statement in self.notices:
            one = read_notice(self.permit, statement)
            found.setdefault(canonical(statement.body), one)
        return tuple(found.values())

    @cached_property
    def counting(self) -> tuple[Heard, ...]:
        """Return those of the notices that count; see `notices.counting`.

        Raises:
            NotApproved: a notice does not hold.
        """
        return counting(self.heard)

    @cached_property
    def terms(self) -> Permit:
        """Return the permit with every variation; each only tightens, so order is none.

        Raises:
            NotApproved: a notice does not hold.
        """
        terms = self.permit
        for one in self.counting:
            change = tightened(self.permit, one.notice.change)
            least = {name: min(v, getattr(terms, name)) for name, v in change.items()}
            terms = replace(terms, **least) if least else terms
        return terms

    @cached_property
    def listed_in(self) -> list[Directory]:
        """Return the lists in which everybody of the permit was found, so far."""
        return []

    @cached_property
    def asked_on(self) -> set[datetime.date]:
        """Return the days on which the rulebook asks no more than the permit does."""
        return set()

    def with_notices(self, more: tuple[Statement, ...]) -> "Bundle":
        """Return the bundle with notices that are not in it yet; itself if all are."""
        known = {canonical(one.body) for one in self.notices}
        new = tuple(one for one in more if canonical(one.body) not in known)
        return Bundle(self.permit, (*self.notices, *new)) if new else self

    def as_of(
        self, when: datetime.datetime, ahead: datetime.timedelta = datetime.timedelta()
    ) -> "Bundle":
        """Return what an honest asker may have held then, by the signers' own times.

        Args:
            when: UTC time.
            ahead: by how much clocks of those may run ahead who let it go on.

        Returns:
            The permit with what was signed by then, and each decision that this
            implies: one that a renewal among it had heard of, or of a lower number.

        Raises:
            NotApproved: a notice does not hold.
        """
        held, known = set[str](), dict[str, int]()
        for one in self.heard:
            said = one.notice
            later = ahead if said.verb in RENEWING else datetime.timedelta()
            if parse_time(said.at) <= when + later:
                held.add(one.digest)
                for name, number in {**said.heard, said.by: said.sequence}.items():
                    known[name] = max(number, known.get(name, 0))
        kept = tuple(
            one
            for one in self.heard
            if one.digest in held
            or (
                one.notice.verb != "renew"
                and one.notice.sequence <= known.get(one.notice.by, 0)
            )
        )
        if kept == self.heard:
            return self
        then = Bundle(self.permit, tuple(one.statement for one in kept))
        vars(then)["heard"] = kept  # each was read under this very permit
        return then

    def as_json(self) -> dict[str, Any]:
        """Return the form of a permit file."""
        return {
            "permit": self.permit.as_json(),
            "notices": [notice.as_json() for notice in self.notices],
        }


def bundle_from(table: object, where: str = "permit") -> Bundle:
    """Return the permit and notices of a permit file's object.

    Raises:
        InvalidNetwork: the object has another shape.
    """
    match table:
        case {"permit": dict(fields), "notices": list(rows), **rest} if not rest:
            permit = permit_from(fields, where)
            return Bundle(permit, tuple(statement_from(row) for row in rows))
    raise InvalidNetwork(f"{where}: not a permit file")


def coordinator_of(table: Mapping[str, Any]) -> Party:
    """Return the coordinator of a permit file's object that was held before.

    The rest of it is not looked at again: it takes twenty times as long.

    Raises:
        InvalidNetwork: it names none.
    """
    for row in table["permit"]["parties"]:
        if row["role"] == "coordinator":
            return record(Party, row, "permit", InvalidNetwork)
    raise InvalidNetwork("permit: it names no coordinator")


def read_bundle(path: Path) -> Bundle:
    """Return the permit file at `path`.

    Raises:
        InvalidNetwork: it is missing, too large or not a permit.
    """
    try:
        fix = "draft one with `hetao study propose`"
        data = read_whole(path, LARGEST_PERMIT, InvalidNetwork, fix=fix)
        table = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InvalidNetwork(f"{path.name} is not JSON") from error
    return bundle_from(table, path.name)


def write_bundle(
    path: Path, bundle: Bundle, *, trimmed: Callable[[Bundle], Bundle] = lambda b: b
) -> Bundle:
    """Write a permit file, whole or not at all, and return what stands in it.

    What somebody else has said in it meanwhile, such as a revocation, stays in it.

    Args:
        path: the file.
        bundle: what is to stand in it.
        trimmed: takes out of it, at last, what need not stay.
    """
    with alone(path.parent):
        if path.exists():
            there = read_bundle(path)
            if there.permit.digest == bundle.permit.digest:
                bundle = bundle.with_notices(there.notices)
        bundle = trimmed(bundle)
        text = json.dumps(bundle.as_json(), ensure_ascii=False, indent=1)
        write_whole(path, (text + "\n").encode())
    return bundle


# --- saying something --------------------------------------------------------------
@dataclass(frozen=True)
class Words:
    """What goes with a verb; see `Notice`.

    `delegation` is the signed delegation under which somebody acts for another, `read`
    says of an approver that they read the conditions of the permit's bases.
    """

    reason: str = ""
    until: str = ""
    change: Mapping[str, str] = field(default_factory=dict)
    replaced_by: str = ""
    delegation: Statement | None = None
    recalls: tuple[str, ...] = ()
    read: bool = False


def sign_notice(
    bundle: Bundle,
    signer: Signer,
    verb: str,
    when: datetime.datetime,
    words: Words = Words(),
) -> Bundle:
    """Return the bundle with one more notice, signed.

    Raises:
        NotAParty: the key belongs to nobody whom the permit asks.
        NotApproved: this person has already said so, or what they say does not hold.
        ConflictOfDuties: the same person would hold two duties.
    """
    body = draft_notice(bundle, key_of(bundle.permit, signer), verb, when, words)
    return add_notice(bundle, state(signer, body))


def key_of(permit: Permit, signer: Signer) -> Key:
    """Return the permit's key that a signer holds.

    Raises:
        NotAParty: it holds none.
    """
    for key in permit.keys:
        if signer.holds(key):
            return key
    raise NotAParty(
        "this key belongs to nobody whom the permit asks",
        fix="sign with a key that the permit lists",
    )


def draft_notice(
    bundle: Bundle, key: Key, verb: str, when: datetime.datetime, words: Words = Words()
) -> dict[str, Any]:
    """Return the body of a notice that the owner of `key` is about to sign.

    Raises:
        NotAParty: nobody whom the permit asks, or no such verb.
        NotApproved: this person has already said so.
    """
    if verb not in VERBS:
        raise NotAParty(f"a notice says one of {', '.join(VERBS)}")
    permit, delegation = bundle.permit, words.delegation
    if delegation is not None:
        body = delegation.body
        side, role = str(body.get("side")), str(body.get("role"))
    else:
        side, role = office_of(permit, key.owner, verb)
    said = [one.notice for one in bundle.heard if one.notice.by == key.owner]
    said = [one for one in said if one.verb != "renew"]
    said.sort(key=lambda one: one.sequence)
    if said and (said[-1].verb, said[-1].role) == (verb, role) and verb in ONCE:
        raise NotApproved(
            f"{key.owner} has already said {verb!r} to this permit",
            fix="it stands, and is not said twice; `hetao permit show` says how the "
            "permit stands",
        )
    if verb == "approve" and permit.conditions and not words.read:
        raise NotApproved(
            "the permit's bases set conditions, and an approver says that they read "
            "them: "
            + "; ".join(f"{one}: {said}" for one, _, said in permit.conditions),
            fix="see to them, then approve with --conditions-read",
        )
    notice: dict[str, Any] = {
        "type": TYPE,
        "verb": verb,
        "permit": permit.digest,
        "by": key.owner,
        "key": key.name,
        "side": side,
        "role": role,
        "sequence": (said[-1].sequence if said else 0) + (verb != "renew"),
        "at": format_time(when),
    }
    more: dict[str, Any] = {
        "reason": words.reason,
        "until": words.until,
        "change": dict(words.change),
        "replaced_by": words.replaced_by,
        "delegation": delegation.as_json() if delegation else None,
        "lifts": _suspensions(bundle, side, role) if verb == "resume" else [],
        "heard": last_decisions(bundle) if verb in ("renew", "recall") else {},
        "recalls": list(words.recalls),
        "read": permit.read_conditions if verb == "approve" else "",
    }
    return notice | {name: value for name, value in more.items() if value}


def _suspensions(bundle: Bundle, side: str, role: str) -> list[str]:
    found = [
        one.digest
        for one in bundle.heard
        if one.notice.verb == "suspend"
        and (one.notice.side, one.notice.role) == (side, role)
    ]
    if not found:
        raise NotApproved(f"{role} on side {side} has suspended nothing")
    return found


def last_decisions(bundle: Bundle) -> dict[str, int]:
    """Return person → number of their last decision in this bundle."""
    found: dict[str, int] = {}
    for one in bundle.heard:
        if one.notice.verb != "renew":
            by, number = one.notice.by, one.notice.sequence
            found[by] = max(number, found.get(by, 0))
    return found


def add_notice(bundle: Bundle, statement: Statement) -> Bundle:
    """Return the bundle with a signed notice, once it holds.

    Raises:
        NotApproved: it does not.
        ConflictOfDuties: it approves, resumes or renews, and is by somebody who holds
            another duty.
    """
    one = read_notice(bundle.permit, statement)
    made = Bundle(bundle.permit, (*bundle.notices, statement))
    if one.notice.verb == "approve":
        found = conflicts(bundle.permit, approvals_in(made.heard))
        if found:
            raise ConflictOfDuties(found[0])
    if one.notice.verb in GOING_ON:
        known = going_on(bundle.permit, (*bundle.counting, one))
        if not any(one is other for other in known):
            raise ConflictOfDuties(
                f"{one.notice.by} holds another duty, or spoke in another office, and "
                "lets no permit go on in this one"
            )
    return made


def draft_delegation(
    key: Key, to: str, office: tuple[str, str], valid: tuple[str, str]
) -> dict[str, Any]:
    """Return the body of a delegation that the owner of `key` is about to sign.

    It is good for every permit that asks the office.

    Args:
        key: the key that it is signed with.
        to: who may act.
        office: (side, role).
        valid: from when until when, UTC; it is dated by its first moment.
    """
    return {
        "type": DELEGATION,
        "by": key.owner,
        "key": key.name,
        "to": to,
        "side": office[0],
        "role": office[1],
        "not_before": valid[0],
        "not_after": valid[1],
        "at": valid[0],
    }


def signed_bytes(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that a signature over this body covers."""
    return DOMAIN + canonical(body)
