SELECT
    pseudonym('visit ' || visit_occurrence_id) AS visit_occurrence_id,
    pseudonym(person_id) AS person_id,
    as_integer(visit_concept_id) AS visit_concept_id,
    as_date(left(visit_start_date, 10)) AS visit_start_date,
    as_date(left(visit_end_date, 10)) AS visit_end_date,
    as_integer(visit_type_concept_id) AS visit_type_concept_id,
    visit_source_value
FROM cdm_visit_occurrence
