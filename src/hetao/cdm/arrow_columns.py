"""Arrow tables, as PostgreSQL and Spark hand them over → columns as plans promise."""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hetao.cdm.engine import Column, Columns, Row, column
from hetao.cdm.plan_types import HUGE, ColumnType, ColumnTypes
from hetao.errors import InvalidData

EXACT = 2**53  # whole numbers up to here are DOUBLEs
MOST_DIGITS = 38
WHOLE = ("bigint", "integer", "smallint", "tinyint", "uinteger", HUGE)
ARROW = {
    **dict.fromkeys(WHOLE, pa.int64()),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "varchar": pa.string(),
}
DTYPES = {
    **dict.fromkeys(WHOLE, "int64"),
    "decimal": "float64",
    "double": "float64",
    "boolean": "bool",
    "date": "datetime64[D]",
    "timestamp": "datetime64[us]",
    "varchar": "object",
}


def typed(table: pa.Table, types: ColumnTypes) -> pa.Table:
    """Return a table with the names and types that a plan has, by position.

    Raises:
        InvalidData: a whole number exceeds 64 bits, or a decimal its type.
    """
    try:
        arrays = [
            _cast(table.column(place), kind)
            for place, kind in enumerate(types.values())
        ]
    except pa.ArrowException as e:
        raise InvalidData(
            "a plan's result exceeds its type", local=str(e)[:400]
        ) from None
    return pa.table(dict(zip(types, arrays, strict=True)))


def columns(table: pa.Table, types: ColumnTypes) -> Columns:
    """Return a typed table's columns as arrays, masked where NULL."""
    return {name: _column(table.column(name), kind) for name, kind in types.items()}


def rows(table: pa.Table) -> list[Row]:
    """Return a typed table's rows as Python values."""
    return list(zip(*(c.to_pylist() for c in table.columns), strict=True))


def arrow_table(columns: Mapping[str, Column]) -> pa.Table:
    """Return arrays of the dtypes that plans give as a table, masked is NULL."""
    return pa.table(
        {
            name: pa.array(
                np.ma.getdata(values),
                mask=np.ma.getmaskarray(values),
                type=_arrow_type(values),
            )
            for name, values in columns.items()
        }
    )


def types_of(columns: Mapping[str, Column]) -> ColumnTypes:
    """Return the types that arrays have as a table's columns."""
    kinds = {
        "int64": "bigint",
        "float64": "double",
        "bool": "boolean",
        "datetime64[D]": "date",
        "datetime64[us]": "timestamp",
        "object": "varchar",
    }
    return {name: ColumnType(kinds[v.dtype.name]) for name, v in columns.items()}


def _arrow_type(values: Column) -> pa.DataType:
    return ARROW[types_of({"": values})[""].kind]


def _cast(values: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray:
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array(
            [chunk.storage for chunk in values.chunks], values.type.storage_type
        )
    target = ARROW.get(kind.kind) or pa.decimal128(kind.digits, kind.scale)
    if pa.types.is_decimal(values.type) and pa.types.is_integer(target):
        return values.cast(pa.decimal128(MOST_DIGITS, 0)).cast(target)
    return values.cast(target)


def _column(values: pa.ChunkedArray, kind: ColumnType) -> Column:
    whole = values.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # an empty one stays in chunks
        whole = pa.concat_arrays(whole.chunks or [pa.array([], whole.type)])
    missing = np.asarray(whole.is_null().to_numpy(zero_copy_only=False))
    if kind.kind == "decimal":
        return column(_nearest(whole, kind), missing, "float64")
    if whole.null_count and kind.kind != "varchar":
        nothing = False if kind.kind == "boolean" else 0
        whole = whole.fill_null(pa.scalar(nothing, whole.type))
    return column(whole.to_numpy(zero_copy_only=False), missing, DTYPES[kind.kind])


def _nearest(values: pa.Array, kind: ColumnType) -> Column:
    """Return the DOUBLE nearest to each decimal, whatever lies where it is NULL."""
    filled = values.fill_null(Decimal(0))
    # A decimal is two little-endian words; the upper only repeats a small one's sign.
    words = np.frombuffer(filled.buffers()[1], dtype="<i8").reshape(-1, 2)
    low, high = words[filled.offset : filled.offset + len(filled)].T
    if np.all((high == low >> 63) & (np.abs(low) <= EXACT)):
        return np.asarray(low / 10.0**kind.scale)
    return np.asarray(pc.cast(pc.cast(filled, pa.string()), pa.float64()))
