"""A Spark cluster of several executors on this machine, started once a process."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

import pyspark

from hetao.cdm.engine_spark import start_session

# Virtual machines that live for minutes: what they load is not looked at twice, and
# nothing is collected for want of room that they have anyway.
QUICK_START = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote "
    "-Xms640m -Xmn384m -XX:MetaspaceSize=256m"
)
EXECUTORS, CORES, MEMORY_MB = 2, 1, 1024


def _home():
    """Return a Spark installation in a temporary folder, all of it links.

    Workers of a local cluster write their executors' logs into the installation's own
    `work`, and nothing may grow inside the virtual environment.
    """
    home = Path(tempfile.mkdtemp(prefix="hetao-spark-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for part in Path(pyspark.__file__).parent.iterdir():
        if part.name != "work":
            (home / part.name).symlink_to(part)
    return home


@functools.cache
def spark_session():
    """Return a session over executors that are processes of their own."""
    os.environ["SPARK_HOME"] = str(_home())
    session = start_session(
        {
            "spark.master": f"local-cluster[{EXECUTORS},{CORES},{MEMORY_MB}]",
            "spark.executor.memory": f"{MEMORY_MB}m",
            "spark.driver.memory": "1g",
            # Few rows: handing over and compiling would cost more than they save.
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.codegen.wholeStage": "false",
            # Each sort and each hash table takes a page, of 16 MB if not told.
            "spark.buffer.pageSize": "1m",
            "spark.driver.extraJavaOptions": QUICK_START,
            "spark.executor.extraJavaOptions": QUICK_START,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
    )
    atexit.register(session.stop)  # before its installation is taken away
    return session
