"""A site of the population straight as tables of the common data model.

What a flawless curation of a flawless extract would leave, for work at a scale where
files and their reading are not what is measured. Codes are the side's own: ICD-9-CM and
drug item codes in Hong Kong, six-digit ICD-10 and insurance codes in Shenzhen; there is
no vocabulary, so a code's concept is local and its standard concept is 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from hetao.canonical import digest
from hetao.dictionary import Analyte, ddl, dictionary, local_concept_id
from hetao.errors import InvalidData
from hetao.synth.catalogue import catalogue
from hetao.synth.draws import define_draws
from hetao.synth.population import Population, blocks, fill_block
from hetao.synth.sites import SyntheticSite
from hetao.synth.truth import Connection, create_truth

TYPE_EHR: Final = 32817
CDM_VERSION: Final = 756265  # "OMOP CDM Version 5.4.0"
CHINESE: Final = 38003579
VISITS: Final = {
    "inpatient": 9201,
    "outpatient": 9202,
    "primary": 9202,
    "emergency": 9203,
}
SYSTEMS: Final = {"HK": ("icd9cm", "ha_drug"), "SZ": ("icd10cn", "nhsa")}
# concept id → name, domain, vocabulary, code; of OMOP's own, those that are used.
STANDARD: Final = {
    0: ("No matching concept", "Metadata", "None", "No matching concept"),
    8507: ("MALE", "Gender", "Gender", "M"),
    8532: ("FEMALE", "Gender", "Gender", "F"),
    9201: ("Inpatient Visit", "Visit", "Visit", "IP"),
    9202: ("Outpatient Visit", "Visit", "Visit", "OP"),
    9203: ("Emergency Room Visit", "Visit", "Visit", "ER"),
    TYPE_EHR: ("EHR", "Type Concept", "Type Concept", "OMOP4976890"),
    CDM_VERSION: ("OMOP CDM Version 5.4.0", "Metadata", "CDM", "CDM v5.4.0"),
    CHINESE: ("Chinese", "Race", "Race", "2.6"),
}


@dataclass(frozen=True)
class WrittenTables:
    """What `write_tables` left.

    Attributes:
        path: a DuckDB file that `hetao.cdm.open_tables` opens.
        snapshot: digest of everything that the rows follow from, the seed included;
            the same population has the same one. No digest over the rows is taken.
        rows: by table, those that are not empty.
    """

    path: Path
    snapshot: str
    rows: Mapping[str, int]


@dataclass(frozen=True)
class _Code:
    """One code that a table uses: `item` is its name in the truth."""

    item: str
    system: str
    code: str
    name: str
    domain: str

    @property
    def concept_id(self) -> int:
        return local_concept_id(self.system, self.code)


def write_tables(
    population: Population, site: SyntheticSite, path: Path
) -> WrittenTables:
    """Write one site's people as a database of the common data model.

    Args:
        population: of which the site is one.
        site: whose people, from `population.sites`.
        path: the file, which is not there yet; its folder is.

    Raises:
        InvalidData: the file is there already.
    """
    if path.exists():
        raise InvalidData(f"{path} is there already", fix="name another folder")
    known = dictionary()
    snapshot = population_digest(population, site)
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")  # callers show their own
        # Only a file is attached: nothing here reads or fetches anything else.
        connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS cdm")
        connection.execute("USE cdm")
        for table in known.tables.values():
            connection.execute(ddl(table, "duckdb"))
        connection.execute("USE memory")
        define_draws(connection, population.seed)
        _load_codes(connection, site)
        for block in blocks(site):
            create_truth(connection)
            fill_block(connection, population.world, site, block)
            for statement in (*_of_people(population), *_of_events()):
                connection.execute(statement)
        _close_off(connection, site, snapshot)
        rows = {
            name: int(count)
            for name in known.tables
            for (count,) in connection.execute(
                f"SELECT count(*) FROM cdm.{name}"
            ).fetchall()
            if count
        }
    return WrittenTables(path, snapshot, rows)


def population_digest(population: Population, site: SyntheticSite) -> str:
    """Return the digest of what a site's rows follow from."""
    return digest(
        {
            "type": "hetao.synth/1",
            "engine": duckdb.__version__,
            "world": repr(population.world),
            "site": repr(site),
            "seed": population.seed,
        }
    )


