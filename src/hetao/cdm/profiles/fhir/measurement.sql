-- The last version of each result. The UCUM code is the unit, its text where there is
-- no code. A text instead of a number is kept aside.
WITH latest AS (
    SELECT * FROM result
    WHERE status IN ('final', 'amended', 'corrected', 'preliminary')
    QUALIFY row_number() OVER (
        PARTITION BY id ORDER BY updated DESC, source_file, source_row) = 1
)
SELECT
    pseudonym(replace(patient, 'Patient/', '')) AS person_id,
    as_date(left(at, 10)) AS measurement_date,
    as_datetime(left(at, 19)) AS measurement_datetime,
    coding(code, 'http://loinc.org') AS measurement_source_value,
    'loinc' AS measurement_system,
    coalesce(coalesce(comparator, '') || value, said) AS value_source_value,
    coalesce(ucum, unit) AS unit_source_value,
    32856 AS measurement_type_concept_id,
    pseudonym(replace(encounter, 'Encounter/', '')) AS visit_occurrence_id,
    source_row,
    source_file
FROM latest
