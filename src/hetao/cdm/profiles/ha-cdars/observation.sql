-- Who pays (non-eligible persons are not residents of Hong Kong), and how urgent an
-- attendance at the emergency department was.
SELECT
    pseudonym("Reference Key") AS person_id,
    as_date("Discharge Date (yyyy-mm-dd)") AS observation_date,
    'Paycode (at discharge)' AS observation_source_value,
    'local' AS observation_system,
    "Paycode (at discharge)" AS value_source_value,
    'local' AS value_system,
    32817 AS observation_type_concept_id,
    pseudonym("HN Number") AS visit_occurrence_id,
    source_row,
    source_file
FROM inpatient
WHERE "Paycode (at discharge)" IS NOT NULL
UNION ALL
SELECT
    pseudonym("Reference Key"),
    as_date("Attendance Date (yyyy-mm-dd)"),
    'Triage Category',
    'local',
    'Triage ' || "Triage Category",
    'local',
    32817,
    pseudonym("AE Number"),
    source_row,
    source_file
FROM emergency
WHERE "Triage Category" IS NOT NULL
