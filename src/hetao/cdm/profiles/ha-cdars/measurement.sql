-- One file a test; its unit stands on each row. "<5" keeps its sign.
SELECT
    pseudonym("Reference Key") AS person_id,
    CAST(as_datetime("LIS Reference Datetime") AS DATE) AS measurement_date,
    as_datetime("LIS Reference Datetime") AS measurement_datetime,
    "LIS Test Code" AS measurement_source_value,
    'ha_lis' AS measurement_system,
    "LIS Result" AS value_source_value,
    "LIS Test Unit" AS unit_source_value,
    32856 AS measurement_type_concept_id,
    pseudonym("LIS Case No.") AS visit_occurrence_id
FROM laboratory
