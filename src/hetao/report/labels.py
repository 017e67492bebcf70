"""What a column of a model is called in words: the study's own labels."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hetao.errors import InvalidStudy
from hetao.report.heads import named
from hetao.report.sentences import Said, joined, same, say
from hetao.study import Analysis, Study, Variable

INTERCEPT = "(Intercept)"
YES = frozenset({"yes", "true", "是", "有"})
NO = frozenset({"no", "false", "否", "无", "無"})
_WORD = re.compile(r"[^\W\d]\w*")
_PER = re.compile(r"([^\W\d]\w*)/(\d+(?:\.\d+)?)")
_UNIT = re.compile(r"(.+?)\s*[(（]\s*([^\s()（）0-9]+)\s*[)）]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class TermLabel:
    """A term for a reader: its name, and what a category is compared with.

    Attributes:
        is_fixed: whether the name is the page's own word rather than the study's.
    """

    text: str
    against: str = ""
    is_fixed: bool = False

    @property
    def full(self) -> Said:
        """Return both in one line."""
        if not self.against:
            return same(self.text)
        return say("label_against", label=self.text, against=self.against)

    @property
    def listed(self) -> Said:
        """Return both in one line of a list."""
        return joined("aside", filter(None, (self.text, self.against)))


def language_of(text: object) -> str:
    """Return the language tag that a text needs within an English page, or ""."""
    return "zh" if _HAN.search(str(text)) else ""


def variable_label(study: Study, name: str) -> str:
    """Return what a reader sees for a variable; its name where there is no label."""
    try:
        return study.variable(name).label or name
    except InvalidStudy:
        return name


def event_label(study: Study, name: str) -> str:
    """Return `Died`, or `Outcome: cured` where the level says more than yes."""
    variable = _category(study, name)
    if variable is None or len(variable.levels) < 2:
        return variable_label(study, name)
    level, reference = variable.levels[1].name, variable.levels[0].name
    label = variable.label or name
    return label if _is_yes(level, reference) else f"{label}: {level}"


def group_label(analysis: Analysis, text: object) -> str:
    """Return a group's name; `All`, in three languages, where nobody is divided."""
    return str(text) if analysis.by else say("all")


def outcome_said(outcome: str, n: str, events: str) -> Said:
    """Return outcome and counts in sentences; "" is a count that is not said."""
    said = [say("outcome", outcome=outcome)]
    if n:
        said.append(say("people_events" if events else "people", n=n, events=events))
    return joined("run_on", said)


def term_label(study: Study, name: str, others: Iterable[str] = ()) -> TermLabel:
    """Return the label of a model's column, such as `sex[male]` or `age/10`.

    Args:
        study: holds the variables' labels.
        name: the column's name as a finding writes it.
        others: all columns of the model; where the reference level has a column of
            its own, nothing is compared with it.
    """
    if name == INTERCEPT:
        return TermLabel(named("Intercept"), is_fixed=True)
    factors = _split(name)
    if len(factors) > 1:
        return TermLabel(joined("times", (_factor(study, f, ()).text for f in factors)))
    return _factor(study, name, tuple(others))


def _split(name: str) -> list[str]:
    """Split at the colons outside brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(name):
        depth += (character in "[(") - (character in "])")
        if character == ":" and depth == 0:
            parts.append(name[start:place])
            start = place + 1
    return [*parts, name[start:]]


def _factor(study: Study, text: str, others: tuple[str, ...]) -> TermLabel:
    name, bracket, rest = text.partition("[")
    variable = _category(study, name) if bracket and rest.endswith("]") else None
    if variable is not None:
        return _level(variable, rest[:-1], others)
    return TermLabel(_number(study, text))


def _level(variable: Variable, level: str, others: tuple[str, ...]) -> TermLabel:
    label, reference = variable.label or variable.name, variable.levels[0].name
    if _is_yes(level, reference):
        said = say("level_against", level=level, reference=reference)
        return TermLabel(label, said)
    is_alone = level == reference or f"{variable.name}[{reference}]" in others
    against = "" if is_alone else say("against", reference=reference)
    return TermLabel(f"{label}: {level}", against)


def _number(study: Study, text: str) -> str:
    per = _PER.fullmatch(text)
    if per is None:
        return _WORD.sub(lambda word: variable_label(study, word[0]), text)
    label = variable_label(study, per[1])
    unit = _UNIT.fullmatch(label)
    if unit is not None:
        return say("per", label=unit[1], step=f"{per[2]} {unit[2]}")
    return say("per", label=label, step=per[2])


def _category(study: Study, name: str) -> Variable | None:
    try:
        variable = study.variable(name)
    except InvalidStudy:
        return None
    return variable if variable.kind == "category" else None


def _is_yes(level: str, reference: str) -> bool:
    return level.lower() in YES and reference.lower() in NO
