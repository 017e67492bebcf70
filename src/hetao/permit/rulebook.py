"""Dated rules: which approvals and output checks a crossing needs on a day."""

import datetime
import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from hetao.errors import InvalidNetwork, NotApproved
from hetao.records import record


@dataclass(frozen=True)
class Rule:
    """One rule, as a regulator can read it.

    Attributes:
        side: "HK", "SZ", or "each" for one approval from every side that takes part.
        act: "approve" before anything is asked, or "review" of what is to be shown.
        effective, expiry: first and last day in force; None for no end.
    """

    id: str
    crossing: str
    role: str
    side: str
    source: str
    effective: datetime.date
    verified_on: datetime.date
    verified_by: str
    expiry: datetime.date | None = None
    act: str = "approve"

    def is_in_force(self, day: datetime.date) -> bool:
        """Return whether the rule applies on that day."""
        return self.effective <= day and (self.expiry is None or day <= self.expiry)


@dataclass(frozen=True, order=True)
class Requirement:
    """One approval or output check: an office on a side, asked for by a rule."""

    side: str
    role: str
    rule: str


@functools.cache
def rulebook() -> tuple[Rule, ...]:
    """Return the rules that this version of Hetao ships."""
    text = resources.files("hetao.permit").joinpath("rulebook.toml").read_text("utf-8")
    rows = enumerate(tomllib.loads(text)["rules"], 1)
    return tuple(
        record(Rule, r, f"rulebook, rule {i}", InvalidNetwork) for i, r in rows
    )


def requirements(
    crossing: str, sides: Iterable[str], day: datetime.date
) -> tuple[Requirement, ...]:
    """Return every approval that the rules in force on `day` ask for.

    Raises:
        NotApproved: no rule covers this crossing on that day; unknown is refused,
            never "not required".
    """
    found = _asked("approve", crossing, sides, day)
    if not found:
        raise NotApproved(
            f"no rule in the rulebook covers the crossing {crossing!r} on that day",
            fix="add a dated rule, with its source, before asking for a permit",
        )
    return found


def reviews(
    crossing: str, sides: Iterable[str], day: datetime.date
) -> tuple[Requirement, ...]:
    """Return every output check that the rules in force on `day` ask for."""
    return _asked("review", crossing, sides, day)


def _asked(
    act: str, crossing: str, sides: Iterable[str], day: datetime.date
) -> tuple[Requirement, ...]:
    taking_part = sorted(set(sides))
    return tuple(
        sorted(
            Requirement(side, rule.role, rule.id)
            for rule in rulebook()
            if rule.act == act and rule.crossing == crossing and rule.is_in_force(day)
            for side in (taking_part if rule.side == "each" else [rule.side])
        )
    )
