"""How far findings lie from their oracles, kept for the page that says so.

`benchmarks/exactness.py` names a file in HETAO_EXACTNESS and runs the oracles; without
it nothing is kept.
"""

import json
import os
from pathlib import Path


def note(model, rounds, estimate, se, sites=None):
    """Keep one comparison: of which test, how far in standard errors."""
    path = os.environ.get("HETAO_EXACTNESS")
    if not path:
        return
    line = {
        "test": os.environ["PYTEST_CURRENT_TEST"].split(" ")[0],
        "model": model,
        "rounds": rounds,
        "estimate": estimate,
        "se": se,  # None where the oracle has none
        "sites": sites,
    }
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
