-- A birth may be known by year or by month only.
SELECT
    pseudonym(id) AS person_id,
    gender AS gender_source_value,
    'local' AS gender_system,
    as_year(birth) AS year_of_birth,
    CASE WHEN length(birth) >= 7 THEN month(partial_date(birth)) END AS month_of_birth,
    CASE WHEN length(birth) = 10 THEN day(as_date(birth)) END AS day_of_birth,
    0 AS race_concept_id,
    0 AS ethnicity_concept_id,
    pseudonym('district ' || district) AS location_id
FROM patient
