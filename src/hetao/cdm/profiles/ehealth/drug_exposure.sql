-- Drugs are free text: what is written, in lower case, is the clinic's own code, and
-- codes.csv gives its class. Days stand in words: "x 28/7", "for 28 days".
WITH written AS (
    SELECT *,
        as_integer(regexp_extract(clean("Instruction"), '([0-9]+) *(/7|days)', 1))
            AS days,
        as_date(clean("Date"), '%d/%m/%Y') AS day
    FROM medications
)
SELECT
    pseudonym(clean("HKID No.")) AS person_id,
    day AS drug_exposure_start_date,
    CAST(day + CAST(greatest(coalesce(days, 1), 1) - 1 AS INTEGER) AS DATE)
        AS drug_exposure_end_date,
    days AS days_supply,
    as_number(clean("Qty")) AS quantity,
    lower(clean("Drug")) AS drug_source_value,
    'local' AS drug_system,
    32838 AS drug_type_concept_id,
    pseudonym(clean("Visit No.")) AS visit_occurrence_id,
    source_row,
    source_file
FROM written
