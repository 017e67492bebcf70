"""`study.toml`, as a clinician writes it, → a checked `Study`."""

import contextlib
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hetao.dictionary import dictionary
from hetao.dictionary.checks import CATEGORIES, check_types
from hetao.errors import BadFormula, InvalidStudy
from hetao.records import read_toml, record
from hetao.study.analysis_checks import MOST_GRID, check_analysis, check_persons
from hetao.study.circe_tables import with_definitions
from hetao.study.concepts import check_concept_set, concept_set_fields
from hetao.study.definitions import check_definitions
from hetao.study.meaning import check_digest, with_digest
from hetao.study.model import SITE, SOURCES, Level, Study, Variable
from hetao.study.population_checks import check_cohort, check_variable_source
from hetao.study.population_reading import (
    follow_up_fields,
    interval_fields,
    matching_fields,
    outcome_fields,
    population_fields,
    variable_fields,
)
from hetao.study.scores import score_fields
from hetao.study.terms import PI, Comparison, parse_criterion

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}|[A-Za-z][A-Za-z0-9_.]{0,39}")
SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
MOST_SITES, MOST_ANALYSES = 1000, 200
MOST_CONCEPT_SETS = 1000
# Of public bounds, from 0 and from each other: what sums, squares and ratios can bear.
FARTHEST, NEAREST = 1e17, 1e-15
KEPT = {SITE: "the site itself", PI: "the number of terms"}
KEYS = ("column", "person", "case")  # sources that a key is made of
# Control, format (bidirectional too), surrogate, line and paragraph characters.
MOST_NAMED = 10  # levels that an error lists
UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
TABLES = frozenset(
    {
        "study",
        "estimand",
        "population",
        "variables",
        "analyses",
        "minimum",
        "quality",
        "sites",
        "concepts",
        "follow_up",
        "intervals",
        "outcomes",
        "scores",
        "matching",
        "definitions",
    }
)


def read_study(path: Path) -> Study:
    """Return the study that a TOML file describes.

    Raises:
        InvalidStudy: the file says something that cannot be carried out; the error
            names the table and the field.
        InvalidData: the file cannot be read at all.
    """
    tables = read_toml(path, InvalidStudy)
    _check_tables(tables, path.name)
    tables = with_definitions(tables, path.parent, path.name)
    fields = with_digest(_flatten(tables, path.name), path.name)
    study = study_from(fields, where=path.name)
    _check_systems(study, path.name)
    return study


def study_from(table: Mapping[str, Any], where: str = "study") -> Study:
    """Return the study of a canonical form, such as a site receives.

    Raises:
        InvalidStudy: as `read_study`.
    """
    if not isinstance(table, Mapping):
        raise InvalidStudy(f"{where}: expected a table")
    fields = {key: value for key, value in table.items() if key != "type"}
    if table.get("type", "hetao.study/1") != "hetao.study/1":
        raise InvalidStudy(f"{where}: not a hetao.study/1")
    try:
        study = record(Study, fields, where, InvalidStudy)
    except RecursionError as problem:
        raise InvalidStudy(f"{where}: criteria stand too deep") from problem
    _check_study(study, where)
    return study


def _check_systems(study: Study, where: str) -> None:
    """Refuse a code system that the data dictionary here, which is the study's, lacks.

    A study of the past may name one that is no longer there: `study_from` asks less.
    """
    known = dictionary().systems
    for concepts in study.concepts:
        for one in (*concepts.lists, *concepts.exclude):
            if one.system not in known:
                raise InvalidStudy(
                    f"{where} [concepts.{concepts.name}]: the data dictionary has no "
                    f"code system {one.system!r}",
                    fix="known systems: omop, " + ", ".join(known),
                )


def _flatten(tables: dict[str, Any], where: str) -> dict[str, Any]:
    """Bring the author's tables into the canonical form's fields."""
    flat = dict(tables["study"])
    flat["estimand"] = tables.get("estimand", {})
    flat |= {key: tables[key] for key in ("minimum", "quality") if key in tables}
    flat.update(_sites(tables["sites"], where))
    flat.update(_cohort(tables, where))
    if not isinstance(tables["analyses"], list):
        raise InvalidStudy(f"{where}: write each analysis under [[analyses]]")
    flat["definitions"] = tables.get("definitions", [])
    flat["analyses"] = [flat_analysis(body, where) for body in tables["analyses"]]
    return flat


