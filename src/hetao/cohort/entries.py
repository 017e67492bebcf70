"""Who is in a cohort from which day to which: rows that name people, inside a site."""

import datetime

from hetao.cdm.engine import Engine
from hetao.cohort.entry import CANDIDATE
from hetao.cohort.people import PEOPLE, make_people
from hetao.cohort.wanted import Wanted
from hetao.study import Study

Entry = tuple[int, datetime.date, datetime.date]


def entries(study: Study, engine: Engine) -> list[Entry]:
    """Return `(person_id, first day, last day)` of everyone in a study's cohort.

    Patient rows: they never leave the site. The first day is the index day. The last
    is the last day at risk of who is followed, else the end of the observation that
    holds the index day, else the index day. With every occurrence a person comes as
    often as they enter. The order is that of people, then of days. Criteria about
    variables and matching are not looked at: they are about columns, not days.

    Args:
        study: written for OMOP tables.
        engine: over a site's tables.
    """
    wanted = Wanted(engine, study)
    wanted.resolve()
    make_people(study, wanted)
    last = "coalesce(c.obs_end, p.day)"
    if study.follow_up is not None:
        last = "p.end_day"
    found = engine.rows(
        f"SELECT p.person_id, p.day, {last} AS last_day FROM {PEOPLE} p "  # noqa: S608
        f"JOIN {CANDIDATE} c ON c.person_id = p.person_id AND c.day = p.day "
        "ORDER BY p.place"
    )
    wanted.forget()
    return [(int(person), first, end) for person, first, end in found]
