"""What is inside an envelope: a JSON object and named arrays, never pickled.

    length (4 bytes, big-endian) | canonical JSON {"meta", "arrays"} | raw bytes

Each array is listed by name, dtype and shape; its bytes follow in that order,
little-endian, C order.
"""

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.canonical import canonical, parse_canonical
from hetao.errors import BadEnvelope, NotCanonical

DTYPES: Final = ("<f8", "<u8", "<i8")
MOST_DIMENSIONS: Final = 4

Arrays = Mapping[str, NDArray[Any]]


def pack(meta: Mapping[str, Any], arrays: Arrays | None = None) -> bytes:
    """Return the bytes of a JSON object and arrays of float64, int64 or uint64."""
    plain = {name: _little(array) for name, array in (arrays or {}).items()}
    listing = [
        {"name": name, "dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in plain.items()
    ]
    head = canonical({"meta": meta, "arrays": listing})
    body = b"".join(array.tobytes() for array in plain.values())
    return struct.pack(">I", len(head)) + head + body


def _little(array: NDArray[Any]) -> NDArray[Any]:
    kept = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if kept.dtype.str not in DTYPES:
        raise BadEnvelope(f"arrays of type {kept.dtype} do not travel")
    return kept.reshape(array.shape)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the JSON object and the arrays of `pack`.

    Raises:
        BadEnvelope: the bytes are anything else.
    """
    if len(data) < 4:
        raise BadEnvelope("a message is cut short")
    (length,) = struct.unpack(">I", data[:4])
    try:
        head = parse_canonical(data[4 : 4 + length])
    except NotCanonical as error:
        raise BadEnvelope("a message's head is not canonical JSON") from error
    match head:
        case {"meta": dict(meta), "arrays": list(listing)}:
            return meta, _arrays(listing, memoryview(data)[4 + length :])
    raise BadEnvelope("a message's head is malformed")


def _arrays(listing: list[Any], body: memoryview) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for row in listing:
        name, dtype, shape = _row(row)
        size = 8 * math.prod(shape)
        if name in arrays or at + size > len(body):
            raise BadEnvelope("a message's arrays are cut short or named twice")
        # Beside a side of 0 the others could be larger than numpy can hold.
        if math.prod(max(side, 1) for side in shape) > 2**40:
            raise BadEnvelope("a message lists an array that is too large")
        flat = np.frombuffer(body[at : at + size], dtype=dtype)
        arrays[name] = flat.reshape(shape)
        at += size
    if at != len(body):
        raise BadEnvelope("a message is longer than its arrays")
    return arrays


def _row(row: object) -> tuple[str, str, tuple[int, ...]]:
    match row:
        case {"name": str(name), "dtype": str(dtype), "shape": list(shape)} if (
            dtype in DTYPES
            and len(shape) <= MOST_DIMENSIONS
            and all(type(side) is int and 0 <= side < 2**32 for side in shape)
        ):
            return name, dtype, tuple(shape)
    raise BadEnvelope("a message lists an array that is malformed")
