"""Patients' identifiers, looked for in words of others, however they are written."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

SHORTEST: Final = 6  # letters and digits of an identifier that is looked for
LONG: Final = 15  # digits of a number that is nobody else's by chance
DEEPEST: Final = 8  # times that a text may be percent-encoded
_WORD = re.compile(r"[^\W_]+")


class Identifiers:
    """Identifiers of patients: letters and digits, and how punctuation cuts them."""

    def __init__(self, people: Iterable[str]) -> None:
        """Look for these; of a short one for nothing: in any number there is one."""
        self._cuts: dict[str, set[tuple[str, ...]]] = {}
        for one in people:
            words = tuple(_WORD.findall(plain(one)))
            if len(whole := "".join(words)) >= SHORTEST:
                self._cuts.setdefault(whole, set()).add(words)
        self._longest = max(map(len, self._cuts), default=0)

    def are_in(self, text: str) -> bool:
        """Return whether one is in a text: whole words, whatever stands between them.

        One of digits alone is cut as it is here, else any two numbers might be it.
        """
        words = _WORD.findall(plain(text)) if self._cuts else []
        return any(self._begins(words, start) for start in range(len(words)))

    def _begins(self, words: list[str], start: int) -> bool:
        whole = ""
        for stop in range(start, len(words)):
            whole += words[stop]
            if len(whole) > self._longest:
                return False
            cuts = self._cuts.get(whole, ())
            if cuts and (stop == start or not whole.isdecimal()):
                return True
            if tuple(words[start : stop + 1]) in cuts:
                return True
        return False


def is_telling(identifier: str) -> bool:
    """Return whether an identifier is hardly an item's number too, by chance."""
    whole = "".join(_WORD.findall(plain(identifier)))
    return not whole.isdecimal() or len(whole) >= LONG


def plain(text: str) -> str:
    """Return a text without percent-encoding, width and capitals."""
    for _ in range(DEEPEST):
        text = unquote(text)
    return unicodedata.normalize("NFKC", text).casefold()
