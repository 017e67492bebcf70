"""Whatever bytes a reader is given, it gives a relation or one clear error."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetao.cdm.engine_duckdb import connect
from hetao.cdm.mapping import SiteFolder, SiteTable, Source, StoreTable
from hetao.cdm.staging import Staged, stage_sources
from hetao.errors import InvalidData

COUNTER = connect()
FUZZ = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
SOURCES = {
    "csv": Source("s", "f", most_unfit=1.0),
    "tab": Source("s", "f", delimiter="\t", encoding="gb18030", most_unfit=1.0),
    "utf-16": Source("s", "f", encoding="utf-16", most_unfit=1.0),
    "html": Source("s", "f", format="html", most_unfit=1.0),
    "big5": Source("s", "f", format="html", encoding="big5hkscs", most_unfit=1.0),
    "ndjson": Source(
        "s",
        "f",
        format="ndjson",
        columns={"id": "$.id", "c": "$.a.b[0]"},
        most_unfit=1.0,
    ),
    "parquet": Source("s", "f", format="parquet"),
    "excel": Source("s", "f", format="excel", most_unfit=1.0),
}
STARTS = (
    *(b"", b"a,b\n1,2\n", b"\xef\xbb\xbfa;b\r\n1;2\r", b'"a","b\n"\n1,2\n'),
    *(b"<table><tr><th>a<th>b</tr><tr><td>1<td>2</tr></table>", b"<html><table><tr>"),
    *(b'{"id":1,"a":{"b":[2]}}\n{"id":', b'[1,2]\n"x"\n', b"PAR1", b"PK\x03\x04"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
)
PIECES = st.sampled_from(
    (
        *(
            b",",
            b"\t",
            b"\n",
            b"\r",
            b"\r\n",
            b'"',
            b'""',
            b"\0",
            b"\x01",
            b"\xff",
            b"1",
        ),
        *(
            "藥".encode(),
            "藥".encode("gb18030"),
            b"<td>",
            b"</tr>",
            b"<tr>",
            b"&#0;",
            b"{",
        ),
        *(b"}", b"\\", b"\\u0000", b" ", b"\x1a", b"]]>", b"<!--", b"<table>"),
    )
)
BYTES = st.builds(
    lambda start, parts, tail: start + b"".join(parts) + tail,
    st.sampled_from(STARTS),
    st.lists(PIECES, max_size=60),
    st.binary(max_size=40),
)


def staged(source: Source, body: bytes) -> tuple[Staged, int, int]:
    """Stage one file, and count what lies in its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "f").write_bytes(body)
        site = SiteFolder(
            folder, SiteTable("north"), StoreTable("store"), (source,), {}
        )
        (found,) = stage_sources(site, lambda _: None)
        rows, unfit = (
            COUNTER.execute(
                f"SELECT count(*) FROM '{found.folder}/{part}.parquet'"  # noqa: S608
            ).fetchone()[0]
            for part in ("rows", "unfit")
        )
        assert list(folder.rglob(".part*")) == []
        return found, rows, unfit


@pytest.mark.parametrize("name", SOURCES)
@FUZZ
@given(body=BYTES)
def test_any_bytes_are_a_relation_or_one_error(name, body):
    try:
        found, rows, unfit = staged(SOURCES[name], body)
    except InvalidData:
        return
    assert (found.rows, found.unfit) == (rows, unfit)
    assert rows + unfit > 0


cells = st.text(st.characters(codec="utf-8", exclude_characters='\0\r\n",'), max_size=8)


@FUZZ
@given(st.lists(st.lists(cells, min_size=1, max_size=5), min_size=1, max_size=30))
def test_every_line_of_a_text_file_is_a_row_or_kept_aside(lines):
    """Blank lines apart, which are no rows."""
    body = "a,b,c\n" + "".join(",".join(line) + "\n" for line in lines)
    written = [line for line in lines if ",".join(line).strip()]
    if not written:
        return

    _, rows, unfit = staged(SOURCES["csv"], body.encode())

    assert rows + unfit >= len(written)
    assert rows >= len([line for line in lines if len(line) == 3])
    # An empty cell too many, as a delimiter at the end makes it, tells nothing.
    odd = [line for line in written if len(line) < 3 or any(line[3:])]
    assert unfit >= len(odd)
