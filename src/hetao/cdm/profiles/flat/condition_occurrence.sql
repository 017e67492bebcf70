-- Three columns of diagnoses become rows of one table. Is yours another coding?
-- Write its system: icd9cm, icd10, icd10cn, icpc2, local …
SELECT
    pseudonym(patient) AS person_id,
    as_date(visit_date) AS condition_start_date,
    diagnosis_1 AS condition_source_value,
    'icd10' AS condition_system,
    32817 AS condition_type_concept_id,
    pseudonym(patient || ' ' || visit_date || ' ' || kind) AS visit_occurrence_id,
    source_row,
    source_file
FROM visits
WHERE diagnosis_1 IS NOT NULL
UNION ALL
SELECT
    pseudonym(patient),
    as_date(visit_date),
    diagnosis_2,
    'icd10',
    32817,
    pseudonym(patient || ' ' || visit_date || ' ' || kind),
    source_row,
    source_file
FROM visits
WHERE diagnosis_2 IS NOT NULL
UNION ALL
SELECT
    pseudonym(patient),
    as_date(visit_date),
    diagnosis_3,
    'icd10',
    32817,
    pseudonym(patient || ' ' || visit_date || ' ' || kind),
    source_row,
    source_file
FROM visits
WHERE diagnosis_3 IS NOT NULL
