-- Cholesterol and pressure of 0 do not exist: the dictionary says so, and they are kept
-- aside. A negative ST depression is an elevation: it stays.
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS measurement_date,
  'cholesterol' AS measurement_source_value,
  'local' AS measurement_system,
  "CHOL_MGDL" AS value_source_value,
  'mg/dL' AS unit_source_value
FROM angiography
WHERE "CHOL_MGDL" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS measurement_date,
  'systolic' AS measurement_source_value,
  'local' AS measurement_system,
  "SBP" AS value_source_value,
  'mm[Hg]' AS unit_source_value
FROM angiography
WHERE "SBP" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS measurement_date,
  'max-heart-rate' AS measurement_source_value,
  'local' AS measurement_system,
  "MAX_HR" AS value_source_value,
  '/min' AS unit_source_value
FROM angiography
WHERE "MAX_HR" IS NOT NULL
UNION ALL
SELECT
  pseudonym("PT_ID") AS person_id,
  pseudonym("PT_ID") AS visit_occurrence_id,
  as_date("DOV", '%m/%d/%Y') AS measurement_date,
  'st-depression' AS measurement_source_value,
  'local' AS measurement_system,
  "ST_DEP" AS value_source_value,
  'mm' AS unit_source_value
FROM angiography
WHERE "ST_DEP" IS NOT NULL
