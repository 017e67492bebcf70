-- A column a test becomes a row a result. The unit is not in the table, so it is said
-- here: write yours. codes.csv says which analyte a test is.
WITH tested AS (
    SELECT patient, visit_date, kind, 'hba1c' AS test, hba1c AS result, '%' AS unit,
        source_row, source_file
    FROM visits WHERE hba1c IS NOT NULL
    UNION ALL
    SELECT patient, visit_date, kind, 'creatinine', creatinine, 'umol/L',
        source_row, source_file
    FROM visits WHERE creatinine IS NOT NULL
    UNION ALL
    SELECT patient, visit_date, kind, 'haemoglobin', haemoglobin, 'g/dL',
        source_row, source_file
    FROM visits WHERE haemoglobin IS NOT NULL
    UNION ALL
    SELECT patient, visit_date, kind, 'sbp', sbp, 'mmHg',
        source_row, source_file
    FROM visits WHERE sbp IS NOT NULL
    UNION ALL
    SELECT patient, visit_date, kind, 'dbp', dbp, 'mmHg',
        source_row, source_file
    FROM visits WHERE dbp IS NOT NULL
)
SELECT
    pseudonym(patient) AS person_id,
    as_date(visit_date) AS measurement_date,
    test AS measurement_source_value,
    'local' AS measurement_system,
    result AS value_source_value,
    unit AS unit_source_value,
    32856 AS measurement_type_concept_id,
    pseudonym(patient || ' ' || visit_date || ' ' || kind) AS visit_occurrence_id,
    source_row,
    source_file
FROM tested
