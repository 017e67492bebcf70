-- Registered deaths; a death of which only the month is known falls on its first day,
-- and is counted as completed. Causes come in ICD-10 without a dot.
SELECT
    pseudonym("Reference Key") AS person_id,
    partial_date("Date of Registered Death") AS death_date,
    32815 AS death_type_concept_id,
    CASE WHEN length("Death Cause (Main Cause)") > 3
        THEN left("Death Cause (Main Cause)", 3) || '.'
            || substring("Death Cause (Main Cause)", 4)
        ELSE "Death Cause (Main Cause)" END AS cause_source_value,
    'icd10' AS cause_system
FROM patient
WHERE "Date of Registered Death" IS NOT NULL
