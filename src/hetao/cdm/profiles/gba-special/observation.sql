-- Flags of each use: was the institution a designated one, under which approval was the
-- product used, and did the patient consent.
WITH institutions AS (
    SELECT clean("机构代码") AS code, clean("指定医疗机构标志") AS flag FROM institution
),
products AS (
    SELECT clean("产品编号") AS code, clean("批准文号") AS approval FROM product
)
SELECT
    pseudonym(clean(register."身份证件号码")) AS person_id,
    as_date(clean(register."使用日期")) AS observation_date,
    '指定医疗机构' AS observation_source_value,
    'local' AS observation_system,
    CASE institutions.flag WHEN '1' THEN '是' ELSE '否' END AS value_source_value,
    'local' AS value_system,
    CAST(NULL AS TEXT) AS value_as_string,
    32817 AS observation_type_concept_id,
    pseudonym(clean(register."使用登记号")) AS visit_occurrence_id,
    register.source_row,
    register.source_file
FROM register
LEFT JOIN institutions ON institutions.code = clean(register."机构代码")
UNION ALL
SELECT
    pseudonym(clean(register."身份证件号码")),
    as_date(clean(register."使用日期")),
    '批准文号',
    'local',
    CAST(NULL AS TEXT),
    'local',
    products.approval,
    32817,
    pseudonym(clean(register."使用登记号")),
    register.source_row,
    register.source_file
FROM register
JOIN products ON products.code = clean(register."产品编号")
UNION ALL
SELECT
    pseudonym(clean(register."身份证件号码")),
    as_date(clean(register."使用日期")),
    '知情同意',
    'local',
    clean(register."知情同意"),
    'local',
    CAST(NULL AS TEXT),
    32817,
    pseudonym(clean(register."使用登记号")),
    register.source_row,
    register.source_file
FROM register
WHERE register."知情同意" IS NOT NULL
