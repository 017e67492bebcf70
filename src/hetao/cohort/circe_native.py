"""CIRCE definitions → the study's own cohort algebra, where it can say the same.

A definition becomes a `Study` (who enters and when, and which criteria hold) and an
`Exit` (when it ends and how periods join). What the algebra cannot say is refused by
the name of the first such feature, never approximated. `tests/support_circe_plan.py`
carries the two out by the plans that any study's cohort is made of, and the rows are
those of OHDSI's own SQL.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hetao.dictionary import dictionary
from hetao.study import Analysis, ConceptSet, Event, Study, Variable
from hetao.study.circe import EVERY, MALFORMED, Entrants, entrants, malformed
from hetao.study.circe_events import beyond, event_of, whole


@dataclass(frozen=True)
class Exit:
    """When somebody leaves a cohort; always at the end of their observation at last.

    Attributes:
        days: after the start or the end of the entry event; None: no such end.
        from_end: count `days` from the event's end.
        exposure: end with the exposure to this event's drugs.
        gap_days: from the last day of a supply to the first of the next, at most, to
            join them.
        grace_days: days after the last one.
        supply_days: taken for every row's days of supply; None: what the row says.
        censor: the first such event on or after the start ends it.
        pad_days: periods that lie so near become one.
        window: (first, last) day to which every period is cut.
    """

    days: int | None = None
    from_end: bool = False
    exposure: Event | None = None
    gap_days: int = 0
    grace_days: int = 0
    supply_days: int | None = None
    censor: tuple[Event, ...] = ()
    pad_days: int = 0
    window: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class NativeCohort:
    """A CIRCE definition in our own terms.

    Attributes:
        study: population, criteria and concept sets; one variable, one count.
        exit: when a period ends.
        one_row: of several entry rows on the index day only the one of the least key
            counts, not the one that ends last.
    """

    study: Study
    exit: Exit
    one_row: bool


def translate(definition: Mapping[str, Any], name: str = "imported") -> NativeCohort:
    """Return the native form of a CIRCE definition.

    Raises:
        InvalidStudy: the definition is not of CIRCE's shape, or (NotExpressible, a
            kind of it) asks something that the algebra cannot say; the first such
            feature is named.
    """
    try:
        return _translate(definition, name)
    except MALFORMED as error:
        raise malformed() from error


def _translate(definition: Mapping[str, Any], name: str) -> NativeCohort:
    who = entrants(definition)
    exits = _exit(definition, who.sets)
    _check_ends(exits, who, definition)
    occurrence = who.population.occurrence
    study = Study(
        name=name,
        title=name,
        question="imported from CIRCE",
        version="1",
        dictionary=dictionary().name,
        dictionary_digest=dictionary().digest,
        sites=("here",),
        variables=(Variable("age", "number", "age", bounds=(0.0, 150.0)),),
        analyses=(Analysis("count", "counts"),),
        criteria=who.criteria,
        concepts=who.used(exits.censor, exits.exposure),
        population=who.population,
    )
    return NativeCohort(study, exits, one_row=who.is_first or occurrence != EVERY)


# --- when it ends -------------------------------------------------------------------
def _exit(definition: Mapping[str, Any], sets: Mapping[int, ConceptSet]) -> Exit:
    censor = tuple(
        event_of(one, sets, "censoring")
        for one in definition.get("CensoringCriteria") or []
    )
    for one in definition.get("CensoringCriteria") or []:
        for body in one.values():
            for key in ("First", "Age", "Gender", "OccurrenceStartDate"):
                if body.get(key):
                    raise beyond(f"{key} of a censoring event")
    collapse = definition.get("CollapseSettings") or {}
    window = definition.get("CensorWindow") or {}
    found = Exit(
        censor=censor,
        pad_days=whole(collapse.get("EraPad"), 0),
        window=(_iso(window.get("StartDate")), _iso(window.get("EndDate"))),
    )
    strategy = definition.get("EndStrategy") or {}
    if "DateOffset" in strategy:
        offset = strategy["DateOffset"]
        return replace(
            found,
            days=whole(offset.get("Offset"), 0),
            from_end=offset.get("DateField") == "EndDate",
        )
    if "CustomEra" in strategy:
        era = strategy["CustomEra"]
        supply = era.get("DaysSupplyOverride")
        codes = {"DrugExposure": {"CodesetId": era["DrugCodesetId"]}}
        return replace(
            found,
            exposure=event_of(codes, sets, "an exposure"),
            gap_days=whole(era.get("GapDays"), 0),
            grace_days=whole(era.get("Offset"), 0),
            supply_days=None if supply is None else whole(supply, 0),
        )
    if any(strategy.values()):
        raise beyond(f"the end strategy {next(iter(strategy))}")
    return found


def _iso(text: Any) -> str:
    return datetime.date.fromisoformat(str(text)).isoformat() if text else ""


def _check_ends(exits: Exit, who: Entrants, definition: Mapping[str, Any]) -> None:
    """Refuse an end that hangs on which of one day's events is picked."""
    if not exits.from_end or who.population.occurrence == EVERY:
        return
    tables = {event.table for event in who.population.entry}
    limit = definition["PrimaryCriteria"]["PrimaryCriteriaLimit"].get("Type")
    picked_later = str(limit or "FIRST").upper() == "ALL"
    if not who.is_first and (picked_later or len(tables) > 1):
        raise beyond("an exit by the end of one of a day's several events")
