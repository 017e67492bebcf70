-- As condition_occurrence: standard concepts stay, source codes get their system's name.
SELECT
    pseudonym(event.person_id) AS person_id,
    as_integer(event.drug_concept_id) AS drug_concept_id,
    as_date(left(event.drug_exposure_start_date, 10)) AS drug_exposure_start_date,
    coalesce(known.concept_code, event.drug_source_value) AS drug_source_value,
    CASE known.vocabulary_id
        WHEN 'ATC' THEN 'atc'
        WHEN 'RxNorm' THEN 'rxnorm'
        WHEN 'BNF' THEN 'bnf'
        WHEN 'HKCMMS' THEN 'hkcmms'
        ELSE 'local' END AS drug_system,
    as_integer(event.drug_type_concept_id) AS drug_type_concept_id,
    pseudonym('visit ' || event.visit_occurrence_id) AS visit_occurrence_id,
    as_date(left(event.drug_exposure_end_date, 10)) AS drug_exposure_end_date,
    as_integer(event.days_supply) AS days_supply,
    as_number(event.quantity) AS quantity,
    event.source_row,
    event.source_file
FROM cdm_drug_exposure AS event
LEFT JOIN cdm_concept AS known ON known.concept_id = event.drug_source_concept_id
