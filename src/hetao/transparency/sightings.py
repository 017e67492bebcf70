"""Before a log signs on: what have its witnesses seen of it?

Each witness is handed the checkpoint that the log signed last, as grown from itself.
One that saw the same cosigns it again; one that saw more says how much, and that is
enough to tell that log and head were restored from a backup.
"""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor

import aiohttp

from hetao.errors import Unreachable, Unverified
from hetao.ledger.log import Sighting
from hetao.ledger.note import Checkpoint, parse_checkpoint, parse_note
from hetao.ledger.policy import Policy
from hetao.ledger.submission import Submission
from hetao.transparency.client import LARGEST_ANSWER, PATIENCE_SECONDS

OTHER_ROOT = b""  # of a tree that the witness saw and the log never had


def sightings(
    note: str, policy: Policy, tls: ssl.SSLContext | None = None
) -> list[Sighting]:
    """Return what the witnesses of a policy cosigned last of a log.

    Args:
        note: the log's last signed checkpoint.
        policy: names the witnesses, their addresses, and how many must answer.
        tls: how to trust the witnesses' servers; None for the system's authorities.

    Raises:
        Unreachable: fewer than the policy's quorum answered.
    """
    # A thread, since who opens a log may have an event loop of their own.
    with ThreadPoolExecutor(1) as apart:
        found = apart.submit(asyncio.run, _ask(note, policy, tls)).result()
    if not policy.is_quorum({one.witness for one in found}):
        raise Unreachable(
            "fewer witnesses than the quorum say what they have seen of the log",
            fix="start when they can be reached: an older copy would sign a fork",
        )
    return found


async def _ask(note: str, policy: Policy, tls: ssl.SSLContext | None) -> list[Sighting]:
    here = parse_checkpoint(parse_note(note)[0])
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        answers = await asyncio.gather(
            *(
                _asked(session, name, policy.urls[key.vkey], here, note)
                for name, key in policy.witnesses.items()
                if key.vkey in policy.urls
            )
        )
    return [answer for answer in answers if answer is not None]


async def _asked(
    session: aiohttp.ClientSession, name: str, url: str, here: Checkpoint, note: str
) -> Sighting | None:
    """Return what one witness has seen; None where it does not say."""
    body = Submission(here.size, (), note).text.encode()
    try:
        async with session.post(
            f"{url.rstrip('/')}/add-checkpoint", data=body, allow_redirects=False
        ) as reply:
            text = (await reply.content.read(LARGEST_ANSWER)).decode().strip()
    except (aiohttp.ClientError, OSError, TimeoutError, UnicodeDecodeError):
        return None
    if reply.status == 200:
        return Sighting(name, here.size, here.root)
    if reply.status != 409 or not (text.isascii() and text.isdecimal()):
        return None
    if len(text) > 19:
        raise Unverified(f"{name} says a size that no log has")
    size = int(text)
    return Sighting(name, size, OTHER_ROOT if size == here.size else None)
