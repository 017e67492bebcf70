"""Renewing by itself: an office's own machine says, again and again, that it holds.

A run that lasts longer than a lease stands still unless each side renews. Whoever
renews unattended should do so with a key that can only renew: it can neither approve
nor lift anything, and a permit that somebody stopped stays stopped however often it is
renewed.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hetao.errors import HetaoError, InvalidNetwork
from hetao.federation.register import read_notices
from hetao.permit import (
    Bundle,
    Identity,
    Statement,
    Words,
    format_time,
    parse_time,
    read_bundle,
    sign_notice,
    standing,
    write_bundle,
)
from hetao.permit.lifecycle import Standing

PART: Final = 3  # a lease is renewed when a third of it is over
AGAIN: Final = 60.0  # seconds until a turn that failed is tried anew
KEPT: Final = datetime.timedelta(days=31)  # the longest lease: what is older holds none


@dataclass(frozen=True)
class Renewal:
    """What is renewed, by whom, and where it is told.

    Attributes:
        path: of the permit's file.
        signers: one or several, each of an office.
        into: folders that the file is written into too, such as a site's `notices`.
        words: that go with each renewal.
    """

    path: Path
    signers: Sequence[Identity]
    into: Sequence[Path] = ()
    words: Words = field(default_factory=Words)

    def turn(self, now: datetime.datetime) -> Bundle:
        """Renew once, write it wherever it is to be told, and return the permit.

        What lies in the folders about this permit is taken in first.

        Raises:
            HetaoError: a file does not hold, or a key belongs to no office.
        """
        bundle = read_bundle(self.path)
        for folder in self.into:
            if not folder.is_dir():
                raise InvalidNetwork(f"{folder} is not a folder")
            bundle = bundle.with_notices(_about(bundle, read_notices(folder)))
        if not standing(bundle, now).is_final:
            for signer in self.signers:
                bundle = sign_notice(bundle, signer, "renew", now, self.words)
        for target in (self.path, *(folder / self.path.name for folder in self.into)):
            bundle = write_bundle(
                target, bundle, trimmed=lambda told: without_old(told, now)
            )
        return bundle


def without_old(bundle: Bundle, now: datetime.datetime) -> Bundle:
    """Return a permit without renewals that hold no lease any more.

    Else the file of a permit that is renewed for years would grow past what is read.
    Decisions stay, and whoever was given a renewal before keeps it.
    """
    kept = tuple(
        one.statement
        for one in bundle.heard
        if one.notice.verb != "renew" or parse_time(one.notice.at) > now - KEPT
    )
    return Bundle(bundle.permit, kept)


def _about(bundle: Bundle, notices: Sequence[Statement]) -> tuple[Statement, ...]:
    mine = bundle.permit.digest
    return tuple(one for one in notices if one.body.get("permit") == mine)


def pause(found: Standing, every: float = 0.0) -> float:
    """Return how many seconds to wait for the next turn.

    Args:
        found: how the permit stands, by what was just renewed.
        every: what somebody chose; by default a third of the lease, as varied. Never
            more than half of it: a turn may fail, and the next one is still in time.
    """
    lease = found.terms.lease.total_seconds()
    return min(every or lease / PART, lease / 2)


def keep(
    renewal: Renewal,
    clock: Callable[[], datetime.datetime],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
    every: float = 0.0,
) -> Bundle:
    """Renew until the permit has come to its end; return it.

    The first turn must go through. One that fails later, since a file is just being
    written or a folder is away, is told, and tried again before the lease runs out.

    Raises:
        HetaoError: the first turn fails.
    """
    bundle = renewal.turn(clock())
    while True:
        now = clock()
        found = standing(bundle, now)
        if found.is_final:
            tell(f"the permit is {found.state}: " + "; ".join(found.why))
            return bundle
        tell(f"renewed at {format_time(now)}; the permit is {found.state}")
        sleep(pause(found, every))
        bundle = _again(renewal, clock, sleep, tell)


def _again(
    renewal: Renewal,
    clock: Callable[[], datetime.datetime],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
) -> Bundle:
    """Take a turn, as often as it needs to go through."""
    while True:
        try:
            return renewal.turn(clock())
        except (HetaoError, OSError) as error:
            tell(f"not renewed: {error}")
            sleep(AGAIN)
