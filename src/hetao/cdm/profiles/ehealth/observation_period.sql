-- From the first consultation here to a death that is known or to the last day of the
-- whole extract: who does not come back has no event here, and is still at risk of one.
-- The last day is the last with two consultations or more, for one alone may be a slip.
-- Write your extract's own end instead of `extract_end` if you know it.
WITH first_seen AS (
    SELECT clean("HKID No.") AS id, min(as_date("Visit Date")) AS day
    FROM consultations GROUP BY clean("HKID No.")
),
busy AS (
    SELECT as_date("Visit Date") AS day
    FROM consultations GROUP BY as_date("Visit Date") HAVING count(*) > 1
),
extract_end AS (
    SELECT max(day) AS day FROM busy
),
died AS (
    SELECT clean("HKID No.") AS id,
        min(as_date(clean("Date of Death"), '%d/%m/%Y')) AS day
    FROM patients GROUP BY clean("HKID No.")
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
