-- One row a patient: every patient came once.
SELECT
  pseudonym("PT_ID") AS person_id,
  year(as_date("DOV", '%m/%d/%Y')) - as_integer("AGE") AS year_of_birth,
  'sex:' || "SEX" AS gender_source_value,
  'local' AS gender_system
FROM angiography
