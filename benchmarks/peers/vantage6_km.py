"""vantage6's Kaplan-Meier algorithm under vantage6's own mock client, in one process.

    python vantage6_km.py DATA SOURCES NOISE OUT

`SOURCES` holds their package; this only starts it, as their example does.
"""

import base64
import io
import json
import os
import sys
import time
from pathlib import Path

START = time.time()


def encoded(text):
    """Return a setting as vantage6's nodes hand it to an algorithm."""
    return base64.b32encode(text.encode()).decode().replace("=", "!")


def main(data, sources, noise, out):
    """Run it and keep the curve."""
    sys.path.insert(0, sources)
    if noise != "default":
        os.environ["KAPLAN_MEIER_TYPE_NOISE"] = encoded(noise)
    import pandas as pd
    from vantage6.algorithm.tools.mock_client import MockAlgorithmClient

    files = sorted(Path(data).glob("site-*.csv"))
    begun = time.time()
    client = MockAlgorithmClient(
        datasets=[[{"database": str(path), "db_type": "csv"}] for path in files],
        organization_ids=list(range(len(files))),
        module="v6_kaplan_meier_py",
    )
    words = {"time_column_name": "time", "censor_column_name": "event"}
    task = client.task.create(
        input_={"method": "kaplan_meier_central", "kwargs": words}, organizations=[0]
    )
    table = pd.read_json(io.StringIO(client.result.get(task["id"])))
    found = {
        "time": table["time"].tolist(),
        "survival": table["survival_cdf"].tolist(),
        "rounds": 2,
        "seconds": time.time() - begun,
        "before": begun - START,
    }
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
