-- Angiography: a narrowing of more than half of a major vessel's diameter.
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS condition_start_date,
  'coronary-disease' AS condition_source_value,
  'local' AS condition_system
FROM angiography
WHERE as_integer("KHK-Grad") > 0
