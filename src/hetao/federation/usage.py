"""How much of its budgets a site has used, for its own people: exact shares.

It is read beside a site that may be serving, and writes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from hetao.federation.self_service import spent_of
from hetao.federation.site import SiteSetup
from hetao.ledger.durable import reading
from hetao.release.differencing import UNITS

CARRIED: Final = {"shown": "load", "told": "told"}  # budget → the memory's table


@dataclass(frozen=True)
class Used:
    """One budget of a site, and how much of it is used.

    Attributes:
        budget: "shown", statistics that people see; "told", numbers that the rounds of
            models tell; "private", the privacy loss of counts with noise.
        snapshot: digest of the data whose people are meant; "" of "private", which is
            for good.
        used: about the person of whom most was shown or told, for each person.
        most: that may be.
    """

    budget: str
    snapshot: str
    used: float
    most: float


def usage(setup: SiteSetup) -> tuple[Used, ...]:
    """Return every budget of a site of which something is used, or was set aside.

    Raises:
        InvalidData: the site's memory cannot be read.
    """
    policy = setup.policy
    most = {"shown": policy.shown_share, "told": policy.told_share}
    found = [
        Used(budget, snapshot, used, most[budget])
        for budget, snapshot, used in _carried(setup)
    ]
    spent = spent_of(setup)
    if spent or policy.privacy.epsilon:
        found.append(Used("private", "", spent, policy.privacy.epsilon))
    return tuple(found)


def _carried(setup: SiteSetup) -> Iterator[tuple[str, str, float]]:
    path = setup.folder / "releases.sqlite"
    if not path.is_file():
        return
    with reading(path, "the site's memory of its releases") as store:
        for budget, table in CARRIED.items():
            text = f"SELECT snapshot, units FROM {table} ORDER BY snapshot"  # noqa: S608
            most: dict[str, float] = {}
            for snapshot, units in store.execute(text):
                load = np.frombuffer(units, dtype="<u8")
                share = int(load.max(initial=0)) / UNITS
                most[snapshot] = max(most.get(snapshot, 0.0), share)
            for snapshot, share in most.items():
                yield budget, snapshot, share
