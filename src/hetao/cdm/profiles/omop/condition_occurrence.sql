-- Standard concepts stay as the database has them. The source's code and system come from
-- its own concepts, so that a study's code lists find it here as at any other site.
SELECT
    pseudonym(event.person_id) AS person_id,
    as_integer(event.condition_concept_id) AS condition_concept_id,
    as_date(left(event.condition_start_date, 10)) AS condition_start_date,
    coalesce(known.concept_code, event.condition_source_value) AS condition_source_value,
    CASE known.vocabulary_id
        WHEN 'ICD10' THEN 'icd10'
        WHEN 'ICD10CN' THEN 'icd10cn'
        WHEN 'ICD9CM' THEN 'icd9cm'
        WHEN 'ICPC2' THEN 'icpc2'
        WHEN 'SNOMED' THEN 'snomed'
        ELSE 'local' END AS condition_system,
    as_integer(event.condition_type_concept_id) AS condition_type_concept_id,
    pseudonym('visit ' || event.visit_occurrence_id) AS visit_occurrence_id,
    event.source_row,
    event.source_file
FROM cdm_condition_occurrence AS event
LEFT JOIN cdm_concept AS known ON known.concept_id = event.condition_source_concept_id
