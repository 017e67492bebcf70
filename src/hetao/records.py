"""A table that somebody wrote ⇄ a frozen dataclass, or an error that names the field.

TOML and JSON both come through here, so every file of Hetao refuses unknown fields,
wrong types and missing values in the same words.
"""

import dataclasses
import functools
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union

from hetao.canonical import LARGEST_INTEGER
from hetao.errors import HetaoError, InvalidData

T = TypeVar("T")
LARGEST_FILE = 16 * 2**20  # bytes; nobody writes such a file by hand


def read_toml(path: Path, error: type[HetaoError]) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InvalidData: the file is missing, too large or not UTF-8.
        Invalid: (of type `error`) the text is not TOML; the line is named.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidData(f"{path.name} is larger than {LARGEST_FILE >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise InvalidData(
            f"{path} cannot be read: {problem.strerror}", fix="check the path"
        ) from problem
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
    if not isinstance(table, Mapping):
        raise error(f"{where}: expected a table")
    fields = _fields((cls,))
    unknown = [key for key in table if key not in fields]
    if unknown:
        raise error(
            f"{where}: unknown field {str(unknown[0])[:60]!r}",
            fix="known fields: " + ", ".join(fields),
        )
    missing = [name for name, f in fields.items() if _required(f) and name not in table]
    if missing:
        raise error(f"{where}: field {missing[0]!r} is missing")
    hints = _hints((cls,))
    values = {
        key: value
        if type(value) is str and hints[key] is str
        else _value(hints[key], value, f"{where}: {key}", error)
        for key, value in table.items()
    }
    return cls(**values)


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as plain JSON values, as `record` reads them.

    Tuples become lists, dataclasses in it tables; nothing is copied that need not be.
    """
    return {name: _plain(getattr(value, name)) for name in _fields((type(value),))}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if kind is tuple or kind is list:
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return fields_of(value) if dataclasses.is_dataclass(value) else value


@functools.cache
def _fields(of: tuple[type[Any]]) -> Mapping[str, "dataclasses.Field[Any]"]:
    return {f.name: f for f in dataclasses.fields(of[0])}


@functools.cache
def _hints(of: tuple[type[Any]]) -> Mapping[str, Any]:
    return typing.get_type_hints(of[0])


def _required(field: "dataclasses.Field[Any]") -> bool:
    return (
        field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def _value(hint: Any, value: Any, where: str, error: type[HetaoError]) -> Any:
    if type(value) is int and abs(value) > LARGEST_INTEGER:
        raise error(f"{where}: a whole number lies beyond 2^53-1")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, value, where, error)
    if origin is tuple:
        return _tuple(arguments, value, where, error)
    if origin is dict:
        return _dict(arguments, value, where, error)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return record(hint, value, where, error)
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is hint:
        return value
    raise error(f"{where}: expected {_plain_name(hint)}")


def _union(
    choices: tuple[Any, ...], value: Any, where: str, error: type[HetaoError]
) -> Any:
    if value is None and type(None) in choices:
        return None
    rest = [choice for choice in choices if choice is not type(None)]
    if len(rest) == 1:
        return _value(rest[0], value, where, error)
    for choice in rest:
        if type(value) is choice:
            return value
    raise error(f"{where}: expected " + " or ".join(map(_plain_name, rest)))


def _tuple(
    arguments: tuple[Any, ...], value: Any, where: str, error: type[HetaoError]
) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise error(f"{where}: expected a list")
    if arguments[-1] is Ellipsis:
        hints = [arguments[0]] * len(value)
    elif len(value) == len(arguments):
        hints = list(arguments)
    else:
        raise error(f"{where}: expected {len(arguments)} items")
    items = enumerate(zip(hints, value, strict=True), 1)
    return tuple(
        _value(h, v, f"{where}, item {i}{_called(v)}", error) for i, (h, v) in items
    )


def _called(item: object) -> str:
    """Return what an author calls an item, where it has a name or a label."""
    if not isinstance(item, Mapping):
        return ""
    name = item.get("name") or item.get("label")
    return f" ({name[:60]!r})" if isinstance(name, str) and name else ""


def _dict(
    arguments: tuple[Any, ...], value: Any, where: str, error: type[HetaoError]
) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise error(f"{where}: expected a table")
    return {
        str(k): _value(arguments[1], v, f"{where}.{k}", error) for k, v in value.items()
    }


def _plain_name(hint: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true/false"}
    return names.get(hint, str(getattr(hint, "__name__", hint)))
