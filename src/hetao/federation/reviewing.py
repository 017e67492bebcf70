"""Where output checkers find what they look at, and leave their votes.

    FOLDER/package.json      what was found, as it would be shown, and every check
    FOLDER/report.html       the same, to look at
    FOLDER/votes/NAME.vote   a checker's vote, sealed to the coordinator

A vote is an envelope: only the coordinator opens it, so no checker knows what another
said before both have voted. Anybody may carry the files, so what is no vote of a
checker is passed over. The coordinator writes a vote's digest into its log before it
counts it, and keeps the vote: deleting the file takes nothing back.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest, parse_canonical
from hetao.errors import (
    BadEnvelope,
    BadSignature,
    InvalidNetwork,
    NotApproved,
    NotCanonical,
    Unverified,
)
from hetao.federation.store import Store
from hetao.ledger.envelope import Envelope, Header, parse_envelope, seal
from hetao.ledger.log import Log
from hetao.permit import (
    Bundle,
    Directory,
    Identity,
    Key,
    Party,
    Permit,
    Statement,
    bundle_from,
    new_identity,
    package_digest,
    sign_vote,
    statement_from,
    tally,
)
from hetao.permit.votes import checker_of, draft_vote, voter_of
from hetao.release import checks_of, pack, unpack
from hetao.study import study_from
from hetao.whole import write_new, write_whole

MALFORMED: Final = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    IndexError,
    NotCanonical,
)
LONGEST_COMMENT: Final = 4_000  # characters
SIZE: Final = 32 * 2**10  # bytes of every vote, so that its length tells nothing
VOTE_GRADE: Final = 2
COUNTED: Final = """
CREATE TABLE IF NOT EXISTS vote (
    package TEXT NOT NULL,
    checker TEXT NOT NULL,
    digest TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (package, checker)
) STRICT;
"""
WAITS: Final = "waiting for output checks"  # how the coordinator begins to say so


@dataclass(frozen=True)
class Package:
    """What a checker looks at."""

    body: Mapping[str, Any]
    bundle: Bundle
    digest: str

    @property
    def code(self) -> str:
        """Return sixteen hex digits, to compare with the other checker's."""
        return self.digest.removeprefix("sha256:")[:16]


@dataclass(frozen=True)
class Vote:
    """One opened vote, with what its checker wrote to the author."""

    statement: Statement
    comment: str


def lay_package(folder: Path, body: Mapping[str, Any]) -> Package:
    """Write what is to be checked; votes about anything else no longer count."""
    (folder / "votes").mkdir(parents=True, exist_ok=True)
    write_whole(folder / "package.json", canonical(body))
    return read_package(folder)


def read_package(folder: Path) -> Package:
    """Return what lies in a folder to be checked.

    Its checks are worked out again: a coordinator that shows another outcome to those
    who decide is refused.

    Raises:
        InvalidNetwork: there is nothing, or nothing that can be read.
        Unverified: its checks are not those of its findings.
    """
    try:
        body = parse_canonical((folder / "package.json").read_bytes())
        bundle = bundle_from(body["permit"], "package.json")
        limits = body["smallest_shown"], body["rounded_to"]
        again = checks_of(study_from(body["study"]), body["findings"], limits)
        if canonical(again) != canonical(body["checks"]):
            raise Unverified(
                f"{folder}: the checks are not those that its findings pass",
                fix="ask for it to be laid anew, by the release of Hetao that you run: "
                f"it names {str(body['software'])[:60]}",
            )
        return Package(body, bundle, package_digest(body))
    except OSError as error:
        raise InvalidNetwork(
            f"{folder} holds nothing to be checked: {error.strerror}",
            fix="name the folder `review` that `hetao run` wrote",
        ) from error
    except MALFORMED as error:
        raise InvalidNetwork(f"{folder}: package.json is malformed") from error


