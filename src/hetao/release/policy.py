"""A site's own minimum counts: strict unless a file lowers them and says why."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from hetao.errors import InvalidNetwork, SmallCohort
from hetao.records import read_toml, record
from hetao.study import Minimum

STRICT: Final = Minimum()
LONGEST_REASON: Final = 500  # characters, as of any text in a notice
USUAL_BUDGET: Final = 0.1  # statistics shown for each person of a snapshot
# Codes of the Data Use Ontology (EBISPOT/DUO, duo.csv of 2022-09), by short name.
CODES: Final = frozenset(
    (
        *("NRES", "GRU", "HMB", "DS", "POA", "RS", "NMDS", "GSO", "NPUNCU", "PUB"),
        *("COL", "IRB", "GS", "MOR", "TS", "US", "PS", "IS", "RTN", "CC", "NPOA"),
        *("NPU", "NCU"),
    )
)


@dataclass(frozen=True)
class Dominance:
    """How much of a sum of numbers one person, or two, may make up.

    Attributes:
        first: most that one person may, as a share of the sum.
        two: most that two people may.
        ratio: least relative error with which the second largest may tell the largest.
    """

    first: float = 0.5
    two: float = 0.9
    ratio: float = 0.1


@dataclass(frozen=True)
class Privacy:
    """What counts with noise may cost, that nobody approved one by one.

    Attributes:
        epsilon: privacy loss of all such answers of this site together, for good: of
            every question and every snapshot; 0 answers none.
        each: most of one question.
    """

    epsilon: float = 0.0
    each: float = 0.1


USUAL_DOMINANCE: Final = Dominance()
NO_PRIVACY: Final = Privacy()


@dataclass(frozen=True)
class Policy:
    """What a site lets out.

    Attributes:
        minimum: the counts; see `study.Minimum`.
        highest_grade: highest class (1-5) that may leave, sealed.
        reason: why a count lies under the strict default; "" where none does.
        limits: `table` or `table.field` → codes of the Data Use Ontology that the
            consents of this site's patients give it.
        budget: most linear statistics shown for each person, over everything that is
            answered from one snapshot; None is a tenth, or `minimum.share` where one
            model alone may use more.
        told: most numbers that the rounds of models tell for each person, over
            everything that is answered from one snapshot; None is 100 times
            `minimum.share`, as for one model.
        dominance: how much of a sum one person may make up; never looser than usual.
        privacy: what questions of the site's own people may cost; off if left out.
        told_apart: whether a study may name the site under `told_apart`.
    """

    minimum: Minimum = STRICT
    highest_grade: int = 3
    reason: str = ""
    limits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    budget: float | None = None
    told: float | None = None
    dominance: Dominance = USUAL_DOMINANCE
    privacy: Privacy = NO_PRIVACY
    told_apart: bool = True

    @property
    def shown_share(self) -> float:
        """Return most statistics for each person, as `budget` says."""
        usual = max(USUAL_BUDGET, self.minimum.share)
        return usual if self.budget is None else min(usual, self.budget)

    @property
    def told_share(self) -> float:
        """Return most numbers of models' rounds for each person, as `told` says."""
        usual = self.minimum.told
        return usual if self.told is None else min(usual, self.told)

    @property
    def lowered(self) -> tuple[str, ...]:
        """Return the names of the counts that lie under the strict default."""
        return tuple(
            f.name for f in fields(Minimum) if _looser(f.name, self.minimum, STRICT)
        )

    def as_json(self) -> dict[str, Any]:
        """Return what a release record says of the policy."""
        return {
            "minimum": asdict(self.minimum),
            "lowered": list(self.lowered),
            "reason": self.reason,
        }

    def tightened(self, study: Minimum | None) -> "Policy":
        """Return this policy with the stricter of each pair of counts."""
        if study is None:
            return self
        chosen = {
            f.name: getattr(self.minimum, f.name)
            if _looser(f.name, study, self.minimum)
            else getattr(study, f.name)
            for f in fields(Minimum)
        }
        return replace(self, minimum=Minimum(**chosen))


