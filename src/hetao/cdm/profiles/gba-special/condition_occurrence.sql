-- For which disease the product was used.
SELECT
    pseudonym(clean("身份证件号码")) AS person_id,
    as_date(clean("使用日期")) AS condition_start_date,
    clean("诊断编码") AS condition_source_value,
    'icd10cn' AS condition_system,
    32817 AS condition_type_concept_id,
    pseudonym(clean("使用登记号")) AS visit_occurrence_id
FROM register
WHERE "诊断编码" IS NOT NULL
