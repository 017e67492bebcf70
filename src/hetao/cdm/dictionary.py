"""What curation takes from the data dictionary: its tables, units and concepts."""

from hetao.dictionary import dictionary

DICTIONARY = dictionary().name
CDM_VERSION_CONCEPT = 756265  # "OMOP CDM Version 5.4.0"
TYPE_EHR = 32817
MALE, FEMALE = 8507, 8532

UNITS: dict[str, tuple[int, str]] = {
    code: (unit.concept_id, unit.name) for code, unit in dictionary().units.items()
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

_TABLES = dictionary().tables
CONTENT = tuple(
    _TABLES[name]
    for name in (
        "person",
        "observation_period",
        "visit_occurrence",
        "measurement",
        "observation",
        "condition_occurrence",
        "drug_exposure",
        "death",
        "concept",
        "cdm_source",
        "rejected",
    )
)
