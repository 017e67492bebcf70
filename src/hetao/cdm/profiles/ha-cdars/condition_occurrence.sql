-- The list of all diagnoses is complete but names no episode; an episode's principal
-- diagnosis stands in it a second time. So the list makes the rows, and the episodes
-- tell which of them were principal, and where.
WITH principal AS (
    SELECT "Reference Key" AS patient, "Principal Diagnosis Code" AS code,
        as_date("Admission Date (yyyy-mm-dd)") AS day, "HN Number" AS episode
    FROM inpatient
    UNION ALL
    SELECT "Reference Key", "Principal Diagnosis Code",
        as_date("Attendance Date (yyyy-mm-dd)"), "AE Number"
    FROM emergency
),
one_principal AS (
    SELECT patient, code, day, min(episode) AS episode
    FROM principal WHERE code IS NOT NULL GROUP BY patient, code, day
)
SELECT
    pseudonym(listed."Reference Key") AS person_id,
    partial_date(listed."Reference Date") AS condition_start_date,
    listed."All Diagnosis Code (ICD9)" AS condition_source_value,
    'icd9cm' AS condition_system,
    32817 AS condition_type_concept_id,
    CASE WHEN one_principal.episode IS NOT NULL THEN 32902 END
        AS condition_status_concept_id,
    pseudonym(one_principal.episode) AS visit_occurrence_id,
    listed.source_row,
    listed.source_file
FROM diagnosis AS listed
LEFT JOIN one_principal
    ON one_principal.patient = listed."Reference Key"
    AND one_principal.code = listed."All Diagnosis Code (ICD9)"
    AND one_principal.day = partial_date(listed."Reference Date")
