"""A Spark cluster of several executors on this machine, started once a process."""

import functools

from hetao.cdm.engine_spark import start_session

QUICK_START = "-XX:TieredStopAtLevel=1"
EXECUTORS, CORES, MEMORY_MB = 2, 1, 1024


@functools.cache
def spark_session():
    """Return a session over executors that are processes of their own."""
    return start_session(
        {
            "spark.master": f"local-cluster[{EXECUTORS},{CORES},{MEMORY_MB}]",
            "spark.executor.memory": f"{MEMORY_MB}m",
            "spark.driver.memory": "1g",
            # Few rows: handing over and compiling would cost more than they save.
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.codegen.wholeStage": "false",
            "spark.driver.extraJavaOptions": QUICK_START,
            "spark.executor.extraJavaOptions": QUICK_START,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
    )
