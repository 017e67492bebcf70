"""The analytes as a relation, so that curation converts with one join."""

from hetao.dictionary.model import Dictionary

COLUMNS = (
    "analyte",
    "spelling",
    "unit",
    "unit_concept_id",
    "a",
    "b",
    "low",
    "high",
    "zero_impossible",
)
# Wider than 18 digits, or the engine multiplies in 64 bits and overflows.
_FACTOR, _NUMBER = "DECIMAL(28,9)", "DECIMAL(18,6)"


def conversion_sql(dictionary: Dictionary) -> str:
    """Return a SELECT (DuckDB) with one row for each analyte and spelling of a unit.

    Columns: `analyte`, `spelling` (in the normal form of `unit_text_sql`), `unit` and
    `unit_concept_id` (the analyte's canonical unit), `a` and `b` (canonical value =
    `a * x + b`), `low` and `high` (plausible, in the canonical unit), and
    `zero_impossible`. With `x` a DECIMAL(18,6),
    `TRY_CAST(a * x + b AS DECIMAL(18,6))` is exactly `Analyte.convert`, and NULL where
    that does not fit.
    """
    rows = ",\n".join(
        _row(dictionary, name, spelling, code)
        for name, analyte in dictionary.analytes.items()
        for spelling, code in analyte.spellings.items()
    )
    return f"SELECT * FROM (VALUES\n{rows}\n) AS conversion({', '.join(COLUMNS)})"  # noqa: S608


def _row(dictionary: Dictionary, name: str, spelling: str, code: str) -> str:
    analyte = dictionary.analytes[name]
    a, b = analyte.units[code]
    low, high = analyte.plausible
    cells = (
        _text(name),
        _text(spelling),
        _text(analyte.unit),
        str(dictionary.units[analyte.unit].concept_id),
        f"CAST('{a}' AS {_FACTOR})",
        f"CAST('{b}' AS {_FACTOR})",
        f"CAST('{low}' AS {_NUMBER})",
        f"CAST('{high}' AS {_NUMBER})",
        str(analyte.zero_impossible).upper(),
    )
    return f"({', '.join(cells)})"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
