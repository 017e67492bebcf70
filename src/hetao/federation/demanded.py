"""At a site: what its permit demands of the extract before a study runs on it.

A permit may demand that the site had committed to its extract, and that witnesses whom
the permit names had seen the log with the extract in it. The site asks them before it
answers, once, and keeps what they signed; its first record cites that, and each release
cites the first record, so that nobody needs to believe a clock.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hetao.canonical import digest
from hetao.errors import InvalidData, NotCommitted, Unverified
from hetao.federation.binding import LoggedExtract
from hetao.federation.logs import LogTable
from hetao.ledger.extracts import policy_of
from hetao.ledger.log import Log
from hetao.ledger.policy import Policy
from hetao.permit import Party, Permit
from hetao.whole import write_whole


class Setup(Protocol):
    """Of a site: who vouches for witnesses' servers, and where its state lies."""

    @property
    def log(self) -> LogTable:
        """`[log]` of its file."""

    @property
    def folder(self) -> Path:
        """Of its state, where what witnesses signed is kept."""


def as_demanded(
    permit: Permit,
    logged: LoggedExtract | None,
    log: Log,
    setup: Setup,
) -> LoggedExtract | None:
    """Return the extract as the permit demands it; as it is where it demands nothing.

    Args:
        permit: of the study.
        logged: the extract, in the site's log; None where it committed to none.
        log: the site's.
        setup: the site's.

    Raises:
        NotCommitted: the permit demands what is not so: nothing of the study runs.
        InvalidData: the permit's words on witnesses are no policy.
    """
    if not permit.committed:
        return logged
    party = permit.directory[log.origin]
    policy = policy_of(permit.committed, party)
    if logged is None:
        raise NotCommitted(
            f"the permit demands that {party.name} had committed to its extract",
            fix="hetao site commit, of curated tables; then begin the study again",
        )
    about = digest({"permit": permit.digest, "extract": logged.digest})
    path = setup.folder / "seen" / f"{about.removeprefix('sha256:')}.json"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        seen = json.dumps(_asked(policy, log, setup.log, party))
        write_whole(path, seen.encode())
    return replace(logged, seen=_read(path, policy))


def _asked(policy: Policy, log: Log, table: LogTable, party: Party) -> list[str]:
    """Return the log's checkpoint under the lines of those who saw it, line by line."""
    note, failed = log.short_checkpoint(), dict[str, str]()
    if any(key.vkey in policy.urls for key in policy.witnesses.values()):
        from hetao.transparency.client import cosignatures  # few ask, and it is dear

        with ThreadPoolExecutor(1) as apart:  # who asks may have an event loop
            work = cosignatures(log, note, policy, table.tls)
            lines, told = apart.submit(asyncio.run, work).result()
        note, failed = note + lines, dict(told)
    try:
        policy.check(note)
    except Unverified as error:
        why = "; ".join(f"{name}: {fault}" for name, fault in failed.items())
        raise NotCommitted(
            f"the permit demands that witnesses had seen the log of {party.name}",
            fix="have them watch it (hetao witness trust); then begin the study again",
            local=why or error.what,
        ) from error
    return note.split("\n")


def _read(path: Path, policy: Policy) -> tuple[str, ...]:
    try:
        lines = [str(line) for line in json.loads(path.read_text("utf-8"))]
        policy.check("\n".join(lines))
    except (OSError, ValueError, TypeError, Unverified) as error:
        raise InvalidData(
            f"{path.name} is damaged", fix="remove it; the witnesses are asked again"
        ) from error
    return tuple(lines)
