-- Medical certificates of death; the cause is the underlying one, in ICD-10.
SELECT
    pseudonym(clean("身份证号")) AS person_id,
    partial_date(clean("死亡日期时间")) AS death_date,
    32815 AS death_type_concept_id,
    clean("根本死因编码") AS cause_source_value,
    'icd10' AS cause_system
FROM death_certificate
