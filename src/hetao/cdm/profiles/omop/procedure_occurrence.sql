-- As condition_occurrence: standard concepts stay, source codes get their system's name.
SELECT
    pseudonym(event.person_id) AS person_id,
    as_integer(event.procedure_concept_id) AS procedure_concept_id,
    as_date(left(event.procedure_date, 10)) AS procedure_date,
    coalesce(known.concept_code, event.procedure_source_value) AS procedure_source_value,
    CASE known.vocabulary_id
        WHEN 'ICD9Proc' THEN 'icd9proc'
        WHEN 'ICD9ProcCN' THEN 'icd9proc'
        WHEN 'SNOMED' THEN 'snomed'
        ELSE 'local' END AS procedure_system,
    as_integer(event.procedure_type_concept_id) AS procedure_type_concept_id,
    pseudonym('visit ' || event.visit_occurrence_id) AS visit_occurrence_id,
    event.source_row,
    event.source_file
FROM cdm_procedure_occurrence AS event
LEFT JOIN cdm_concept AS known ON known.concept_id = event.procedure_source_concept_id
