-- Admissions, attendances at the emergency department, specialist (SOP) and general
-- (GOP) out-patient clinics.
SELECT
    pseudonym("HN Number") AS visit_occurrence_id,
    pseudonym("Reference Key") AS person_id,
    as_date("Admission Date (yyyy-mm-dd)") AS visit_start_date,
    as_date("Discharge Date (yyyy-mm-dd)") AS visit_end_date,
    'IP' AS visit_source_value,
    'local' AS visit_system,
    32817 AS visit_type_concept_id,
    pseudonym('institution ' || "Institution (IPAS)") AS care_site_id,
    source_row,
    source_file
FROM inpatient
UNION ALL
SELECT
    pseudonym("AE Number"),
    pseudonym("Reference Key"),
    as_date("Attendance Date (yyyy-mm-dd)"),
    as_date("Discharge Date (yyyy-mm-dd)"),
    'AE',
    'local',
    32817,
    pseudonym('institution ' || "Institution (IPAS)"),
    source_row,
    source_file
FROM emergency
UNION ALL
SELECT
    pseudonym("Appointment Number"),
    pseudonym("Reference Key"),
    as_date("Appointment Date (yyyy-mm-dd)"),
    as_date("Appointment Date (yyyy-mm-dd)"),
    "Attendance Type (SOP/GOP)",
    'local',
    32817,
    pseudonym('institution ' || "Institution (OPAS)"),
    source_row,
    source_file
FROM outpatient
