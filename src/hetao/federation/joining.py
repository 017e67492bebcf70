"""May a site's data join a study, and what the site states of their quality."""

from collections.abc import Mapping
from typing import Any

from hetao.cdm import CuratedTables, FlatTable
from hetao.cdm.quality import Quality, find_quality
from hetao.cdm.quality.check import Check, passing
from hetao.dictionary import dictionary
from hetao.dictionary.checks import CATEGORIES, FAIL
from hetao.errors import QualityTooLow
from hetao.release.quality import Counted, grade_quality
from hetao.study import QualityRule, Study, fields_read


def quality_of_tables(tables: CuratedTables | FlatTable) -> Quality | None:
    """Return the quality report of the snapshot that was opened; None if it has none.

    Raises:
        InvalidData: the report is there and does not hold.
    """
    return (
        find_quality(tables.path.parent) if isinstance(tables, CuratedTables) else None
    )


def check_joins(site: str, study: Study, quality: Quality | None) -> None:
    """Return quietly if a site's data reach what the study asks for.

    What counts are the checks of the fields that the study reads, of their tables as a
    whole, and of the site's sources; a check that has nothing to check counts for none.

    Raises:
        QualityTooLow: they do not, or nobody has checked them. Neither a count nor a
            share is said outside; both stand in `local`.
    """
    rule = study.quality
    if rule is None:
        return
    if quality is None:
        raise QualityTooLow(
            f"{site} has no quality report, and the study asks for one",
            fix="curate the site's data",
        )
    concerned = [check for check in quality.checks if _concerns(check, _places(study))]
    for name in rule.must_pass:
        failed = [c for c in concerned if c.type == name and c.status == FAIL]
        if failed:
            raise _too_low(
                site, f"the check {name} to pass", ", ".join(c.id for c in failed)
            )
    for name in ("passing", *CATEGORIES):
        chosen = [c for c in concerned if name in ("passing", c.kind.category)]
        _check_share(site, rule, name, chosen)


def _check_share(site: str, rule: QualityRule, name: str, checks: list[Check]) -> None:
    least, share = float(getattr(rule, name)), passing(checks)
    if least == 0 or (share is not None and share >= least):
        return
    what = "checks" if name == "passing" else f"checks of {name}"
    asked = f"{least:.0%} of the {what} to pass"
    told = (
        "nothing to check"
        if share is None
        else f"{share:.1%} pass; "
        + ", ".join(check.id for check in checks if check.status == FAIL)
    )
    raise _too_low(site, asked, told)


def _too_low(site: str, asked: str, local: str) -> QualityTooLow:
    return QualityTooLow(
        f"{site} cannot join: [quality] of the study asks for {asked}",
        fix="read quality.html at the site, mend what it names, curate again",
        local=local,
    )


def _places(study: Study) -> frozenset[str]:
    """Return the fields that a study reads, and the tables that they stand in."""
    fields = {f for analysis in study.analyses for f in fields_read(study, analysis)}
    return frozenset(fields | {f.partition(".")[0] for f in fields})


def _concerns(check: Check, places: frozenset[str]) -> bool:
    if check.table not in dictionary().tables:  # a source of the site's
        return True
    place = f"{check.table}.{check.field}" if check.field else check.table
    return place in places


def stated(quality: Quality | None, least: int) -> Mapping[str, Any]:
    """Return what a site states of its data at the end: bands, never counts.

    Args:
        quality: its report; None states nothing.
        least: the least cell of its policy, as the study tightened it.
    """
    checks = quality.checks if quality else ()
    return grade_quality(
        (
            Counted(c.type, c.table, c.field, c.concept, c.violated, c.rows, c.status)
            for c in checks
        ),
        least,
    )
