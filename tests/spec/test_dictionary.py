"""What the data dictionary promises: OMOP 5.4, graded, three languages, one digest."""

import csv
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
import sqlglot

from hetao import canonical
from hetao.dictionary import FIRST_LOCAL, ddl, dictionary, local_concept_id
from hetao.errors import InvalidMapping
from support_scripts import SIMPLIFIED, TRADITIONAL

HERE = dictionary()
FIELDS = [
    (table, field) for table in HERE.tables.values() for field in table.fields.values()
]
LANGUAGES = ("en", "zh-Hant", "zh-Hans")
ELEMENT = re.compile(r"DE\d\d\.\d\d\.\d{3}\.\d\d")  # of WS/T 363
OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")

# Where ours differ from OHDSI's field list, and why.
OUR_TABLES = {"rejected": "what curation could not map, so that nothing is lost unseen"}
OUR_TYPES = {
    "bigint": "an identifier is 64-bit: pseudonyms fill 63 bits, local concepts 50",
    "decimal": "a number is DECIMAL(18,6): sums are exact on every engine",
    "text": "a text has no length: a site's own codes and words may be longer",
}

# OHDSI's "isRequired" of OMOP CDM 5.4 (OMOPCDM_5.4_ddl), stated a second time.
REQUIRED = {
    "person": "person_id gender_concept_id year_of_birth race_concept_id "
    "ethnicity_concept_id",
    "observation_period": "observation_period_id person_id "
    "observation_period_start_date observation_period_end_date period_type_concept_id",
    "visit_occurrence": "visit_occurrence_id person_id visit_concept_id "
    "visit_start_date visit_end_date visit_type_concept_id",
    "visit_detail": "visit_detail_id person_id visit_detail_concept_id "
    "visit_detail_start_date visit_detail_end_date visit_detail_type_concept_id "
    "visit_occurrence_id",
    "condition_occurrence": "condition_occurrence_id person_id condition_concept_id "
    "condition_start_date condition_type_concept_id",
    "drug_exposure": "drug_exposure_id person_id drug_concept_id "
    "drug_exposure_start_date drug_exposure_end_date drug_type_concept_id",
    "procedure_occurrence": "procedure_occurrence_id person_id procedure_concept_id "
    "procedure_date procedure_type_concept_id",
    "device_exposure": "device_exposure_id person_id device_concept_id "
    "device_exposure_start_date device_type_concept_id",
    "measurement": "measurement_id person_id measurement_concept_id measurement_date "
    "measurement_type_concept_id",
    "observation": "observation_id person_id observation_concept_id observation_date "
    "observation_type_concept_id",
    "death": "person_id death_date",
    "specimen": "specimen_id person_id specimen_concept_id specimen_type_concept_id "
    "specimen_date",
    "location": "location_id",
    "care_site": "care_site_id",
    "provider": "provider_id",
    "drug_era": "drug_era_id person_id drug_concept_id drug_era_start_date "
    "drug_era_end_date",
    "condition_era": "condition_era_id person_id condition_concept_id "
    "condition_era_start_date condition_era_end_date",
    "concept": "concept_id concept_name domain_id vocabulary_id concept_class_id "
    "concept_code valid_start_date valid_end_date",
    "concept_ancestor": "ancestor_concept_id descendant_concept_id "
    "min_levels_of_separation max_levels_of_separation",
    "concept_relationship": "concept_id_1 concept_id_2 relationship_id "
    "valid_start_date valid_end_date",
    "vocabulary": "vocabulary_id vocabulary_name vocabulary_concept_id",
    "cdm_source": "cdm_source_name cdm_source_abbreviation cdm_holder "
    "source_release_date cdm_release_date cdm_version_concept_id vocabulary_version",
}


