"""A Spark cluster of several executors on this machine, started once a process."""

import functools

from hetao.cdm.engine_spark import start_session

EXECUTORS, CORES, MEMORY_MB = 2, 1, 1024


@functools.cache
def spark_session():
    """Return a session over executors that are processes of their own."""
    return start_session(
        {
            "spark.master": f"local-cluster[{EXECUTORS},{CORES},{MEMORY_MB}]",
            "spark.executor.memory": f"{MEMORY_MB}m",
            "spark.driver.memory": "1g",
            "spark.sql.shuffle.partitions": "4",  # few rows: the hand-overs cost most
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
    )
