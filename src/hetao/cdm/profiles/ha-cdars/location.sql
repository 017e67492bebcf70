-- The districts in which patients live: nothing finer reaches the tables.
SELECT DISTINCT
    pseudonym('district ' || "District of Residence (system code)") AS location_id,
    "District of Residence Description" AS county,
    "District of Residence (system code)" AS location_source_value
FROM patient
WHERE "District of Residence (system code)" IS NOT NULL
