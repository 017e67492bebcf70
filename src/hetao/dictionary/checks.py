"""Every type of quality check: whose it is, where it belongs, what it says.

The gate, the study and the report all read this one list, so that what a site may say
about its data is closed: a type, a table and a field of the dictionary, and a band.
"""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

CATEGORIES: Final = ("conformance", "completeness", "plausibility")
LANGUAGES: Final = ("en", "zh-Hant", "zh-Hans")
PASS, FAIL, NOT_APPLICABLE = "pass", "fail", "not-applicable"
SOURCES: Final = "sources"  # stands for the site's own sources, whose names stay there
OTHER_SYSTEM: Final = "other"  # any code system that the dictionary does not name
# Groups of conditions and procedures that belong to one sex.
SEX_GROUPS: Final = (
    "pregnancy",
    "cervix_uteri",
    "corpus_uteri",
    "ovary",
    "prostate",
    "testis",
    "female_genital",
    "male_genital",
)


@dataclass(frozen=True)
class Wording:
    """What a reader is told about a check type, in one language."""

    label: str
    meaning: str
    remedy: str


@dataclass(frozen=True)
class CheckType:
    """One type of quality check.

    Attributes:
        name: of the OHDSI DataQualityDashboard's, its own name; of ours, with dashes.
        source: "DQD" or "own".
        level: what one check of the type is about: "table", "field" or "concept".
        category: of Kahn's framework; one of CATEGORIES.
        context: "verification" or "validation".
        threshold: the share of violated rows beyond which a check fails.
        wording: by language, for each of LANGUAGES.

    Source:
        Kahn et al. (2016), eGEMs 4(1):1244; OHDSI DataQualityDashboard 2.8.
    """

    name: str
    source: str
    level: str
    category: str
    context: str
    threshold: float
    wording: Mapping[str, Wording]


@functools.cache
def check_types() -> Mapping[str, CheckType]:
    """Return every type of check by name, in the order of the list."""
    text = resources.files("hetao.dictionary").joinpath("checks.toml").read_bytes()
    tables = tomllib.loads(text.decode("utf-8"))
    return MappingProxyType({name: _type(name, t) for name, t in tables.items()})


def _type(name: str, table: Mapping[str, Any]) -> CheckType:
    fields = {key: value for key, value in table.items() if key not in LANGUAGES}
    wording = {language: Wording(*table[language]) for language in LANGUAGES}
    return CheckType(name=name, wording=MappingProxyType(wording), **fields)