def _check_tables(tables: dict[str, Any], where: str) -> None:
    for key in tables:
        if key not in TABLES:
            raise InvalidStudy(
                f"{where}: unknown table [{key}]",
                fix="known tables: " + ", ".join(sorted(TABLES)),
            )
    for key in ("study", "sites", "variables", "analyses"):
        if key not in tables:
            raise InvalidStudy(f"{where}: table [{key}] is missing")
    for key in TABLES - {"analyses", "definitions"}:
        if key in tables and not isinstance(tables[key], dict):
            raise InvalidStudy(f"{where}: [{key}] is not a table")
    if not isinstance(tables.get("definitions", []), list):
        raise InvalidStudy(f"{where}: write each definition under [[definitions]]")


def _cohort(tables: dict[str, Any], where: str) -> dict[str, Any]:
    """Bring what is said about people, events and columns into canonical fields."""
    flat = population_fields(tables.get("population", {}), where)
    if "follow_up" in tables:
        flat["follow_up"] = follow_up_fields(tables["follow_up"], where)
    if "intervals" in tables:
        flat["intervals"] = interval_fields(tables["intervals"], where)
    if "matching" in tables:
        flat["matching"] = matching_fields(tables["matching"])
    flat["outcomes"] = outcome_fields(tables.get("outcomes", {}), where)
    flat["scores"], brought = score_fields(tables.get("scores", {}), where)
    written = [
        concept_set_fields(name, body, where)
        for name, body in tables.get("concepts", {}).items()
    ]
    flat["concepts"] = sorted(
        [*written, *(one for one in brought if one not in written)],
        key=lambda one: str(one["name"]),
    )
    arms = flat["population"].get("arms", [])
    flat["variables"] = [
        variable_fields(name, body, arms, where)
        for name, body in tables["variables"].items()
    ]
    return flat


