"""Checks of measured values: zeros, ranges, units, last digits; and how they lie.

Results are counted once by analyte, unit, year and value; everything after works on
those counts. Medians come from the engine, so that no list of values is ever fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from hetao.cdm.quality.check import Check, Distribution, checked
from hetao.cdm.quality.present import Present
from hetao.dictionary import Analyte, unit_text

COUNTED = "quality_results"
FEWEST = 100  # results under which a distribution says nothing
FEWEST_OF_UNIT = 30
FAR, NEAR = 2.0, 1.35  # ratios of medians: of another world, and of the same
BARS = 24
PLACE = "measurement.value_as_number"
NEEDED = ("measurement_concept_id", "measurement_date", "value_as_number")


@dataclass(frozen=True)
class _Group:
    """The results of one analyte, in one unit as the source wrote it, in one year."""

    unit: str
    year: int
    number: int
    median: float


# S608, here and below: every identifier comes from the dictionary.
def check_results(present: Present) -> tuple[list[Check], tuple[Distribution, ...]]:
    """Return the checks of each analyte that was measured, and its distribution."""
    if not all(present.has(f"measurement.{name}") for name in NEEDED):
        return [], ()
    if not present.filled(PLACE):
        return [], ()
    analytes = {a.concept_id: a for a in present.dictionary.analytes.values()}
    present.engine.make(COUNTED, _counts(present, tuple(analytes)))
    checks = [*_digits(present, analytes), *_units(present, analytes)]
    groups = _groups(present)
    lying = _lying(present)
    for concept, analyte in analytes.items():
        if concept not in lying:
            continue
        values, numbers = lying[concept]
        checks += _ranges(analyte, values, numbers)
        checks.append(_labels(analyte, groups.get(concept, [])))
    shown = tuple(_distribution(analytes[c], *lying[c]) for c in analytes if c in lying)
    return checks, shown


def _counts(present: Present, concepts: tuple[int, ...]) -> str:
    has_unit = present.has("measurement.unit_source_value")
    unit = "coalesce(unit_source_value, '')" if has_unit else "CAST('' AS VARCHAR)"
    return (
        f"SELECT concept, unit, taken, result, count(*) AS number FROM "  # noqa: S608
        f"(SELECT measurement_concept_id AS concept, {unit} AS unit, "
        "year(measurement_date) AS taken, value_as_number AS result FROM measurement "
        "WHERE value_as_number IS NOT NULL AND measurement_date IS NOT NULL "
        f"AND measurement_concept_id IN ({', '.join(map(str, concepts))})) m "
        "GROUP BY concept, unit, taken, result"
    )


def _groups(present: Present) -> dict[int, list[_Group]]:
    """Return the median of each analyte, unit and year: the lower where two meet."""
    rows = present.engine.rows(
        "SELECT concept, unit, taken, total, min(result) AS middle FROM "  # noqa: S608
        "(SELECT concept, unit, taken, result, sum(number) OVER "
        "(PARTITION BY concept, unit, taken ORDER BY result ROWS UNBOUNDED PRECEDING) "
        "AS upto, sum(number) OVER (PARTITION BY concept, unit, taken) AS total "
        f"FROM {COUNTED}) r WHERE upto * 2 >= total "
        "GROUP BY concept, unit, taken, total ORDER BY concept, unit, taken"
    )
    found: dict[int, list[_Group]] = {}
    for concept, unit, year, total, middle in rows:
        group = _Group(str(unit), int(year), int(total), float(middle))
        found.setdefault(int(concept), []).append(group)
    return found


Lying = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def _lying(present: Present) -> dict[int, Lying]:
    """Return each analyte's different values, rising, and how often each occurs."""
    found = present.engine.fetch(
        "SELECT concept, result, CAST(sum(number) AS BIGINT) AS number "  # noqa: S608
        f"FROM {COUNTED} GROUP BY concept, result ORDER BY concept, result"
    )
    if not len(found["concept"]):
        return {}
    concepts, starts = np.unique(found["concept"], return_index=True)
    values = np.split(np.asarray(found["result"]), starts[1:])
    numbers = np.split(np.asarray(found["number"]), starts[1:])
    return {int(c): (v, n) for c, v, n in zip(concepts, values, numbers, strict=True)}


def _ranges(
    analyte: Analyte, values: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]
) -> list[Check]:
    low, high = map(float, analyte.plausible)
    rows = int(numbers.sum())
    under, over = (int(numbers[values < low].sum()), int(numbers[values > high].sum()))
    detail = f"{analyte.plausible[0]}–{analyte.plausible[1]} {analyte.unit}"
    name = analyte.name
    checks = [
        checked("plausibleValueLow", PLACE, (under, rows), name, detail),
        checked("plausibleValueHigh", PLACE, (over, rows), name, detail),
    ]
    if analyte.zero_impossible:
        zeros = int(numbers[values == 0].sum())
        checks.append(checked("zero-as-missing", PLACE, (zeros, rows), name))
    return checks


def _distribution(
    analyte: Analyte, values: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]
) -> Distribution:
    """Draw the middle 98 % of results, so that one stray value does not hide them."""
    upto = np.cumsum(numbers)
    total = int(upto[-1])
    low, median, high = (
        float(values[np.searchsorted(upto, share * total)])
        for share in (0.01, 0.5, 0.99)
    )
    edge = high if high > low else low + 1.0
    bars, _ = np.histogram(values, BARS, (low, edge), weights=numbers)
    return Distribution(
        analyte.name, total, median, low, edge, tuple(int(bar) for bar in bars)
    )


