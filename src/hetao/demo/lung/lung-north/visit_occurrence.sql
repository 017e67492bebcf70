SELECT
  pseudonym(patient) AS visit_occurrence_id,
  pseudonym(patient) AS person_id,
  9202 AS visit_concept_id,
  as_date(enrolled) AS visit_start_date
FROM enrolment
