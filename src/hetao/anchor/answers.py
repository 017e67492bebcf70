"""Answers over HTTP as they are: no redirect is followed, and nothing is cut off."""

import http.client
import time
import urllib.request
from typing import Any, Final

from hetao.errors import Unreachable, Unverified

REDIRECTS: Final = range(300, 400)
PART: Final = 1 << 16  # bytes that are read at once


class AsTheyAre(urllib.request.HTTPErrorProcessor):
    """Every answer is handed on: no redirect is followed."""

    def http_response(self, request: Any, response: Any) -> Any:
        """Return the answer."""
        return response

    https_response = http_response


def read_whole(
    answer: http.client.HTTPResponse, largest: int, end: float, who: str
) -> bytes:
    """Return an answer's body, which may neither be endless nor take for ever.

    Args:
        answer: as it begins.
        largest: most bytes of it.
        end: by the monotonic clock.
        who: answers, in words.

    Raises:
        Unverified: it is longer.
        Unreachable: it takes longer.
    """
    body = b""
    while part := answer.read1(PART):
        body += part
        if len(body) > largest:
            raise Unverified(f"{who} answers with too much")
        if time.monotonic() > end:
            raise Unreachable(f"{who} does not come to an end")
    return body


def answer_to(
    asked: urllib.request.Request, largest: int, seconds: float, who: str
) -> bytes:
    """Return the body of the answer to a request, from nowhere but where it went.

    Args:
        asked: to an address of http or https.
        largest: most bytes of the answer.
        seconds: for it to begin, and for all of it.
        who: is asked, in words.

    Raises:
        Unreachable: nothing comes, or no answer in time, or another than 200.
        Unverified: it points elsewhere, or is too long.
    """
    end = time.monotonic() + seconds
    try:
        opener = urllib.request.build_opener(AsTheyAre())
        with opener.open(asked, timeout=seconds) as answer:
            if answer.status in REDIRECTS:
                raise Unverified(
                    f"{who} points to another address, which nobody follows",
                    fix="name the address that answers",
                )
            if answer.status != http.client.OK:
                raise Unreachable(f"{who} does not answer: status {answer.status}")
            return read_whole(answer, largest, end, who)
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise Unreachable(f"{who} does not answer: {type(error).__name__}") from error