def cast_vote(
    folder: Path,
    identity: Identity,
    said: tuple[str, str],
    now: datetime.datetime,
) -> Path:
    """Write a checker's vote, sealed, and return its file.

    Args:
        folder: that of the package.
        identity: the checker's keys.
        said: the vote, and a comment to the author.
        now: UTC time.

    Raises:
        NotAParty: the key belongs to no output checker of the permit.
        NotApproved: this checker has voted about this package.
    """
    vote, comment = said
    package = read_package(folder)
    permit = package.bundle.permit
    signed = sign_vote(permit, identity, package.digest, (vote, digest(comment)), now)
    return _lay(folder, package, Vote(signed, comment), identity)


def draft_vote_about(
    package: Package, key: str, said: tuple[str, str], now: datetime.datetime
) -> dict[str, str]:
    """Return what a checker's passkey, or other service, is to sign; see `cast_vote`.

    Args:
        package: what is voted about.
        key: name of the checker's key.
        said: the vote, and a comment to the author.
        now: UTC time.

    Raises:
        NotAParty: the key belongs to no output checker of the permit.
    """
    permit, (vote, comment) = package.bundle.permit, said
    checker = checker_of(permit, lambda one: one.name == key)
    return draft_vote(permit, checker, package.digest, (vote, digest(comment)), now)


def lay_vote(folder: Path, vote: Vote) -> Path:
    """Write a vote that was signed elsewhere, sealed, and return its file.

    A passkey signs no envelope: a key that is used once does, and the coordinator goes
    by the vote's own signature.

    Raises:
        NotApproved: it is no output checker's vote about what lies there, or the
            checker has voted about it already.
    """
    package = read_package(folder)
    found = tally(package.bundle.permit, package.digest, [vote.statement])
    if not found.said or vote.statement.body.get("comment") != digest(vote.comment):
        raise NotApproved("the vote is about other findings, or has another comment")
    return _lay(folder, package, vote, new_identity("once", sealing=False))


def _lay(folder: Path, package: Package, vote: Vote, sealer: Identity) -> Path:
    permit, voter = package.bundle.permit, str(vote.statement.body["by"])
    if len(vote.comment) > LONGEST_COMMENT:
        raise InvalidNetwork(
            f"a comment is longer than {LONGEST_COMMENT} characters",
            fix="say it shorter",
        )
    header = _header(permit, str(package.body["run"]), package.code)
    content = _padded({"vote": vote.statement.as_json(), "comment": vote.comment})
    named = Identity(voter, sealer.signing_key)
    envelope = seal(named, permit.coordinator, header, content)
    path = folder / "votes" / f"{voter}.{package.code}.vote"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_new(path, lambda: envelope.data, 0o666)  # less what umask takes
    except FileExistsError:
        raise NotApproved(
            f"{voter} has voted about these findings already",
            fix="the vote stands; it was for these findings, and other ones need "
            "another run",
        ) from None
    return path


def _padded(meta: Mapping[str, Any]) -> bytes:
    """Return a packed object of one length, whatever it says."""
    short = pack({**meta, "pad": ""})
    return pack({**meta, "pad": " " * (SIZE - len(short))})


def _header(permit: Permit, run: str, code: str) -> Header:
    return Header(
        study=permit.study,
        permit=permit.digest,
        run=run,
        task=f"review/{code}",
        kind="vote",
        sender="",
        recipient="",
        not_after=permit.not_after,
        grade=VOTE_GRADE,
    )


def voters(folder: Path) -> tuple[str, ...]:
    """Return who has voted about the package in the folder; not what."""
    package = read_package(folder)
    names = {party.name for party in package.bundle.permit.checkers}
    files = (folder / "votes").glob(f"*.{package.code}.vote")
    return tuple(sorted(n for f in files if (n := f.name.split(".")[0]) in names))


def gather_votes(
    folder: Path, coordinator: Identity, say: Callable[[str], None]
) -> list[Vote]:
    """Return the votes about the package in the folder, opened and checked.

    A copy counts once. A file that is cut, changed or signed by no checker is none.

    Args:
        folder: that of the package.
        coordinator: to whom votes are sealed.
        say: is told of each file that is passed over.

    Raises:
        NotApproved: a checker signed something else than a vote of their own.
    """
    package, found = read_package(folder), {}
    for path in sorted((folder / "votes").glob(f"*.{package.code}.vote")):
        try:
            envelope = parse_envelope(path.read_bytes())
            vote = _vote_in(package.bundle.permit, envelope, coordinator)
        except (BadEnvelope, BadSignature, InvalidNetwork, OSError):
            say(f"{path.name} is not counted: it is no vote of an output checker")
            continue
        if envelope.digest not in found:
            found[envelope.digest] = vote
    return list(found.values())


