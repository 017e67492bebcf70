"""`site.toml`: what a site's extract means, declared column by column.

    [site]          name, title, language
    [source]        file, encoding, delimiter, decimal, missing
    [database]      path, key
    [person]        id, age or year_of_birth, sex, male, female
    [visit]         date, format, concept_id, name, repeats
    [[measurements]] column, concept_id, name, unit_source_value, unit, factor,
                    offset, zero_means_missing, plausible
    [[observations]] column, concept_id, name, values = [{code, concept_id, name}]
    [[conditions]]  column, concept_id, name, present_when | values and absent
    [followup]      days, died, yes, no        (counted from the first visit)
    [death]         date, format               (instead of followup)

or, for a study whose dictionary is "flat", `[site]` and

    [flat]          file, split_column, split_value, missing

Paths are relative to the file itself. A number becomes `value * factor + offset`, so
that every unit is a declared affine map of one analyte. `[network]`, `[keys]`,
`[policy]` and `[trust]` may stand in the same file: other packages read them.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hetao.cdm.dictionary import UNITS
from hetao.errors import InvalidMapping
from hetao.records import read_toml, record

ELSEWHERE = ("network", "keys", "policy", "trust")  # other packages read these
COMPARISON = re.compile(r"\s*(>=|<=|>|<|==)\s*(-?\d+(?:\.\d+)?)\s*")
MISSING = ("", "?", "-9", "NA")


@dataclass(frozen=True)
class Site:
    """Who holds the data: its id in studies, a title, the language of its words."""

    name: str
    title: str = ""
    language: str = "en"


@dataclass(frozen=True)
class Source:
    """The extract: a delimited text file with one header line.

    `missing` lists the cells that stand for "not known"; an empty cell always does.
    """

    file: str
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    missing: tuple[str, ...] = MISSING


@dataclass(frozen=True)
class Database:
    """Where the curated tables stand, and the secret that makes pseudonyms."""

    path: str
    key: str = "pseudonym.key"


@dataclass(frozen=True)
class Person:
    """Columns of the person: exactly one of `age` (at the visit) and `year_of_birth`.

    `male` and `female` list the codes of the sex column.
    """

    id: str
    sex: str
    male: tuple[str, ...]
    female: tuple[str, ...]
    age: str = ""
    year_of_birth: str = ""


@dataclass(frozen=True)
class Visit:
    """The visit that a row tells of. Without `repeats`, a person has one row."""

    date: str
    format: str = "%Y-%m-%d"
    concept_id: int = 9202
    name: str = "Outpatient Visit"
    repeats: bool = False


@dataclass(frozen=True)
class Measurement:
    """A number: its concept, its unit here and there, and what is plausible.

    `plausible` is meant in `unit`, the unit after conversion.
    """

    column: str
    concept_id: int
    name: str
    unit: str
    unit_source_value: str = ""
    factor: float = 1.0
    offset: float = 0.0
    zero_means_missing: bool = False
    plausible: tuple[float, float] | None = None


@dataclass(frozen=True)
class Code:
    """One code of a column, and the concept that it means."""

    code: str
    concept_id: int
    name: str


@dataclass(frozen=True)
class Observation:
    """A category: its concept, and what each code means."""

    column: str
    concept_id: int
    name: str
    values: tuple[Code, ...]


@dataclass(frozen=True)
class Condition:
    """A diagnosis, present when a number compares (`">0"`) or a code is listed."""

    column: str
    concept_id: int
    name: str
    present_when: str = ""
    values: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Followup:
    """Days from the first visit to death or to the last sight, and which it was."""

    days: str
    died: str
    yes: tuple[str, ...]
    no: tuple[str, ...]


@dataclass(frozen=True)
class Death:
    """The column of the date of death; empty for who lives."""

    date: str
    format: str = "%Y-%m-%d"


@dataclass(frozen=True)
class Flat:
    """A flat file, CSV or Parquet; the site's rows are those of `split_value`."""

    file: str
    split_column: str = ""
    split_value: str = ""
    missing: tuple[str, ...] = ("", "NA")


@dataclass(frozen=True)
class SiteConfig:
    """A whole `site.toml`, checked. `folder` is where its relative paths start."""

    site: Site
    source: Source | None = None
    database: Database | None = None
    person: Person | None = None
    visit: Visit | None = None
    measurements: tuple[Measurement, ...] = ()
    observations: tuple[Observation, ...] = ()
    conditions: tuple[Condition, ...] = ()
    followup: Followup | None = None
    death: Death | None = None
    flat: Flat | None = None


