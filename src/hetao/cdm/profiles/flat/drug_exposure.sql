-- Two columns of drugs, each with its days, become rows of one table. Herbs by the Hong
-- Kong standards are codes of a system of their own.
WITH given AS (
    SELECT patient, visit_date, kind, drug_1 AS drug, as_integer(drug_days_1) AS days,
        source_row, source_file
    FROM visits WHERE drug_1 IS NOT NULL
    UNION ALL
    SELECT patient, visit_date, kind, drug_2, as_integer(drug_days_2),
        source_row, source_file
    FROM visits WHERE drug_2 IS NOT NULL
)
SELECT
    pseudonym(patient) AS person_id,
    as_date(visit_date) AS drug_exposure_start_date,
    CAST(as_date(visit_date) + CAST(greatest(coalesce(days, 1), 1) - 1 AS INTEGER)
        AS DATE) AS drug_exposure_end_date,
    days AS days_supply,
    drug AS drug_source_value,
    CASE WHEN starts_with(drug, 'HKCMMS') THEN 'hkcmms' ELSE 'atc' END AS drug_system,
    32838 AS drug_type_concept_id,
    pseudonym(patient || ' ' || visit_date || ' ' || kind) AS visit_occurrence_id,
    source_row,
    source_file
FROM given
