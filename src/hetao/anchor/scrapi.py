"""A statement → a transparency service → the receipt, over SCRAPI.

    POST /entries         201 with the receipt, or 303 with where it will be
    GET  /entries/…       302 while it is not there, then 200 with the receipt

Written after draft-ietf-scitt-scrapi-10 and its editors' text since; 202 with an
address is taken as 303 is, for older services answer so. Where to look stands on the
same server, or nobody looks. Nothing that comes back is believed here.
"""

import datetime
import email.utils
import http.client
import json
import re
import ssl
import time
import urllib.request
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from hetao.anchor.answers import AsTheyAre, read_whole
from hetao.errors import Unreachable, Unverified, Usage
from hetao.ledger.cbor import decode

SECONDS: Final = 30.0  # for each answer to begin, and each part of it
PATIENCE: Final = 120.0  # seconds for a receipt, with all waiting
WAIT: Final = 1.0  # seconds between two looks, where the service does not say
SHORTEST_WAIT: Final = 0.1
LARGEST: Final = 1 << 18  # bytes of an answer
LONGEST: Final = 200  # characters of what a refusal says
PROBLEM: Final = (-1, "title", -2, "detail")  # RFC 9290 in CBOR, RFC 9457 in JSON
WHO: Final = "the transparency service"
LATER: Final = (201, 202, 302, 303)
BUSY: Final = (429, 503)


@dataclass(frozen=True)
class Answer:
    """An answer of a service."""

    status: int
    body: bytes
    location: str | None
    wait: str  # Retry-After; "" where it does not say


def register(
    url: str,
    statement: bytes,
    tls: ssl.SSLContext | None = None,
    patience: float = PATIENCE,
) -> bytes:
    """Have a statement entered, and return what the service calls its receipt.

    Args:
        url: https (http on this machine alone), up to `/entries`.
        statement: all that is sent.
        tls: how the service's server is trusted; None for the system's authorities.
        patience: seconds for all of it.

    Raises:
        Usage: the address is of another kind.
        Unreachable: no receipt came in time.
        Unverified: the service refuses, or answers otherwise than SCRAPI says.
    """
    _check_address(url)
    end = time.monotonic() + patience
    context = tls or ssl.create_default_context()
    place = f"{url.rstrip('/')}/entries"
    answer = _asked(place, statement, context, end)
    if answer.status in BUSY:
        raise _refusal(answer)
    while answer.status not in (200, 201) or not answer.body:
        if answer.status in LATER:
            place = _moved(place, answer)
        elif answer.status not in BUSY:
            raise _refusal(answer)
        _wait(answer, end)
        answer = _asked(place, None, context, end)
    return answer.body


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        plain = parts.port != 0 and not (
            parts.query or parts.fragment or parts.username
        )
    except ValueError:
        raise Usage("the address of the transparency service is malformed") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise Usage("a transparency service has an https address")
    if not parts.hostname or not plain:
        raise Usage("the address of a transparency service is host, port and path")


def _asked(
    place: str, statement: bytes | None, tls: ssl.SSLContext, end: float
) -> Answer:
    headers = {"Accept": "application/cose"}
    if statement is not None:
        headers["Content-Type"] = "application/cose"
    request = urllib.request.Request(place, statement, headers)  # noqa: S310 - checked
    handlers = (AsTheyAre(), urllib.request.HTTPSHandler(context=tls))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            where, wait = answer.headers["Location"], answer.headers["Retry-After"]
            body = read_whole(answer, LARGEST, end, WHO)
            return Answer(answer.status, body, where, wait or "")
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise Unreachable(
            f"the transparency service does not answer: {type(error).__name__}"
        ) from error


def _moved(place: str, answer: Answer) -> str:
    """Return where the receipt will be, which is at the same server."""
    if answer.location is None:
        raise Unverified("the transparency service does not say where its receipt is")
    try:
        target = urljoin(place, answer.location)
        is_there = urlsplit(target)[:2] == urlsplit(place)[:2]
    except ValueError:
        is_there = False
    if not is_there:
        raise Unverified("the transparency service sends us to another server")
    return target


def _wait(answer: Answer, end: float) -> None:
    """Wait as long as the service asks for, or give up at once."""
    wait = max(_seconds(answer.wait), SHORTEST_WAIT)
    if time.monotonic() + wait > end:
        raise Unreachable(
            "the transparency service has no receipt in time",
            fix="the same command asks again; the statement may be entered by then",
        )
    time.sleep(wait)


def _seconds(text: str) -> float:
    """Return how long to wait: a number of seconds, or a date of HTTP."""
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
        return (until - datetime.datetime.now(until.tzinfo)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return WAIT


def _refusal(answer: Answer) -> Unverified | Unreachable:
    said = _problem(answer.body)
    if answer.status >= 500 or answer.status in BUSY:
        return Unreachable(
            f"the transparency service fails with status {answer.status}{said}",
            fix="try again later",
        )
    return Unverified(
        f"the transparency service refuses with status {answer.status}{said}",
        fix="ask the service which issuers and statements it takes",
    )


def _problem(body: bytes) -> str:
    """Return what a refusal says of itself, as far as it can be shown."""
    for read in (decode, json.loads):
        try:
            value = read(body)
        except (Unverified, ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            texts = [value.get(key) for key in PROBLEM]
            said = ", ".join(one for one in texts if isinstance(one, str))
            shown = "".join(one for one in said if one.isprintable())
            return f": {shown[:LONGEST]}" if shown else ""
    return ""
