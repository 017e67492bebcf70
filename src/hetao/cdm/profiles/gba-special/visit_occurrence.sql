-- Each line of the register is a visit of its own.
SELECT DISTINCT
    pseudonym(clean("使用登记号")) AS visit_occurrence_id,
    pseudonym(clean("身份证件号码")) AS person_id,
    as_date(clean("使用日期")) AS visit_start_date,
    as_date(clean("使用日期")) AS visit_end_date,
    9202 AS visit_concept_id,
    32817 AS visit_type_concept_id,
    clean("使用科室") AS visit_source_value,
    pseudonym('institution ' || clean("机构代码")) AS care_site_id
FROM register
