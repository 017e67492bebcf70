SELECT
    pseudonym(person_id) AS person_id,
    as_date(left(observation_period_start_date, 10)) AS observation_period_start_date,
    as_date(left(observation_period_end_date, 10)) AS observation_period_end_date,
    as_integer(period_type_concept_id) AS period_type_concept_id
FROM cdm_observation_period
