-- From the first encounter here to the death or to the last day of the whole extract: who
-- does not come back has no event here, and is still at risk of one. The last day is the
-- last with three dates or more, for one encounter alone may be a slip. Write your
-- extract's own end instead of `extract_end` if you know it.
WITH seen AS (
    SELECT replace(patient, 'Patient/', '') AS id, as_date(left("start", 10)) AS day
    FROM encounter
    UNION ALL
    SELECT replace(patient, 'Patient/', ''), as_date(left("end", 10)) FROM encounter
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
    SELECT id, min(partial_date(left(died, 10))) AS day FROM patient GROUP BY id
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
