-- One row a patient: every patient came once.
SELECT
  pseudonym(patient) AS person_id,
  year(as_date(enrolled)) - as_integer(age) AS year_of_birth,
  'sex:' || sex AS gender_source_value,
  'local' AS gender_system
FROM enrolment
