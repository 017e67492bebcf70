-- "asymptomatic" is the type of chest pain again, read as one question: two hospitals
-- have hardly any patient with typical or atypical angina, so four levels could not be
-- modelled there.
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS observation_date,
  'chest-pain' AS observation_source_value,
  'local' AS observation_system,
  'chest-pain:' || "mellkasi fájdalom" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "mellkasi fájdalom" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS observation_date,
  'asymptomatic' AS observation_source_value,
  'local' AS observation_system,
  'asymptomatic:' || "mellkasi fájdalom" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "mellkasi fájdalom" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS observation_date,
  'exercise-angina' AS observation_source_value,
  'local' AS observation_system,
  'exercise-angina:' || "terheléses angina" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "terheléses angina" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS observation_date,
  'fasting-sugar' AS observation_source_value,
  'local' AS observation_system,
  'fasting-sugar:' || "éhomi vércukor >120" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "éhomi vércukor >120" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS observation_date,
  'rest-ecg' AS observation_source_value,
  'local' AS observation_system,
  'rest-ecg:' || "nyugalmi EKG" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "nyugalmi EKG" IS NOT NULL
