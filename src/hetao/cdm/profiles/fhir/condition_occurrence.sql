-- The first coding that this site trusts: the Mainland's ICD-10, then WHO's, then
-- ICD-9-CM. What was entered in error or refuted is left out.
WITH coded AS (
    SELECT *,
        coding(code, 'urn:oid:2.16.156.10011.2.3.3.11') AS icd10cn,
        coding(code, 'http://hl7.org/fhir/sid/icd-10') AS icd10,
        coding(code, 'http://hl7.org/fhir/sid/icd-9-cm') AS icd9cm
    FROM condition
    WHERE verified IS NULL OR verified NOT IN ('entered-in-error', 'refuted')
)
SELECT
    pseudonym(replace(patient, 'Patient/', '')) AS person_id,
    partial_date(left(coalesce(onset, recorded), 10)) AS condition_start_date,
    coalesce(icd10cn, icd10, icd9cm) AS condition_source_value,
    CASE WHEN icd10cn IS NOT NULL THEN 'icd10cn' WHEN icd10 IS NOT NULL THEN 'icd10'
        ELSE 'icd9cm' END AS condition_system,
    32817 AS condition_type_concept_id,
    pseudonym(replace(encounter, 'Encounter/', '')) AS visit_occurrence_id,
    source_row,
    source_file
FROM coded
