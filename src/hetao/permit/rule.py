"""Rules as values: what one says, when it applies, where it is written.

A rulebook is plain data that was read and checked; see `hetao.permit.packs`.
"""

import datetime
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from hetao.canonical import digest
from hetao.permit.conditions import Condition
from hetao.permit.facts import Fact

CROSSINGS = ("data", "materials", "people", "capital")
ROUTES = ("none", "exempt", "contract", "assessment")  # of Mainland export; rising
CONFIDENCES = ("high", "medium", "low")
UNITS = ("days", "working-days", "months", "years")
STARTS = (
    "before-provision",
    "contract-in-force",
    "end-of-cooperation",
    "expiry",
    "provision",
    "discovery",
)
EVERY = "each"  # side of an office: one on every side that takes part
ACTS = ("approve", "review")


@dataclass(frozen=True)
class Source:
    """Where a rule is written: title of the instrument, article, address."""

    title: str
    article: str
    url: str


@dataclass(frozen=True)
class Clock:
    """How long something may take or lasts: `6 months after end-of-cooperation`.

    `count` is 0 for what must be done before `start`.
    """

    count: int
    unit: str
    start: str


@dataclass(frozen=True)
class Office:
    """An office that must say yes: to the permit, or to what is to be shown.

    Attributes:
        side: HK, SZ, or "each" for one on every side that takes part.
        act: "approve" before anything is asked, or "review" of what is to be shown.
    """

    side: str
    role: str
    act: str = "approve"


@dataclass(frozen=True)
class Instrument:
    """A legal instrument that a rule can ask for, with its name in three languages."""

    id: str
    name: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Written:
    """One rule as it stands in its pack, but for when it applies.

    Attributes:
        id: its name in every answer, permit and refusal; no two rules share one.
        title: its short name; `requires`, `forbids` or `notes` says what it means. Each
            is a text in three languages, and a rule has exactly one of the three.
        offices: offices that must sign the permit.
        bases: of each tuple one legal instrument must be held before anything crosses.
        clock: how long what it requires may take, or None.
        route: what it means for the export of personal information from the Mainland,
            one of ROUTES, or "".
        effective, expires: first and last day in force; None for no end.
        verified_on: when somebody last read the source.
        confidence: high: read in the instrument's own text; medium: in its publisher's
            summary, or in several firms' words; low: in one secondary text.
        needs_counsel: whether its meaning for such a request is unsettled.
    """

    id: str
    jurisdiction: str
    title: dict[str, str]
    source: Source
    effective: datetime.date
    verified_on: datetime.date
    confidence: str
    crossings: tuple[str, ...]
    requires: dict[str, str] | None = None
    forbids: dict[str, str] | None = None
    notes: dict[str, str] | None = None
    offices: tuple[Office, ...] = ()
    bases: tuple[tuple[str, ...], ...] = ()
    clock: Clock | None = None
    route: str = ""
    expires: datetime.date | None = None
    needs_counsel: bool = False

    def is_in_force(self, day: datetime.date) -> bool:
        """Return whether the rule applies on that day."""
        return self.effective <= day and (self.expires is None or day <= self.expires)

    @property
    def effect(self) -> str:
        """Return `forbids`, `requires` or `notes`."""
        if self.forbids is not None:
            return "forbids"
        return "requires" if self.requires is not None else "notes"

    @property
    def says(self) -> Mapping[str, str]:
        """Return what it forbids, requires or notes, by language."""
        return self.forbids or self.requires or self.notes or {}


@dataclass(frozen=True, kw_only=True)
class Rule(Written):
    """One rule, as a data-protection officer can read it.

    Attributes:
        pack: the name of its pack.
        condition: when it applies, the crossing included.
    """

    pack: str
    condition: Condition


@dataclass(frozen=True)
class Pack:
    """Rules about one matter.

    Attributes:
        settles: where this holds, some rule that has a route must apply; else nothing
            covers the request on that day. None: no such claim.
        own: whether it is a site's own.
    """

    id: str
    jurisdiction: str
    title: dict[str, str]
    verified_by: str
    digest: str
    settles: Condition | None = None
    own: bool = False


@dataclass(frozen=True)
class Rulebook:
    """Every pack in use. Rules are sorted by their ids."""

    packs: tuple[Pack, ...]
    rules: tuple[Rule, ...]
    facts: Mapping[str, Fact]
    instruments: Mapping[str, Instrument]

    @functools.cached_property
    def digest(self) -> str:
        """Return `sha256:…` over every pack and fact."""
        facts = [[f.name, f.kind, list(f.choices)] for f in self.facts.values()]
        return digest({"packs": {p.id: p.digest for p in self.packs}, "facts": facts})

    def on(self, day: datetime.date) -> tuple[Rule, ...]:
        """Return the rules in force on that day."""
        return tuple(rule for rule in self.rules if rule.is_in_force(day))

    def due(self, day: datetime.date, days: int) -> tuple[Rule, ...]:
        """Return the rules whose source was last read more than `days` before `day`."""
        limit = day - datetime.timedelta(days=days)
        return tuple(rule for rule in self.rules if rule.verified_on < limit)
