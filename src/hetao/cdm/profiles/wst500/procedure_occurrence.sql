-- Operations of front pages and procedures of other records, in ICD-9-CM-3.
WITH listed AS (
    SELECT clean("身份证号") AS id, as_date(clean("手术及操作日期1")) AS day,
        clean("手术及操作编码1") AS code,
        clean("住院号") AS visit, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号"), as_date(clean("手术及操作日期2")),
        clean("手术及操作编码2"),
        clean("住院号"), source_row, source_file
    FROM front_page
    UNION ALL
    SELECT clean("身份证号"), as_date(clean("操作日期")), clean("手术操作编码"),
        clean("就诊号"),
        source_row, source_file
    FROM treatment
)
SELECT
    pseudonym(id) AS person_id,
    day AS procedure_date,
    code AS procedure_source_value,
    'icd9proc' AS procedure_system,
    32817 AS procedure_type_concept_id,
    pseudonym(visit) AS visit_occurrence_id,
    source_row,
    source_file
FROM listed
WHERE code IS NOT NULL
