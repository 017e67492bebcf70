"""Faults of data at declared rates: which row carries one is a draw like any other."""

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources

from hetao.errors import InvalidData
from hetao.synth.draws import salt


@functools.cache
def fault_rates() -> Mapping[str, float]:
    """Return fault → share of the rows that could carry it."""
    text = resources.files("hetao.synth").joinpath("faults.toml").read_text("utf-8")
    return {k: float(v) for k, v in tomllib.loads(text)["faults"].items()}


def fault_sql(fault: str, key: str, times: float = 1.0) -> str:
    """Return a condition in SQL: does the row of this key carry the fault?

    Needs the macros of `define_draws`. Faults fall independently of each other.

    Args:
        fault: a name of `faults.toml`.
        key: an expression in SQL, a whole number that no other row of the file has.
        times: how many times its declared rate; 0 puts it nowhere.

    Raises:
        InvalidData: no such fault is declared.
    """
    if fault not in fault_rates():
        raise InvalidData(
            f"no fault {fault!r} is declared",
            fix="name one of: " + ", ".join(fault_rates()),
        )
    rate = times * fault_rates()[fault]
    return f"(u({key}, 1, {salt('fault', fault)}) < {rate!r})"
