"""The content of tables → one digest, the same on every engine."""

import hashlib
from collections.abc import Callable, Mapping

from hetao.cdm.engine import Row
from hetao.cdm.plan import checked_name
from hetao.cdm.plan_types import ColumnTypes
from hetao.errors import InvalidData

FORMAT = b"hetao.content/1\n"
BAND_DIGITS = 3  # rows are hashed in 16^3 bands, so that memory stays bounded


def content_digest(
    ask: Callable[[str], list[Row]], tables: Mapping[str, ColumnTypes]
) -> str:
    """Return `sha256:…` over every row of the tables, in whatever order they stand.

    A row's text is, for each column, `n` where NULL, else its length, a colon and
    itself: two rows share a text only if they are the same. The rows' hashes are
    sorted and hashed in bands by the engine, the bands here. Names and types of the
    columns are part of it.

    Args:
        ask: an engine's `rows`.
        tables: the tables to take, in an order that counts, with their columns.

    Raises:
        InvalidData: a column is a DOUBLE, which has no text of its own.
    """
    whole = hashlib.sha256(FORMAT)
    for name, types in tables.items():
        kinds = ",".join(
            f"{key} {_named(key, kind.duckdb)}" for key, kind in types.items()
        )
        whole.update(f"{name}({kinds})\n".encode())
        for band, digest in ask(_bands(name, types)):
            whole.update(f"{band} {digest}\n".encode("ascii"))
    return "sha256:" + whole.hexdigest()


def _named(column: str, kind: str) -> str:
    if kind == "DOUBLE":
        raise InvalidData(
            f"column {column!r} is a DOUBLE", fix="tables hold numbers as decimals"
        )
    return kind


def _bands(table: str, types: ColumnTypes) -> str:
    cells = " || ".join(_cell(f"CAST({checked_name(key)} AS VARCHAR)") for key in types)
    # S608: the names are checked.
    return f"""
        WITH hashed AS (SELECT sha256({cells}) AS digest FROM {checked_name(table)})
        SELECT substr(digest, 1, {BAND_DIGITS}) AS band,
            sha256(string_agg(digest, '' ORDER BY digest)) AS digest
        FROM hashed GROUP BY substr(digest, 1, {BAND_DIGITS}) ORDER BY band
    """  # noqa: S608


def _cell(text: str) -> str:
    return f"coalesce(CAST(length({text}) AS VARCHAR) || ':' || {text}, 'n')"
