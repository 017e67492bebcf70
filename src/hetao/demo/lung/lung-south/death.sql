SELECT
  pseudonym(patient) AS person_id,
  as_date(enrolled) + as_integer("time") AS death_date
FROM enrolment
WHERE status = '1' AND "time" IS NOT NULL
