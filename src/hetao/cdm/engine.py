"""The one interface through which plans meet tables, whatever database holds them.

A plan is one SQL text in the portable subset of `docs/specs/plans.md`. DuckDB,
PostgreSQL and Spark answer it with the same rows, types and bits.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
Columns = dict[str, Column]
Row = tuple[Any, ...]


class Engine(Protocol):
    """A database that holds one site's curated tables and carries out plans on them.

    Every text handed in is a plan: it is checked and translated before it runs.
    Temporary tables live as long as the engine and are seen by nobody else.

    Attributes:
        name: "duckdb", "postgres" or "spark".
    """

    name: str

    def make(self, name: str, sql: str) -> None:
        """Keep a plan's rows as the temporary table `name`, replacing one of that name.

        The rows are kept, not the plan: later reads give the same rows. The plan may
        read the table that it replaces.

        Raises:
            UnportablePlan: the plan lies outside the subset.
            InvalidData: the tables do not bear it.
        """

    def drop(self, name: str) -> None:
        """Let go of the temporary table `name`, if there is one."""

    def load(self, name: str, columns: Mapping[str, Column]) -> None:
        """Keep arrays as the temporary table `name`, replacing one of that name.

        Args:
            name: the table.
            columns: arrays of one length, of the dtypes that `fetch` gives; NULL where
                a masked array is masked. float64 becomes DOUBLE.
        """

    def fetch(self, sql: str) -> Columns:
        """Return a plan's columns as arrays, in the plan's order of rows.

        Every integer is int64, DECIMAL and DOUBLE are float64 (a decimal becomes the
        nearest one), BOOLEAN is bool, DATE is datetime64[D], TIMESTAMP is
        datetime64[us] and text is object (str). A column with a NULL is a masked
        array; without one, a plain array.

        Raises:
            UnportablePlan: the plan lies outside the subset.
            InvalidData: the tables do not bear it, or an integer exceeds 64 bits.
        """

    def rows(self, sql: str) -> list[Row]:
        """Return a plan's few rows as Python values: decimals stay exact.

        Values are int, Decimal, float, bool, str, date, datetime or None.

        Raises:
            UnportablePlan: the plan lies outside the subset.
            InvalidData: the tables do not bear it.
        """

    def close(self) -> None:
        """Drop what was made, and let go of the database."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""


class ClosesItself:
    """The end of a `with` block closes it."""

    def close(self) -> None:
        """Drop what was made, and let go of the database."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def literal(value: str | float | None) -> str:
    """Return a value as a plan writes it: text quoted, a number as it stands.

    A bool is TRUE or FALSE, and None is NULL.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def column(values: npt.ArrayLike, missing: npt.ArrayLike, dtype: str) -> Column:
    """Return one column in its fetched form: masked only if something is missing.

    Args:
        values: one value a row, anything where it is missing.
        missing: bool, one a row.
        dtype: numpy's name for the column's type.
    """
    gaps = np.asarray(missing, dtype=bool)
    if not gaps.any():
        return np.asarray(values).astype(dtype, copy=False)
    # What lies under the mask is the same on every engine: nothing.
    empty = "" if dtype == "object" else np.zeros(1, dtype=dtype)[0]
    filled = np.where(gaps, np.asarray(empty, dtype=dtype), np.asarray(values))
    return np.ma.MaskedArray(filled.astype(dtype, copy=False), mask=gaps)
