-- Deaths that the clinic heard of: many are not known to it.
SELECT
    pseudonym(clean("HKID No.")) AS person_id,
    as_date(clean("Date of Death"), '%d/%m/%Y') AS death_date,
    32817 AS death_type_concept_id
FROM patients
WHERE "Date of Death" IS NOT NULL
