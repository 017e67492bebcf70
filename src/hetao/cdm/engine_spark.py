"""Spark as an engine: curated tables in Parquet, plans on a site's own cluster.

A made table is written as Parquet and read from there. Spark would otherwise work it
out anew for every reader, and again when it loses an executor.
"""

import itertools
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from hetao.cdm import arrow_columns
from hetao.cdm.engine import ClosesItself, Column, Columns, Row
from hetao.cdm.plan import checked_name, translate
from hetao.cdm.plan_types import MADE, ColumnTypes, EmptyTables, parquet_tables
from hetao.errors import InvalidData, UnportablePlan, Unreachable

# What a plan's meaning hangs on: set in every session, whatever the cluster's own.
MEANING = {
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, never NULL
    "spark.sql.caseSensitive": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}
LOCAL = "local[*]"
VARIABLE = "HETAO_SPARK"  # the environment's word for the master


class SparkEngine(ClosesItself):
    """Plans on Parquet tables; temporary tables stand in a scratch folder."""

    name = "spark"

    def __init__(
        self, session: SparkSession, tables: Mapping[str, str], scratch: str = ""
    ) -> None:
        """Open the tables in a session of their own beside the given one.

        Args:
            session: a running session; it is left running.
            tables: the folder or file of Parquet for each table's name, which this
                process can read as the executors do.
            scratch: where every executor can write; "" is a local temporary folder,
                for a cluster on this machine. Patient rows stand there until closed.

        Raises:
            InvalidData: a table cannot be read.
        """
        self._session = session.newSession()
        for setting, value in MEANING.items():
            self._session.conf.set(setting, value)
        self._scratch = scratch or tempfile.mkdtemp(prefix="hetao-spark-")
        self._tables = dict(tables)
        # Told by us: Spark would start a job for each table to look for itself.
        self._types: dict[str, ColumnTypes] = {}
        self._places: dict[str, str] = {}
        self._numbers = itertools.count()
        self._empty = EmptyTables()
        try:
            self._types = parquet_tables(self._tables)
            for name, types in self._types.items():
                self._open(name)
                self._empty.add(name, types)
        except BaseException:
            self.close()
            raise

    def make(self, name: str, sql: str) -> None:
        """Keep a plan's rows as the temporary table `name`."""
        types = self._empty.types(sql)
        wanted = ", ".join(
            f"CAST(`{checked_name(key)}` AS {kind.spark}) AS `{key}`"
            for key, kind in types.items()
        )
        names = ", ".join(f"`{key}`" for key in types)
        plan = translate(sql, self.name)
        query = f"SELECT {wanted} FROM ({plan}) AS made_({names})"  # noqa: S608
        with failures():
            self._keep(checked_name(name), self._session.sql(query))
        self._empty.add(name, types, MADE)

    def drop(self, name: str) -> None:
        """Let go of the temporary table `name`, if there is one."""
        place = self._places.pop(checked_name(name), None)
        if place is not None:
            with failures():
                self._session.catalog.dropTempView(name)
                self._delete(place)
            self._empty.drop(name)
            if name in self._tables:
                self._open(name)

    def load(self, name: str, columns: Mapping[str, Column]) -> None:
        """Keep arrays as the temporary table `name`."""
        table = arrow_columns.arrow_table(columns)
        with failures():
            self._keep(checked_name(name), self._session.createDataFrame(table))
        self._empty.add(name, arrow_columns.types_of(columns), MADE)

    def fetch(self, sql: str) -> Columns:
        """Return a plan's columns as arrays, in the plan's order of rows."""
        types = self._empty.types(sql)
        return arrow_columns.columns(self._answer(sql, types), types)

    def rows(self, sql: str) -> list[Row]:
        """Return a plan's few rows as Python values."""
        return arrow_columns.rows(self._answer(sql, self._empty.types(sql)))

    def close(self) -> None:
        """Drop what was made; a Spark session that was handed in goes on."""
        with failures():
            for name in self._tables.keys() | self._places.keys():
                self._session.catalog.dropTempView(name)
            self._delete(self._scratch)
        self._empty.close()

    def _answer(self, sql: str, types: ColumnTypes) -> pa.Table:
        with failures():
            answer = self._session.sql(translate(sql, self.name)).toArrow()
        return arrow_columns.typed(answer, types)

    def _open(self, name: str) -> None:
        """Show a curated table under its name."""
        schema = ", ".join(
            f"`{checked_name(key)}` {kind.spark}"
            for key, kind in self._types[name].items()
        )
        with failures():
            frame = self._session.read.schema(schema).parquet(self._tables[name])
            frame.createOrReplaceTempView(checked_name(name))

    def _keep(self, name: str, frame: Any) -> None:
        place = f"{self._scratch}/{name}-{next(self._numbers)}"
        frame.write.parquet(place)
        # With its schema said, a table without a row is read as well as any.
        kept = self._session.read.schema(frame.schema).parquet(place)
        kept.createOrReplaceTempView(name)
        replaced = self._places.pop(name, None)
        self._places[name] = place
        if replaced is not None:
            self._delete(replaced)

    def _delete(self, place: str) -> None:
        """Remove a folder wherever Spark's files are: a disk, HDFS, an object store."""
        context: Any = self._session.sparkContext
        path = context._jvm.org.apache.hadoop.fs.Path(place)  # noqa: SLF001
        files = path.getFileSystem(context._jsc.hadoopConfiguration())  # noqa: SLF001
        files.delete(path, True)


def start_session(settings: Mapping[str, str] | None = None) -> SparkSession:
    """Return the running Spark session, or start one.

    The master is the one that the environment names in HETAO_SPARK, else this
    machine's own cores; everything else stands in Spark's own configuration.

    Args:
        settings: Spark's own, before those of the configuration.

    Raises:
        Unreachable: Spark does not start, most often because there is no Java.
    """
    wanted = {
        "spark.master": os.environ.get(VARIABLE, LOCAL),
        "spark.app.name": "hetao",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "FATAL",  # a failed task's message quotes a cell
    } | dict(settings or {})
    # It writes the very cell that failed to stderr.
    logging.getLogger("SQLQueryContextLogger").disabled = True
    builder = SparkSession.builder
    for setting, value in wanted.items():
        builder = builder.config(setting, value)
    try:
        return builder.getOrCreate()
    except (PySparkException, Py4JError, OSError) as e:
        raise Unreachable(
            "Spark does not start",
            fix="install Java 17 and set JAVA_HOME; check the cluster's settings",
            local=str(e)[:400],
        ) from None


@contextmanager
def failures() -> Iterator[None]:
    """Turn Spark's own errors, which may quote a cell, into ours."""
    try:
        yield
    except AnalysisException as e:  # names and types
        raise UnportablePlan(
            "a plan does not fit the tables that it reads",
            fix="compare its tables and columns with the dictionary's",
            local=str(e)[:400],
        ) from None
    except (PySparkException, Py4JError) as e:
        raise InvalidData(
            "Spark could not carry out a plan",
            fix="read the local message; a cast or a sum may be out of range",
            local=str(e)[:400],
        ) from None
