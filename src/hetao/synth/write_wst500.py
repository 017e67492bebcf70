"""A Mainland hospital's extract: front pages of records and flat tables of documents.

Habits kept: GB 18030 text; sex, ethnic group and district by their national codes;
admissions as front pages (病案首页) with diagnoses in numbered columns, in the clinical
edition's six-digit extension of ICD-10, while out-patient records, named by data
element as in WS/T 500 documents, carry the insurance edition's; Chinese-medicine
diagnoses beside Western ones; 23-character insurance codes of drugs; full-width digits
where somebody typed them; names and identity numbers everywhere.
"""

from pathlib import Path

from hetao.synth.files import Rows, write_delimited
from hetao.synth.here import (
    DIAGNOSIS_KEY,
    MISDATED,
    Here,
    misdated,
    twice,
    written,
)
from hetao.synth.identifiers import record_no, resident_id
from hetao.synth.reported import reported
from hetao.synth.sites import SyntheticSite

ENCODING = "gb18030"
OTHERS = 4  # columns of other diagnoses on a front page
OPERATIONS = 2
AREAS = {
    "罗湖区": "440303",
    "福田区": "440304",
    "南山区": "440305",
    "宝安区": "440306",
    "龙岗区": "440307",
    "盐田区": "440308",
    "龙华区": "440309",
    "坪山区": "440310",
    "光明区": "440311",
}
ELSEWHERE = "440307"  # 大鹏新区 has no code of its own
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
GIVEN = "伟芳娜敏静秀丽强磊军洋勇艳杰涛明超霞平刚"
WIDE, NARROW = "０１２３４５６７８９．", "0123456789."

FRONT_PAGE = (
    "组织机构代码",
    "病案号",
    "住院号",
    "住院次数",
    "姓名",
    "性别",
    "出生日期",
    "民族",
    "身份证号",
    "现住址行政区划代码",
    "入院途径",
    "入院时间",
    "入院科别",
    "出院时间",
    "实际住院天数",
    "主要诊断编码",
    "主要诊断名称",
    "中医主病编码",
    *(
        f"其他诊断{what}{place}"
        for place in range(1, OTHERS + 1)
        for what in ("编码", "名称")
    ),
    *(
        f"手术及操作{what}{place}"
        for place in range(1, OPERATIONS + 1)
        for what in ("编码", "日期", "名称")
    ),
    "离院方式",
)
# The internal identifiers of WS/T 363 data elements, as flat exports of shared
# documents carry them.
OUTPATIENT = (
    "DE01.00.010.00",  # number of the visit
    "DE02.01.030.00",  # identity number
    "DE02.01.039.00",  # name
    "DE02.01.040.00",  # sex
    "DE02.01.005.01",  # birth date
    "DE02.01.025.00",  # ethnic group
    "现住址行政区划代码",
    "DE06.00.062.00",  # date and time of the visit
    "就诊类别",
    "DE08.10.026.00",  # department
)
DIAGNOSIS = (
    "DE01.00.010.00",
    "DE02.01.030.00",
    "DE06.00.062.00",
    "DE05.01.024.00",  # diagnosis code
    "DE05.01.025.00",  # diagnosis name
    "DE05.10.130.00",  # code of the Chinese-medicine disease
    "DE05.10.172.00",  # its name
)
PRESCRIPTION = (
    "就诊号",
    "身份证号",
    "处方编号",
    "开方日期",
    "药品名称",
    "国家医保药品代码",
    "规格",
    "剂型",
    "用药天数",
    "数量",
    "中药饮片标志",
)
LABORATORY = (
    "就诊号",
    "身份证号",
    "DE01.00.018.00",  # number of the specimen
    "检验时间",
    "检验项目代码",
    "检验项目名称",
    "DE04.30.015.00",  # quantitative result
    "DE04.30.016.00",  # its unit
)
TREATMENT = ("就诊号", "身份证号", "操作日期", "手术操作编码", "手术操作名称")
DEATH = ("身份证号", "姓名", "死亡日期时间", "根本死因编码")


def write_wst500(here: Here, site: SyntheticSite, folder: Path) -> tuple[Path, ...]:
    """Write the extract of one Mainland hospital, and return its files.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose extract.
        folder: where the files go.
    """
    reported(here, "SZ")
    _identify(here)
    parts = {
        "basy": _front_pages(site.name),
        "mzjl": _outpatients(),
        "mzzd": _diagnoses(here),
        "cf": _prescriptions(here),
        "jy": _results(here),
        "cz": _treatments(),
        "swzm": _deaths(here),
    }
    files = tuple(
        write_delimited(here.connection, rows, folder / f"{name}.csv", ENCODING)
        for name, rows in parts.items()
    )
    _note(here)
    return files


def citizen_id() -> str:
    """Return SQL of the identity number of a row of the truth's `person`."""
    return resident_id("person_no", "sex", "birth_date")


