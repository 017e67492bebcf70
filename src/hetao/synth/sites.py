"""The made-up hospitals and clinics: who they are, how large, how they practise."""

import itertools
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from hetao.errors import InvalidData
from hetao.records import read_toml, record

SHIPPED: Final = ("gba", "ha")
SIDES: Final = ("HK", "SZ")
KINDS: Final = ("hospital", "clinic")
FEWEST_PEOPLE: Final = 1
SITE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class SyntheticSite:
    """One made-up site.

    Attributes:
        side: "HK" or "SZ"; kind: "hospital" or "clinic".
        profile: the form of its extract.
        share: its part of all people, relative to the other sites' shares.
        risk: log of its outcome rates against the world's.
        preference: log odds by which its doctors prefer the newer drug.
        designated: whether it may use special products.
        first, last: person numbers, both included; from `allot`.
    """

    name: str
    title: str
    side: str
    kind: str
    profile: str
    share: float
    risk: float = 0.0
    preference: float = 0.0
    designated: bool = False
    first: int = 0
    last: int = -1

    @property
    def people(self) -> int:
        """Return how many people it has."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Group:
    """Sites by rule: `count` of them, sizes in proportion to rank^-skew."""

    name: str
    title: str
    count: int
    side: str
    kind: str
    profile: str
    share: float
    skew: float
    risk: float
    preference: float


def read_sites(file: str | Path) -> tuple[SyntheticSite, ...]:
    """Return the sites of a file, or of one that Hetao ships ("gba", "ha").

    Raises:
        InvalidData: the file does not describe sites.
    """
    if str(file) in SHIPPED:
        with resources.as_file(resources.files("hetao.synth") / "sites") as folder:
            tables = read_toml(folder / f"{file}.toml", InvalidData)
    else:
        tables = read_toml(Path(file), InvalidData)
    unknown = set(tables) - {"sites", "groups"}
    if unknown or not tables:
        raise InvalidData(
            f"{file} is no list of sites", fix="write [[sites]] or [[groups]]"
        )
    sites = [
        record(SyntheticSite, row, f"{file}, site {number}", InvalidData)
        for number, row in enumerate(tables.get("sites", []), 1)
    ]
    for number, row in enumerate(tables.get("groups", []), 1):
        group = record(Group, row, f"{file}, group {number}", InvalidData)
        sites.extend(_members(group))
    _check(sites, str(file))
    return tuple(sites)


def allot(sites: tuple[SyntheticSite, ...], people: int) -> tuple[SyntheticSite, ...]:
    """Give each site its people: person numbers 1 to `people`, one range a site.

    Raises:
        InvalidData: a site would have nobody.
    """
    total = sum(site.share for site in sites)
    ends = [
        round(people * part / total)
        for part in itertools.accumulate(site.share for site in sites)
    ]
    allotted = tuple(
        SyntheticSite(**{**site.__dict__, "first": before + 1, "last": end})
        for site, before, end in zip(sites, [0, *ends[:-1]], ends, strict=True)
    )
    if any(site.people < FEWEST_PEOPLE for site in allotted):
        raise InvalidData(
            "so few people do not reach every site", fix="ask for more --persons"
        )
    return allotted


def _members(group: Group) -> list[SyntheticSite]:
    sizes = [(rank + 1) ** -group.skew for rank in range(group.count)]
    total = sum(sizes)
    members = []
    for rank, size in enumerate(sizes):
        # Two steps of the golden ratio: even over the width, in no order of size.
        risk = 2 * ((rank + 1) * 0.6180339887498949 % 1) - 1
        preference = 2 * ((rank + 1) * 0.7548776662466927 % 1) - 1
        members.append(
            SyntheticSite(
                name=f"{group.name}-{rank + 1:03d}",
                title=f"{group.title} {rank + 1}",
                side=group.side,
                kind=group.kind,
                profile=group.profile,
                share=group.share * size / total,
                risk=round(group.risk * risk, 6),
                preference=round(group.preference * preference, 6),
            )
        )
    return members


def _check(sites: list[SyntheticSite], file: str) -> None:
    names = [site.name for site in sites]
    if not sites or len(set(names)) != len(names):
        raise InvalidData(f"{file}: no sites, or two of one name")
    for site in sites:
        if not SITE_NAME.fullmatch(site.name):
            raise InvalidData(
                f"{file}: {site.name[:40]!r} is no name of a site",
                fix="use a to z, digits and hyphens, 40 at most",
            )
        if site.side not in SIDES or site.kind not in KINDS or not site.share > 0:
            raise InvalidData(
                f"{file}: site {site.name[:40]!r} has a side, kind or share that "
                "cannot be",
                fix=f"side: {' or '.join(SIDES)}; kind: {' or '.join(KINDS)}; "
                "share above 0",
            )
