"""A finding → pandas tables: one that programs read, and one as a paper prints it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hetao.errors import Usage
from hetao.report.tables import NOT_SHOWN
from hetao.report.tables import table_of as rows_of_table

TERMS = ("name", "estimate", "se", "z", "p", "lower", "upper")


def frame_of(body: Mapping[str, Any]) -> pd.DataFrame:
    """Return a finding's numbers, one row a term, time, group, step or cell.

    A count that may not be shown is missing.
    """
    if "terms" not in body and "loss" in body:
        return losses_of(body)
    match body:
        case {"curves": curves}:
            parts = [pd.DataFrame(dict(curve)) for curve in curves]
            found = pd.concat(parts, ignore_index=True)
        case {"rows": rows, "groups": groups}:
            found = pd.DataFrame(_cells(rows, groups))
        case {"groups": groups}:
            found = pd.DataFrame(list(groups))
            # by its name, "group" or "label"
            found = found.set_index(found.columns[0])
        case {"pairs": pairs}:
            found = _pairs(pairs)
        case {"periods": labelled} | {"steps": labelled}:
            found = pd.DataFrame(list(labelled)).set_index("label")
        case _:
            found = _terms(body)
    return found


def _terms(body: Mapping[str, Any]) -> pd.DataFrame:
    terms = pd.DataFrame(list(body["terms"]), columns=list(TERMS))
    return terms.set_index("name").astype(float)  # no error, of a penalty, is NaN


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row a pair; what its controls calibrate stands beside the estimate."""
    rows = []
    for one in pairs:
        row = {k: v for k, v in one.items() if k not in ("name", "calibrated")}
        found = one.get("calibrated") or {}
        rows.append(row | {f"calibrated_{key}": v for key, v in found.items()})
    return pd.DataFrame(rows).set_index(["exposure", "outcome"])


def losses_of(body: Mapping[str, Any]) -> pd.DataFrame:
    """Return a network's mean loss before each round of training and after the last.

    Raises:
        Usage: the finding is none of a network.
    """
    if "validation_loss" not in body:
        raise Usage(f"a {body.get('model')} finding has no loss by round")
    told = {name: body[name] for name in ("loss", "validation_loss") if body[name]}
    return pd.DataFrame(told).rename_axis("round")


def _cells(rows: Any, groups: Any) -> list[dict[str, Any]]:
    """Return one row a variable, level and group, or quantile, in their order."""
    found = []
    for row in rows:
        kept = {k: row[k] for k in ("variable", "level", "unit") if k in row}
        for group, cell in zip(groups, row["by_group"], strict=True):
            plain = {k: v for k, v in cell.items() if k != "quantiles"}
            plain |= {"smd": row["smd"]} if "smd" in row else {}
            each = cell.get("quantiles") or [{}]
            found += [{**kept, "group": group, **plain, **one} for one in each]
    return found


def table_of(body: Mapping[str, Any], few: str = NOT_SHOWN) -> pd.DataFrame:
    """Return table 1 as a paper prints it: one row a variable or level, text cells."""
    groups = list(map(str, body["groups"]))
    lines: dict[tuple[str, str], list[str]] = {}
    for part in rows_of_table(body["rows"], few):
        form = f"{part.label}, {part.form}"
        for row in part.rows:
            texts = [
                f"{cell.text}, {cell.note}" if cell.note else cell.text
                for cell in row.cells
            ]
            is_first = row is part.rows[0]
            lines[form, row.label] = [*texts, part.smd if is_first else ""]
    index = pd.MultiIndex.from_tuples(list(lines), names=["variable", "level"])
    return pd.DataFrame(list(lines.values()), index=index, columns=[*groups, "SMD"])
