"""What is checked of a finding before people see it, in the words of output checkers.

Suppression and rounding changed the finding already; these checks say what was done,
and flag what a person must judge. They run on the finding as it would be shown.

Source:
    SACRO's catalogue of statistics and risks; ESSnet guidelines on output checking
    (2009), for class disclosure and residual degrees of freedom.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from hetao.study import Analysis, Study
from hetao.study.methods import METHODS

FEWEST_DF: Final = 10  # residual degrees of freedom
CLASS_SHARE: Final = 0.9  # of a group in one category: about all of whom it is true


@dataclass(frozen=True)
class Check:
    """One check of one finding.

    Attributes:
        id: its name.
        parameter: what it compares with.
        outcome: "pass"; "changed", where the finding was changed so that it passes;
            "flag", for a person to judge; "off", where the policies ask for none.
        says: where, in names of the study; never a number of people.
    """

    id: str
    parameter: float
    outcome: str
    says: str = ""


def final_checks(
    study: Study,
    name: str,
    shown: Mapping[str, Any],
    changed: tuple[bool, int, int],
) -> list[dict[str, Any]]:
    """Return every check of one finding, as JSON.

    Args:
        study: what was asked.
        name: of the analysis.
        shown: the finding's payload, as people would see it.
        changed: whether small counts were hidden, the smallest count that is shown,
            what counts are multiples of.
    """
    analysis = study.analysis(name)
    withheld, smallest, base = changed
    checks = [
        Check("small-counts", smallest, _outcome(withheld, smallest > 1)),
        Check("rounding", base, _outcome(base > 1, smallest > 1 and base > 1)),
    ]
    if METHODS[analysis.method].is_model:
        checks.append(_residual(shown))
        checks.append(_saturation(study, analysis, shown))
    if shown["model"] in ("table1", "km", "rates", "indicators"):
        where = sorted(set(_classes(shown)))
        says = ", ".join(where)[:500]
        checks.append(
            Check("class-disclosure", CLASS_SHARE, "flag" if where else "pass", says)
        )
    return [{"analysis": name, **asdict(check)} for check in checks]


def checks_of(
    study: Study, findings: Sequence[Mapping[str, Any]], limits: tuple[int, int]
) -> list[dict[str, Any]]:
    """Return every check of a study's findings, in their order.

    Args:
        study: what was asked.
        findings: as a package has them: `analysis`, `finding`, `withheld`.
        limits: the smallest count that is shown, what counts are multiples of.
    """
    return [
        check
        for item in findings
        for check in final_checks(
            study, item["analysis"], item["finding"], (item["withheld"], *limits)
        )
    ]


def _outcome(is_changed: bool, is_on: bool) -> str:
    if not is_on:
        return "off"
    return "changed" if is_changed else "pass"


def _residual(shown: Mapping[str, Any]) -> Check:
    """Few people beyond parameters leave little but the people themselves."""
    people, terms = shown.get("n"), shown.get("terms") or ()
    is_low = people is None or people - len(terms) < FEWEST_DF
    return Check("residual-df", FEWEST_DF, "flag" if is_low else "pass")


def _saturation(study: Study, analysis: Analysis, shown: Mapping[str, Any]) -> Check:
    """A model of categories alone, with a parameter for each cell, gives cells back."""
    levels = {v.name: len(v.levels) for v in study.variables}
    used = {name for name in _variables(analysis) if name in levels}
    if not used or any(not levels[name] for name in used):
        return Check("saturation", 1, "pass")
    cells = math.prod(levels[name] for name in used)
    is_full = len(shown.get("terms") or ()) >= cells
    return Check("saturation", 1, "flag" if is_full else "pass")


def _variables(analysis: Analysis) -> Iterator[str]:
    for term in analysis.terms:
        yield from str(term).replace(":", " ").replace("*", " ").split()


def _classes(shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield where nearly all or none of a group are in a category."""
    for row in shown.get("rows", ()):
        cells = [c for c in row["by_group"] if c.get("percent") is not None]
        if row["variable"] and any(_is_class(c["percent"] / 100) for c in cells):
            yield f"{row['variable']} {row['level'] or row['label']}"
    for curve in shown.get("curves", ()):
        last = curve["survival"][-1:] or [None]
        if last[0] is not None and last[0] <= 1 - CLASS_SHARE:
            yield f"{curve['stratum']}, at the end of its curve"
    for period in shown.get("periods", ()):
        value = period["value"] if shown.get("is_share") else None
        if value is not None and _is_class(value):
            yield str(period["label"])


def _is_class(share: float) -> bool:
    return share >= CLASS_SHARE or share == 0
