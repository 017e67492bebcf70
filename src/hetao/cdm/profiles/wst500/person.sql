-- A person is an identity number. The same person stands on many front pages and visits;
-- the first of them in order of the files speaks. Districts are cut to four digits of
-- GB/T 2260 (the city): nothing finer reaches the tables.
WITH seen AS (
    SELECT "身份证号" AS id, "性别" AS sex, "出生日期" AS born, "民族" AS ethnic,
        "现住址行政区划代码" AS area, 1 AS part, source_row, source_file
    FROM front_page
    UNION ALL
    SELECT "DE02.01.030.00", "DE02.01.040.00", "DE02.01.005.01", "DE02.01.025.00",
        "现住址行政区划代码", 2, source_row, source_file
    FROM outpatient
),
once AS (
    SELECT * FROM seen
    QUALIFY row_number() OVER (
        PARTITION BY pseudonym(clean(id)) ORDER BY part, source_file, source_row) = 1
)
SELECT
    pseudonym(clean(id)) AS person_id,
    clean(sex) AS gender_source_value,
    'gbt2261' AS gender_system,
    as_year(left(clean(born), 4)) AS year_of_birth,
    CASE WHEN length(clean(born)) = 8 THEN month(as_date(clean(born))) END
        AS month_of_birth,
    CASE WHEN length(clean(born)) = 8 THEN day(as_date(clean(born))) END
        AS day_of_birth,
    clean(ethnic) AS race_source_value,
    'gbt3304' AS race_system,
    0 AS ethnicity_concept_id,
    pseudonym('area ' || left(clean(area), 4)) AS location_id,
    source_row,
    source_file
FROM once
