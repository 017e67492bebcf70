"""Codes that nobody mapped yet → suggestions that a person may confirm.

A suggestion never maps anything. It stands in `codes.csv` with a score until a person
confirms it, with a name and a day; what was confirmed or rejected is never touched.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rapidfuzz import fuzz, process

from hetao.cdm.engine import Engine
from hetao.cdm.engine_duckdb import connect_read_only, texts
from hetao.cdm.vocabulary.athena import Loaded
from hetao.cdm.vocabulary.codes import CONFIRMED, REJECTED, SUGGESTED
from hetao.cdm.vocabulary.codes_file import CodeRow
from hetao.cdm.vocabulary.terms import normal_term
from hetao.dictionary import FIRST_LOCAL, dictionary
from hetao.errors import InvalidMapping, Usage

FEWEST_POINTS = 70.0  # of 100; below, a suggestion costs more time than it saves
MOST_EACH = 3  # suggestions a code
BLOCK = 20_000  # candidates compared at a time, so that memory stays bounded


@dataclass(frozen=True)
class Term:
    """A code that nobody mapped, with the words that a person reads for it."""

    system: str
    code: str
    name: str


@dataclass(frozen=True)
class Candidate:
    """One thing that a term may mean, under one of its names.

    Attributes:
        name: as it is written; what is compared.
        concept_id: a standard concept; None for none.
        analyte: of the data dictionary; "" for none.
        classes: class codes as in `codes.csv`; "" for none.
        domain: OMOP's domain; "" fits every system.
    """

    name: str
    concept_id: int | None = None
    analyte: str = ""
    classes: str = ""
    domain: str = ""

    @property
    def target(self) -> tuple[int | None, str, str]:
        """Return what would be mapped to, whatever the name."""
        return (self.concept_id, self.analyte, self.classes)


def suggest(terms: Sequence[Term], candidates: Sequence[Candidate]) -> list[CodeRow]:
    """Return the best suggestions for each term, the best first.

    Terms and candidates are compared in their normal form: by characters and by words
    in any order, the better of the two.

    Args:
        terms: what is to be mapped.
        candidates: what it may mean; several names of one thing are several of these.

    Returns:
        Rows with status "suggested" and a score of FEWEST_POINTS to 100, at most
        MOST_EACH a term and no two of one target.
    """
    written = [normal_term(term.name) for term in terms]
    offered = [normal_term(candidate.name) for candidate in candidates]
    best: list[list[tuple[float, int]]] = [[] for _ in terms]
    for start in range(0, len(offered), BLOCK):
        scores = _scores(written, offered[start : start + BLOCK])
        for row, column in np.argwhere(scores >= FEWEST_POINTS):
            best[row].append((float(scores[row, column]), start + int(column)))
    rows: list[CodeRow] = []
    for term, text, found in zip(terms, written, best, strict=True):
        if text:
            rows += _rows(term, found, candidates)
    return rows


def _scores(written: Sequence[str], offered: Sequence[str]) -> np.ndarray:
    parts = [
        process.cdist(written, offered, scorer=scorer, dtype=np.float32)
        for scorer in (fuzz.ratio, fuzz.token_sort_ratio)
    ]
    return np.asarray(np.maximum(*parts))


def _domain(system: str) -> str:
    """Return OMOP's domain of a system's codes; "" where they are of several."""
    known = dictionary().systems.get(system)
    return known.domain if known else ""


def _rows(
    term: Term, found: list[tuple[float, int]], candidates: Sequence[Candidate]
) -> list[CodeRow]:
    rows: list[CodeRow] = []
    seen: set[tuple[int | None, str, str]] = set()
    domain = _domain(term.system)
    for score, place in sorted(found, key=lambda pair: (-pair[0], pair[1])):
        candidate = candidates[place]
        fits = not domain or not candidate.domain or candidate.domain == domain
        if not fits or candidate.target in seen or len(rows) == MOST_EACH:
            continue
        seen.add(candidate.target)
        rows.append(
            CodeRow(
                system=term.system,
                code=term.code,
                concept_id=candidate.concept_id,
                name=term.name,
                analyte=candidate.analyte,
                classes=candidate.classes,
                status=SUGGESTED,
                score=round(score, 1),
                meaning=candidate.name,
            )
        )
    return rows


# --- what there is to map, and to what ----------------------------------------------
def unmapped_terms(engine: Engine, rows: Iterable[CodeRow]) -> list[Term]:
    """Return the codes of a site's tables that map to no standard concept.

    The words of a code are those of `codes.csv` where it has any, else the concept's
    name. Codes that `codes.csv` confirms or gives an analyte are not asked for again.

    Args:
        engine: over the site's curated tables.
        rows: of the site's `codes.csv`.
    """
    listed = list(rows)
    systems = {s.vocabulary_id: name for name, s in dictionary().systems.items()}
    found = engine.rows(f"""
        SELECT c.vocabulary_id, c.concept_code, c.concept_name FROM concept AS c
        LEFT JOIN concept_relationship AS r ON r.concept_id_1 = c.concept_id
            AND r.relationship_id = 'Maps to'
        WHERE r.concept_id_2 IS NULL AND c.concept_id >= {FIRST_LOCAL}
        ORDER BY c.vocabulary_id, c.concept_code
    """)  # noqa: S608
    names = {(row.system, row.code): row.name for row in listed if row.name}
    done = {(r.system, r.code) for r in listed if r.status == CONFIRMED}
    terms = {}
    for vocabulary, code, name in found:
        key = (systems.get(str(vocabulary), "local"), str(code))
        if key not in done:
            terms[key] = Term(*key, names.get(key, str(name)))
    for row in listed:  # a code that no row of the tables uses yet
        key = (row.system, row.code)
        if key not in done and row.name and key not in terms:
            terms[key] = Term(*key, row.name)
    return list(terms.values())


def analyte_candidates() -> list[Candidate]:
    """Return the data dictionary's analytes under their names in three languages."""
    return [
        Candidate(name, analyte=analyte.name, domain="Measurement")
        for analyte in dictionary().analytes.values()
        for name in dict.fromkeys(
            (*analyte.labels.values(), analyte.name.replace("_", " "))
        )
    ]


