-- Prescriptions. Insurance codes say nothing of ATC: codes.csv gives each code's class.
-- Decoction pieces (中药饮片) have codes of the same national system.
WITH prescribed AS (
    SELECT clean("身份证号") AS id, as_date(clean("开方日期")) AS day,
        as_integer(clean("用药天数")) AS days, as_number(clean("数量")) AS quantity,
        clean("国家医保药品代码") AS code, clean("剂型") AS form,
        clean("就诊号") AS visit,
        source_row, source_file
    FROM prescription
)
SELECT
    pseudonym(id) AS person_id,
    day AS drug_exposure_start_date,
    CAST(day + CAST(greatest(coalesce(days, 1), 1) - 1 AS INTEGER) AS DATE)
        AS drug_exposure_end_date,
    days AS days_supply,
    quantity,
    code AS drug_source_value,
    'nhsa' AS drug_system,
    32838 AS drug_type_concept_id,
    form AS dose_unit_source_value,
    pseudonym(visit) AS visit_occurrence_id,
    source_row,
    source_file
FROM prescribed
