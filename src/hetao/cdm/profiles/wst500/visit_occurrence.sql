-- An admission is known by its number (住院号), a visit by its own (就诊号).
SELECT
    pseudonym(clean("住院号")) AS visit_occurrence_id,
    pseudonym(clean("身份证号")) AS person_id,
    CAST(as_datetime(clean("入院时间")) AS DATE) AS visit_start_date,
    CAST(as_datetime(clean("出院时间")) AS DATE) AS visit_end_date,
    '住院' AS visit_source_value,
    'local' AS visit_system,
    32817 AS visit_type_concept_id,
    source_row,
    source_file
FROM front_page
UNION ALL
SELECT
    pseudonym(clean("DE01.00.010.00")),
    pseudonym(clean("DE02.01.030.00")),
    as_date(left(clean("DE06.00.062.00"), 8)),
    as_date(left(clean("DE06.00.062.00"), 8)),
    clean("就诊类别"),
    'local',
    32817,
    source_row,
    source_file
FROM outpatient
