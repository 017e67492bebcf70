-- The number and its unit are read again, so that they end in the analyte's own unit
-- whatever the database keeps. A code that codes.csv gives an analyte takes that
-- analyte's concept where the database has none.
SELECT
    pseudonym(event.person_id) AS person_id,
    as_date(left(event.measurement_date, 10)) AS measurement_date,
    coalesce(known.concept_code, event.measurement_source_value) AS measurement_source_value,
    CASE known.vocabulary_id
        WHEN 'LOINC' THEN 'loinc'
        WHEN 'SNOMED' THEN 'snomed'
        WHEN 'HA LIS' THEN 'ha_lis'
        ELSE 'local' END AS measurement_system,
    as_integer(event.measurement_type_concept_id) AS measurement_type_concept_id,
    pseudonym('visit ' || event.visit_occurrence_id) AS visit_occurrence_id,
    as_datetime(left(event.measurement_datetime, 19)) AS measurement_datetime,
    CASE event.operator_concept_id WHEN '4171756' THEN '<' WHEN '4172704' THEN '>'
        ELSE '' END || coalesce(event.value_as_number, event.value_source_value)
        AS value_source_value,
    event.unit_source_value,
    event.source_row,
    event.source_file
FROM cdm_measurement AS event
LEFT JOIN cdm_concept AS known ON known.concept_id = event.measurement_source_concept_id
