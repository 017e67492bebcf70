"""Output checks: people say whether what was found may be shown.

Each checker whom the permit asks looks at the same package: findings as they would be
shown, with the checks that ran over them. A vote signs the package's digest, so a
package in which anything changed has no votes. Votes are counted from signatures each
time, by the same function at the coordinator and at a verifier.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import BadSignature, InvalidNetwork, NotAParty, NotApproved
from hetao.permit.dates import format_time
from hetao.permit.directory import Directory
from hetao.permit.keys import Key, Signer, Statement, state
from hetao.permit.permit import Checker, Permit
from hetao.permit.rulebook import Requirement

VOTES: Final = ("accept", "change", "reject")
PACKAGE: Final = (
    "study",
    "permit",
    "run",
    "sites",
    "lost",
    "findings",
    "checks",
    "smallest_shown",
    "rounded_to",
)
FEWEST: Final = 2  # people who look, independently of each other


@dataclass(frozen=True)
class Tally:
    """What was voted about one package.

    Attributes:
        said: checker → vote.
        missing: output checks that nobody has accepted yet.
        people: how many different people voted, whatever names they go by.
    """

    said: Mapping[str, str]
    missing: tuple[Requirement, ...]
    people: int

    @property
    def objections(self) -> tuple[str, ...]:
        """Return who asked for a change or rejected."""
        return tuple(name for name, vote in self.said.items() if vote != "accept")

    @property
    def is_accepted(self) -> bool:
        """Return whether every office accepted, by two people or more, and no one else.

        A single objection stops the release, whoever else accepted.
        """
        enough = self.people >= FEWEST
        return enough and not self.missing and not self.objections


def package_digest(body: Mapping[str, Any]) -> str:
    """Return the digest that checkers sign, of a certificate's body or a draft."""
    package = {key: body[key] for key in PACKAGE}
    package["permit"] = digest(body["permit"]["permit"])
    return digest({"type": "hetao.package/1", **package})


def sign_vote(
    permit: Permit,
    signer: Signer,
    package: str,
    said: tuple[str, str],
    when: datetime.datetime,
) -> Statement:
    """Return one checker's signed vote.

    Args:
        permit: the permit of the run.
        signer: the checker's key.
        package: its digest.
        said: the vote, and a digest of the comment that travels beside it.
        when: UTC time.

    Raises:
        NotAParty: the key belongs to no checker of this permit.
    """
    checker = checker_of(permit, signer.holds)
    return state(signer, draft_vote(permit, checker, package, said, when))


def draft_vote(
    permit: Permit,
    checker: Checker,
    package: str,
    said: tuple[str, str],
    when: datetime.datetime,
) -> dict[str, str]:
    """Return the body of a vote that a checker is about to sign; see `sign_vote`.

    Raises:
        NotAParty: there is no such vote.
    """
    vote, comment = said
    if vote not in VOTES:
        raise NotAParty(f"a vote is one of {', '.join(VOTES)}")
    return {
        "type": "hetao.vote/1",
        "vote": vote,
        "package": package,
        "permit": permit.digest,
        "by": checker.name,
        "role": checker.role,
        "side": checker.side,
        "comment": comment,
        "at": format_time(when),
    }


def checker_of(permit: Permit, is_theirs: Callable[[Key], bool]) -> Checker:
    """Return the output checker of the permit whose key is the one meant.

    Raises:
        NotAParty: there is none.
    """
    for checker in permit.checkers:
        if is_theirs(checker.key):
            return checker
    raise NotAParty(
        "this key belongs to no output checker of the permit",
        fix="vote with a key that the permit lists as an output checker's",
    )


def tally(
    permit: Permit,
    package: str,
    votes: Sequence[Statement],
    trusted: Directory | None = None,
) -> Tally:
    """Return what was voted about a package, every signature checked.

    Votes about other packages do not count: what they were about has changed since.

    Args:
        permit: of the run.
        package: its digest.
        votes: signed.
        trusted: the counter's own list; a key revoked there does not vote, and who is
            one person there counts once. None goes by the permit alone.

    Raises:
        NotApproved: a vote is forged, by nobody whom the permit asks, by a key that
            did not hold, or a checker has voted twice.
    """
    said: dict[str, str] = {}
    offices: set[tuple[str, str]] = set()
    for statement in votes:
        checker = _verified(permit, statement, trusted)
        if statement.body.get("package") != package:
            continue
        if checker.name in said:
            raise NotApproved(f"{checker.name} has voted twice about the same findings")
        said[checker.name] = str(statement.body["vote"])
        if said[checker.name] == "accept":
            offices.add((checker.side, checker.role))
    lists = [permit.directory, *([trusted] if trusted else ())]
    people = min(len({each.people.one(name) for name in said}) for each in lists)
    missing = tuple(n for n in permit.reviews if (n.side, n.role) not in offices)
    return Tally(said, missing, people)


def _verified(
    permit: Permit, statement: Statement, trusted: Directory | None
) -> Checker:
    body = statement.body
    if body.get("type") != "hetao.vote/1" or body.get("vote") not in VOTES:
        raise NotApproved("a vote is of an unknown kind")
    if body.get("permit") != permit.digest:
        raise NotApproved("a vote is about another permit")
    checker = voter_of(permit, statement)
    if checker is None:
        raise NotApproved("a vote is forged, or by no output checker of this permit")
    _check_key(checker, str(body.get("at")), trusted)
    return checker


def voter_of(permit: Permit, statement: Statement) -> Checker | None:
    """Return the output checker who signed a vote, by whichever of their keys."""
    body = statement.body
    said = (body.get("by"), body.get("side"), body.get("role"))
    for checker in permit.checkers:
        if (checker.name, checker.side, checker.role) == said:
            try:
                statement.verify_by(checker.key, str(body.get("at")))
            except (BadSignature, InvalidNetwork):
                continue  # another key of the same person, perhaps
            return checker
    return None


def _check_key(checker: Checker, at: str, trusted: Directory | None) -> None:
    """Refuse a vote by a key that was not valid when it was given, in either list."""
    key = checker.key
    if trusted is not None and key not in trusted:
        raise NotApproved(f"a vote of {checker.name}: its key is not in the own list")
    try:
        key.check_time(at)
        if trusted is not None:
            trusted.key(key.name).check_time(at)
    except BadSignature as error:
        raise NotApproved(f"a vote of {checker.name}: {error.what}") from error


def check_votes(
    permit: Permit,
    package: str,
    votes: Sequence[Statement],
    trusted: Directory | None = None,
) -> Tally:
    """Return the tally of a package that may be shown; arguments as of `tally`.

    Raises:
        NotApproved: an output check is missing, or somebody objected.
    """
    found = tally(permit, package, votes, trusted)
    if found.objections:
        raise NotApproved(
            f"{', '.join(found.objections)} did not accept what would be shown",
            fix="change the study as they say, and ask anew",
        )
    if not found.is_accepted:
        offices = ", ".join(f"{n.role} on side {n.side}" for n in found.missing)
        raise NotApproved(
            f"the output check of {offices or 'a second person'} is missing",
            fix="each checker runs `hetao review vote`; then give the command again",
        )
    return found
