SELECT
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  pseudonym("Patienten-Nr") AS person_id,
  9202 AS visit_concept_id,
  as_date("Untersuchung", '%d.%m.%Y') AS visit_start_date
FROM angiography
