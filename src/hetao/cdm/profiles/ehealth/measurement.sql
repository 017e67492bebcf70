-- Tests go by name: the name in lower case is the clinic's own code.
SELECT
    pseudonym(clean("HKID No.")) AS person_id,
    CAST(as_datetime(clean("Taken"), '%d/%m/%Y %H:%M') AS DATE) AS measurement_date,
    as_datetime(clean("Taken"), '%d/%m/%Y %H:%M') AS measurement_datetime,
    lower(clean("Test")) AS measurement_source_value,
    'local' AS measurement_system,
    clean("Result") AS value_source_value,
    clean("Unit") AS unit_source_value,
    32856 AS measurement_type_concept_id,
    pseudonym(clean("Visit No.")) AS visit_occurrence_id
FROM tests
