"""What curation adds of its own: units, observation periods, concepts, `cdm_source`."""

import csv
from pathlib import Path
from typing import Final

from hetao.cdm.engine_duckdb import Connection, counts, insert, text
from hetao.cdm.filling import TYPE_EHR
from hetao.cdm.mapping import SiteTable
from hetao.dictionary import (
    FIRST_LOCAL,
    conversion_sql,
    dictionary,
    unit_text,
)
from hetao.errors import InvalidData, InvalidMapping

CDM_VERSION_CONCEPT: Final = 756265  # "OMOP CDM Version 5.4.0"
UNITS_HEADER: Final = ("analyte", "source_unit", "unit")
# concept id → (name, domain, vocabulary, class, code): only what we can vouch for.
STANDARD: Final[dict[int, tuple[str, str, str, str, str]]] = {
    8507: ("MALE", "Gender", "Gender", "Gender", "M"),
    8532: ("FEMALE", "Gender", "Gender", "Gender", "F"),
    TYPE_EHR: ("EHR", "Type Concept", "Type Concept", "Type Concept", "OMOP4976890"),
    CDM_VERSION_CONCEPT: (
        "OMOP CDM Version 5.4.0",
        "Metadata",
        "CDM",
        "CDM",
        "CDM v5.4.0",
    ),
    9201: ("Inpatient Visit", "Visit", "Visit", "Visit", "IP"),
    9202: ("Outpatient Visit", "Visit", "Visit", "Visit", "OP"),
    9203: ("Emergency Room Visit", "Visit", "Visit", "Visit", "ER"),
    317576: (
        "Coronary arteriosclerosis",
        "Condition",
        "SNOMED",
        "Disorder",
        "53741008",
    ),
    4188539: ("Yes", "Meas Value", "SNOMED", "Qualifier Value", "373066001"),
    4188540: ("No", "Meas Value", "SNOMED", "Qualifier Value", "373067005"),
    4171754: ("<=", "Meas Value Operator", "SNOMED", "Qualifier Value", "276137004"),
    4171755: (">=", "Meas Value Operator", "SNOMED", "Qualifier Value", "276138009"),
    4171756: ("<", "Meas Value Operator", "SNOMED", "Qualifier Value", "276139001"),
    4172704: (">", "Meas Value Operator", "SNOMED", "Qualifier Value", "276140004"),
}


def load_units(connection: Connection, path: Path) -> None:
    """Make `unit_of`, `any_unit` and `analyte_concept`, which measurements are read by.

    Args:
        connection: the curation's.
        path: `units.csv`, the site's own spellings; it need not be there.

    Raises:
        InvalidMapping: a row of `units.csv` does not hold; its line is named.
    """
    own = _own_units(path)
    known = dictionary()
    connection.execute(f"CREATE TEMP TABLE unit_of AS {conversion_sql(known)}")
    spelled = [
        (spelling, unit.concept_id)
        for unit in known.units.values()
        for spelling in unit.spellings
    ]
    connection.execute(
        "CREATE TEMP TABLE any_unit (spelling VARCHAR, unit_concept_id BIGINT)"
    )
    insert(connection, "any_unit", spelled)
    connection.execute(
        "CREATE TEMP TABLE analyte_concept (analyte VARCHAR, concept_id BIGINT)"
    )
    insert(
        connection,
        "analyte_concept",
        [(name, analyte.concept_id) for name, analyte in known.analytes.items()],
    )
    for analyte, spelling, unit in own:
        connection.execute(
            "DELETE FROM unit_of WHERE analyte = ? AND spelling = ?",
            [analyte, spelling],
        )
        connection.execute(
            "INSERT INTO unit_of SELECT DISTINCT ON (analyte) "
            "* REPLACE (? AS spelling) FROM unit_of WHERE analyte = ? AND spelling = ?",
            [spelling, analyte, unit],
        )


def _own_units(path: Path) -> list[tuple[str, str, str]]:
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except OSError as problem:
        raise InvalidData(f"{path.name} cannot be read: {problem.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise InvalidMapping(
            f"{path.name} cannot be read as comma-separated UTF-8 text"
        ) from None
    if not rows or tuple(cell.strip() for cell in rows[0]) != UNITS_HEADER:
        raise InvalidMapping(f"{path.name}: the header is not {','.join(UNITS_HEADER)}")
    known = dictionary().analytes
    found = []
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        where = f"{path.name} line {line}"
        if len(row) != len(UNITS_HEADER):
            raise InvalidMapping(f"{where}: expected {len(UNITS_HEADER)} cells")
        name, spelling, unit = (cell.strip() for cell in row)
        if name not in known:
            raise InvalidMapping(
                f"{where}: {name[:60]!r} is no analyte of the data dictionary"
            )
        if unit_text(unit) not in known[name].spellings:
            raise InvalidMapping(
                f"{where}: {unit[:40]!r} is no unit of {name}",
                fix="its units: " + ", ".join(known[name].units),
            )
        found.append((name, unit_text(spelling), unit_text(unit)))
    return found


def supply_tables(
    connection: Connection, site: SiteTable, mapped: frozenset[str]
) -> None:
    """Derive what the mapping leaves out, and explain every concept that is used.

    Args:
        connection: the curation's, its tables filled.
        site: whose data these are.
        mapped: CDM tables that had a SELECT.
    """
    if "observation_period" not in mapped:
        _observation_periods(connection)
    _name_concepts(connection)
    _cdm_source(connection, site)