def official() -> dict[str, dict[str, str]]:
    """Return table → field → type of OMOP CDM 5.4, from the package duckcdm."""
    spec = find_spec("duckcdm")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "omop" / "cdm_fields.csv"
    tables: dict[str, dict[str, str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["version"] == "5.4":
                table = tables.setdefault(row["table"], {})
                table[row["field"]] = row["datatype"]
    return tables


def ours(name: str, datatype: str) -> str:
    """Return our type for one of OHDSI's, by the differences listed above."""
    if datatype.startswith("varchar"):
        return "text"
    identifier = name.endswith("_id") or name in ("concept_id_1", "concept_id_2")
    if datatype == "integer" and identifier:
        return "bigint"
    return {"datetime": "timestamp", "float": "decimal"}.get(datatype, datatype)


def test_it_holds_at_least_16_tables_and_130_fields():
    assert len(HERE.tables) >= 16
    assert len(FIELDS) >= 130


def test_every_table_has_the_fields_of_omop_5_4_in_order_and_type():
    theirs = official()

    for name, table in HERE.tables.items():
        if name in OUR_TABLES:
            assert name not in theirs
            continue
        expected = {field: ours(field, kind) for field, kind in theirs[name].items()}
        assert {f.name: f.type for f in table.fields.values()} == expected, name
        assert table.columns == tuple(theirs[name]), name


def test_every_type_of_ours_is_omops_or_a_listed_difference():
    plain = {"integer", "date", "timestamp"}

    assert {field.type for _, field in FIELDS} == plain | set(OUR_TYPES)


def test_what_omop_requires_is_required_and_nothing_else():
    for name, table in HERE.tables.items():
        if name not in OUR_TABLES:
            assert table.required == tuple(REQUIRED[name].split()), name


def test_every_word_stands_in_three_languages():
    for table in HERE.tables.values():
        for words in (table.label, table.definition):
            assert tuple(words) == LANGUAGES
            assert all(words.values()), table.name
    for table, field in FIELDS:
        for words in (field.label, field.definition):
            assert tuple(words) == LANGUAGES
            assert all(words.values()), f"{table.name}.{field.name}"
    for named in (*HERE.analytes.values(), *HERE.systems.values()):
        assert tuple(named.labels) == LANGUAGES
        assert all(named.labels.values()), named.name


def chinese(language: str) -> Iterator[str]:
    for table, field in FIELDS:
        yield from (table.label[language], table.definition[language])
        yield from (field.label[language], field.definition[language])
    for named in (*HERE.analytes.values(), *HERE.systems.values()):
        yield named.labels[language]


def test_neither_script_strays_into_the_other():
    hant, hans = "".join(chinese("zh-Hant")), "".join(chinese("zh-Hans"))

    assert not TRADITIONAL & set(hans)
    assert not SIMPLIFIED & set(hant)


def test_labels_tell_the_fields_of_a_table_apart():
    for table in HERE.tables.values():
        for language in LANGUAGES:
            labels = [field.label[language] for field in table.fields.values()]
            assert len(set(labels)) == len(labels), (table.name, language)


def test_a_reference_leads_to_a_key_of_the_same_type():
    for table, field in FIELDS:
        if field.references:
            target = HERE.field(field.references)
            where = f"{table.name}.{field.name}"
            assert target.key, where
            assert target.type == field.type, where


def test_keys_and_event_columns_are_fields_of_their_table():
    for table in HERE.tables.values():
        named = set(table.key)
        if table.event:
            event = table.event
            named |= {event.concept, event.source_concept, event.source_value}
            named |= {event.date, event.end_date, event.datetime, event.key}
            assert table.fields[event.date].type == "date"
            assert table.fields[event.date].required
        assert named - {""} <= set(table.columns), table.name
        assert all(table.fields[column].key for column in table.key)
        if table.kind == "content":
            assert all(table.fields[column].required for column in table.key)


def test_every_event_a_cohort_reads_says_where_its_columns_are():
    events = {name for name, table in HERE.tables.items() if table.event}

    assert events >= {
        "condition_occurrence",
        "drug_exposure",
        "procedure_occurrence",
        "device_exposure",
        "measurement",
        "observation",
        "visit_occurrence",
        "death",
    }


def test_facts_come_from_closed_lists():
    for table, field in FIELDS:
        assert table.kind in ("content", "vocabulary", "record")
        assert field.identifier in ("none", "direct", "quasi", "pseudonym")
        assert field.category in (
            "personal",
            "health",
            "treatment",
            "payment",
            "resource",
            "public",
        )
        assert 1 <= field.level <= 5
        assert field.unit in ("", "@analyte", "a", "d", "deg")
        assert not field.element or ELEMENT.fullmatch(field.element)
        assert not field.oid or OID.fullmatch(field.oid)


def test_the_more_a_field_points_to_a_person_the_higher_its_level():
    for table, field in FIELDS:
        where = f"{table.name}.{field.name}"
        if field.identifier == "direct":
            assert field.level >= 4, where
        if field.identifier in ("quasi", "pseudonym"):
            assert field.level >= 3, where
        if table.kind == "vocabulary":
            assert field.level == 1, where


def test_an_output_has_the_highest_level_of_what_it_reads():
    assert HERE.level(["concept.concept_name"]) == 1
    assert HERE.level(["person.year_of_birth", "concept.concept_name"]) == 3
    assert HERE.level(["person.birth_datetime", "person.year_of_birth"]) == 4
    assert HERE.level([]) == 1


@pytest.mark.parametrize("path", ["person.hkid", "nowhere.person_id", "person", ""])
def test_an_unknown_field_is_graded_as_the_most_sensitive(path):
    assert HERE.level(["concept.concept_name", path]) == 5
    with pytest.raises(InvalidMapping, match=r"no (field|table)"):
        HERE.field(path)


def test_reading_one_more_field_never_lowers_the_level():
    paths = [f"{table.name}.{field.name}" for table, field in FIELDS]
    read: list[str] = []
    before = 1
    for path in paths:
        read.append(path)
        level = HERE.level(read)
        assert level >= max(before, HERE.field(path).level)
        before = level


def test_the_digest_is_that_of_the_files():
    root = resources.files("hetao.dictionary")

    def toml(path: str) -> dict:
        text = root.joinpath(*path.split("/")).read_text("utf-8")
        return tomllib.loads(text, parse_float=str)

    form = {
        "type": "hetao.dictionary/1",
        "name": "omop-5.4",
        "tables": {name: toml(f"tables/{name}.toml") for name in HERE.tables},
        "analytes": toml("analytes.toml"),
        "systems": toml("systems.toml"),
        "units": toml("units.toml"),
    }

    assert canonical.digest(form) == HERE.digest


def test_every_table_file_is_read():
    root = resources.files("hetao.dictionary").joinpath("tables")

    assert {item.name for item in root.iterdir()} == {f"{n}.toml" for n in HERE.tables}


def test_duckdb_makes_every_table_with_its_columns_types_and_required_flags():
    connection = duckdb.connect()
    types = {
        "bigint": "BIGINT",
        "integer": "INTEGER",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
        "text": "VARCHAR",
        "decimal": "DECIMAL(18,6)",
    }
    for table in HERE.tables.values():
        connection.execute(ddl(table, "duckdb"))

        made = connection.execute(f'DESCRIBE "{table.name}"').fetchall()

        assert [(name, kind, null == "NO") for name, kind, null, *_ in made] == [
            (f.name, types[f.type], f.required) for f in table.fields.values()
        ]


@pytest.mark.parametrize("engine", ["postgres", "spark"])
def test_the_other_engines_statements_say_the_same_columns(engine):
    for table in HERE.tables.values():
        parsed = sqlglot.parse_one(ddl(table, engine), read=engine)

        columns = list(parsed.find_all(sqlglot.exp.ColumnDef))
        assert [column.name for column in columns] == list(table.columns)
        assert [
            any(isinstance(c.kind, sqlglot.exp.NotNullColumnConstraint) for c in kept)
            for kept in (column.args["constraints"] for column in columns)
        ] == [field.required for field in table.fields.values()]
        decimals = [c.name for c in columns if c.args["kind"].this.name == "DECIMAL"]
        assert decimals == [
            f.name for f in table.fields.values() if f.type == "decimal"
        ]


def test_a_name_that_is_a_word_of_sql_is_quoted():
    field = replace(HERE.field("death.death_date"), name="order")
    table = replace(HERE.tables["death"], name="table", fields={"order": field})

    duckdb.connect().execute(ddl(table, "duckdb"))


def test_a_local_concept_id_is_the_same_at_every_site_for_ever():
    # 2,000,000,000 + the first 50 bits of SHA-256("icd9cm|427.3")
    assert local_concept_id("icd9cm", "427.3") == 1_019_407_981_532_399
    assert local_concept_id("icd9cm", "427.3") == FIRST_LOCAL + (
        0xE7C93CDA503BF752 >> 14
    )


def test_local_concept_ids_are_local_exact_in_json_and_told_apart():
    ids = {
        local_concept_id(system, f"{letter}{number}")
        for system in HERE.systems
        for letter in "AIJ"
        for number in range(1000)
    }

    assert len(ids) == len(HERE.systems) * 3 * 1000
    assert min(ids) >= FIRST_LOCAL
    assert max(ids) < 2**53


def test_code_systems_do_not_share_an_identifier():
    systems = HERE.systems.values()
    oids = [oid for system in systems for oid in system.oid]

    assert len({system.vocabulary_id for system in systems}) == len(HERE.systems)
    assert len(set(oids)) == len(oids)
    assert all(system.name == name for name, system in HERE.systems.items())


def test_a_system_says_how_its_codes_are_matched():
    for system in HERE.systems.values():
        assert system.matching in ("prefix", "section", "exact"), system.name
    assert HERE.systems["icd10"].matching == "prefix"
    assert HERE.systems["bnf"].matching == "section"  # 2.1 is no part of 2.10
    assert HERE.systems["loinc"].matching == "exact"  # 216-1 and 2160-0
