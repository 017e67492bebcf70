"""Newline-delimited JSON, such as FHIR bulk data → a relation of text cells.

Each column is a JSON path. A line that is not JSON is kept aside.
"""

from pathlib import Path

from hetao.cdm.engine_duckdb import Connection, text
from hetao.cdm.mapping import Source
from hetao.cdm.reading import LONGEST_LINE, Reading, as_utf8, headers_of

NEVER = "\x01"  # JSON allows no raw control character: each line is one cell


def read_ndjson(
    connection: Connection, source: Source, path: Path, scratch: Path
) -> Reading:
    """Return a file of one JSON object a line as a relation.

    What a path points to is text as it is: an object or a list as JSON.

    Raises:
        InvalidData: the file is missing, empty, a folder or wrongly encoded.
    """
    del connection
    plain = as_utf8(path, source.encoding, scratch)
    headers = headers_of(tuple(source.columns), path.name)
    # S608: literals are quoted by `text`.
    lines = f"""
        SELECT row_number() OVER () AS line, body FROM read_csv({text(str(plain))},
            auto_detect = false, header = false, delim = {text(NEVER)}, quote = '',
            escape = '', columns = {{body: 'VARCHAR'}}, strict_mode = true,
            max_line_size = {LONGEST_LINE})
    """  # noqa: S608
    cells = ", ".join(
        f"json_extract_string(body, {text(where)}) AS c{place}"
        for place, where in enumerate(source.columns.values())
    )
    # CASE, for the type of what is no JSON is an error, whatever else AND asks.
    good = "CASE WHEN json_valid(body) THEN json_type(body) = 'OBJECT' ELSE FALSE END"
    return Reading(
        headers,
        f"SELECT {cells} FROM ({lines}) WHERE {good}",  # noqa: S608
        f"SELECT line, 'line is no JSON object' AS reason FROM ({lines}) "  # noqa: S608
        f"WHERE trim(body) <> '' AND NOT ({good})",
    )
