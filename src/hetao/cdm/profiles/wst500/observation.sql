-- How an admission ended (离院方式): 1 home on advice, 2 and 3 moved, 4 against advice,
-- 5 died, 9 other.
SELECT
    pseudonym(clean("身份证号")) AS person_id,
    CAST(as_datetime(clean("出院时间")) AS DATE) AS observation_date,
    '离院方式' AS observation_source_value,
    'local' AS observation_system,
    '离院方式 ' || clean("离院方式") AS value_source_value,
    'local' AS value_system,
    32817 AS observation_type_concept_id,
    pseudonym(clean("住院号")) AS visit_occurrence_id
FROM front_page
WHERE "离院方式" IS NOT NULL
