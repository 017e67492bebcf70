SELECT
  pseudonym("azonosító") AS visit_occurrence_id,
  pseudonym("azonosító") AS person_id,
  9202 AS visit_concept_id,
  as_date("vizsgálat napja") AS visit_start_date
FROM angiography
