"""The people of a year, over all permits of a site: many small ones are a large one."""

import datetime

from hetao.federation.memory import Memory
from hetao.permit import Party
from hetao.permit.law import Law, check_count, day_of_law
from hetao.release.differencing import Ints

MAINLAND = "SZ"  # side whose law counts what leaves it


def count_people(
    memory: Memory,
    site: Party,
    law: Law | None,
    who: tuple[str, Ints],
    now: datetime.datetime,
) -> None:
    """Count a run's people among those of this year, under every permit, or refuse.

    Args:
        memory: of the site.
        site: whose people they are.
        law: what the permit says of the law; None if no facts were given. Then people
            are counted, for other permits, and not refused.
        who: whose identifiers they are, and their places in the memory.
        now: UTC time.

    Raises:
        TooManyPeople: a Mainland site would reach the number at which other rules
            apply to the permit.
    """

    def check(people: int) -> None:
        if law is not None and site.side == MAINLAND:
            check_count(law, people, site.name)

    memory.count(day_of_law(now).year, who, check)