def code_candidates(rows: Iterable[CodeRow]) -> list[Candidate]:
    """Return what persons at other sites confirmed: their terms and what they mean."""
    return [
        Candidate(
            name,
            row.concept_id,
            row.analyte,
            row.classes,
            _domain(row.system),
        )
        for row in rows
        if row.status == CONFIRMED and (row.concept_id or row.analyte or row.classes)
        for name in dict.fromkeys(filter(None, (row.name, row.meaning)))
    ]


def vocabulary_candidates(loaded: Loaded, systems: Iterable[str]) -> list[Candidate]:
    """Return the standard concepts of a loaded vocabulary, with their synonyms.

    Args:
        loaded: the vocabulary.
        systems: of the terms to be mapped: only concepts of their domains are read,
            or all if a system has none.
    """
    domains = {_domain(system) for system in systems}
    where = "" if "" in domains else f"AND domain_id IN {texts(tuple(sorted(domains)))}"
    connection = connect_read_only(loaded.path)
    try:
        found = connection.execute(f"""
            SELECT concept_id, name, domain_id FROM (
                SELECT concept_id, concept_name AS name, domain_id, 0 AS place
                FROM concept WHERE standard_concept = 'S' {where}
                UNION
                SELECT concept_id, concept_synonym_name, domain_id, 1
                FROM concept_synonym JOIN concept USING (concept_id)
                WHERE standard_concept = 'S' {where})
            ORDER BY concept_id, place, name
        """).fetchall()  # noqa: S608
    finally:
        connection.close()
    return [Candidate(name, key, domain=domain) for key, name, domain in found if name]


# --- what a person does with them -----------------------------------------------------
def with_suggestions(
    rows: Sequence[CodeRow], suggested: Sequence[CodeRow]
) -> list[CodeRow]:
    """Return the rows of `codes.csv` with fresh suggestions in place of older ones.

    Rows that are confirmed, rejected or without a status stay as they are and where
    they are; what was rejected for a code is not suggested for it again.
    """
    settled = {row.key for row in rows if row.status == CONFIRMED}
    rejected = {(row.key, row.target) for row in rows if row.status == REJECTED}
    kept = [row for row in rows if row.status != SUGGESTED]
    return kept + [
        row
        for row in suggested
        if row.key not in settled and (row.key, row.target) not in rejected
    ]


def confirm(
    rows: Sequence[CodeRow],
    key: tuple[str, str],
    target: int | str | None,
    by: str,
    on: datetime.date,
) -> list[CodeRow]:
    """Return the rows with one suggestion of a code confirmed and its others rejected.

    Args:
        rows: of `codes.csv`.
        key: system and code.
        target: the concept id, or the analyte, of the suggestion that is right; None
            where there is only one.
        by: who says so.
        on: the day.

    Raises:
        Usage: nobody's name is given.
        InvalidMapping: no such suggestion stands there, or several do.
    """
    if not by.strip():
        raise Usage("a confirmation needs a name", fix="say who confirms, with --by")
    chosen = [
        place
        for place, row in enumerate(rows)
        if row.key == key
        and row.status == SUGGESTED
        and (target is None or target in (row.concept_id, row.analyte))
    ]
    if len(chosen) != 1:
        raise InvalidMapping(
            f"codes.csv holds {'several suggestions' if chosen else 'no suggestion'} "
            f"of that kind for {key[0]} {key[1]}",
            fix="name the concept id or the analyte of one that stands there",
        )
    return [
        _settled(row, place == chosen[0], by.strip(), on)
        if row.key == key and row.status == SUGGESTED
        else row
        for place, row in enumerate(rows)
    ]


def _settled(row: CodeRow, is_right: bool, by: str, on: datetime.date) -> CodeRow:
    status = CONFIRMED if is_right else REJECTED
    return replace(row, status=status, confirmed_by=by, confirmed_on=on.isoformat())
