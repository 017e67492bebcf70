"""A formula and the files' columns → the study that would ask the same.

Who fits a file by hand holds it, so levels, bounds and the grid of times are read off
the files and written into the study as public facts. In a real network they come from
the data dictionary instead.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetao.cdm import FlatTable, open_flat
from hetao.errors import BadFormula, InvalidData, Usage
from hetao.notebook.formula import Formula, parse_formula
from hetao.study import Study
from hetao.study.analysis_checks import MOST_GRID
from hetao.study.methods import METHODS
from hetao.study.model import SITE
from hetao.study.reading import study_from
from hetao.study.terms import names_of, parse_expression, parse_term

MODELS = tuple(name for name, method in METHODS.items() if method.in_formula)
MOST_LEVELS = 200
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@dataclass(frozen=True)
class Part:
    """One site's rows: a file, or those rows of it that bear the site's value."""

    site: str
    path: Path
    split_column: str = ""
    split_value: str = ""


@dataclass(frozen=True)
class Draft:
    """A study made from a formula.

    `names` maps the study's variable names to the file's own, where they differ.
    """

    study: Study
    parts: tuple[Part, ...]
    names: Mapping[str, str]

    def original(self, text: str) -> str:
        """Return a term's name with the file's own column names."""
        column = self.parts[0].split_column
        if column:
            text = re.sub(rf"\b{SITE}\[", lambda _: f"{column}[", text)
        for ours, theirs in self.names.items():
            text = re.sub(rf"\b{re.escape(ours)}\b", theirs.replace("\\", r"\\"), text)
        return text


@dataclass(frozen=True)
class _Column:
    """What the files hold in one column, all sites together."""

    is_number: bool
    low: float
    high: float
    texts: tuple[str, ...]  # distinct non-missing cells, sorted; at most a few
    times: tuple[float, ...] = ()


def split_parts(path: Path, column: str) -> tuple[Part, ...]:
    """Return one part for each value of a column, in the order of first appearance.

    Raises:
        InvalidData: the file cannot be read or has no such column.
    """
    with open_flat(path) as table:
        place = _place(table, column)
        rows = table.connection.execute(
            f"SELECT {place}::VARCHAR, min(rowid) FROM flat WHERE {place} IS NOT NULL "  # noqa: S608
            "GROUP BY 1 ORDER BY 2"
        ).fetchall()
        missing = set(table.missing)
    values = [str(value) for value, _ in rows if str(value) not in missing]
    if not values:
        raise InvalidData(f"column {column!r} of {path.name} holds no value")
    names = _site_names(values)
    return tuple(Part(n, path, column, v) for n, v in zip(names, values, strict=True))


def _site_names(values: Sequence[str]) -> list[str]:
    names = []
    for number, value in enumerate(values, 1):
        plain = re.sub(r"[^a-z0-9_.]+", "-", value.lower()).strip("-.")[:40]
        if not plain or not plain[0].isalnum() or plain in names:
            plain = f"site-{number}"
        names.append(plain)
    return names


def draft_study(
    model: str,
    formula: str,
    parts: Sequence[Part],
    strata: Sequence[str] = (),
    options: Mapping[str, object] = MappingProxyType({}),
) -> Draft:
    """Return the study that asks for one model over these parts.

    Args:
        model: a method that a formula can say.
        formula: as in R.
        parts: the sites' files.
        strata: of a model with strata.
        options: further fields of the analysis, such as ties, weights (a column of the
            files), variance or horizon; None, "" and 0 say nothing.

    Raises:
        BadFormula, InvalidData, InvalidStudy, Usage: what is asked cannot be done.
    """
    if model not in MODELS:
        raise Usage(f"the model is one of {', '.join(MODELS)}")
    if not parts:
        raise Usage("there is no site", fix="name at least one")
    tables = [open_flat(p.path, p.split_column, p.split_value) for p in parts]
    try:
        return _Drafter(model, formula, parts, tables).draft(tuple(strata), options)
    finally:
        for table in tables:
            table.close()


class _Drafter:
    """Works one draft out while the tables are open."""

    def __init__(
        self,
        model: str,
        formula: str,
        parts: Sequence[Part],
        tables: Sequence[FlatTable],
    ) -> None:
        self._model, self._parts, self._tables = model, tuple(parts), tables
        self._method = METHODS[model]
        self._names = self._aliases()
        self._formula = parse_formula(self._with_aliases(formula))
        self._options: dict[str, Any] = {}

    def _aliases(self) -> dict[str, str]:
        """Return our name → the file's, for columns that cannot keep their own.

        Those are no plain identifiers, or are called `site` and are not what tells
        the sites apart: in a study that name is the site itself.
        """
        names: dict[str, str] = {}
        for column in self._tables[0].columns:
            other = column == SITE != self._parts[0].split_column
            if other or not IDENTIFIER.fullmatch(column):
                plain = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_")
                plain = plain if IDENTIFIER.fullmatch(plain) else f"column_{len(names)}"
                while plain in names or plain in self._tables[0].columns:
                    plain += "_"
                names[plain] = column
        return names

    def _with_aliases(self, formula: str) -> str:
        text = formula
        for ours, theirs in sorted(self._names.items(), key=lambda i: -len(i[1])):
            quoted = re.escape(theirs)
            text = text.replace(f"`{theirs}`", ours)
            text = re.sub(rf"(?<![\w.]){quoted}(?![\w.])", ours, text)
        return text.replace("`", "")

    def draft(
        self, strata: tuple[str, ...], options: Mapping[str, object]
    ) -> Draft:
        formula = self._formula
        self._options = self._meant(options)
        self._check_form(formula, strata)
        site_column = self._parts[0].split_column
        ours = {theirs: name for name, theirs in self._names.items()}
        renamed = {ours.get(site_column, site_column): SITE} if site_column else {}
        terms = [_renamed(term, renamed) for term in formula.terms]
        all_strata = [renamed.get(s, s) for s in (*strata, *formula.strata)]
        used = self._used(formula, terms, all_strata)
        columns = {name: self._column(name) for name in used}
        roles = self._roles(formula, terms, columns, all_strata)
        fields: dict[str, Any] = {
            "name": "fit",
            "title": f"{self._model}: {self._text()}",
            "question": f"{self._model}: {self._text()}",
            "version": "1",
            "dictionary": "flat",
            "sites": [part.site for part in self._parts],
            "variables": [self._variable(n, columns[n], roles) for n in used],
            "analyses": [self._analysis(terms, all_strata, columns)],
            "deadline_seconds": 300,
        }
        return Draft(study_from(fields, "fit"), self._parts, self._names)

    def _meant(self, options: Mapping[str, object]) -> dict[str, Any]:
        """Return what was said, the weights under the name that the study gives them.

        Raises:
            Usage: the model has no use for one of them.
        """
        said: dict[str, Any] = {k: value for k, value in options.items() if value}
        for name in said:
            if name not in self._method.fields:
                raise Usage(f"a {self._model} model takes no {name}")
        if "weights" in said:
            ours = {theirs: name for name, theirs in self._names.items()}
            said["weights"] = ours.get(said["weights"], said["weights"])
        return said

    def _text(self) -> str:
        f = self._formula
        left = f.response or f"Surv({f.time}, {f.event})"
        return f"{left} ~ {' + '.join(f.terms) or '1'}"[:180]

    def _check_form(self, formula: Formula, strata: tuple[str, ...]) -> None:
        survival = self._method.has_times
        if survival != bool(formula.time):
            raise BadFormula(
                f"a {self._model} model needs "
                + (
                    "Surv(time, event) on the left"
                    if survival
                    else "one column on the left"
                )
            )
        if (strata or formula.strata) and "strata" not in self._method.fields:
            raise Usage(f"a {self._model} model takes no strata")
        if formula.response and not IDENTIFIER.fullmatch(formula.response):
            raise BadFormula(
                "the left side must be one column",
                fix="compute the column in the file first",
            )

    def _used(
        self, formula: Formula, terms: Sequence[str], strata: Sequence[str]
    ) -> list[str]:
        names = [formula.response, formula.time, formula.event]
        for term in terms:
            if term not in ("0", "1"):
                names += parse_term(term).names
        if formula.offset:
            names += names_of(parse_expression(formula.offset))
        names += [*strata, self._options.get("weights", "")]
        return [name for name in dict.fromkeys(names) if name and name != SITE]

    def _roles(
        self,
        formula: Formula,
        terms: Sequence[str],
        columns: Mapping[str, _Column],
        strata: Sequence[str],
    ) -> dict[str, str]:
        """Return variable → "category" or "number"."""
        roles = {n: "number" if c.is_number else "category" for n, c in columns.items()}
        for name in (*formula.categories, *strata):
            if name != SITE:
                roles[name] = "category"
        if self._method.outcome == "binary":
            roles[formula.response] = "category"
        if self._method.has_times:
            roles[formula.event] = "category"
        if not self._method.is_model:
            for term in terms:
                if term not in ("0", "1", SITE):
                    roles[term] = "category"
        return roles

    def _column(self, name: str) -> _Column:
        column = self._names.get(name, name)
        texts: set[str] = set()
        low, high, numeric = float("inf"), float("-inf"), True
        times: set[float] = set()
        for table in self._tables:
            found = _describe(table, column, name == self._formula.time)
            texts.update(found.texts)
            numeric = numeric and found.is_number
            low, high = min(low, found.low), max(high, found.high)
            times.update(found.times)
        if not texts:
            raise InvalidData(f"column {column!r} holds no value at any site")
        return _Column(numeric, low, high, tuple(sorted(texts)), tuple(sorted(times)))

    def _variable(
        self, name: str, column: _Column, roles: Mapping[str, str]
    ) -> dict[str, Any]:
        base = {
            "name": name,
            "kind": roles[name],
            "source": "column",
            "column": self._names.get(name, name),
            "label": self._names.get(name, ""),
        }
        if roles[name] == "number":
            if not column.is_number:
                raise InvalidData(f"column {base['column']!r} holds text, not numbers")
            return {**base, "bounds": list(self._bounds(name, column))}
        levels = self._levels(name, column)
        values = [_level_value(text, column) for text in levels]
        pairs = zip(levels, values, strict=True)
        return {**base, "levels": [{"name": t, "value": v} for t, v in pairs]}

    def _bounds(self, name: str, column: _Column) -> tuple[float, float]:
        low, high = column.low, column.high
        if name == self._formula.time and self._options.get("zph") != "log":
            low = min(low, 0.0)
        if self._method.outcome == "count" and name == self._formula.response:
            low = min(low, 0.0)
        if low == high:  # a constant: the fit will say so; bounds need some width
            high = low + max(1.0, abs(low))
        return low, high

    def _levels(self, name: str, column: _Column) -> list[str]:
        texts = list(column.texts)
        if len(texts) > MOST_LEVELS:
            raise InvalidData(
                f"column {self._names.get(name, name)!r} holds more than {MOST_LEVELS} "
                "different texts, too many for a category"
            )
        if column.is_number:
            texts = sorted({_plain_number(text) for text in texts}, key=float)
        binary = name in (self._formula.event, self._formula.response)
        if binary and len(texts) == 1:
            texts = _with_other(texts[0], column)
        reference = self._formula.categories.get(name, "")
        if reference:
            reference = _plain_number(reference) if column.is_number else reference
            if reference not in texts:
                raise BadFormula(f"{name!r} has no level {reference[:40]!r}")
            texts.sort(key=lambda text: text != reference)
        if len(texts) < 2:
            texts.append("(other)")  # a constant: the fit will say so
        return texts

    def _analysis(
        self,
        terms: Sequence[str],
        strata: Sequence[str],
        columns: Mapping[str, _Column],
    ) -> dict[str, Any]:
        f = self._formula
        fields: dict[str, Any] = {"name": "fit", "method": self._model}
        fields |= self._options
        if not self._method.is_model:
            by = [term for term in terms if term not in ("0", "1")]
            if len(by) > 1 or any(":" in term for term in by):
                raise BadFormula(
                    f"a {self._model} model takes one grouping column, or 1"
                )
            fields |= {"time": f.time, "event": f.event, "by": by[0] if by else ""}
            if "strata" in self._method.fields:
                fields["strata"] = list(strata)
        elif self._method.has_times:
            kept = [term for term in terms if term not in ("0", "1")]
            fields |= {"time": f.time, "event": f.event, "terms": kept}
            fields |= {"strata": list(strata), "offset": f.offset}
        else:
            kept = list(terms) if terms else ["1"]
            fields |= {"outcome": f.response, "terms": kept, "offset": f.offset}
        if "grid" in self._method.fields and SITE not in strata:
            fields["grid"] = {"edges": _edges(columns[f.time].times)}
        return fields


def _edges(times: Sequence[float]) -> list[float]:
    if len(times) > MOST_GRID:
        raise InvalidData(
            f"there are more than {MOST_GRID} different times",
            fix="round the times, or stratify a cox model by site",
        )
    return list(times)


def _plain_number(text: str) -> str:
    """Return `1` for `1.0`: one site writes whole numbers so, another the other way."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _level_value(text: str, column: _Column) -> int | str:
    """Return what a site looks for: a whole number in whichever way it is written."""
    whole = column.is_number and re.fullmatch(r"-?[0-9]{1,15}", text)
    return int(text) if whole else text


