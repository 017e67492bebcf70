"""What words mean: tables, fields, analytes, code systems. No rows here."""

from hetao.dictionary.analytes import SCALE, Analyte
from hetao.dictionary.conversion import conversion_sql
from hetao.dictionary.create import ENGINES, ddl
from hetao.dictionary.model import (
    UNKNOWN_LEVEL,
    Dictionary,
    EventColumns,
    Field,
    Table,
)
from hetao.dictionary.reading import dictionary, normal_unit
from hetao.dictionary.systems import FIRST_LOCAL, System, local_concept_id
from hetao.dictionary.units import Unit, unit_text, unit_text_sql

__all__ = [
    "ENGINES",
    "FIRST_LOCAL",
    "SCALE",
    "UNKNOWN_LEVEL",
    "Analyte",
    "Dictionary",
    "EventColumns",
    "Field",
    "System",
    "Table",
    "Unit",
    "conversion_sql",
    "ddl",
    "dictionary",
    "local_concept_id",
    "normal_unit",
    "unit_text",
    "unit_text_sql",
]
