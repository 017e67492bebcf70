"""The author's `[population]`, `[follow_up]`, `[outcomes]` … → canonical fields.

An event is written by its table: `{ condition = ["afib"] }`, and with a value
`{ measurement = ["hba1c"], at_least = 6.5, unit = "%" }`.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from hetao.errors import InvalidStudy
from hetao.study.population import DEEPEST, EVER, SEXES, TABLES

POPULATION = (
    "entry",
    "entry_concepts",
    "occurrence",
    "period",
    "ages",
    "sexes",
    "months",
    "prior_observation_days",
    "post_observation_days",
    "washout_days",
    "arms",
    "same_day",
    "dates",
    "criteria",
)
MOST_DAY = 28  # that every month has
VALUE = ("at_least", "at_most", "above", "below", "unit")


def population_fields(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields `population` and `criteria` of a study.

    Raises:
        InvalidStudy: a field is unknown or has another form.
    """
    place = f"{where} [population]"
    _only(table, POPULATION, place)
    body = dict(table)
    flat: dict[str, Any] = {}
    criteria = body.pop("criteria", None)
    if criteria is not None:
        if not isinstance(criteria, list | tuple):
            raise InvalidStudy(f"{place}: criteria is not a list")
        flat["criteria"] = [_criterion(one, place, 1) for one in criteria]
    visits = body.pop("entry_concepts", None)
    if visits is not None:
        if "entry" in body:
            raise InvalidStudy(
                f"{place}: entry and entry_concepts both say who enters",
                fix="write entry = { visit = […] } alone",
            )
        body["entry"] = [{"visit": visits}] if visits else []
    if "entry" in body:
        body["entry"] = _events(body["entry"], f"{place} entry")
    if "period" in body:
        body["period"] = _period(body["period"])
    if "dates" in body:
        body["dates"] = _dates(body["dates"], place)
    if "arms" in body:
        body["arms"] = named(body["arms"], f"{where} [population.arms]", _arm)
    return flat | {"population": body}


