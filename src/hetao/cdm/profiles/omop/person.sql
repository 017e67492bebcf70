-- The database's own person_id is a pseudonym already, but anyone with the database can
-- read it: it is made into this site's own.
SELECT
    pseudonym(person_id) AS person_id,
    as_integer(gender_concept_id) AS gender_concept_id,
    as_integer(year_of_birth) AS year_of_birth,
    as_integer(month_of_birth) AS month_of_birth,
    as_integer(day_of_birth) AS day_of_birth,
    coalesce(as_integer(race_concept_id), 0) AS race_concept_id,
    coalesce(as_integer(ethnicity_concept_id), 0) AS ethnicity_concept_id,
    gender_source_value
FROM cdm_person
