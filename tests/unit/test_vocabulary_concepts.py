"""Every code of a source becomes a concept, and maps to what a person or a vocabulary
says it means, and to nothing else."""

import duckdb
import pytest

from hetao.cdm.engine_duckdb import DuckDBEngine
from hetao.cdm.vocabulary import load_athena, make_concepts, resolve
from hetao.cdm.vocabulary.telling import ToldSet, told_sets
from hetao.dictionary import dictionary, local_concept_id
from hetao.errors import InvalidMapping, InvalidStudy
from hetao.records import record
from hetao.study import ConceptSet
from hetao.study.concepts import concept_set_fields
from support_vocabulary import CONCEPT, write_download

KINDS = {"bigint": "BIGINT", "integer": "INTEGER", "date": "DATE", "text": "VARCHAR"}
VOCABULARY_TABLES = (
    "concept",
    "concept_ancestor",
    "concept_relationship",
    "vocabulary",
)
SOURCE = {
    "used": [
        ("icd10", "I48.9", None),
        ("icd9cm", "427.31", None),
        ("ha_drug", "WARF01", "bnf:2.8.2|atc:B01AA03"),
        ("ha_drug", "WARF01", "atc:B01AA03"),
        ("ha_lis", "CREA", None),
        ("local", "X'1", None),
    ]
}
CODES = """system,code,concept_id,name,analyte,classes,status
icd10,I48.9,313217,Atrial fibrillation,,,confirmed
icd9cm,427.31,999,Something else,,,suggested
ha_lis,CREA,,Creatinine,cholesterol_total,,confirmed
local,X'1,,院內項目,,atc:B01AF01,confirmed
"""


def make_tables(connection):
    for name in VOCABULARY_TABLES:
        fields = dictionary().tables[name].fields.values()
        columns = ", ".join(f"{f.name} {KINDS[f.type]}" for f in fields)
        connection.execute(f"CREATE TABLE {name} ({columns})")
    connection.execute(
        "CREATE TABLE used_code (system VARCHAR, code VARCHAR, classes VARCHAR)"
    )
    connection.executemany(
        "INSERT INTO used_code VALUES (?, ?, ?)", [list(row) for row in SOURCE["used"]]
    )


def rows_of(built, sql):
    """Return the rows of a query that no plan may ask."""
    return built.connection.execute(sql).fetchall()


@pytest.fixture
def site(tmp_path):
    def build(codes=CODES, vocabulary=None):
        connection = duckdb.connect()
        make_tables(connection)
        path = None
        if codes is not None:
            path = tmp_path / "codes.csv"
            path.write_bytes(
                codes if isinstance(codes, bytes) else codes.encode("utf-8")
            )
        make_concepts(connection, path, vocabulary)
        return DuckDBEngine(connection)

    return build


def mapped(site):
    return {
        (system, code): rest
        for system, code, *rest in site.rows(
            "SELECT system, code, source_concept_id, concept_id, targets, analyte "
            "FROM code_map"
        )
    }


def ids(site, **body):
    fields = concept_set_fields("set", body, "study")
    return resolve(site, record(ConceptSet, fields, "x", InvalidStudy)).ids


def test_a_code_without_a_vocabulary_has_the_same_id_everywhere(site):
    found = mapped(site(codes=None))

    assert found["local", "X'1"] == [local_concept_id("local", "X'1"), 0, 0, None]
    assert found["icd10", "I48.9"] == [local_concept_id("icd10", "I48.9"), 0, 0, None]
    assert len(found) == 7  # five codes and two classes


@pytest.mark.parametrize("listed", ["I10", "Ｉ１０", "\u3000I10 "])
@pytest.mark.parametrize("written", ["I10", "Ｉ１０", " Ｉ10\u3000"])
def test_a_code_is_the_same_in_full_width_forms(site, monkeypatch, written, listed):
    used = [
        ("icd10", written, None),
        ("ha_drug", "Ｗ１", "bnf：２.8"),
        ("local", " ", None),
    ]
    monkeypatch.setitem(SOURCE, "used", used)
    codes = CODES + f"ｉｃｄ10,{listed},３２０１２８,高血壓（原發）,,,confirmed\n"

    found = site(codes)

    at = mapped(found)
    assert at["icd10", written][:2] == [local_concept_id("icd10", "I10"), 320128]
    assert at["ha_drug", "Ｗ１"][0] == local_concept_id("ha_drug", "W1")
    assert ids(found, icd10=["I1"]) == (local_concept_id("icd10", "I10"),)
    assert local_concept_id("ha_drug", "W1") in ids(found, bnf=["2"])
    names = rows_of(
        found, "SELECT concept_name FROM concept WHERE concept_code = 'I10'"
    )
    assert names == [("高血壓（原發）",)]


