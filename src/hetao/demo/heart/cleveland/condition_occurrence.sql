-- Angiography: a narrowing of more than half of a major vessel's diameter.
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS condition_start_date,
  'coronary-disease' AS condition_source_value,
  'local' AS condition_system
FROM angiography
WHERE as_integer(num) > 0
