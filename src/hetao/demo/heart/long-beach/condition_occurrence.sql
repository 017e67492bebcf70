-- Angiography: a narrowing of more than half of a major vessel's diameter.
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS condition_start_date,
  'coronary-disease' AS condition_source_value,
  'local' AS condition_system
FROM angiography
WHERE as_integer("CAD") > 0