def _only(table: dict[str, Any], fields: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in fields:
            raise InvalidStudy(
                f"{where}: unknown field {key!r}", fix="known: " + ", ".join(fields)
            )


def _sites(table: dict[str, Any], where: str) -> dict[str, Any]:
    known = ("members", "on_lost_site", "told_apart", "deadline_seconds")
    _only(table, known, f"{where} [sites]")
    flat = dict(table)
    if "members" not in flat:
        raise InvalidStudy(f"{where} [sites]: field 'members' is missing")
    flat["sites"] = flat.pop("members")
    return flat


def flat_analysis(body: Any, where: str) -> dict[str, Any]:
    """Return an analysis as it is kept: a grid's edges, a standard's weights, in full.

    Raises:
        InvalidStudy: it is no table, or its grid has no steps.
    """
    if not isinstance(body, dict):
        raise InvalidStudy(f"{where} [[analyses]]: expected a table")
    flat = dict(body)
    grid = flat.get("grid")
    if isinstance(grid, dict) and set(grid) - {"merge"} == {"step", "end"}:
        step, end = grid["step"], grid["end"]
        numbers = all(type(v) in (int, float) for v in (step, end))
        if not numbers or not 0 < step <= end <= step * MOST_GRID < math.inf:
            raise InvalidStudy(
                f"{where}: the grid needs 0 < step <= end, in up to {MOST_GRID} steps"
            )
        edges = [step * k for k in range(1, math.ceil(end / step) + 1)]
        merge = {key: value for key, value in grid.items() if key == "merge"}
        flat["grid"] = {"edges": edges, **merge}
    coefficients = flat.get("coefficients")
    if isinstance(coefficients, dict):
        flat["coefficients"] = [
            {"name": name, "value": value} for name, value in coefficients.items()
        ]
    standard = flat.get("standard")
    if isinstance(standard, dict):
        flat["standard"] = [
            {"level": level, "weight": weight} for level, weight in standard.items()
        ]
    return flat


@contextlib.contextmanager
def _naming(place: str) -> Iterator[None]:
    """Put the place before an error that does not name one yet."""
    try:
        yield
    except (InvalidStudy, BadFormula) as error:
        if error.what.startswith(place.partition(" ")[0]):
            raise
        raise type(error)(f"{place}: {error.what}", fix=error.fix) from error


# --- checks on the whole ------------------------------------------------------------
def _check_study(study: Study, where: str) -> None:
    if not study.name or not NAME.fullmatch(study.name.replace("-", "_")):
        raise InvalidStudy(f"{where}: the study's name must be letters, digits, - or _")
    check_digest(study, where)
    if study.on_lost_site not in ("stop", "continue"):
        raise InvalidStudy(f"{where}: on_lost_site is 'stop' or 'continue'")
    if not 1 <= study.deadline_seconds <= 86_400:
        raise InvalidStudy(f"{where}: deadline_seconds must lie in 1 to 86400")
    _check_unique(study.sites, f"{where} [sites]", SITE_NAME, MOST_SITES)
    _check_told_apart(study, where)
    names = [v.name for v in study.variables]
    _check_unique(names, f"{where} [variables]", NAME, 10_000)
    for kept in KEPT.keys() & names:
        raise InvalidStudy(f"{where}: the name {kept!r} is kept for {KEPT[kept]}")
    if study.concepts:
        sets = [concepts.name for concepts in study.concepts]
        _check_unique(sets, f"{where} [concepts]", NAME, MOST_CONCEPT_SETS)
    for concepts in study.concepts:
        check_concept_set(concepts, where)
    _check_definitions(study, where)
    _check_words(study, where)
    labels = [a.name for a in study.analyses]
    _check_unique(labels, f"{where} [[analyses]]", SITE_NAME, MOST_ANALYSES)
    _check_minimum(study, where)
    _check_quality(study, where)
    for variable in study.variables:
        place = f"{where} [variables.{variable.name}]"
        with _naming(place):
            _check_variable(variable, place)
            check_variable_source(study, variable, place)
    with _naming(where):
        check_cohort(study, where)
    for rule in (one.rule for one in study.criteria if one.rule):
        with _naming(f"{where} [population]"):
            _check_criterion(study, rule, where)
    for analysis in study.analyses:
        place = f"{where} [[analyses]] {analysis.name}"
        with _naming(place):
            check_analysis(study, analysis, place)
    check_persons(study, where)


def _check_told_apart(study: Study, where: str) -> None:
    for name in study.told_apart:
        if name not in study.sites:
            raise InvalidStudy(
                f"{where} [sites]: told_apart names {name[:60]!r}, which is no member"
            )
    if len(set(study.told_apart)) != len(study.told_apart):
        raise InvalidStudy(f"{where} [sites]: told_apart names a site twice")


def _check_definitions(study: Study, where: str) -> None:
    parts = [
        "population",
        *(f"arms.{arm.name}" for arm in study.population.arms),
        *(f"outcomes.{outcome.name}" for outcome in study.outcomes),
    ]
    sets = [concepts.name for concepts in study.concepts]
    check_definitions(study.definitions, parts, sets, where)


def _check_unique(
    names: Any, where: str, pattern: "re.Pattern[str]", most: int
) -> None:
    if not 1 <= len(names) <= most:
        raise InvalidStudy(f"{where}: expected 1 to {most} entries")
    for name in names:
        if not pattern.fullmatch(name):
            raise InvalidStudy(
                f"{where}: {name[:60]!r} is not a plain name",
                fix="start with a letter; letters, digits and _ follow",
            )
    if len(set(names)) != len(names):
        raise InvalidStudy(f"{where}: a name stands twice")


def _check_words(study: Study, where: str) -> None:
    """Refuse text that a screen would not show as it is, such as hidden characters.

    A label that ends a line, moves the cursor or turns the direction of reading could
    show an approver other words, or a line of attrition that nobody counted.
    """
    words = [
        *(one.label for one in study.concepts),
        *(one.label for one in study.variables),
        *(one.label for one in study.criteria),
        *(one.label for one in study.population.arms),
        *(one.label for one in study.outcomes),
        *(one.label for one in study.scores),
        *(item.label for score in study.scores for item in score.items),
    ]
    words += [level.name for one in study.variables for level in one.levels]
    for text in words:
        if any(unicodedata.category(c) in UNSHOWN for c in text):
            raise InvalidStudy(
                f"{where}: the label {text[:60]!r} holds a character that is not shown",
                fix="write it on one line, in letters, digits and punctuation",
            )


def _check_quality(study: Study, where: str) -> None:
    rule = study.quality
    if rule is None:
        return
    if study.dictionary != dictionary().name:
        raise InvalidStudy(
            f"{where} [quality]: only tables of {dictionary().name} have quality checks"
        )
    if not all(0 <= getattr(rule, name) <= 1 for name in ("passing", *CATEGORIES)):
        raise InvalidStudy(f"{where} [quality]: shares lie in 0 to 1")
    for name in rule.must_pass:
        if name not in check_types():
            raise InvalidStudy(
                f"{where} [quality]: {name[:60]!r} is no type of check",
                fix="known types: " + ", ".join(check_types()),
            )


def _check_minimum(study: Study, where: str) -> None:
    m = study.minimum
    if m is None:
        return
    counts_ok = min(m.people, m.cell, m.events, m.sites, m.rounding) >= 1
    if not counts_ok or not 0 < m.share <= 1 or not 0 < m.leverage <= 1:
        raise InvalidStudy(f"{where} [minimum]: counts from 1, shares in (0, 1]")


def _check_variable(variable: Variable, where: str) -> None:
    if variable.source not in SOURCES:
        raise InvalidStudy(f"{where}: source is one of " + ", ".join(SOURCES))
    if variable.source == "column" and not variable.column:
        raise InvalidStudy(f"{where}: name the column")
    if variable.kind == "number":
        _check_number(variable, where)
    elif variable.kind == "category":
        _check_levels(variable.levels, where)
    elif variable.kind == "key":
        _check_key(variable, where)
    else:
        raise InvalidStudy(f"{where}: kind is 'number', 'category' or 'key'")


def _check_number(variable: Variable, where: str) -> None:
    if variable.bounds is None:
        raise InvalidStudy(
            f"{where}: a number needs public bounds",
            fix="write bounds = [lowest, highest] plausible value",
        )
    low, high = variable.bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidStudy(f"{where}: bounds need a finite low < high")
    if max(abs(low), abs(high)) > FARTHEST or high - low < NEAREST:
        raise InvalidStudy(
            f"{where}: bounds lie within ±{FARTHEST:g}, and at least {NEAREST:g} apart",
            fix="give the number another unit",
        )


def _check_key(variable: Variable, where: str) -> None:
    if variable.source not in KEYS:
        raise InvalidStudy(
            f"{where}: a key is made of " + " or ".join(KEYS) + f", of no "
            f"{variable.source}"
        )
    if variable.bounds or variable.levels or variable.unit:
        raise InvalidStudy(
            f"{where}: a key has no bounds, levels or unit: its values are never told",
            fix="leave them out",
        )


def _check_levels(levels: tuple[Level, ...], where: str) -> None:
    if not 2 <= len(levels) <= 200:
        raise InvalidStudy(f"{where}: a category needs 2 to 200 levels")
    if len({level.name for level in levels}) != len(levels):
        raise InvalidStudy(f"{where}: a level stands twice")
    values = [str(level.value) for level in levels]
    if len(set(values)) != len(values):
        raise InvalidStudy(
            f"{where}: two levels have the same value, so one would never be met",
            fix="give each level a value of its own, or merge them",
        )
    if any(text != text.strip() for text in values):
        raise InvalidStudy(
            f"{where}: a level's value begins or ends with a space",
            fix="leave it out: cells are read without the spaces around them",
        )


def _check_criterion(study: Study, rule: str, where: str) -> None:
    for comparison in parse_criterion(rule):
        _check_comparison(study, comparison, rule, where)


def _how_to_compare(variable: Variable, comparison: Comparison) -> str:
    """Return what to write about a category, or about a number."""
    name, operator = variable.name, comparison.operator
    if variable.kind != "category":
        return f"{name} is a number: write {name} {operator} 1, without quotes"
    known = [level.name for level in variable.levels]
    value = comparison.value
    same = [one for one in known if isinstance(value, float) and _is_number(one, value)]
    levels = ", ".join(f'"{one}"' for one in known[:MOST_NAMED])
    example = f'{name} {operator if operator == "!=" else "=="} "{(same or known)[0]}"'
    return f"{name} is a category: write {example}; its levels are {levels}"


def _is_number(text: str, value: float) -> bool:
    try:
        return float(text) == value
    except ValueError:
        return False


def _check_comparison(
    study: Study, comparison: Comparison, rule: str, where: str
) -> None:
    variable = study.variable(comparison.variable)
    if comparison.operator == "known":
        return
    if variable.kind == "key":
        raise InvalidStudy(
            f"{where}: the criterion {rule!r} asks for one value of a key",
            fix=f"write known({comparison.variable}), or leave it out",
        )
    text = isinstance(comparison.value, str)
    if text != (variable.kind == "category"):
        raise InvalidStudy(
            f"{where}: the criterion {rule!r} compares a "
            + ("number with text" if text else "category with a number"),
            fix=_how_to_compare(variable, comparison),
        )
    if text and comparison.operator not in ("==", "!="):
        raise InvalidStudy(f"{where}: the criterion {rule!r} orders a category")
    if text and comparison.value not in {level.name for level in variable.levels}:
        raise InvalidStudy(f"{where}: the criterion {rule!r} names an unknown level")
