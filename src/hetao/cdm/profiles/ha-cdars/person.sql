-- One row a Reference Key. A birth of which the day is not known ("1950-", "1950-03-")
-- keeps what is known: the flag "Exact date of birth" is N then.
SELECT
    pseudonym("Reference Key") AS person_id,
    "Sex" AS gender_source_value,
    'local' AS gender_system,
    as_year("Date of Birth (yyyy-mm-dd)") AS year_of_birth,
    CASE WHEN "Exact date of birth" = 'Y'
        THEN month(as_date("Date of Birth (yyyy-mm-dd)")) END AS month_of_birth,
    CASE WHEN "Exact date of birth" = 'Y'
        THEN day(as_date("Date of Birth (yyyy-mm-dd)")) END AS day_of_birth,
    "Race Description" AS race_source_value,
    'local' AS race_system,
    0 AS ethnicity_concept_id,
    pseudonym('district ' || "District of Residence (system code)") AS location_id
FROM patient
