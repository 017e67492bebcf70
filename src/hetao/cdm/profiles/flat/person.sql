-- A person stands in as many rows as they have visits: the first row in order speaks.
-- pseudonym() is the only way for an identifier into the tables.
WITH once AS (
    SELECT * FROM visits
    QUALIFY row_number() OVER (
        PARTITION BY patient ORDER BY visit_date, source_file, source_row) = 1
)
SELECT
    pseudonym(patient) AS person_id,
    -- A code and its system: codes.csv says that M and F are which concepts.
    sex AS gender_source_value,
    'local' AS gender_system,
    as_year(birth_date) AS year_of_birth,
    -- Only the year may be known.
    CASE WHEN length(birth_date) > 4 THEN month(partial_date(birth_date)) END
        AS month_of_birth,
    CASE WHEN length(birth_date) = 10 THEN day(as_date(birth_date)) END AS day_of_birth,
    0 AS race_concept_id,
    0 AS ethnicity_concept_id,
    source_row,
    source_file
FROM once
