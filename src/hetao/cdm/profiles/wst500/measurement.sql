-- Laboratory results by LOINC code; full-width digits are read as what they are.
SELECT
    pseudonym(clean("身份证号")) AS person_id,
    CAST(as_datetime(clean("检验时间")) AS DATE) AS measurement_date,
    as_datetime(clean("检验时间")) AS measurement_datetime,
    clean("检验项目代码") AS measurement_source_value,
    'loinc' AS measurement_system,
    clean("DE04.30.015.00") AS value_source_value,
    clean("DE04.30.016.00") AS unit_source_value,
    32856 AS measurement_type_concept_id,
    pseudonym(clean("就诊号")) AS visit_occurrence_id
FROM laboratory
