"""A formula and the files' columns → the study that would ask the same.

Who fits a file by hand holds it, so levels, bounds and the grid of times are read off
the files and written into the study as public facts. In a real network they come from
the data dictionary instead.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from hetao.cdm import FlatTable
from hetao.errors import BadFormula, InvalidData, Usage
from hetao.notebook.aliases import aliases_of, original, with_aliases
from hetao.notebook.asking import (
    COUNTS,
    KEYS,
    LISTS,
    NAMING,
    alone_of,
    analysis_fields,
    check_form,
    check_model,
    is_table,
    meant,
    references_of,
    with_treatment,
)
from hetao.notebook.columns import (
    MOST_LEVELS,
    FileColumn,
    check_alike,
    describe,
    most_of_each,
    plain_number,
    together,
)
from hetao.notebook.formula import Formula, parse_formula
from hetao.notebook.parts import Part
from hetao.study import Study
from hetao.study.analysis_checks import MOST_GRID
from hetao.study.methods import METHODS, method_of
from hetao.study.model import SITE
from hetao.study.reading import flat_analysis, study_from
from hetao.study.terms import (
    Comparison,
    names_of,
    parse_criterion,
    parse_expression,
    parse_term,
)

Criteria = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Draft:
    """A study made from a formula.

    `names` maps the study's variable names to the file's own, where they differ; of
    a study's cohort there are neither names nor parts.
    """

    study: Study
    parts: tuple[Part, ...]
    names: Mapping[str, str]

    @property
    def person(self) -> str:
        """Return the files' column of whose each row is; "" where a row is a person."""
        key = self.study.person
        return self.study.variable(key).column if key else ""

    def original(self, text: str) -> str:
        """Return a term's name with the file's own column names."""
        column = self.parts[0].split_column if self.parts else ""
        if column:
            text = re.sub(rf"\b{SITE}\[", lambda _: f"{column}[", text)
        return original(text, self.names)


def draft_study(
    model: str,
    formula: str,
    parts: Sequence[Part],
    strata: Sequence[str] = (),
    options: Mapping[str, object] = MappingProxyType({}),
    criteria: Criteria = (),
) -> Draft:
    """Return the study that asks for one model over these parts.

    Args:
        model: a method that a formula can say.
        formula: as in R; "" of counts.
        parts: the sites' files.
        strata: of a model with strata.
        options: further fields of the analysis, such as ties, weights (a column of the
            files), variance or horizon; None, "" and 0 say nothing.
        criteria: (rule, label) of who stays in, such as ("age >= 18", "Adults").

    Raises:
        BadFormula, InvalidData, InvalidStudy, Usage: what is asked cannot be done.
    """
    if not parts:
        raise Usage("there is no site", fix="name at least one")
    tables = [part.open() for part in parts]
    try:
        drafter = _Drafter(model, (formula, options), parts, tables)
        return drafter.draft(tuple(strata), criteria)
    finally:
        for table in tables:
            table.close()


def draft_within(
    study: Study,
    asked: tuple[str, str, Sequence[str], Mapping[str, object]],
    criteria: Criteria = (),
) -> Draft:
    """Return a study that asks for one model over the cohort of another.

    Args:
        study: whose population and variables are meant; the names are its own.
        asked: model, formula, strata and options, as of `draft_study`.
        criteria: (rule, label) beyond the study's own.

    Raises:
        BadFormula, InvalidStudy, Usage: what is asked cannot be done.
    """
    model, text, strata, options = asked
    before = references_of(text)
    text, options = with_treatment(model, text, options)
    said, _ = meant(options)
    check_model(model, said)
    formula = NOTHING if model == COUNTS else parse_formula(text)
    formula = replace(
        formula,
        strata=(*strata, *formula.strata),
        categories={**formula.categories, **before},
    )
    # Of a meta-analysis the formula says the model that each site fits alone.
    alone = alone_of(model, said)
    check_form(alone, formula)
    if formula.cluster:
        raise Usage(
            "over a study's cohort the study says how many rows one person may have",
            fix=f"write person={formula.cluster!r} and most_rows",
        )
    counts = bool(formula.time) and study.variable(formula.event).kind == "number"
    fields = asdict(study)
    fields["criteria"] = [
        *(asdict(one) for one in study.criteria),
        *({"rule": rule, "label": label} for rule, label in criteria),
    ]
    fields["variables"] = [
        {**one, "levels": _ordered(one, formula)} for one in fields["variables"]
    ]
    analysis = analysis_fields(alone, formula, counts)
    _check_said_once(analysis, said)
    analysis = {**analysis, "name": "fit", "method": model, **said}
    fields["analyses"] = [flat_analysis(analysis, "fit")]
    return Draft(study_from(fields, "fit"), (), {})