class Ballots:
    """The votes that a coordinator has counted: one of each checker about a package."""

    def __init__(self, store: Store, log: Log, trusted: Directory) -> None:
        """Keep votes in a journal that has COUNTED, and their digests in a log."""
        self._store, self._log, self._trusted = store, log, trusted

    def count(self, package: Package, votes: Sequence[Vote]) -> list[Vote]:
        """Take on the votes about a package that are new, and return all that count.

        Raises:
            NotApproved: a vote does not hold, or a checker has said something else
                about this package before.
        """
        for vote in votes:
            permit, signed = package.bundle.permit, vote.statement
            if tally(permit, package.digest, [signed], self._trusted).said:
                self._take(package.digest, vote)
        rows = self._store.rows(
            "SELECT data FROM vote WHERE package = ? ORDER BY checker",
            (package.digest,),
        )
        kept = [parse_canonical(str(row[0]).encode()) for row in rows]
        return [Vote(statement_from(one["vote"]), one["comment"]) for one in kept]

    def _take(self, package: str, vote: Vote) -> None:
        checker, signed = str(vote.statement.body["by"]), vote.statement.as_json()
        rows = self._store.rows(
            "SELECT digest FROM vote WHERE package = ? AND checker = ?",
            (package, checker),
        )
        name = digest(signed)
        if rows and rows[0][0] != name:
            raise NotApproved(
                f"{checker} has voted twice about the same findings",
                fix="take the later vote's file away: the first was logged and stands",
            )
        if rows:
            return
        # In the log first: no vote counts that could be exchanged afterwards.
        entry = {"type": "hetao.counted/1", "package": package, "by": checker}
        self._log.append([canonical({**entry, "vote": name})])
        data = canonical({"vote": signed, "comment": vote.comment}).decode()
        row = (package, checker, name, data)
        self._store.write([("INSERT INTO vote VALUES (?, ?, ?, ?)", row)])


def _vote_in(permit: Permit, envelope: Envelope, coordinator: Identity) -> Vote:
    """Return the vote in an envelope that a checker of the permit sealed.

    Who votes by a passkey cannot seal with it: there the vote itself must be theirs.
    """
    name = envelope.header.sender
    keys = [one.key for one in permit.checkers if one.name == name]
    if any(_is_sealed_by(envelope, name, key) for key in keys):
        return _opened(envelope, name, coordinator)
    if any(key.kind != "ed25519" for key in keys):
        try:
            vote = _opened(envelope, name, coordinator)
        except NotApproved as error:
            raise BadSignature("anybody may have sealed this vote") from error
        if voter_of(permit, vote.statement) is not None:
            return vote
    raise BadSignature("no output checker of the permit signed this vote")


def _is_sealed_by(envelope: Envelope, name: str, key: Key) -> bool:
    if key.kind != "ed25519":
        return False
    try:
        envelope.verify(Party(name, "", "", "", key.public))
    except BadSignature:
        return False  # another key of the same person, perhaps
    return True


def _opened(envelope: Envelope, sender: str, coordinator: Identity) -> Vote:
    try:
        meta, _ = unpack(envelope.open(coordinator))
        statement, comment = statement_from(meta["vote"]), str(meta["comment"])
    except (BadEnvelope, BadSignature, InvalidNetwork, KeyError) as error:
        raise NotApproved(
            "a vote is forged or cut",
            fix="have its checker vote anew",
            local=repr(error),
        ) from error
    if statement.body.get("by") != sender:
        raise NotApproved(f"{sender} sent a vote of somebody else's")
    if statement.body.get("comment") != digest(comment):
        raise NotApproved(f"{sender} sent another comment than was signed")
    return Vote(statement, comment)
