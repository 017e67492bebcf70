-- Encounters that took place. Times carry their offset: the day is the local one.
SELECT
    pseudonym(id) AS visit_occurrence_id,
    pseudonym(replace(patient, 'Patient/', '')) AS person_id,
    as_date(left("start", 10)) AS visit_start_date,
    as_date(left(coalesce("end", "start"), 10)) AS visit_end_date,
    class AS visit_source_value,
    'local' AS visit_system,
    32817 AS visit_type_concept_id
FROM encounter
WHERE status IN ('finished', 'in-progress', 'onleave')
