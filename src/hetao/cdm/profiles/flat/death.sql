-- One row a person who died, whatever number of visits tells of it.
WITH died AS (
    SELECT patient, min(partial_date(death_date)) AS day
    FROM visits WHERE death_date IS NOT NULL GROUP BY patient
)
SELECT
    pseudonym(patient) AS person_id,
    day AS death_date,
    32817 AS death_type_concept_id
FROM died
