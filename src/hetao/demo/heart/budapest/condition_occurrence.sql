-- Angiography: a narrowing of more than half of a major vessel's diameter.
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS condition_start_date,
  'coronary-disease' AS condition_source_value,
  'local' AS condition_system
FROM angiography
WHERE "szűkület" = 'van'
