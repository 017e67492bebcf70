SELECT DISTINCT
    pseudonym('district ' || district) AS location_id,
    district AS county,
    district AS location_source_value
FROM patient
WHERE district IS NOT NULL