def _ordered(variable: Mapping[str, Any], formula: Formula) -> list[Any]:
    """Return a variable's levels: a reference first, what is called the event last."""
    levels, name = list(variable["levels"]), variable["name"]
    first = formula.categories.get(name, "")
    last = formula.level if name == formula.event else ""
    for level in filter(None, (first, last)):
        if level not in [one["name"] for one in levels]:
            raise BadFormula(f"{name!r} has no level {level[:40]!r}")
    if first:
        levels.sort(key=lambda one: bool(one["name"] != first))
    if last:
        levels.sort(key=lambda one: bool(one["name"] == last))
    return levels


def _check_said_once(fields: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Refuse what a formula says and a call says otherwise."""
    twice = [name for name in said if fields.get(name)]
    if twice:
        raise Usage(f"{twice[0]} is said by the formula and beside it")


NOTHING = Formula("", "", "", (), {}, "", ())


class _Drafter:
    """Works one draft out while the tables are open."""

    def __init__(
        self,
        model: str,
        said: tuple[str, Mapping[str, object]],
        parts: Sequence[Part],
        tables: Sequence[FlatTable],
    ) -> None:
        self._model, self._parts, self._tables = model, tuple(parts), tables
        of_sites = self._parts[0].split_column
        self._names = aliases_of(self._tables[0].columns, of_sites)
        score = said[1].get("score")
        scored = {"score": self._with_aliases(score)} if isinstance(score, str) else {}
        asked, options = with_treatment(
            model, self._with_aliases(said[0]), {**said[1], **scored}
        )
        self._meant = meant(options)
        check_model(model, self._meant[0])
        self._method, self._asked = METHODS[model], model
        formula = NOTHING if model == COUNTS else parse_formula(asked)
        said_before = references_of(self._with_aliases(said[0]))
        categories = {**formula.categories, **said_before}
        self._formula = replace(formula, categories=categories)
        self._options: dict[str, Any] = {}
        self._criteria: list[tuple[str, str]] = []

    def _with_aliases(self, text: str) -> str:
        return with_aliases(text, self._names)

    def draft(
        self,
        strata: tuple[str, ...],
        criteria: Criteria,
    ) -> Draft:
        formula = self._formula
        self._options, categories = self._named(self._meant[0]), self._meant[1]
        # Of a meta-analysis the formula says the model that each site fits alone.
        self._asked = alone_of(self._model, self._options)
        self._method = method_of(self._asked, self._options.get("family", ""))
        self._criteria = [(self._with_aliases(rule), label) for rule, label in criteria]
        if "offset" in self._options and not formula.offset:
            offset = self._with_aliases(str(self._options.pop("offset")))
            formula = replace(formula, offset=offset)
        formula = self._with_site(formula, strata)
        if "matched" in self._method.fields:
            formula = self._with_sets(formula, len(strata))
        check_form(self._asked, formula)
        self._take_cluster(formula)
        used = self._used(formula)
        columns = {name: self._column(name) for name in used}
        roles = self._roles(formula, columns)
        roles |= {name: "category" for name in categories if name in roles}
        fields: dict[str, Any] = {
            "name": "fit",
            "title": f"{self._model}: {self._text()}",
            "question": f"{self._model}: {self._text()}",
            "version": "1",
            "dictionary": "flat",
            "sites": [part.site for part in self._parts],
            "variables": [self._variable(n, columns[n], roles) for n in used],
            "criteria": [{"rule": r, "label": label} for r, label in self._criteria],
            "analyses": [self._analysis(formula, columns)],
            "deadline_seconds": 300,
        }
        return Draft(study_from(fields, "fit"), self._parts, self._names)

    def _named(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return what was said, columns under the names that the study gives them."""
        ours = {theirs: name for name, theirs in self._names.items()}
        for name in NAMING:
            if name in said:
                said[name] = ours.get(said[name], said[name])
        for name in LISTS:
            if name in said:
                said[name] = [ours.get(one, one) for one in said[name]]
        if "unpenalised" in said:
            said["unpenalised"] = list(map(self._with_aliases, said["unpenalised"]))
        if "effect" in said:
            said["effect"] = self._with_aliases(said["effect"])
        if "person" in said:
            said.setdefault("most_rows", self._most_rows(said["person"]))
        if isinstance(said.get("coefficients"), Mapping):
            said["coefficients"] = [
                {"name": self._with_aliases(str(name)), "value": value}
                for name, value in said["coefficients"].items()
            ]
        return said

    def _most_rows(self, person: str) -> int:
        """Return the most rows that the files hold of one person."""
        column = self._names.get(person, person)
        return max(1, *(most_of_each(one, column)[0] for one in self._tables))

    def _with_sets(self, formula: Formula, count: int) -> Formula:
        """Take the one column of strata(...) for the matched sets, as R's clogit does.

        Args:
            formula: with all strata.
            count: how many of them were named beside it, which split the sets.

        Raises:
            Usage: several columns are named in it.
        """
        sets = formula.strata[count:]
        if len(sets) > 1:
            raise Usage(
                f"the matched sets of {self._model} are one column",
                fix="make one column of " + ", ".join(sets),
            )
        for name in sets:
            self._options["matched"] = name
        return replace(formula, strata=formula.strata[:count])

    def _take_cluster(self, formula: Formula) -> None:
        """Take R's `cluster(x)` as what it says: whose rows, and a robust variance."""
        if not formula.cluster:
            return
        check_model(self._model, {"person": formula.cluster})
        if self._options.setdefault("person", formula.cluster) != formula.cluster:
            raise Usage("cluster() and person name two columns", fix="name one")
        self._options.setdefault("most_rows", self._most_rows(formula.cluster))
        self._options.setdefault("variance", "robust")

    def _text(self) -> str:
        f = self._formula
        times = ", ".join(filter(None, (f.start, f.time, f.event)))
        left = f"Surv({times})" if f.time else f.response
        return f"{left} ~ {' + '.join(f.terms) or '1'}".strip()[:180]

    def _with_site(self, formula: Formula, strata: tuple[str, ...]) -> Formula:
        """Return a formula with all strata, and the column of sites called `site`."""
        column = self._parts[0].split_column
        ours = {theirs: name for name, theirs in self._names.items()}
        renamed = {ours.get(column, column): SITE} if column else {}
        for name in ("score", "unpenalised"):
            if name in self._options:
                terms = self._options[name]
                self._options[name] = [_renamed(term, renamed) for term in terms]
        if "effect" in self._options:
            self._options["effect"] = _renamed(self._options["effect"], renamed)
        self._take_reference(formula, *renamed)
        return replace(
            formula,
            response=renamed.get(formula.response, formula.response),
            terms=tuple(_renamed(term, renamed) for term in formula.terms),
            strata=tuple(renamed.get(s, s) for s in (*strata, *formula.strata)),
        )

    def _take_reference(self, formula: Formula, *columns: str) -> None:
        """Put the site first that `C(column, Treatment(...))` names."""
        for column in columns:
            asked = formula.categories.get(column, "")
            values = [part.split_value.strip() for part in self._parts]
            if asked and asked not in values:
                raise BadFormula(f"{column!r} has no level {asked[:40]!r}")
            if asked:
                first = values.index(asked)
                others = (*self._parts[:first], *self._parts[first + 1 :])
                self._parts = (self._parts[first], *others)

    def _used(self, formula: Formula) -> list[str]:
        names = [formula.response, formula.start, formula.time, formula.event]
        for term in (*formula.terms, *self._options.get("score", ())):
            if term not in ("0", "1"):
                names += parse_term(term).names
        if formula.offset:
            names += names_of(parse_expression(formula.offset))
        names += [*formula.strata, *(self._options.get(name, "") for name in NAMING)]
        names += [one.variable for one in self._comparisons()]
        names += [one for field in LISTS for one in self._options.get(field, ())]
        return [name for name in dict.fromkeys(names) if name and name != SITE]

    def _analysis(
        self, formula: Formula, columns: Mapping[str, FileColumn]
    ) -> dict[str, Any]:
        fields = analysis_fields(self._asked, formula, self._counts(columns))
        _check_said_once(fields, self._options)
        fields["method"] = self._model
        if "person" in self._options and "variance" in self._method.fields:
            fields["variance"] = self._variance(formula, columns)
        fields |= {"name": "fit", **self._options}
        if "grid" in METHODS[self._model].fields and SITE not in formula.strata:
            times = {t for n in self._clocks() for t in columns[n].times if t >= 0}
            fields.setdefault("grid", {"edges": _edges(sorted(times))})
        return flat_analysis(fields, "fit")

    def _variance(self, formula: Formula, columns: Mapping[str, FileColumn]) -> str:
        """Return the variance that several rows a person ask for, as R takes it.

        It is robust but where rows start after one another and nobody has the event
        more than once.
        """
        if not formula.start:
            return "robust"
        level = self._levels(formula.event, columns[formula.event])[1]
        named = (self._options["person"], formula.event)
        person, event = (self._names.get(name, name) for name in named)
        found = [most_of_each(one, person, event, level)[1] for one in self._tables]
        return "robust" if max(found) > 1 else "model"

    def _clocks(self) -> tuple[str, ...]:
        formula = self._formula
        return tuple(filter(None, (formula.time, formula.start)))

    def _counts(self, columns: Mapping[str, FileColumn]) -> bool:
        """Return whether the event of rates is a number of events."""
        event = self._formula.event
        if not self._method.has_rates:
            return False
        texts = columns[event].texts  # of 0 and 2, a count: an event is 0 and 1
        return len(texts) > 2 or ("0" in texts and not {"0", "1"}.issuperset(texts))

    def _comparisons(self) -> list[Comparison]:
        return [one for rule, _ in self._criteria for one in parse_criterion(rule)]

    def _roles(
        self,
        formula: Formula,
        columns: Mapping[str, FileColumn],
    ) -> dict[str, str]:
        """Return variable → "category" or "number"."""
        roles = {n: "number" if c.is_number else "category" for n, c in columns.items()}
        for name in (*formula.categories, *formula.strata):
            if name != SITE:
                roles[name] = "category"
        roles |= {self._options[name]: "key" for name in KEYS if name in self._options}
        words = [one.variable for one in self._comparisons() if type(one.value) is str]
        for name in words:
            if columns[name].is_number and len(columns[name].texts) > MOST_LEVELS:
                raise InvalidData(
                    f"column {self._names.get(name, name)!r} holds numbers",
                    fix=f"compare it with a number, without quotes: {name} >= 1",
                )
            roles[name] = "category"
        is_share = (
            self._method.outcome == "mean" and len(columns[formula.response].texts) == 2
        )
        if self._method.outcome == "binary" or is_table(self._method) or is_share:
            roles[formula.response] = "category"
        if formula.time and not self._counts(columns):
            roles[formula.event] = "category"
        if "treatment" in self._options:
            roles[self._options["treatment"]] = "category"
        return roles | dict.fromkeys(self._grouping(formula), "category")

    def _grouping(self, formula: Formula) -> list[str]:
        """Return the outcomes of a screen that are events, or what groups people."""
        model = METHODS.get(self._options.get("model", ""), self._method)
        if "outcomes" in self._method.fields:
            is_event = model.outcome == "binary" or model.has_times
            return list(self._options.get("outcomes", ())) if is_event else []
        if self._method.is_model or is_table(self._method):
            return []
        return [term for term in formula.terms if term not in ("0", "1", SITE)]

    def _column(self, name: str) -> FileColumn:
        column = self._names.get(name, name)
        is_time = name in self._clocks()
        kept = [
            (one.operator, one.value)
            for one in self._comparisons()
            if one.variable == name and isinstance(one.value, float)
        ]
        by_site = [describe(table, column, is_time, kept) for table in self._tables]
        found = together(by_site)
        if not found.texts:
            raise InvalidData(f"column {column!r} holds no value at any site")
        pairs = zip(self._parts, by_site, strict=True)
        check_alike(column, {part.site: one for part, one in pairs})
        return found

    def _variable(
        self, name: str, column: FileColumn, roles: Mapping[str, str]
    ) -> dict[str, Any]:
        base = {
            "name": name,
            "kind": roles[name],
            "source": "column",
            "column": self._names.get(name, name),
            "label": self._names.get(name, ""),
        }
        if roles[name] == "key":
            return base
        if roles[name] == "number":
            if not column.is_number:
                raise InvalidData(f"column {base['column']!r} holds text, not numbers")
            return {**base, "bounds": list(self._bounds(name, column))}
        levels = self._levels(name, column)
        values = [_level_value(text, column) for text in levels]
        pairs = zip(levels, values, strict=True)
        return {**base, "levels": [{"name": t, "value": v} for t, v in pairs]}

    def _bounds(self, name: str, column: FileColumn) -> tuple[float, float]:
        low, high = column.low, column.high
        if high == math.inf or low == -math.inf:
            raise InvalidData(
                f"column {self._names.get(name, name)!r} holds infinity",
                fix="leave such a cell empty, or correct it",
            )
        times = (*self._clocks(), *self._options.get("times", ()))
        asked = self._options.get("outcomes", ())  # of a screen: here they are counts
        f = self._formula
        counts = self._method.outcome == "count" and name == f.response
        counts |= self._method.has_rates and name == f.event
        if low < 0 and (
            name in times or counts or name in (*asked, self._options.get("weights"))
        ):
            raise InvalidData(
                f"column {self._names.get(name, name)!r} holds a number below 0, which "
                "no time, count or weight can be",
                fix="correct the files, or leave such rows out with where(...)",
            )
        is_log = name == self._formula.time and self._options.get("zph") == "log"
        if (name in times and not is_log) or counts or name in asked:
            low = min(low, 0.0)
        if low == high:  # a constant: the fit will say so; bounds need some width
            high = low + max(1.0, abs(low))
        return low, high

    def _levels(self, name: str, column: FileColumn) -> list[str]:
        texts = list(column.texts)
        if len(texts) > MOST_LEVELS:
            raise InvalidData(
                f"column {self._names.get(name, name)!r} holds more than {MOST_LEVELS} "
                "different texts, too many for a category"
            )
        if column.is_number:
            texts = sorted(texts, key=float)
        elif any(f"{text}.0" in texts for text in texts):
            raise InvalidData(
                f"column {self._names.get(name, name)!r} holds one number in two ways, "
                "with and without a point, beside text",
                fix="write it alike at every site",
            )
        asked = (self._formula.event, self._formula.response)
        binary = name in (*asked, *self._options.get("outcomes", ()))
        if binary and len(texts) == 1:
            texts = _with_other(texts[0], column)
        reference = self._formula.categories.get(name, "")
        if reference:
            reference = plain_number(reference) if column.is_number else reference
            if reference not in texts:
                raise BadFormula(f"{name!r} has no level {reference[:40]!r}")
            texts.sort(key=lambda text: text != reference)
        event = self._formula.level if name == self._formula.event else ""
        if event:
            event = plain_number(event) if column.is_number else event
            if event not in texts:
                raise BadFormula(f"{name!r} has no level {event[:40]!r}")
            texts.sort(key=lambda text: text == event)
        if len(texts) < 2:
            texts.append("(other)")  # a constant: the fit will say so
        return texts


def _edges(times: Sequence[float]) -> list[float]:
    if len(times) > MOST_GRID:
        raise InvalidData(
            f"there are more than {MOST_GRID} different times",
            fix="round the times, or stratify a cox model by site",
        )
    return list(times)


def _level_value(text: str, column: FileColumn) -> int | str:
    """Return what a site looks for: a whole number in whichever way it is written."""
    whole = column.is_number and re.fullmatch(r"-?[0-9]{1,15}", text)
    return int(text) if whole else text


def _with_other(text: str, column: FileColumn) -> list[str]:
    """Return two levels for an outcome that has one value everywhere."""
    if column.is_number:
        return ["0", text] if float(text) != 0 else [text, "1"]
    return [text, "(other)"]


def _renamed(term: str, renamed: Mapping[str, str]) -> str:
    for theirs, ours in renamed.items():
        term = re.sub(rf"\b{re.escape(theirs)}\b", ours, term)
    return term
