-- Cholesterol and pressure of 0 do not exist: the dictionary says so, and they are kept
-- aside. A negative ST depression is an elevation: it stays.
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS measurement_date,
  'cholesterol' AS measurement_source_value,
  'local' AS measurement_system,
  chol AS value_source_value,
  'mg/dL' AS unit_source_value
FROM angiography
WHERE chol IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS measurement_date,
  'systolic' AS measurement_source_value,
  'local' AS measurement_system,
  trestbps AS value_source_value,
  'mm[Hg]' AS unit_source_value
FROM angiography
WHERE trestbps IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS measurement_date,
  'max-heart-rate' AS measurement_source_value,
  'local' AS measurement_system,
  thalach AS value_source_value,
  '/min' AS unit_source_value
FROM angiography
WHERE thalach IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS measurement_date,
  'st-depression' AS measurement_source_value,
  'local' AS measurement_system,
  oldpeak AS value_source_value,
  'mm' AS unit_source_value
FROM angiography
WHERE oldpeak IS NOT NULL
