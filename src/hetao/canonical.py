"""Value → bytes → digest: the only bytes that are hashed or signed.

The bytes are RFC 8785 (JSON Canonicalization Scheme). Our own sixty lines, because a
verifier must need nothing beyond the standard library and `cryptography`; the tests
hold them to the `rfc8785` package and to the vectors of the RFC.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

from hetao.errors import NotCanonical

_quoted = json.encoder.encode_basestring
# Python's own encoder writes RFC 8785 but for some numbers and the order of some keys.
_simple = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":")
).encode
_PLAIN = frozenset({dict, list, tuple})  # what holds values and is looked into
# How UTF-8 begins a character beyond the basic plane: keys of these sort otherwise.
_BEYOND = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
AS_WRITTEN = "take the very file that was written: whole, not reformatted, not a page"
DEEPEST = 100  # how deep a text that is read may be nested: every reader can
LARGEST_INTEGER = 2**53 - 1  # RFC 8785 3.2.2.3: what every JSON reader keeps exactly


def canonical(value: Any) -> bytes:
    """Return the one canonical UTF-8 text of a JSON value.

    Args:
        value: None, bool, int within ±(2^53-1), finite float, str without lone
            surrogates, or a sequence or str-keyed mapping of such values.

    Raises:
        NotCanonical: the value has no canonical form.

    Source:
        RFC 8785. Law: `tests/laws/test_canonical.py`.
    """
    try:
        return _text(value, _awkward(value)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a text holds a lone surrogate") from error
    except RecursionError as error:
        raise NotCanonical("a value is nested too deeply") from error


def digest(value: Any) -> str:
    """Return `sha256:` and the hex digest of the value's canonical bytes."""
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    """Return `sha256:` and the hex digest of these very bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_canonical(data: bytes) -> Any:
    """Return the value of a JSON text that is already in canonical form.

    Raises:
        NotCanonical: the bytes are not JSON, or are not the canonical text of it.
    """
    simple = not any(lead in data for lead in _BEYOND)

    def whole(text: str) -> int | float:
        # JSON has one kind of number, so a large one is a float.
        if len(text) <= 17 and abs(int(text)) <= LARGEST_INTEGER:
            return int(text)
        return broken(text)

    def broken(text: str) -> float:
        nonlocal simple
        number = float(text)
        simple = simple and _is_plain(number)
        return number

    try:
        value = json.loads(
            data, parse_int=whole, parse_float=broken, parse_constant=broken
        )
        text = _simple(value).encode("utf-8") if simple else canonical(value)
        same = text == data
    except (ValueError, RecursionError, OverflowError) as error:
        raise NotCanonical("the text is not JSON in UTF-8", fix=AS_WRITTEN) from error
    if not same:
        raise NotCanonical(
            "the JSON text is not in canonical form (RFC 8785)", fix=AS_WRITTEN
        )
    if data.count(b"[") + data.count(b"{") > DEEPEST and _is_deep(value):
        raise NotCanonical("a value is nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    """Say whether a value is nested deeper than may be, whatever stack is left here."""
    level = [value]
    for _ in range(DEEPEST + 1):
        inner = [one for one in level if type(one) is dict or type(one) is list]
        level = [
            item
            for one in inner
            for item in (one.values() if type(one) is dict else one)
        ]
        if not inner:
            return False
    return True


def _is_plain(number: float) -> bool:
    """Say whether Python writes a float as JavaScript does: with a point alone."""
    written = repr(number)
    return not ("e" in written or "n" in written or written.endswith(".0"))


def _awkward(value: Any) -> set[int]:
    """Return the ids of what `_simple` would not write, and of all that it stands in.

    Every dict, list and tuple of a value is looked into, and no other kind of mapping
    or sequence, which is awkward as a whole.
    """
    found: set[int] = set()
    waiting: list[tuple[Any, Any]] = [(value, None)] if type(value) in _PLAIN else []
    while waiting:
        item, around = waiting.pop()
        is_text = _is_text(item)
        if is_text:
            continue
        here = (id(item), around)
        simple = is_text is None
        for inner in item.values() if type(item) is dict else item:
            if type(inner) in _PLAIN:
                waiting.append((inner, here))
            elif simple and not _is_simple(inner):
                simple = False
        while not simple and here is not None and here[0] not in found:
            found.add(here[0])
            here = here[1]
    return found


def _is_simple(item: Any) -> bool:
    """Say whether `_simple` writes what holds no other values as RFC 8785 has it."""
    kind = type(item)
    if kind is float:
        return _is_plain(item)
    if kind is int:
        return bool(-LARGEST_INTEGER <= item <= LARGEST_INTEGER)
    return kind is str or kind is bool or item is None


def _is_text(value: Any) -> bool | None:
    """Say of a dict, list or tuple whether it is texts and nothing else.

    None: there are others than texts among its items. False: Python would not write
    its keys, or not in their order.
    """
    items = value
    if type(value) is dict:
        try:
            keys = "".join(value)
        except TypeError:
            return False
        if not keys.isascii() and max(keys) > "\uffff":
            return False  # the order of UTF-16 may be another
        items = value.values()
    try:
        "".join(items)
    except TypeError:
        return None
    return True


def _text(value: Any, awkward: Set[int]) -> str:
    """Write a value, of which the `awkward` are known."""
    kind = type(value)
    if kind in _PLAIN:
        if id(value) not in awkward:
            return _simple(value)
        return _object(value, awkward) if kind is dict else _array(value, awkward)
    if kind is str:
        return _quoted(value)
    if kind is float:
        return _number(value)
    if value is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[value]
    return _unusual(value)


def _unusual(value: Any) -> str:
    """Write integers, and what only behaves like one of the plain types."""
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise NotCanonical("an integer lies beyond 2^53-1", fix="write it as text")
        return str(int(value))
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return _number(float(value))  # numpy's own would name their type
    if isinstance(value, Mapping):
        plain: Any = dict(value)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        plain = list(value)
    else:
        kind = type(value).__name__
        raise NotCanonical(f"a value of type {kind} has no canonical form")
    return _text(plain, _awkward(plain))


def _array(value: Sequence[Any], awkward: Set[int]) -> str:
    return "[" + ",".join([_text(item, awkward) for item in value]) + "]"


def _object(value: Mapping[Any, Any], awkward: Set[int]) -> str:
    if not all(isinstance(key, str) for key in value):
        raise NotCanonical("an object key is not text")
    if "".join(value).isascii():
        keys = sorted(value)
    else:
        # RFC 8785 3.2.3 sorts by UTF-16 code units, which differs from code points
        # beyond the basic plane.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    pairs = [_quoted(key) + ":" + _text(value[key], awkward) for key in keys]
    return "{" + ",".join(pairs) + "}"


def _number(value: float) -> str:
    """ECMAScript's Number::toString, from the same shortest digits that repr finds."""
    if not math.isfinite(value):
        raise NotCanonical("NaN and infinity have no canonical form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    padded = whole + fraction
    digits = padded.lstrip("0")
    # where the decimal point stands, counted from the first significant digit
    point = len(whole) + int(exponent or 0) - (len(padded) - len(digits))
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= point <= 21:
        body = digits + "0" * (point - k)
    elif 0 < point <= 21:
        body = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        body = "0." + "0" * -point + digits
    else:
        power = point - 1
        tail = ("." + digits[1:]) if k > 1 else ""
        body = f"{digits[0]}{tail}e{'+' if power >= 0 else '-'}{abs(power)}"
    return sign + body
