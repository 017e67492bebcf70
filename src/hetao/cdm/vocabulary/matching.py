"""How a code of a concept set meets the codes that a site holds, system by system."""

from dataclasses import dataclass

from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study import CodeList

EXACT, PREFIX, SECTION = "exact", "prefix", "section"


@dataclass(frozen=True)
class Pattern:
    """One code of a concept set, ready to be compared.

    Attributes:
        vocabulary: OMOP's vocabulary_id of the concepts that can meet it.
        how: "exact": the code itself; "prefix": every code that begins so, dots
            left out; "section": this section and those under it.
        text: in upper case, written as `how` compares.
    """

    vocabulary: str
    how: str
    text: str


def patterns(codes: CodeList) -> tuple[Pattern, ...]:
    """Return what a code list looks for, in the list's order.

    Raises:
        InvalidStudy: the data dictionary has no such code system.
    """
    systems = dictionary().systems
    if codes.system not in systems:
        raise InvalidStudy(
            f"the data dictionary has no code system {codes.system[:40]!r}",
            fix="known systems: omop, " + ", ".join(systems),
        )
    system = systems[codes.system]
    return tuple(
        _pattern(system.matching, vocabulary, code)
        for code in codes.codes
        for vocabulary in (system.vocabulary_id, *system.extensions)
    )


def _pattern(how: str, vocabulary: str, code: str) -> Pattern:
    text = _upper(code.removesuffix("*"))
    if how == EXACT and not code.endswith("*"):
        return Pattern(vocabulary, EXACT, text)
    if how == SECTION:
        return Pattern(vocabulary, SECTION, text.rstrip(".") + ".")
    return Pattern(vocabulary, PREFIX, text.replace(".", ""))


def _upper(text: str) -> str:
    """Upper-case A to Z only, as a plan's `upper` does on every engine."""
    return "".join(c.upper() if c.isascii() else c for c in text)
