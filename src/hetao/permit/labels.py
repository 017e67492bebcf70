"""Labels of single pieces: each has one form, and none looks like another.

A tube that crosses under `T1` must not cross again under `Т1` with a Cyrillic letter,
under `T 1`, or under `TI`. So a label is written in letters, digits and marks of ASCII
and in Han characters, in one form, and two labels that a person takes for one are one.
"""

import re
import unicodedata
from typing import Final

from hetao.errors import NotApproved

LONGEST: Final = 200  # characters of a number or a label
SPACES: Final = re.compile(r"\s+")
ALIKE: Final = str.maketrans({"o": "0", "i": "1", "l": "1", "|": "1", "\u3007": "0"})
HAN: Final = "CJK UNIFIED IDEOGRAPH"
ZERO: Final = "\u3007"  # the Han zero, which is no ideograph


def plain(text: str) -> str:
    """Return the one form of a label: NFKC, one space for several, none at its ends."""
    return SPACES.sub(" ", unicodedata.normalize("NFKC", text)).strip()


def check_label(text: str, what: str) -> None:
    """Return quietly if a text is a label in its one form.

    Args:
        text: the label.
        what: what it names, for the refusal.

    Raises:
        NotApproved: it is empty, too long, in another form, or of other letters.
    """
    if not 0 < len(text) <= LONGEST or plain(text) != text:
        raise NotApproved(
            f"{what} is empty, too long, or not in its one form",
            fix="write it in plain letters, with single spaces",
        )
    if not all(_is_plain(letter) for letter in text):
        raise NotApproved(
            f"{what} holds a character that looks like another",
            fix="write it in ASCII letters, digits and marks, or in Han characters",
        )


def _is_plain(letter: str) -> bool:
    if letter.isascii():
        return letter.isprintable()
    return letter == ZERO or unicodedata.name(letter, "").startswith(HAN)


def look(text: str) -> str:
    """Return what two labels have in common that a person takes for one.

    Capitals and small letters are one, so are O, 0 and the Han zero, and I, l, 1 and |;
    a space is nothing.
    """
    return text.casefold().translate(ALIKE).replace(" ", "")
