-- "asymptomatic" is the type of chest pain again, read as one question: two hospitals
-- have hardly any patient with typical or atypical angina, so four levels could not be
-- modelled there.
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS observation_date,
  'chest-pain' AS observation_source_value,
  'local' AS observation_system,
  'chest-pain:' || "Brustschmerz" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "Brustschmerz" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS observation_date,
  'asymptomatic' AS observation_source_value,
  'local' AS observation_system,
  'asymptomatic:' || "Brustschmerz" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "Brustschmerz" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS observation_date,
  'exercise-angina' AS observation_source_value,
  'local' AS observation_system,
  'exercise-angina:' || "Belastungsangina" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "Belastungsangina" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS observation_date,
  'fasting-sugar' AS observation_source_value,
  'local' AS observation_system,
  'fasting-sugar:' || "Nüchternzucker >120" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "Nüchternzucker >120" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS observation_date,
  'rest-ecg' AS observation_source_value,
  'local' AS observation_system,
  'rest-ecg:' || "Ruhe-EKG" AS value_source_value,
  'local' AS value_system
FROM angiography
WHERE "Ruhe-EKG" IS NOT NULL
