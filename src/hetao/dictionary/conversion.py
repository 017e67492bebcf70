"""The analytes as a relation, so that curation converts with one join."""

from hetao.dictionary.model import Dictionary

# Wider than 18 digits, or the engine multiplies in 64 bits and overflows.
_FACTOR, _NUMBER = "DECIMAL(28,9)", "DECIMAL(18,6)"
SEPARATOR = chr(31)  # in no name, spelling or number
COLUMNS = {
    "analyte": "VARCHAR",
    "spelling": "VARCHAR",
    "unit": "VARCHAR",
    "unit_concept_id": "BIGINT",
    "a": _FACTOR,
    "b": _FACTOR,
    "low": _NUMBER,
    "high": _NUMBER,
    "zero_impossible": "BOOLEAN",
}


def conversion_sql(dictionary: Dictionary) -> str:
    """Return a SELECT (DuckDB) with one row for each analyte and spelling of a unit.

    Columns: `analyte`, `spelling` (in the normal form of `unit_text_sql`), `unit` and
    `unit_concept_id` (the analyte's canonical unit), `a` and `b` (canonical value =
    `a * x + b`), `low` and `high` (plausible, in the canonical unit), and
    `zero_impossible`. With `x` a DECIMAL(18,6),
    `TRY_CAST(a * x + b AS DECIMAL(18,6))` is exactly `Analyte.convert`, and NULL where
    that does not fit.
    """
    rows = [
        _row(dictionary, name, spelling, code)
        for name, analyte in dictionary.analytes.items()
        for spelling, code in analyte.spellings.items()
    ]
    # One text a column: the engine would plan each cell, if it were a literal.
    lists = ", ".join(
        f"unnest(string_split({_text(SEPARATOR.join(cells))}, chr(31))) AS {name}"
        for name, cells in zip(COLUMNS, zip(*rows, strict=True), strict=True)
    )
    typed = ", ".join(
        f"CAST({name} AS {kind}) AS {name}" for name, kind in COLUMNS.items()
    )
    return f"SELECT {typed} FROM (SELECT {lists})"  # noqa: S608


def _row(
    dictionary: Dictionary, name: str, spelling: str, code: str
) -> tuple[str, ...]:
    analyte = dictionary.analytes[name]
    a, b = analyte.units[code]
    low, high = analyte.plausible
    return (
        name,
        spelling,
        analyte.unit,
        str(dictionary.units[analyte.unit].concept_id),
        str(a),
        str(b),
        str(low),
        str(high),
        str(analyte.zero_impossible),
    )


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
