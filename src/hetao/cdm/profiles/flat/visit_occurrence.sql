-- A visit without a number of its own is known by person, day and kind; the same row
-- twice is one visit.
SELECT DISTINCT
    pseudonym(patient || ' ' || visit_date || ' ' || kind) AS visit_occurrence_id,
    pseudonym(patient) AS person_id,
    as_date(visit_date) AS visit_start_date,
    as_date(coalesce(leave_date, visit_date)) AS visit_end_date,
    kind AS visit_source_value,
    'local' AS visit_system,
    32817 AS visit_type_concept_id
FROM visits
