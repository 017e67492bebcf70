-- Cholesterol and pressure of 0 do not exist: the dictionary says so, and they are kept
-- aside. A negative ST depression is an elevation: it stays.
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS measurement_date,
  'cholesterol' AS measurement_source_value,
  'local' AS measurement_system,
  "Cholesterin (mg/dl)" AS value_source_value,
  'mg/dL' AS unit_source_value
FROM angiography
WHERE "Cholesterin (mg/dl)" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS measurement_date,
  'systolic' AS measurement_source_value,
  'local' AS measurement_system,
  "RR systolisch" AS value_source_value,
  'mm[Hg]' AS unit_source_value
FROM angiography
WHERE "RR systolisch" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS measurement_date,
  'max-heart-rate' AS measurement_source_value,
  'local' AS measurement_system,
  "HF max" AS value_source_value,
  '/min' AS unit_source_value
FROM angiography
WHERE "HF max" IS NOT NULL
UNION ALL
SELECT
  pseudonym("Patienten-Nr") AS person_id,
  pseudonym("Patienten-Nr") AS visit_occurrence_id,
  as_date("Untersuchung", '%d.%m.%Y') AS measurement_date,
  'st-depression' AS measurement_source_value,
  'local' AS measurement_system,
  "ST-Senkung (mm)" AS value_source_value,
  'mm' AS unit_source_value
FROM angiography
WHERE "ST-Senkung (mm)" IS NOT NULL
