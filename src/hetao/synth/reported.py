"""Laboratory values as they are reported: unit, decimals, and what is wrong."""

from decimal import Decimal

from hetao.dictionary import Analyte, dictionary, unit_text
from hetao.synth.here import Here

# What else the same analyte is reported in, now and then, and said so.
OTHER = {
    "hba1c": ("%", "mmol/mol"),
    "glucose_fasting": ("mg/dL",),
    "creatinine": ("mg/dL",),
    "cholesterol_ldl": ("mg/dL",),
    "haemoglobin": ("g/dL", "g/L"),
}
# A mislabelled value of these can be told from a true one: the factor is ten or more.
TELLING = ("glucose_fasting", "creatinine", "cholesterol_ldl", "haemoglobin")
DECIMALS = {
    ("hba1c", "%"): 1,
    ("hba1c", "mmol/mol"): 0,
    ("glucose_fasting", "mg/dL"): 0,
    ("creatinine", "mg/dL"): 2,
    ("cholesterol_ldl", "mg/dL"): 0,
    ("haemoglobin", "g/dL"): 1,
    ("haemoglobin", "g/L"): 0,
}
FAULTS = (
    "lost_value",
    "unreadable_value",
    "zero_for_missing",
    "unit_mislabelled",
    "unknown_unit",
    "censored_value",
    "unit_of_other_side",
)
UNKNOWN = "arb.u"
SPOILT = "HAEMOLYSED"


def reported(here: Here, side: str, without: tuple[str, ...] = ()) -> None:
    """Make the table `reported`: a row for each laboratory value of a site.

    Columns: those of `lab`, then `fault` (one of `FAULTS` or NULL; a row has at most
    one), `shown`, `unit` and `ucum` as the report has them, `expected` (what `shown`
    and `unit` say, in the analyte's canonical unit) and `tolerance` (half of its last
    digit, in the canonical unit).

    Args:
        here: the site's part of the population.
        side: "HK" or "SZ": whose units.
        without: faults that the source's form cannot carry.
    """
    rows = [_units(row, side) for row in _labs(here)]
    here.connection.execute(
        "CREATE OR REPLACE TEMP TABLE lab_unit (analyte VARCHAR, telling BOOLEAN, "
        "no_zero BOOLEAN, "
        "unit VARCHAR, ucum VARCHAR, a DECIMAL(14,9), b DECIMAL(14,9), "
        "digits INTEGER, other VARCHAR, other_ucum VARCHAR, other_a DECIMAL(14,9), "
        "other_b DECIMAL(14,9), other_digits INTEGER)"
    )
    here.connection.executemany(
        f"INSERT INTO lab_unit VALUES ({', '.join('?' * 13)})",
        rows,
    )
    here.connection.execute(_query(here, without))
    here.connection.execute(
        "INSERT INTO fault SELECT fault, 'lab', lab_no FROM reported "
        "WHERE fault IS NOT NULL"
    )


def _labs(here: Here) -> list[tuple[str, str, str]]:
    rows = here.connection.execute("SELECT name, unit_hk, unit_sz FROM code_labs")
    return [(str(name), hk or "", sz or "") for name, hk, sz in rows.fetchall()]


def _units(row: tuple[str, str, str], side: str) -> list[object]:
    name, unit_hk, unit_sz = row
    analyte = dictionary().analytes[name]
    unit = unit_hk if side == "HK" else unit_sz
    mine = _affine(analyte, unit)
    others = [u for u in OTHER.get(name, ()) if unit_text(u) != unit_text(unit)]
    other = others[0] if others else None
    theirs = _affine(analyte, other) if other else (None,) * 4
    return [name, name in TELLING, analyte.zero_impossible, unit, *mine, other, *theirs]


def _affine(analyte: Analyte, unit: str) -> tuple[str, Decimal, Decimal, int]:
    """Return UCUM code, a and b of `canonical = a * x + b`, and decimals shown."""
    code = analyte.spellings[unit_text(unit)] if unit else analyte.unit
    a, b = analyte.units[code]
    return code, a, b, DECIMALS.get((analyte.name, unit), analyte.decimals)


def _query(here: Here, without: tuple[str, ...]) -> str:
    cases = " ".join(
        f"WHEN {here.hits(fault, 'lab_no')}{_possible(fault)} THEN '{fault}'"
        for fault in FAULTS
        if fault not in without
    )
    return f"""
        CREATE OR REPLACE TEMP TABLE reported AS
        WITH hit AS (
            SELECT here_lab.*, lab_unit.* EXCLUDE (analyte), CASE {cases} END AS fault
            FROM here_lab JOIN lab_unit USING (analyte)
        ),
        scaled AS (
            SELECT *, coalesce(
                    fault IN ('unit_of_other_side', 'unit_mislabelled'), false
                ) AS elsewhere,
                CASE WHEN elsewhere THEN round(
                    ((value - other_b) / other_a)::DOUBLE, other_digits)
                ELSE round(((value - b) / a)::DOUBLE, digits) END AS number,
                CASE WHEN elsewhere THEN other_digits ELSE digits END AS shown_digits,
                CASE fault WHEN 'unit_of_other_side' THEN other_a ELSE a END AS shown_a,
                CASE fault WHEN 'unit_of_other_side' THEN other_b ELSE b END AS shown_b
            FROM hit
        ),
        printed AS (
            SELECT *, CASE WHEN shown_digits = 0 THEN number::BIGINT::VARCHAR
                ELSE printf('%.' || shown_digits || 'f', number) END AS digits_shown
            FROM scaled
        )
        SELECT lab_no, visit_no, person_no, site, taken_at, analyte, value, fault,
            CASE fault WHEN 'lost_value' THEN NULL
                WHEN 'unreadable_value' THEN '{SPOILT}'
                WHEN 'zero_for_missing' THEN '0'
                WHEN 'censored_value' THEN '<' || digits_shown
                ELSE digits_shown END AS shown,
            CASE fault WHEN 'unit_of_other_side' THEN other
                WHEN 'unknown_unit' THEN '{UNKNOWN}'
                ELSE unit END AS unit,
            CASE fault WHEN 'unit_of_other_side' THEN other_ucum
                WHEN 'unknown_unit' THEN NULL ELSE ucum END AS ucum,
            (shown_a::DECIMAL(19,9) * number::DECIMAL(18,4)
                + shown_b::DECIMAL(19,9))::DECIMAL(18,6) AS expected,
            shown_a::DOUBLE * 0.5 * pow(10, -shown_digits) AS tolerance
        FROM printed
    """


def _possible(fault: str) -> str:
    return {
        "unit_mislabelled": " AND telling",
        "zero_for_missing": " AND no_zero",
        "unit_of_other_side": " AND other IS NOT NULL",
    }.get(fault, "")
