"""Concept sets: what counts as "atrial fibrillation", in every code system at once.

One set holds code lists of several systems side by side, so that one study runs at
hospitals that code differently. What a set comes to at a site is worked out there.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.errors import InvalidStudy

OMOP, ALONE = "omop", "omop_alone"
SYSTEM_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
LONGEST_CODE = 60  # characters
MOST_CODES = 20_000  # in one set; the longest published lists have a few thousand
LARGEST_CONCEPT = 2**53 - 1


@dataclass(frozen=True)
class CodeList:
    """Codes of one code system, such as `("icd10", ("I48", "I49.0"))`.

    Attributes:
        system: a code system of the data dictionary.
        codes: each once, in order. In a classification (ICD, ATC, BNF …) a code
            stands for itself and everything under it; in a list of single items
            (LOINC, RxNorm, a hospital's own codes …) for itself alone, unless it
            ends in `*`.
    """

    system: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class ConceptSet:
    """A clinical idea as lists of codes and OMOP concepts; part of what is asked.

    Attributes:
        name: how the study refers to it.
        label: what a reader sees.
        lists: one a code system, by the system's name; an event that any of them
            covers is in the set.
        omop: OMOP concept ids, with their descendants where a vocabulary is loaded.
        omop_alone: OMOP concept ids without their descendants.
        exclude: code lists whose codes are taken out again.
        exclude_omop: OMOP concept ids taken out again, with their descendants.
        exclude_omop_alone: and without.
    """

    name: str
    label: str = ""
    lists: tuple[CodeList, ...] = ()
    omop: tuple[int, ...] = ()
    omop_alone: tuple[int, ...] = ()
    exclude: tuple[CodeList, ...] = ()
    exclude_omop: tuple[int, ...] = ()
    exclude_omop_alone: tuple[int, ...] = ()


def concept_set_fields(name: str, body: Any, where: str) -> dict[str, Any]:
    """Bring an author's `[concepts.NAME]` into the fields of a `ConceptSet`.

    Order and repetition do not matter to what is asked, so lists are sorted here:
    two authors who write the same set get the same digest.

    Raises:
        InvalidStudy: the table cannot be read as code lists.
    """
    place = f"{where} [concepts.{name}]"
    if not isinstance(body, Mapping):
        raise InvalidStudy(
            f"{place}: expected a table", fix='write for example icd10 = ["I48"]'
        )
    rest = dict(body)
    label, exclude = rest.pop("label", ""), rest.pop("exclude", {})
    if not isinstance(label, str):
        raise InvalidStudy(f"{place}: label is not text")
    if not isinstance(exclude, Mapping):
        raise InvalidStudy(
            f"{place}: exclude is not a table",
            fix='write for example exclude = { icd10 = ["I48.9"] }',
        )
    outside = dict(exclude)
    return {
        "name": name,
        "label": label,
        "omop": _ids(rest, OMOP, place),
        "omop_alone": _ids(rest, ALONE, place),
        "lists": _lists(rest, place),
        "exclude_omop": _ids(outside, OMOP, f"{place} exclude"),
        "exclude_omop_alone": _ids(outside, ALONE, f"{place} exclude"),
        "exclude": _lists(outside, f"{place} exclude"),
    }


def check_concept_set(concepts: ConceptSet, where: str) -> None:
    """Refuse a concept set that is empty, or holds a code that cannot be one.

    Raises:
        InvalidStudy: the error names the system and the code.
    """
    place = f"{where} [concepts.{concepts.name}]"
    if not concepts.lists and not concepts.omop and not concepts.omop_alone:
        raise InvalidStudy(
            f"{place}: the set is empty", fix='write for example icd10 = ["I48"]'
        )
    for lists in (concepts.lists, concepts.exclude):
        if [one.system for one in lists] != sorted({one.system for one in lists}):
            raise InvalidStudy(f"{place}: systems stand once each, in order")
        for one in lists:
            _check_list(one, place)
    for ids in (
        concepts.omop,
        concepts.omop_alone,
        concepts.exclude_omop,
        concepts.exclude_omop_alone,
    ):
        if list(ids) != sorted(set(ids)):
            raise InvalidStudy(f"{place}: concept ids stand once each, in order")
        if ids and not 1 <= ids[0] <= ids[-1] <= LARGEST_CONCEPT:
            raise InvalidStudy(f"{place}: a concept id is a whole number from 1")
    if sum(len(one.codes) for one in (*concepts.lists, *concepts.exclude)) > MOST_CODES:
        raise InvalidStudy(f"{place}: more than {MOST_CODES} codes in one set")


def _ids(table: dict[str, Any], key: str, place: str) -> list[int]:
    """Take the concept ids of a key out of a table."""
    ids = table.pop(key, [])
    if not isinstance(ids, list | tuple) or not all(type(i) is int for i in ids):
        raise InvalidStudy(
            f"{place}: {key} is not a list of whole numbers",
            fix=f"write for example {key} = [313217]",
        )
    return sorted(set(ids))


def _lists(table: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Return the code lists of a table that holds nothing else."""
    lists = []
    for system, codes in sorted(table.items()):
        if not isinstance(codes, list | tuple) or not all(
            isinstance(code, str) for code in codes
        ):
            raise InvalidStudy(
                f"{place}: {system[:40]!r} is not a list of codes in quotes",
                fix='write for example icd9cm = ["427.3"]',
            )
        lists.append({"system": system, "codes": sorted(set(codes))})
    return lists


def _check_list(one: CodeList, place: str) -> None:
    if not SYSTEM_NAME.fullmatch(one.system):
        raise InvalidStudy(f"{place}: {one.system[:40]!r} is not a code system")
    if not one.codes:
        raise InvalidStudy(f"{place}: {one.system} lists no code")
    if list(one.codes) != sorted(set(one.codes)):
        raise InvalidStudy(f"{place}: {one.system} codes stand once each, in order")
    for code in one.codes:
        _check_code(code, f"{place}: {one.system}")


def _check_code(code: str, place: str) -> None:
    """A code that could match everything, or nothing, is refused."""
    if code != unicodedata.normalize("NFKC", code).strip() or not code.isprintable():
        raise InvalidStudy(
            f"{place} code {code[:LONGEST_CODE]!r} is not plain text",
            fix="write it in half-width characters without spaces around it",
        )
    if not 1 <= len(code) <= LONGEST_CODE or not code.rstrip("*").strip(".- "):
        raise InvalidStudy(f"{place} has a code that is empty or too long")
    if "*" in code[:-1]:
        raise InvalidStudy(
            f"{place} code {code!r} has a * inside", fix="a * may only end a code"
        )
