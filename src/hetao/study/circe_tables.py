"""`circe = "diabetes.json"` in a study file → what an author would have written.

The definition is read beside the study and written out in the author's own tables, so
everything after this step, the digest, the sentences and the sites, sees a study like
any other. What stands beside `circe` joins the definition; what the definition decides
cannot be said again.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hetao.errors import HetaoError, InvalidStudy, NotExpressible
from hetao.study.circe import ANY, EVERY, Entrants, entrants, refuse_moved_starts
from hetao.study.circe_file import CirceFile, read_circe
from hetao.study.concepts import ConceptSet
from hetao.study.definitions import check_file_name
from hetao.study.population_writing import concept_table, population_table

CIRCE = "circe"
IN_ATLAS = "leave it out here, or change the definition in ATLAS"


def with_definitions(
    tables: Mapping[str, Any], folder: Path, where: str
) -> dict[str, Any]:
    """Return an author's tables with every `circe = "FILE"` written out.

    Args:
        tables: of the study file.
        folder: where the study file stands, and the definitions beside it.
        where: the study file's name, for errors.

    Raises:
        InvalidStudy: a definition cannot be read, says what also stands beside it, or
            (NotExpressible, a kind of it) asks what a study cannot.
        InvalidData: a file is not there.
    """
    work = _Work(tables, folder, where)
    found = dict(tables)
    population = work.population(tables.get("population", {}))
    if population:
        found["population"] = population
    outcomes = tables.get("outcomes")
    if isinstance(outcomes, Mapping):
        found["outcomes"] = {
            name: work.outcome(name, body) for name, body in outcomes.items()
        }
    if not work.made:
        return dict(tables)
    written = {one.name: concept_table(one) for one in work.used.values()}
    found["concepts"] = {**tables.get("concepts", {}), **written}
    found["definitions"] = [*tables.get("definitions", ()), *work.made]
    return found


class _Work:
    """One study's definitions, with the concept sets that they share."""

    def __init__(self, tables: Mapping[str, Any], folder: Path, where: str) -> None:
        self.folder, self.where = folder, where
        self.made: list[dict[str, Any]] = []
        self.used: dict[str, ConceptSet] = {}
        self._kept: dict[ConceptSet, ConceptSet] = {}
        self._taken = set(tables.get("concepts", {}))

    def population(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return `[population]` with the definitions of it, or of its arms."""
        place = f"{self.where} [population]"
        body = dict(table)
        arms = body.get("arms")
        by_arm = {
            name: arm
            for name, arm in (arms.items() if isinstance(arms, Mapping) else ())
            if isinstance(arm, Mapping) and CIRCE in arm
        }
        if CIRCE in body and by_arm:
            raise InvalidStudy(
                f"{place}: the population and its arms both name a definition",
                fix="name one for who enters, or one for each arm",
            )
        if by_arm:
            body["arms"] = {**dict(body["arms"]), **self._arms(body, by_arm)}
        elif CIRCE in body:
            name = body.pop(CIRCE)
            file, who = self._read(name, "population", place)
            _join(body, file, who, place)
            body["entry"] = _entry(who)
        return body

    def _arms(
        self, body: dict[str, Any], by_arm: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return arms by their entry events; all else, alike in all, is everybody's."""
        found: dict[str, Any] = {}
        shared: tuple[CirceFile, Entrants] | None = None
        for name, arm in by_arm.items():
            place = f"{self.where} [population.arms.{name}]"
            rest = dict(arm)
            file, who = self._read(rest.pop(CIRCE), f"arms.{name}", place)
            _refuse_twice(rest, ("events",), file, place)
            found[name] = {**rest, "events": _entry(who)}
            if shared is None:
                shared = file, who
                _join(body, file, who, f"{self.where} [population]")
            elif differing := _differing(shared[1], who):
                raise NotExpressible(
                    f"{place}: {file.name} asks something else than {shared[0].name} "
                    f"of the people of its arm: {', '.join(differing)}",
                    fix="let definitions of arms differ in their entry events alone",
                )
        return found

    def outcome(self, name: str, table: Any) -> Any:
        """Return `[outcomes.NAME]` with the entry events of its definition."""
        if not isinstance(table, Mapping) or CIRCE not in table:
            return table
        place = f"{self.where} [outcomes.{name}]"
        body = dict(table)
        file, who = self._read(body.pop(CIRCE), f"outcomes.{name}", place)
        _refuse_twice(body, ("events",), file, place)
        asked = population_table(who.population, who.criteria)
        asked["occurrence"] = who.population.occurrence
        plain = {"entry": asked["entry"], "occurrence": EVERY}
        plain["prior_observation_days"] = 0
        if more := [key for key in asked if asked[key] != plain.get(key)]:
            raise NotExpressible(
                f"{place}: an outcome is any of its events, and {file.name} asks more: "
                + ", ".join(more),
                fix="let all events enter in ATLAS and ask no more of them, or write "
                "the outcome's events in study.toml",
            )
        return {**body, "events": asked["entry"]}

    def _read(self, name: Any, part: str, place: str) -> tuple[CirceFile, Entrants]:
        """Return a definition and who enters by it; note that it was used."""
        file_name = check_file_name(name, place)
        try:
            file = read_circe(self.folder / file_name)
            who = entrants(file.definition, self._keep)
            refuse_moved_starts(file.definition)
        except HetaoError as error:
            said = error.what.replace(str(self.folder / file_name), file_name)
            raise type(error)(f"{place} {file_name}: {said}", fix=error.fix) from error
        used = who.used()
        self.used |= {one.name: one for one in used}
        self.made.append(
            {
                "part": part,
                "file": file.name,
                "digest": file.digest,
                "concepts": [one.name for one in used],
            }
        )
        return file, who

    def _keep(self, one: ConceptSet) -> ConceptSet:
        """Return the study's concept set of the same codes, whatever it is called."""
        content = replace(one, name="", label="")
        if content not in self._kept:
            names = (f"{CIRCE}_{number}" for number in itertools.count(1))
            name = next(one for one in names if one not in self._taken)
            self._taken.add(name)
            self._kept[content] = replace(one, name=name)
        return self._kept[content]


def _entry(who: Entrants) -> Any:
    return population_table(who.population, ())["entry"]


def _join(body: dict[str, Any], file: CirceFile, who: Entrants, place: str) -> None:
    """Write into `[population]` what a definition asks beside its entry events."""
    asked = population_table(who.population, who.criteria)
    criteria = asked.pop("criteria", [])
    asked["occurrence"] = _occurrence(body, file, who, place)
    _refuse_twice(body, ("entry", "entry_concepts", *asked), file, place)
    del asked["entry"]
    body |= asked
    if criteria and isinstance(body.get("criteria", []), list | tuple):
        body["criteria"] = [*criteria, *body.get("criteria", [])]


def _occurrence(
    body: Mapping[str, Any], file: CirceFile, who: Entrants, place: str
) -> str:
    """Return which entry events count; of every one, the first if nothing is said."""
    own = who.population.occurrence
    possible = (ANY, EVERY) if own == EVERY else (own,)
    said = body.get("occurrence", possible[0])
    if said not in possible:
        raise InvalidStudy(
            f"{place}: by {file.name} the occurrence is {' or '.join(possible)}",
            fix=IN_ATLAS,
        )
    return str(said)


def _refuse_twice(
    body: Mapping[str, Any], fields: tuple[str, ...], file: CirceFile, place: str
) -> None:
    for key in fields:
        if key in body and key != "occurrence":
            raise InvalidStudy(
                f"{place}: {key} stands beside {file.name}, which decides it",
                fix=IN_ATLAS,
            )


def _differing(one: Entrants, other: Entrants) -> list[str]:
    """Return the fields, beside the entry, in which two definitions differ."""
    first = population_table(one.population, one.criteria)
    second = population_table(other.population, other.criteria)
    keys = dict.fromkeys((*first, *second))
    return [k for k in keys if k != "entry" and first.get(k) != second.get(k)]
