"""Over which sites something is summed, and whose part several such sums give away.

Two sums of the same people over lists of sites that differ by one give that site's part
by subtraction. A site is told of no other site's people; it sees the lists, and what it
has shown itself. Why so: `docs/decisions/0026-lists-of-sites.md`.
"""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from hetao.errors import TooFewSites
from hetao.study import Study


@dataclass(frozen=True)
class Summed:
    """The sites of a sum, and those of them that may be told apart in it.

    Attributes:
        sites: all of them.
        apart: those that hold their own parts to what one site may show by itself.
        least: fewest sites whose sum tells no site apart, when it was let out.
    """

    sites: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    least: int = 1


NOWHERE: Final = Summed()


def summed(
    study: Study, members: Collection[str], least: int, *, publishable: bool
) -> Summed:
    """Return over whom an analysis is summed, and who may be told apart.

    These are the sites that the study names; all of them, where fewer than the least
    are left without those; and all, where a sum that may be published by itself may be
    opened once more over fewer sites.

    Args:
        study: which names sites and says what happens to a lost one.
        members: the sites that are summed.
        least: fewest sites whose sum tells no site apart.
        publishable: of the estimator.
    """
    sites = frozenset(members)
    apart = sites & frozenset(study.told_apart)
    again = publishable and study.on_lost_site == "continue"
    everyone = again or len(sites - apart) < least
    return Summed(sites, sites if everyone else apart, least)


def tells_few(lists: Collection[Summed], least: int) -> bool:
    """Return whether sums over these lists may give few sites' parts away together.

    The people are the same in all, or add up to nobody, at each site that stands in
    every list: there they cancel. What is left is about the sites that do not. Nor may
    it be about few when the parts of those that may be told apart are taken off.

    Args:
        lists: of each sum.
        least: fewest sites that may be left, if any are; if no sum asked for more.
    """
    least = max(least, *(one.least for one in lists))
    known = frozenset[str]().union(*(one.apart for one in lists))
    for one in lists:
        rest = one.sites - known
        if rest != one.sites - one.apart and 0 < len(rest) < least:
            return True
    every = functools.reduce(frozenset.intersection, (one.sites for one in lists))
    left = known.union(*(one.sites for one in lists)) - every
    held = {s for s in left if all(s in one.apart for one in lists if s in one.sites)}
    return 0 < len(left - held) < least


def check_agrees(site: str, agrees: bool, study: Study) -> None:
    """Return quietly unless a study would tell a site apart that does not agree.

    Raises:
        TooFewSites: it does not.
    """
    if site in study.told_apart and not agrees:
        raise TooFewSites(
            f"{site} does not let its own part be told apart",
            fix="take it off told_apart under [sites], or leave the site out",
        )
