-- Days are written day first; of some only the year of birth is known.
SELECT
    pseudonym(clean("HKID No.")) AS person_id,
    upper(clean("Sex")) AS gender_source_value,
    'local' AS gender_system,
    CASE WHEN length(clean("DOB")) = 4 THEN as_year(clean("DOB"))
        ELSE year(as_date(clean("DOB"), '%d/%m/%Y')) END AS year_of_birth,
    CASE WHEN length(clean("DOB")) > 4
        THEN month(as_date(clean("DOB"), '%d/%m/%Y')) END AS month_of_birth,
    CASE WHEN length(clean("DOB")) > 4
        THEN day(as_date(clean("DOB"), '%d/%m/%Y')) END AS day_of_birth,
    0 AS race_concept_id,
    0 AS ethnicity_concept_id,
    pseudonym('district ' || clean("District")) AS location_id
FROM patients
