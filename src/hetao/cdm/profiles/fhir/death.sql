SELECT
    pseudonym(id) AS person_id,
    partial_date(left(died, 10)) AS death_date,
    32817 AS death_type_concept_id
FROM patient
WHERE died IS NOT NULL
