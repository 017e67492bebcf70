-- Observed from enrolment for as many days as the source says.
SELECT
  pseudonym(patient) AS person_id,
  as_date(enrolled) AS observation_period_start_date,
  as_date(enrolled) + as_integer("time") AS observation_period_end_date
FROM enrolment
WHERE "time" IS NOT NULL AND status IS NOT NULL
