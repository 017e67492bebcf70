"""The functions that a mapping has beside SQL's own: reading, cleaning, pseudonyms.

Each reading macro turns a text into a value, NULL where it cannot. `shadow` finds the
texts that were there and could not be read, and curation keeps them aside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hetao.cdm.engine_duckdb import Connection, text
from hetao.cdm.pseudonym import pads, pseudonym_sql

EARLIEST_YEAR, LATEST_YEAR = 1850, 2200
SPACES: Final = " \t\r\n\v\f\u00a0\u3000\u200b\ufeff"
WIDE: Final = "".join(chr(0xFF01 + place) for place in range(94))
NARROW: Final = "".join(chr(0x21 + place) for place in range(94))
DATES: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y.%m.%d")
TIMES: Final = tuple(
    f"{day}{mark}{hour}"
    for day in DATES[:2]
    for mark in (" ", "T")
    for hour in ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f")
)


@dataclass(frozen=True)
class Macro:
    """One function of a mapping.

    Attributes:
        bodies: parameter list → SQL of what it gives; one for each number of them.
        reason: why a text is kept aside that it cannot read; "" if it reads none.
        says: what it takes, for an error.
    """

    bodies: Mapping[tuple[str, ...], str]
    reason: str = ""
    says: str = "one text"

    @property
    def arguments(self) -> frozenset[int]:
        """Return the numbers of arguments that it takes."""
        return frozenset(map(len, self.bodies))


def _plausible(day: str) -> str:
    """Return SQL for a day whose year can be meant; 0202 is a slip of the pen."""
    return (
        f"CASE WHEN year({day}) BETWEEN {EARLIEST_YEAR} AND {LATEST_YEAR} "
        f"THEN {day} END"
    )


def _list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(text, values)) + "]"


_DAY = f"try_strptime(x, {_list(DATES)})::DATE"
_TIME = f"try_strptime(x, {_list((*TIMES, *DATES))})"
_PART = "regexp_extract(x, '^([0-9]{4})[-/.]([0-9]{1,2})?[-/.]?$', 1)"
_MONTH = "regexp_extract(x, '^([0-9]{4})[-/.]([0-9]{1,2})?[-/.]?$', 2)"
_COMPLETED = (
    f"TRY_CAST({_PART} || '-' || coalesce(nullif({_MONTH}, ''), '01') || '-01' AS DATE)"
)
_NUMBER = "TRY_CAST(nullif(replace(x, '_', '?'), '') AS DECIMAL(18,6))"
_COMMA = "TRY_CAST(replace(replace(x, '_', '?'), mark, '.') AS DECIMAL(18,6))"


def clean_sql(x: str) -> str:
    """Return SQL for a text as people read it: full-width forms made plain, trimmed.

    A text of ASCII alone, as most are, has as many bytes as letters: it has no
    full-width forms, and to trim it takes a twentieth of the time.
    """
    plain = f"translate({x}, {text(WIDE)}, {text(NARROW)})"
    whole = f"nfc_normalize(trim({plain}, {text(SPACES)}))"
    ascii_spaces = text("".join(filter(str.isascii, SPACES)))
    return (
        f"CASE WHEN strlen({x}) = length({x}) THEN trim({x}, {ascii_spaces}) "
        f"ELSE {whole} END"
    )


MACROS: Final[Mapping[str, Macro]] = {
    "pseudonym": Macro({("x",): ""}),
    "as_date": Macro(
        {
            ("x",): _plausible(_DAY),
            ("x", "form"): _plausible("try_strptime(x, form)::DATE"),
        },
        "not a date",
        "a text, or a text and a format such as '%d.%m.%Y'",
    ),
    "as_datetime": Macro(
        {
            ("x",): _plausible(_TIME),
            ("x", "form"): _plausible("try_strptime(x, form)"),
        },
        "not a date and time",
        "a text, or a text and a format such as '%d.%m.%Y %H:%M'",
    ),
    "partial_date": Macro(
        {("x",): f"coalesce({_plausible(_DAY)}, {_plausible(_COMPLETED)})"},
        "not a date",
    ),
    "as_year": Macro(
        {
            ("x",): f"CASE WHEN TRY_CAST(substr(x, 1, 4) AS INTEGER) BETWEEN "
            f"{EARLIEST_YEAR} AND {LATEST_YEAR} AND "
            "regexp_matches(x, '^[0-9]{4}($|[-/.])') "
            "THEN TRY_CAST(substr(x, 1, 4) AS INTEGER) END"
        },
        "not a year",
    ),
    "as_number": Macro(
        {("x",): _NUMBER, ("x", "mark"): _COMMA},
        "not a number",
        "a text, or a text and its decimal mark",
    ),
    "as_integer": Macro(
        {
            ("x",): "TRY_CAST(CASE WHEN regexp_matches(x, '^[+-]?[0-9]+(\\.0*)?$') "
            "THEN x END AS INTEGER)"
        },
        "not a whole number",
    ),
    "clean": Macro({("x",): clean_sql("x")}),
    "coding": Macro(
        {
            ("x", "uri"): "json_extract_string(list_extract(list_filter("
            "json_extract(x, '$.coding[*]'), "
            "lambda c: json_extract_string(c, '$.system') = uri), 1), '$.code')"
        },
        "",
        "a CodeableConcept and the code system's address",
    ),
}
PARTIAL: Final = "partial date completed"
OF: Final = "\t"  # parts a reason from the source column that it is about
NOTE: Final = "~"  # begins what is to be said of a cell that could be read


def make_macros(connection: Connection, key: bytes, mark: str = ".") -> None:
    """Make the macros in a connection; the key stays in its session variables.

    `mark` is the decimal mark that as_number() reads when it is given none.

    Trusted: whoever could run SQL of their own in this connection could read the key;
    a mapping cannot, because the closed list lacks `getvariable`.
    """
    for name, pad in pads(key).items():
        connection.execute(f"SET VARIABLE hetao_{name} = $pad", {"pad": pad})
    for name, macro in MACROS.items():
        bodies = dict(macro.bodies)
        if name == "pseudonym":
            bodies = {("x",): pseudonym_sql("x")}
        if name == "as_number" and mark != ".":
            bodies[("x",)] = _COMMA.replace("mark", text(mark))
        forms = ", ".join(f"({', '.join(p)}) AS ({b})" for p, b in bodies.items())
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {name} {forms}")


def drop_key(connection: Connection) -> None:
    """Forget the key: what runs later in this connection makes no pseudonyms."""
    for name in pads(b""):
        connection.execute(f"RESET VARIABLE hetao_{name}")


def unreadable_sql(name: str, argument: str, call: str, column: str) -> str:
    """Return SQL for why a macro's text is kept aside, NULL where it is not.

    Args:
        name: of the macro.
        argument: SQL of its first argument.
        call: SQL of the whole call.
        column: the source column that it reads, told behind the reason; "" if it is
            not one alone.
    """
    reason = text(MACROS[name].reason + OF + column)
    missing = f"({argument}) IS NOT NULL AND ({call}) IS NULL"
    partial = ""
    if name == "partial_date":
        partial = (
            f" WHEN ({call}) IS NOT NULL AND as_date({argument}) IS NULL "
            f"THEN {text(NOTE + PARTIAL + OF + column)}"
        )
    return f"CASE WHEN {missing} THEN {reason}{partial} END"
