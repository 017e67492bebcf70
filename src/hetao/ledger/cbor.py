"""CBOR, as much of it as COSE takes, and each value in one spelling only.

What is read comes from strangers: no tag, no float, no length left open, no number
longer than it must be, no key twice, nothing nested deeply. Ours, because a verifier
must need nothing beyond the standard library and `cryptography`, and because the
common library makes patterns, dates and circular lists of what it reads and takes the
second of two equal keys; the tests hold what is written and read to that library.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hetao.errors import Unverified

DEEPEST: Final = 16  # lists and mappings within each other
_PLAIN: Final = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}
_READ: Final = {data[0]: value for value, data in _PLAIN.items()}


def encode(value: Any) -> bytes:
    """Return the deterministic CBOR (RFC 8949 4.2.1) of a value.

    Args:
        value: None, a bool, an int within 64 bits, bytes, text, a list or a mapping of
            these.
    """
    match value:
        case None | bool():
            return _PLAIN[value]
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            data = value.encode()
            return _head(3, len(data)) + data
        case Mapping():
            pairs = sorted((encode(key), encode(item)) for key, item in value.items())
            return _head(5, len(pairs)) + b"".join(k + item for k, item in pairs)
        case Sequence():
            return _head(4, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"no CBOR of a {type(value).__name__}")


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes([kind << 5 | number])
    size = next(i for i in range(4) if number < 1 << 8 * (1 << i))
    return bytes([kind << 5 | 24 + size]) + number.to_bytes(1 << size, "big")


def decode(data: bytes) -> Any:
    """Return the value of the whole of some bytes: what `encode` takes.

    The keys of a mapping are numbers or text, in any order.

    Raises:
        Unverified: the bytes are something else, or a value in another spelling.

    Source:
        RFC 8949. Law: `tests/laws/test_cbor.py`.
    """
    value, end = _item(data, 0, DEEPEST)
    if end != len(data):
        raise Unverified("something stands behind the CBOR")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Return the value that begins at a place, and where it ends."""
    kind, number, at = _start(data, at)
    if kind < 2:
        return (-1 - number if kind else number), at
    if kind < 4:
        end = at + number
        if end > len(data):
            raise Unverified("the CBOR is cut short")
        return (data[at:end] if kind == 2 else _text(data[at:end])), end
    if kind == 7:
        return _READ[data[at - 1]], at
    if not depth:
        raise Unverified("the CBOR is nested too deeply")
    return (_list if kind == 4 else _mapping)(data, at, number, depth - 1)


def _start(data: bytes, at: int) -> tuple[int, int, int]:
    """Return kind, number and end of the head at a place."""
    if at >= len(data):
        raise Unverified("the CBOR is cut short")
    kind, number = data[at] >> 5, data[at] & 31
    if kind == 6 or (kind == 7 and data[at] not in _READ):
        raise Unverified("the CBOR holds a tag, a float or what has no meaning here")
    at += 1
    if number < 24:
        return kind, number, at
    if number > 27:
        raise Unverified("the CBOR leaves a length open")
    size = 1 << number - 24
    if at + size > len(data):
        raise Unverified("the CBOR is cut short")
    long = int.from_bytes(data[at : at + size], "big")
    if long < (24 if size == 1 else 1 << 4 * size):
        raise Unverified("the CBOR writes a number longer than it must be")
    return kind, long, at + size


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unverified("the CBOR holds text that is not UTF-8") from error


def _list(data: bytes, at: int, number: int, depth: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(number):  # no longer than there are bytes: each takes one or more
        item, at = _item(data, at, depth)
        items.append(item)
    return items, at


def _mapping(
    data: bytes, at: int, number: int, depth: int
) -> tuple[dict[int | str, Any], int]:
    found: dict[int | str, Any] = {}
    for _ in range(number):
        key, at = _item(data, at, depth)
        if type(key) not in (int, str) or key in found:
            raise Unverified("the CBOR holds a key twice, or what is none")
        found[key], at = _item(data, at, depth)
    return found, at