# --- units ----------------------------------------------------------------------------
def _labels(analyte: Analyte, groups: list[_Group]) -> Check:
    """Find units and years whose median would fit only if their unit were another."""
    large = [g for g in groups if g.number >= FEWEST_OF_UNIT]
    suspects = [(g, other) for g in large if (other := _looks_like(analyte, g, large))]
    detail = "; ".join(
        f"{g.unit or '–'} {g.year}: {other}?" for g, other in suspects[:6]
    )
    found = (sum(g.number for g, _ in suspects), sum(g.number for g in large))
    return checked("unit-mislabelled", PLACE, found, analyte.name, detail)


def _looks_like(analyte: Analyte, group: _Group, groups: list[_Group]) -> str:
    """Return the unit that a group's numbers are in by their looks; "" for its own.

    A group is suspected when its median is implausible, or is far from the median of
    the others, while in another unit of the analyte it would be near.
    """
    low, high = map(float, analyte.plausible)
    others = [g for g in groups if g is not group and low <= g.median <= high]
    usual = _middle(others)
    in_range = low <= group.median <= high
    if in_range and (usual is None or _ratio(group.median, usual) < FAR):
        return ""
    label = analyte.spellings.get(unit_text(group.unit), analyte.unit)
    for unit in analyte.units:
        if unit == label:
            continue
        if _fits(_reread(analyte.units, group.median, label, unit), (low, high), usual):
            return unit
    # Far from plausible and like no other unit: still not what its label says.
    return "" if in_range else "?"


def _reread(
    units: Mapping[str, tuple[Decimal, Decimal]], value: float, label: str, unit: str
) -> float:
    """Return a canonical value as it would be, had its number been in another unit."""
    a, b = map(float, units[label])
    c, d = map(float, units[unit])
    return c * (value - b) / a + d


def _fits(value: float, plausible: tuple[float, float], usual: float | None) -> bool:
    if not plausible[0] <= value <= plausible[1]:
        return False
    return usual is None or _ratio(value, usual) < NEAR


def _ratio(one: float, other: float) -> float:
    if min(one, other) <= 0:
        return 1.0 if one == other else np.inf
    return max(one / other, other / one)


def _middle(groups: list[_Group]) -> float | None:
    """Return the median of the groups' medians, each counted by its results."""
    if not groups:
        return None
    rising = sorted(groups, key=lambda g: g.median)
    upto = np.cumsum([g.number for g in rising])
    return rising[int(np.searchsorted(upto, upto[-1] / 2))].median


def _units(present: Present, analytes: Mapping[int, Analyte]) -> list[Check]:
    if not present.has("measurement.unit_concept_id"):
        return []
    rows = present.engine.rows(
        "SELECT measurement_concept_id AS concept, unit_concept_id AS unit, "  # noqa: S608
        "count(*) AS number FROM measurement WHERE value_as_number IS NOT NULL AND "
        f"measurement_concept_id IN ({', '.join(map(str, analytes))}) "
        "GROUP BY measurement_concept_id, unit_concept_id ORDER BY 1, 2"
    )
    ids = {code: unit.concept_id for code, unit in present.dictionary.units.items()}
    found: dict[int, list[int]] = {}
    for concept, unit, number in rows:
        counts = found.setdefault(int(concept), [0, 0])
        allowed = {ids[code] for code in analytes[int(concept)].units}
        counts[0] += 0 if unit in allowed else int(number)
        counts[1] += int(number)
    place = "measurement.unit_concept_id"
    return [
        checked(
            "plausibleUnitConceptIds",
            place,
            (violated, number),
            analytes[concept].name,
            ", ".join(analytes[concept].units),
        )
        for concept, (violated, number) in found.items()
    ]


# --- last digits ----------------------------------------------------------------------
def _digits(present: Present, analytes: Mapping[int, Analyte]) -> list[Check]:
    """Count results that would have to change for ten digits to be equally common."""
    if not present.has("measurement.value_source_value"):
        return []
    last = " ".join(f"WHEN written LIKE '%{d}' THEN {d}" for d in range(10))
    rows = present.engine.rows(
        "SELECT concept, digit, count(*) AS number FROM "  # noqa: S608
        f"(SELECT concept, CASE {last} ELSE -1 END AS digit FROM "
        "(SELECT measurement_concept_id AS concept, trim(value_source_value) "
        "AS written FROM measurement "
        "WHERE value_as_number IS NOT NULL AND value_source_value IS NOT NULL AND "
        f"measurement_concept_id IN ({', '.join(map(str, analytes))})) w) m "
        "WHERE digit >= 0 GROUP BY concept, digit ORDER BY concept, digit"
    )
    found: dict[int, npt.NDArray[np.float64]] = {}
    for concept, digit, number in rows:
        found.setdefault(int(concept), np.zeros(10))[int(digit)] = number
    checks = []
    for concept, numbers in found.items():
        total = int(numbers.sum())
        if total < FEWEST or (
            analytes[concept].decimals == 0 and _is_score(analytes[concept])
        ):
            continue
        excess = int(np.clip(numbers - total / 10, 0, None).sum())
        worst = ", ".join(str(d) for d in np.argsort(-numbers)[:2])
        checks.append(
            checked(
                "digit-preference",
                "measurement.value_source_value",
                (excess, total),
                analytes[concept].name,
                worst,
            )
        )
    return checks


def _is_score(analyte: Analyte) -> bool:
    """A score of a few steps has no last digit to prefer."""
    low, high = analyte.plausible
    return high - low < 20 or analyte.unit == "{score}"
