-- The public service sees its patients wherever they go in Hong Kong, and the registry
-- tells of every death: a person is observed from the first attendance to the death or
-- to the last day of the whole extract. That is the last with two attendances or more,
-- for one alone may be a slip. Write your extract's own end instead of `extract_end` if
-- you know it.
WITH attendance AS (
    SELECT "Reference Key" AS patient, as_date("Admission Date (yyyy-mm-dd)") AS day
    FROM inpatient
    UNION ALL
    SELECT "Reference Key", as_date("Attendance Date (yyyy-mm-dd)") FROM emergency
    UNION ALL
    SELECT "Reference Key", as_date("Appointment Date (yyyy-mm-dd)") FROM outpatient
),
first_seen AS (
    SELECT patient, min(day) AS day FROM attendance GROUP BY patient
),
busy AS (
    SELECT day FROM attendance GROUP BY day HAVING count(*) > 1
),
extract_end AS (
    SELECT max(day) AS day FROM busy
),
died AS (
    SELECT "Reference Key" AS patient,
        min(partial_date("Date of Registered Death")) AS day
    FROM patient GROUP BY "Reference Key"
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
