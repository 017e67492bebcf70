-- What was dispensed. Item codes are the pharmacy's; their class in the British National
-- Formulary comes with each row, so that a study's "bnf" finds them without a vocabulary.
WITH dispensed AS (
    SELECT
        "Reference Key" AS patient,
        coalesce(as_date("Prescription Start Date"),
            as_date("Dispensing Date (yyyy-mm-dd)")) AS start_day,
        as_integer("Dispensing Duration") * CASE "Dispensing Duration Unit"
            WHEN 'Day(s)' THEN 1 WHEN 'Week(s)' THEN 7 END AS days,
        "Drug Item Code" AS item,
        "Therapeutic Classification (BNF, Principal)" AS bnf,
        as_number("Quantity (Named Patient)") AS quantity,
        "Route" AS route,
        "Base Unit" AS unit,
        source_row,
        source_file
    FROM dispensing
)
SELECT
    pseudonym(patient) AS person_id,
    start_day AS drug_exposure_start_date,
    CAST(start_day + CAST(greatest(coalesce(days, 1), 1) - 1 AS INTEGER) AS DATE)
        AS drug_exposure_end_date,
    days AS days_supply,
    quantity,
    item AS drug_source_value,
    CASE WHEN starts_with(item, 'HKCMMS') THEN 'hkcmms' ELSE 'ha_drug' END
        AS drug_system,
    'bnf:' || bnf AS drug_classes,
    32825 AS drug_type_concept_id,
    route AS route_source_value,
    unit AS dose_unit_source_value,
    source_row,
    source_file
FROM dispensed