def _identify(here: Here) -> None:
    """Make `citizen`: what stands on the card of each person of the site."""
    areas = " ".join(f"WHEN '{name}' THEN '{code}'" for name, code in AREAS.items())
    birth = here.hits("estimated_birth", "person_no")
    here.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE citizen AS
        SELECT person_no, {citizen_id()} AS id,
            substr('{SURNAMES}', 1 + (person_no % {len(SURNAMES)})::INTEGER, 1)
                || substr('{GIVEN}', 1 + (person_no % {len(GIVEN)})::INTEGER, 1)
                AS name,
            CASE WHEN {here.hits("unknown_sex", "person_no")} THEN '9'
                WHEN sex = 'M' THEN '1' ELSE '2' END AS sex_code,
            {written("birth_date", "%Y%m%d", birth, "%Y")} AS born,
            CASE WHEN person_no % 40 = 0 THEN '08' ELSE '01' END AS ethnic,
            CASE district {areas} ELSE '{ELSEWHERE}' END AS area
        FROM here_person""")


_NUMBER = (
    "(CASE kind WHEN 'inpatient' THEN 'ZY' ELSE 'MZ' END || "
    f"{record_no('', 'visit_no')})"
)


def _front_pages(site: str) -> Rows:
    others = ", ".join(
        f"max(CASE WHEN place = {place} THEN icd10cn END), "
        f"max(CASE WHEN place = {place} THEN placed.names_zh_hans END)"
        for place in range(2, OTHERS + 2)
    )
    operations = ", ".join(
        f"max(operations.{what}{place})"
        for place in range(1, OPERATIONS + 1)
        for what in ("code", "day", "title")
    )
    return Rows(
        f"""
        WITH placed AS (
            SELECT visit_no, icd10cn, tcm_code, names_zh_hans, row_number() OVER (
                PARTITION BY visit_no ORDER BY rank) AS place
            FROM here_diagnosis JOIN code_diseases ON code_diseases.name = disease
        ),
        operations AS ({_operations()})
        SELECT '{site}', {record_no("B", "person_no")}, {_NUMBER}, row_number() OVER (
                PARTITION BY person_no ORDER BY start_date, visit_no),
            any_value(citizen.name), any_value(sex_code), any_value(born),
            any_value(ethnic), any_value(id), any_value(area), '1',
            strftime(start_date, '%Y-%m-%d 09:30'), any_value(specialty.names_zh_hans),
            strftime(end_date, '%Y-%m-%d 10:00'),
            date_diff('day', start_date, end_date),
            max(CASE WHEN place = 1 THEN icd10cn END),
            max(CASE WHEN place = 1 THEN placed.names_zh_hans END),
            max(CASE WHEN place = 1 THEN tcm_code END), {others}, {operations},
            CASE WHEN any_value(death_date) = end_date THEN '5' ELSE '1' END
        FROM here_visit JOIN citizen USING (person_no)
        JOIN here_person USING (person_no)
        LEFT JOIN code_specialties AS specialty ON specialty.name = specialty
        LEFT JOIN placed USING (visit_no) LEFT JOIN operations USING (visit_no)
        WHERE kind = 'inpatient'
        GROUP BY visit_no, person_no, kind, start_date, end_date ORDER BY visit_no""",
        FRONT_PAGE,
    )


def _operations() -> str:
    """Return each admission's first operations side by side."""
    columns = ", ".join(
        f"max(CASE WHEN place = {place} THEN icd9proc END) AS code{place}, "
        f"max(CASE WHEN place = {place} THEN strftime(day, '%Y%m%d') END) "
        f"AS day{place}, "
        f"max(CASE WHEN place = {place} THEN names_zh_hans END) AS title{place}"
        for place in range(1, OPERATIONS + 1)
    )
    return f"""
        SELECT visit_no, {columns} FROM ({_placed_procedures()})
        WHERE kind = 'inpatient' AND place <= {OPERATIONS} GROUP BY visit_no"""


def _placed_procedures() -> str:
    return """
        SELECT here_procedure.*, kind, icd9proc, names_zh_hans, row_number() OVER (
            PARTITION BY visit_no ORDER BY proc_no) AS place
        FROM here_procedure JOIN here_visit USING (visit_no, person_no)
        JOIN code_procedures ON code_procedures.name = procedure"""


def _outpatients() -> Rows:
    return Rows(
        f"""
        SELECT {_NUMBER}, id, citizen.name, sex_code, born, ethnic, area,
            strftime(start_date, '%Y%m%d') || 'T093000',
            CASE kind WHEN 'emergency' THEN '急诊' ELSE '门诊' END,
            specialty.names_zh_hans
        FROM here_visit JOIN citizen USING (person_no)
        LEFT JOIN code_specialties AS specialty ON specialty.name = specialty
        WHERE kind <> 'inpatient' ORDER BY visit_no""",
        OUTPATIENT,
    )


