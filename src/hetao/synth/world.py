"""What holds in the made-up world: people, diseases, habits, and the true effects."""

import datetime
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hetao.errors import InvalidData
from hetao.records import read_toml, record
from hetao.synth.catalogue import catalogue
from hetao.synth.slots import MOST_EVENTS, MOST_INDEX

LABS = ("hba1c", "egfr", "systolic_pressure", "alt")  # labs that may stand in a formula


@dataclass(frozen=True)
class Side:
    """The people of a side: percent by ten years of age, share of men, districts."""

    ages: tuple[float, ...]
    male: float
    districts: tuple[str, ...]


@dataclass(frozen=True)
class Fatal:
    """How many die of a disease, and after how many days on average."""

    share: float
    days: float


@dataclass(frozen=True)
class Course:
    """When a disease begins: see `world.toml`."""

    plateau: float
    middle: float
    spread: float
    male: float = 0.0
    frailty: float = 0.0
    born_after: int | None = None
    after: float = 1.0
    visit: str = ""
    lasting: bool = True
    specialty: str = "medicine"
    fatal: Fatal | None = None


@dataclass(frozen=True)
class Outcome:
    """A disease whose hazard after the index day is known.

    Attributes:
        log_hazard_ratio: the truth, exposed against comparator; 0 for a control.
        hazard: variable → log hazard ratio of one unit of it.
    """

    disease: str
    log_hazard_ratio: float
    per_1000_years: float
    shape: float
    hazard: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Two drugs that people with a disease newly begin, one or the other.

    Attributes:
        share: of people with the disease who ever begin one of them.
        wait_days: mean days from the disease (or entry) to the index day.
        prefers: log odds of the exposed drug for somebody at every centre.
        choice: variable → log odds of the exposed drug, of one unit of it.
    """

    name: str
    disease: str
    exposed: str
    comparator: str
    share: float
    wait_days: float
    prefers: float
    choice: Mapping[str, float]
    outcomes: tuple[Outcome, ...]

    @property
    def confounders(self) -> tuple[str, ...]:
        """Return every variable that its choice or an outcome depends on, once."""
        named = [*self.choice, *(v for o in self.outcomes for v in o.hazard)]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True)
class World:
    """Everything that the generator is told; `world.toml` and `effects.toml`."""

    first: datetime.date
    last: datetime.date
    census: datetime.date
    late: float
    late_days: int
    sides: Mapping[str, Side]
    death: Mapping[str, Any]
    diseases: Mapping[str, Course]
    visits: Mapping[str, Any]
    complaints: Mapping[str, Mapping[str, Any]]
    therapies: tuple[Mapping[str, Any], ...]
    procedures: tuple[Mapping[str, Any], ...]
    specials: tuple[Mapping[str, Any], ...]
    variables: Mapping[str, tuple[float, float]]
    comparisons: tuple[Comparison, ...]

    @property
    def outcomes(self) -> frozenset[str]:
        """Return the diseases that are outcomes of a comparison."""
        return frozenset(o.disease for c in self.comparisons for o in c.outcomes)

    def comparison(self, name: str) -> Comparison:
        """Return the comparison of that name.

        Raises:
            InvalidData: there is none.
        """
        for comparison in self.comparisons:
            if comparison.name == name:
                return comparison
        raise InvalidData(f"the world has no comparison {name!r}")


def shipped_world() -> World:
    """Return the world that Hetao ships."""
    return _world(_shipped("world.toml"), _shipped("effects.toml"), "effects.toml")


def read_world(effects: Path) -> World:
    """Return the shipped world with the effects of another file.

    Raises:
        InvalidData: the file does not describe effects in this world.
    """
    found = read_toml(effects, InvalidData)
    return _world(_shipped("world.toml"), found, effects.name)


@functools.cache
def _shipped(file: str) -> dict[str, Any]:
    text = resources.files("hetao.synth").joinpath(file).read_text("utf-8")
    return tomllib.loads(text)


def _world(tables: dict[str, Any], effects: dict[str, Any], where: str) -> World:
    sides = {
        name: record(Side, body, f"world.toml [sides.{name}]", InvalidData)
        for name, body in tables["sides"].items()
    }
    courses = {
        name: record(Course, body, f"world.toml [diseases.{name}]", InvalidData)
        for name, body in tables["diseases"].items()
    }
    try:
        variables = {
            name: (float(v["centre"]), float(v["scale"]))
            for name, v in effects["variables"].items()
        }
        comparisons = tuple(_comparison(body) for body in effects["comparisons"])
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
        raise InvalidData(
            f"{where} does not describe effects: {problem}",
            fix="write it in the form of the shipped effects.toml",
        ) from problem
    world = World(
        **tables["window"],
        sides=sides,
        death=tables["death"],
        diseases=courses,
        visits=tables["visits"],
        complaints=tables["complaints"],
        therapies=tuple(tables["therapies"]),
        procedures=tuple(tables["procedures"]),
        specials=tuple(tables["specials"]),
        variables=variables,
        comparisons=comparisons,
    )
    _check(world, where)
    return world


def _comparison(body: dict[str, Any]) -> Comparison:
    outcomes = tuple(
        Outcome(
            str(outcome["disease"]),
            float(outcome["log_hazard_ratio"]),
            float(outcome["per_1000_years"]),
            float(outcome["shape"]),
            _slopes(outcome["hazard"]),
        )
        for outcome in body["outcomes"]
    )
    return Comparison(
        name=str(body["name"]),
        disease=str(body["disease"]),
        exposed=str(body["exposed"]),
        comparator=str(body["comparator"]),
        share=float(body["share"]),
        wait_days=float(body["wait_days"]),
        prefers=float(body["prefers"]),
        choice=_slopes(body["choice"]),
        outcomes=outcomes,
    )


def _slopes(table: dict[str, Any]) -> dict[str, float]:
    return {str(name): float(slope) for name, slope in table.items()}


def _check(world: World, where: str) -> None:
    """Refuse effects that could not all be true at once."""
    outcomes = [o.disease for c in world.comparisons for o in c.outcomes]
    if len(set(outcomes)) != len(outcomes):
        raise InvalidData(
            f"{where}: a disease is the outcome of two comparisons",
            fix="give each comparison outcomes of its own",
        )
    first = [name for name, course in world.diseases.items() if course.visit]
    if len(world.comparisons) > MOST_INDEX or len(first) > MOST_EVENTS:
        raise InvalidData(f"{where}: at most {MOST_INDEX} comparisons find a visit")
    known = catalogue()
    for comparison in world.comparisons:
        usable = {"age", "male", *LABS, *world.diseases} - set(outcomes)
        named = {
            "disease": ({comparison.disease} | {o.disease for o in comparison.outcomes})
            - set(world.diseases),
            "drug": {comparison.exposed, comparison.comparator} - set(known.drugs),
            "variable": set(comparison.confounders) - (usable & set(world.variables)),
        }
        for kind, unknown in named.items():
            if unknown:
                raise InvalidData(
                    f"{where}: comparison {comparison.name!r} names the {kind} "
                    f"{min(unknown)!r}, which cannot stand there",
                    fix="a variable is age, male, a laboratory value or a disease "
                    "that is no outcome",
                )
