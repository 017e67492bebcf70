-- A column a test becomes a row a result. The unit is not in the table, so it is said
-- here: write yours. codes.csv says which analyte a test is.
SELECT
    pseudonym(patient) AS person_id,
    as_date(visit_date) AS measurement_date,
    'hba1c' AS measurement_source_value,
    'local' AS measurement_system,
    hba1c AS value_source_value,
    '%' AS unit_source_value,
    32856 AS measurement_type_concept_id,
    pseudonym(patient || ' ' || visit_date || ' ' || kind) AS visit_occurrence_id,
    source_row,
    source_file
FROM visits
WHERE hba1c IS NOT NULL
UNION ALL
SELECT
    pseudonym(patient),
    as_date(visit_date),
    'creatinine',
    'local',
    creatinine,
    'umol/L',
    32856,
    pseudonym(patient || ' ' || visit_date || ' ' || kind),
    source_row,
    source_file
FROM visits
WHERE creatinine IS NOT NULL
UNION ALL
SELECT
    pseudonym(patient),
    as_date(visit_date),
    'haemoglobin',
    'local',
    haemoglobin,
    'g/dL',
    32856,
    pseudonym(patient || ' ' || visit_date || ' ' || kind),
    source_row,
    source_file
FROM visits
WHERE haemoglobin IS NOT NULL
UNION ALL
SELECT
    pseudonym(patient),
    as_date(visit_date),
    'sbp',
    'local',
    sbp,
    'mmHg',
    32856,
    pseudonym(patient || ' ' || visit_date || ' ' || kind),
    source_row,
    source_file
FROM visits
WHERE sbp IS NOT NULL
UNION ALL
SELECT
    pseudonym(patient),
    as_date(visit_date),
    'dbp',
    'local',
    dbp,
    'mmHg',
    32856,
    pseudonym(patient || ' ' || visit_date || ' ' || kind),
    source_row,
    source_file
FROM visits
WHERE dbp IS NOT NULL
