-- A hospital sees only those who come: a person is observed from the first to the last
-- record here, or to the death if that is later and certified. A region's platform,
-- which sees all hospitals, may write its own rule instead.
WITH seen AS (
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day
    FROM front_page
    UNION ALL
    SELECT clean("身份证号"), CAST(as_datetime(clean("出院时间")) AS DATE)
    FROM front_page
    UNION ALL
    SELECT clean("DE02.01.030.00"), as_date(left(clean("DE06.00.062.00"), 8))
    FROM outpatient
    UNION ALL
    SELECT clean("身份证号"), partial_date(clean("死亡日期时间"))
    FROM death_certificate
)
SELECT
    pseudonym(id) AS person_id,
    min(day) AS observation_period_start_date,
    max(day) AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM seen
WHERE day IS NOT NULL
GROUP BY id
