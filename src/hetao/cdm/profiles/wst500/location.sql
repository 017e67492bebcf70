-- Cities in which patients live, by the first four digits of GB/T 2260.
WITH lived AS (
    SELECT left(clean("现住址行政区划代码"), 4) AS area FROM front_page
    UNION ALL
    SELECT left(clean("现住址行政区划代码"), 4) FROM outpatient
)
SELECT DISTINCT
    pseudonym('area ' || area) AS location_id,
    area AS location_source_value
FROM lived
WHERE area IS NOT NULL
