SELECT
  pseudonym("PT_ID") AS visit_occurrence_id,
  pseudonym("PT_ID") AS person_id,
  9202 AS visit_concept_id,
  as_date("DOV", '%m/%d/%Y') AS visit_start_date
FROM angiography