def _diagnoses(here: Here) -> Rows:
    """Write the diagnoses of visits, and those that a front page has no column for."""
    key = DIAGNOSIS_KEY
    return Rows(
        f"""
        WITH placed AS (
            SELECT *, row_number() OVER (PARTITION BY visit_no ORDER BY rank) AS place
            FROM here_diagnosis JOIN here_visit USING (visit_no, person_no)
        )
        SELECT {_NUMBER}, id,
            {misdated(here, "day", "%Y%m%dT093000", key)},
            CASE WHEN {here.hits("unknown_code", key)} THEN 'Z99.999x999'
                ELSE icd10cn_nhsa END, names_zh_hans, tcm_code, tcm_zh_hans
        FROM placed JOIN citizen USING (person_no)
        JOIN code_diseases ON code_diseases.name = disease
        {twice(here.hits("duplicate_row", key))}
        WHERE kind <> 'inpatient' OR place > {OTHERS + 1}
        ORDER BY visit_no, rank, copy""",
        DIAGNOSIS,
    )


def _prescriptions(here: Here) -> Rows:
    return Rows(
        f"""
        SELECT {_NUMBER}, id, {record_no("CF", "rx_no")}, strftime(day, '%Y-%m-%d'),
            names_zh_hans,
            CASE WHEN {here.hits("unknown_code", "rx_no")}
                THEN 'XZ99ZZZ999Z999999999999' ELSE nhsa END, strength,
            CASE form WHEN 'tablet' THEN '片剂' WHEN 'capsule' THEN '胶囊剂'
                WHEN 'injection' THEN '注射剂' WHEN 'inhaler' THEN '吸入剂'
                ELSE '饮片' END,
            CASE WHEN {here.hits("full_width", "rx_no")} THEN {_widened("days")}
                ELSE days::VARCHAR END,
            printf('%g', quantity::DOUBLE),
            CASE WHEN form = 'herb' THEN '1' ELSE '0' END
        FROM here_drug JOIN code_drugs ON code_drugs.name = drug
        JOIN here_visit USING (visit_no, person_no) JOIN citizen USING (person_no)
        {twice(here.hits("duplicate_row", "rx_no"))}
        ORDER BY rx_no, copy""",
        PRESCRIPTION,
    )


def _results(here: Here) -> Rows:
    return Rows(
        f"""
        SELECT {_NUMBER}, id, {record_no("BB", "lab_no")},
            strftime(taken_at, '%Y-%m-%d %H:%M:%S'), loinc, names_zh_hans,
            CASE WHEN {here.hits("full_width", "lab_no")} THEN {_widened("shown")}
                ELSE shown END, unit
        FROM reported JOIN code_labs ON code_labs.name = analyte
        JOIN here_visit USING (visit_no, person_no) JOIN citizen USING (person_no)
        ORDER BY lab_no""",
        LABORATORY,
    )


def _treatments() -> Rows:
    """Write procedures of visits, and those that a front page has no column for."""
    return Rows(
        f"""
        SELECT {_NUMBER}, id, strftime(day, '%Y-%m-%d'), icd9proc, names_zh_hans
        FROM ({_placed_procedures()}) JOIN citizen USING (person_no)
        WHERE kind <> 'inpatient' OR place > {OPERATIONS} ORDER BY proc_no""",
        TREATMENT,
    )


def _deaths(here: Here) -> Rows:
    partial = here.hits("partial_death", "person_no")
    return Rows(
        f"""
        SELECT id, citizen.name,
            {written("death_date", "%Y-%m-%d", partial, "%Y-%m")},
            cause.icd10
        FROM here_person JOIN citizen USING (person_no)
        LEFT JOIN code_diseases AS cause ON cause.name = death_cause
        WHERE death_date IS NOT NULL ORDER BY person_no""",
        DEATH,
    )


def _widened(cell: str) -> str:
    return f"translate(({cell})::VARCHAR, '{NARROW}', '{WIDE}')"


def _note(here: Here) -> None:
    here.note("estimated_birth", "person", "person_no")
    here.note("unknown_sex", "person", "person_no")
    here.note("partial_death", "person", "person_no", "death_date IS NOT NULL")
    listed = f"""visit_no * 32 + rank IN (
        SELECT visit_no * 32 + rank FROM (
            SELECT visit_no, rank, kind, row_number() OVER (
                PARTITION BY visit_no ORDER BY rank) AS place
            FROM here_diagnosis JOIN here_visit USING (visit_no))
        WHERE kind <> 'inpatient' OR place > {OTHERS + 1})"""
    for fault in (*MISDATED, "unknown_code", "duplicate_row"):
        here.note(fault, "diagnosis", DIAGNOSIS_KEY, listed)
    for fault in ("unknown_code", "duplicate_row", "full_width"):
        here.note(fault, "drug", "rx_no")
    here.note("full_width", "lab", "lab_no")
