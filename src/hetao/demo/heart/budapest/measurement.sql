-- Cholesterol and pressure of 0 do not exist: the dictionary says so, and they are kept
-- aside. A negative ST depression is an elevation: it stays.
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS measurement_date,
  'cholesterol' AS measurement_source_value,
  'local' AS measurement_system,
  "koleszterin mg/dl" AS value_source_value,
  'mg/dL' AS unit_source_value
FROM angiography
WHERE "koleszterin mg/dl" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS measurement_date,
  'systolic' AS measurement_source_value,
  'local' AS measurement_system,
  "szisztolés vérnyomás" AS value_source_value,
  'mm[Hg]' AS unit_source_value
FROM angiography
WHERE "szisztolés vérnyomás" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS measurement_date,
  'max-heart-rate' AS measurement_source_value,
  'local' AS measurement_system,
  "legnagyobb pulzus" AS value_source_value,
  '/min' AS unit_source_value
FROM angiography
WHERE "legnagyobb pulzus" IS NOT NULL
UNION ALL
SELECT
  pseudonym("azonosító") AS person_id,
  pseudonym("azonosító") AS visit_occurrence_id,
  as_date("vizsgálat napja") AS measurement_date,
  'st-depression' AS measurement_source_value,
  'local' AS measurement_system,
  "ST-süllyedés mm" AS value_source_value,
  'mm' AS unit_source_value
FROM angiography
WHERE "ST-süllyedés mm" IS NOT NULL