def test_only_what_a_person_confirmed_maps(site):
    found = mapped(site())

    assert found["icd10", "I48.9"][1] == 313217
    assert found["icd9cm", "427.31"][1] == 0
    assert found["ha_lis", "CREA"] == [
        local_concept_id("ha_lis", "CREA"),
        0,
        0,
        "cholesterol_total",
    ]


def test_every_code_and_class_is_one_concept_of_its_vocabulary(site):
    rows = site().rows(
        "SELECT vocabulary_id, concept_code, concept_name, domain_id FROM concept "
        "ORDER BY 1, 2"
    )

    assert rows == [
        ("ATC", "B01AA03", "B01AA03", "Drug"),
        ("ATC", "B01AF01", "B01AF01", "Drug"),
        ("BNF", "2.8.2", "2.8.2", "Drug"),
        ("HA Drug", "WARF01", "WARF01", "Drug"),
        ("HA LIS", "CREA", "Creatinine", "Measurement"),
        ("ICD10", "I48.9", "Atrial fibrillation", "Condition"),
        ("ICD9CM", "427.31", "427.31", "Condition"),
        ("Local", "X'1", "院內項目", "Metadata"),
        ("None", "313217", "Atrial fibrillation", "Condition"),
    ]


def test_every_required_field_is_filled_and_every_key_is_unique(site):
    built = site()

    for name in VOCABULARY_TABLES:
        table = dictionary().tables[name]
        empty = " OR ".join(f"{column} IS NULL" for column in table.required)
        assert built.rows(f"FROM {name} WHERE {empty}") == []
        key = ", ".join(table.key)
        keys = built.rows(f"FROM {name} SELECT {key}")
        assert len(set(keys)) == len(keys) > 0


def test_a_class_finds_the_items_in_it(site):
    built = site()
    warfarin = local_concept_id("ha_drug", "WARF01")
    other = local_concept_id("local", "X'1")

    assert warfarin in ids(built, bnf=["2.8"])
    assert warfarin in ids(built, atc=["B01AA"])
    assert other in ids(built, atc=["B01AF01"])
    assert other not in ids(built, atc=["B01AA"])


def test_maps_to_stands_in_both_directions(site):
    rows = site().rows(
        "SELECT concept_id_1, concept_id_2, relationship_id FROM concept_relationship "
        "ORDER BY 3"
    )

    assert rows == [
        (313217, local_concept_id("icd10", "I48.9"), "Mapped from"),
        (local_concept_id("icd10", "I48.9"), 313217, "Maps to"),
    ]


def test_a_second_call_adds_nothing_twice(site, tmp_path):
    built = site()
    before = [rows_of(built, f"FROM {name} ORDER BY ALL") for name in VOCABULARY_TABLES]

    make_concepts(built.connection, tmp_path / "codes.csv", None)

    after = [rows_of(built, f"FROM {name} ORDER BY ALL") for name in VOCABULARY_TABLES]
    assert after == before


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ("system,code,mening\nicd10,I48,x\n", "unknown column 'mening'"),
        ("code,status\nI48,confirmed\n", "column 'system' is missing"),
        ("system,code,code\nicd10,I48,I49\n", "column"),
        ("system,code\nicd10,I48\nicd11,XN4\n", "line 3: system is no code system"),
        ("system,code\nicd10,I48\nicd10,\n", "line 3: code is empty"),
        ("system,code,concept_id\nicd10,I48,31x\n", "line 2: concept_id"),
        ("system,code,concept_id\nicd10,I48,-3\n", "line 2: concept_id"),
        ("system,code,analyte\nha_lis,CR,kreatin\n", "line 2: analyte"),
        ("system,code,classes\nha_drug,W,2.8.2\n", "line 2: classes"),
        ("system,code,status\nicd10,I48,sure\n", "line 2: status is none of confirmed"),
        ("system,code,score\nicd10,I48,101\n", "line 2: score"),
        (
            "system,code,status\nicd10,I48,confirmed\nicd10,I48,confirmed\n",
            "line 3: this code is confirmed a second time",
        ),
        ("system,code\nicd10,I48,too,many\n", "cannot be read"),
        ("system,code\nicd10,I48\nlocal,肌酐\n".encode("gb18030"), "cannot be read"),
        ("", "column 'system' is missing"),
    ],
)
def test_a_codes_file_that_does_not_hold_is_refused_by_line(site, codes, says):
    with pytest.raises(InvalidMapping, match=rf"codes\.csv.*{says}"):
        site(codes=codes)


