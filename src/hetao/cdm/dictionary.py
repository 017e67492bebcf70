"""The data dictionary: OMOP CDM 5.4 tables, units, and the concepts we name.

Fields and types are those of the OHDSI Common Data Model 5.4; identifiers are 64-bit
because pseudonyms fill 63 bits. A concept id of 2,000,000,000 and more is local, as
OMOP provides for what its vocabulary does not hold.
"""

from dataclasses import dataclass

DICTIONARY = "omop-5.4"
FIRST_LOCAL = 2_000_000_000
CDM_VERSION_CONCEPT = 756265  # "OMOP CDM Version 5.4.0"
TYPE_EHR = 32817
MALE, FEMALE = 8507, 8532

# UCUM code → (concept id, name). Local ids stand where we could not verify one.
UNITS: dict[str, tuple[int, str]] = {
    "mmol/L": (8753, "millimole per liter"),
    "mm[Hg]": (8876, "millimeter mercury column"),
    "/min": (8541, "per minute"),
    "mm": (8588, "millimeter"),
    "kg": (9529, "kilogram"),
    "kcal": (2_000_000_901, "kilocalorie"),
    "{score}": (2_000_000_902, "score"),
}

# concept id → (name, domain, vocabulary, class, code): only what we can vouch for.
STANDARD: dict[int, tuple[str, str, str, str, str]] = {
    MALE: ("MALE", "Gender", "Gender", "Gender", "M"),
    FEMALE: ("FEMALE", "Gender", "Gender", "Gender", "F"),
    9201: ("Inpatient Visit", "Visit", "Visit", "Visit", "IP"),
    9202: ("Outpatient Visit", "Visit", "Visit", "Visit", "OP"),
    3004249: (
        "Systolic blood pressure",
        "Measurement",
        "LOINC",
        "Clinical Observation",
        "8480-6",
    ),
    3019900: (
        "Cholesterol [Moles/volume] in Serum or Plasma",
        "Measurement",
        "LOINC",
        "Lab Test",
        "14647-2",
    ),
    317576: (
        "Coronary arteriosclerosis",
        "Condition",
        "SNOMED",
        "Disorder",
        "53741008",
    ),
    4188539: ("Yes", "Meas Value", "SNOMED", "Qualifier Value", "373066001"),
    4188540: ("No", "Meas Value", "SNOMED", "Qualifier Value", "373067005"),
}


