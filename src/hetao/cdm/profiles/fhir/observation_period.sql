-- From the first to the last encounter here, or to the death if that is later.
WITH seen AS (
    SELECT replace(patient, 'Patient/', '') AS id, as_date(left("start", 10)) AS day
    FROM encounter
    UNION ALL
    SELECT replace(patient, 'Patient/', ''), as_date(left("end", 10)) FROM encounter
    UNION ALL
    SELECT id, partial_date(left(died, 10)) FROM patient
)
SELECT
    pseudonym(id) AS person_id,
    min(day) AS observation_period_start_date,
    max(day) AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM seen
WHERE day IS NOT NULL
GROUP BY id
