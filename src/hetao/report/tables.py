"""Table 1 and the attrition table, small counts shown as `<k*`.

The star matters: a count may also be hidden although it is large, since it would give
a small one away by subtraction. Which of the two it was, nobody may learn.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetao.report.heads import named, step_named
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    mean_text,
    number_of,
    percent_text,
)
from hetao.report.sentences import Said, say

MISSING = "(missing)"  # level of those whose category is not known
NOT_SHOWN = say("not_shown")


@dataclass(frozen=True)
class Cell:
    """One cell: its text, a smaller note beneath, and whether its count is hidden."""

    text: str
    note: str = ""
    is_hidden: bool = False


@dataclass(frozen=True)
class TableRow:
    """One row: a level of a category, or the one row of a number."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TableGroup:
    """The rows of one variable.

    Attributes:
        form: how its cells read, such as `mean (SD)`.
        smd: the standardised difference as text; `difference` as a number.
    """

    label: str
    form: Said
    rows: tuple[TableRow, ...]
    smd: str
    difference: float | None


@dataclass(frozen=True)
class Step:
    """One step of attrition; `share` of the first count, None where it is not shown."""

    label: str
    n: str
    removed: str
    share: float | None


def table_of(rows: Iterable[Mapping[str, Any]], few: str) -> tuple[TableGroup, ...]:
    """Return the rows of a finding by variable; `few` stands for a hidden count."""
    blocks = itertools.groupby(rows, key=lambda row: str(row.get("variable", "")))
    return tuple(_group(list(block), few) for _, block in blocks)


def _group(rows: Sequence[Mapping[str, Any]], few: str) -> TableGroup:
    first = rows[0]
    counted = all("count" in cell for cell in first.get("by_group", ()))
    difference = number_of(first.get("smd"))
    label = str(first.get("label") or first.get("variable") or "")
    return TableGroup(
        label=label if first.get("variable") else named(label),
        form=say("form_count" if counted else "form_mean"),
        rows=tuple(
            TableRow(
                _level(str(row.get("level", ""))),
                tuple(_cell(cell, few) for cell in row.get("by_group", ())),
            )
            for row in rows
        ),
        smd=fixed_text(difference, 2),
        difference=difference,
    )


def _level(text: str) -> str:
    return say("level_missing") if text == MISSING else text


def _cell(cell: Mapping[str, Any], few: str) -> Cell:
    if "count" not in cell:
        return _number_cell(cell, few)
    if cell["count"] is None:
        return Cell(few, is_hidden=True)
    share = percent_text(cell.get("percent"))
    count = count_text(cell["count"])
    return Cell(count if share == DASH else f"{count} ({share})")


def _number_cell(cell: Mapping[str, Any], few: str) -> Cell:
    n, missing = cell.get("n"), cell.get("missing")
    if n is None and cell.get("mean") is None:
        return Cell(few, is_hidden=True)
    text = mean_text(cell.get("mean"), cell.get("sd"))
    if n is None:
        return Cell(text, say("missing", count=few), is_hidden=True)
    if not missing:
        return Cell(text)
    known = say("known_missing", count=count_text(n), missing=count_text(missing))
    return Cell(text, known)


def steps_of(steps: Iterable[Mapping[str, Any]], few: str) -> tuple[Step, ...]:
    """Return the steps of attrition.

    A hidden count before a shown one is not small, for counts only fall; it is
    hidden since the two lie close together.
    """
    rows = list(steps)
    first = next((n for r in rows if (n := number_of(r.get("n"))) is not None), 0.0)
    found: list[Step] = []
    is_later = False
    for row in reversed(rows):
        n = number_of(row.get("n"))
        is_later |= n is not None
        text = count_text(n) if n is not None else (NOT_SHOWN if is_later else few)
        removed = row.get("removed")
        found.append(
            Step(
                step_named(str(row.get("label", ""))),
                text,
                NOT_SHOWN if removed is None else count_text(removed),
                None if n is None else n / (first or 1.0),
            )
        )
    return tuple(reversed(found))
