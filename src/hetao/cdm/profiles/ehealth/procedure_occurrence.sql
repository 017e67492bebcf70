SELECT
    pseudonym(clean("HKID No.")) AS person_id,
    as_date(clean("Date"), '%d/%m/%Y') AS procedure_date,
    lower(clean("Procedure")) AS procedure_source_value,
    'local' AS procedure_system,
    32817 AS procedure_type_concept_id,
    pseudonym(clean("Visit No.")) AS visit_occurrence_id
FROM procedures
