"""The dictionary → its published page, in one of three languages."""

from collections.abc import Iterator

from hetao.dictionary.analytes import Analyte
from hetao.dictionary.model import Dictionary, Field, Table
from hetao.dictionary.systems import System

PAGES = {
    "en": "dictionary.md",
    "zh-Hant": "dictionary.zh-Hant.md",
    "zh-Hans": "dictionary.zh-Hans.md",
}
NAMES = {"en": "English", "zh-Hant": "繁體中文", "zh-Hans": "简体中文"}
WORDS = {
    "en": {
        "title": "Data dictionary",
        "made": "Written by `hetao dictionary page`; change `src/hetao/dictionary` "
        "instead.",
        "about": "The tables and fields that every site's data are mapped to: OMOP CDM "
        "5.4, graded after GB/T 39725-2020. A study names the digest below, and a "
        "site answers only a study that names its own.",
        "digest": "Digest",
        "levels": "Levels",
        "level": "level",
        "tables": "Tables",
        "analytes": "Analytes",
        "systems": "Code systems",
        "field": "field",
        "label": "name",
        "type": "type",
        "meaning": "meaning",
        "unit": "unit",
        "range": "plausible",
        "others": "other units, `canonical = a × x + b`",
        "name": "name",
        "oid": "object identifiers",
        "uri": "URI",
        "vocabulary": "OMOP vocabulary",
        "required": "required",
        "key": "key",
        "element": "data element",
        "codes": "codes",
        "points": "points to",
        "none": "—",
        "direct": "direct identifier",
        "quasi": "quasi-identifier",
        "pseudonym": "pseudonym",
        "hgr": "human genetic resources",
        "important": "Of {people} people or more it may be important data.",
        "duo": "use limited to",
        "personal": "personal attributes",
        "health": "health status",
        "treatment": "medical care",
        "payment": "payment",
        "resource": "health resources",
        "public": "public",
        "stop": ". ",
        "colon": ": ",
        "comma": ", ",
        "1": "may be published",
        "2": "points to nobody; open to approved research",
        "3": "de-identified, yet may point to somebody together with other data; to "
        "an approved project alone",
        "4": "identifies a person, or may; to those who care for that person",
        "5": "sensitive beyond that, and whatever the dictionary does not know; under "
        "strict limits",
    },
    "zh-Hant": {
        "title": "數據字典",
        "made": "由 `hetao dictionary page` 生成；如需修改，請改 "
        "`src/hetao/dictionary`。",
        "about": "各機構的數據都映射到以下的表和欄位：OMOP CDM 5.4，參照 GB/T "
        "39725-2020 分級。研究載明下列摘要，機構只回應摘要與自己相同的研究。",
        "digest": "摘要",
        "levels": "級別",
        "level": "級別",
        "tables": "表",
        "analytes": "檢查檢驗項目",
        "systems": "編碼系統",
        "field": "欄位",
        "label": "名稱",
        "type": "類型",
        "meaning": "含義",
        "unit": "單位",
        "range": "合理範圍",
        "others": "其他單位，`標準值 = a × x + b`",
        "name": "名稱",
        "oid": "對象標識符",
        "uri": "URI",
        "vocabulary": "OMOP 詞彙表",
        "required": "必填",
        "key": "主鍵",
        "element": "數據元",
        "codes": "代碼",
        "points": "指向",
        "none": "—",
        "direct": "直接標識",
        "quasi": "準標識",
        "pseudonym": "假名",
        "hgr": "人類遺傳資源",
        "important": "涉及 {people} 人或以上時，可能屬重要數據。",
        "duo": "用途限於",
        "personal": "個人屬性",
        "health": "健康狀況",
        "treatment": "醫療應用",
        "payment": "醫療支付",
        "resource": "衛生資源",
        "public": "公開",
        "stop": "。",
        "colon": "：",
        "comma": "，",
        "1": "可完全公開",
        "2": "不指向個人；經批准的研究可用",
        "3": "已去標識，但連同其他數據仍可能指向個人；只供獲批項目使用",
        "4": "能夠或可能識別個人；只供照護該人者使用",
        "5": "更為敏感，以及字典未收載的一切；嚴格限制使用",
    },
    "zh-Hans": {
        "title": "数据字典",
        "made": "由 `hetao dictionary page` 生成；如需修改，请改 "
        "`src/hetao/dictionary`。",
        "about": "各机构的数据都映射到以下的表和字段：OMOP CDM 5.4，参照 GB/T "
        "39725-2020 分级。研究载明下列摘要，机构只回应摘要与自己相同的研究。",
        "digest": "摘要",
        "levels": "级别",
        "level": "级别",
        "tables": "表",
        "analytes": "检查检验项目",
        "systems": "编码系统",
        "field": "字段",
        "label": "名称",
        "type": "类型",
        "meaning": "含义",
        "unit": "单位",
        "range": "合理范围",
        "others": "其他单位，`标准值 = a × x + b`",
        "name": "名称",
        "oid": "对象标识符",
        "uri": "URI",
        "vocabulary": "OMOP 词汇表",
        "required": "必填",
        "key": "主键",
        "element": "数据元",
        "codes": "代码",
        "points": "指向",
        "none": "—",
        "direct": "直接标识",
        "quasi": "准标识",
        "pseudonym": "假名",
        "hgr": "人类遗传资源",
        "important": "涉及 {people} 人及以上时，可能属于重要数据。",
        "duo": "用途限于",
        "personal": "个人属性",
        "health": "健康状况",
        "treatment": "医疗应用",
        "payment": "医疗支付",
        "resource": "卫生资源",
        "public": "公开",
        "stop": "。",
        "colon": "：",
        "comma": "，",
        "1": "可完全公开",
        "2": "不指向个人；经批准的研究可用",
        "3": "已去标识，但连同其他数据仍可能指向个人；只供获批项目使用",
        "4": "能够或可能识别个人；只供诊疗该人者使用",
        "5": "更为敏感，以及字典未收载的一切；严格限制使用",
    },
}


