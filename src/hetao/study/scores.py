"""Scores: an author's own, or a published one that is shipped, with its code lists.

A shipped score is written into the study with all its codes, so that the digest
covers them: whoever approves the study approves this very list.
"""

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from hetao.errors import InvalidStudy
from hetao.study.concepts import concept_set_fields
from hetao.study.population_reading import named, score_item_fields

SHIPPED = ("charlson", "cha2ds2_vasc")
ITEM = ("points", "label", "ages", "sex", "unless")


def score_fields(
    table: Any, where: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return `[scores]` as the fields of scores, and the concept sets they bring.

    Raises:
        InvalidStudy: it is no table, or asks for a score that is not shipped.
    """
    concepts: list[dict[str, Any]] = []

    def read(body: Mapping[str, Any], place: str) -> dict[str, Any]:
        if "use" not in body:
            return _own(body, place)
        if set(body) != {"use"} or body["use"] not in SHIPPED:
            raise InvalidStudy(
                f"{place}: use names a shipped score, and stands alone",
                fix="one of " + ", ".join(SHIPPED),
            )
        fields, brought = _shipped(body["use"], where)
        concepts.extend(one for one in brought if one not in concepts)
        return fields

    return named(table, f"{where} [scores]", read), concepts


def _own(body: Mapping[str, Any], place: str) -> dict[str, Any]:
    flat = dict(body)
    if isinstance(flat.get("items"), Mapping):
        flat["items"] = named(flat["items"], place, score_item_fields)
    return flat


def _shipped(name: str, where: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a shipped score and its concept sets, named `<score>_<item>`."""
    table = _read(name)
    items, concepts = [], []
    for item, body in table["items"].items():
        fields = {"name": item, **{key: body[key] for key in ITEM if key in body}}
        codes = {key: body[key] for key in body if key not in ITEM}
        if codes:
            set_name = f"{name}_{item}"
            label = {"label": body["label"]}
            concepts.append(concept_set_fields(set_name, codes | label, where))
            fields["events"] = [{"table": "condition", "concepts": [set_name]}]
        items.append(fields)
    return {
        "label": table["label"],
        "source": table["source"],
        "items": items,
    }, concepts


@functools.cache
def _read(name: str) -> dict[str, Any]:
    file = resources.files("hetao.study").joinpath(f"score_{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
