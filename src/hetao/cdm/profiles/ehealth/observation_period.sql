-- From the first to the last consultation here, or to a later death that is known.
WITH seen AS (
    SELECT clean("HKID No.") AS id, as_date("Visit Date") AS day FROM consultations
    UNION ALL
    SELECT clean("HKID No."), as_date(clean("Date of Death"), '%d/%m/%Y') FROM patients
)
SELECT
    pseudonym(id) AS person_id,
    min(day) AS observation_period_start_date,
    max(day) AS observation_period_end_date,
    32817 AS period_type_concept_id
FROM seen
WHERE day IS NOT NULL
GROUP BY id
