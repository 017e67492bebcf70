-- From the first to the last visit, or to a later death.
WITH seen AS (
    SELECT patient, as_date(visit_date) AS day FROM visits
    UNION ALL
    SELECT patient, as_date(leave_date) FROM visits
    UNION ALL
    SELECT patient, partial_date(death_date) FROM visits
)
SELECT
    pseudonym(patient) AS person_id,
    min(day) AS observation_period_start_date,
    max(day) AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM seen
WHERE day IS NOT NULL
GROUP BY patient
