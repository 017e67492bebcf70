"""The people of a year, over all permits of a site: many small ones are a large one."""

import datetime

import numpy as np

from hetao.federation.memory import Memory
from hetao.permit import Party, Permit
from hetao.permit.law import check_count, day_of_law
from hetao.permit.within import check_people
from hetao.release.differencing import Ints

MAINLAND = "SZ"  # side whose law counts what leaves it


def count_people(
    memory: Memory,
    site: Party,
    permit: Permit,
    who: tuple[str, Ints],
    now: datetime.datetime,
) -> None:
    """Count a run's people among those of this year, under every permit, or refuse.

    They are held against the terms of the permit's bases, too.

    Args:
        memory: of the site.
        site: whose people they are.
        permit: of the run. Where it says nothing of the law, for no facts were given,
            people are counted, for other permits, and not refused.
        who: whose identifiers they are, and their places in the memory.
        now: UTC time.

    Raises:
        TooManyPeople: a Mainland site would reach the number at which other rules
            apply to the permit.
        BeyondBasis: a basis does not allow so many people.
    """
    check_people(permit, site.name, len(np.unique(who[1])))
    law = permit.law

    def check(people: int) -> None:
        if law is not None and site.side == MAINLAND:
            check_count(law, people, site.name)

    memory.count(day_of_law(now).year, who, check)
