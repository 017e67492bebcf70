SELECT
    pseudonym(replace(patient, 'Patient/', '')) AS person_id,
    partial_date(left(day, 10)) AS procedure_date,
    coding(code, 'http://hl7.org/fhir/sid/icd-9-cm') AS procedure_source_value,
    'icd9proc' AS procedure_system,
    32817 AS procedure_type_concept_id,
    pseudonym(replace(encounter, 'Encounter/', '')) AS visit_occurrence_id
FROM act
WHERE status = 'completed'
