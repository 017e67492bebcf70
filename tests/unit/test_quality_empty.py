"""Most tables of OMOP are empty at most sites: their quality costs next to nothing."""

import re

from hetao.cdm.engine_duckdb import DuckDBEngine, counts
from hetao.dictionary import dictionary
from support_quality import clean_engine, quality_of


class Listening(DuckDBEngine):
    """An engine that keeps the tables of each plan for rows."""

    def __init__(self, connection):
        super().__init__(connection)
        self.read = []

    def rows(self, sql):
        self.read.append(set(re.findall(r"(?:FROM|JOIN) ([a-z_]+)", sql)))
        return super().rows(sql)


def test_a_table_without_a_row_is_asked_for_their_number_alone():
    tables = set(dictionary().tables)
    with Listening(clean_engine().connection) as engine:
        for table in ("measurement", "condition_era", "visit_occurrence"):
            engine.connection.execute(f"DELETE FROM {table}")  # noqa: S608
        empty = {n for n, rows in counts(engine.connection, tables).items() if not rows}

        quality = quality_of(engine)

    assert {"measurement", "condition_era", "device_exposure"} < empty < tables
    assert [read for read in engine.read if read & empty] == [tables]
    assert {c.table for c in quality.checks} >= empty
    person = next(
        c
        for c in quality.checks
        if (c.type, c.table) == ("measurePersonCompleteness", "measurement")
    )
    assert (person.violated, person.rows) == (400, 400)
