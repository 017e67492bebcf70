-- A person may stand in the register many times: the first line in order speaks.
WITH once AS (
    SELECT * FROM register
    QUALIFY row_number() OVER (
        PARTITION BY pseudonym(clean("身份证件号码"))
        ORDER BY source_file, source_row) = 1
)
SELECT
    pseudonym(clean("身份证件号码")) AS person_id,
    clean("性别") AS gender_source_value,
    'gbt2261' AS gender_system,
    as_year(left(clean("出生日期"), 4)) AS year_of_birth,
    month(as_date(clean("出生日期"))) AS month_of_birth,
    day(as_date(clean("出生日期"))) AS day_of_birth,
    0 AS race_concept_id,
    0 AS ethnicity_concept_id,
    source_row,
    source_file
FROM once
