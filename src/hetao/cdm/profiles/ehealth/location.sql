SELECT DISTINCT
    pseudonym('district ' || clean("District")) AS location_id,
    clean("District") AS county,
    clean("District") AS location_source_value
FROM patients
WHERE "District" IS NOT NULL
