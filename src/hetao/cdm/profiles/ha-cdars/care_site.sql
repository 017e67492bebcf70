-- The institutions that the exports name.
WITH institution AS (
    SELECT "Institution (IPAS)" AS code FROM inpatient
    UNION ALL
    SELECT "Institution (IPAS)" FROM emergency
    UNION ALL
    SELECT "Institution (OPAS)" FROM outpatient
)
SELECT DISTINCT
    pseudonym('institution ' || code) AS care_site_id,
    code AS care_site_source_value
FROM institution
WHERE code IS NOT NULL
