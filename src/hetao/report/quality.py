"""What a site stated of its data's quality: bands by table and category, failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.dictionary.checks import CATEGORIES, LANGUAGES, check_types
from hetao.report.sentences import Said, same, say

# Bands of `hetao.release.quality`, as steps of a heat scale.
SHARE_HEAT = {"<1%": 1, "few": 1, "1-5%": 2, "5-20%": 3, "20-50%": 4, ">50%": 5}
PASSING_HEAT = {"all": 0, ">95%": 1, "80-95%": 3, "50-80%": 4, "<50%": 5}
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """How many checks of one table and category pass: a band, or nothing to check."""

    passing: str
    heat: int


@dataclass(frozen=True)
class Failure:
    """One check that failed, as a reader is told of it."""

    type: str
    label: Said
    meaning: Said
    place: str
    concept: str
    share: str
    heat: int


@dataclass(frozen=True)
class QualityView:
    """One site's statement.

    Attributes:
        tables: each table with a cell for each of Kahn's categories.
        failures: those who concern most rows first.
        shortened: whether more failed than are listed.
        worst: the worst band of each category, over all tables.
    """

    tables: tuple[tuple[str, tuple[Cell, ...]], ...]
    failures: tuple[Failure, ...]
    shortened: bool
    worst: tuple[Cell, ...]


def quality_of(closing: Mapping[str, Any]) -> QualityView:
    """Return the statement in a site's closing; an empty one where it made none."""
    stated = closing.get("quality")
    stated = stated if isinstance(stated, Mapping) else {}
    cells: dict[str, dict[str, Cell]] = {}
    for entry in stated.get("summary") or ():
        passing = str(entry.get("passing", ""))
        row = cells.setdefault(str(entry.get("table", "")), {})
        cell = Cell(_band(passing), PASSING_HEAT.get(passing, 5))
        row[str(entry.get("category", ""))] = cell
    tables = tuple((name, _row(row)) for name, row in cells.items())
    failures = tuple(_failure(entry) for entry in stated.get("failed") or ())
    return QualityView(
        tables,
        tuple(sorted(failures, key=lambda one: -one.heat)),
        bool(stated.get("shortened")),
        tuple(
            _worst(row[place] for _, row in tables) for place in range(len(CATEGORIES))
        ),
    )


def _band(text: str) -> str:
    return say(f"band_{text}") if text in ("all", "few") else text


def _row(found: Mapping[str, Cell]) -> tuple[Cell, ...]:
    return tuple(found.get(category, Cell(NOTHING, 0)) for category in CATEGORIES)


def _worst(cells: Any) -> Cell:
    stated = [cell for cell in cells if cell.passing != NOTHING]
    return max(stated, key=lambda cell: cell.heat, default=Cell(NOTHING, 0))


def _failure(entry: Mapping[str, Any]) -> Failure:
    name, share = str(entry.get("type", "")), str(entry.get("share", ""))
    known = check_types().get(name)
    words = [known.wording[one] for one in LANGUAGES] if known else []
    place = ".".join(filter(None, (str(entry.get(k, "")) for k in ("table", "field"))))
    return Failure(
        type=name,
        label=Said(*(one.label for one in words)) if words else same(name),
        meaning=Said(*(one.meaning for one in words)) if words else same(""),
        place=place,
        concept=str(entry.get("concept", "")),
        share=_band(share),
        heat=SHARE_HEAT.get(share, 5),
    )