def follow_up_fields(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `[follow_up]` as the fields of a `FollowUp`."""
    place = f"{where} [follow_up]"
    body = dict(table)
    if "censor" in body:
        body["censor"] = _events(body["censor"], f"{place} censor")
    exposure = body.get("exposure")
    if isinstance(exposure, Mapping) and "events" in exposure:
        events = _events(exposure["events"], f"{place} exposure")
        body["exposure"] = {**exposure, "events": events}
    return body


def interval_fields(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `[intervals]` as the fields of an `Intervals`."""
    body = dict(table)
    if "days" in body:
        body["days"] = _period(body["days"])
    if "windows" in body:
        place = f"{where} [intervals.windows]"
        body["windows"] = named(body["windows"], place, _arm)
    return body


def outcome_fields(table: Any, where: str) -> list[dict[str, Any]]:
    """Return `[outcomes]` as the fields of one `Outcome` a name."""
    return named(table, f"{where} [outcomes]", _outcome)


def score_item_fields(body: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return one item of a score with its events spelled out."""
    flat = dict(body)
    if "events" in flat:
        flat["events"] = _events(flat["events"], place)
    return flat


def matching_fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return `[matching]` with `nearest = { age = 2 }` as a list."""
    body = dict(table)
    nearest = body.get("nearest")
    if isinstance(nearest, Mapping):
        body["nearest"] = [
            {"variable": name, "caliper": caliper} for name, caliper in nearest.items()
        ]
    return body


def value_fields(body: dict[str, Any]) -> dict[str, Any] | None:
    """Take what is said about a row's value out of an event's table."""
    value = {key: body.pop(key) for key in VALUE if key in body}
    if "answers" in body:
        value["concepts"] = body.pop("answers")
    return value or None


def event_fields(body: Any, place: str) -> dict[str, Any]:
    """Return `{ condition = ["afib"], … }` as the fields of an `Event`."""
    if not isinstance(body, Mapping):
        raise InvalidStudy(
            f"{place}: expected an event", fix='write { condition = ["afib"] }'
        )
    rest = dict(body)
    within = rest.pop("within_visit", None)
    matched = rest.pop("matched", None)
    tables = [key for key in rest if key in TABLES]
    if len(tables) != 1:
        raise InvalidStudy(
            f"{place}: an event names one table",
            fix="one of " + ", ".join(TABLES) + ' as in { drug = ["warfarin"] }',
        )
    table = tables[0]
    flat: dict[str, Any] = {"table": table, "concepts": rest.pop(table)}
    value = value_fields(rest)
    if value is not None:
        flat["value"] = value
    if within is not None:
        flat["visit"] = within
    if matched is not None:
        flat["matched"] = matched
    if rest:
        raise InvalidStudy(
            f"{place}: unknown field {str(next(iter(rest)))[:60]!r} of an event",
            fix="known: the table, within_visit, matched, answers, " + ", ".join(VALUE),
        )
    return flat


def named(table: Any, place: str, read: Any) -> list[dict[str, Any]]:
    """Return `[place.NAME]` tables as a list with names, in the author's order."""
    if not isinstance(table, Mapping):
        raise InvalidStudy(f"{place}: expected a table for each name")
    found = []
    for name, body in table.items():
        if not isinstance(body, Mapping) or "name" in body:
            raise InvalidStudy(f"{place} {str(name)[:60]}: expected a table")
        found.append({"name": name, **read(body, f"{place} {name}")})
    return found


def _events(value: Any, place: str) -> list[dict[str, Any]]:
    several = value if isinstance(value, list | tuple) else [value]
    return [event_fields(one, place) for one in several]


def _arm(body: Mapping[str, Any], place: str) -> dict[str, Any]:
    flat = dict(body)
    if "events" in flat:
        flat["events"] = _events(flat["events"], place)
    return flat


def _outcome(body: Mapping[str, Any], place: str) -> dict[str, Any]:
    flat = _arm(body, place)
    if "competing" in flat:
        flat["competing"] = _events(flat["competing"], place)
    return flat


def _criterion(body: Any, place: str, depth: int) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise InvalidStudy(f"{place}: a criterion is a table with a label")
    if depth > DEEPEST:
        raise InvalidStudy(f"{place}: criteria stand more than {DEEPEST} deep")
    flat = dict(body)
    if "events" in flat:
        flat["events"] = _events(flat["events"], place)
        if "at_most" in flat:
            flat.setdefault("at_least", 0)
    if "days" in flat:
        flat["days"] = window(flat["days"])
    for key in ("all_of", "any_of", "none_of"):
        if isinstance(flat.get(key), list | tuple):
            flat[key] = [_criterion(one, place, depth + 1) for one in flat[key]]
    return flat


def window(value: Any) -> Any:
    """Return `[from, to]` in days; "ever" at either end is no limit there."""
    if isinstance(value, list | tuple) and len(value) == 2 and "ever" in value:
        low, high = value
        return [-EVER if low == "ever" else low, EVER if high == "ever" else high]
    return value


def _dates(value: Any, place: str) -> Any:
    """Return days, also of `{ first, last, months }`: one every so many months."""
    if not isinstance(value, Mapping):
        return _period(value)
    _only(value, ("first", "last", "months"), f"{place} dates")
    first, last, months = (value.get(key) for key in ("first", "last", "months"))
    if (
        not isinstance(first, datetime.date)
        or not isinstance(last, datetime.date)
        or first.day > MOST_DAY
        or last < first
        or type(months) is not int
        or months < 1
    ):
        raise InvalidStudy(
            f"{place}: dates has a first and a last day, and whole months between",
            fix="write dates = { first = 2020-01-01, last = 2023-10-01, months = 3 }, "
            f"the first on a day up to the {MOST_DAY}th",
        )
    count = (last.year - first.year) * 12 + last.month - first.month
    every = (first.month - 1 + step for step in range(0, count + 1, months))
    days = [
        first.replace(year=first.year + month // 12, month=month % 12 + 1)
        for month in every
    ]
    return _period([day for day in days if day <= last])


def _period(value: Any) -> Any:
    """TOML has dates of its own; the canonical form has their text."""
    if not isinstance(value, list | tuple):
        return value
    return [
        day.isoformat()
        if isinstance(day, datetime.date) and not isinstance(day, datetime.datetime)
        else day
        for day in value
    ]


def _only(table: Mapping[str, Any], fields: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in fields:
            raise InvalidStudy(
                f"{where}: unknown field {str(key)[:60]!r}",
                fix="known: " + ", ".join(fields),
            )


# --- variables ----------------------------------------------------------------------
NO_YES = [{"name": "no", "value": 0}, {"name": "yes", "value": 1}]
PAIRS = (
    "condition",
    "drug",
    "procedure",
    "device",
    "visit",
    "events",
    "outcome",
    "window",
)


def variable_fields(
    name: str, body: Any, arms: list[dict[str, Any]], where: str
) -> dict[str, Any]:
    """Return `[variables.NAME]` as the fields of a `Variable`.

    What is absent or present is a category of the levels no and yes unless the
    author names others; the variable of the arms has the arms as its levels.

    Raises:
        InvalidStudy: it is no table, or names itself.
    """
    place = f"{where} [variables.{name}]"
    if not isinstance(body, Mapping):
        raise InvalidStudy(f"{place}: expected a table")
    if "name" in body:
        raise InvalidStudy(f"{place}: unknown field 'name'")
    flat = {"name": name, **body}
    _default_levels(flat, arms)
    levels = flat.get("levels")
    if isinstance(levels, Mapping):
        flat["levels"] = [{"name": k, "value": v} for k, v in levels.items()]
    if "window_days" in flat:
        flat["window_days"] = window(flat["window_days"])
    if "events" in flat:
        flat["events"] = _events(flat["events"], place)
    if isinstance(flat.get("value"), Mapping):
        value = dict(flat["value"])
        flat["value"] = value_fields(value)
        if value:
            raise InvalidStudy(
                f"{place}: unknown field {str(next(iter(value)))[:60]!r} of a value",
                fix="known: answers, " + ", ".join(VALUE),
            )
    return flat


def _default_levels(flat: dict[str, Any], arms: list[dict[str, Any]]) -> None:
    source = flat.get("source")
    is_pair = source in PAIRS and flat.get("aggregate", "any") == "any"
    is_pair |= source in ("measurement", "observation") and (
        flat.get("aggregate") == "any"
    )
    if "kind" not in flat:
        flat["kind"] = "category" if is_pair or source in ("arm", "sex") else "number"
    if "levels" in flat or flat["kind"] != "category":
        return
    if source == "arm":
        flat["levels"] = [
            {"name": arm["name"], "value": place} for place, arm in enumerate(arms)
        ]
    elif source == "sex":
        flat["levels"] = [
            {"name": sex, "value": SEXES[sex]} for sex in ("female", "male")
        ]
    elif is_pair:
        flat["levels"] = NO_YES
