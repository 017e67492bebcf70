"""`trial.toml`: a trial's assumptions, its looks, and who gets what.

Every table may be left out; what is there is read whole, or refused by its field.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hetao.errors import InvalidStudy, Usage
from hetao.records import read_toml, record
from hetao.trial.allocation import Minimisation, Plan
from hetao.trial.looks import Bounds, Spending, efficacy_bounds, futility_bounds
from hetao.trial.size import (
    Aim,
    Clusters,
    FollowUp,
    Size,
    in_clusters,
    means,
    proportions,
    rates,
    survival,
)

# What each endpoint reads, in the words of `hetao.trial.size`.
ENDPOINTS: Final = {
    "survival": ("hazard_ratio", "accrual", "after", "hazard", "dropout"),
    "proportions": ("control", "treated"),
    "means": ("difference", "sd"),
    "rates": ("control", "treated", "time", "dispersion"),
}
NEED_NOT: Final = ("dropout", "dispersion", "accrual", "after")


@dataclass(frozen=True)
class SizeTable:
    """What a trial is to show, of which endpoint; see `hetao.trial.size`."""

    endpoint: str
    hazard_ratio: float = 0.0
    accrual: float = 0.0
    after: float = 0.0
    hazard: float = 0.0
    dropout: float = 0.0
    control: float = 0.0
    treated: float = 0.0
    difference: float = 0.0
    sd: float = 0.0
    time: float = 0.0
    dispersion: float = 0.0
    power: float = 0.8
    alpha: float = 0.05
    sides: int = 2
    allocation: float = 1.0
    clusters: Clusters | None = None

    @property
    def aim(self) -> Aim:
        """Return the test that the trial is sized for."""
        return Aim(self.power, self.alpha, self.sides, self.allocation)

    def needed(self) -> Size:
        """Return what the trial needs with one look at its end.

        Raises:
            Usage: what is assumed makes no trial.
        """
        aim = self.aim
        match self.endpoint:
            case "survival":
                follow_up = FollowUp(
                    self.accrual, self.after, self.hazard, self.dropout
                )
                size = survival(self.hazard_ratio, follow_up, aim)
            case "proportions":
                size = proportions(self.control, self.treated, aim)
            case "means":
                size = means(self.difference, self.sd, aim)
            case _:
                size = rates(
                    self.control, self.treated, self.time, aim, self.dispersion
                )
        return in_clusters(size, self.clusters, aim) if self.clusters else size


@dataclass(frozen=True)
class LooksTable:
    """When a trial is looked at, and how its error is spent; see `hetao.trial.looks`.

    Attributes:
        information: shares of the whole information at the looks.
        alpha: one-sided.
        spending, parameter: of alpha.
        power: that the largest sample is to have.
        futility, futility_parameter: spending of 1 - power; "" for no such bound.
    """

    information: tuple[float, ...]
    alpha: float = 0.025
    spending: str = "obrien_fleming"
    parameter: float = 1.0
    power: float = 0.8
    futility: str = ""
    futility_parameter: float = 1.0

    def bounds(self) -> Bounds:
        """Return the bounds, those of futility where they are asked for.

        Raises:
            Usage: the looks or the spending make no bounds.
        """
        spending = Spending(self.spending, self.parameter)
        bounds = efficacy_bounds(self.information, self.alpha, spending)
        if not self.futility:
            return bounds
        lower = Spending(self.futility, self.futility_parameter)
        return futility_bounds(bounds, self.power, lower)[0]


@dataclass(frozen=True)
class AllocationTable:
    """Permuted blocks, stratified; see `hetao.trial.allocation.Plan`."""

    arms: tuple[tuple[str, int], ...]
    blocks: tuple[int, ...]
    places: int
    strata: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class MinimisationTable:
    """Minimisation; see `hetao.trial.allocation.Minimisation`."""

    arms: tuple[tuple[str, int], ...]
    factors: tuple[tuple[str, tuple[str, ...], float], ...]
    favour: float = 0.8


@dataclass(frozen=True)
class TrialFile:
    """A whole `trial.toml`; at most one of `allocation` and `minimisation`."""

    name: str
    size: SizeTable | None = None
    looks: LooksTable | None = None
    allocation: AllocationTable | None = None
    minimisation: MinimisationTable | None = None

    @property
    def plan(self) -> Plan | Minimisation:
        """Return who gets what.

        Raises:
            Usage: the file says nothing of it, or what it says makes no plan.
        """
        if self.allocation:
            table = self.allocation
            return Plan(self.name, table.arms, table.blocks, table.strata, table.places)
        if self.minimisation:
            rule = self.minimisation
            return Minimisation(self.name, rule.arms, rule.factors, rule.favour)
        raise Usage(
            "the trial says nothing of who gets what",
            fix="write a table [allocation] or [minimisation]",
        )


def read_trial(path: Path) -> TrialFile:
    """Return the trial that a TOML file describes.

    Raises:
        InvalidStudy: a field is unknown, missing, of another type, or means nothing to
            the endpoint.
        InvalidData: the file cannot be read at all.
        Usage: what it says makes no plan.
    """
    found = record(TrialFile, read_toml(path, InvalidStudy), path.name, InvalidStudy)
    if found.allocation and found.minimisation:
        raise InvalidStudy(f"{path.name}: either [allocation] or [minimisation]")
    if found.size:
        _check_endpoint(found.size, path.name)
        found.size.needed()
    if found.looks:
        found.looks.bounds()
    if found.allocation or found.minimisation:
        found.plan  # noqa: B018 (refuses what makes no plan)
    return found


def _check_endpoint(size: SizeTable, where: str) -> None:
    if size.endpoint not in ENDPOINTS:
        raise InvalidStudy(
            f"{where} [size]: endpoint is one of " + ", ".join(ENDPOINTS)
        )
    read = ENDPOINTS[size.endpoint]
    plain = replace(SizeTable(size.endpoint))
    for name in sorted(set().union(*ENDPOINTS.values())):
        is_given = getattr(size, name) != getattr(plain, name)
        if is_given and name not in read:
            raise InvalidStudy(
                f"{where} [size]: {size.endpoint} has no use for {name!r}",
                fix="it reads " + ", ".join(read),
            )
        if not is_given and name in read and name not in NEED_NOT:
            raise InvalidStudy(f"{where} [size]: {size.endpoint} needs {name!r}")
