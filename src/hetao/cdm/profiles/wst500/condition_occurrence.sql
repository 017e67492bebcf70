-- Front pages carry the clinical edition's six-digit extension of ICD-10, out-patient
-- records the insurance edition's: a study's "icd10" finds both by their root. A disease
-- of Chinese medicine (GB/T 15657) stands beside the Western one and is a row of its own.
WITH listed AS (
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day,
        clean("主要诊断编码") AS code, 'icd10cn' AS system,
        32902 AS status,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day,
        clean("其他诊断编码1") AS code, 'icd10cn' AS system,
        32908 AS status,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day,
        clean("其他诊断编码2") AS code, 'icd10cn' AS system,
        32908 AS status,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day,
        clean("其他诊断编码3") AS code, 'icd10cn' AS system,
        32908 AS status,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day,
        clean("其他诊断编码4") AS code, 'icd10cn' AS system,
        32908 AS status,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day,
        clean("中医主病编码") AS code, 'gbt15657' AS system,
        CAST(NULL AS INTEGER) AS status,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("DE02.01.030.00"), as_date(left(clean("DE06.00.062.00"), 8)),
        clean("DE05.01.024.00"), 'icd10cn', CAST(NULL AS INTEGER),
        clean("DE01.00.010.00"),
        source_row, source_file
    FROM diagnosis
    UNION ALL
    SELECT clean("DE02.01.030.00"), as_date(left(clean("DE06.00.062.00"), 8)),
        clean("DE05.10.130.00"), 'gbt15657', CAST(NULL AS INTEGER),
        clean("DE01.00.010.00"),
        source_row, source_file
    FROM diagnosis
)
SELECT
    pseudonym(id) AS person_id,
    day AS condition_start_date,
    code AS condition_source_value,
    system AS condition_system,
    32817 AS condition_type_concept_id,
    status AS condition_status_concept_id,
    pseudonym(visit) AS visit_occurrence_id,
    source_row,
    source_file
FROM listed
WHERE code IS NOT NULL
