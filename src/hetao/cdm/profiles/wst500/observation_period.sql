-- A person is observed from the first record here to the death or to the last day of the
-- whole extract: who does not come back has no event here, and is still at risk of one.
-- The last day is the last with three dates or more, for one stay alone may be a slip.
-- Write your extract's own end instead of `extract_end` if you know it.
WITH seen AS (
    SELECT clean("身份证号") AS id, CAST(as_datetime(clean("入院时间")) AS DATE) AS day
    FROM front_page
    UNION ALL
    SELECT clean("身份证号"), CAST(as_datetime(clean("出院时间")) AS DATE)
    FROM front_page
    UNION ALL
    SELECT clean("DE02.01.030.00"), as_date(left(clean("DE06.00.062.00"), 8))
    FROM outpatient
),
first_seen AS (
    SELECT id, min(day) AS day FROM seen GROUP BY id
),
busy AS (
    SELECT day FROM seen GROUP BY day HAVING count(*) > 2
),
extract_end AS (
    SELECT max(day) AS day FROM busy
),
died AS (
    SELECT clean("身份证号") AS id, min(partial_date(clean("死亡日期时间"))) AS day
    FROM death_certificate GROUP BY clean("身份证号")
)
SELECT
    pseudonym(first_seen.id) AS person_id,
    first_seen.day AS observation_period_start_date,
    greatest(first_seen.day, least(died.day, extract_end.day))
        AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM first_seen
CROSS JOIN extract_end
LEFT JOIN died ON died.id = first_seen.id
WHERE first_seen.day IS NOT NULL
