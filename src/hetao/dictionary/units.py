"""The text of a unit, in the one form that is compared; and what each unit is.

Python and SQL do the same four steps, so that curation needs no call back into Python:
drop blanks, fold characters, lower ASCII letters, write powers of ten one way.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """One unit: its UCUM code, OMOP's concept, and how people write it.

    `spellings` are in the normal form of `unit_text`.
    """

    code: str
    concept_id: int
    name: str
    spellings: tuple[str, ...]


_BLANKS = " \t\r\n\v\f\u00a0\u3000\u200b\ufeff"
_WIDE = {chr(0xFF01 + k): chr(0x21 + k) for k in range(94)}
_FOLDS = {
    **_WIDE,
    "µ": "u",
    "μ": "u",
    "×": "x",
    "²": "2",
    "³": "3",
    **dict(zip("⁰¹⁴⁵⁶⁷⁸⁹", "01456789", strict=True)),
    "∕": "/",
    "⁄": "/",
    "·": ".",
    "˚": "°",
    "º": "°",
}
_LOWER = {chr(k): chr(k + 32) for k in range(ord("A"), ord("Z") + 1)}
# A wide capital letter folds and is lowered in one go.
_FROM = "".join({**_FOLDS, **_LOWER})
_TO = "".join(_LOWER.get(to, to) for to in {**_FOLDS, **_LOWER}.values())
_TABLE = str.maketrans(_FROM, _TO, _BLANKS)
_POWER = r"^(?:[x*]?10(?:\^|\*\*|\*|e\+?)?|[x*]?e\+?)(3|6|9|12)/"


def unit_text(text: str) -> str:
    """Return the text of a unit without differences that mean nothing.

    Blanks go; full-width characters, superscripts and both micro signs become plain
    ones; letters are lowered; `x10^9/L`, `10e9/L`, `E9/L` and `10*9/L` become
    `10*9/l`.
    """
    folded = text.translate(_TABLE).replace("℃", "°c").replace("℉", "°f")
    return re.sub(_POWER, r"10*\1/", folded)


def unit_text_sql(expression: str) -> str:
    """Return the SQL expression (DuckDB) that does what `unit_text` does."""
    start, to = _FROM + _BLANKS, _TO
    folded = f"translate({expression}, {_quoted(start)}, {_quoted(to)})"
    folded = f"replace(replace({folded}, '℃', '°c'), '℉', '°f')"
    return rf"regexp_replace({folded}, {_quoted(_POWER)}, '10*\1/')"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
