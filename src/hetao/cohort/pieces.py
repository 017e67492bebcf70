"""The covariates of a study as pieces: aggregates over event rows, all in one pass.

A piece is one aggregate of some events in one window. A variable is one piece, a score
one for each of its items. Pieces are worked out together: one scan of each table.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hetao.cohort.entry import in_window
from hetao.cohort.event_rows import (
    CODED,
    KEY,
    SUPPLY,
    UNIT,
    VALUE,
    WHEN,
    Base,
    event_rows,
    listed,
    one_row,
)
from hetao.cohort.people import PEOPLE
from hetao.cohort.wanted import Wanted
from hetao.study import Event

Array = npt.NDArray[Any]
OF_VALUES = ("min", "max", "mean")
OF_ONE_ROW = ("first", "last")
VALUE_ROWS = "hetao_value_rows"


@dataclass(frozen=True)
class Piece:
    """One aggregate.

    Attributes:
        events: which rows.
        days: (from, to) around the index day.
        aggregate: as of a variable.
        coded: take the coded answer, not the number.
        units: concept ids of the unit that numbers must have; None asks for none.
        least: of "any", how many rows.
    """

    events: tuple[Event, ...]
    days: tuple[int, int]
    aggregate: str
    coded: bool = False
    units: tuple[int, ...] | None = None
    least: int = 1


@dataclass
class Pieces:
    """Pieces asked for, and then their arrays, one value a person.

    What counts rows is 0 where there is none; a value is NaN, a coded answer -1.
    """

    wanted: Wanted
    people: int
    asked: list[Piece] = field(default_factory=list)
    other_units: set[Piece] = field(default_factory=set)

    def ask(self, piece: Piece) -> Piece:
        """Have a piece worked out, once however often it is asked."""
        if piece not in self.asked:
            self.asked.append(piece)
        return piece

    def read(self) -> dict[Piece, Array]:
        """Return the array of every piece asked for.

        `other_units` then holds those that met a number in another unit.
        """
        grouped = [p for p in self.asked if p.aggregate not in OF_ONE_ROW]
        single = [p for p in self.asked if p.aggregate in OF_ONE_ROW]
        found: dict[Piece, Array] = {}
        if grouped:
            found |= self._grouped(grouped)
        if single:
            found |= self._single(single)
        return found

    # --- aggregates over all rows ---------------------------------------------------
    def _grouped(self, pieces: list[Piece]) -> dict[Piece, Array]:
        rows = self._rows(pieces)
        columns = [
            column
            for number, piece in enumerate(pieces)
            for column in self._columns(number, piece)
        ]
        found = self.wanted.engine.fetch(
            f"SELECT place, {', '.join(columns)} FROM ({rows}) r GROUP BY place"  # noqa: S608
        )
        return {
            piece: self._array(number, piece, found)
            for number, piece in enumerate(pieces)
        }

    def _rows(self, pieces: list[Piece]) -> str:
        """Return SQL for the rows of all pieces, with what their aggregates read."""
        kinds = {piece.aggregate for piece in pieces}
        extras = [
            *([VALUE] if kinds & {*OF_VALUES, *OF_ONE_ROW} else []),
            *([UNIT] if any(piece.units is not None for piece in pieces) else []),
            *([SUPPLY] if "days_supply" in kinds else []),
            *([CODED] if any(piece.coded for piece in pieces) else []),
            *([WHEN] if kinds & set(OF_ONE_ROW) else []),
            *([KEY] if any(_needs_key(piece) for piece in pieces) else []),
        ]
        windows = [piece.days for piece in pieces]
        span = (min(low for low, _ in windows), max(high for _, high in windows))
        base = Base(PEOPLE, ("place",), "", span)
        events = [event for piece in pieces for event in piece.events]
        return event_rows(self.wanted, events, base, extras)

    def _columns(self, number: int, piece: Piece) -> list[str]:
        within = in_window(self.wanted, piece.events, piece.days)
        name = f"p_{number}"
        made = []
        if piece.aggregate in OF_VALUES:
            within = f"{within} AND {VALUE} IS NOT NULL"
            if piece.units is not None:
                made.append(f"bool_or({self._other_unit(within, piece)}) AS u_{number}")
        match piece.aggregate:
            case "any" if piece.least == 1:
                made.append(f"bool_or({within}) AS {name}")
            case "any" | "count":
                made.append(f"{self._count(within, piece)} AS {name}")
            case "days":
                made.append(
                    f"count(DISTINCT CASE WHEN {within} THEN days END) AS {name}"
                )
            case "days_since_first":
                made.append(f"min(CASE WHEN {within} THEN days END) AS {name}")
            case "days_since_last":
                made.append(f"max(CASE WHEN {within} THEN days END) AS {name}")
            case "days_supply":
                made.append(f"sum(CASE WHEN {within} THEN {SUPPLY} END) AS {name}")
            case "mean":
                made.append(f"avg(CASE WHEN {within} THEN {VALUE} END) AS {name}")
            case kind:
                made.append(f"{kind}(CASE WHEN {within} THEN {VALUE} END) AS {name}")
        return made

    def _count(self, within: str, piece: Piece) -> str:
        if len(piece.events) == 1:
            return f"count(CASE WHEN {within} THEN 1 END)"
        row = one_row(self.wanted, piece.events)  # one that is two events counts once
        return f"count(DISTINCT CASE WHEN {within} THEN {row} END)"

    def _other_unit(self, within: str, piece: Piece) -> str:
        units = listed(piece.units or ())
        return f"{within} AND NOT coalesce({UNIT} IN ({units}), FALSE)"

    def _array(self, number: int, piece: Piece, found: dict[str, Array]) -> Array:
        place, values = found["place"], found[f"p_{number}"]
        if f"u_{number}" in found and bool(
            np.ma.filled(found[f"u_{number}"], False).any()
        ):
            self.other_units.add(piece)
        if piece.aggregate == "any":
            made = np.zeros(self.people, dtype=np.int64)
            known = np.ma.filled(values, False)
            made[place] = known if known.dtype == bool else known >= piece.least
            return made
        if piece.aggregate in ("count", "days"):
            return _scattered(self.people, place, values, 0.0)
        if piece.aggregate in ("days_since_first", "days_since_last"):
            return 0.0 - _scattered(self.people, place, values, np.nan)
        if piece.aggregate == "days_supply":
            return _scattered(self.people, place, np.ma.filled(values, 0), 0.0)
        return _scattered(self.people, place, values, np.nan)

    # --- one row of many --------------------------------------------------------------
    def _single(self, pieces: list[Piece]) -> dict[Piece, Array]:
        """Work out first and last values: a total order picks one row."""
        engine = self.wanted.engine
        engine.make(VALUE_ROWS, self._rows(pieces))
        found = {piece: self._one_row(piece) for piece in pieces}
        engine.drop(VALUE_ROWS)
        return found

    def _one_row(self, piece: Piece) -> Array:
        within = in_window(self.wanted, piece.events, piece.days)
        value = CODED if piece.coded else VALUE
        usable = f"coalesce({CODED}, 0) <> 0" if piece.coded else f"{VALUE} IS NOT NULL"
        up = piece.aggregate == "first"
        order = (
            f"event_day, {WHEN} NULLS FIRST, {KEY}"
            if up
            else f"event_day DESC, {WHEN} DESC NULLS LAST, {KEY} DESC"
        )
        unit = "FALSE"
        if piece.units is not None and not piece.coded:
            units = listed(piece.units)
            unit = f"NOT coalesce({UNIT} IN ({units}), FALSE)"
        found = self.wanted.engine.fetch(
            f"SELECT place, {value} AS chosen, {unit} AS other FROM {VALUE_ROWS} "  # noqa: S608
            f"WHERE {within} AND {usable} QUALIFY row_number() OVER "
            f"(PARTITION BY place ORDER BY {order}) = 1"
        )
        if bool(found["other"].any()):
            self.other_units.add(piece)
        if piece.coded:
            made = np.full(self.people, -1, dtype=np.int64)
            made[found["place"]] = found["chosen"]
            return made
        return _scattered(self.people, found["place"], found["chosen"], np.nan)


def _needs_key(piece: Piece) -> bool:
    """Say whether rows must be told apart: to pick one, or to count none twice."""
    return piece.aggregate in OF_ONE_ROW or len(piece.events) > 1


def _scattered(people: int, place: Array, values: Array, otherwise: float) -> Array:
    """Return one float a person: a value where there is one, else `otherwise`."""
    made = np.full(people, otherwise)
    made[place] = np.ma.filled(values.astype(np.float64), otherwise)
    return made
