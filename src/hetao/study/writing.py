"""A `Study` → the `study.toml` that reads back as the same study."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hetao.study.model import Study
from hetao.study.population_writing import (
    cohort_tables,
    concept_table,
    population_table,
    variable_table,
)

HEAD = ("name", "title", "question", "version", "dictionary", "dictionary_digest")


def write_study(path: Path, study: Study) -> None:
    """Write the study as an author would; `read_study` gives the same digest."""
    fields = asdict(study)
    head = {key: fields[key] for key in HEAD}
    if not study.dictionary_digest:
        del head["dictionary_digest"]
    blocks = [_table("study", head)]
    if study.estimand:
        blocks.append(_table("estimand", study.estimand))
    population = population_table(study.population, study.criteria)
    if population:
        blocks.append(_table("population", population))
    blocks += [
        _table(f"concepts.{json.dumps(one.name)}", concept_table(one))
        for one in study.concepts
    ]
    blocks += [_table("[definitions]", asdict(one)) for one in study.definitions]
    blocks += [_table(name, body) for name, body in cohort_tables(study)]
    blocks += [
        _table(f"variables.{json.dumps(variable.name)}", variable_table(variable))
        for variable in study.variables
    ]
    blocks += [
        _table("[analyses]", _without_defaults(asdict(analysis), ()))
        for analysis in study.analyses
    ]
    if study.minimum is not None:
        blocks.append(_table("minimum", asdict(study.minimum)))
    if study.quality is not None:
        blocks.append(_table("quality", asdict(study.quality)))
    sites = {
        "members": list(study.sites),
        "on_lost_site": study.on_lost_site,
        **({"told_apart": study.told_apart} if study.told_apart else {}),
        "deadline_seconds": study.deadline_seconds,
    }
    blocks.append(_table("sites", sites))
    path.write_text("\n".join(blocks), encoding="utf-8")


def _without_defaults(
    body: Mapping[str, Any], left_out: tuple[str, ...]
) -> dict[str, Any]:
    return {
        k: v
        for k, v in body.items()
        if k not in left_out and v is not None and v not in ("", (), [])
    }


def _table(name: str, body: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in body.items()]
    return f"[{name}]\n" + "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items())
        return "{ " + inner + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)  # the shortest text that reads back the same
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
