-- "asymptomatic" is the type of chest pain again, read as one question: two hospitals
-- have hardly any patient with typical or atypical angina, so four levels could not be
-- modelled there.
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS observation_date,
  'chest-pain' AS observation_source_value,
  'local' AS observation_system,
  'chest-pain:' || "CHEST_PAIN" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "CHEST_PAIN" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS observation_date,
  'asymptomatic' AS observation_source_value,
  'local' AS observation_system,
  'asymptomatic:' || "CHEST_PAIN" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "CHEST_PAIN" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS observation_date,
  'exercise-angina' AS observation_source_value,
  'local' AS observation_system,
  'exercise-angina:' || "EX_ANGINA" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "EX_ANGINA" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS observation_date,
  'fasting-sugar' AS observation_source_value,
  'local' AS observation_system,
  'fasting-sugar:' || "FBS_GT_120" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "FBS_GT_120" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS observation_date,
  'rest-ecg' AS observation_source_value,
  'local' AS observation_system,
  'rest-ecg:' || "RESTECG" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "RESTECG" IS NOT NULL
