"""Names of columns that cannot keep their own in a study, and back again."""

import re
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import Final

from hetao.notebook.asking import IDENTIFIER
from hetao.study.model import SITE
from hetao.study.terms import PI

# A quote that opens after a letter is an apostrophe, as in `patient's age`.
QUOTED: Final = re.compile(r"""(`[^`]*`|(?<!\w)"[^"]*"|(?<!\w)'[^']*')""")
LEVEL: Final = re.compile(r"(\[[^\]]*\])")


def aliases_of(columns: Sequence[str], of_sites: str) -> dict[str, str]:
    """Return our name → the file's, for columns that cannot keep their own.

    Those are no plain identifiers, or are called `site` and are not what tells the
    sites apart: in a study that name is the site itself.

    Args:
        columns: of the files.
        of_sites: the column that tells sites apart; "" for none.
    """
    names: dict[str, str] = {}
    for column in columns:
        other = column == SITE != of_sites
        odd = column == PI or iskeyword(column)
        if other or odd or not IDENTIFIER.fullmatch(column):
            plain = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_")
            plain = plain if IDENTIFIER.fullmatch(plain) else f"column_{len(names)}"
            while plain in names or plain in columns:
                plain += "_"
            names[plain] = column
    return names


def with_aliases(text: str, names: Mapping[str, str]) -> str:
    """Return a formula or a rule with our names for the file's columns.

    What stands in quotes is a level and stays as it is; in backticks, a column's name.
    """
    return "".join(_part(part, names) for part in QUOTED.split(text))


def _part(text: str, names: Mapping[str, str]) -> str:
    if text[:1] in {'"', "'"} and text[-1:] == text[:1] and len(text) > 1:
        return text
    if text.startswith("`") and text.endswith("`") and len(text) > 1:
        ours = {theirs: name for name, theirs in names.items()}
        return ours.get(text[1:-1], text[1:-1])
    for ours_, theirs in sorted(names.items(), key=lambda one: -len(one[1])):
        text = re.sub(rf"(?<![\w.]){re.escape(theirs)}(?![\w.])", ours_, text)
    return text


def original(text: str, names: Mapping[str, str]) -> str:
    """Return a term's name with the file's own columns; levels, in [], stay."""
    parts = LEVEL.split(text)
    for place in range(0, len(parts), 2):
        for ours, theirs in names.items():
            own = theirs.replace("\\", r"\\")
            parts[place] = re.sub(rf"\b{re.escape(ours)}\b", own, parts[place])
    return "".join(parts)