@dataclass(frozen=True)
class Mapping:
    """The part of a `site.toml` that curation needs, nothing optional left open."""

    folder: Path
    site: Site
    source: Source
    database: Database
    person: Person
    visit: Visit
    measurements: tuple[Measurement, ...]
    observations: tuple[Observation, ...]
    conditions: tuple[Condition, ...]
    followup: Followup | None
    death: Death | None

    @property
    def extract_path(self) -> Path:
        """Return where the extract lies."""
        return self.folder / self.source.file

    @property
    def database_path(self) -> Path:
        """Return where the curated tables belong."""
        return self.folder / self.database.path

    @property
    def key_path(self) -> Path:
        """Return where the pseudonym secret lies."""
        return self.folder / self.database.key

    @property
    def entries(self) -> tuple[Measurement | Observation | Condition, ...]:
        """Return every mapped column in the order of the mapping."""
        return (*self.measurements, *self.observations, *self.conditions)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every source column that the mapping names, each once."""
        named = [
            self.person.id,
            self.person.age,
            self.person.year_of_birth,
            self.person.sex,
            self.visit.date,
            *(entry.column for entry in self.entries),
        ]
        if self.followup:
            named += [self.followup.days, self.followup.died]
        if self.death:
            named.append(self.death.date)
        return tuple(dict.fromkeys(filter(None, named)))

    def cell(self, column: str) -> str:
        """Return what staging calls a source column: no header can clash with it."""
        return f"cell_{self.columns.index(column)}"


def read_site(path: Path) -> SiteConfig:
    """Return a `site.toml`, checked in form and in meaning.

    Raises:
        InvalidMapping: a table or field is unknown, missing or contradicts another.
        InvalidData: the file cannot be read.
    """
    tables = read_toml(path, InvalidMapping)
    mine = {key: body for key, body in tables.items() if key not in ELSEWHERE}
    config = record(SiteConfig, mine, path.name, InvalidMapping)
    if config.flat:
        if any(key not in ("site", "flat") for key in mine):
            raise InvalidMapping(
                f"{path.name}: [flat] stands alone",
                fix="a flat file is not curated: drop [flat], or drop the mapping",
            )
        return config
    _check_mapping(_mapping(config, path), path.name)
    return config


def read_mapping(path: Path) -> Mapping:
    """Return the mapping of a `site.toml` that has a source to curate.

    Raises:
        InvalidMapping: as `read_site`, or the site holds a flat file only.
    """
    config = read_site(path)
    if config.flat:
        raise InvalidMapping(
            f"{path.name}: a [flat] file is used as it is; there is nothing to curate",
            fix="open it with the study's dictionary = 'flat'",
        )
    return _mapping(config, path)


def comparison_of(text: str) -> tuple[str, float] | None:
    """Return the operator and number of `">0"`, or None when it is no comparison."""
    match = COMPARISON.fullmatch(text)
    if not match:
        return None
    operator = "=" if match[1] == "==" else match[1]
    return operator, float(match[2])


def _mapping(config: SiteConfig, path: Path) -> Mapping:
    needed = ("source", "database", "person", "visit")
    for name in needed:
        if getattr(config, name) is None:
            raise InvalidMapping(f"{path.name}: table [{name}] is missing")
    fields: dict[str, Any] = {
        name: getattr(config, name)
        for name in Mapping.__dataclass_fields__
        if name != "folder"
    }
    mapping = Mapping(folder=path.resolve().parent, **fields)
    empty_too = tuple(dict.fromkeys(("", *mapping.source.missing)))
    return replace(mapping, source=replace(mapping.source, missing=empty_too))


def _check_mapping(mapping: Mapping, where: str) -> None:
    person, source = mapping.person, mapping.source
    if bool(person.age) == bool(person.year_of_birth):
        raise InvalidMapping(
            f"{where} [person]: give age or year_of_birth, one of them"
        )
    if set(person.male) & set(person.female):
        raise InvalidMapping(f"{where} [person]: a code means both sexes")
    if (
        len(source.delimiter) != 1
        or source.delimiter in '"\r\n'
        or (source.decimal not in (".", ","))
    ):
        raise InvalidMapping(
            f"{where} [source]: the delimiter is one character, decimal is '.' or ','"
        )
    if not _is_text_encoding(source.encoding):
        raise InvalidMapping(
            f"{where} [source]: encoding {source.encoding[:40]!r} is unknown",
            fix="for example utf-8, gb18030, big5hkscs, iso-8859-2",
        )
    if mapping.followup and mapping.death:
        raise InvalidMapping(f"{where}: give [followup] or [death], not both")
    for measurement in mapping.measurements:
        _check_measurement(measurement, where)
    for observation in mapping.observations:
        _check_observation(observation, where)
    for condition in mapping.conditions:
        _check_condition(condition, where)


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _check_measurement(entry: Measurement, where: str) -> None:
    place = f"{where} [[measurements]] {entry.column}"
    if entry.unit not in UNITS:
        raise InvalidMapping(
            f"{place}: unit {entry.unit[:40]!r} is not in the dictionary",
            fix="known units: " + ", ".join(UNITS),
        )
    if entry.factor == 0:
        raise InvalidMapping(f"{place}: a factor of 0 makes every value the same")
    if entry.plausible and entry.plausible[0] >= entry.plausible[1]:
        raise InvalidMapping(f"{place}: plausible needs low < high")


def _check_observation(entry: Observation, where: str) -> None:
    codes = [value.code for value in entry.values]
    if not codes or len(set(codes)) != len(codes):
        raise InvalidMapping(
            f"{where} [[observations]] {entry.column}: each code needs one meaning"
        )


def _check_condition(entry: Condition, where: str) -> None:
    place = f"{where} [[conditions]] {entry.column}"
    listed = bool(entry.values and entry.absent)
    if bool(entry.present_when) == listed:
        raise InvalidMapping(
            f"{place}: give present_when, or both values and absent",
            fix='for example present_when = ">0"',
        )
    if entry.present_when and comparison_of(entry.present_when) is None:
        raise InvalidMapping(
            f"{place}: present_when cannot be read", fix='write for example ">0"'
        )
    if set(entry.values) & set(entry.absent):
        raise InvalidMapping(f"{place}: a code means both present and absent")