def _codes(site: SyntheticSite) -> Iterator[tuple[str, _Code, tuple[str, ...]]]:
    """Yield the kind of a thing, its code, and its classes as `system:code`."""
    known, (icd, item_code) = catalogue(), SYSTEMS[site.side]
    for name, disease in known.diseases.items():
        code = getattr(disease, icd)
        yield "disease", _Code(name, icd, code, disease.names["en"], "Condition"), ()
    for name, drug in known.drugs.items():
        own = getattr(drug, item_code)
        system, code = (item_code, own) if own else ("hkcmms", drug.hkcmms)
        classes = [f"{s}:{c}" for s, c in (("bnf", drug.bnf), ("atc", drug.atc)) if c]
        made = _Code(name, system, code, drug.names["en"], "Drug")
        yield "drug", made, tuple(classes)
    for name, procedure in known.procedures.items():
        code = procedure.icd9proc
        made = _Code(name, "icd9proc", code, procedure.names["en"], "Procedure")
        yield "procedure", made, ()
    for name, product in known.products.items():
        made = _Code(
            name, "local", product.approval, product.names["en"], product.kind.title()
        )
        yield product.kind, made, (f"atc:{product.atc}",) if product.atc else ()
    for name, lab in known.labs.items():
        code = lab.loinc
        yield "lab", _Code(name, "loinc", code, lab.names["en"], "Measurement"), ()


def _analyte(name: str) -> Analyte:
    return dictionary().analytes[name]


def _load_codes(connection: Connection, site: SyntheticSite) -> None:
    """Make `coded`, what an item of the truth is coded as; fill `concept`."""
    known, systems = dictionary(), dictionary().systems
    concepts = {
        number: (name, domain, vocabulary, code, domain)
        for number, (name, domain, vocabulary, code) in STANDARD.items()
    }
    coded, ancestors = [], set()
    for kind, code, classes in _codes(site):
        number, unit = code.concept_id, 0
        vocabulary = systems[code.system].vocabulary_id
        concepts[number] = (code.name, code.domain, vocabulary, code.code, code.domain)
        standard, unit_code = 0, ""
        if kind == "lab":
            analyte = _analyte(code.item)
            standard, unit_code = analyte.concept_id, analyte.unit
            unit = known.units[unit_code].concept_id
            name = analyte.labels["en"]
            concepts[standard] = (
                name,
                "Measurement",
                "LOINC",
                analyte.loinc,
                "Lab Test",
            )
            concepts[unit] = (unit_code, "Unit", "UCUM", unit_code, "Unit")
        coded.append((kind, code.item, code.code, number, standard, unit, unit_code))
        for one in classes:
            system, _, above = one.partition(":")
            parent = local_concept_id(system, above)
            vocabulary = systems[system].vocabulary_id
            concepts[parent] = (above, "Drug", vocabulary, above, "Class")
            ancestors.add((parent, number, 1, 1))
    for number in list(concepts):
        ancestors.add((number, number, 0, 0))
    names = "kind, item, code, source_concept, standard, unit, unit_code"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE coded AS FROM ({_values(coded)}) AS t({names})"
    )
    connection.execute(f"""
        INSERT INTO cdm.concept BY NAME
        SELECT concept_id, concept_name, domain_id, vocabulary_id, concept_class_id,
            concept_code, DATE '1970-01-01' AS valid_start_date,
            DATE '2099-12-31' AS valid_end_date
        FROM ({_values([(number, *words) for number, words in concepts.items()])})
            AS t(concept_id, concept_name, domain_id, vocabulary_id, concept_code,
                concept_class_id)
        ORDER BY concept_id
    """)
    connection.execute(
        f"INSERT INTO cdm.concept_ancestor FROM ({_values(sorted(ancestors))})"
    )


def _values(rows: Sequence[tuple[object, ...]]) -> str:
    cells = (
        ", ".join(
            str(cell)
            if isinstance(cell, int)
            else "'" + str(cell).replace("'", "''") + "'"
            for cell in row
        )
        for row in rows
    )
    return "VALUES " + ", ".join(f"({row})" for row in cells)


def _coded(kind: str, item: str) -> str:
    return f"JOIN coded ON coded.kind = '{kind}' AND item = {item}"


def _of_people(population: Population) -> tuple[str, ...]:
    """Return one statement a table: who the block's people are, and their visits."""
    visit = " ".join(f"WHEN '{kind}' THEN {number}" for kind, number in VISITS.items())
    return (
        f"""
        INSERT INTO cdm.person BY NAME
        SELECT person_no AS person_id, CASE sex WHEN 'M' THEN 8507 ELSE 8532 END
                AS gender_concept_id, sex AS gender_source_value,
            year(birth_date) AS year_of_birth, month(birth_date) AS month_of_birth,
            day(birth_date) AS day_of_birth, {CHINESE} AS race_concept_id,
            0 AS ethnicity_concept_id
        FROM person
        """,
        f"""
        INSERT INTO cdm.observation_period BY NAME
        SELECT person_no AS observation_period_id, person_no AS person_id,
            entry_date AS observation_period_start_date,
            coalesce(death_date, DATE '{population.world.last}')
                AS observation_period_end_date,
            {TYPE_EHR} AS period_type_concept_id
        FROM person
        """,
        f"""
        INSERT INTO cdm.death BY NAME
        SELECT person_no AS person_id, death_date, {TYPE_EHR} AS death_type_concept_id,
            0 AS cause_concept_id, code AS cause_source_value,
            source_concept AS cause_source_concept_id
        FROM person LEFT {_coded("disease", "death_cause")} WHERE death_date IS NOT NULL
        """,
        f"""
        INSERT INTO cdm.visit_occurrence BY NAME
        SELECT visit_no AS visit_occurrence_id, person_no AS person_id,
            CASE kind {visit} END AS visit_concept_id, start_date AS visit_start_date,
            end_date AS visit_end_date, {TYPE_EHR} AS visit_type_concept_id,
            kind AS visit_source_value
        FROM visit
        """,
    )


