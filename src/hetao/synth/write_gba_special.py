"""A designated hospital's register of special drugs and devices (港澳藥械通).

What a hospital of the Mainland part of the Greater Bay Area may use although it is not
registered on the Mainland, because it is in Hong Kong or Macao: a catalogue of approved
products, the institutions that may use them, and a register of each use.
"""

from pathlib import Path

from hetao.synth.files import Rows, write_delimited
from hetao.synth.here import Here, twice
from hetao.synth.identifiers import record_no
from hetao.synth.sites import SyntheticSite
from hetao.synth.write_wst500 import ENCODING, citizen_id

PRODUCT = (
    "产品编号",
    "通用名",
    "类别",
    "港澳注册编号",
    "批准文号",
    "批准日期",
)
INSTITUTION = ("机构代码", "机构名称", "指定医疗机构标志")
USE = (
    "使用登记号",
    "姓名",
    "身份证件号码",
    "性别",
    "出生日期",
    "使用日期",
    "机构代码",
    "使用科室",
    "产品编号",
    "数量",
    "诊断编码",
    "诊断名称",
    "知情同意",
)


def write_gba_special(
    here: Here, site: SyntheticSite, folder: Path
) -> tuple[Path, ...]:
    """Write the register of one designated hospital, and return its files.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose register.
        folder: where the files go.
    """
    parts = {
        "products": _products(),
        "institutions": _institutions(site),
        "register": _uses(here, site),
    }
    files = tuple(
        write_delimited(here.connection, rows, folder / f"{name}.csv", ENCODING)
        for name, rows in parts.items()
    )
    here.note("duplicate_row", "special", "use_no")
    here.note("impossible_date", "special", "use_no")
    here.note("unknown_code", "special", "use_no")
    return files


def _products() -> Rows:
    return Rows(
        """
        SELECT approval, names_zh_hans, CASE kind WHEN 'drug' THEN '药品'
                ELSE '医疗器械' END,
            CASE kind WHEN 'drug' THEN 'HK-' ELSE 'MD-' END
                || lpad(row_number() OVER (ORDER BY name)::VARCHAR, 5, '0'),
            '粤药监' || approval, '2021-08-27'
        FROM code_products ORDER BY name""",
        PRODUCT,
    )


def _institutions(site: SyntheticSite) -> Rows:
    flag = 1 if site.designated else 0
    name, title = site.name.replace("'", "''"), site.title.replace("'", "''")
    return Rows(f"SELECT '{name}', '{title}', {flag}", INSTITUTION)


def _uses(here: Here, site: SyntheticSite) -> Rows:
    return Rows(
        f"""
        SELECT {record_no("SY", "use_no")}, '某' || (person_no % 100), {citizen_id()},
            CASE sex WHEN 'M' THEN '1' ELSE '2' END, strftime(birth_date, '%Y%m%d'),
            CASE WHEN {here.hits("impossible_date", "use_no")}
                THEN year(day) || '-02-31' ELSE day::VARCHAR END,
            '{site.name}', specialty.names_zh_hans,
            CASE WHEN {here.hits("unknown_code", "use_no")} THEN 'GBA-X-9999'
                ELSE approval END,
            CASE code_products.kind WHEN 'drug' THEN 30 ELSE 1 END,
            icd10cn, disease.names_zh_hans,
            CASE WHEN use_no % 50 = 0 THEN '否' ELSE '是' END
        FROM here_special JOIN code_products ON code_products.name = product
        JOIN (SELECT name, icd10cn, names_zh_hans FROM code_diseases) AS disease
            ON disease.name = code_products.disease
        JOIN here_person USING (person_no)
        JOIN here_visit USING (visit_no, person_no)
        LEFT JOIN code_specialties AS specialty ON specialty.name = specialty
        {twice(here.hits("duplicate_row", "use_no"))}
        ORDER BY use_no, copy""",
        USE,
    )
