"""A quality report → `quality.json` for programs and `quality.html` for people.

The page opens from disk with no network and no script. Whatever a source, a mapping or
a unit is called is text that somebody else wrote: it reaches the page escaped.
"""

import functools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment

from hetao.cdm.quality.check import Check, Distribution, Quality, passing, quality_text
from hetao.dictionary import dictionary
from hetao.dictionary.checks import (
    CATEGORIES,
    FAIL,
    NOT_APPLICABLE,
    PASS,
    CheckType,
    check_types,
)
from hetao.templates import templates_of
from hetao.whole import write_whole

SYMBOLS = {PASS: "✓", FAIL: "✗", NOT_APPLICABLE: "–"}
STEPS = ((1.0, 0), (0.95, 1), (0.9, 2), (0.8, 3), (0.5, 4))  # share that passes → heat
MOST_PLACES = 60  # of one type of check, before the rest is only counted


def write_reports(folder: Path, quality: Quality) -> None:
    """Write both reports into a snapshot's folder, each whole or not at all.

    `lineage.json`, where it stands in the folder, is summed up on the page.
    """
    write_whole(folder / "quality.json", quality_text(quality).encode())
    write_page(folder, quality)


def write_page(folder: Path, quality: Quality, language: str = "") -> Path:
    """Write the page of a report in a language ("" is the site's); return its path."""
    proof = folder / "lineage.json"
    lineage = json.loads(proof.read_text("utf-8")) if proof.exists() else None
    path = folder / "quality.html"
    write_whole(path, page_text(quality, lineage, language).encode())
    return path


@dataclass(frozen=True)
class Cell:
    """One cell of the heat map: how many checks pass, and how it looks."""

    passed: int
    checked: int
    heat: int
    symbol: str

    @property
    def percent(self) -> str:
        """Return the share that passes; 100% is said of all alone."""
        share = 100 * self.passed // self.checked if self.checked else 0
        return f"{share}%" if self.checked else ""


@dataclass(frozen=True)
class Group:
    """The failed checks of one type, worst first."""

    kind: CheckType
    checks: tuple[Check, ...]
    more: int


def page_text(
    quality: Quality, lineage: Mapping[str, object] | None = None, language: str = ""
) -> str:
    """Return the page as one HTML text.

    Args:
        quality: the report.
        lineage: what `lineage.json` holds; None where there is no proof.
        language: "en", "zh-Hant", "zh-Hans" or a tag of one; "" is the site's.
    """
    spoken = language_of(language or quality.language)
    return (
        _environment()
        .get_template("quality.html.j2")
        .render(
            quality=quality,
            language=spoken,
            words=_words()[spoken],
            dictionary=dictionary(),
            categories=CATEGORIES,
            symbols=SYMBOLS,
            statuses={s: _count(quality, s) for s in SYMBOLS},
            heat=_heat(quality),
            groups=_groups(quality),
            drift=[c for c in quality.checks if c.type.startswith("drift-")],
            proof=_proof(lineage),
            charts=[(d, _bars(d)) for d in quality.statistics.analytes],
            by_table=_by_table(quality),
        )
    )


def language_of(tag: str) -> str:
    """Return which of the report's languages a tag asks for; English by default."""
    lowered = tag.lower().replace("_", "-")
    if not lowered.startswith("zh"):
        return "en"
    traditional = ("zh-hant", "zh-hk", "zh-tw", "zh-mo")
    return "zh-Hant" if lowered.startswith(traditional) else "zh-Hans"


@functools.cache
def _words() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("hetao.cdm.quality").joinpath("words.toml").read_bytes()
    return tomllib.loads(text.decode("utf-8"))


@functools.cache
def _environment() -> Environment:
    return templates_of("hetao.cdm.quality")


def _count(quality: Quality, status: str) -> int:
    return sum(check.status == status for check in quality.checks)


def _heat(quality: Quality) -> list[tuple[str, list[Cell]]]:
    """Return a row of cells for each table, the worst table first."""
    tables = list(dict.fromkeys(check.table for check in quality.checks))
    rows = []
    for table in tables:
        checks = [c for c in quality.checks if c.table == table]
        cells = [_cell([c for c in checks if c.kind.category == k]) for k in CATEGORIES]
        if any(cell.checked for cell in cells):
            worst = min(c.passed / c.checked for c in cells if c.checked)
            rows.append(
                (worst, -sum(c.checked - c.passed for c in cells), table, cells)
            )
    return [(table, cells) for _, _, table, cells in sorted(rows, key=lambda r: r[:3])]


def _cell(checks: list[Check]) -> Cell:
    share = passing(checks)
    if share is None:
        return Cell(0, 0, 0, SYMBOLS[NOT_APPLICABLE])
    judged = [c for c in checks if c.status != NOT_APPLICABLE]
    heat = next((step for least, step in STEPS if share >= least), 5)
    symbol = SYMBOLS[PASS] if share == 1 else SYMBOLS[FAIL]
    passed = sum(c.status == PASS for c in judged)
    return Cell(passed, len(judged), heat, symbol)


def _groups(quality: Quality) -> list[Group]:
    """Group failures by type, types by their worst failure: what to do is said once."""
    found: dict[str, list[Check]] = {}
    for check in quality.failed():
        found.setdefault(check.type, []).append(check)
    return [
        Group(
            check_types()[name],
            tuple(checks[:MOST_PLACES]),
            max(0, len(checks) - MOST_PLACES),
        )
        for name, checks in found.items()
    ]


def _by_table(quality: Quality) -> list[tuple[str, list[Check]]]:
    tables: dict[str, list[Check]] = {}
    for check in quality.checks:
        tables.setdefault(check.table, []).append(check)
    return list(tables.items())


def _proof(lineage: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Sum up a proof of lineage: how many columns, and which are pseudonyms of what."""
    tables = lineage.get("tables") if lineage else None
    if not isinstance(tables, Mapping):
        return None
    columns = [
        (f"{table}.{column}", flow)
        for table, flows in tables.items()
        for column, flow in flows.items()
    ]
    hidden = [(place, flow["pseudonym_of"]) for place, flow in columns]
    return {
        "columns": len(columns),
        "pseudonyms": [(place, ", ".join(of)) for place, of in hidden if of],
    }


def _bars(distribution: Distribution) -> list[float]:
    """Return each bar's height, the highest being 1."""
    highest = max(distribution.bars, default=0) or 1
    return [bar / highest for bar in distribution.bars]
