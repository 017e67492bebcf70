-- One row a patient: every patient came once.
SELECT
  pseudonym("azonosító") AS person_id,
  year(as_date("vizsgálat napja")) - as_integer("életkor") AS year_of_birth,
  'sex:' || nem AS gender_source_value,
  'local' AS gender_system
FROM angiography
