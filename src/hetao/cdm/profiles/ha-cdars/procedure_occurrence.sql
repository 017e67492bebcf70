SELECT
    pseudonym("Reference Key") AS person_id,
    partial_date("Procedure Date (yyyy-mm-dd)") AS procedure_date,
    "All Procedure Code" AS procedure_source_value,
    'icd9proc' AS procedure_system,
    32817 AS procedure_type_concept_id
FROM procedures