@pytest.fixture
def loaded(tmp_path):
    download = write_download(tmp_path / "download")
    return load_athena(download, tmp_path / "store").path


@pytest.fixture
def using(site, loaded, monkeypatch):
    def build(*used, codes=None):
        monkeypatch.setitem(SOURCE, "used", list(used))
        return site(codes=codes, vocabulary=loaded)

    return build


def test_a_loaded_vocabulary_gives_a_code_its_id_and_its_standard_concept(using):
    found = mapped(using(("icd10", "I481", None), ("icd10", "I99.9", None)))

    assert found["icd10", "I481"] == [900012, 900002, 1, None]
    assert found["icd10", "I99.9"] == [local_concept_id("icd10", "I99.9"), 0, 0, None]


def test_a_code_with_two_standard_concepts_says_so_and_takes_the_smaller(using):
    found = mapped(using(("icd10", "I48.2", None)))

    assert found["icd10", "I48.2"] == [900013, 900002, 2, None]


def test_a_mapping_that_ended_maps_no_more(using):
    assert mapped(using(("icd10", "I48.3", None)))["icd10", "I48.3"][1] == 0


def test_a_standard_code_stands_for_itself(using):
    found = mapped(using(("rxnorm", "77001", None)))

    assert found["rxnorm", "77001"] == [900031, 900031, 0, None]


def test_a_confirmed_row_goes_before_the_vocabulary(using):
    codes = "system,code,concept_id,status\nicd10,I48.1,900003,confirmed\n"

    found = mapped(using(("icd10", "I48.1", None), codes=codes))

    assert found["icd10", "I48.1"] == [900012, 900003, 1, None]


def test_descendants_work_where_a_vocabulary_is_loaded(using):
    built = using(("icd10", "I48.1", None), ("icd10", "I48.2", None))

    assert set(ids(built, omop=[900001])) == {900001, 900002}
    assert set(ids(built, icd10=["I48"])) == {900012, 900013}


def test_a_class_of_the_vocabulary_finds_a_hospitals_own_items(using):
    built = using(("ha_drug", "WARF01", "atc:B01AA03"))
    warfarin = local_concept_id("ha_drug", "WARF01")

    assert warfarin in ids(built, atc=["B01AA03"])
    assert warfarin in ids(built, atc=["B01AA"])
    assert warfarin in ids(built, omop=[900021])


def test_the_vocabularies_say_their_version(using):
    rows = using(("icd10", "I48.1", None)).rows(
        "SELECT vocabulary_id, vocabulary_version FROM vocabulary ORDER BY 1"
    )

    assert rows == [("ICD10", "2026"), ("SNOMED", "2026")]


def test_the_loaded_file_is_let_go_and_left_as_it_was(using, loaded):
    before = loaded.read_bytes()

    built = using(("icd10", "I48.1", None))

    names = {
        name
        for (name,) in rows_of(built, "SELECT database_name FROM duckdb_databases()")
    }
    assert "loaded_vocabulary" not in names
    assert loaded.read_bytes() == before


def told(loaded):
    return told_sets((concept_set_of("set", icd10=["I48"]),), loaded)[0]


def concept_set_of(name, **body):
    return record(
        ConceptSet, concept_set_fields(name, body, "study"), "x", InvalidStudy
    )


def test_what_is_told_of_a_set_is_of_the_loaded_vocabulary_alone(tmp_path):
    loaded = load_athena(write_download(tmp_path / "d"), tmp_path / "store")
    other = load_athena(
        write_download(tmp_path / "e", CONCEPT=CONCEPT.replace("I48.1", "J48.1")),
        tmp_path / "other",
    )

    assert told(loaded).digest.startswith("sha256:")
    assert told(other).digest != told(loaded).digest
    assert told(None) == ToldSet("set", "")
