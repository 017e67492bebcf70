-- The institutions, and whether they are designated.
SELECT DISTINCT
    pseudonym('institution ' || clean("机构代码")) AS care_site_id,
    clean("机构名称") AS care_site_name,
    clean("机构代码") AS care_site_source_value,
    CASE clean("指定医疗机构标志") WHEN '1' THEN '指定医疗机构'
        ELSE '非指定医疗机构' END AS place_of_service_source_value
FROM institution
