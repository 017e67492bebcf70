-- From the first visit to the death or to the last day of the whole file: who does not
-- come back has no event here, and is still at risk of one. The last day is the last with
-- three dates or more, for one visit alone may be a slip. Write your file's own end
-- instead of `extract_end` if you know it.
WITH seen AS (
    SELECT patient, as_date(visit_date) AS day FROM visits
    UNION ALL
    SELECT patient, as_date(leave_date) FROM visits
),
first_seen AS (
    SELECT patient, min(day) AS day FROM seen GROUP BY patient
),
busy AS (
    SELECT day FROM seen GROUP BY day HAVING count(*) > 2
),
extract_end AS (
    SELECT max(day) AS day FROM busy
),
died AS (
    SELECT patient, min(partial_date(death_date)) AS day FROM visits GROUP BY patient
)
SELECT
    pseudonym(first_seen.patient) AS person_id,
    first_seen.day AS observation_period_start_date,
    greatest(first_seen.day, least(died.day, extract_end.day))
        AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM first_seen
CROSS JOIN extract_end
LEFT JOIN died ON died.patient = first_seen.patient
WHERE first_seen.day IS NOT NULL
