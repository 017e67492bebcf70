"""What changed since the last snapshot: rows, old months, unmapped codes, medians."""

import datetime

from hetao.cdm.quality.check import Check, Statistics, checked

CLOSED_DAYS = 180  # after which a month should not change any more
FEWEST = 100  # results under which a median says nothing
PARTS = 10_000  # a share in whole parts, as a check counts


def check_drift(now: Statistics, before: Statistics, day: datetime.date) -> list[Check]:
    """Return the checks of one snapshot's statistics against those before it."""
    return [
        *_rows(now, before),
        *_months(now, before, day),
        *_unmapped(now, before),
        *_medians(now, before),
    ]


def _rows(now: Statistics, before: Statistics) -> list[Check]:
    return [
        checked(
            "drift-rows",
            table,
            (max(0, rows - now.rows.get(table, 0)), rows),
            detail=f"{rows:,} → {now.rows.get(table, 0):,}",
        )
        for table, rows in before.rows.items()
    ]


def _months(now: Statistics, before: Statistics, day: datetime.date) -> list[Check]:
    closed = (day - datetime.timedelta(days=CLOSED_DAYS)).isoformat()[:7]
    checks = []
    for table, counts in before.months.items():
        found = now.months.get(table, {})
        months = [m for m in counts if m < closed]
        moved = {m: abs(counts[m] - found.get(m, 0)) for m in months}
        worst = sorted(moved, key=lambda m: (-moved[m], m))[:3]
        told = ", ".join(
            f"{m}: {counts[m]:,} → {found.get(m, 0):,}" for m in worst if moved[m]
        )
        total = sum(counts[m] for m in months)
        pair = (min(sum(moved.values()), total), total)
        checks.append(checked("drift-months", table, pair, detail=told))
    return checks


def _unmapped(now: Statistics, before: Statistics) -> list[Check]:
    return [
        checked(
            "drift-unmapped",
            place,
            (max(0, round((now.unmapped[place] - share) * PARTS)), PARTS),
            detail=f"{share:.1%} → {now.unmapped[place]:.1%}",
        )
        for place, share in before.unmapped.items()
        if place in now.unmapped
    ]


def _medians(now: Statistics, before: Statistics) -> list[Check]:
    found = {d.analyte: d for d in now.analytes if d.number >= FEWEST}
    checks = []
    for old in before.analytes:
        new = found.get(old.analyte)
        if new is None or old.number < FEWEST:
            continue
        scale = abs(old.median) or 1.0
        moved = min(abs(new.median - old.median) / scale, 1.0)
        detail = f"{old.median:g} → {new.median:g}"
        pair = (round(moved * PARTS), PARTS)
        checks.append(
            checked(
                "drift-medians",
                "measurement.value_as_number",
                pair,
                old.analyte,
                detail,
            )
        )
    return checks
