-- "asymptomatic" is the type of chest pain again, read as one question: two hospitals
-- have hardly any patient with typical or atypical angina, so four levels could not be
-- modelled there.
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS observation_date,
  'chest-pain' AS observation_source_value,
  'local' AS observation_system,
  'chest-pain:' || cp AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE cp IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS observation_date,
  'asymptomatic' AS observation_source_value,
  'local' AS observation_system,
  'asymptomatic:' || cp AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE cp IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS observation_date,
  'exercise-angina' AS observation_source_value,
  'local' AS observation_system,
  'exercise-angina:' || exang AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE exang IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS observation_date,
  'fasting-sugar' AS observation_source_value,
  'local' AS observation_system,
  'fasting-sugar:' || fbs AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE fbs IS NOT NULL
UNION ALL
SELECT
  pseudonym(patient) AS person_id,
  pseudonym(patient) AS visit_occurrence_id,
  as_date(visit_date) AS observation_date,
  'rest-ecg' AS observation_source_value,
  'local' AS observation_system,
  'rest-ecg:' || restecg AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE restecg IS NOT NULL
