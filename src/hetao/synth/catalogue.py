"""What may happen to a made-up person, in every coding that a site may use."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hetao.errors import InvalidData
from hetao.records import record

Names = dict[str, str]  # "en", "zh-Hant", "zh-Hans" → a name


@dataclass(frozen=True)
class Disease:
    """A disease and its codes.

    Attributes:
        icd10cn, icd10cn_nhsa: six-digit extensions of the clinical and of the
            insurance edition.
        sex: "M" or "F" if only they can have it; "" otherwise.
        tcm: GB/T 15657 `code` and names under which Chinese medicine sees it; or none.
    """

    names: Names
    icd9cm: str
    icd10: str
    icd10cn: str
    icd10cn_nhsa: str
    sex: str = ""
    tcm: dict[str, str] | None = None


@dataclass(frozen=True)
class Drug:
    """A drug as one item of a pharmacy; a code is "" where a system has none.

    Attributes:
        per_day: units of `form` taken a day.
    """

    names: Names
    strength: str
    form: str
    per_day: float
    nhsa: str
    ha_drug: str = ""
    bnf: str = ""
    atc: str = ""
    hkcmms: str = ""


@dataclass(frozen=True)
class Lab:
    """A measurement: what each side calls it and the unit it reports in."""

    names: Names
    loinc: str
    ha_lis: str
    unit_hk: str
    unit_sz: str


@dataclass(frozen=True)
class Procedure:
    """A procedure and its ICD-9-CM code."""

    names: Names
    icd9proc: str


@dataclass(frozen=True)
class Product:
    """A product for designated hospitals: `kind` is "drug" or "device"."""

    names: Names
    kind: str
    disease: str
    approval: str
    atc: str = ""


@dataclass(frozen=True)
class Specialty:
    """A specialty: names, and the Hospital Authority's short form."""

    names: Names
    ha: str


@dataclass(frozen=True)
class Catalogue:
    """Everything that the truth tables name, by the name that they use."""

    diseases: Mapping[str, Disease]
    drugs: Mapping[str, Drug]
    labs: Mapping[str, Lab]
    procedures: Mapping[str, Procedure]
    products: Mapping[str, Product]
    specialties: Mapping[str, Specialty]


KINDS = {
    "diseases": Disease,
    "drugs": Drug,
    "labs": Lab,
    "procedures": Procedure,
    "products": Product,
    "specialties": Specialty,
}


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue that this version of Hetao ships."""
    text = resources.files("hetao.synth").joinpath("catalogue.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    read: dict[str, Any] = {
        kind: {
            name: record(cls, body, f"catalogue.toml [{kind}.{name}]", InvalidData)
            for name, body in tables[kind].items()
        }
        for kind, cls in KINDS.items()
    }
    return Catalogue(**read)
