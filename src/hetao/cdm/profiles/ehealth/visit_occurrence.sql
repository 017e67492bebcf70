SELECT
    pseudonym(clean("Visit No.")) AS visit_occurrence_id,
    pseudonym(clean("HKID No.")) AS person_id,
    as_date("Visit Date") AS visit_start_date,
    as_date("Visit Date") AS visit_end_date,
    clean("Type") AS visit_source_value,
    'local' AS visit_system,
    32817 AS visit_type_concept_id
FROM consultations