def _with_other(text: str, column: _Column) -> list[str]:
    """Return two levels for an outcome that has one value everywhere."""
    if column.is_number:
        return ["0", text] if float(text) != 0 else [text, "1"]
    return [text, "(other)"]


def _renamed(term: str, renamed: Mapping[str, str]) -> str:
    for theirs, ours in renamed.items():
        term = re.sub(rf"\b{re.escape(theirs)}\b", ours, term)
    return term


def _place(table: FlatTable, column: str) -> str:
    if column not in table.columns:
        raise InvalidData(
            f"{table.path.name} has no column {column!r}",
            fix="columns: " + ", ".join(table.columns)[:300],
        )
    return f"c{table.columns.index(column)}"


def _describe(table: FlatTable, column: str, with_times: bool) -> _Column:
    place = _place(table, column)
    marks = ", ".join("?" for _ in table.missing)
    cells = (
        f"SELECT {place}::VARCHAR AS cell FROM flat WHERE {place} IS NOT NULL "  # noqa: S608
        f"AND trim({place}::VARCHAR) NOT IN ({marks}) AND {place}::VARCHAR <> 'nan'"
    )
    run = table.connection.execute
    row = run(
        f"SELECT count(*) FILTER (TRY_CAST(cell AS DOUBLE) IS NULL), "  # noqa: S608
        f"min(TRY_CAST(cell AS DOUBLE)), max(TRY_CAST(cell AS DOUBLE)) FROM ({cells})",
        list(table.missing),
    ).fetchone()
    wrong, low, high = row if row else (0, None, None)
    numeric = wrong == 0
    texts = run(
        f"SELECT DISTINCT trim(cell) FROM ({cells}) LIMIT {MOST_LEVELS + 1}",  # noqa: S608
        list(table.missing),
    ).fetchall()
    times = (
        run(
            f"SELECT DISTINCT CAST(cell AS DOUBLE) FROM ({cells})",  # noqa: S608
            list(table.missing),
        ).fetchall()
        if with_times and numeric
        else []
    )
    return _Column(
        numeric,
        float("inf") if low is None else float(low),
        float("-inf") if high is None else float(high),
        tuple(str(text) for (text,) in texts),
        tuple(float(time) for (time,) in times),
    )
