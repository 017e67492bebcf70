"""The dictionary's TOML files → one checked `Dictionary` with a digest."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from hetao import canonical
from hetao.dictionary.analytes import Analyte
from hetao.dictionary.model import Dictionary, EventColumns, Field, Table
from hetao.dictionary.systems import System, local_concept_id
from hetao.dictionary.units import Unit, unit_text

NAME = "omop-5.4"
LANGUAGES = ("en", "zh-Hant", "zh-Hans")
OF_ALL = ("hgr", "important", "duo")
ORDER = (
    "person",
    "observation_period",
    "visit_occurrence",
    "visit_detail",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "device_exposure",
    "measurement",
    "observation",
    "death",
    "specimen",
    "location",
    "care_site",
    "provider",
    "drug_era",
    "condition_era",
    "concept",
    "concept_ancestor",
    "concept_relationship",
    "vocabulary",
    "cdm_source",
    "rejected",
)


@cache
def dictionary() -> Dictionary:
    """Return the data dictionary that this installation carries, read once."""
    root = resources.files(__package__)
    read = {
        "tables": {name: _toml(root / "tables" / f"{name}.toml") for name in ORDER},
        "analytes": _toml(root / "analytes.toml"),
        "systems": _toml(root / "systems.toml"),
        "units": _toml(root / "units.toml"),
    }
    units = {code: _unit(code, body) for code, body in read["units"].items()}
    return Dictionary(
        name=NAME,
        digest=canonical.digest(
            {"type": "hetao.dictionary/1", "name": NAME, **_plain(read)}
        ),
        tables={name: _table(body) for name, body in read["tables"].items()},
        analytes={
            name: _analyte(name, body, units) for name, body in read["analytes"].items()
        },
        systems={name: _system(name, body) for name, body in read["systems"].items()},
        units=units,
    )


@cache
def _codes() -> Mapping[str, str]:
    units = dictionary().units.values()
    return {spelling: unit.code for unit in units for spelling in unit.spellings}


def normal_unit(text: str) -> str:
    """Return the UCUM code of a unit as people write it.

    A unit that the dictionary does not know comes back in the normal form of
    `unit_text`: equal spellings stay equal, and nothing is guessed.
    """
    normal = unit_text(text)
    return _codes().get(normal, normal)


def _toml(file: Traversable) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)


def _plain(value: Any) -> Any:
    """Bring TOML values to JSON ones; a decimal becomes its text, as it is written."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def _table(body: Mapping[str, Any]) -> Table:
    key = tuple(body["key"])
    words = {language: body[language] for language in LANGUAGES}
    # What a table says, all its fields are, unless they say otherwise themselves.
    of_all = {what: body[what] for what in OF_ALL if what in body}
    fields = {
        name: _field(name, {**of_all, **facts}, name in key, words)
        for name, facts in body["fields"].items()
    }
    label, definition = _words("table", words)
    event = None
    if "event" in body:
        columns = {
            name: body["event"].get(name, "")
            for name in EventColumns.__dataclass_fields__
        }
        event = EventColumns(**{**columns, "key": key[0]})
    return Table(body["name"], body["kind"], fields, key, event, label, definition)


def _field(
    name: str,
    facts: Mapping[str, Any],
    key: bool,
    words: Mapping[str, Mapping[str, Any]],
) -> Field:
    label, definition = _words(name, words)
    return Field(
        name=name,
        type=facts["type"],
        level=facts["level"],
        category=facts["category"],
        identifier=facts.get("identifier", "none"),
        unit=facts.get("unit", ""),
        required=facts.get("required", False),
        key=key,
        references=facts.get("references", ""),
        domain=facts.get("domain", ""),
        element=facts.get("element", ""),
        oid=facts.get("oid", ""),
        hgr=facts.get("hgr", False),
        important=facts.get("important", 0),
        duo=tuple(facts.get("duo", ())),
        label=label,
        definition=definition,
    )


def _words(
    name: str, words: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, str]]:
    pairs = {language: said[name] for language, said in words.items()}
    label = {language: pair[0] for language, pair in pairs.items()}
    return label, {language: pair[1] for language, pair in pairs.items()}


def _unit(code: str, body: Mapping[str, Any]) -> Unit:
    spellings = (code, *body.get("spellings", ()))
    return Unit(
        code=code,
        concept_id=body.get("concept_id") or local_concept_id("ucum", code),
        name=body["name"],
        spellings=tuple(dict.fromkeys(map(unit_text, spellings))),
    )


def _analyte(name: str, body: Mapping[str, Any], units: Mapping[str, Unit]) -> Analyte:
    maps = {body["unit"]: [1, 0], **body.get("units", {})}
    low, high = body["plausible"]
    return Analyte(
        name=name,
        labels={language: body[language] for language in LANGUAGES},
        concept_id=body.get("concept_id") or local_concept_id("analyte", name),
        loinc=body.get("loinc", ""),
        unit=body["unit"],
        decimals=body["decimals"],
        plausible=(Decimal(low), Decimal(high)),
        units={code: (Decimal(a), Decimal(b)) for code, (a, b) in maps.items()},
        spellings={
            spelling: code for code in maps for spelling in units[code].spellings
        },
        zero_impossible=body.get("zero_impossible", False),
    )


def _system(name: str, body: Mapping[str, Any]) -> System:
    return System(
        name=name,
        vocabulary_id=body["vocabulary_id"],
        matching=body["matching"],
        domain=body.get("domain", ""),
        extensions=tuple(body.get("extensions", ())),
        oid=tuple(body.get("oid", ())),
        hgr=body.get("hgr", False),
        uri=body.get("uri", ""),
        labels={language: body[language] for language in LANGUAGES},
    )