def _observation_periods(connection: Connection) -> None:
    """Observe a person from the first to the last of their events.

    Source: the OMOP convention for records without enrolment.
    """
    parts = []
    for table in dictionary().tables.values():
        event = table.event
        if event is None or table.name.endswith("_era"):
            continue
        last = (
            f"coalesce({event.end_date}, {event.date})"
            if event.end_date
            else event.date
        )
        parts.append(
            f"SELECT person_id, min({event.date}) AS first, max({last}) AS last "  # noqa: S608
            f"FROM {table.name} GROUP BY person_id"
        )
    connection.execute(f"""
        INSERT INTO observation_period BY NAME
        SELECT row_number() OVER (ORDER BY person_id) AS observation_period_id,
            person_id, min(first) AS observation_period_start_date,
            greatest(min(first), least(max(last), coalesce(min(death_date), max(last))))
                AS observation_period_end_date,
            {TYPE_EHR} AS period_type_concept_id
        FROM ({" UNION ALL ".join(parts)})
        LEFT JOIN (SELECT person_id, death_date FROM death) USING (person_id)
        GROUP BY person_id ORDER BY person_id
    """)  # noqa: S608


def _name_concepts(connection: Connection) -> None:
    """Add a row of `concept` for each id that is used and has none yet."""
    rows = counts(connection, dictionary().tables)
    used = " UNION ".join(
        f"SELECT DISTINCT {name}, {text(field.domain or 'Metadata')} FROM {table.name} "  # noqa: S608
        f"WHERE {name} IS NOT NULL"
        for table in dictionary().tables.values()
        if table.kind == "content" and rows[table.name]
        for name, field in table.fields.items()
        if field.references == "concept.concept_id"
    )
    if not used:
        return  # no table has a row
    names: list[tuple[int, str, str, str, str, str]] = [
        (number, *words) for number, words in STANDARD.items()
    ]
    names += [
        (unit.concept_id, unit.name, "Unit", "UCUM", "Unit", unit.code)
        for unit in dictionary().units.values()
    ]
    for analyte in dictionary().analytes.values():
        vocabulary = "LOINC" if analyte.loinc else "Local"
        code = analyte.loinc or analyte.name
        names.append(
            (
                analyte.concept_id,
                analyte.labels["en"],
                "Measurement",
                vocabulary,
                "Lab Test",
                code,
            )
        )
    connection.execute(
        "CREATE TEMP TABLE known_name (concept_id BIGINT, concept_name VARCHAR, "
        "domain_id VARCHAR, vocabulary_id VARCHAR, concept_class_id VARCHAR, "
        "concept_code VARCHAR)"
    )
    insert(connection, "known_name", names)
    connection.execute(f"""
        INSERT INTO concept BY NAME
        WITH used AS (SELECT a AS concept_id, min(b) AS domain FROM ({used}) u(a, b)
            GROUP BY a),
        known AS (SELECT DISTINCT ON (concept_id) * FROM known_name
            ORDER BY concept_id, vocabulary_id = 'Local', concept_code)
        SELECT concept_id, coalesce(concept_name, 'Concept ' || concept_id)
                AS concept_name,
            coalesce(domain_id, domain) AS domain_id,
            coalesce(vocabulary_id, 'None') AS vocabulary_id,
            coalesce(concept_class_id, 'Undefined') AS concept_class_id,
            CASE WHEN concept_id < {FIRST_LOCAL} THEN 'S' END AS standard_concept,
            coalesce(concept_code, concept_id::VARCHAR) AS concept_code,
            DATE '1970-01-01' AS valid_start_date, DATE '2099-12-31' AS valid_end_date
        FROM used LEFT JOIN known USING (concept_id)
        WHERE concept_id NOT IN (SELECT concept_id FROM concept) AND concept_id <> 0
    """)  # noqa: S608
    connection.execute("""
        INSERT INTO concept BY NAME
        SELECT 0 AS concept_id, 'No matching concept' AS concept_name,
            'Metadata' AS domain_id, 'None' AS vocabulary_id,
            'Undefined' AS concept_class_id, 'No matching concept' AS concept_code,
            DATE '1970-01-01' AS valid_start_date, DATE '2099-12-31' AS valid_end_date
        WHERE 0 NOT IN (SELECT concept_id FROM concept)
    """)


def _cdm_source(connection: Connection, site: SiteTable) -> None:
    """Dates come from the data, not from a clock: the same source, the same bytes."""
    connection.execute(
        f"""
        INSERT INTO cdm_source BY NAME
        SELECT $title AS cdm_source_name, $site AS cdm_source_abbreviation,
            $title AS cdm_holder,
            coalesce(max(observation_period_end_date), DATE '1970-01-01')
                AS source_release_date,
            coalesce(max(observation_period_end_date), DATE '1970-01-01')
                AS cdm_release_date,
            'v5.4' AS cdm_version, {CDM_VERSION_CONCEPT} AS cdm_version_concept_id,
            coalesce((SELECT min(vocabulary_version) FROM vocabulary
                WHERE vocabulary_id = 'None'), 'none') AS vocabulary_version
        FROM observation_period
        """,  # noqa: S608
        {"title": site.title or site.name, "site": site.name[:25]},
    )
