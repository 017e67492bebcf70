-- Problems come in ICPC-2, in ICD-10, with a term id of the territory's terminology, or
-- in words only. Term ids and words are codes of the clinic's own: codes.csv says what
-- they mean, the terminology itself is not passed on.
SELECT
    pseudonym(clean("HKID No.")) AS person_id,
    as_date(clean("Date"), '%d/%m/%Y') AS condition_start_date,
    coalesce(clean("Code"), lower(clean("Problem"))) AS condition_source_value,
    CASE WHEN "Code" IS NULL THEN 'local'
        WHEN clean("Scheme") = 'ICPC-2' THEN 'icpc2'
        WHEN clean("Scheme") = 'ICD-10' THEN 'icd10'
        ELSE 'local' END AS condition_system,
    32817 AS condition_type_concept_id,
    pseudonym(clean("Visit No.")) AS visit_occurrence_id
FROM problems
