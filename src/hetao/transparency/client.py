"""A log's way to its witnesses: hand in the checkpoint, bring back cosignatures."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from hetao.errors import InvalidData, Unverified
from hetao.ledger.note import Verifier, open_note, parse_checkpoint, parse_note
from hetao.ledger.policy import Policy
from hetao.ledger.submission import Submission

PATIENCE_SECONDS: Final = 20.0  # for one answer
LARGEST_ANSWER: Final = 2**16  # bytes; two lines take 4,000
TRIES: Final = 3  # the first finds out what the witness saw last


def witness_tls(authority: Path | None) -> ssl.SSLContext | None:
    """Return how the servers of witnesses and logs are trusted; None for as usual.

    A witness that is no party of a study has an authority of its own, which is trusted
    for this alone. What a witness says counts by its signature, whoever carried it.

    Args:
        authority: certificates of authorities, PEM, trusted beside the system's.

    Raises:
        InvalidData: the file holds none.
    """
    if authority is None:
        return None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise InvalidData(
            f"{authority} holds no certificate of an authority",
            fix="name the authority.pem that hetao witness tls wrote",
        ) from error
    return context


class Grown(Protocol):
    """A log, as far as a witness asks about it."""

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the first `new` entries extend the first `old`."""


async def cosignatures(
    log: Grown,
    note: str,
    policy: Policy,
    tls: ssl.SSLContext | None = None,
) -> tuple[str, Mapping[str, str]]:
    """Return the cosignature lines that a policy's witnesses give, and what failed.

    Only witnesses with an address are asked, all at once. What is returned verifies;
    whether it is enough is for the verifier's policy to say.

    Args:
        log: whose checkpoint it is.
        note: its signed checkpoint.
        policy: names the witnesses, their keys and their addresses.
        tls: how to trust the witnesses' servers; None for the system's authorities.

    Returns:
        The lines, in the policy's order; and for each witness that gave none, why.
    """
    asked = {
        name: key for name, key in policy.witnesses.items() if key.vkey in policy.urls
    }
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        answers = await asyncio.gather(
            *(
                _asked(session, policy.urls[key.vkey], log, note, key)
                for key in asked.values()
            )
        )
    lines, failed = "", {}
    for name, (line, fault) in zip(asked, answers, strict=True):
        if line:
            lines += line
        else:
            failed[name] = fault
    return lines, failed


async def _asked(
    session: aiohttp.ClientSession, url: str, log: Grown, note: str, key: Verifier
) -> tuple[str, str]:
    """Return a witness's line, or "" and why there is none."""
    size = parse_checkpoint(parse_note(note)[0]).size
    old = 0
    try:
        for _ in range(TRIES):
            path = tuple(log.consistency(old, size))
            body = Submission(old, path, note).text.encode()
            target = f"{url.rstrip('/')}/add-checkpoint"
            async with session.post(target, data=body) as reply:
                text = (await reply.content.read(LARGEST_ANSWER)).decode()
                if reply.status == 200:
                    return _line_of(note, text, key), ""
                if reply.status != 409:
                    return "", f"it answered {reply.status}"
            seen = int(text) if text.strip().isdecimal() and len(text) < 21 else -1
            if not 0 <= seen <= size or seen == old:
                return "", "it has seen a longer or another history of this log"
            old = seen
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return "", f"it cannot be reached: {type(error).__name__}"
    except (Unverified, InvalidData, UnicodeDecodeError) as error:
        return "", f"what it answered does not verify: {error}"
    return "", "its answers lead nowhere"


def _line_of(note: str, answer: str, key: Verifier) -> str:
    """Return the one line of an answer that the key signed."""
    lines: Sequence[str] = answer.splitlines(keepends=True)
    for line in lines:
        if key in open_note(note + line, [key])[1]:
            return line
    raise Unverified("it signed with another key than the policy gives")
