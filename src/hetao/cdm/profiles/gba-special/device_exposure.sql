-- Special devices.
WITH listed AS (
    SELECT clean("产品编号") AS code, clean("类别") AS kind FROM product
)
SELECT
    pseudonym(clean(register."身份证件号码")) AS person_id,
    as_date(clean(register."使用日期")) AS device_exposure_start_date,
    as_date(clean(register."使用日期")) AS device_exposure_end_date,
    as_integer(clean(register."数量")) AS quantity,
    clean(register."产品编号") AS device_source_value,
    'local' AS device_system,
    32818 AS device_type_concept_id,
    pseudonym(clean(register."使用登记号")) AS visit_occurrence_id,
    register.source_row,
    register.source_file
FROM register
JOIN listed ON listed.code = clean(register."产品编号")
WHERE listed.kind = '医疗器械'
