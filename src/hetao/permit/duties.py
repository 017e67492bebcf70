"""Separation of duties: who approves, who asks, who checks and who runs the hubs.

These are different people, whatever names they go by. A delegation lends an office,
it makes no second person: who lends and who acts count as one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hetao.permit.notices import Heard
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
    holders = permit.directory.holders
    authors = (*permit.authors, *(p.name for p in holders(AUTHOR)))
    operators = (*permit.operators, *(p.name for p in holders(OPERATOR)))
    duties: dict[str, frozenset[str]] = {
        "an author": frozenset(map(one, authors)),
        "a hub's operator": frozenset(map(one, operators)),
        "an output checker": frozenset(
            one(person.name)
            for person in permit.persons
            if any((person.side, r) in permit.review_offices for r in person.roles)
        ),
    }
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
