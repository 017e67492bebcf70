"""Separation of duties: who approves, who asks, who checks and who runs the hubs.

These are different people, whatever names they go by. A delegation lends an office,
it makes no second person: who lends and who acts count as one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hetao.permit.notices import GOING_ON, Heard
from hetao.permit.permit import Permit
from hetao.permit.persons import AUTHOR, OPERATOR, People

LEAST_PEOPLE: Final = 2


@dataclass(frozen=True)
class Approval:
    """An approval that counts.

    Attributes:
        by: who signed.
        holder: whose office it is; another than `by` where it was delegated.
        side, role: the office.
        key: name of the key.
        at: UTC time of signing.
    """

    by: str
    holder: str
    side: str
    role: str
    key: str
    at: str

    @property
    def office(self) -> tuple[str, str]:
        """Return (side, role)."""
        return self.side, self.role


def approvals_in(heard: Iterable[Heard]) -> tuple[Approval, ...]:
    """Return every approval among notices, in their order."""
    return tuple(
        Approval(n.by, one.holder, n.side, n.role, n.key, n.at)
        for one in heard
        if (n := one.notice).verb == "approve"
    )


def conflicts(
    permit: Permit, approvals: Sequence[Approval], people: People | None = None
) -> tuple[str, ...]:
    """Return, in words, every pair of duties that one person would hold.

    Args:
        permit: names the authors, the operators and, by their roles, the checkers.
        approvals: those that count.
        people: who is one person, by the asker's own list, which may join names that
            the permit, of its drafter's making, does not; the permit's own by default.
    """
    one = (people or permit.directory.people).one
    duties = _duties(permit, one)
    found = []
    names = list(duties)
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            found += [
                f"{name} is {first} and {second}"
                for name in sorted(duties[first] & duties[second])
            ]
    offices: dict[str, tuple[str, str]] = {}
    for approval in approvals:
        for name in sorted({one(approval.by), one(approval.holder)}):
            found += [
                f"{name} is {duty}, and approves as {approval.role}"
                for duty, people in duties.items()
                if name in people
            ]
            if offices.setdefault(name, approval.office) != approval.office:
                found.append(f"{name} approves in two offices")
    return tuple(found)


def _duties(permit: Permit, one: Callable[[str], str]) -> dict[str, frozenset[str]]:
    """Return who holds each duty that is kept apart from approving, in words."""
    holders = permit.directory.holders
    authors = (*permit.authors, *(p.name for p in holders(AUTHOR)))
    operators = (*permit.operators, *(p.name for p in holders(OPERATOR)))
    return {
        "an author": frozenset(map(one, authors)),
        "a hub's operator": frozenset(map(one, operators)),
        "an output checker": frozenset(
            one(person.name)
            for person in permit.persons
            if any((person.side, r) in permit.review_offices for r in person.roles)
        ),
    }


def going_on(
    permit: Permit, heard: Sequence[Heard], people: People | None = None
) -> tuple[Heard, ...]:
    """Return the notices that resume or renew a permit, and count.

    Who resumes or renews says what an approver says: still so. An author, an operator
    or an output checker does not, by whatever name; nor does anybody in an office that
    one of these lent. And nobody says it in two offices, else one person with an office
    on each side could hold both leases: in that alone in which they approved, or, who
    approved in none, in that of their first such word by its date.

    Args:
        permit: that goes on.
        heard: notices, approvals among them.
        people: as of `conflicts`.
    """
    one = (people or permit.directory.people).one
    barred = frozenset[str]().union(*_duties(permit, one).values())
    offices = {
        one(name): approval.office
        for approval in approvals_in(heard)
        for name in (approval.by, approval.holder)
    }
    found = []
    for told in sorted(heard, key=_moment):
        said = told.notice
        names, office = {one(said.by), one(told.holder)}, (said.side, said.role)
        if said.verb not in GOING_ON or names & barred:
            continue
        if all(offices.get(name, office) == office for name in names):
            offices |= dict.fromkeys(names, office)
            found.append(told)
    return tuple(found)


def _moment(heard: Heard) -> tuple[str, ...]:
    """Return what orders notices, whatever order they came in."""
    said = heard.notice
    return said.at, said.side, said.role, said.by


def people_behind(
    permit: Permit, approvals: Sequence[Approval], people: People | None = None
) -> int:
    """Return how many different people stand behind approvals; see `conflicts`."""
    one = (people or permit.directory.people).one
    groups: list[set[str]] = []
    for approval in approvals:
        merged = {one(approval.by), one(approval.holder)}
        apart = []
        for group in groups:
            if group & merged:
                merged |= group
            else:
                apart.append(group)
        groups = [*apart, merged]
    return len(groups)