def _looser(name: str, one: Minimum, other: Minimum) -> bool:
    """Shares are looser when larger, counts when smaller."""
    a, b = getattr(one, name), getattr(other, name)
    return bool(a > b if name in ("share", "leverage") else a < b)


def check_people(minimum: Minimum, site: str, people: int) -> None:
    """Return quietly if a site has people enough for whatever else it may say of them.

    Raises:
        SmallCohort: it has not. The words are the same whatever else is wrong.
    """
    if people < minimum.people:
        raise SmallCohort(
            f"{site} holds fewer than {minimum.people} people for what is asked",
            fix="lengthen the period or widen the population",
            local=f"people: {people}",
        )


def _check_dominance(chosen: Dominance, where: str) -> None:
    usual = USUAL_DOMINANCE
    shares = 0 < chosen.first <= usual.first and 0 < chosen.two <= usual.two
    if not (shares and usual.ratio <= chosen.ratio < math.inf):
        raise InvalidNetwork(
            f"{where}: dominance may be made stricter only",
            fix=f"first up to {usual.first}, two up to {usual.two}, "
            f"ratio from {usual.ratio}",
        )


def read_policy(path: Path) -> Policy:
    """Return the policy of a `policy.toml`.

    Raises:
        InvalidNetwork: the file does not hold, or lowers a count and gives no reason.
    """
    return policy_from(read_toml(path, InvalidNetwork), path.name)


def policy_from(table: dict[str, Any], where: str = "policy") -> Policy:
    """Return the policy of a table of a site file or a policy file."""
    policy = record(Policy, table, where, InvalidNetwork)
    m = policy.minimum
    if min(m.people, m.cell, m.events, m.sites, m.rounding) < 1:
        raise InvalidNetwork(f"{where}: counts start at 1")
    if not (0 < m.share < math.inf and 0 < m.leverage <= 1):
        raise InvalidNetwork(f"{where}: shares lie above 0, leverage up to 1")
    if policy.budget is not None and not 0 < policy.budget <= 1:
        raise InvalidNetwork(f"{where}: budget lies above 0, up to 1")
    if policy.told is not None and not 0 < policy.told < math.inf:
        raise InvalidNetwork(f"{where}: told lies above 0")
    _check_dominance(policy.dominance, where)
    if not (0 <= policy.privacy.epsilon <= 10 and 0 < policy.privacy.each <= 1):
        raise InvalidNetwork(
            f"{where}: privacy.epsilon lies between 0 and 10, each above 0, up to 1"
        )
    if not 1 <= policy.highest_grade <= 5:
        raise InvalidNetwork(f"{where}: highest_grade is 1 to 5")
    unknown = {code for codes in policy.limits.values() for code in codes} - CODES
    if unknown:
        raise InvalidNetwork(
            f"{where}: {min(unknown)[:40]!r} is no code of the Data Use Ontology",
            fix="write for example HMB; see docs/specs/release.md",
        )
    if policy.lowered and not policy.reason.strip():
        raise InvalidNetwork(
            f"{where} lowers {', '.join(policy.lowered)} and does not say why",
            fix="write reason = '...'; every certificate will carry it",
        )
    if len(policy.reason) > LONGEST_REASON:
        raise InvalidNetwork(
            f"{where}: the reason is longer than {LONGEST_REASON} characters",
            fix="shorten it; every certificate will carry it",
        )
    return policy


def check_told(table: object) -> None:
    """Return quietly if a table says what `Policy.as_json` could, and no more.

    A count that is lowered is named as such: readers are told of it by that list.

    Raises:
        InvalidNetwork: it does not.
    """
    if not isinstance(table, Mapping) or set(table) != {"minimum", "lowered", "reason"}:
        raise InvalidNetwork("a policy is told with other fields")
    reason, usual = table["reason"], "of the site"  # whether there is one, it decides
    policy = policy_from({"minimum": table["minimum"], "reason": reason or usual})
    if not isinstance(reason, str):  # nothing else that is nothing
        raise InvalidNetwork("the reason of a policy is no text")
    if table["lowered"] != list(policy.lowered) or set(table["minimum"]) != {
        f.name for f in fields(Minimum)
    }:
        raise InvalidNetwork("a policy hides what it lowers, or leaves a count out")
