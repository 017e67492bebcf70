"""Parsers to fuzz: of tables as hospitals export them, and of lists of codes."""

import functools
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb

from hetao.cdm import staging
from hetao.cdm.engine_duckdb import Connection, connect
from hetao.cdm.mapping import Source
from hetao.cdm.supplying import load_units
from hetao.cdm.vocabulary.codes_file import read_codes
from hetao.errors import InvalidData
from hetao.synth.files import EXCEL_PARTS, SHEET_FOOT, SHEET_HEAD
from support_parsers import Parsers, of_file

CSV = 'id,"年齡",note\n1,60,"a ""b"""\n2,71,\n3,,x\n'
HTML = """<html><body><table><tr><th>id</th><th>年齡</th></tr>
<tr><td>1</td><td>60</td></tr><tr><td>2</td><td>7<b>1</b></td></tr></table></body></html>
"""
LINES = '{"id": "1", "value": {"age": 60}}\n{"id": "2", "value": {"age": null}}\n'
CODES = """system,code,concept_id,status,score
icd10,I48,313217,confirmed,
icd10,I49.0,437894,suggested,87.5
"""
UNITS = "analyte,source_unit,unit\nhba1c,mmol per mol,mmol/mol\n"
ROWS = """<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c>
<c r="B1" t="inlineStr"><is><t>age</t></is></c></row>
<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>60.5</v></c></row>"""


def workbook() -> bytes:
    """Return an .xlsx of one sheet, uncompressed so that a bent byte tells."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in EXCEL_PARTS.items():
            archive.writestr(name, text)
        archive.writestr("xl/worksheets/sheet1.xml", SHEET_HEAD + ROWS + SHEET_FOOT)
    return made.getvalue()


def parquet() -> bytes:
    """Return a Parquet file of three rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        duckdb.execute(f"COPY (SELECT range AS id, 'a' AS b FROM range(3)) TO '{path}'")  # noqa: S608
        return path.read_bytes()


def staged(kind: str) -> Callable[[Path], object]:
    """Return what reads a file of a kind as a curation stages it."""
    engine = for_small_files()
    columns = {"id": "$.id", "age": "$.value.age"} if kind == "ndjson" else {}
    source = Source("t", "*", kind, columns=columns, most_unfit=1.0)

    def read(path: Path) -> object:
        nonlocal engine
        scratch = path.parent / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            staging._read(engine, source, path, scratch)
        except InvalidData:
            engine = usable(engine)
            raise
        return scratch

    return read


def usable(engine: Connection) -> Connection:
    """Return an engine, or another where it gave up.

    After some damages to a Parquet file DuckDB answers nothing more: a curation has
    ended by then, but here the next input would be refused whatever it is.
    """
    try:
        engine.execute("SELECT 1")
    except duckdb.FatalException:
        return for_small_files()
    return engine


def for_small_files() -> Connection:
    """Return an engine without threads: to wake them takes longer than a small file."""
    engine = connect()
    for setting in ("threads = 1", "async_threads = 1"):
        engine.execute(f"SET {setting}")
    return engine


def units_in(engine: Connection, path: Path) -> object:
    """Return nothing; read a list of units as a curation does."""
    with engine.cursor() as connection:  # its temporary tables go with it
        return load_units(connection, path)


@functools.cache
def of_tables() -> Parsers:
    """Return the parsers of exported tables of each kind, of codes and of units."""
    engine = connect()
    return {
        "table in CSV": (of_file(staged("csv"), "t.csv"), CSV.encode()),
        "table in HTML": (of_file(staged("html"), "t.xls"), HTML.encode()),
        "table in a workbook": (of_file(staged("excel"), "t.xlsx"), workbook()),
        "table in JSON lines": (of_file(staged("ndjson"), "t.ndjson"), LINES.encode()),
        "table in Parquet": (of_file(staged("parquet"), "t.parquet"), parquet()),
        "list of codes": (
            of_file(functools.partial(read_codes, engine), "codes.csv"),
            CODES.encode(),
        ),
        "list of units": (
            of_file(functools.partial(units_in, engine), "units.csv"),
            UNITS.encode(),
        ),
    }
