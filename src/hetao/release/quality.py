"""What a site may say of its data's quality: bands of a closed list, nothing else.

A site's own report holds counts of patients; what leaves is made of names that the
data dictionary already publishes and of a handful of bands. `grade_quality` makes it
from the counts, `check_graded` holds anything that claims to be one to the same rules,
so that neither a name of the site's own, nor a number, nor an order can carry more.

    {"summary": [{"table", "category", "passing"}, …],
     "failed":  [{"type", "table", "field", "concept", "share"}, …],
     "shortened": whether failures beyond the longest list were left out}

Both lists are sorted by these fields, each entry once.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hetao.dictionary import dictionary
from hetao.dictionary.checks import (
    CATEGORIES,
    FAIL,
    NOT_APPLICABLE,
    OTHER_SYSTEM,
    PASS,
    SEX_GROUPS,
    SOURCES,
    check_types,
)
from hetao.errors import UngradedRelease, WrongShape

FEW: Final = "few"  # fewer rows violate it, or could, than the least cell of the policy
SHARES: Final = ((0.01, "<1%"), (0.05, "1-5%"), (0.20, "5-20%"), (0.50, "20-50%"))
SHARE_BANDS: Final = (FEW, *(label for _, label in SHARES), ">50%")
PASSING: Final = ((0.5, "<50%"), (0.8, "50-80%"), (0.95, "80-95%"), (1.0, ">95%"))
ALL: Final = "all"
PASSING_BANDS: Final = (*(label for _, label in PASSING), ALL)
MOST_FAILED: Final = 100
HIGHEST_LEVEL: Final = 4  # fields above are not even named
SUMMARY_FIELDS: Final = ("table", "category", "passing")
FAILED_FIELDS: Final = ("type", "table", "field", "concept", "share")
EMPTY: Final[Mapping[str, Any]] = {"summary": [], "failed": [], "shortened": False}


@dataclass(frozen=True)
class Counted:
    """One check of a site's report, with the counts that never leave.

    `table` is the dictionary's, or a source's own name.
    """

    type: str
    table: str
    field: str
    concept: str
    violated: int
    rows: int
    status: str


def grade_quality(checks: Iterable[Counted], least: int) -> dict[str, Any]:
    """Return what may leave of a report's checks.

    Args:
        checks: of the site's report.
        least: the least cell of the policy, as the study tightened it: fewer rows
            than this are only ever "few".
    """
    named = [(check, _table(check)) for check in checks]
    failed = {
        _failed_key(entry): entry
        for check, table in sorted(named, key=lambda pair: _share(pair[0]))
        if check.status == FAIL and not _is_too_high(table, check.field)
        for entry in [_failed(check, table, least)]
    }
    worst = sorted(failed.values(), key=lambda e: -SHARE_BANDS.index(e["share"]))
    return {
        "summary": _summary(named),
        "failed": sorted(worst[:MOST_FAILED], key=_failed_key),
        "shortened": len(worst) > MOST_FAILED,
    }


def _table(check: Counted) -> str:
    return check.table if check.table in dictionary().tables else SOURCES


def _share(check: Counted) -> float:
    return check.violated / check.rows if check.rows else 0.0


def _failed(check: Counted, table: str, least: int) -> dict[str, str]:
    share = _share(check)
    band = next((label for limit, label in SHARES if share < limit), ">50%")
    if min(check.violated, check.rows) < least:
        band = FEW
    return {
        "type": check.type,
        "table": table,
        "field": check.field,
        "concept": check.concept,
        "share": band,
    }


def _failed_key(entry: Mapping[str, str]) -> tuple[str, ...]:
    """One entry a check: of several sources, the worst is told."""
    return tuple(entry[name] for name in FAILED_FIELDS[:-1])


def _summary(named: list[tuple[Counted, str]]) -> list[dict[str, str]]:
    statuses: dict[tuple[str, str], list[str]] = {}
    for check, table in named:
        if check.status != NOT_APPLICABLE:
            place = (table, check_types()[check.type].category)
            statuses.setdefault(place, []).append(check.status)
    return [
        {"table": table, "category": category, "passing": _passing(found)}
        for (table, category), found in sorted(statuses.items())
    ]


def _passing(statuses: list[str]) -> str:
    share = statuses.count(PASS) / len(statuses)
    return next((label for limit, label in PASSING if share < limit), ALL)


def _is_too_high(table: str, field: str) -> bool:
    return bool(field) and dictionary().level([f"{table}.{field}"]) > HIGHEST_LEVEL


# --- the gate's side ------------------------------------------------------------------
def check_graded(value: object) -> None:
    """Return quietly if a value says what `grade_quality` could say, and no more.

    Raises:
        WrongShape: a field, a name, a band or the order is not of the closed list.
        UngradedRelease: it names a field of a level that is not named outside.
    """
    if not isinstance(value, Mapping) or set(value) != set(EMPTY):
        raise WrongShape("a quality release has other fields")
    summary, failed = value["summary"], value["failed"]
    if type(value["shortened"]) is not bool:
        raise WrongShape("a quality release does not say whether it was shortened")
    _check_entries(summary, SUMMARY_FIELDS, 3 * (len(dictionary().tables) + 1))
    _check_entries(failed, FAILED_FIELDS, MOST_FAILED)
    if value["shortened"] and len(failed) < MOST_FAILED:
        raise WrongShape("a quality release was shortened without need")
    passing = {_check_summary(entry) for entry in summary}
    for entry in failed:
        if _check_failed(entry) not in passing:
            raise WrongShape("a failed check stands in no part of the summary")


def _check_entries(entries: object, fields: tuple[str, ...], most: int) -> None:
    if not isinstance(entries, list) or len(entries) > most:
        raise WrongShape("a list of a quality release is none, or is too long")
    for entry in entries:
        if not isinstance(entry, Mapping) or set(entry) != set(fields):
            raise WrongShape("an entry of a quality release has other fields")
        if not all(type(text) is str for text in entry.values()):
            raise WrongShape("a quality release holds something other than text")
    # The order is fixed and nothing stands twice, so that neither can say anything.
    keys = [tuple(entry[name] for name in fields[:-1]) for entry in entries]
    if any(a >= b for a, b in itertools.pairwise(keys)):
        raise WrongShape("a quality release is not in its one order")


def _check_summary(entry: Mapping[str, str]) -> tuple[str, str, bool]:
    """Return the part that an entry sums up, and that something in it failed."""
    is_known = entry["table"] in {*dictionary().tables, SOURCES}
    if not is_known or entry["category"] not in CATEGORIES:
        raise WrongShape("a quality release names a part that is not the dictionary's")
    if entry["passing"] not in PASSING_BANDS:
        raise WrongShape("a quality release says more than its band")
    return entry["table"], entry["category"], entry["passing"] != ALL


def _check_failed(entry: Mapping[str, str]) -> tuple[str, str, bool]:
    """Return the part of the summary in which a failed check must stand."""
    type_, table = check_types().get(entry["type"]), entry["table"]
    if type_ is None or entry["share"] not in SHARE_BANDS:
        raise WrongShape("a quality release says more than its band")
    if table not in {*dictionary().tables, SOURCES}:
        raise WrongShape("a quality release names a table that is not the dictionary's")
    if entry["field"]:
        known = table != SOURCES and entry["field"] in dictionary().tables[table].fields
        if not known:
            raise WrongShape("a quality release names a field that is not known")
        if _is_too_high(table, entry["field"]):
            raise UngradedRelease(
                f"a quality release may not name {table}.{entry['field']}",
                fix="its level in the data dictionary is too high",
            )
    if entry["concept"] and entry["concept"] not in _concepts():
        raise WrongShape("a quality release names a concept that is not known")
    return table, type_.category, True


def _concepts() -> frozenset[str]:
    known = dictionary()
    return frozenset((*known.analytes, *known.systems, *SEX_GROUPS, OTHER_SYSTEM))