def page(dictionary: Dictionary, language: str) -> str:
    """Return the whole page as Markdown, in "en", "zh-Hant" or "zh-Hans"."""
    return "\n".join(_lines(dictionary, language)) + "\n"


def table_text(table: Table, language: str) -> str:
    """Return one table as Markdown, as the page shows it."""
    return "\n".join(_table(table, language)) + "\n"


def field_text(table: Table, field: Field, language: str) -> str:
    """Return one field as a few lines of text."""
    said = WORDS[language]
    colon, level = said["colon"], said[str(field.level)]
    return (
        f"{table.name}.{field.name}{colon}{field.label[language]}\n"
        f"  {field.definition[language]}\n"
        f"  {said['type']}{colon}{field.type}\n"
        f"  {said['level']}{colon}{field.level}{said['comma']}{level}\n"
        f"  {_facts(field, language)}\n"
    )


def analyte_text(analyte: Analyte, language: str) -> str:
    """Return one analyte as a few lines of text, with the units it accepts."""
    said = WORDS[language]
    colon, (low, high) = said["colon"], analyte.plausible
    maps = "".join(
        f"  {code}{colon}{analyte.unit} = {a} × {code} + {b}\n"
        for code, (a, b) in analyte.units.items()
        if code != analyte.unit
    )
    return (
        f"{analyte.name}{colon}{analyte.labels[language]}\n"
        f"  LOINC{colon}{analyte.loinc or said['none']}\n"
        f"  {said['unit']}{colon}{analyte.unit}\n"
        f"  {said['range']}{colon}{low}–{high}\n"
        f"{maps}"
    )


def _lines(dictionary: Dictionary, language: str) -> Iterator[str]:
    said = WORDS[language]
    others = [
        f"[{NAMES[other]}]({file})"
        for other, file in PAGES.items()
        if other != language
    ]
    yield from (f"# {said['title']}", "", " · ".join(others), "", said["made"], "")
    yield from (
        said["about"],
        "",
        f"{said['digest']}{said['colon']}`{dictionary.digest}`",
        "",
    )
    yield from (f"## {said['levels']}", "")
    yield from (f"{level}. {said[str(level)]}" for level in range(1, 6))
    yield from ("", f"## {said['tables']}", "")
    for table in dictionary.tables.values():
        yield from _table(table, language)
        yield ""
    yield from (f"## {said['analytes']}", "")
    yield _row(said["name"], said["label"], "LOINC", said["unit"], said["range"])[
        :-1
    ] + (f"| {said['others']} |")
    yield _row(*["---"] * 6)
    yield from (_analyte(analyte, language) for analyte in dictionary.analytes.values())
    yield from ("", f"## {said['systems']}", "")
    yield _row(
        said["name"], said["label"], said["vocabulary"], said["oid"], said["uri"]
    )
    yield _row(*["---"] * 5)
    yield from (_system(system, language) for system in dictionary.systems.values())


def _table(table: Table, language: str) -> Iterator[str]:
    said = WORDS[language]
    yield from (f"### {table.name}", "")
    yield f"{table.label[language]}{said['stop']}{table.definition[language]}"
    least = max(field.important for field in table.fields.values())
    if least:
        yield said["important"].format(people=f"{least:,}")
    yield ""
    heads = ("field", "label", "type", "level", "meaning")
    yield _row(*(said[head] for head in heads))
    yield _row(*["---"] * len(heads))
    for field in table.fields.values():
        facts = _facts(field, language)
        meaning = f"{field.definition[language]}<br>{facts}"
        label, level = field.label[language], str(field.level)
        yield _row(f"`{field.name}`", label, field.type, level, meaning)


def _facts(field: Field, language: str) -> str:
    """Return what else is known of a field, in one line."""
    said = WORDS[language]
    facts = [said[field.category]]
    if field.identifier != "none":
        facts.append(said[field.identifier])
    facts += [said["hgr"]] if field.hgr else []
    facts += [said["key"]] if field.key else []
    facts += [said["required"]] if field.required else []
    named = (
        ("unit", field.unit),
        ("points", field.references),
        ("element", field.element),
        ("codes", field.oid),
        ("duo", ", ".join(field.duo)),
    )
    facts += [f"{said[name]} `{value}`" for name, value in named if value]
    return " · ".join(facts)


def _analyte(analyte: Analyte, language: str) -> str:
    low, high = analyte.plausible
    others = [
        f"`{code}` ({a}, {b})"
        for code, (a, b) in analyte.units.items()
        if code != analyte.unit
    ]
    none = WORDS[language]["none"]
    return _row(
        f"`{analyte.name}`",
        analyte.labels[language],
        analyte.loinc or none,
        f"`{analyte.unit}`",
        f"{low}–{high}",
        ", ".join(others) or none,
    )


def _system(system: System, language: str) -> str:
    none = WORDS[language]["none"]
    return _row(
        f"`{system.name}`",
        system.labels[language],
        system.vocabulary_id,
        ", ".join(system.oid) or none,
        f"`{system.uri}`" if system.uri else none,
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
