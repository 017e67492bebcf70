-- Pounds become kilograms. A negative loss is a gain; zero is a weight that stayed.
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(enrolled) AS measurement_date,
  'ecog' AS measurement_source_value,
  'local' AS measurement_system,
  "ph.ecog" AS value_source_value,
  '{score}' AS unit_source_value
FROM enrolment
WHERE "ph.ecog" IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(enrolled) AS measurement_date,
  'karnofsky-physician' AS measurement_source_value,
  'local' AS measurement_system,
  "ph.karno" AS value_source_value,
  '{score}' AS unit_source_value
FROM enrolment
WHERE "ph.karno" IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(enrolled) AS measurement_date,
  'karnofsky-patient' AS measurement_source_value,
  'local' AS measurement_system,
  "pat.karno" AS value_source_value,
  '{score}' AS unit_source_value
FROM enrolment
WHERE "pat.karno" IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(enrolled) AS measurement_date,
  'meal-calories' AS measurement_source_value,
  'local' AS measurement_system,
  "meal.cal" AS value_source_value,
  'kcal' AS unit_source_value
FROM enrolment
WHERE "meal.cal" IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(enrolled) AS measurement_date,
  'weight-loss' AS measurement_source_value,
  'local' AS measurement_system,
  "wt.loss" AS value_source_value,
  '[lb_av]' AS unit_source_value
FROM enrolment
WHERE "wt.loss" IS NOT NULL
