"""A concept set finds a site's own codes, whatever their habits, and nothing else."""

import pytest

from hetao.cdm.engine_duckdb import DuckDBEngine, connect
from hetao.cdm.plan import translate
from hetao.cdm.vocabulary import resolve, resolve_each
from hetao.cdm.vocabulary.resolving import PLAN
from hetao.errors import InvalidStudy
from hetao.records import record
from hetao.study import ConceptSet
from hetao.study.concepts import concept_set_fields

CONCEPTS = {
    1: ("ICD9CM", "427.3"),
    2: ("ICD9CM", "42731"),
    3: ("ICD9CM", "427.4"),
    4: ("ICD10", "I48.9"),
    5: ("ICD10", "i480"),
    6: ("ICD10CN", "I48.900"),
    7: ("ICD10CN", "I48.x00x001"),
    8: ("ICD10", "I4"),
    10: ("BNF", "2.8"),
    11: ("BNF", "2.8.2"),
    12: ("BNF", "2.81"),
    13: ("BNF", "12.8"),
    20: ("ATC", "B01AA03"),
    21: ("ATC", "B01AF01"),
    30: ("HA Drug", "WARF01"),
    31: ("HA Drug", "WARF02"),
    32: ("HA Drug", "APIX01"),
    40: ("LOINC", "2160-0"),
    41: ("LOINC", "2160-01"),
    50: ("ICD9Proc", "36.1"),
    51: ("ICD9ProcCN", "36.1100"),
    60: ("Local", "A'B"),
    313217: ("SNOMED", "49436004"),
    4232697: ("SNOMED", "440059007"),
    7001: ("SNOMED", "1"),
    7002: ("SNOMED", "2"),
    7003: ("SNOMED", "3"),
}
ANCESTORS = [
    (11, 30),
    (20, 30),
    (21, 32),
    (313217, 4232697),
    (7001, 7002),
    (7001, 7003),
]


@pytest.fixture(scope="module")
def site():
    """Tables of one site, answered by DuckDB."""
    with DuckDBEngine(connect()) as engine:
        run = engine.connection
        run.execute(
            "CREATE TABLE concept (concept_id BIGINT, vocabulary_id VARCHAR, "
            "concept_code VARCHAR, invalid_reason VARCHAR)"
        )
        run.execute(
            "CREATE TABLE concept_ancestor (ancestor_concept_id BIGINT, "
            "descendant_concept_id BIGINT)"
        )
        rows = [[key, *value] for key, value in CONCEPTS.items()]
        run.executemany("INSERT INTO concept VALUES (?, ?, ?, NULL)", rows)
        run.execute("UPDATE concept SET invalid_reason = 'D' WHERE concept_id = 7003")
        run.executemany(
            "INSERT INTO concept_ancestor VALUES (?, ?)", [list(r) for r in ANCESTORS]
        )
        yield engine


def concept_set(name="set", **body):
    return record(
        ConceptSet, concept_set_fields(name, body, "study"), "x", InvalidStudy
    )


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        # dots and case do not matter, and a prefix stops at nothing but itself
        ({"icd9cm": ["427.3"]}, (1, 2)),
        ({"icd9cm": ["4273"]}, (1, 2)),
        ({"icd9cm": ["427"]}, (1, 2, 3)),
        ({"icd9cm": ["427.31"]}, (2,)),
        # both six-digit extensions are found by the ICD-10 root
        ({"icd10": ["I48"]}, (4, 5, 6, 7)),
        ({"icd10": ["i48.9"]}, (4, 6)),
        ({"icd10cn": ["I48"]}, (6, 7)),
        ({"icd9proc": ["36.1"]}, (50, 51)),
        # a section is matched by its parts; a class finds the items in it
        ({"bnf": ["2.8"]}, (10, 11, 30)),
        ({"bnf": ["2"]}, (10, 11, 12, 30)),
        ({"bnf": ["2.8.2"]}, (11, 30)),
        ({"bnf": ["1"]}, ()),
        ({"atc": ["B01A"]}, (20, 21, 30, 32)),
        # an item is itself alone unless a star says otherwise
        ({"ha_drug": ["WARF"]}, ()),
        ({"ha_drug": ["WARF*"]}, (30, 31)),
        ({"ha_drug": ["warf01"]}, (30,)),
        ({"loinc": ["2160-0"]}, (40,)),
        ({"local": ["A'B"]}, (60,)),
        # concepts with their descendants, known here or not
        ({"omop": [313217]}, (313217, 4232697)),
        ({"omop": [999]}, (999,)),
        # concepts for themselves alone, and a descendant that is no longer valid
        ({"omop_alone": [313217]}, (313217,)),
        (
            {"omop": [313217], "exclude": {"omop_alone": [313217]}},
            (4232697,),
        ),
        ({"omop": [7001]}, (7001, 7002)),
        ({"omop": [7001, 7003]}, (7001, 7002, 7003)),
        ({"omop": [7003], "exclude": {"omop": [7001]}}, (7003,)),
        # several systems side by side
        ({"icd9cm": ["427.4"], "icd10": ["I48.0"], "omop": [4232697]}, (3, 5, 4232697)),
        # exclusions, with what lies under them
        ({"icd10": ["I48"], "exclude": {"icd10": ["I48.9"]}}, (5, 7)),
        ({"bnf": ["2.8"], "exclude": {"atc": ["B01AA"]}}, (10, 11)),
        ({"omop": [313217], "exclude": {"omop": [4232697]}}, (313217,)),
        ({"omop": [4232697], "exclude": {"omop": [313217]}}, ()),
    ],
)
def test_a_set_comes_to_these_concepts(site, body, ids):
    assert resolve(site, concept_set(**body)).ids == ids


def test_many_sets_are_resolved_by_one_plan_each_for_itself(site):
    sets = [
        concept_set("a", icd9cm=["427.3"]),
        concept_set("b", omop=[313217], exclude={"icd9cm": ["427.3"]}),
        concept_set("c", bnf=["99"]),
    ]

    found = resolve_each(site, sets)

    assert [(one.name, one.ids) for one in found] == [
        ("a", (1, 2)),
        ("b", (313217, 4232697)),
        ("c", ()),
    ]
    assert resolve_each(site, ()) == ()


def test_the_digest_tells_other_ids_and_other_sets_apart(site):
    digests = {
        resolve(site, concept_set(name, icd9cm=codes)).digest
        for name in ("a", "b")
        for codes in (["427.3"], ["427.31"], ["427"])
    }

    assert len(digests) == 6
    one = resolve(site, concept_set("a", icd9cm=["427.3"]))
    assert one.digest == resolve(site, concept_set("a", icd9cm=["4273"])).digest


def test_an_unknown_code_system_is_refused(site):
    with pytest.raises(InvalidStudy, match=r"no code system 'icd11'.*icd10"):
        resolve(site, concept_set(icd11=["XN487"]))


@pytest.mark.parametrize("engine", ["duckdb", "postgres", "spark"])
def test_the_plan_lies_within_what_every_engine_means_alike(engine):
    assert translate(PLAN, engine)


def test_thousands_of_codes_are_rows_and_no_longer_plan(site, monkeypatch):
    asked = []
    rows = site.rows
    monkeypatch.setattr(site, "rows", lambda sql: asked.append(sql) or rows(sql))
    codes = ["I48.9", *(f"X{number:05}" for number in range(19_999))]

    assert resolve(site, concept_set(icd10=codes)).ids == (4, 6)
    assert asked == [PLAN]