def _of_events() -> tuple[str, ...]:
    """Return one statement a table: what happened at the block's visits."""
    return (
        f"""
        INSERT INTO cdm.condition_occurrence BY NAME
        SELECT visit_no * 64 + rank AS condition_occurrence_id, person_no AS person_id,
            0 AS condition_concept_id, day AS condition_start_date,
            {TYPE_EHR} AS condition_type_concept_id, visit_no AS visit_occurrence_id,
            code AS condition_source_value,
            source_concept AS condition_source_concept_id
        FROM diagnosis {_coded("disease", "disease")}
        """,
        f"""
        INSERT INTO cdm.drug_exposure BY NAME
        SELECT rx_no AS drug_exposure_id, person_no AS person_id, 0 AS drug_concept_id,
            day AS drug_exposure_start_date, day + days - 1 AS drug_exposure_end_date,
            {TYPE_EHR} AS drug_type_concept_id, quantity, days AS days_supply,
            visit_no AS visit_occurrence_id, code AS drug_source_value,
            source_concept AS drug_source_concept_id
        FROM (SELECT rx_no, person_no, visit_no, day, drug, days, quantity FROM drug
            UNION ALL SELECT visit_no * 64 + 60 + use_no % 4, person_no, visit_no, day,
                product, 28, 28 FROM special) {_coded("drug", "drug")}
        """,
        f"""
        INSERT INTO cdm.measurement BY NAME
        SELECT lab_no AS measurement_id, person_no AS person_id,
            standard AS measurement_concept_id, taken_at::DATE AS measurement_date,
            taken_at AS measurement_datetime, {TYPE_EHR} AS measurement_type_concept_id,
            value AS value_as_number, unit AS unit_concept_id,
            visit_no AS visit_occurrence_id, code AS measurement_source_value,
            source_concept AS measurement_source_concept_id,
            unit_code AS unit_source_value
        FROM lab {_coded("lab", "analyte")}
        """,
        f"""
        INSERT INTO cdm.procedure_occurrence BY NAME
        SELECT proc_no AS procedure_occurrence_id, person_no AS person_id,
            0 AS procedure_concept_id, day AS procedure_date,
            {TYPE_EHR} AS procedure_type_concept_id, visit_no AS visit_occurrence_id,
            code AS procedure_source_value,
            source_concept AS procedure_source_concept_id
        FROM procedure {_coded("procedure", "procedure")}
        """,
        f"""
        INSERT INTO cdm.device_exposure BY NAME
        SELECT use_no AS device_exposure_id, person_no AS person_id,
            0 AS device_concept_id, day AS device_exposure_start_date,
            {TYPE_EHR} AS device_type_concept_id, visit_no AS visit_occurrence_id,
            code AS device_source_value, source_concept AS device_source_concept_id
        FROM special {_coded("device", "product")}
        """,
    )


def _close_off(connection: Connection, site: SyntheticSite, snapshot: str) -> None:
    """Say whose tables these are and what they follow; write everything down."""
    title = site.title.replace("'", "''")
    connection.execute(f"""
        INSERT INTO cdm.cdm_source BY NAME
        SELECT '{title}' AS cdm_source_name, '{site.name[:25]}'
                AS cdm_source_abbreviation, '{title}' AS cdm_holder,
            max(observation_period_end_date) AS source_release_date,
            max(observation_period_end_date) AS cdm_release_date,
            'v5.4' AS cdm_version, {CDM_VERSION} AS cdm_version_concept_id,
            'none' AS vocabulary_version
        FROM cdm.observation_period
    """)
    known = dictionary()
    connection.execute(
        "CREATE TABLE cdm.snapshot AS SELECT ? AS dictionary, ? AS digest, "
        "? AS dictionary_digest",
        [known.name, snapshot, known.digest],
    )
    connection.execute("CHECKPOINT cdm")
