"""The catalogue as tables, so that a writer joins a population to its codes."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hetao.synth.catalogue import Catalogue, catalogue
from hetao.synth.truth import Connection


def load_codes(connection: Connection) -> None:
    """Make one temporary table a kind of thing, such as `code_drugs`.

    Column `name` is the catalogue's key, the others are text: a code in each system,
    and `names_en`, `names_zh_hant`, `names_zh_hans`. A code that a thing does not have
    is NULL.
    """
    for kind in fields(Catalogue):
        entries: Mapping[str, Any] = getattr(catalogue(), kind.name)
        rows = [{"name": name, **_flat(vars(entry))} for name, entry in entries.items()]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        named = ", ".join(f'"{column}" VARCHAR' for column in columns)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE code_{kind.name} ({named})")
        connection.executemany(
            f"INSERT INTO code_{kind.name} VALUES ({', '.join('?' * len(columns))})",
            [[row.get(column) for column in columns] for row in rows],
        )


def _flat(facts: Mapping[str, Any], before: str = "") -> dict[str, str | None]:
    flat: dict[str, str | None] = {}
    for key, value in facts.items():
        name = before + key.lower().replace("-", "_")
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{name}_"))
        elif value is not None:
            flat[name] = str(value) or None
    return flat
