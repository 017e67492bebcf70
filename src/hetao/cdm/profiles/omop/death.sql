-- The cause's code and system come from the database's own concepts.
SELECT
    pseudonym(cdm_death.person_id) AS person_id,
    as_date(left(cdm_death.death_date, 10)) AS death_date,
    as_integer(cdm_death.death_type_concept_id) AS death_type_concept_id,
    coalesce(known.concept_code, cdm_death.cause_source_value) AS cause_source_value,
    CASE known.vocabulary_id WHEN 'ICD10' THEN 'icd10' WHEN 'ICD10CN' THEN 'icd10cn'
        WHEN 'ICD9CM' THEN 'icd9cm' ELSE 'local' END AS cause_system,
    cdm_death.source_row,
    cdm_death.source_file
FROM cdm_death
LEFT JOIN cdm_concept AS known
    ON known.concept_id = cdm_death.cause_source_concept_id
