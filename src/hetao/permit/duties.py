"""Separation of duties: who approves, who asks, who checks and who runs the hubs.

These are different people, whatever names they go by. A delegation lends an office,
it makes no second person: who lends and who acts count as one.
"""

from collections.abc import Callable, Iterable, Sequence
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


def told_by_others(
    permit: Permit, approvals: Sequence[Approval], people: People | None = None
) -> Callable[[Heard], bool]:
    """Return what tells of a notice whether its signer could have approved there.

    Who resumes or renews a permit says what an approver says: still so. An author, an
    operator, an output checker or who approved in another office does not, by whatever
    name; nor does anybody in an office that one of these lent.
    """
    one = (people or permit.directory.people).one
    barred = frozenset[str]().union(*_duties(permit, one).values())
    offices = {
        one(name): approval.office
        for approval in approvals
        for name in (approval.by, approval.holder)
    }

    def is_apart(heard: Heard) -> bool:
        said = heard.notice
        names = {one(said.by), one(heard.holder)}
        office = said.side, said.role
        return not names & barred and all(
            offices.get(name, office) == office for name in names
        )

    return is_apart


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
