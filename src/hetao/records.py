"""A table that somebody wrote ⇄ a frozen dataclass, or an error that names the field.

TOML and JSON both come through here, so every file of Hetao refuses unknown fields,
wrong types and missing values in the same words.
"""

import dataclasses
import functools
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, Union

from hetao.canonical import LARGEST_INTEGER
from hetao.errors import HetaoError, InvalidData
from hetao.whole import read_whole

T = TypeVar("T")
Reader = Callable[[Any, str, type[HetaoError]], Any]  # of a value, its place, an error
LARGEST_FILE = 16 * 2**20  # bytes; nobody writes such a file by hand


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: a person would read the one, we the other."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def read_toml(path: Path, error: type[HetaoError]) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InvalidData: the file is missing, too large or not UTF-8.
        Invalid: (of type `error`) the text is not TOML; the line is named.
    """
    try:
        text = read_whole(path, LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InvalidData(
            f"{path.name} is not UTF-8 text", fix="save it again as UTF-8"
        ) from problem
    try:
        return tomllib.loads(text)
    except RecursionError as problem:
        raise error(f"{path.name} is not TOML: nested too deeply") from problem
    except ValueError as problem:  # also of a whole number of thousands of digits
        raise error(f"{path.name} is not TOML: {problem}") from problem


def record(cls: type[T], table: object, where: str, error: type[HetaoError]) -> T:
    """Return `table` as a `cls`, every field checked against its annotation.

    Args:
        cls: a dataclass of str, int, float, bool, tuples, other such dataclasses,
            `dict[str, str]`, and optional ones of these.
        table: what was read.
        where: the place to name in an error, such as `study.toml [minimum]`.
        error: which error to raise.

    Raises:
        Invalid: (of type `error`) a field is unknown, missing or of another type.
    """
    if type(table) is not dict and not isinstance(table, Mapping):
        raise error(f"{where}: expected a table")
    fields = _fields((cls,))
    if not table.keys() <= fields.keys():
        unknown = [key for key in table if key not in fields]
        raise error(
            f"{where}: unknown field {str(unknown[0])[:60]!r}",
            fix="known fields: " + ", ".join(fields),
        )
    for name in _needed((cls,)):
        if name not in table:
            raise error(f"{where}: field {name!r} is missing")
    readers = _readers((cls,))
    return cls(
        **{
            key: value
            if type(value) is str and readers[key] is _text
            else readers[key](value, f"{where}: {key}", error)
            for key, value in table.items()
        }
    )


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as plain JSON values, as `record` reads them.

    Tuples become lists, dataclasses in it tables; nothing is copied that need not be.
    """
    return {
        name: item if type(item := getattr(value, name)) in _KINDS else _plain(item)
        for name in _fields((type(value),))
    }


_KINDS = frozenset((str, int, float, bool, type(None)))


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _KINDS:
        return value
    if kind is tuple or kind is list:
        return [item if type(item) is str else _plain(item) for item in value]
    if dataclasses.is_dataclass(kind):
        return fields_of(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


@functools.cache
def _fields(of: tuple[type[Any]]) -> Mapping[str, "dataclasses.Field[Any]"]:
    return {f.name: f for f in dataclasses.fields(of[0])}


@functools.cache
def _readers(of: tuple[type[Any]]) -> Mapping[str, Reader]:
    """Return what reads each field, worked out once from its annotation."""
    hints = typing.get_type_hints(of[0])
    return {name: _reader(hints[name]) for name in _fields(of)}


@functools.cache
def _needed(of: tuple[type[Any]]) -> tuple[str, ...]:
    return tuple(
        name
        for name, field in _fields(of).items()
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def _reader(hint: Any) -> Reader:
    if hint is str:
        return _text
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is dict:
        return _dict(_reader(arguments[1]))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _record(hint)
    return _one_of((hint,))


def _refusal(
    value: Any, where: str, error: type[HetaoError], expected: str
) -> HetaoError:
    if type(value) is int and abs(value) > LARGEST_INTEGER:
        return error(f"{where}: a whole number lies beyond 2^53-1")
    return error(f"{where}: expected {expected}")


def _text(value: Any, where: str, error: type[HetaoError]) -> Any:
    if type(value) is str:
        return value
    raise _refusal(value, where, error, "text")


def _one_of(kinds: tuple[Any, ...]) -> Reader:
    """Return a reader of plain values; of a float alone, of whole numbers too."""
    expected = " or ".join(map(_plain_name, kinds))

    def read(value: Any, where: str, error: type[HetaoError]) -> Any:
        kind = type(value)
        if kind in kinds or (kind is int and kinds == (float,)):
            if kind is not int:
                return value
            if abs(value) <= LARGEST_INTEGER:
                return float(value) if kinds == (float,) else value
        raise _refusal(value, where, error, expected)

    return read


def _record(cls: type[Any]) -> Reader:
    def read(value: Any, where: str, error: type[HetaoError]) -> Any:
        if type(value) is not dict and not isinstance(value, Mapping):
            raise _refusal(value, where, error, "a table")
        return record(cls, value, where, error)

    return read


def _union(choices: tuple[Any, ...]) -> Reader:
    rest = tuple(choice for choice in choices if choice is not type(None))
    inner = _reader(rest[0]) if len(rest) == 1 else _one_of(rest)
    if len(rest) == len(choices):
        return inner

    def read(value: Any, where: str, error: type[HetaoError]) -> Any:
        return None if value is None else inner(value, where, error)

    return read


def _tuple(arguments: tuple[Any, ...]) -> Reader:
    many = arguments[-1] is Ellipsis
    inner = tuple(_reader(one) for one in arguments if one is not Ellipsis)

    def read(value: Any, where: str, error: type[HetaoError]) -> Any:
        if not isinstance(value, list | tuple):
            raise _refusal(value, where, error, "a list")
        if not many and len(value) != len(inner):
            raise error(f"{where}: expected {len(inner)} items")
        readers = inner * len(value) if many else inner
        return tuple(
            item
            if type(item) is str and reader is _text
            else reader(item, f"{where}, item {at}{_called(item)}", error)
            for at, (reader, item) in enumerate(zip(readers, value, strict=True), 1)
        )

    return read


def _called(item: object) -> str:
    """Return what an author calls an item, where it has a name or a label."""
    if type(item) is not dict and not isinstance(item, Mapping):
        return ""
    name = item.get("name") or item.get("label")
    return f" ({name[:60]!r})" if isinstance(name, str) and name else ""


def _dict(inner: Reader) -> Reader:
    def read(value: Any, where: str, error: type[HetaoError]) -> Any:
        if not isinstance(value, Mapping):
            raise _refusal(value, where, error, "a table")
        return {str(k): inner(v, f"{where}.{k}", error) for k, v in value.items()}

    return read


def _plain_name(hint: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true/false"}
    return names.get(hint, str(getattr(hint, "__name__", hint)))
