-- What was handed over, and what was ordered for those who stayed. ATC where the site
-- gives it, its own code otherwise: write your own system's address instead of
-- http://hospital.example/drug.
WITH given AS (
    SELECT patient, encounter, code, day, days, quantity, unit, 32825 AS type,
        source_row, source_file
    FROM dispense WHERE status = 'completed'
    UNION ALL
    SELECT patient, encounter, code, day, days, quantity, unit, 32838,
        source_row, source_file
    FROM request WHERE status IN ('active', 'completed', 'stopped', 'on-hold')
),
known AS (
    SELECT *, as_date(left(day, 10)) AS start_day, as_integer(days) AS supply,
        coding(code, 'http://www.whocc.no/atc') AS atc,
        coding(code, 'http://hospital.example/drug') AS own
    FROM given
)
SELECT
    pseudonym(replace(patient, 'Patient/', '')) AS person_id,
    start_day AS drug_exposure_start_date,
    CAST(start_day + CAST(greatest(coalesce(supply, 1), 1) - 1 AS INTEGER) AS DATE)
        AS drug_exposure_end_date,
    supply AS days_supply,
    as_number(quantity) AS quantity,
    coalesce(atc, own) AS drug_source_value,
    CASE WHEN atc IS NOT NULL THEN 'atc' ELSE 'local' END AS drug_system,
    type AS drug_type_concept_id,
    unit AS dose_unit_source_value,
    pseudonym(replace(encounter, 'Encounter/', '')) AS visit_occurrence_id,
    source_row,
    source_file
FROM known
