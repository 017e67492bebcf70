"""Before a log signs on: what have its witnesses seen of it?

Each witness is handed the checkpoint that the log signed last, as grown from itself.
One that saw the same cosigns it again; one that saw more says how much, and that is
enough to tell that log and head were restored from a backup.
"""

import asyncio
import ipaddress
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from hetao.errors import InvalidData, Unreachable, Unverified
from hetao.ledger.log import Consistency, Sighting
from hetao.ledger.note import Verifier, open_note, parse_checkpoint, parse_note
from hetao.ledger.policy import Policy
from hetao.ledger.submission import Submission
from hetao.transparency.client import LARGEST_ANSWER, PATIENCE_SECONDS

LATE_SECONDS: Final = 300  # between a cosignature's time and now, either way
OTHER_ROOT = b""  # of a tree that the witness saw and the log never had


def sightings(
    note: str,
    consistency: Consistency,
    policy: Policy,
    tls: ssl.SSLContext | None = None,
) -> list[Sighting]:
    """Return what the witnesses of a policy cosigned last of a log.

    A witness that saw less is sent the path from there. What counts as seen is a
    cosignature of now under the policy's key; only a larger size, or another tree of
    this one, which stop the log, are believed without.

    Args:
        note: the log's last signed checkpoint.
        consistency: proves that the log extends what a witness saw.
        policy: names the witnesses, their addresses, and how many must answer.
        tls: how to trust the witnesses' servers; None for the system's authorities.

    Raises:
        InvalidData: a witness has an address without TLS on another machine.
        Unreachable: fewer than the policy's quorum answered.
    """
    asked = [
        _Asked(name, key, _address(policy.urls[key.vkey]), note, consistency)
        for name, key in policy.witnesses.items()
        if key.vkey in policy.urls
    ]
    # A thread, since who opens a log may have an event loop of their own.
    with ThreadPoolExecutor(1) as apart:
        found = apart.submit(asyncio.run, _ask(asked, tls)).result()
    if any(one.root == OTHER_ROOT for one in found):  # which no log passes
        return found
    if not policy.is_quorum({one.witness for one in found}):
        raise Unreachable(
            "fewer witnesses than the quorum say what they have seen of the log",
            fix="start when they can be reached: an older copy would sign a fork",
        )
    return found


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_here(parts.hostname or ""):
        raise InvalidData(
            "a witness is asked over https, or on this machine",
            fix="give its https address in the policy",
        )
    return f"{url.rstrip('/')}/add-checkpoint"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _ask(asked: list["_Asked"], tls: ssl.SSLContext | None) -> list[Sighting]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        answers = await asyncio.gather(*(one.answer(session) for one in asked))
    return [answer for answer in answers if answer is not None]


@dataclass(frozen=True)
class _Asked:
    """One witness and what it is asked about."""

    name: str
    key: Verifier
    address: str
    note: str
    consistency: Consistency

    async def answer(self, session: aiohttp.ClientSession) -> Sighting | None:
        """Return what it has seen; None where it does not say, or shows nothing."""
        here = parse_checkpoint(parse_note(self.note)[0])
        old, path = here.size, tuple[bytes, ...]()
        for _ in range(2):  # the first finds out what it saw
            status, text = await self._post(session, Submission(old, path, self.note))
            if status == 200:
                signed = self._signed(text)
                return Sighting(self.name, here.size, here.root) if signed else None
            number = text.strip()
            if status != 409 or not (number.isascii() and number.isdecimal()):
                return None
            if len(number) > 19:
                raise Unverified(f"{self.name} says a size that no log has")
            size = int(number)
            if size > here.size:
                return Sighting(self.name, size)
            if size == here.size:
                return Sighting(self.name, size, OTHER_ROOT) if size else None
            old, path = size, tuple(self.consistency(size, here.size))
        return None

    async def _post(
        self, session: aiohttp.ClientSession, asked: Submission
    ) -> tuple[int, str]:
        """Return status and text of an answer; 0 where there is none."""
        data = asked.text.encode()
        try:
            async with session.post(
                self.address, data=data, allow_redirects=False
            ) as reply:
                text = (await reply.content.read(LARGEST_ANSWER)).decode()
                return reply.status, text
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeDecodeError):
            return 0, ""

    def _signed(self, lines: str) -> bool:
        """Return whether a line is the witness's own cosignature, of now."""
        for line in lines.splitlines(keepends=True):
            try:
                when = open_note(self.note + line, [self.key])[1].get(self.key)
            except Unverified:
                continue
            if when is not None and abs(when - time.time()) <= LATE_SECONDS:
                return True
        return False
