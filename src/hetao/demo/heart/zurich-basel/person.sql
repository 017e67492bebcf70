-- One row a patient: every patient came once.
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  year(as_date("Untersuchung", '%d.%m.%Y')) - as_integer("Alter") AS year_of_birth,
  'sex:' || "Geschlecht" AS gender_source_value,
  'local' AS gender_system
FROM angiography
