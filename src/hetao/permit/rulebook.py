"""The rulebook in use: what it asks of any such crossing on a day."""

import datetime
import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hetao.errors import InvalidRulebook, NotApproved
from hetao.permit.conditions import judge
from hetao.permit.facts import FactValue, shipped_facts
from hetao.permit.packs import rulebook_from
from hetao.permit.rule import EVERY, Rule, Rulebook
from hetao.records import read_toml


@dataclass(frozen=True, order=True)
class Requirement:
    """One approval or output check: an office on a side, asked for by a rule."""

    side: str
    role: str
    rule: str


@functools.cache
def rulebook() -> Rulebook:
    """Return the rules that this version of Hetao ships."""
    folder = resources.files("hetao.permit").joinpath("rules")
    tables = {
        entry.name: tomllib.loads(entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".toml") and entry.name != "facts.toml"
    }
    return rulebook_from(sorted(tables.items()), shipped_facts())


def rulebook_with(folder: Path | None) -> Rulebook:
    """Return the shipped rules together with the packs in a site's own folder.

    Such a pack can name facts, instruments and rules of its own; none of them may have
    a name that is there already, so nothing that is shipped is changed or removed.

    Raises:
        InvalidRulebook, InvalidData: a pack of the folder does not hold.
    """
    if folder is None:
        return rulebook()
    if not folder.is_dir():
        raise InvalidRulebook(f"{folder} is not a folder of rule packs")
    own = [
        (path.name, read_toml(path, InvalidRulebook))
        for path in sorted(folder.glob("*.toml"))
    ]
    return rulebook_from(own, shipped_facts(), rulebook())


def requirements(
    crossing: str, sides: Iterable[str], day: datetime.date
) -> tuple[Requirement, ...]:
    """Return every approval that the shipped rules ask of any such crossing on `day`.

    Rules that hang on facts are not among them: `hetao.permit.answering` finds those.

    Raises:
        NotApproved: no rule covers this crossing on that day; unknown is refused,
            never "not required".
    """
    found = offices_of(_unconditional(crossing, day), sides, "approve")
    if not found:
        raise NotApproved(
            f"no rule in the rulebook covers the crossing {crossing!r} on that day",
            fix="add a dated rule, with its source, before asking for a permit",
        )
    return found


def reviews(
    crossing: str, sides: Iterable[str], day: datetime.date
) -> tuple[Requirement, ...]:
    """Return every output check that the shipped rules ask of any such crossing."""
    return offices_of(_unconditional(crossing, day), sides, "review")


@functools.lru_cache(maxsize=256)  # asked of every sum, and the same all day
def _unconditional(crossing: str, day: datetime.date) -> tuple[Rule, ...]:
    known: dict[str, FactValue] = {"request.crossing": crossing}
    return tuple(r for r in rulebook().on(day) if judge(r.condition, known).holds)


def offices_of(
    rules: Iterable[Rule], sides: Iterable[str], act: str
) -> tuple[Requirement, ...]:
    """Return what these rules ask of the offices of these sides, sorted.

    Args:
        rules: rules that apply.
        sides: sides that take part.
        act: "approve" or "review".
    """
    taking_part = sorted(set(sides))
    return tuple(
        sorted(
            Requirement(side, office.role, rule.id)
            for rule in rules
            for office in rule.offices
            if office.act == act
            for side in (taking_part if office.side == EVERY else [office.side])
        )
    )
