WITH used AS (
    SELECT clean("身份证件号码") AS id, as_date(clean("使用日期")) AS day FROM register
)
SELECT
    pseudonym(id) AS person_id,
    min(day) AS observation_period_start_date,
    max(day) AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM used
WHERE day IS NOT NULL
GROUP BY id
