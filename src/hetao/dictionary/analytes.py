"""Analytes: what is measured, in which unit, and how other units become that one.

A conversion is exact decimal arithmetic, `a * x + b`, declared for each analyte and
unit: no library of units can know that 1 mmol/L of glucose is 18.02 mg/dL while that
of cholesterol is 38.67, nor that HbA1c in percent is an affine map of mmol/mol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from hetao.dictionary.units import unit_text
from hetao.errors import InvalidData

SCALE = 6  # decimals that a number keeps: DECIMAL(18,6)
_EXACT = Context(prec=60)
_STEP = Decimal(1).scaleb(-SCALE)


@dataclass(frozen=True)
class Analyte:
    """One analyte.

    Attributes:
        name: how `codes.csv` calls it, such as "cholesterol_total".
        labels: by language: "en", "zh-Hant", "zh-Hans".
        concept_id: OMOP's standard concept, or a local one where none is vouched for.
        loinc: LOINC code; "" for none.
        unit: the canonical UCUM unit.
        decimals: how many a reader is shown.
        plausible: (low, high) in the canonical unit, both included.
        units: UCUM code → (a, b); the canonical value is `a * x + b`.
        spellings: normal text of a unit → its UCUM code, for units of this analyte.
        zero_impossible: a 0 was written where nothing was measured.
    """

    name: str
    labels: Mapping[str, str]
    concept_id: int
    loinc: str
    unit: str
    decimals: int
    plausible: tuple[Decimal, Decimal]
    units: Mapping[str, tuple[Decimal, Decimal]]
    spellings: Mapping[str, str]
    zero_impossible: bool

    def convert(self, value: Decimal, unit: str) -> Decimal:
        """Return a value in the canonical unit, rounded half up to six decimals.

        Args:
            value: the number as the source has it.
            unit: its unit as the source writes it; "" means the canonical one only
                where the site's mapping says so, so it is refused here.

        Raises:
            InvalidData: the analyte is not measured in that unit.
        """
        code = self.spellings.get(unit_text(unit))
        if code is None:
            raise InvalidData(
                f"{self.name}: unit {unit[:40]!r} has no conversion to {self.unit}",
                fix="accepted units: " + ", ".join(self.units),
            )
        a, b = self.units[code]
        exact = _EXACT.add(_EXACT.multiply(a, value), b)
        return exact.quantize(_STEP, rounding=ROUND_HALF_UP, context=_EXACT)