@dataclass(frozen=True)
class Table:
    """One table: `column type` lines, `!` marking the required; and a total order."""

    name: str
    fields: tuple[tuple[str, str, bool], ...]
    key: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the column names in order."""
        return tuple(column for column, _, _ in self.fields)

    @property
    def ddl(self) -> str:
        """Return the statement that makes the table."""
        lines = (
            f'"{column}" {kind}{" NOT NULL" if required else ""}'
            for column, kind, required in self.fields
        )
        return f'CREATE TABLE "{self.name}" ({", ".join(lines)})'


def _table(name: str, key: str, fields: str) -> Table:
    """Read `column` lines; the type follows from the name, `!` means required."""
    parsed = []
    for item in fields.split():
        column = item.rstrip("!")
        parsed.append((column, _kind(column), item.endswith("!")))
    return Table(name, tuple(parsed), tuple(key.split()))


def _kind(column: str) -> str:
    endings = {
        "_datetime": "TIMESTAMP",
        "_date": "DATE",
        "_as_number": "DOUBLE",
        "quantity": "DOUBLE",
        "range_low": "DOUBLE",
        "range_high": "DOUBLE",
        "vocabulary_id": "VARCHAR",
        "domain_id": "VARCHAR",
        "concept_class_id": "VARCHAR",
        "_id": "BIGINT",
        "_of_birth": "INTEGER",
        "refills": "INTEGER",
        "days_supply": "INTEGER",
        "source_row": "BIGINT",
    }
    for ending, kind in endings.items():
        if column.endswith(ending):
            return kind
    return "VARCHAR"


PERSON = _table(
    "person",
    "person_id",
    """person_id! gender_concept_id! year_of_birth! month_of_birth day_of_birth
    birth_datetime race_concept_id! ethnicity_concept_id! location_id provider_id
    care_site_id person_source_value gender_source_value gender_source_concept_id
    race_source_value race_source_concept_id ethnicity_source_value
    ethnicity_source_concept_id""",
)
OBSERVATION_PERIOD = _table(
    "observation_period",
    "observation_period_id",
    """observation_period_id! person_id! observation_period_start_date!
    observation_period_end_date! period_type_concept_id!""",
)
VISIT_OCCURRENCE = _table(
    "visit_occurrence",
    "visit_occurrence_id",
    """visit_occurrence_id! person_id! visit_concept_id! visit_start_date!
    visit_start_datetime visit_end_date! visit_end_datetime visit_type_concept_id!
    provider_id care_site_id visit_source_value visit_source_concept_id
    admitted_from_concept_id admitted_from_source_value discharged_to_concept_id
    discharged_to_source_value preceding_visit_occurrence_id""",
)
MEASUREMENT = _table(
    "measurement",
    "measurement_id",
    """measurement_id! person_id! measurement_concept_id! measurement_date!
    measurement_datetime measurement_time measurement_type_concept_id!
    operator_concept_id value_as_number value_as_concept_id unit_concept_id range_low
    range_high provider_id visit_occurrence_id visit_detail_id
    measurement_source_value measurement_source_concept_id unit_source_value
    unit_source_concept_id value_source_value measurement_event_id
    meas_event_field_concept_id""",
)
OBSERVATION = _table(
    "observation",
    "observation_id",
    """observation_id! person_id! observation_concept_id! observation_date!
    observation_datetime observation_type_concept_id! value_as_number value_as_string
    value_as_concept_id qualifier_concept_id unit_concept_id provider_id
    visit_occurrence_id visit_detail_id observation_source_value
    observation_source_concept_id unit_source_value qualifier_source_value
    value_source_value observation_event_id obs_event_field_concept_id""",
)
CONDITION_OCCURRENCE = _table(
    "condition_occurrence",
    "condition_occurrence_id",
    """condition_occurrence_id! person_id! condition_concept_id! condition_start_date!
    condition_start_datetime condition_end_date condition_end_datetime
    condition_type_concept_id! condition_status_concept_id stop_reason provider_id
    visit_occurrence_id visit_detail_id condition_source_value
    condition_source_concept_id condition_status_source_value""",
)
DRUG_EXPOSURE = _table(
    "drug_exposure",
    "drug_exposure_id",
    """drug_exposure_id! person_id! drug_concept_id! drug_exposure_start_date!
    drug_exposure_start_datetime drug_exposure_end_date! drug_exposure_end_datetime
    verbatim_end_date drug_type_concept_id! stop_reason refills quantity days_supply
    sig route_concept_id lot_number provider_id visit_occurrence_id visit_detail_id
    drug_source_value drug_source_concept_id route_source_value
    dose_unit_source_value""",
)
DEATH = _table(
    "death",
    "person_id",
    """person_id! death_date! death_datetime death_type_concept_id cause_concept_id
    cause_source_value cause_source_concept_id""",
)
CONCEPT = _table(
    "concept",
    "concept_id",
    """concept_id! concept_name! domain_id! vocabulary_id! concept_class_id!
    standard_concept concept_code! valid_start_date! valid_end_date!
    invalid_reason""",
)
CDM_SOURCE = _table(
    "cdm_source",
    "cdm_source_name",
    """cdm_source_name! cdm_source_abbreviation! cdm_holder! source_description
    source_documentation_reference cdm_etl_reference source_release_date!
    cdm_release_date! cdm_version cdm_version_concept_id! vocabulary_version!""",
)
# Ours: what could not be mapped, by place and reason, never with its value.
REJECTED = _table(
    "rejected",
    "source_row source_column reason",
    "source_row! source_column! reason!",
)
CONTENT = (
    PERSON,
    OBSERVATION_PERIOD,
    VISIT_OCCURRENCE,
    MEASUREMENT,
    OBSERVATION,
    CONDITION_OCCURRENCE,
    DRUG_EXPOSURE,
    DEATH,
    CONCEPT,
    CDM_SOURCE,
    REJECTED,
)
