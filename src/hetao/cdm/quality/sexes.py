"""Conditions and procedures of one sex, found in people of the other."""

from dataclasses import dataclass, field

from hetao.cdm.engine import literal
from hetao.cdm.quality.check import Check, checked
from hetao.cdm.quality.present import Present
from hetao.cdm.quality.scan import PEOPLE
from hetao.dictionary import Table

MALE, FEMALE = 8507, 8532
GROUPS_MADE = "quality_groups"


@dataclass(frozen=True)
class Group:
    """Concepts of one sex.

    Attributes:
        name: how the report calls it.
        sex: OMOP's concept of the sex that it belongs to.
        codes: by OMOP vocabulary, prefixes of codes without dots.
        concepts: OMOP concepts.
        with_descendants: whether the concepts stand for all below them too.
    """

    name: str
    sex: int
    codes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    concepts: tuple[int, ...] = ()
    with_descendants: bool = False


def _codes(icd9: tuple[str, ...], icd10: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"ICD9CM": icd9, "ICD10": icd10, "ICD10CN": icd10, "ICD10CM": icd10}


GROUPS = (
    Group("pregnancy", FEMALE, _codes(("63", "64", "65", "66", "67"), ("O",))),
    Group("cervix_uteri", FEMALE, _codes(("180", "2331"), ("C53", "D06")), (196359,)),
    Group("corpus_uteri", FEMALE, _codes(("182", "218"), ("C54", "D25")), (197236,)),
    Group("ovary", FEMALE, _codes(("183", "220"), ("C56", "D27")), (200051, 201257)),
    Group(
        "prostate",
        MALE,
        _codes(("185", "600", "601", "602"), ("C61", "N40", "N41", "N42")),
        (196734, 200962),
    ),
    Group("testis", MALE, _codes(("186", "6084"), ("C62", "N44", "N45")), (26935,)),
    Group("female_genital", FEMALE, {}, (200452,), with_descendants=True),
    Group("male_genital", MALE, {}, (196738,), with_descendants=True),
)
TABLES = ("condition_occurrence", "procedure_occurrence")


def check_sexes(present: Present) -> list[Check]:
    """Return a check for each group that any concept of the site belongs to."""
    if not present.has("person.gender_concept_id") or not present.has("concept"):
        return []
    tables = [
        table
        for table in present.tables()
        if table.name in TABLES and present.filled(f"{table.name}.person_id")
    ]
    if tables:
        present.engine.make(GROUPS_MADE, _members(present))
    return [check for table in tables for check in _table(present, table)]


def _members(present: Present) -> str:
    """The concepts of each group, each concept once a group."""
    parts = ["SELECT CAST('' AS VARCHAR) AS name, CAST(0 AS BIGINT) AS concept_id"]
    for group in GROUPS:
        name = literal(group.name)
        for vocabulary, prefixes in group.codes.items():
            starts = " OR ".join(
                f"starts_with(replace(concept_code, '.', ''), {literal(prefix)})"
                for prefix in prefixes
            )
            parts.append(
                f"SELECT {name} AS name, concept_id FROM concept "  # noqa: S608
                f"WHERE vocabulary_id = {literal(vocabulary)} AND ({starts})"
            )
        for concept in group.concepts:
            if not group.with_descendants:
                parts.append(f"SELECT {name}, CAST({concept} AS BIGINT)")
            elif present.has("concept_ancestor.ancestor_concept_id"):
                parts.append(
                    f"SELECT {name}, descendant_concept_id FROM concept_ancestor "  # noqa: S608
                    f"WHERE ancestor_concept_id = {concept}"
                )
    return " UNION ".join(parts)


def _table(present: Present, table: Table) -> list[Check]:
    event = table.event
    if event is None:
        return []
    columns = [
        name
        for name in (event.concept, event.source_concept)
        if name and present.has(f"{table.name}.{name}")
    ]
    key = table.key[0]
    # A row whose standard and source concepts both belong to a group counts once.
    hits = " UNION ".join(
        f"SELECT g.name AS name, t.{key} AS row_key, t.person_id AS person_id "  # noqa: S608
        f"FROM {table.name} t JOIN {GROUPS_MADE} g ON g.concept_id = t.{name}"
        for name in columns
    )
    sexes = ", ".join(f"({literal(g.name)}, {g.sex})" for g in GROUPS)
    found = present.engine.rows(
        "SELECT h.name, count(*) FILTER (WHERE p.sex <> s.sex) AS violated, "  # noqa: S608
        f"count(*) AS rows FROM ({hits}) h JOIN {PEOPLE} p "
        f"ON p.person_id = h.person_id JOIN (VALUES {sexes}) AS s(name, sex) "
        f"ON s.name = h.name WHERE p.sex IN ({MALE}, {FEMALE}) "
        "GROUP BY h.name ORDER BY h.name"
    )
    deep = {group.name for group in GROUPS if group.with_descendants}
    place = f"{table.name}.{event.concept}"
    return [
        checked(
            "plausibleGenderUseDescendants" if name in deep else "plausibleGender",
            place,
            (int(violated), int(rows)),
            str(name),
        )
        for name, violated, rows in found
    ]
